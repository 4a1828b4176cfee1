"""Images that lie or attack, and requests that are wrong: refused with the reason, and nothing stays."""

import asyncio
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from novakit.disk.pieces import PIECE

CANARY = "/etc/canary"


def qcow2(tmp_path: Path, *options: str) -> bytes:
    path = tmp_path / "made.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), "64M"], check=True)
    return path.read_bytes()


def with_backing_file() -> bytes:
    name = CANARY.encode()
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 512, len(name), 16, 1 << 26)
    return header.ljust(512, b"\0") + name.ljust(65536, b"\0")


def with_features(bits: int) -> bytes:
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 26).ljust(72, b"\0")
    return (header + struct.pack(">Q", bits)).ljust(65536, b"\0")


def vmdk(
    extent: str,
    kind: str = "monolithicSparse",
    capacity: int = 2048,
    at: int = 1,
    sectors: int = 20,
    table: int = 0,
) -> bytes:
    """A sparse extent with its descriptor in it.

    By the header the descriptor is `sectors` long and begins with sector `at`, and the grains' table is at `table`.
    """
    header = struct.pack("<4sIIQQQQIQQ", b"KDMV", 1, 3, capacity, 128, at, sectors, 512, 0, table).ljust(512, b"\0")
    text = vmdk_descriptor(extent, kind)
    return (header.ljust(at * 512, b"\0") + text.ljust(20 * 512, b"\0")).ljust(1 << 20, b"\0")


def vmdk_text(extent: str, kind: str = "monolithicFlat") -> bytes:
    """A descriptor alone, whose extents are files of their own."""
    return vmdk_descriptor(extent, kind) + b"# padding\n" * 200


def vmdk_descriptor(extent: str, kind: str) -> bytes:
    lines = ("# Disk DescriptorFile", "version=1", "CID=1", "parentCID=ffffffff", f'createType="{kind}"', extent, "")
    return "\n".join(lines).encode()


def luks() -> bytes:
    return (b"LUKS\xba\xbe" + struct.pack(">H", 1)).ljust(1 << 20, b"\0")


def partitioned() -> bytes:
    entry = struct.pack("<B3BB3BII", 0x80, 0, 2, 0, 0x83, 0, 0, 0, 1, 2047)
    return (b"\0" * 446 + entry + b"\0" * 48 + b"\x55\xaa").ljust(1 << 20, b"\0")


def iso() -> bytes:
    sector = bytearray(2048)
    sector[0:7] = b"\x01CD001\x01"
    sector[80:84] = struct.pack("<L", 512)
    sector[128:130] = struct.pack("<H", 2048)
    return b"\0" * 32768 + bytes(sector) + b"\0" * (1 << 20)


