"""A guest's files: complete or absent, never outside their directory."""

import asyncio
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import attrs
import pytest

from novakit_driver_libvirt.console import tail
from novakit_driver_libvirt.disks import Disks, unsearchable
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan, LocalImage
from novakit_host.disks import root_bytes

GUEST = "11111111-2222-3333-4444-555555555555"
GIB = 1 << 30
IMAGE = LocalImage(id=GUEST, path="/images/one", disk_format="qcow2", virtual_size=GIB + 1)
PLAN = GuestPlan(id=GUEST, name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=2, image=IMAGE)

needs_qemu_img = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-utils is not installed")
needs_genisoimage = pytest.mark.skipif(not shutil.which("genisoimage"), reason="genisoimage is not installed")


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    disks = Disks(tmp_path / "instances")
    disks.prepare()
    return disks


@pytest.fixture
def plan(tmp_path: Path) -> GuestPlan:
    base = tmp_path / "base.raw"
    base.write_bytes(bytes(1 << 20))
    return attrs.evolve(PLAN, image=attrs.evolve(IMAGE, path=str(base), disk_format="raw", virtual_size=1 << 20))


def test_the_root_disk_is_as_large_as_flavor_or_image_say() -> None:
    assert root_bytes(PLAN) == 2 * GIB
    assert root_bytes(attrs.evolve(PLAN, root_gb=0)) == GIB + 1
    assert root_bytes(attrs.evolve(PLAN, image=None)) == 2 * GIB


def test_an_image_larger_than_the_root_disk_is_refused_with_the_size_it_needs() -> None:
    with pytest.raises(Refused, match="at least 2 GiB"):
        root_bytes(attrs.evolve(PLAN, root_gb=1))


@pytest.mark.parametrize(
    "image",
    [
        attrs.evolve(IMAGE, disk_format="vmdk"),
        attrs.evolve(IMAGE, path="nbd://elsewhere/disk"),
        attrs.evolve(IMAGE, path='json:{"driver":"file"}'),
    ],
)
def test_images_of_other_kinds_are_refused(image: LocalImage) -> None:
    with pytest.raises(Refused):
        root_bytes(attrs.evolve(PLAN, image=image))


@needs_qemu_img
async def test_the_root_disk_is_an_overlay_that_names_its_backing_format(disks: Disks, plan: GuestPlan) -> None:
    (root,) = await disks.build(plan)
    found = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", "-U", root.path]))
    assert plan.image is not None
    assert (found["format"], found["virtual-size"]) == ("qcow2", 2 * GIB)
    assert (found["backing-filename"], found["backing-filename-format"]) == (plan.image.path, "raw")


@needs_qemu_img
async def test_building_again_keeps_what_is_there_and_replaces_what_is_half_made(disks: Disks, plan: GuestPlan) -> None:
    disks.of(GUEST).mkdir()
    (disks.of(GUEST) / "root.qcow2.new").write_bytes(b"half")
    first = await disks.build(plan)
    inode = Path(first[0].path).stat().st_ino
    assert await disks.build(plan) == first
    assert Path(first[0].path).stat().st_ino == inode
    assert [path.name for path in disks.files(GUEST)] == ["root.base", "root.qcow2"]


@needs_qemu_img
async def test_ephemeral_and_swap_disks_come_formatted(disks: Disks, plan: GuestPlan) -> None:
    _, ephemeral, swap = await disks.build(attrs.evolve(plan, ephemeral_gb=1, swap_mb=16))
    with open(ephemeral.path, "rb") as file:
        file.seek(1024 + 0x78)
        assert file.read(10) == b"ephemeral0"
    with open(swap.path, "rb") as file:
        file.seek(4096 - 10)
        assert file.read(10) == b"SWAPSPACE2"


@needs_qemu_img
@needs_genisoimage
async def test_the_config_drive_has_its_label_and_files(disks: Disks, plan: GuestPlan) -> None:
    files = {"openstack/latest/meta_data.json": b'{"uuid": "x"}', "openstack/content/0000": b"\0\1"}
    *_, drive = await disks.build(attrs.evolve(plan, config_drive=files))
    image = Path(drive.path).read_bytes()
    assert drive.cdrom
    assert image[32768 + 40 : 32768 + 72].rstrip() == b"config-2"
    assert b'{"uuid": "x"}' in image
    assert [path.name for path in disks.files(GUEST)] == ["config.iso", "root.base", "root.qcow2"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\0b"])
@needs_qemu_img
async def test_a_config_drive_path_outside_the_drive_is_refused(disks: Disks, plan: GuestPlan, name: str) -> None:
    with pytest.raises(Refused, match="relative path"):
        await disks.build(attrs.evolve(plan, config_drive={name: b"x"}))
    assert not (disks.of(GUEST) / "config.iso").exists()
    assert not (disks.root / "x").exists()


@needs_qemu_img
async def test_a_cancelled_build_is_completed_by_the_next(disks: Disks, plan: GuestPlan) -> None:
    work = asyncio.create_task(disks.build(plan))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert len(await disks.build(plan)) == 1


async def test_an_image_that_is_not_there_is_refused(disks: Disks) -> None:
    with pytest.raises(Refused, match=r"the file of image .* is not on the host any more"):
        await disks.build(PLAN)


def test_removing_the_unknown_is_quiet_and_twice_is_once(disks: Disks) -> None:
    (disks.of(GUEST) / "deep/er").mkdir(parents=True)
    disks.remove(GUEST)
    disks.remove(GUEST)
    assert disks.guests() == []


def test_a_closed_directory_on_the_way_is_named() -> None:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        _close_and_open(Path(directory))


def _close_and_open(directory: Path) -> None:
    closed = directory / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    assert unsearchable(closed / "open/disk", 64055) == closed
    closed.chmod(0o711)
    assert unsearchable(closed / "open/disk", 64055) is None
    assert unsearchable(Path("/root/secret/disk"), 0) is None


def test_the_console_log_is_read_over_its_older_pieces(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    assert tail(log, 10) == b""
    for name, text in (("console.log.1", b"first "), ("console.log.0", b"second "), ("console.log", b"third")):
        (tmp_path / name).write_bytes(text)
    assert tail(log, 100) == b"first second third"
    assert tail(log, 9) == b"ond third"
    assert tail(log, 0) == b""
