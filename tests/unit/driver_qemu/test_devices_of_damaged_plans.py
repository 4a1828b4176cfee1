"""Devices of the host stay with a guest whose plan is damaged: its QEMU may have them still."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from novakit_driver_qemu import processes
from novakit_driver_qemu.driver import QemuDriver
from novakit_driver_qemu.instances import BUILT, PLAN
from novakit_driver_qemu.launch import RECORD, SUPERVISE, give_devices
from novakit_driver_qemu.options import QemuOptions
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.errors import DeviceTaken
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan
from novakit_host import guest_users
from novakit_host.pci.rules import PciRule

BAD, NEW = (f"{digit}0000000-0000-4000-8000-000000000000" for digit in "12")
GPU, OTHER = "0000:3b:00.0", "0000:5e:00.0"
USER = guest_users.FIRST + 7
"""Not the number that is tried first for BAD."""
LIKELY = guest_users.unused(BAD, ())
WITHIN = 20.0

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away and becomes another user")


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A host with two GPUs, each in a VFIO group of its own."""
    root = tmp_path / "host"
    for directory in ("sys/bus/pci/drivers/vfio-pci", "dev/vfio"):
        (root / directory).mkdir(parents=True)
    for file in ("vfio", "17", "18"):
        (root / "dev/vfio" / file).touch()
    for address, group in ((GPU, "17"), (OTHER, "18")):
        at = root / "sys/bus/pci/devices" / address
        at.mkdir(parents=True)
        for name, text in {"vendor": "0x10de", "device": "0x20b2", "class": "0x030200", "numa_node": "0"}.items():
            (at / name).write_text(text)
        (root / "sys/kernel/iommu_groups" / group / "devices" / address).mkdir(parents=True)
        (at / "iommu_group").symlink_to(f"../../../../kernel/iommu_groups/{group}")
        (at / "driver").symlink_to("../../drivers/vfio-pci")
    return root


@pytest.fixture
def driver(tmp_path: Path, host: Path) -> QemuDriver:
    """A driver that finds one guest on its host, whose plan is damaged."""
    directory = tmp_path / "state/instances" / BAD
    directory.mkdir(parents=True)
    (directory / PLAN).write_bytes(b"{")
    (directory / BUILT).touch()
    options = QemuOptions(acceleration="tcg", pci=(PciRule(kind="a100", vendor_id="10de"),))
    return QemuDriver(options, HostContext(host="alpha", state_dir=str(tmp_path / "state")), root=host)


@pytest.fixture
def qemu(tmp_path: Path, driver: QemuDriver) -> Iterator[None]:
    """A program in the place of the guest's QEMU, which runs as USER."""
    directory = tmp_path / "state/instances" / BAD
    record = processes.create(directory)
    program = f"exec setpriv --reuid {USER} --regid {USER} --clear-groups sleep 600"
    argv = ["sh", "-c", SUPERVISE, "x", "sh", "-c", RECORD, "x", "sh", "-c", program]
    shell = subprocess.Popen(argv, stdout=record, start_new_session=True)
    os.close(record)
    try:
        end = time.monotonic() + WITHIN
        while processes.user(BAD, directory.parent) != USER:
            assert time.monotonic() < end, "the program does not run as its user"
            time.sleep(0.01)
        yield
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait(WITHIN)


async def _held(driver: QemuDriver) -> list[tuple[str, str]]:
    return [(each.name, each.owner) for each in await driver.holdings() if each.kind == "device"]


async def _refused_to_another(driver: QemuDriver) -> None:
    plan = GuestPlan(id=NEW, name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=1)
    with pytest.raises(DeviceTaken, match=f"the PCI device {GPU} is in guest {BAD} already"):
        await driver.create(attrs.evolve(plan, attachments=(PciAttachment(address=GPU),)))


@pytest.mark.usefixtures("qemu")
async def test_a_device_of_a_running_guest_whose_plan_is_damaged_is_taken_and_given_back_when_it_is_destroyed(
    driver: QemuDriver, host: Path
) -> None:
    give_devices([GPU], USER, host)
    give_devices([OTHER], LIKELY, host)  # of a guest that nothing is known of: the QEMU that runs says who it is
    assert await _held(driver) == [(GPU, BAD)]
    await _refused_to_another(driver)
    await asyncio.wait_for(driver.destroy(BAD), WITHIN)
    assert (host / "dev/vfio/17").stat().st_uid == 0
    assert (host / "dev/vfio/18").stat().st_uid == LIKELY
    assert not await driver.holdings()


async def test_a_device_of_a_guest_that_is_off_and_whose_plan_is_damaged_is_known_by_its_likely_user(
    driver: QemuDriver, host: Path
) -> None:
    give_devices([GPU], LIKELY, host)
    assert await _held(driver) == [(GPU, BAD)]
    await _refused_to_another(driver)
    await driver.destroy(BAD)
    assert (host / "dev/vfio/17").stat().st_uid == 0


async def test_devices_of_root_are_no_guests(driver: QemuDriver) -> None:
    assert not await _held(driver)
