"""What drivers promise that put devices of the host into guests."""

import uuid

import attrs
import pytest

from novakit_hookspecs.devices import PciAttachment
from novakit_hookspecs.errors import Refused
from novakit_hookspecs.servers import GuestPlan, Power
from novakit_hookspecs.testing.virt.frame import VirtFrame
from novakit_hookspecs.virt import ListsHoldings, VirtDriver


class HandsDevices(VirtFrame):
    """A device is one guest's at a time, and nobody's who was not given it."""

    async def test_a_device_that_the_host_never_reported_is_refused(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self._needs_pci()
        unreported = "0000:ff:1f.7"
        assert unreported not in {each.address for each in (await driver.host()).pci}, (
            "the tests need this address to be of no device that the host reports"
        )
        for address in (unreported, "", "0000:ff:1f.7,x=y", "../../x"):
            with pytest.raises(Refused):
                await driver.create(attrs.evolve(plan, attachments=(PciAttachment(address=address),)))
            assert await self.power_of(driver, plan.id) is None, "a plan that is refused must leave no guest"
            if isinstance(driver, ListsHoldings):
                assert not [each for each in await driver.holdings() if each.owner == plan.id]

    async def test_a_device_is_held_with_its_guest_and_free_after_it(self, driver: VirtDriver, plan: GuestPlan) -> None:
        self._needs_pci()
        self.needs(ListsHoldings)
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
                    "report a device while a guest has it, too: Placement knows which are taken"
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
