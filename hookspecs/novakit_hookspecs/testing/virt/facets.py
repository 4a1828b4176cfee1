"""What drivers promise with a facet: console logs, holdings, pause, suspend."""

import uuid

import pytest

from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.servers import Guest, GuestPlan, Power
from novakit_hookspecs.testing.virt.frame import VirtFrame, until, witness
from novakit_hookspecs.virt import ListsHoldings, LogsConsole, Pauses, Suspends, VirtDriver


class KeepsFacets(VirtFrame):
    """Each facet that is declared, as its docstring has it."""

    async def test_the_declared_facets_are_there(self, driver: VirtDriver) -> None:
        for facet in self.facets:
            assert isinstance(driver, facet), f"{facet.__name__} is declared and its methods are missing"

    async def test_the_console_log_is_the_end_of_what_was_printed(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self.needs(LogsConsole)
        assert isinstance(driver, LogsConsole)
        await self.booted(driver, plan.id)
        await driver.set_power(plan.id, Power.SHUTDOWN, 0)
        whole = await driver.console_log(plan.id, 1 << 20)
        assert whole, "console_log must return what a guest that was up has printed"
        assert await driver.console_log(plan.id, 16) == whole[-16:]
        assert await driver.console_log(plan.id, 0) == b""
        await driver.set_power(plan.id, Power.RUNNING, self.patience)
        assert (await driver.console_log(plan.id, 1 << 20)).startswith(whole), "a reboot must keep what was printed"

    async def test_the_console_log_of_an_unknown_guest_is_not_found(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self.needs(LogsConsole)
        assert isinstance(driver, LogsConsole)
        with pytest.raises(NotFound):
            await driver.console_log(plan.id, 100)

    async def test_holdings_are_there_with_the_guest_and_gone_after_it(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self.needs(ListsHoldings)
        assert isinstance(driver, ListsHoldings)
        held = [each for each in await driver.holdings() if each.owner == plan.id]
        assert any(each.kind == "domain" for each in held), "holdings() must list a running guest as a domain"
        await driver.destroy(plan.id)
        assert not [each for each in await driver.holdings() if each.owner == plan.id]

    # pause

    async def test_a_paused_guest_stands_still_until_it_is_let_go_on(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self.needs(Pauses)
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
        assert await self.boots(driver, plan.id) == boots, "a paused guest must go on where it was, and not boot"

    async def test_a_paused_guest_stays_paused_over_a_restart_of_the_driver(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self.needs(Pauses)
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
        self.needs(Pauses)
        assert isinstance(driver, Pauses)
        await driver.pause(plan.id)
        assert (await driver.set_power(plan.id, Power.SHUTDOWN, 0)).power is Power.SHUTDOWN
        assert await self.power_of(driver, plan.id) is Power.SHUTDOWN

    async def test_only_a_guest_that_runs_is_paused(self, driver: VirtDriver, plan: GuestPlan, guest: Guest) -> None:
        self.needs(Pauses)
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
        self.needs(Suspends)
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
        assert await self.boots(driver, plan.id) == boots, (
            "a suspended guest must come back with its memory, and not boot"
        )

    async def test_a_suspended_guest_outlives_the_driver(
        self, driver: VirtDriver, plan: GuestPlan, guest: Guest
    ) -> None:
        self.needs(Suspends)
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
        self.needs(Suspends)
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
        self.needs(Suspends)
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
        self.needs(Suspends)
        assert isinstance(driver, Suspends)
        await driver.set_power(plan.id, Power.SHUTDOWN, 0)
        with pytest.raises(Refused):
            await driver.suspend(plan.id)
        assert await self.power_of(driver, plan.id) is Power.SHUTDOWN
        with pytest.raises(NotFound):
            await driver.suspend(str(uuid.uuid4()))
