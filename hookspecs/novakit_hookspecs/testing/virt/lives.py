"""What every virt driver promises: a host, guests that are made, removed and switched, events, and a restart."""

import asyncio
import uuid

import attrs
import pytest

from novakit_hookspecs.errors import NotFound, Refused
from novakit_hookspecs.facets import CONFIG_DRIVES, IMAGE_FORMATS, trait_of_format
from novakit_hookspecs.servers import Guest, GuestPlan, Power
from novakit_hookspecs.testing.virt.frame import VirtFrame, until, witness
from novakit_hookspecs.virt import VirtDriver

HOSTILE_NAME = '</name><x a="\'">&amp;;$(reboot)`../../etc/passwd\x00\x1b\r\n\u202e' + "n" * 300


class GuestsLive(VirtFrame):
    """Guests from their making to their end."""

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

    # what the host says that it can

    async def test_a_host_that_gives_config_drives_takes_a_plan_with_one(
        self, driver: VirtDriver, plan: GuestPlan
    ) -> None:
        if CONFIG_DRIVES not in (await driver.host()).traits:
            pytest.skip(f"the host does not report {CONFIG_DRIVES}")
        told = attrs.evolve(plan, config_drive={"openstack/latest/meta_data.json": b'{"uuid": "x"}'})
        try:
            assert (await driver.create(told)).power is Power.RUNNING
        finally:
            await driver.destroy(plan.id)

    async def test_the_host_reports_the_formats_of_images_that_it_boots_and_refuses_others(
        self, driver: VirtDriver, plan: GuestPlan
    ) -> None:
        if plan.image is None:
            pytest.skip("the driver boots no images")
        traits = (await driver.host()).traits
        wanted = trait_of_format(plan.image.disk_format)
        assert wanted in traits, f"report {wanted}: servers with such an image go to no host without it"
        for other in (each for each in IMAGE_FORMATS if trait_of_format(each) not in traits):
            with pytest.raises(Refused):
                await driver.create(attrs.evolve(plan, image=attrs.evolve(plan.image, disk_format=other)))
            assert await self.power_of(driver, plan.id) is None, "a plan that is refused must leave no guest"

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
