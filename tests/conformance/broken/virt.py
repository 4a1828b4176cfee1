"""Virt drivers that are wrong in one way each; `caught_by` names tests that must fail for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import attrs
import pytest

from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.hosts import Holding, HostContext, HostFacts
from novakit_hookspecs.servers import Guest, GuestPlan, LocalImage, Power
from novakit_hookspecs.testing.virt import VirtConformance
from novakit_simulated.options import VirtOptions
from novakit_simulated.virt import FACETS, SimulatedVirt


class LoudDestroy(SimulatedVirt):
    async def destroy(self, guest: str) -> None:
        if guest not in self._journal.records:
            raise NotFound(guest)
        await super().destroy(guest)


class Forgetful(SimulatedVirt):
    async def open(self) -> None:
        Path(self._journal.path).unlink(missing_ok=True)
        await super().open()


class Mute(SimulatedVirt):
    def _become(self, guest: str, record: dict[str, object]) -> Guest:
        listeners, self._listeners = self._listeners, type(self._listeners)()
        try:
            return super()._become(guest, record)
        finally:
            self._listeners = listeners


class Restarts(SimulatedVirt):
    async def create(self, plan: GuestPlan) -> Guest:
        await self.destroy("left" + plan.id)
        await super().create(plan)
        return Guest(id=plan.id, power=Power.SHUTDOWN)


class Litters(SimulatedVirt):
    async def holdings(self) -> list[Holding]:
        return [*await super().holdings(), *(Holding(kind="disk", name=one, owner=one) for one in self._ever)]

    async def create(self, plan: GuestPlan) -> Guest:
        self._ever.append(plan.id)
        return await super().create(plan)

    _ever: ClassVar[list[str]] = []


class WithoutDrives(SimulatedVirt):
    async def create(self, plan: GuestPlan) -> Guest:
        if plan.config_drive is not None:
            raise Refused("no config drives here")
        return await super().create(plan)


class BootsAnything(SimulatedVirt):
    async def host(self) -> HostFacts:
        facts = await super().host()
        return attrs.evolve(facts, traits=facts.traits | {"COMPUTE_IMAGE_TYPE_QCOW2"})


class Generous(SimulatedVirt):
    def _check_devices(self, plan: GuestPlan) -> None:
        pass


class Hoards(SimulatedVirt):
    _kept: ClassVar[dict[str, str]] = {}

    async def create(self, plan: GuestPlan) -> Guest:
        guest = await super().create(plan)
        self._kept.update({each.address: plan.id for each in plan.attachments if isinstance(each, PciAttachment)})
        return guest

    async def holdings(self) -> list[Holding]:
        others = [each for each in await super().holdings() if each.kind != "device"]
        return others + [Holding(kind="device", name=name, owner=guest) for name, guest in self._kept.items()]

    def _check_devices(self, plan: GuestPlan) -> None:
        for each in plan.attachments:
            if isinstance(each, PciAttachment) and self._kept.get(each.address, plan.id) != plan.id:
                raise RuntimeError(f"{each.address} is taken for good")
        super()._check_devices(plan)


class PausesNothing(SimulatedVirt):
    async def pause(self, guest: str) -> Guest:
        self._known(guest)
        return Guest(id=guest, power=Power.PAUSED)


class BootsAnew(SimulatedVirt):
    async def set_power(self, guest: str, to: Power, within: float) -> Guest:
        if to is Power.RUNNING and self._known(guest)["power"] in (Power.PAUSED.value, Power.SUSPENDED.value):
            await super().set_power(guest, Power.SHUTDOWN, 0)
        return await super().set_power(guest, to, within)


class PausesTheDead(SimulatedVirt):
    async def pause(self, guest: str) -> Guest:
        return self._halt(guest, self._known(guest), Power.PAUSED)


class SuspendsByShutdown(SimulatedVirt):
    async def suspend(self, guest: str) -> Guest:
        await self.set_power(guest, Power.SHUTDOWN, 0)
        return self._halt(guest, self._known(guest), Power.SUSPENDED)


class KeepsMemory(SimulatedVirt):
    async def set_power(self, guest: str, to: Power, within: float) -> Guest:
        record = self._known(guest)
        if to is Power.SHUTDOWN and record["power"] == Power.SUSPENDED.value:
            return Guest(id=guest, power=Power.SHUTDOWN)
        return await super().set_power(guest, to, within)


class _Suite(VirtConformance):
    facets = FACETS
    renders = frozenset({PciAttachment})
    kind: ClassVar[type[SimulatedVirt]] = SimulatedVirt
    patience = 0.3

    @pytest.fixture
    async def driver(self, tmp_path: Path) -> AsyncIterator[SimulatedVirt]:
        (tmp_path / "topology.json").write_text('{"pci": [{"address": "0000:3b:00.0", "kind": "a100"}]}')
        options = VirtOptions(topology=str(tmp_path / "topology.json"))
        driver = self.kind(options, HostContext(host="here", state_dir=str(tmp_path)))
        await driver.open()
        yield driver
        await driver.close()

    async def boots(self, driver: SimulatedVirt, guest: str) -> int:  # type: ignore[override]
        return (await driver.console_log(guest, 1 << 20)).count(b"Linux version")

    async def kill_behind(self, driver: SimulatedVirt, guest: str) -> None:  # type: ignore[override]
        driver.happen(guest, Power.CRASHED, "killed")

    async def another(self, driver: SimulatedVirt) -> SimulatedVirt:  # type: ignore[override]
        fresh = self.kind(driver.options, driver.context)
        await fresh.open()
        return fresh


class TestPausesNothing(_Suite):
    kind = PausesNothing
    caught_by = frozenset({"test_a_paused_guest_stands_still_until_it_is_let_go_on"})


class TestBootsAnew(_Suite):
    kind = BootsAnew
    caught_by = frozenset(
        {
            "test_a_paused_guest_stands_still_until_it_is_let_go_on",
            "test_a_suspended_guest_comes_back_where_it_was",
        }
    )


class TestPausesTheDead(_Suite):
    kind = PausesTheDead
    caught_by = frozenset({"test_only_a_guest_that_runs_is_paused"})


class TestSuspendsByShutdown(_Suite):
    kind = SuspendsByShutdown
    caught_by = frozenset({"test_only_a_guest_that_is_on_is_suspended"})


class TestKeepsMemory(_Suite):
    kind = KeepsMemory
    caught_by = frozenset({"test_the_memory_of_a_suspended_guest_is_thrown_away_with_its_power"})


class TestCorrect(_Suite):
    caught_by = frozenset[str]()


class TestLoudDestroy(_Suite):
    kind = LoudDestroy
    caught_by = frozenset({"test_destroying_the_unknown_is_quiet"})


class TestForgetful(_Suite):
    kind = Forgetful
    caught_by = frozenset({"test_guests_outlive_the_driver"})


class TestMute(_Suite):
    kind = Mute
    caught_by = frozenset(
        {"test_every_listener_is_told_of_start_and_stop", "test_a_guest_that_dies_by_itself_is_told_and_listed"}
    )


class TestRestarts(_Suite):
    kind = Restarts
    caught_by = frozenset({"test_a_created_guest_runs_and_is_listed"})


class TestLitters(_Suite):
    kind = Litters
    caught_by = frozenset({"test_holdings_are_there_with_the_guest_and_gone_after_it"})


class TestWithoutDrives(_Suite):
    kind = WithoutDrives
    caught_by = frozenset({"test_a_host_that_gives_config_drives_takes_a_plan_with_one"})


class TestBootsAnything(_Suite):
    kind = BootsAnything
    caught_by = frozenset({"test_the_host_reports_the_formats_of_images_that_it_boots_and_refuses_others"})

    @pytest.fixture
    def image(self) -> LocalImage:
        return LocalImage(
            id="6f5b1a52-1d77-4c2c-9d8e-6f6f0a2d7f10", path="/nowhere", disk_format="qcow2", virtual_size=1 << 30
        )


class TestBootsUnsaid(TestBootsAnything):
    kind = SimulatedVirt


class TestGenerous(_Suite):
    kind = Generous
    caught_by = frozenset(
        {"test_a_device_that_the_host_never_reported_is_refused", "test_a_device_is_not_given_to_a_second_guest"}
    )


class TestHoards(_Suite):
    kind = Hoards
    caught_by = frozenset({"test_a_device_is_held_with_its_guest_and_free_after_it"})
