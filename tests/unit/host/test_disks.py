"""A guest's disks: what opens them is told their format, and they take from the image they were made with alone."""

import shutil
import struct
import subprocess
import uuid
from pathlib import Path

import attrs
import pytest

from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan, LocalImage
from novakit_host import commands, disks

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-utils is not installed")
SHIM = """\
#!/bin/sh
echo "$@" >>{log}
exec /usr/bin/qemu-img "$@"
"""


@pytest.fixture
def plan(tmp_path: Path) -> GuestPlan:
    base = tmp_path / "images" / "base"
    base.parent.mkdir()
    base.write_bytes(b"base" * (1 << 18))
    image = LocalImage(id=str(uuid.uuid4()), path=str(base), disk_format="raw", virtual_size=1 << 20)
    guest = str(uuid.uuid4())
    return GuestPlan(id=guest, name="a", hostname="a", vcpus=1, memory_mb=64, root_gb=1, image=image)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "guest").mkdir()
    return tmp_path / "guest"


async def test_every_call_of_qemu_img_names_the_format_of_every_file(
    plan: GuestPlan, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = directory / "calls"
    shim = tmp_path / "shim" / "qemu-img"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(log=log))
    shim.chmod(0o755)
    monkeypatch.setattr(commands, "SEARCH", f"{shim.parent}:{commands.SEARCH}")
    await disks.root(plan, directory / "root.qcow2")
    await disks.root(attrs.evolve(plan, image=None), directory / "empty.qcow2")
    # The copy's log is where the copy may write.
    shim.write_text(SHIM.format(log=tmp_path / "calls"))
    await disks.flatten(directory / "root.qcow2", tmp_path / "flat", within=60)
    based, empty = log.read_text().splitlines()
    [flat] = (tmp_path / "calls").read_text().splitlines()
    assert based.startswith(f"create -q -f qcow2 -F raw -b {tmp_path}/images/base ")
    assert empty.startswith("create -q -f qcow2 ")
    assert flat.startswith("convert -f qcow2 -O qcow2 ")


async def test_a_disk_that_says_it_takes_from_another_file_is_not_copied(
    plan: GuestPlan, directory: Path, tmp_path: Path
) -> None:
    """Who breaks out of QEMU may write the header of the disk, and would get the other file with the copy."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret" * 1000)
    root = await disks.root(plan, directory / "root.qcow2")
    subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(root)], check=True)
    with pytest.raises(Refused, match=r"refers to .*secret.* as its base, and was made with"):
        await disks.flatten(root, tmp_path / "flat", within=60)
    assert not (tmp_path / "flat").exists()


async def test_an_image_that_names_a_file_of_the_host_gets_none_of_it(
    plan: GuestPlan, directory: Path, tmp_path: Path
) -> None:
    """What an inspection has let through meets the sandbox."""
    if commands.sandbox() != "bubblewrap":
        pytest.skip("bubblewrap does not work here")
    secret, hostile = tmp_path / "secret", tmp_path / "images" / "hostile"
    secret.write_bytes(b"secret" * 100_000)
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(secret), str(hostile)], check=True
    )
    assert plan.image is not None
    image = attrs.evolve(plan.image, path=str(hostile), disk_format="qcow2")
    with pytest.raises(Refused, match=r"could not make root\.qcow2.*secret"):
        await disks.root(attrs.evolve(plan, image=image), directory / "root.qcow2")
    assert sorted(path.name for path in directory.iterdir()) == [disks.BASE]


async def test_a_hostile_image_that_claims_petabytes_costs_no_more_than_its_limits(
    plan: GuestPlan, directory: Path, tmp_path: Path
) -> None:
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 0, 0, 21, 1 << 55, 0, 1 << 23, 1 << 21, 1 << 22, 1 << 20, 0, 0
    )
    hostile = tmp_path / "images" / "hostile"
    hostile.write_bytes(header.ljust(1 << 16, b"\0"))
    assert plan.image is not None
    image = attrs.evolve(plan.image, path=str(hostile), disk_format="qcow2")
    with pytest.raises(Refused, match=r"could not make root\.qcow2"):
        await disks.root(attrs.evolve(plan, image=image), directory / "root.qcow2")


async def test_a_disk_that_is_a_link_is_made_anew_and_its_target_is_left_alone(
    plan: GuestPlan, directory: Path, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    target.write_text("of somebody else")
    for name in ("root.qcow2", "root.qcow2.new"):
        (directory / name).symlink_to(target)
    root = await disks.root(plan, directory / "root.qcow2")
    assert root.is_file() and not root.is_symlink()
    (directory / "swap.raw.new").symlink_to(target)
    await disks.swap(directory / "swap.raw", 16)
    assert target.read_text() == "of somebody else"


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\0b", "", "."])
async def test_a_file_that_leads_out_of_the_config_drive_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(Refused, match="not a relative path"):
        await disks.config_drive(directory / "config.iso", {name: b"x"})
    assert list(directory.iterdir()) == []


async def test_the_images_that_disks_take_from_are_known_with_and_without_a_note(
    plan: GuestPlan, tmp_path: Path
) -> None:
    instances = tmp_path / "instances"
    assert await disks.images_in_use(instances) == set()
    for name, image in (("a", plan.image), ("b", plan.image), ("c", None)):
        (instances / name).mkdir(parents=True)
        await disks.root(attrs.evolve(plan, image=image), instances / name / "root.qcow2")
    (instances / "a" / disks.BASE).unlink()
    shutil.rmtree(instances / "b")
    assert plan.image is not None
    assert await disks.images_in_use(instances) == {plan.image.path}
    (instances / "a" / "root.qcow2").write_bytes(b"QFI")
    with pytest.raises(Refused, match="cannot be read"):
        await disks.images_in_use(instances)


async def test_a_guests_disks_are_for_their_owner_alone(plan: GuestPlan, directory: Path) -> None:
    """QEMU passes through their directory as another user, and so can everybody: user data is among them."""
    await disks.root(plan, directory / "root.qcow2")
    await disks.swap(directory / "swap.raw", 8)
    await disks.config_drive(directory / "config.iso", {"openstack/latest/user_data": b"secret"})
    for name in ("root.qcow2", "swap.raw", "config.iso"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600


async def test_the_header_is_not_asked_where_there_is_a_note(plan: GuestPlan, directory: Path) -> None:
    """An emulator that a guest has taken over writes what it likes over the header."""
    disk = await disks.root(plan, directory / "root.qcow2")
    assert plan.image is not None
    disk.write_bytes(b"no qcow2 any more")
    assert disks.noted_base(disk) == Path(plan.image.path)
    assert set(await disks.images_in_use(directory.parent)) == {plan.image.path}