REFUSED = {
    "a backing file": ("qcow2", with_backing_file(), "backing_file"),
    "an external data file": ("qcow2", with_features(1 << 2), "data_file"),
    "unknown features": ("qcow2", with_features(1 << 40), "unknown_features"),
    "a qcow2 said to be raw": ("raw", with_features(0), "content is qcow2"),
    "a backing file said to be raw": ("raw", with_backing_file(), "content is qcow2"),
    "raw bytes said to be qcow2": ("qcow2", b"x" * 65536, "content is raw"),
    "a qcow2 cut short": ("qcow2", with_features(0)[:100], "cannot be inspected"),
    "a qcow2 cut short said to be raw": ("raw", with_features(0)[:100], "content is qcow2"),
    "an absolute extent": ("vmdk", vmdk(f'RW 2048 SPARSE "{CANARY}"'), "descriptor"),
    "a flat extent": ("vmdk", vmdk('RW 2048 FLAT "x" 0', "monolithicFlat"), "descriptor"),
    "a text descriptor": ("vmdk", vmdk_text(f'RW 2048 FLAT "{CANARY}" 0'), "descriptor"),
    "a text descriptor said to be raw": ("raw", vmdk_text(f'RW 2048 FLAT "{CANARY}" 0'), "content is vmdk"),
    "a parent": ("vmdk", vmdk(f'parentFileNameHint="{CANARY}"\nRW 2048 SPARSE "x.vmdk"'), "parent file"),
    "a parent in a comment": ("vmdk", vmdk(f'#parentFileNameHint="{CANARY}"\nRW 2048 SPARSE "x.vmdk"'), "parent file"),
    "a second extent": ("vmdk", vmdk('RW 2048 SPARSE "x.vmdk"\nRW 2048 FLAT "y" 0'), "several files"),
    "a stream with a path": ("vmdk", vmdk(f'RW 2048 SPARSE "{CANARY}"', "streamOptimized"), "descriptor"),
    "a stream whose footer is none": (
        "vmdk",
        vmdk('RW 2048 SPARSE "x"', "streamOptimized", table=(1 << 64) - 1),
        "footer",
    ),
    "a descriptor behind no disk": ("vmdk", vmdk('RW 2048 FLAT "x" 0', capacity=0), "other files"),
    "a parent behind the descriptor's one sector": (
        "vmdk",
        vmdk('RW 2048 SPARSE "x.vmdk"'.ljust(600, "\n") + f'parentFileNameHint="{CANARY}"', sectors=1),
        "parent file",
    ),
    "a descriptor with a strange comment": (
        "vmdk",
        b"# \xff\xfe\n" + vmdk_text(f'RW 2048 FLAT "{CANARY}" 0'),
        "cannot be inspected",
    ),
    "another format of QEMU said to be raw": ("raw", b"WithouFreSpacExt".ljust(1 << 20, b"\0"), "content is parallels"),
    "a qcow2 larger than its table": ("qcow2", with_features(0), "too small"),
    "a descriptor where none is looked for": ("vmdk", vmdk(f'RW 2048 FLAT "{CANARY}" 0', at=3), "descriptor"),
    "a descriptor of a split disk": (
        "vmdk",
        vmdk_text('RW 2048 SPARSE "x-s001.vmdk"', "twoGbMaxExtentSparse"),
        "descriptor",
    ),
    "a descriptor of a split flat disk": (
        "vmdk",
        vmdk_text(f'RW 2048 FLAT "{CANARY}" 0', "twoGbMaxExtentFlat"),
        "descriptor",
    ),
    "a descriptor of a device": ("vmdk", vmdk_text('RW 2048 FLAT "/dev/sda" 0', "fullDevice"), "descriptor"),
    "a descriptor of a neighbour": ("vmdk", vmdk_text('RW 2048 SPARSE "x"', "monolithicSparse"), "other files"),
    "a descriptor of a stream": ("vmdk", vmdk_text('RW 2048 SPARSE "x"', "streamOptimized"), "other files"),
    "a descriptor with a strange comment said to be raw": (
        "raw",
        b"# \xff\xfe\n" + vmdk_text(f'RW 2048 FLAT "{CANARY}" 0'),
        "content is vmdk",
    ),
    "a descriptor before zeros said to be raw": (
        "raw",
        vmdk_descriptor(f'RW 2048 FLAT "{CANARY}" 0', "monolithicFlat").ljust(1 << 20, b"\0"),
        "content is vmdk",
    ),
    "an extent of ESX said to be raw": ("raw", b"COWD".ljust(1 << 20, b"\0"), "content is vmdk"),
    "a vmdk said to be qcow2": ("qcow2", vmdk('RW 2048 SPARSE "x.vmdk"'), "content is vmdk"),
    "an encrypted disk nobody declared": ("raw", luks(), "content is luks"),
    "a disc image said to be raw": ("raw", iso(), "content is iso"),
    "a banned format": ("raw", b"QED\0".ljust(65536, b"\0"), "content is qed"),
    "nothing": ("raw", b"", "0 bytes"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("piece", [7, 1 << 20])
async def test_a_dangerous_image_is_refused_with_the_reason_and_leaves_no_file(
    cloud: Any, what: str, piece: int
) -> None:
    declared, data, reason = REFUSED[what]
    image = await cloud.image(disk_format=declared)

    async def pieces() -> Any:
        for at in range(0, min(len(data), 7000), piece):
            yield data[at : min(at + piece, 7000)]
        if len(data) > 7000:
            yield data[7000:]

    status, said = await cloud.upload(image["id"], pieces())
    assert status == 415
    assert reason in said["message"]
    assert CANARY not in said["message"]
    assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[1]["status"] == "queued"
    assert cloud.files() == []


async def test_honest_images_of_each_format_are_taken_with_their_virtual_size(cloud: Any, tmp_path: Path) -> None:
    honest = [
        ("qcow2", qcow2(tmp_path), 64 << 20),
        ("raw", partitioned(), 1 << 20),
        ("iso", iso(), 1 << 20),
        ("vmdk", vmdk('RW 2048 SPARSE "x.vmdk"'), 1 << 20),
    ]
    for declared, data, size in honest:
        image = await cloud.image(disk_format=declared)
        status, said = await cloud.upload(image["id"], data)
        assert status == 204, said
        assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[1]["virtual_size"] == size
    image = await cloud.image(os_encrypt_format="LUKS")
    assert (await cloud.upload(image["id"], luks()))[0] == 204


async def test_what_qemu_itself_makes_with_a_backing_or_data_file_is_refused(cloud: Any, tmp_path: Path) -> None:
    base = tmp_path / "base.raw"
    base.write_bytes(b"\0" * (1 << 20))
    for options in (("-b", str(base), "-F", "raw"), ("-o", f"data_file={tmp_path}/data.raw")):
        image = await cloud.image(disk_format="qcow2")
        status, _ = await cloud.upload(image["id"], qcow2(tmp_path, *options))
        assert status == 415


async def test_an_upload_that_breaks_off_leaves_a_queued_image_and_no_file(cloud: Any) -> None:
    image = await cloud.image()
    host, port = cloud.base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"PUT /image/v2/images/{image['id']}/file HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {cloud.demo}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: 9000000\r\n\r\n"
    )
    writer.write(head.encode() + b"x" * 3_000_000)
    await writer.drain()
    async with asyncio.timeout(10):
        while not cloud.files():
            await asyncio.sleep(0.01)
        writer.close()
        while cloud.files():
            await asyncio.sleep(0.01)
    assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[1]["status"] == "queued"
    assert (await cloud.upload(image["id"], b"again"))[0] == 204


async def test_what_was_judged_as_one_format_becomes_no_image_of_another(cloud: Any) -> None:
    image = await cloud.image(disk_format="raw")

    async def pieces() -> Any:
        yield b"x" * 1024
        status, _ = await cloud.patch(image["id"], {"op": "replace", "path": "/disk_format", "value": "qcow2"})
        assert status == 200
        yield b"x" * 1024

    assert (await cloud.upload(image["id"], pieces()))[0] == 409
    assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[1]["status"] == "queued"
    assert cloud.files() == []


async def test_an_image_above_the_limit_is_refused_announced_or_not(cloud: Any) -> None:
    image = await cloud.image()
    cloud.images.max_size = 3 * PIECE

    async def chunks(count: int) -> Any:
        for _ in range(count):
            yield b"x" * PIECE

    assert (await cloud.upload(image["id"], chunks(4)))[0] == 413, "no piece of it is too large by itself"
    assert (await cloud.upload(image["id"], b"x" * (3 * PIECE + 1)))[0] == 413
    assert cloud.files() == []
    assert (await cloud.upload(image["id"], chunks(3)))[0] == 204
    image = await cloud.image()
    cloud.images.max_size = PIECE // 2
    assert (await cloud.upload(image["id"], b"x" * PIECE))[0] == 413


async def test_an_upload_needs_formats_and_the_right_media_type(cloud: Any) -> None:
    image = await cloud.image(disk_format=None)
    assert (await cloud.upload(image["id"], b"x"))[0] == 400
    status, _ = await cloud.ask("PUT", f"/v2/images/{image['id']}/file", {"a": 1})
    assert status == 415


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "n" * 300}, 400),
        ({"name": "nul\0"}, 400),
        ({"name": 7}, 400),
        ({"disk_format": "floppy"}, 400),
        ({"container_format": "docker"}, 400),
        ({"visibility": "secret"}, 400),
        ({"min_disk": -1}, 400),
        ({"min_ram": 1 << 40}, 400),
        ({"id": "../../etc/passwd"}, 400),
        ({"protected": "yes"}, 400),
        ({"tags": ["a\x1fb"]}, 400),
        ({"tags": [str(n) for n in range(200)]}, 413),
        ({f"p{n}": "x" for n in range(200)}, 413),
        ({"custom": {"deep": True}}, 400),
        ({"custom": "nul\0"}, 400),
        ({"a\nb": "x"}, 400),
        ({"status": "active"}, 403),
        ({"locations": []}, 403),
        ({"owner": "somebody else"}, 403),
        ([], 400),
        ("x" * 10_000_000, 413),
    ],
)
async def test_a_wrong_image_is_refused_and_none_is_made(cloud: Any, body: Any, expected: int) -> None:
    status, said = await cloud.ask("POST", "/v2/images", body)
    assert status == expected, said
    assert said["code"].startswith(str(expected))
    assert said["message"]
    assert (await cloud.ask("GET", "/v2/images"))[1]["images"] == []


