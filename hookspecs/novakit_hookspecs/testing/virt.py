"""The conformance suite of virt drivers: subclass `VirtConformance`, give it your driver, run pytest.

    class TestTinyVm(VirtConformance):
        facets = frozenset({LogsConsole})

        @pytest.fixture
        async def driver(self):
            driver = TinyVm()
            await driver.open()
            yield driver
            await driver.close()

Give `image` as well when the driver boots from one.
Tests of facets that are not declared are skipped by name.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.servers import Guest, GuestEvent, GuestPlan, LocalImage, Power
from novakit_hookspecs.virt import ListsHoldings, LogsConsole, Pauses, Suspends, VirtDriver

HOSTILE_NAME = '</name><x a="\'">&amp;;$(reboot)`../../etc/passwd\x00\x1b\r\n\u202e' + "n" * 300


async def until(check: Callable[[], Awaitable[Any]], what: str, within: float) -> Any:
    """Return the first true answer of `check`; fail with `what` after `within` seconds."""
    try:
        async with asyncio.timeout(within):
            while not (answer := await check()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"{what}: not within {within:g} s")
    return answer


@attrs.define
class Witness:
    """Writes down the events of a driver while a test goes on."""

    seen: list[GuestEvent] = attrs.field(factory=list)

    def of(self, guest: str) -> list[Power]:
        """List the power states told of one guest, in order."""
        return [event.power for event in self.seen if event.guest == guest]

    async def told(self, guest: str, power: Power, within: float) -> None:
        """Wait until the guest was said to be in that power state."""

        async def check() -> bool:
            return power in self.of(guest)

        await until(check, f"an event that {guest} is {power.value}, told so far: {self.of(guest)}", within)


@asynccontextmanager
async def witness(driver: VirtDriver) -> AsyncIterator[Witness]:
    """Listen to the driver's events for as long as the block lasts."""
    written = Witness()
    events = driver.events()

    async def write() -> None:
        async for event in events:
            written.seen.append(event)

    task = asyncio.create_task(write(), name="witness")
    await asyncio.sleep(0)
    try:
        yield written
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class VirtConformance:
    """What a virt driver promises, each promise a test."""

    facets: frozenset[type] = frozenset()
    """The facets that the driver declares in its `DriverSpec`."""
    renders: frozenset[type] = frozenset()
    """The attachments that the driver declares in its `DriverSpec`."""
    no_device: str = "the host reports no PCI device"
    """Why no device can be handed to a guest where the tests run, for those that are skipped."""
    patience: float = 30.0
    """Seconds in which anything asked of the driver must have happened."""

    @pytest.fixture
    def driver(self) -> VirtDriver:
        """Override: an opened driver on a host without guests of ours."""
        pytest.fail("override the fixture `driver`: give an opened driver and close it afterwards")

    @pytest.fixture
    def image(self) -> LocalImage | None:
        """Override: the image to boot from, for a driver that `wants_images`."""
        return None

    @pytest.fixture
    def plan(self, image: LocalImage | None) -> GuestPlan:
        """Override to ask for more than one CPU, 192 MiB and the image's own disk size."""
        return GuestPlan(
            id=str(uuid.uuid4()),
            name="a guest",
            hostname="a-guest",
            vcpus=1,
            memory_mb=192,
            root_gb=1 if image is None else 0,
            image=image,
            owner={"project_id": "a-project", "user_id": "a-user"},
        )

    @pytest.fixture
    async def guest(self, driver: VirtDriver, plan: GuestPlan) -> AsyncIterator[Guest]:
        """A running guest that is removed after the test."""
        yield await driver.create(plan)
        await driver.destroy(plan.id)

    async def booted(self, driver: VirtDriver, guest: str) -> None:
        """Override: wait until the guest listens to its power button and has printed something."""

    async def boots(self, driver: VirtDriver, guest: str) -> int:
        """Override: count how often the guest has booted, as its console tells; 0 where nobody can tell."""
        return 0

    async def kill_behind(self, driver: VirtDriver, guest: str) -> None:
        """Override: end the guest without the driver, as a crash of the hypervisor would."""
        pytest.skip("this driver's tests have no way to end a guest behind its back")

    async def another(self, driver: VirtDriver) -> VirtDriver:
        """Override: give a second opened driver over the same host, as an agent that was killed and started again."""
        pytest.skip("this driver's tests have no way to restart it")

    async def power_of(self, driver: VirtDriver, guest: str) -> Power | None:
        """Return how the driver lists the guest, None when it does not."""
        found = [each.power for each in await driver.guests() if each.id == guest]
        assert len(found) <= 1, f"guests() lists {guest} {len(found)} times: list each guest once"
        return found[0] if found else None

    # the host

    async def test_the_host_states_cpus_memory_and_disk(self, driver: VirtDriver) -> None:
        facts = await driver.host()
        for resource in ("VCPU", "MEMORY_MB", "DISK_GB"):
            assert resource in facts.inventory, f"host().inventory lacks {resource}"
            stock = facts.inventory[resource]
            assert stock.total > 0, f"{resource}: total must be positive"
            assert 0 <= stock.reserved <= stock.total, f"{resource}: reserved must lie within the total"
            assert stock.allocation_ratio > 0, f"{resource}: allocation_ratio must be positive"

    async def test_the_host_names_its_hypervisor_and_says_how_it_is_accelerated(self, driver: VirtDriver) -> None:
        facts = await driver.host()
        assert facts.hypervisor_type
        assert facts.hypervisor_hostname
        assert facts.hypervisor_version > 0
        assert facts.acceleration in ("kvm", "tcg", "none")
        assert facts.why or facts.acceleration == "none", "say in `why` how the acceleration was decided"

    async def test_the_host_has_the_same_inventory_when_asked_again(self, driver: VirtDriver) -> None:
        first, second = await driver.host(), await driver.host()
        assert {name: stock.total for name, stock in first.inventory.items() if name != "DISK_GB"} == {
            name: stock.total for name, stock in second.inventory.items() if name != "DISK_GB"
        }
        assert first.traits == second.traits

    # create

    async def test_a_created_guest_runs_and_is_listed(self, driver: VirtDriver, plan: GuestPlan, guest: Guest) -> None:
        assert guest.id == plan.id
        assert guest.power is Power.RUNNING
        assert await self.power_of(driver, plan.id) is Power.RUNNING

    async def test_the_same_plan_again_is_the_same_guest(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        assert await driver.create(plan) == guest
        assert len(await driver.guests()) == 1

    async def test_the_same_plan_twice_at_once_is_one_guest(self, driver: VirtDriver, plan: GuestPlan) -> None:
        try:
            both = await asyncio.gather(driver.create(plan), driver.create(plan))
            assert [each.power for each in both] == [Power.RUNNING, Power.RUNNING]
            assert len(await driver.guests()) == 1
        finally:
            await driver.destroy(plan.id)

    async def test_create_completes_a_guest_that_was_defined_but_not_started(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        await driver.set_power(plan.id, Power.SHUTDOWN, 0)
        assert (await driver.create(plan)).power is Power.RUNNING

    async def test_a_cancelled_create_is_completed_by_the_same_plan_or_removed_by_destroy(
        self, driver: VirtDriver, plan: GuestPlan
    ) -> None:
        for _ in range(2):
            work = asyncio.create_task(driver.create(plan), name="create")
            await asyncio.sleep(0.01)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            assert (await driver.create(plan)).power is Power.RUNNING
            await driver.destroy(plan.id)
            assert await self.power_of(driver, plan.id) is None

    async def test_hostile_text_in_a_plan_is_only_text(self, driver: VirtDriver, plan: GuestPlan) -> None:
        hostile = attrs.evolve(
            plan,
            name=HOSTILE_NAME,
            owner={"project_id": HOSTILE_NAME, HOSTILE_NAME: HOSTILE_NAME},
            image_properties={HOSTILE_NAME: HOSTILE_NAME},
            extra_specs={HOSTILE_NAME: HOSTILE_NAME},
        )
        try:
            assert (await driver.create(hostile)).power is Power.RUNNING
            assert [each.id for each in await driver.guests()] == [plan.id]
        finally:
            await driver.destroy(plan.id)

    # destroy

    async def test_a_destroyed_guest_is_gone_and_may_be_created_anew(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        await driver.destroy(plan.id)
        assert await self.power_of(driver, plan.id) is None
        assert (await driver.create(plan)).power is Power.RUNNING

    async def test_destroying_the_unknown_is_quiet(self, driver: VirtDriver, plan: GuestPlan) -> None:
        await driver.destroy(plan.id)
        await driver.destroy(plan.id)

    async def test_destroy_during_create_leaves_nothing(self, driver: VirtDriver, plan: GuestPlan) -> None:
        for head_start in (0.0, 0.02, 0.2):
            work = asyncio.create_task(driver.create(plan), name="create")
            await asyncio.sleep(head_start)
            async with asyncio.timeout(self.patience):
                await driver.destroy(plan.id)
                await asyncio.gather(work, return_exceptions=True)
            assert await self.power_of(driver, plan.id) is None, "a create that loses to a destroy must leave nothing"

    async def test_destroy_leaves_the_other_guests_alone(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        other = attrs.evolve(plan, id=str(uuid.uuid4()), name="another guest", hostname="another")
        await driver.create(other)
        await driver.destroy(other.id)
        assert [each.id for each in await driver.guests()] == [plan.id]
        assert await self.power_of(driver, plan.id) is Power.RUNNING

    # power

    async def test_the_plug_is_pulled_at_once_and_the_guest_started_again(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        for _ in range(2):
            assert (await driver.set_power(plan.id, Power.SHUTDOWN, 0)).power is Power.SHUTDOWN
            assert await self.power_of(driver, plan.id) is Power.SHUTDOWN
        for _ in range(2):
            assert (await driver.set_power(plan.id, Power.RUNNING, self.patience)).power is Power.RUNNING
            assert await self.power_of(driver, plan.id) is Power.RUNNING

    async def test_a_guest_that_does_not_listen_loses_power_in_the_end(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        async with asyncio.timeout(self.patience):
            assert (await driver.set_power(plan.id, Power.SHUTDOWN, 0.5)).power is Power.SHUTDOWN

    async def test_a_guest_that_listens_shuts_itself_down(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        await self.booted(driver, plan.id)
        assert (await driver.set_power(plan.id, Power.SHUTDOWN, self.patience)).power is Power.SHUTDOWN

    async def test_the_power_of_an_unknown_guest_is_not_found(self, driver: VirtDriver, plan: GuestPlan) -> None:
        for to in (Power.RUNNING, Power.SHUTDOWN):
            with pytest.raises(NotFound):
                await driver.set_power(plan.id, to, 0)

    # events

    async def test_every_listener_is_told_of_start_and_stop(self, driver: VirtDriver, plan: GuestPlan) -> None:
        try:
            async with witness(driver) as first, witness(driver) as second:
                await driver.create(plan)
                for each in (first, second):
                    await each.told(plan.id, Power.RUNNING, self.patience)
                await driver.set_power(plan.id, Power.SHUTDOWN, 0)
                for each in (first, second):
                    await each.told(plan.id, Power.SHUTDOWN, self.patience)
        finally:
            await driver.destroy(plan.id)

    async def test_a_guest_that_dies_by_itself_is_told_and_listed(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        async with witness(driver) as written:
            await self.kill_behind(driver, plan.id)

            async def down() -> bool:
                return written.of(plan.id)[-1:] in ([Power.CRASHED], [Power.SHUTDOWN])

            await until(down, "an event that the guest is down", self.patience)
        assert await self.power_of(driver, plan.id) in (Power.CRASHED, Power.SHUTDOWN)
        assert (await driver.set_power(plan.id, Power.RUNNING, self.patience)).power is Power.RUNNING

    # restart

    async def test_guests_outlive_the_driver(self, driver: VirtDriver, plan: GuestPlan, guest: Guest) -> None:
        fresh = await self.another(driver)
        try:
            assert await self.power_of(fresh, plan.id) is Power.RUNNING
            assert (await fresh.create(plan)).power is Power.RUNNING
            await fresh.destroy(plan.id)
            assert await fresh.guests() == []
        finally:
            await fresh.close()

    # facets

    async def test_the_declared_facets_are_there(self, driver: VirtDriver) -> None:
        for facet in self.facets:
            assert isinstance(driver, facet), f"{facet.__name__} is declared and its methods are missing"

    async def test_the_console_log_is_the_end_of_what_was_printed(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(LogsConsole)
        assert isinstance(driver, LogsConsole)
        await self.booted(driver, plan.id)
        await driver.set_power(plan.id, Power.SHUTDOWN, 0)
        whole = await driver.console_log(plan.id, 1 << 20)
        assert whole, "a guest that was up has printed something"
        assert await driver.console_log(plan.id, 16) == whole[-16:]
        assert await driver.console_log(plan.id, 0) == b""
        await driver.set_power(plan.id, Power.RUNNING, self.patience)
        assert (await driver.console_log(plan.id, 1 << 20)).startswith(whole), "a reboot must keep what was printed"

    async def test_the_console_log_of_an_unknown_guest_is_not_found(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self._needs(LogsConsole)
        assert isinstance(driver, LogsConsole)
        with pytest.raises(NotFound):
            await driver.console_log(plan.id, 100)

    async def test_holdings_are_there_with_the_guest_and_gone_after_it(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(ListsHoldings)
        assert isinstance(driver, ListsHoldings)
        held = [each for each in await driver.holdings() if each.owner == plan.id]
        assert any(each.kind == "domain" for each in held), "a running guest is a holding of kind domain"
        await driver.destroy(plan.id)
        assert not [each for each in await driver.holdings() if each.owner == plan.id]

    # pause

    async def test_a_paused_guest_stands_still_until_it_is_let_go_on(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Pauses)
        assert isinstance(driver, Pauses)
        await self.booted(driver, plan.id)
        boots = await self.boots(driver, plan.id)
        async with witness(driver) as written:
            for _ in range(2):
                assert (await driver.pause(plan.id)).power is Power.PAUSED
                assert await self.power_of(driver, plan.id) is Power.PAUSED
            await written.told(plan.id, Power.PAUSED, self.patience)
        assert (await driver.set_power(plan.id, Power.RUNNING, 0)).power is Power.RUNNING
        assert await self.power_of(driver, plan.id) is Power.RUNNING
        assert await self.boots(driver, plan.id) == boots, "a paused guest goes on where it was, it does not boot"

    async def test_a_paused_guest_stays_paused_over_a_restart_of_the_driver(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Pauses)
        assert isinstance(driver, Pauses)
        await driver.pause(plan.id)
        fresh = await self.another(driver)
        try:

            async def paused() -> bool:
                return await self.power_of(fresh, plan.id) is Power.PAUSED

            await until(paused, "the guest is listed as paused after a restart", self.patience)
            assert (await fresh.set_power(plan.id, Power.RUNNING, 0)).power is Power.RUNNING
            await fresh.destroy(plan.id)
        finally:
            await fresh.close()

    async def test_a_paused_guest_loses_power_as_any_other(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Pauses)
        assert isinstance(driver, Pauses)
        await driver.pause(plan.id)
        assert (await driver.set_power(plan.id, Power.SHUTDOWN, 0)).power is Power.SHUTDOWN
        assert await self.power_of(driver, plan.id) is Power.SHUTDOWN

    async def test_only_a_guest_that_runs_is_paused(self, driver: VirtDriver, plan: GuestPlan, guest: Guest) -> None:
        self._needs(Pauses)
        assert isinstance(driver, Pauses)
        await driver.set_power(plan.id, Power.SHUTDOWN, 0)
        with pytest.raises(Refused):
            await driver.pause(plan.id)
        assert await self.power_of(driver, plan.id) is Power.SHUTDOWN
        with pytest.raises(NotFound):
            await driver.pause(str(uuid.uuid4()))

    # suspend

    async def test_a_suspended_guest_comes_back_where_it_was(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Suspends)
        assert isinstance(driver, Suspends)
        await self.booted(driver, plan.id)
        boots = await self.boots(driver, plan.id)
        async with witness(driver) as written:
            for _ in range(2):
                assert (await driver.suspend(plan.id)).power is Power.SUSPENDED
                assert await self.power_of(driver, plan.id) is Power.SUSPENDED
            await written.told(plan.id, Power.SUSPENDED, self.patience)
            assert written.of(plan.id)[-1] is Power.SUSPENDED, "a guest that is suspended must not be told as off"
        assert (await driver.set_power(plan.id, Power.RUNNING, self.patience)).power is Power.RUNNING
        assert await self.power_of(driver, plan.id) is Power.RUNNING
        assert await self.boots(driver, plan.id) == boots, "a suspended guest comes back with its memory"

    async def test_a_suspended_guest_outlives_the_driver(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Suspends)
        assert isinstance(driver, Suspends)
        await driver.suspend(plan.id)
        fresh = await self.another(driver)
        try:
            assert await self.power_of(fresh, plan.id) is Power.SUSPENDED
            assert (await fresh.set_power(plan.id, Power.RUNNING, self.patience)).power is Power.RUNNING
            await fresh.destroy(plan.id)
        finally:
            await fresh.close()

    async def test_the_memory_of_a_suspended_guest_is_thrown_away_with_its_power(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Suspends)
        assert isinstance(driver, Suspends)
        await self.booted(driver, plan.id)
        boots = await self.boots(driver, plan.id)
        await driver.suspend(plan.id)
        assert (await driver.set_power(plan.id, Power.SHUTDOWN, 0)).power is Power.SHUTDOWN
        assert await self.power_of(driver, plan.id) is Power.SHUTDOWN
        assert (await driver.set_power(plan.id, Power.RUNNING, self.patience)).power is Power.RUNNING

        async def booted_again() -> bool:
            return boots == 0 or await self.boots(driver, plan.id) == boots + 1

        await until(booted_again, "a guest that lost power boots", self.patience)

    async def test_a_suspended_guest_is_destroyed_with_all_that_was_kept_of_it(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Suspends)
        assert isinstance(driver, Suspends)
        await driver.suspend(plan.id)
        await driver.destroy(plan.id)
        assert await self.power_of(driver, plan.id) is None
        if isinstance(driver, ListsHoldings):
            assert not [each for each in await driver.holdings() if each.owner == plan.id]
        assert (await driver.create(plan)).power is Power.RUNNING

    async def test_only_a_guest_that_is_on_is_suspended(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self._needs(Suspends)
        assert isinstance(driver, Suspends)
        await driver.set_power(plan.id, Power.SHUTDOWN, 0)
        with pytest.raises(Refused):
            await driver.suspend(plan.id)
        assert await self.power_of(driver, plan.id) is Power.SHUTDOWN
        with pytest.raises(NotFound):
            await driver.suspend(str(uuid.uuid4()))

    # devices

    async def test_a_device_that_the_host_never_reported_is_refused(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self._needs_pci()
        unreported = "0000:ff:1f.7"
        assert unreported not in {each.address for each in (await driver.host()).pci}, "the tests use this address"
        for address in (unreported, "", "0000:ff:1f.7,x=y", "../../x"):
            with pytest.raises(Refused):
                await driver.create(attrs.evolve(plan, attachments=(PciAttachment(address=address),)))
            assert await self.power_of(driver, plan.id) is None, "a plan that is refused must leave no guest"
            if isinstance(driver, ListsHoldings):
                assert not [each for each in await driver.holdings() if each.owner == plan.id]

    async def test_a_device_is_held_with_its_guest_and_free_after_it(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self._needs_pci()
        self._needs(ListsHoldings)
        assert isinstance(driver, ListsHoldings)
        address = await self._a_device(driver)
        other = attrs.evolve(plan, id=str(uuid.uuid4()), hostname="another")
        for one in (plan, other):
            attached = attrs.evolve(one, attachments=(PciAttachment(address=address),))
            try:
                assert (await driver.create(attached)).power is Power.RUNNING
                held = [each for each in await driver.holdings() if each.kind == "device"]
                assert [(each.name, each.owner) for each in held] == [(address, one.id)]
                assert address in {each.address for each in (await driver.host()).pci}, (
                    "a device stays reported while a guest has it: Placement knows which are taken"
                )
            finally:
                await driver.destroy(one.id)
            assert not [each for each in await driver.holdings() if each.kind == "device"]

    async def test_a_device_is_not_given_to_a_second_guest(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self._needs_pci()
        attached = attrs.evolve(plan, attachments=(PciAttachment(address=await self._a_device(driver)),))
        thief = attrs.evolve(attached, id=str(uuid.uuid4()), hostname="another")
        try:
            await driver.create(attached)
            with pytest.raises(Exception):  # noqa: B017 - whoever keeps the books is broken: any error will do
                await driver.create(thief)
            assert await self.power_of(driver, thief.id) is not Power.RUNNING
            assert await self.power_of(driver, plan.id) is Power.RUNNING
        finally:
            await driver.destroy(thief.id)
            await driver.destroy(plan.id)

    def _needs_pci(self) -> None:
        if PciAttachment not in self.renders:
            pytest.skip("the driver does not render PciAttachment")

    async def _a_device(self, driver: VirtDriver) -> str:
        if not (devices := (await driver.host()).pci):
            pytest.skip(self.no_device)
        return devices[0].address

    def _needs(self, facet: type) -> None:
        if facet not in self.facets:
            pytest.skip(f"the driver does not declare {facet.__name__}")
