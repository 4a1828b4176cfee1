"""The bytes of an image."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any


async def test_an_image_goes_up_in_chunks_and_comes_down_the_same(cloud: Any) -> None:
    data = os.urandom((3 << 20) + 17)

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 100_000):
            yield data[at : at + 100_000]

    image = await cloud.image()
    assert (image["status"], image["visibility"], image["size"]) == ("queued", "shared", None)
    assert await cloud.ask("GET", f"/v2/images/{image['id']}/file") == (204, b"")
    assert (await cloud.upload(image["id"], chunks()))[0] == 204
    status, image = await cloud.ask("GET", f"/v2/images/{image['id']}")
    assert (status, image["status"], image["size"], image["virtual_size"]) == (200, "active", len(data), len(data))
    assert image["checksum"] == hashlib.md5(data).hexdigest()
    assert (image["os_hash_algo"], image["os_hash_value"]) == ("sha512", hashlib.sha512(data).hexdigest())
    async with cloud.http.get(f"{cloud.base}/image{image['file']}", headers={"X-Auth-Token": cloud.demo}) as answer:
        assert answer.headers["Content-MD5"] == image["checksum"]
        assert await answer.read() == data
    record = await cloud.images.get(await cloud.context(), image["id"])
    assert record.sha256 == hashlib.sha256(data).hexdigest()


async def test_an_active_image_takes_no_other_data(cloud: Any) -> None:
    image = await cloud.image()
    await cloud.upload(image["id"], b"x" * 1024)
    assert (await cloud.upload(image["id"], b"y" * 1024))[0] == 409
    assert len(cloud.files()) == 1


async def test_of_two_uploads_at_once_one_wins_whole(cloud: Any) -> None:
    image = await cloud.image()
    answers = await asyncio.gather(*(cloud.upload(image["id"], bytes([n]) * 3_000_000) for n in range(3)))
    assert sorted(status for status, _ in answers) == [204, 409, 409]
    _, data = await cloud.ask("GET", f"/v2/images/{image['id']}/file")
    assert len(set(data)) == 1
    assert len(cloud.files()) == 1


async def test_data_that_is_not_what_was_uploaded_is_not_given_out_and_is_named(cloud: Any) -> None:
    image = await cloud.image()
    await cloud.upload(image["id"], b"x" * 1024)
    (file,) = cloud.files()
    (path,) = (path for path in cloud.images.directory.iterdir() if path.name == getattr(file, "name", file))
    assert await cloud.images.damaged() == {}
    path.write_bytes(b"x" * 100)
    status, said = await cloud.ask("GET", f"/v2/images/{image['id']}/file")
    assert status == 409 and "has 100 bytes where 1024 were uploaded, so it cannot be downloaded" in str(said)
    assert await cloud.images.damaged() == {image["id"]: (path.name, "has 100 bytes where 1024 were uploaded")}
    path.unlink()
    status, said = await cloud.ask("GET", f"/v2/images/{image['id']}/file")
    assert status == 409 and "is gone" in str(said)
