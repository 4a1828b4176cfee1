import asyncio
import hashlib
import os
import subprocess
import time
from pathlib import Path

import pytest
from aiohttp import web

from novakit.agent.images import ImageCache
from novakit.calls.host import ImageSource
from novakit_hookspecs.errors import Busy, Refused

ID = "0b3cf1a2-1111-4222-8333-444455556666"
OTHER = "1b3cf1a2-1111-4222-8333-444455556666"


async def shown(ticket):
    return f"{ticket}, shown"


class Source:
    """An image service that counts how often it was asked."""

    def __init__(self, body):
        self.body, self.asked, self.status = body, 0, 200

    async def answer(self, request):
        self.asked += 1
        assert request.headers["X-Auth-Token"] == "secret, shown"
        return web.Response(body=self.body, status=self.status)

    def described(self, port, image_id=ID, **changes):
        digest = hashlib.sha256(self.body).hexdigest()
        base = {"id": image_id, "sha256": digest, "size": len(self.body), "disk_format": "raw", "ticket": "secret"}
        return ImageSource(**{**base, "url": f"http://127.0.0.1:{port}/file", **changes})


@pytest.fixture
async def serving():
    runners = []

    async def serve(body):
        source = Source(body)
        app = web.Application()
        app.router.add_get("/file", source.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        runners.append(runner)
        return source, runner.addresses[0][1]

    yield serve
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def cache(tmp_path):
    made = ImageCache(tmp_path / "images")
    made.open()
    return made


async def test_however_many_boots_there_is_one_fetch(cache, serving):
    source, port = await serving(bytes(3 << 20))
    images = await asyncio.gather(*(cache.get(source.described(port), shown) for _ in range(20)))
    assert source.asked == 1
    assert {image.path for image in images} == {images[0].path} and images[0].virtual_size == 3 << 20
    again = await cache.get(source.described(port, image_id=OTHER), shown)
    assert source.asked == 1 and again.id == OTHER and again.path == images[0].path


async def test_what_befalls_an_image_befalls_no_other_one_of_the_same_bytes(cache, serving):
    gone, port_of_gone = await serving(b"x" * 4096)
    there, port = await serving(b"x" * 4096)
    gone.status = 404
    asked = [gone.described(port_of_gone), there.described(port, image_id=OTHER)]
    asked.append(there.described(port, image_id=OTHER, disk_format="ami"))
    refused, *found = await asyncio.gather(*(cache.get(each, shown) for each in asked), return_exceptions=True)
    assert isinstance(refused, Refused) and ID in str(refused)
    assert [(image.id, image.disk_format) for image in found] == [(OTHER, "raw"), (OTHER, "ami")]


async def test_content_that_is_not_what_was_promised_is_refused_and_not_kept(cache, serving):
    source, port = await serving(b"x" * 4096)
    with pytest.raises(Refused, match="not what the image service recorded"):
        await cache.get(source.described(port, sha256="0" * 64), shown)
    assert list(cache.directory.iterdir()) == []


async def test_an_image_that_is_gone_is_refused_and_one_that_cannot_be_fetched_is_tried_again(cache, serving):
    source, port = await serving(b"x" * 4096)
    source.status = 404
    with pytest.raises(Refused, match="does not exist any more"):
        await cache.get(source.described(port), shown)
    source.status = 503
    with pytest.raises(Busy):
        await cache.get(source.described(port), shown)
    source.status = 200
    assert (await cache.get(source.described(port), shown)).disk_format == "raw"


async def test_a_qcow2_that_names_another_file_never_reaches_a_driver(cache, serving, tmp_path):
    base, evil = tmp_path / "base.raw", tmp_path / "evil.qcow2"
    base.write_bytes(bytes(1 << 20))
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(evil)]
    subprocess.run(command, check=True)
    source, port = await serving(evil.read_bytes())
    with pytest.raises(Refused, match="not safe"):
        await cache.get(source.described(port, disk_format="qcow2"), shown)
    with pytest.raises(Refused, match="declared as raw, and its content is qcow2"):
        await cache.get(source.described(port, disk_format="raw"), shown)


@pytest.mark.parametrize("head", [b"COWD", b"KDMV\1\0\0\0", b"# \xff\nversion=1\n", b"version=3\r\n"])
async def test_what_qemu_takes_for_a_vmdk_is_not_taken_for_raw(cache, serving, head):
    source, port = await serving(head.ljust(1 << 20, b"\0"))
    with pytest.raises(Refused, match="declared as raw, and its content is vmdk"):
        await cache.get(source.described(port, disk_format="raw"), shown)


