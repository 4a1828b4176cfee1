"""Files in the directory of images that no row names: told of, and adopted or removed by an operator's word alone."""

import asyncio
import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from novakit import errors, world
from novakit.config import ImageOptions
from novakit.context import RequestContext
from novakit.image import Images
from novakit.image.records import NewImage
from novakit.image.unknown import ImageAdoption, UnknownFiles
from tests.support.service import Service
from tests.support.stores import store_on

ADMIN = RequestContext(
    request_id="req-test", user_id="u", project_id="p", roles=frozenset({"admin"}), user_domain_id="default"
)
IN_P = ImageAdoption(project="p")
SIZE = 1 << 20
QCOW2 = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 16, SIZE, 0, 1, 1 << 17, 1 << 16, 1, 0, 0).ljust(
    4096, b"\0"
)
BACKED = QCOW2[:8] + struct.pack(">QI", 72, 11) + QCOW2[20:72] + b"/etc/shadow".ljust(4024, b"\0")


@pytest.fixture(params=["sqlite", "postgresql"])
async def images(request: Any, tmp_path: Path) -> AsyncIterator[Images]:
    store = await store_on(request.param, request, tmp_path / "x.db")
    images = Images(store, tmp_path / "images", limits=ImageOptions(images_each=3))
    await images.open()
    yield images
    await store.close()


def put(images: Images, name: str, content: bytes = QCOW2) -> Path:
    path = images.directory / name
    path.write_bytes(content)
    return path


async def test_a_file_of_a_lost_database_is_an_image_again_under_its_id(images: Images) -> None:
    id = world.new_id()
    put(images, f"{id}.upload")
    files = UnknownFiles(images)
    [found] = await files.every()
    assert (found.name, found.size, found.image_id) == (f"{id}.upload", 4096, id)
    shown = await files.adopt(found.name, ImageAdoption(project="p", name="web"))
    assert (shown["id"], shown["name"], shown["owner"], shown["status"]) == (id, "web", "p", "active")
    assert (shown["disk_format"], shown["size"], shown["virtual_size"]) == ("qcow2", 4096, SIZE)
    file = await images.file(ADMIN, id)
    assert file is not None and file.path.read_bytes() == QCOW2
    assert file.sha256 == hashlib.sha256(QCOW2).hexdigest()
    assert await files.every() == [] and await images.strangers() == []
    await images.delete(ADMIN, id)
    assert list(images.directory.iterdir()) == []


async def test_a_file_that_is_newer_than_a_backup_fills_the_image_that_waits_for_it(images: Images) -> None:
    waiting = await images.create(ADMIN, NewImage(name="kept", properties={"os_type": "linux"}))
    put(images, f"{waiting['id']}.upload")
    with pytest.raises(errors.Conflict, match="waits for this data in project p: name"):
        await UnknownFiles(images).adopt(f"{waiting['id']}.upload", ImageAdoption(project="q"))
    shown = await UnknownFiles(images).adopt(f"{waiting['id']}.upload", ImageAdoption())
    assert (shown["name"], shown["os_type"], shown["disk_format"]) == ("kept", "linux", "qcow2")


@pytest.mark.parametrize(
    ("content", "asked", "why"),
    [
        (BACKED, IN_P, "not safe"),
        (QCOW2, ImageAdoption(project="p", disk_format="raw"), "declared as raw, and its content is qcow2"),
        (b"", IN_P, "0 bytes"),
    ],
    ids=["another file behind it", "another format", "empty"],
)
async def test_what_an_upload_would_refuse_is_refused_and_stays(
    images: Images, content: bytes, asked: ImageAdoption, why: str
) -> None:
    put(images, "f", content)
    with pytest.raises(errors.UnsupportedMedia, match=why):
        await UnknownFiles(images).adopt("f", asked)
    assert await images.strangers() == ["f"]


async def test_an_id_that_is_taken_or_was_deleted_is_not_given_again(images: Images) -> None:
    files = UnknownFiles(images)
    first = await images.create(ADMIN, NewImage(name="x"))
    put(images, f"{first['id']}.1")
    put(images, f"{first['id']}.2")
    await files.adopt(f"{first['id']}.1", IN_P)
    with pytest.raises(errors.Conflict, match="exists and has other data"):
        await files.adopt(f"{first['id']}.2", IN_P)
    await images.delete(ADMIN, first["id"])
    with pytest.raises(errors.Conflict, match="was deleted"):
        await files.adopt(f"{first['id']}.2", IN_P)
    shown = await files.adopt(f"{first['id']}.2", ImageAdoption(project="p", new_id=True))
    assert shown["id"] != first["id"] and await images.strangers() == []


