"""What one guest leaves behind, and what the next one finds of it: on its disks, and in memory, seen from outside."""

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import attrs

from novakit_hookspecs.servers import GuestPlan, LocalImage
from novakit_hookspecs.testing.virt import until
from novakit_hookspecs.virt import LogsConsole, VirtDriver

DISKS = ("vda", "vdb", "vdc")
"""Root disk, ephemeral disk and swap."""
LOOK = """
for disk in vda vdb vdc; do
  begin=$(($(cat /sys/block/$disk/size) / 2048 - 4))
  echo "REMAINS on $disk: $(dd if=/dev/$disk bs=1048576 skip=$begin 2>/dev/null | grep -c '{regex}')."
done
echo "LOOKED through."
"""
LEAVE = """#!/bin/sh
for disk in vda vdb vdc; do
  begin=$(($(cat /sys/block/$disk/size) / 2048 - 4))
  yes {pattern} | head -c 4194304 | dd of=/dev/$disk bs=1048576 seek=$begin conv=notrunc 2>/dev/null
done
mkdir -p /remains && mount -t tmpfs remains /remains && yes {pattern} | head -c 8388608 >/remains/memory
sync; echo 3 >/proc/sys/vm/drop_caches
"""
CHUNK = 4 << 20
WITHIN = 240.0


@attrs.frozen
class Remains:
    """A mark that the first guest leaves; the second one looks for it without having it itself."""

    mark: str = attrs.field(factory=lambda: f"mark-{uuid.uuid4().hex}")

    def leaver(self, image: LocalImage) -> GuestPlan:
        """A guest that writes the mark to all it has, and looks whether it is there."""
        return _plan(image, LEAVE.replace("{pattern}", self.mark) + LOOK.replace("{regex}", self._regex))

    def looker(self, image: LocalImage) -> GuestPlan:
        """A guest that looks; what it looks by is not the mark itself."""
        return _plan(image, "#!/bin/sh" + LOOK.replace("{regex}", self._regex))

    @property
    def _regex(self) -> str:
        return f"mark[-]{self.mark.removeprefix('mark-')}"

    def in_memory(self, pid: int) -> int:
        """Count the mark in a QEMU's memory, its guest's among it; the code that QEMU translates is left out."""
        found, mark = 0, self.mark.encode()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                place, how = line.split()[:2]
                if not how.startswith("rw-"):
                    continue
                begin, end = (int(each, 16) for each in place.split("-"))
                kept = b""
                for at in range(begin, end, CHUNK):
                    memory.seek(at)
                    text = kept + memory.read(min(CHUNK, end - at))
                    found, kept = found + text.count(mark), text[-len(mark) + 1 :]
        return found


async def require_nothing_left(driver: VirtDriver, image: Path, pid_of: Callable[[str], int]) -> None:
    """Hold a driver to it that a guest finds nothing of the one before; `pid_of` gives the QEMU of a guest."""
    size = json.loads(Path(f"{image}.json").read_text())["virtual_size"]
    local = LocalImage(id=str(uuid.uuid4()), path=str(image), disk_format="qcow2", virtual_size=size)
    remains = Remains()
    first, second = remains.leaver(local), remains.looker(local)
    await driver.create(first)
    assert min(await on_disks(driver, first.id)) > 10_000, "the first one finds what it wrote"
    assert remains.in_memory(pid_of(first.id)) > 10_000
    await driver.destroy(first.id)
    await driver.create(second)
    assert await on_disks(driver, second.id) == [0, 0, 0]
    assert remains.in_memory(pid_of(second.id)) == 0


async def on_disks(driver: VirtDriver, guest: str) -> list[int]:
    """Wait for a guest that looks, and return how often it found the mark on each of its disks."""
    assert isinstance(driver, LogsConsole)

    async def check() -> bytes:
        log = await driver.console_log(guest, 1 << 20)
        return log if b"LOOKED through." in log else b""

    log: bytes = await until(check, "the guest has looked", WITHIN)
    told = dict(re.findall(r"REMAINS on (vd[abc]): (\d+)\.", log.decode(errors="replace")))
    assert sorted(told) == sorted(DISKS), log
    return [int(told[disk]) for disk in DISKS]


def _plan(image: LocalImage, script: str) -> GuestPlan:
    guest = str(uuid.uuid4())
    meta = json.dumps({"uuid": guest, "hostname": "a-guest.novalocal", "public_keys": {}}).encode()
    drive = {"openstack/latest/meta_data.json": meta, "openstack/latest/user_data": script.encode()}
    return GuestPlan(
        id=guest,
        name="x",
        hostname="a-guest",
        vcpus=1,
        memory_mb=192,
        root_gb=1,
        ephemeral_gb=1,
        swap_mb=8,
        image=image,
        config_drive=drive,
    )