async def test_a_qcow2_with_an_external_data_file_never_reaches_a_driver(cache, serving, tmp_path):
    """Bit 2 of the incompatible features: the data are in a file that the header names."""
    plain = tmp_path / "plain.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", plain, "1M"], check=True)
    content = bytearray(plain.read_bytes())
    content[79] |= 1 << 2
    source, port = await serving(bytes(content))
    with pytest.raises(Refused, match="not safe"):
        await cache.get(source.described(port, disk_format="qcow2"), shown)


def test_what_a_killed_download_left_is_removed_at_the_next_start(cache):
    (cache.directory / "abc.part").write_bytes(b"half")
    (cache.directory / "whole").write_bytes(b"all")
    ImageCache(cache.directory).open()
    assert [path.name for path in cache.directory.iterdir()] == ["whole"]


@pytest.mark.parametrize(("method", "word"), [(1, "AES"), (2, "LUKS")])
async def test_an_encrypted_image_is_refused_before_any_program_opens_it(cache, serving, tmp_path, method, word):
    plain = tmp_path / "plain.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", plain, "1M"], check=True)
    head = plain.read_bytes()
    source, port = await serving(head[:32] + method.to_bytes(4, "big") + head[36:])
    with pytest.raises(Refused, match=f"encrypted with {word}"):
        await cache.get(source.described(port, disk_format="qcow2"), shown)


async def kept(cache, source, port, *bodies):
    """Fetch images of these contents, each used a day and an hour after the one before, and give their digests."""
    digests = []
    for number, body in enumerate(bodies):
        source.body = body
        image = await cache.get(source.described(port), shown)
        os.utime(image.path, (time.time() - 90_000 * (len(bodies) - number),) * 2)
        digests.append(Path(image.path).name)
    return digests


async def test_a_kept_image_is_read_only_and_checked_again_when_it_was_touched(cache, serving):
    source, port = await serving(b"x" * 4096)
    image = Path((await cache.get(source.described(port), shown)).path)
    assert image.stat().st_mode & 0o777 == 0o444
    await cache.get(source.described(port), shown)
    assert source.asked == 1
    image.chmod(0o644)
    with image.open("r+b") as file:
        file.write(b"hostile")
    again = Path((await cache.get(source.described(port), shown)).path)
    assert source.asked == 2
    assert again.read_bytes() == b"x" * 4096
    assert again.stat().st_mode & 0o777 == 0o444


async def test_a_file_planted_under_a_digest_is_not_used_and_a_link_is_not_followed(cache, serving, tmp_path):
    source, port = await serving(b"x" * 4096)
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * 4096)
    place = cache.directory / source.described(port).sha256
    for plant in (lambda: place.write_bytes(b"hostile"), lambda: place.symlink_to(secret)):
        plant()
        image = Path((await cache.get(source.described(port), shown)).path)
        assert image.read_bytes() == b"x" * 4096 and not image.is_symlink()
        image.unlink()
    assert source.asked == 2 and secret.stat().st_mode & 0o777 != 0o444


async def test_an_old_image_goes_unless_a_guest_needs_it_or_one_is_being_built_of_it(cache, serving):
    source, port = await serving(b"")
    needed, held, old, new = await kept(cache, source, port, b"needed", b"held", b"old", b"new")
    os.utime(cache.directory / new)

    async def used():
        return [f"/wherever/{needed}"]

    cache.users.append(used)
    source.body = b"held"
    async with cache.held(source.described(port), shown) as image:
        os.utime(image.path, (0, 0))
        assert await cache.tidy() == [old]
    assert {path.name for path in cache.directory.iterdir()} == {needed, held, new}
    assert await cache.tidy() == [held]


async def test_beyond_the_limit_the_longest_unused_go_first(cache, serving):
    source, port = await serving(b"")
    cache.unused, cache.limit = 1e9, 25
    first, second, third = await kept(cache, source, port, b"1" * 10, b"2" * 10, b"3" * 10)
    cache.users.append(lambda: asyncio.sleep(0, [first]))
    assert await cache.tidy() == [second]
    assert {path.name for path in cache.directory.iterdir()} == {first, third}


async def test_nothing_goes_while_a_driver_cannot_say_what_it_needs(cache, serving):
    source, port = await serving(b"")
    await kept(cache, source, port, b"old")
    cache.users += [lambda: asyncio.sleep(0, []), lambda: asyncio.sleep(0, None)]
    assert await cache.tidy() == []
    assert len(list(cache.directory.iterdir())) == 1


async def test_what_is_built_while_the_drivers_are_asked_stays(cache, serving):
    source, port = await serving(b"")
    [digest] = await kept(cache, source, port, b"old")

    async def slow():
        source.body = b"old"
        async with cache.held(source.described(port), shown) as image:
            os.utime(image.path, (0, 0))
        return []

    cache.users.append(slow)
    assert await cache.tidy() == []
    assert (cache.directory / digest).exists()
