"""Which PCI devices the host itself needs."""

from pathlib import Path

import pytest

from novakit_host.pci.in_use import in_use

DISK, CARD = "0000:02:00.0", "0000:03:00.0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    disk = tmp_path / "sys/devices/pci0000:00" / DISK / "nvme/nvme0/nvme0n1"
    (disk / "nvme0n1p1").mkdir(parents=True)
    card = tmp_path / "sys/devices/pci0000:00" / CARD / "net/eth0"
    card.mkdir(parents=True)
    for name in ("sys/class/net", "sys/class/block", "sys/dev/block", "proc/self"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0").symlink_to(card)
    (tmp_path / "sys/class/block/nvme0n1p1").symlink_to(disk / "nvme0n1p1")
    (tmp_path / "sys/dev/block/259:1").symlink_to(disk / "nvme0n1p1")
    (card / "operstate").write_text("down\n")
    return tmp_path


def test_a_device_of_which_nothing_is_used_is_free(root: Path) -> None:
    assert not in_use(root)


@pytest.mark.parametrize("state", ["up", "unknown"])
def test_a_card_that_may_carry_traffic_is_in_use(root: Path, state: str) -> None:
    (root / "sys/class/net/eth0/operstate").write_text(f"{state}\n")
    assert in_use(root) == {CARD: "it carries the network card eth0, which is up"}


@pytest.mark.parametrize(
    "line",
    [
        "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p1 rw",
        "22 1 0:25 / / rw,relatime shared:1 - btrfs /dev/nvme0n1p1 rw",
    ],
    ids=["by number", "by source"],
)
def test_a_disk_that_is_mounted_is_in_use(root: Path, line: str) -> None:
    (root / "proc/self/mountinfo").write_text(f"{line}\n")
    assert in_use(root) == {DISK: "it carries the disk nvme0n1p1, which is used as /"}


def test_a_disk_below_another_is_in_use_and_so_is_one_that_is_swapped_to(root: Path) -> None:
    mapped = root / "sys/devices/virtual/block/dm-0"
    (mapped / "slaves").mkdir(parents=True)
    (mapped / "slaves/nvme0n1p1").symlink_to(root / "sys/class/block/nvme0n1p1")
    (root / "sys/dev/block/254:0").symlink_to(mapped)
    (root / "proc/self/mountinfo").write_text("22 1 254:0 / /srv rw - ext4 /dev/mapper/srv rw\n")
    assert DISK in in_use(root)
    (root / "proc/self/mountinfo").unlink()
    (root / "proc/swaps").write_text("Filename Type Size Used Priority\n/dev/nvme0n1p1 partition 1 0 -2\n")
    assert "used as swap" in in_use(root)[DISK]
