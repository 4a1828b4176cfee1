"""The plain QEMU driver over real guests: software emulation and the micro image, no daemon beside it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from novakit_driver_qemu import QemuDriver, QemuOptions
from novakit_driver_qemu.driver import FACETS
from novakit_driver_qemu.examination import missing as missing_packages
from novakit_driver_qemu.machine import socket_of
from novakit_driver_qemu.processes import running
from novakit_driver_qemu.qmp import QmpMonitor
from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.errors import DeviceTaken, NotFound, Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import Guest, GuestPlan, LocalImage, Nic, Power
from novakit_hookspecs.testing.virt import VirtConformance, until, witness
from novakit_hookspecs.virt import LogsConsole, VirtDriver
from novakit_host.cpu_traits import cpu_traits
from novakit_host.pci.rules import PciRule
from tests.support.device_trees import tree
from tests.support.real_guests import BOOT_WITHIN, FINISHED, drive_of, printed, small

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing_packages()), reason=f"needs {', '.join(missing_packages())}"),
]


def driver_on(state_dir: Path, pci: Sequence[PciRule] = (), root: Path = Path("/")) -> QemuDriver:
    options = QemuOptions(acceleration="tcg", pci=tuple(pci))
    return QemuDriver(options, HostContext(host="alpha", state_dir=str(state_dir)), root=root)


def kill_qemu(state_dir: Path, guest: str) -> None:
    [pid] = running(state_dir / "instances")[guest]
    os.kill(pid, signal.SIGKILL)


class RealGuests:
    """A driver with a state directory of its own, and the image to boot from."""

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[QemuDriver]:
        driver = driver_on(tmp_path)
        await driver.open()
        yield driver
        for holding in await driver.holdings():
            await driver.destroy(holding.owner)
        assert not await driver.holdings()
        assert not running(tmp_path / "instances")
        await driver.close()

    @pytest.fixture
    def image(self, micro: Any) -> LocalImage:
        size = json.loads(Path(f"{micro.image}.json").read_text())["virtual_size"]
        return LocalImage(id=str(uuid.uuid4()), path=str(micro.image), disk_format="qcow2", virtual_size=size)

    @pytest.fixture
    def plan(self, image: LocalImage) -> GuestPlan:
        return small(image)


class TestQemu(RealGuests, VirtConformance):
    facets = FACETS
    renders = frozenset({PciAttachment})
    no_device = "no VFIO on this machine"
    patience = BOOT_WITHIN

    async def booted(self, driver: VirtDriver, guest: str) -> None:
        await printed(driver, guest, FINISHED)

    async def boots(self, driver: VirtDriver, guest: str) -> int:
        assert isinstance(driver, LogsConsole)
        return (await driver.console_log(guest, 1 << 20)).count(FINISHED)

    @pytest.fixture(autouse=True)
    def _remember(self, tmp_path: Path) -> None:
        self._state_dir = tmp_path

    async def kill_behind(self, driver: VirtDriver, guest: str) -> None:
        kill_qemu(self._state_dir, guest)

    async def another(self, driver: VirtDriver) -> VirtDriver:
        await driver.close()  # QEMU serves one connection at a time, and that of an agent that was killed is closed
        fresh = driver_on(self._state_dir)
        await fresh.open()
        return fresh


AGENT = """
import asyncio, pickle, sys
from novakit_driver_qemu import QemuDriver, QemuOptions
from novakit_hookspecs.findings import ExaminesHost
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import GuestPlan

