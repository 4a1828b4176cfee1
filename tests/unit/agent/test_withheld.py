"""A device is withheld where what has it is no guest and nothing is done to it, and its removal is told of at once."""

from collections.abc import Sequence

import pytest

from novakit.agent.withheld import HeldDevices, holders
from novakit.plughost import Fault
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.hosts import Holding, HostFacts, PciDevice

FIRST, SECOND = "0000:10:00.0", "0000:11:00.0"
FACTS = HostFacts(
    hypervisor_type="x",
    hypervisor_version=1,
    hypervisor_hostname="x",
    pci=(PciDevice(address=FIRST, kind="gpu"), PciDevice(address=SECOND, kind="gpu")),
)


def held(**devices: str) -> Sequence[Holding]:
    places = {"first": FIRST, "second": SECOND}
    found = [Holding(kind="device", name=places[name], owner=owner) for name, owner in devices.items()]
    return [*found, Holding(kind="disk", name=FIRST, owner="disk")]


@pytest.mark.parametrize(
    ("before", "after", "guests", "wanted"),
    [
        (held(first="one"), held(first="one"), [], [FIRST]),
        (held(first="one", second="two"), held(first="one", second="two"), ["two"], [FIRST]),
        (held(first="one"), held(first="one"), ["one"], []),
        (held(first="one"), held(), [], []),
        (held(first="one"), held(first="two"), ["two"], []),
        (held(first="one"), held(second="one"), [], []),
        (held(), held(first="one"), [], []),
    ],
    ids=["remains", "beside a guest", "a guest's", "gone", "another's", "another device", "new"],
)
async def test_only_what_remains_hold_before_and_after_the_guests_were_listed_is_withheld(
    before: Sequence[Holding], after: Sequence[Holding], guests: Sequence[str], wanted: Sequence[str]
) -> None:
    async def look() -> Sequence[Holding]:
        return after

    facts = await HeldDevices().withheld(FACTS, holders(before), look, lambda id: id in guests)
    assert [each.address for each in facts.pci if each.is_withheld] == wanted
    assert [each.address for each in facts.pci] == [FIRST, SECOND]


async def test_a_build_that_ends_while_the_guests_are_listed_is_not_taken_for_remains() -> None:
    async def look() -> Sequence[Holding]:
        return held(first="new", second="old")

    withheld, building = HeldDevices(), {"new"}
    before = await withheld.before(look, lambda id: id in building)
    building.clear()
    facts = await withheld.withheld(FACTS, before, look, lambda id: id in building)
    assert [each.address for each in facts.pci if each.is_withheld] == [SECOND]


@pytest.mark.parametrize("error", [Fault("broken"), Busy("later"), Refused("no"), NotFound("gone")])
async def test_a_driver_that_does_not_tell_what_it_holds_leaves_the_marks_of_the_last_time(error: Exception) -> None:
    async def look() -> Sequence[Holding]:
        return held(first="one", second="two")

    async def fails() -> Sequence[Holding]:
        raise error

    withheld = HeldDevices()
    assert await withheld.before(fails, lambda id: False) is None
    assert await withheld.withheld(FACTS, None, fails, lambda id: False) == FACTS
    await withheld.withheld(FACTS, holders(await look()), look, lambda id: id == "two")
    for before in (None, holders(await look())):
        facts = await withheld.withheld(FACTS, before, fails, lambda id: id == "two")
        assert [each.address for each in facts.pci if each.is_withheld] == [FIRST]


async def test_a_removal_of_what_held_a_device_is_told_of_and_no_other_one() -> None:
    async def look() -> Sequence[Holding]:
        return held(first="one")

    withheld = HeldDevices()
    await withheld.withheld(FACTS, holders(await look()), look, lambda id: False)
    withheld.gone("other")
    assert not withheld.removed.is_set()
    withheld.gone("one")
    assert withheld.removed.is_set()
