"""Which devices of a host are held by what is no guest: told of as withheld, so that the ledger gives them to nobody.

The idea: a device that a crashed build has left, or a domain of which only the device is remembered, makes every build
that is given it fail. Placement counts it as reserved until an operator removes what holds it.
The invariant: what is being built, removed or done to a guest is left out, and so is what is gone a moment later: a
device is withheld only where the same holder has it before and after the guests were listed, and is none of them.
The cost: one listing of what the host holds for each report of a host that has devices, two where something is odd.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import attrs

from novakit_hookspecs.hosts import Holding, HostFacts

Look = Callable[[], Awaitable[Sequence[Holding]]]


@attrs.define
class HeldDevices:
    """What holds devices of one host and is no guest."""

    owners: frozenset[str] = frozenset()
    """Who held something when it was last told of."""
    removed: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set when one of them was removed, so that the device is told of as free without waiting for the next report."""

    def gone(self, owner: str) -> None:
        """Say that what remained of a guest was removed."""
        if owner in self.owners:
            self.removed.set()

    async def withheld(
        self, facts: HostFacts, before: Mapping[str, str], look: Look, is_other: Callable[[str], bool]
    ) -> HostFacts:
        """Return the facts with the devices marked that remains hold.

        `before` are the holders of devices before the guests were listed; `is_other` says of an id that it is a guest,
        or that something is under way with it.
        """
        odd = {device: owner for device, owner in before.items() if not is_other(owner)}
        if odd:
            now = holders(await look())
            odd = {device: owner for device, owner in odd.items() if now.get(device) == owner and not is_other(owner)}
        self.owners = frozenset(odd.values())
        if not odd:
            return facts
        return attrs.evolve(
            facts,
            pci=tuple(attrs.evolve(each, is_withheld=each.address in odd or each.is_withheld) for each in facts.pci),
        )


def holders(held: Collection[Holding]) -> dict[str, str]:
    """Return who holds each device."""
    return {each.name: each.owner for each in held if each.kind == "device"}