@pytest.mark.parametrize("image_id", ["absent", "..%2F..%2Fetc%2Fpasswd", "%00", "a" * 300])
async def test_ids_that_name_nothing_are_not_found(cloud: Any, image_id: str) -> None:
    for method, path in (("GET", ""), ("GET", "/file"), ("DELETE", ""), ("GET", "/members")):
        assert (await cloud.ask(method, f"/v2/images/{image_id}{path}"))[0] == 404


async def test_the_same_id_twice_is_a_conflict(cloud: Any) -> None:
    image = await cloud.image()
    assert (await cloud.ask("POST", "/v2/images", {"id": image["id"].upper()}))[0] == 409


async def test_the_id_of_a_deleted_image_stays_taken(cloud: Any) -> None:
    image = await cloud.image(cloud.admin, visibility="public")
    assert (await cloud.ask("DELETE", f"/v2/images/{image['id']}", token=cloud.admin))[0] == 204
    for token in (cloud.demo, cloud.admin):
        status, said = await cloud.ask("POST", "/v2/images", {"id": image["id"].upper(), "name": "mine"}, token)
        assert status == 409 and "deleted images" in said["message"]
    assert (await cloud.ask("GET", f"/v2/images/{image['id']}"))[0] == 404


async def test_an_image_belongs_to_a_project(cloud: Any) -> None:
    assert (await cloud.image(owner=None))["owner"]
    image = await cloud.image(cloud.admin)
    status, _ = await cloud.patch(image["id"], {"op": "replace", "path": "/owner", "value": None}, token=cloud.admin)
    assert status == 400


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/cron.d/evil", "..", ".", "evil", "", "{0}\n", "{0}/../evil", "{0}\0", "{0} ", " {0}"]
)
async def test_an_id_that_a_user_chose_names_no_file_but_its_image(cloud: Any, name: str) -> None:
    """It is the one name of a user that becomes one of a file."""
    mine = "11111111-2222-3333-4444-55555555abcd"
    body = {"id": name.replace("{0}", mine), "name": "x", "disk_format": "raw", "container_format": "bare"}
    status, said = await cloud.ask("POST", "/v2/images", body)
    assert status == 400, said
    assert (await cloud.ask("GET", "/v2/images"))[1]["images"] == []
    image = await cloud.image(id=mine.upper())
    assert (await cloud.upload(image["id"], b"x" * 1024))[0] == 204
    [file] = cloud.files()
    assert re.fullmatch(rf"{mine}\.[0-9a-f-]{{36}}", file)
