"""The image of a shelved guest's disk: whole, without a backing file, with what the guest wrote."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from novakit_driver_libvirt.disks import Disks
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan, LocalImage

GUEST = "11111111-2222-3333-4444-555555555555"
pytestmark = pytest.mark.skipif(not shutil.which("qemu-io"), reason="qemu-utils is not installed")


async def test_a_flat_image_holds_what_image_and_guest_wrote(tmp_path: Path) -> None:
    base, flat = tmp_path / "base.raw", tmp_path / "flat"
    base.write_bytes(b"\x11" * 65536 + bytes((1 << 20) - 65536))
    image = LocalImage(id=GUEST, path=str(base), disk_format="raw", virtual_size=1 << 20)
    disks = Disks(tmp_path / "instances")
    disks.prepare()
    await disks.build(GuestPlan(id=GUEST, name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=1, image=image))
    root = disks.of(GUEST) / "root.qcow2"
    subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 0x22 512k 64k", str(root)], check=True)
    await disks.flatten(GUEST, flat, within=60)
    base.unlink()
    told = json.loads(subprocess.run(["qemu-img", "info", "--output=json", str(flat)], check=True, stdout=-1).stdout)
    assert (told["format"], told["virtual-size"]) == ("qcow2", 1 << 30)
    assert "backing-filename" not in told
    for pattern in ("read -P 0x11 0 64k", "read -P 0x22 512k 64k", "read -P 0 576k 64k"):
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", pattern, str(flat)], check=True)


async def test_a_disk_that_cannot_be_copied_is_refused_with_the_reason(tmp_path: Path) -> None:
    disks = Disks(tmp_path / "instances")
    disks.prepare()
    with pytest.raises(Refused, match=r"root disk of .* cannot be read"):
        await disks.flatten(GUEST, tmp_path / "flat", within=60)
