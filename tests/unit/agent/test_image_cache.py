import asyncio
import hashlib
import subprocess

import pytest
from aiohttp import web

from novakit.agent.calls import ImageSource
from novakit.agent.images import ImageCache
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


async def test_content_that_is_not_what_was_promised_is_refused_and_not_kept(cache, serving):
    source, port = await serving(b"x" * 4096)
    with pytest.raises(Refused, match="not what the image service recorded"):
        await cache.get(source.described(port, sha256="0" * 64), shown)
    assert list(cache.directory.iterdir()) == []


async def test_an_image_that_is_gone_is_refused_and_one_that_cannot_be_fetched_is_tried_again(cache, serving):
    source, port = await serving(b"x" * 4096)
    source.status = 404
    with pytest.raises(Refused, match="not there any more"):
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
    with pytest.raises(Refused, match="qcow2, not raw"):
        await cache.get(source.described(port, disk_format="raw"), shown)


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
