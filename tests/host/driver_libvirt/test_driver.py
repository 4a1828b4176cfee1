"""The libvirt driver over real guests: software emulation, the micro image, a libvirtd of the test's own."""

import asyncio
import json
import os
import re
import sys
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import attrs
import pytest

from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions
from novakit_driver_libvirt.driver import FACETS
from novakit_fit.numa import NumaHost, fit
from novakit_fit.numa_request import requested_cells
from novakit_hookspecs.devices import MdevAttachment, PciAttachment
from novakit_hookspecs.errors import DeviceTaken, Refused
from novakit_hookspecs.hosts import HostContext
from novakit_hookspecs.servers import Guest, GuestPlan, LocalImage, Nic, Power
from novakit_hookspecs.testing.virt import VirtConformance, until, witness
from novakit_hookspecs.virt import LogsConsole, VirtDriver
from novakit_host.pci.rules import PciRule
from novakit_micro_image import build
from tests.support.device_trees import tree
from tests.support.real_guests import BOOT_WITHIN, FINISHED, drive_of, printed, small

sys.path.insert(0, str(Path(__file__).parents[1]))
from hostlab import Lab, missing

pytestmark = [
    pytest.mark.host,
    pytest.mark.slow,
    pytest.mark.skipif(missing(libvirt=True) is not None, reason=str(missing(libvirt=True))),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(libvirt=True, openvswitch=False) as lab:
        yield lab


@pytest.fixture(scope="session")
def micro(tmp_path_factory: pytest.TempPathFactory) -> LocalImage:
    """The micro image; kept between runs when NOVAKIT_TEST_CACHE names a directory."""
    cache = Path(os.environ.get("NOVAKIT_TEST_CACHE") or tmp_path_factory.mktemp("micro"))
    out = asyncio.run(build(cache / "micro.qcow2", cache / "packages", print))
    size = json.loads((cache / "micro.qcow2.json").read_text())["virtual_size"]
    return LocalImage(id=str(uuid.uuid4()), path=str(out), disk_format="qcow2", virtual_size=size)


def options(lab: Lab, pci: Sequence[PciRule] = ()) -> LibvirtOptions:
    uri = f"qemu:///system?socket={lab.run_dir}/libvirt/libvirt-sock"
    return LibvirtOptions(uri=uri, acceleration="tcg", pci=tuple(pci))


def driver_on(lab: Lab, state_dir: Path, pci: Sequence[PciRule] = (), root: Path = Path("/")) -> LibvirtDriver:
    return LibvirtDriver(options(lab, pci), HostContext(host="alpha", state_dir=str(state_dir)), root=root)


def kill_qemu(lab: Lab, guest: str) -> None:
    pid = (lab.run_dir / f"libvirt/qemu/nk-{guest}.pid").read_text().strip()
    lab.run(["kill", "-9", pid])


# The one that was killed holds its port until its last thread has gone, so the next one may have to try again.
RESTART = """
kill -9 $(cat /run/libvirtd.pid)
until rm -f /run/libvirtd.pid && libvirtd -d -l -p /run/libvirtd.pid; do sleep 0.1; done
"""


class RealGuests:
    """A driver over the lab, and the image to boot from."""

    @pytest.fixture
    async def driver(self, lab: Lab, tmp_path: Path) -> AsyncIterator[LibvirtDriver]:
        driver = driver_on(lab, tmp_path)
        await driver.open()
        yield driver
        for guest in await driver.guests():
            await driver.destroy(guest.id)
        assert not await driver.holdings()
        await driver.close()

    @pytest.fixture
    def image(self, micro: LocalImage) -> LocalImage:
        return micro


class TestLibvirt(RealGuests, VirtConformance):
    facets = FACETS
    renders = frozenset({PciAttachment})
    no_device = "no VFIO on this machine"
    patience = BOOT_WITHIN

    @pytest.fixture
    def plan(self, image: LocalImage) -> GuestPlan:
        return small(image)

    async def booted(self, driver: VirtDriver, guest: str) -> None:
        await printed(driver, guest, FINISHED)

    async def boots(self, driver: VirtDriver, guest: str) -> int:
        assert isinstance(driver, LogsConsole)
        return (await driver.console_log(guest, 1 << 20)).count(FINISHED)

    async def kill_behind(self, driver: VirtDriver, guest: str) -> None:
        kill_qemu(self._lab, guest)

    @pytest.fixture(autouse=True)
    def _remember(self, lab: Lab, tmp_path: Path) -> None:
        self._lab, self._state_dir = lab, tmp_path

    async def another(self, driver: VirtDriver) -> VirtDriver:
        fresh = driver_on(self._lab, self._state_dir)
        await fresh.open()
        return fresh


class TestRealGuests(RealGuests):
    @pytest.fixture
    def plan(self, image: LocalImage) -> GuestPlan:
        guest = str(uuid.uuid4())
        return GuestPlan(
            id=guest,
            name="web",
            hostname="web",
            vcpus=2,
            memory_mb=256,
            root_gb=1,
            ephemeral_gb=1,
            swap_mb=64,
            image=image,
            nics=(Nic(port_id=str(uuid.uuid4()), mac="fa:16:3e:00:00:01", device="tapnk0", mtu=1400),),
            config_drive=drive_of(guest, b"#!/bin/sh\necho card $(cat /sys/class/net/eth0/address)\n"),
            image_properties={"hw_disk_bus": "scsi"},
        )

    async def test_the_guest_has_what_its_plan_says_and_leaves_the_tap_behind(
        self, lab: Lab, driver: LibvirtDriver, plan: GuestPlan
    ) -> None:
        lab.run(["ip", "tuntap", "add", "tapnk0", "mode", "tap"])
        lab.run(["ip", "link", "set", "tapnk0", "mtu", "1400", "up"])
        await driver.create(plan)
        log = (await printed(driver, plan.id, FINISHED)).decode()
        assert "2 CPUs" in log
        assert sorted(re.findall(r"disk sd.: (\d+) bytes", log)) == ["1073741824", "1073741824", "67108864"], log
        assert "card fa:16:3e:00:00:01" in log
        assert f"instance {plan.id}" in log
        assert await driver.set_power(plan.id, Power.SHUTDOWN, BOOT_WITHIN) == Guest(
            id=plan.id, power=Power.SHUTDOWN, why="shut down by the guest"
        )
        assert "tapnk0" in lab.run(["ip", "link", "show", "tapnk0"]).stdout
        await driver.destroy(plan.id)
        lab.run(["ip", "link", "del", "tapnk0"])

    async def test_a_guest_has_the_hardware_that_flavor_and_image_ask_for(
        self, lab: Lab, driver: LibvirtDriver, plan: GuestPlan
    ) -> None:
        specs = {
            "hw:cpu_cores": "2",
            "hw:watchdog_action": "poweroff",
            "hw:boot_menu": "true",
            "hw:pmu": "false",
            "hw:hide_hypervisor_id": "true",
            "hw_rng:rate_bytes": "4096",
            "quota:disk_total_iops_sec": "5000",
            "quota:cpu_shares": "512",
            "quota:cpu_quota": "90000",
        }
        await driver.create(attrs.evolve(plan, nics=(), extra_specs=specs))
        pid = (lab.run_dir / f"libvirt/qemu/nk-{plan.id}.pid").read_text().strip()
        told = lab.run(["cat", f"/proc/{pid}/cmdline"]).stdout.split("\0")
        assert "2,sockets=1,cores=2,threads=1" in told[told.index("-smp") + 1].replace("dies=1,", "")
        assert {"pmu=off", "kvm=off", "hypervisor=off"} <= set(told[told.index("-cpu") + 1].split(","))
        assert re.search(r"watchdog(-action |=)poweroff", " ".join(told)), [each for each in told if "watchdog" in each]
        assert any("i6300esb" in each for each in told)
        assert "menu=on" in told[told.index("-boot") + 1]
        assert any('"max-bytes":4096' in each or "max-bytes=4096" in each for each in told)
        assert "2 CPUs" in (await printed(driver, plan.id, FINISHED)).decode()
        tuned = lab.run(["virsh", "blkdeviotune", f"nk-{plan.id}", "sda"]).stdout
        assert re.search(r"total_iops_sec\s*:\s*5000", tuned)
        weighed = lab.run(["virsh", "schedinfo", f"nk-{plan.id}"]).stdout
        assert re.search(r"cpu_shares\s*: 512\n", weighed) and re.search(r"vcpu_quota\s*: 90000\n", weighed)

    async def test_a_guest_runs_on_the_cell_it_was_given(self, driver: LibvirtDriver, plan: GuestPlan) -> None:
        facts = await driver.host()
        wanted = requested_cells(plan.vcpus, plan.memory_mb, {"hw:numa_nodes": "1"}, {})
        assert wanted is not None
        taken = fit(NumaHost(cells=facts.numa), wanted)
        assert taken is not None and sum(len(cell.cpus) for cell in facts.numa) == facts.inventory["VCPU"].total
        await driver.create(attrs.evolve(plan, nics=(), numa=taken))
        assert "2 CPUs" in (await printed(driver, plan.id, FINISHED)).decode()

    async def test_a_guest_built_from_a_snapshot_has_the_files_of_the_one_before(
        self, driver: LibvirtDriver, plan: GuestPlan, tmp_path: Path
    ) -> None:
        script = b"#!/bin/sh\nif test -f /root/kept; then cat /root/kept; else echo shelf > /root/kept; sync; fi\n"
        plan = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0, config_drive=drive_of(plan.id, script))
        await driver.create(plan)
        await printed(driver, plan.id, FINISHED)
        with pytest.raises(Refused, match="runs; stop it"):
            await driver.snapshot(plan.id, str(tmp_path / "flat"))
        await driver.set_power(plan.id, Power.SHUTDOWN, 30)
        assert await driver.snapshot(plan.id, str(tmp_path / "flat")) == "qcow2"
        await driver.destroy(plan.id)
        flat = LocalImage(id=plan.id, path=str(tmp_path / "flat"), disk_format="qcow2", virtual_size=1 << 30)
        await driver.create(attrs.evolve(plan, image=flat, config_drive=drive_of(str(uuid.uuid4()), script)))
        assert b"shelf" in await printed(driver, plan.id, FINISHED)

    async def test_guests_share_the_image_and_leave_it_untouched(
        self, driver: LibvirtDriver, plan: GuestPlan, image: LocalImage
    ) -> None:
        before = Path(image.path).stat().st_mtime_ns
        plain = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0)
        await driver.create(plain)
        files = {path.name: path for path in (Path(driver.context.state_dir) / "instances" / plan.id).iterdir()}
        assert files["root.qcow2"].stat().st_size < 1 << 20, "an overlay, not a copy"
        await driver.destroy(plan.id)
        assert Path(image.path).stat().st_mtime_ns == before
        assert not (Path(driver.context.state_dir) / "instances" / plan.id).exists()

    async def test_events_go_on_after_libvirtd_was_restarted(
        self, lab: Lab, driver: LibvirtDriver, plan: GuestPlan
    ) -> None:
        plain = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0)
        await driver.create(plain)
        async with witness(driver) as written:
            lab.run(["sh", "-c", RESTART])
            await written.told(plan.id, Power.RUNNING, BOOT_WITHIN)
            kill_qemu(lab, plan.id)

            async def down() -> bool:
                return written.of(plan.id)[-1] in (Power.CRASHED, Power.SHUTDOWN)

            await until(down, "an event that the guest is down", 60)
        await driver.destroy(plan.id)

    async def test_a_foreign_domain_is_neither_listed_nor_touched(
        self, driver: LibvirtDriver, lab: Lab, plan: GuestPlan, tmp_path: Path
    ) -> None:
        (tmp_path / "other").mkdir()
        other = driver_on(lab, tmp_path / "other")
        await other.open()
        plain = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0)
        await other.create(plain)
        try:
            assert not await driver.guests()
            assert not await driver.holdings()
            with pytest.raises(Refused, match="another service"):
                await driver.destroy(plan.id)
        finally:
            await other.destroy(plan.id)
            await other.close()

    async def test_without_vfio_a_device_is_refused_and_nothing_is_left(
        self, lab: Lab, plan: GuestPlan, tmp_path: Path
    ) -> None:
        rules = (PciRule(kind="any", address="0000:*"),)
        plain = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0)
        driver = driver_on(lab, tmp_path, rules, tree("virtio"))
        await driver.open()
        try:
            assert not (await driver.host()).pci
            for address, why in (("0000:00:01.0", "no IOMMU"), ("0000:00:02.0", "carries the disk vda")):
                with pytest.raises(Refused, match=why):
                    await driver.create(attrs.evolve(plain, attachments=(PciAttachment(address=address),)))
            with pytest.raises(Refused, match="MdevAttachment"):
                mdev = MdevAttachment(uuid=str(uuid.uuid4()), parent="0000:00:01.0")
                await driver.create(attrs.evolve(plain, attachments=(mdev,)))
            assert not await driver.guests()
            assert not await driver.holdings()
            assert not list((tmp_path / "instances").iterdir())
            said = {line.check: line for line in await driver.examine_host()}
            assert "intel_iommu=on" in said["IOMMU"].remedy
            assert "apt-get install ovmf" in said["firmware for Secure Boot (optional)"].remedy, "the tree has none"
            assert "6 devices matched, 0 for guests" in said["pci rule 1, any"].found
        finally:
            await driver.close()

    async def test_a_device_that_libvirt_cannot_hand_over_is_held_until_the_guest_is_destroyed(
        self, lab: Lab, plan: GuestPlan, tmp_path: Path
    ) -> None:
        """The tree tells of a GPU that this machine does not have, so the domain is defined and does not start."""
        driver = driver_on(lab, tmp_path, (PciRule(kind="a100", vendor_id="10de"),), tree("eight_gpus"))
        await driver.open()
        gpu = PciAttachment(address="0000:17:00.0")
        plain = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0, attachments=(gpu,))
        thief = attrs.evolve(plain, id=str(uuid.uuid4()))
        try:
            assert [each.numa_cell for each in (await driver.host()).pci if each.kind == "a100"][:8:7] == [0, 1]
            with pytest.raises(Refused, match="libvirt refused"):
                await driver.create(plain)
            assert [each.owner for each in await driver.holdings() if each.kind == "device"] == [plain.id]
            with pytest.raises(DeviceTaken, match=f"nk-{plain.id}"):
                await driver.create(thief)
            await driver.destroy(plain.id)
            assert not await driver.holdings()
        finally:
            await driver.destroy(plain.id)
            await driver.close()

    @pytest.mark.parametrize("older", [False, True], ids=["built now", "built by an older version"])
    async def test_a_device_stays_with_a_guest_whose_domain_libvirt_has_lost(
        self, lab: Lab, plan: GuestPlan, tmp_path: Path, older: bool
    ) -> None:
        rules, gpu = (PciRule(kind="a100", vendor_id="10de"),), PciAttachment(address="0000:17:00.0")
        plain = attrs.evolve(plan, nics=(), ephemeral_gb=0, swap_mb=0, attachments=(gpu,))
        driver = driver_on(lab, tmp_path, rules, tree("eight_gpus"))
        await driver.open()
        try:
            with pytest.raises(Refused, match="libvirt refused"):
                await driver.create(plain)
            if older:
                (tmp_path / "instances" / plain.id / "devices").unlink()
                await driver.close()
                await driver.open()
            await driver._calls.undefine(plain.id)  # as libvirt does at its start with one whose file is damaged
            assert not await driver.guests()
            held = [each for each in await driver.holdings() if each.kind == "device"]
            assert [(each.name, each.owner) for each in held] == [("0000:17:00.0", plain.id)]
            with pytest.raises(DeviceTaken, match=f"nk-{plain.id}"):
                await driver.create(attrs.evolve(plain, id=str(uuid.uuid4())))
            await driver.destroy(plain.id)
            assert not await driver.holdings()
        finally:
            await driver.destroy(plain.id)
            await driver.close()

    async def test_a_libvirt_that_is_not_there_is_refused_with_the_remedy(self, tmp_path: Path) -> None:
        nowhere = LibvirtOptions(uri=f"qemu:///system?socket={tmp_path}/none", acceleration="tcg")
        with pytest.raises(Refused, match="libvirt-daemon-system"):
            await LibvirtDriver(nowhere, HostContext(host="alpha", state_dir=str(tmp_path))).open()


PREPARE = """
import asyncio
from novakit_driver_libvirt import LibvirtDriver, LibvirtOptions
from novakit_hookspecs.hosts import HostContext
driver = LibvirtDriver(LibvirtOptions(acceleration="tcg"), HostContext(host="alpha", state_dir="/run"))
for _ in range(2):
    print(*asyncio.run(driver.prepare_host()), sep="; ")
"""


def test_missing_daemons_are_started_and_running_ones_left_alone() -> None:
    with Lab("bare", 7, libvirt=True, openvswitch=False) as bare:
        bare.run(["sh", "-c", "kill -9 $(cat /run/libvirtd.pid) $(cat /run/virtlogd.pid)"])
        said = bare.run([sys.executable, "-c", PREPARE]).stdout.splitlines()
    assert said == ["started virtlogd, which keeps the consoles' logs; started libvirtd", ""]
