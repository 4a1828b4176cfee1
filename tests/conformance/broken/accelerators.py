"""Accelerator providers that are wrong in one way each; `caught_by` names the tests that must fail, and only those."""

import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

import attrs
import pytest

from novakit_hookspecs.accelerators import Claim
from novakit_hookspecs.devices import Attachment, Device, Health, MdevAttachment
from novakit_hookspecs.errors import Busy, NotFound
from novakit_hookspecs.testing.accelerators import AcceleratorConformance


class Correct:
    """A provider of two cards that does everything right, to be spoilt."""

    def __init__(self) -> None:
        self.claims: dict[str, str] = {}

    async def discover(self) -> Sequence[Device]:
        card = Device(key="card", kind="gpu", counters={"CUTS": 2})
        cut = Device(key="card/cut", kind="vgpu", parent="card", inventory={"VGPU": 2}, draws={"CUTS": 1})
        return [card, cut]

    async def prepare(self, claim: Claim) -> Sequence[Attachment]:
        if claim.device != "card/cut":
            raise NotFound(claim.device)
        if claim.id not in self.claims and len(self.claims) >= 2:
            raise Busy("taken")
        self.claims[claim.id] = claim.device
        return [MdevAttachment(uuid=claim.id, parent="card")]

    async def release(self, claim: str) -> None:
        self.claims.pop(claim, None)


class ChildrenFirst(Correct):
    async def discover(self) -> Sequence[Device]:
        return list(reversed(await super().discover()))


class NewEachTime(Correct):
    async def prepare(self, claim: Claim) -> Sequence[Attachment]:
        await super().prepare(claim)
        return [MdevAttachment(uuid=str(uuid.uuid4()), parent="card")]


class LoudRelease(Correct):
    async def release(self, claim: str) -> None:
        if claim not in self.claims:
            raise NotFound(claim)
        await super().release(claim)


class Oversells(Correct):
    async def prepare(self, claim: Claim) -> Sequence[Attachment]:
        if claim.device != "card/cut":
            raise NotFound(claim.device)
        return [MdevAttachment(uuid=claim.id, parent="card")]


class Leaks(Correct):
    async def release(self, claim: str) -> None:
        """Forget to take it back."""


class Moody(Correct):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def discover(self) -> Sequence[Device]:
        self.asked += 1
        card, cut = await super().discover()
        return [card, attrs.evolve(cut, numa_node=self.asked)]


class Silent(Correct):
    async def discover(self) -> Sequence[Device]:
        return [*await super().discover(), Device(key="dead", kind="gpu", health=Health.LOST)]


class _Suite(AcceleratorConformance):
    kind: ClassVar[type[Correct]] = Correct

    @pytest.fixture
    def provider(self) -> Any:
        return self.kind()


class TestCorrect(_Suite):
    caught_by = frozenset[str]()


class TestChildrenFirst(_Suite):
    kind = ChildrenFirst
    caught_by = frozenset({"test_a_parent_is_listed_before_its_children"})


class TestNewEachTime(_Suite):
    kind = NewEachTime
    caught_by = frozenset({"test_prepare_twice_is_prepare_once"})


class TestLoudRelease(_Suite):
    kind = LoudRelease
    caught_by = frozenset({"test_releasing_the_unknown_is_quiet"})


class TestOversells(_Suite):
    kind = Oversells
    caught_by = frozenset({"test_a_device_is_not_given_out_beyond_its_inventory"})


class TestLeaks(_Suite):
    kind = Leaks
    caught_by = frozenset({"test_what_is_released_can_be_claimed_anew"})


class TestMoody(_Suite):
    kind = Moody
    caught_by = frozenset({"test_discovering_again_gives_the_same"})


class TestSilent(_Suite):
    kind = Silent
    caught_by = frozenset({"test_a_device_that_takes_no_work_says_why"})
