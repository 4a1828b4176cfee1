"""Which devices of a host are held by what is no guest: told of as withheld, so that the ledger gives them to nobody.

The idea: a device that a crashed build has left, or a domain of which only the device is remembered, makes every build
that is given it fail. Placement counts it as reserved until an operator removes what holds it.
The invariant: what is being built, removed or done to a guest is left out, and so is what is gone a moment later: a
device is withheld only where the same holder has it before and after the guests were listed, and is none of them.
What the driver does not tell this time is as it was the last time: a report does not depend on it.
The cost: one listing of what the host holds for each report of a host that has devices, two where something is odd.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress

import attrs

from novakit.plughost import Fault
from novakit_hookspecs.errors import Busy, NotFound, Refused
from novakit_hookspecs.hosts import Holding, HostFacts

UNTOLD = (Fault, Refused, NotFound, Busy)
"""What a driver's look ends with where it tells nothing; it is logged and counted where it is called."""
Look = Callable[[], Awaitable[Sequence[Holding]]]


@attrs.define
class HeldDevices:
    """What holds devices of one host and is no guest."""

    told: Mapping[str, str] = attrs.field(factory=dict)
    """Which devices were last told of as withheld, and who held them."""
    removed: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set when one of them was removed, so that the device is told of as free without waiting for the next report."""

    def gone(self, owner: str) -> None:
        """Say that what remained of a guest was removed."""
        if owner in self.told.values():
            self.removed.set()

    async def before(self, look: Look, is_busy: Callable[[str], bool]) -> Mapping[str, str] | None:
        """Return who holds devices before the guests are listed, but for those with whom something is under way.

        A build that ends while the guests are listed is neither among them nor under way any more. None where the
        driver does not say.
        """
        try:
            found = holders(await look())
        except UNTOLD:
            return None
        return {device: owner for device, owner in found.items() if not is_busy(owner)}

    async def withheld(
        self, facts: HostFacts, before: Mapping[str, str] | None, look: Look, is_other: Callable[[str], bool]
    ) -> HostFacts:
        """Return the facts with the devices marked that remains hold.

        `before` are the holders of devices before the guests were listed; `is_other` says of an id that it is a guest,
        or that something is under way with it.
        """
        odd = self.told if before is None else before
        odd = {device: owner for device, owner in odd.items() if not is_other(owner)}
        if odd and before is not None:
            with suppress(*UNTOLD):
                now = holders(await look())
                odd = {device: owner for device, owner in odd.items() if now.get(device) == owner}
        self.told = odd = {device: owner for device, owner in odd.items() if not is_other(owner)}
        if not odd:
            return facts
        return attrs.evolve(
            facts,
            pci=tuple(attrs.evolve(each, is_withheld=each.address in odd or each.is_withheld) for each in facts.pci),
        )


def holders(held: Collection[Holding]) -> dict[str, str]:
    """Return who holds each device."""
    return {each.name: each.owner for each in held if each.kind == "device"}