async def test_a_quota_holds_for_adopted_files_too(images: Images) -> None:
    for number in range(4):
        put(images, f"f{number}")
    for number in range(3):
        await UnknownFiles(images).adopt(f"f{number}", IN_P)
    with pytest.raises(errors.TooLarge, match="at most 3 images"):
        await UnknownFiles(images).adopt("f3", IN_P)
    assert await images.strangers() == ["f3"]


async def test_only_what_no_image_has_is_touched(images: Images, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    files = UnknownFiles(images)
    put(images, "mine")
    await files.adopt("mine", IN_P)
    put(images, "under-way.draft")
    for name in ("mine", "under-way.draft", "../secret", "absent", ".."):
        for call in (files.remove(name), files.adopt(name, IN_P)):
            with pytest.raises(errors.NotFound):
                await call
    assert (tmp_path / "secret").exists() and {path.name for path in images.directory.iterdir()} == {
        "mine",
        "under-way.draft",
    }


async def test_whatever_lies_there_is_told_of_and_can_be_made_to_go(images: Images, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(QCOW2)
    (images.directory / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(images.directory / "pipe")
    put(images, "x" * 200)
    Path(os.fsdecode(os.fsencode(images.directory) + b"/\xff")).write_bytes(QCOW2)
    (images.directory / "lost+found").mkdir()
    files = UnknownFiles(images)
    names = [each.name for each in await files.every()]
    assert names == sorted(["link", "pipe", "x" * 200, "\\xff"], key=names.index) and len(names) == 4
    for name in names:
        with pytest.raises(errors.Conflict):
            await files.adopt(name, IN_P)
        await files.remove(name)
    assert await files.every() == [] and (tmp_path / "secret").exists()
    (images.directory / "folder").mkdir()
    with pytest.raises(errors.Conflict, match="is a directory: move it"):
        await files.remove("folder")


async def test_two_adoptions_and_a_removal_at_once_leave_one_image_or_none(images: Images) -> None:
    files = UnknownFiles(images)
    put(images, "f", QCOW2 + bytes(4 << 20))
    said = await asyncio.gather(
        files.adopt("f", IN_P), files.adopt("f", IN_P), files.remove("f"), return_exceptions=True
    )
    refused = [each for each in said if isinstance(each, Exception)]
    assert len(refused) == 2 and all(isinstance(each, errors.Conflict | errors.NotFound) for each in refused), said
    assert await images.strangers() == []
    for name in await images.file_names():
        assert (images.directory / name).exists()


def test_an_operator_makes_the_audit_clean_with_the_commands_that_it_names(tmp_path: Path) -> None:
    state = tmp_path / "state"

    def novakit(*words: str, code: int) -> str:
        argv = [sys.executable, "-m", "novakit", *words, "--state", str(state)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=120)
        assert done.returncode == code, done.stdout + done.stderr
        return " ".join((done.stdout + done.stderr).split())

    id = world.new_id()
    (state / "images").mkdir(parents=True)
    (state / "images" / f"{id}.one").write_bytes(QCOW2)
    (state / "images" / "a file").write_bytes(b"rubbish")
    with Service(state):
        findings = json.loads(novakit("audit", "--format", "json", code=1))["orphaned"]
        assert [each["name"] for each in findings] == [f"{id}.one", "a file"] or len(findings) == 2
        assert all("novakit image strangers" in each["remedy"] for each in findings)
        rows = json.loads(novakit("doctor", "--driver", "simulated", "--format", "json", code=0))
        [told] = [each for each in rows if each["check"] == "image files"]
        assert "2 without an image" in told["found"] and "novakit image strangers" in told["remedy"]
        assert f"{id}.one" in novakit("image", "strangers", code=1)
        assert "Name one or more files" in novakit("image", "adopt", code=2)
        assert "Name the project" in novakit("image", "adopt", f"{id}.one", code=1)
        assert f"adopted as image {id}, qcow2" in novakit("image", "adopt", f"{id}.one", "--project", "demo", code=0)
        assert "Nothing was removed" in novakit("image", "remove", "a file", code=2)
        absent = novakit("image", "remove", "no file", code=1)
        assert absent == "no file `novakit image strangers` does not name it."
        assert "a file removed" in novakit("image", "remove", "--all", "--yes", code=0)
        assert novakit("image", "remove", "--all", code=0) == "There is no such file."
        assert "Every image file belongs to an image" in novakit("image", "strangers", code=0)
        assert "nothing is orphaned" in novakit("audit", code=0)
