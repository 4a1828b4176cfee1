"""The conformance suite of accelerator providers: subclass `AcceleratorConformance`, give it yours, run pytest.

    class TestAcmeGpus(AcceleratorConformance):
        @pytest.fixture
        def provider(self):
            return AcmeGpus(FakeBoard())

The provider must have at least one device that is free and well.
"""

import uuid
from collections.abc import Sequence
from typing import get_args

import pytest

from novakit_hookspecs.accelerators import AcceleratorProvider, Claim
from novakit_hookspecs.devices import Attachment, Device, Health
from novakit_hookspecs.errors import Busy, NotFound, Refused


class AcceleratorConformance:
    """What an accelerator provider promises, each promise a test."""

    facets: frozenset[type] = frozenset()
    """The facets that the provider declares in its `AcceleratorSpec`."""
    yields: frozenset[type] = frozenset(get_args(Attachment))
    """The kinds of attachment that it declares."""

    @pytest.fixture
    def provider(self) -> AcceleratorProvider:
        """Override: a provider wired to hardware or to your fake of it, with nothing claimed."""
        pytest.fail("override the fixture `provider`: give a provider with nothing claimed")

    async def another(self, provider: AcceleratorProvider) -> AcceleratorProvider:
        """Override: a new provider over the same hardware, as a restarted agent would make."""
        pytest.skip("this provider's tests have no way to restart it")

    @pytest.fixture
    async def claims(self, provider: AcceleratorProvider) -> Sequence[Claim]:
        """One possible claim of one unit for each device that takes work."""
        return [
            Claim(id=str(uuid.uuid4()), device=device.key, resources={next(iter(device.inventory)): 1})
            for device in await provider.discover()
            if device.health is Health.OK and device.inventory
        ]

    async def test_there_is_a_device_to_test_with(self, claims: Sequence[Claim]) -> None:
        assert claims, "the provider needs at least one device that is well and has an inventory"

    async def test_each_device_has_a_key_of_its_own(self, provider: AcceleratorProvider) -> None:
        keys = [device.key for device in await provider.discover()]
        assert len(keys) == len(set(keys)), "two devices share a key: use serial numbers or PCI addresses"

    async def test_a_parent_is_listed_before_its_children(self, provider: AcceleratorProvider) -> None:
        seen: set[str] = set()
        for device in await provider.discover():
            assert device.parent is None or device.parent in seen, (
                f"list {device.parent} before {device.key}, which is a part of it"
            )
            seen.add(device.key)

    async def test_discovering_again_gives_the_same(self, provider: AcceleratorProvider) -> None:
        assert list(await provider.discover()) == list(await provider.discover())

    async def test_amounts_are_positive_and_draws_are_covered(self, provider: AcceleratorProvider) -> None:
        devices = {device.key: device for device in await provider.discover()}
        for device in devices.values():
            assert all(amount > 0 for amount in device.inventory.values()), f"{device.key}: leave out what is 0"
            shared = devices[device.parent].counters if device.parent else device.counters
            for counter, amount in device.draws.items():
                has = shared.get(counter, 0)
                assert 0 < amount <= has, f"{device.key} draws {amount} {counter} of {device.parent}, which has {has}"

    async def test_resource_classes_and_traits_are_spelt_as_placement_wants_them(
        self, provider: AcceleratorProvider
    ) -> None:
        for device in await provider.discover():
            for name in (*device.inventory, *device.traits):
                assert name == name.upper() and name.replace("_", "").isalnum(), f"{name}: upper case, digits and _"

    async def test_a_device_that_takes_no_work_says_why(self, provider: AcceleratorProvider) -> None:
        for device in await provider.discover():
            assert device.health is Health.OK or device.why, f"{device.key} is {device.health.value}: say why"

    async def test_prepare_gives_attachments_of_the_declared_kinds(
        self, provider: AcceleratorProvider, claims: Sequence[Claim]
    ) -> None:
        for claim in claims:
            attachments = await provider.prepare(claim)
            assert attachments, f"prepare() must return what to attach for {claim.device}"
            assert {type(one) for one in attachments} <= self.yields
            await provider.release(claim.id)

    async def test_prepare_twice_is_prepare_once(self, provider: AcceleratorProvider, claims: Sequence[Claim]) -> None:
        for claim in claims:
            assert list(await provider.prepare(claim)) == list(await provider.prepare(claim))
            await provider.release(claim.id)

    async def test_prepare_after_a_restart_is_the_same_prepare(
        self, provider: AcceleratorProvider, claims: Sequence[Claim]
    ) -> None:
        before = await provider.prepare(claims[0])
        fresh = await self.another(provider)
        assert list(await fresh.prepare(claims[0])) == list(before)
        await fresh.release(claims[0].id)

    async def test_what_is_released_can_be_claimed_anew(
        self, provider: AcceleratorProvider, claims: Sequence[Claim]
    ) -> None:
        for claim in claims:
            for _ in range(3):
                again = Claim(id=str(uuid.uuid4()), device=claim.device, resources=claim.resources)
                await provider.prepare(again)
                await provider.release(again.id)

    async def test_a_device_is_not_given_out_beyond_its_inventory(
        self, provider: AcceleratorProvider, claims: Sequence[Claim]
    ) -> None:
        device = await self._device(provider, claims[0].device)
        resource, total = next(iter(device.inventory.items()))
        held = [Claim(id=str(uuid.uuid4()), device=device.key, resources={resource: 1}) for _ in range(total)]
        for claim in held:
            await provider.prepare(claim)
        with pytest.raises((Busy, Refused)):
            await provider.prepare(Claim(id=str(uuid.uuid4()), device=device.key, resources={resource: 1}))
        for claim in held:
            await provider.release(claim.id)

    async def test_an_unknown_device_is_not_found(self, provider: AcceleratorProvider) -> None:
        with pytest.raises(NotFound):
            await provider.prepare(Claim(id=str(uuid.uuid4()), device="no such device", resources={"PGPU": 1}))

    async def test_releasing_the_unknown_is_quiet(self, provider: AcceleratorProvider, claims: Sequence[Claim]) -> None:
        await provider.release(str(uuid.uuid4()))
        await provider.prepare(claims[0])
        await provider.release(claims[0].id)
        await provider.release(claims[0].id)

    async def test_the_declared_facets_are_there(self, provider: AcceleratorProvider) -> None:
        for facet in self.facets:
            assert isinstance(provider, facet), f"{facet.__name__} is declared and its methods are missing"

    async def _device(self, provider: AcceleratorProvider, key: str) -> Device:
        return next(device for device in await provider.discover() if device.key == key)