async def main():
    driver = QemuDriver(QemuOptions(acceleration="tcg"), HostContext(host="alpha", state_dir=sys.argv[1]))
    await driver.open()
    print("open", flush=True)
    plan = GuestPlan(
        id=sys.argv[2], name="x", hostname="x", vcpus=1, memory_mb=64, root_gb=1, swap_mb=8, config_drive={}
    )
    await driver.create(plan)
    print("created", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


class TestRecovery(RealGuests):
    @pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.1, 0.15, 0.25])
    async def test_an_agent_killed_during_a_create_leaves_what_the_next_completes(
        self, tmp_path: Path, after: float
    ) -> None:
        """The delay walks the kill through making directory, disks and process."""
        guest = str(uuid.uuid4())
        agent = subprocess.Popen([sys.executable, "-c", AGENT, tmp_path, guest], stdout=subprocess.PIPE)
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"open\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(after)
        agent.kill()
        agent.communicate()
        driver = driver_on(tmp_path)
        await driver.open()
        try:
            plan = attrs.evolve(BARE, id=guest)
            assert await driver.create(plan) == Guest(id=guest, power=Power.RUNNING)

            async def one() -> bool:
                return len(running(tmp_path / "instances")[guest]) == 1

            await until(one, "one QEMU is left when the start is over", BOOT_WITHIN)
            assert not list((tmp_path / "instances" / guest).glob("*.new"))
        finally:
            await driver.destroy(guest)
            assert not await driver.holdings()
            await driver.close()

    async def test_a_guest_that_ended_while_no_agent_ran_is_told_by_how_it_ended(self, tmp_path: Path) -> None:
        for number, power in ((signal.SIGTERM, Power.SHUTDOWN), (signal.SIGKILL, Power.CRASHED)):
            plan = attrs.evolve(BARE, id=str(uuid.uuid4()))
            first = driver_on(tmp_path)
            await first.open()
            await first.create(plan)
            await first.close()
            [pid] = running(tmp_path / "instances")[plan.id]
            os.kill(pid, number)

            async def gone(guest: str = plan.id) -> bool:
                return guest not in running(tmp_path / "instances")

            await until(gone, "QEMU ends", BOOT_WITHIN)
            second = driver_on(tmp_path)
            await second.open()
            assert [each.power for each in await second.guests()] == [power]
            assert (await second.create(plan)).power is Power.RUNNING
            await second.destroy(plan.id)
            await second.close()

    async def test_a_guest_that_qemu_paused_goes_on_when_it_is_started(
        self, driver: QemuDriver, tmp_path: Path
    ) -> None:
        plan = attrs.evolve(BARE, id=str(uuid.uuid4()))
        async with witness(driver) as written:
            await driver.create(plan)
            await driver.close()  # QEMU serves one connection at a time
            async with QmpMonitor.connect(tmp_path / "instances" / plan.id, socket_of(plan.id)) as monitor:
                await monitor._ask("stop")
            await driver.open()
            await written.told(plan.id, Power.PAUSED, BOOT_WITHIN)
            assert [each.power for each in await driver.guests()] == [Power.PAUSED]
            assert (await driver.set_power(plan.id, Power.RUNNING, 0)).power is Power.RUNNING

    async def test_a_tap_that_is_not_there_is_refused(self, driver: QemuDriver) -> None:
        nic = Nic(port_id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01", device="lo", mtu=1400)
        plan = attrs.evolve(BARE, id=str(uuid.uuid4()), nics=(nic,))
        with pytest.raises(Refused, match="no tap lo"):
            await driver.create(plan)
        assert [each.power for each in await driver.guests()] == [Power.SHUTDOWN]

    async def test_without_vfio_a_device_is_refused_and_nothing_is_left(self, tmp_path: Path) -> None:
        driver = driver_on(tmp_path, (PciRule(kind="any", address="0000:*"),), tree("virtio"))
        await driver.open()
        try:
            assert not (await driver.host()).pci
            for address, why in (("0000:00:01.0", "no IOMMU"), ("0000:00:03.0", "carries the network card eth0")):
                with pytest.raises(Refused, match=why):
                    await driver.create(attrs.evolve(BARE, attachments=(PciAttachment(address=address),)))
            assert not await driver.holdings()
            assert not list((tmp_path / "instances").iterdir())
            assert "intel_iommu=on" in "".join(line.remedy for line in await driver.examine_host())
        finally:
            await driver.close()

    async def test_a_guest_boots_with_the_hardware_that_its_flavor_asks_for(
        self, driver: QemuDriver, plan: GuestPlan
    ) -> None:
        specs = {
            "hw:cpu_cores": "2",
            "hw:watchdog_action": "poweroff",
            "hw:boot_menu": "true",
            "hw:pmu": "false",
            "hw:hide_hypervisor_id": "true",
            "hw_rng:rate_bytes": "4096",
        }
        await driver.create(attrs.evolve(plan, vcpus=2, extra_specs=specs))
        assert "2 CPUs" in (await printed(driver, plan.id, FINISHED)).decode()

    async def test_guests_have_every_cpu_feature_that_the_host_reports(
        self, driver: QemuDriver, plan: GuestPlan
    ) -> None:
        promised = {trait for trait in (await driver.host()).traits if trait.startswith("HW_CPU_X86_")}
        assert {"HW_CPU_X86_SSE42", "HW_CPU_X86_AESNI"} <= promised
        script = b"#!/bin/sh\ngrep -m 1 ^flags /proc/cpuinfo\n"
        await driver.create(attrs.evolve(plan, config_drive=drive_of(plan.id, script)))
        log = (await printed(driver, plan.id, FINISHED)).decode(errors="replace")
        told = re.search(r"\bflags\t+: (.*)", log)
        assert told is not None, log
        flags = set(told[1].split())
        assert {"sse4_2", "aes"} <= flags
        assert promised <= cpu_traits(flags), f"{promised - cpu_traits(flags)} is not in the guest"

    async def test_a_device_that_qemu_cannot_open_is_held_until_the_guest_is_destroyed(self, tmp_path: Path) -> None:
        """The tree tells of a GPU that this machine does not have, so the guest is built and does not start."""
        driver = driver_on(tmp_path, (PciRule(kind="a100", vendor_id="10de"),), tree("eight_gpus"))
        await driver.open()
        plan = attrs.evolve(BARE, attachments=(PciAttachment(address="0000:27:00.0"),))
        try:
            with pytest.raises(Refused, match="bound to nvidia; bind it to vfio-pci"):
                await driver.create(attrs.evolve(BARE, attachments=(PciAttachment(address="0000:17:00.0"),)))
            with pytest.raises(Refused, match=r"QEMU did not start.*0000:27:00\.0"):
                await driver.create(plan)
            assert [each.owner for each in await driver.holdings() if each.kind == "device"] == [plan.id]
            with pytest.raises(DeviceTaken, match=plan.id):
                await driver.create(attrs.evolve(plan, id=str(uuid.uuid4())))
        finally:
            await driver.destroy(plan.id)
            assert not await driver.holdings()
            await driver.close()

    async def test_ids_that_are_none_are_unknown(self, driver: QemuDriver) -> None:
        for hostile in ("../../etc", "", "\0", "x" * 300):
            await driver.destroy(hostile)
            with pytest.raises(NotFound):
                await driver.set_power(hostile, Power.RUNNING, 0)
            with pytest.raises(NotFound):
                await driver.console_log(hostile, 10)


BARE = GuestPlan(
    id=str(uuid.UUID(int=0)),
    name="x",
    hostname="x",
    vcpus=1,
    memory_mb=64,
    root_gb=1,
    swap_mb=8,
    config_drive={},
)
"""No image: the firmware finds nothing to boot and waits."""
