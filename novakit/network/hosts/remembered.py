"""What hosts were told last, so that a record of which nothing has changed is the very same one again.

The idea: almost all of what a host must be is what it was, and making a record of a port costs ten times as much as
seeing that it is the same. Whoever is handed the same object need not look into it.
The invariant: a record is found by everything that it is made from, so it can be late for nothing, whoever changes the
database. What a host is not told any more is forgotten with the next reading. Nothing but members of groups is read at
all of a host whose `shape` is as it was: who changes anything else gives it another in the same transaction. Two
transactions of which neither saw the other may miss a host, so what is `OLD` is read anew in any case.
The cost: 1 µs and 400 bytes for a port, of at most `MOST` ports and leases; of more hosts, those that were read last.
"""

import functools
from collections.abc import Sequence

import attrs

from novakit import world
from novakit.network.allocation.addresses import ip_of
from novakit.store.network.topologies.around import AddressOnNetwork
from novakit.store.network.topologies.guests import GuestPortLine
from novakit_hookspecs.networks import Lease, Network, Port, Rule, Topology

MOST = 50_000
"""Ports and leases that are remembered, of all hosts together."""

OLD = 60.0
"""Seconds after which what a host was told is read whole again."""


@attrs.frozen
class MadePort:
    """A port as its host is told of it, and what it is made from but for its rules."""

    lines: Sequence[GuestPortLine]
    groups: tuple[str, ...]
    """The security groups by which it is filtered."""
    is_up: bool
    """Whether its network is."""
    port: Port


@attrs.frozen
class Told:
    """What one host was told."""

    shape: str = ""
    """What the database calls all of it but the members of groups; empty where it cannot be gone by."""
    read: float = 0.0
    """When all of it was read, by the clock that only goes forward."""
    topology: Topology = attrs.field(factory=lambda: Topology(revision=0))
    ports: dict[str, MadePort] = attrs.field(factory=dict)
    rules: dict[tuple[str, ...], tuple[Rule, ...]] = attrs.field(factory=dict)
    """By the security groups that they are of."""
    networks: dict[str, Network] = attrs.field(factory=dict)
    leases: dict[AddressOnNetwork, Lease] = attrs.field(factory=dict)

    @property
    def is_old(self) -> bool:
        """Return whether it is to be read whole again."""
        return world.monotonic() - self.read > OLD

    @property
    def size(self) -> int:
        """Return how much it counts."""
        return len(self.ports) + len(self.leases)


NOTHING = Told()


@functools.lru_cache(maxsize=1 << 14)
def alone(number: int) -> str:
    """Write the range that one address is: a large security group names the same ones again and again."""
    return f"{ip_of(number)}/32"
