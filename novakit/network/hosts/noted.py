"""What a host keeps of the networks around its guests, so that a database that never knew them can have them again.

Rows as they are in the tables, of everything that the guests of one host live with: their ports and security groups,
their networks, the routers on these with all their legs, the floating IPs that lead to them, and DHCP's ports.
What changes without anybody's asking is left out, so that equal notes mean that nothing was changed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from novakit.network.hosts.dhcp import dhcp_port_id
from novakit.network.interfaces import GATEWAY, INTERFACE
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import PortInGroup, StoredAddress, StoredPort, addresses_of, groups_of
from novakit.store.network.remade import NotedRow
from novakit.store.network.routers import StoredRouter
from novakit.store.network.rows import StoredResource, StoredRow
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import StoredSubnet, with_subnets
from novakit_hookspecs.fields import tuple_field

_PASSING = frozenset({"status", "fault", "revision", "updated_at", "cursor"})


@attrs.frozen(kw_only=True)
class NotedNetworks:
    """Rows of the network service, by table."""

    networks: tuple[NotedRow, ...] = tuple_field()
    subnets: tuple[NotedRow, ...] = tuple_field()
    ports: tuple[NotedRow, ...] = tuple_field()
    addresses: tuple[NotedRow, ...] = tuple_field()
    """Of all ports."""
    port_groups: tuple[NotedRow, ...] = tuple_field()
    """Of the guests' ports."""
    groups: tuple[NotedRow, ...] = tuple_field()
    """Those of the guests, and those that their rules trust."""
    rules: tuple[NotedRow, ...] = tuple_field()
    routers: tuple[NotedRow, ...] = tuple_field()
    floating_ips: tuple[NotedRow, ...] = tuple_field()


NOTHING = NotedNetworks()
_UNKNOWN = "routers, floating IPs and rules are not known."
NO_NOTE = f"Its host keeps no note of what was around its ports: {_UNKNOWN}"
UNNAMED = f"Its host's note of networks does not name its ports: {_UNKNOWN}"
UNREADABLE = f"Its host's note of networks cannot be read, see the conductor's log: {_UNKNOWN}"
UNSEALED = f"Its host's note of networks was not sealed by this database, as its own note was: {_UNKNOWN}"


@attrs.frozen
class HeardNetworks:
    """What is believed of a host's note of networks."""

    noted: NotedNetworks = NOTHING
    lack: str = UNNAMED
    """Why nothing is known of a port that is not in it, in a sentence."""
    is_sealed: bool = False
    """Whether the database wrote it; else it is its host's word."""


async def read(session: Session, hosts: Collection[str]) -> dict[str, NotedNetworks]:
    """Read what the guests of each host live with; the number of statements does not grow with the hosts."""
    guests: dict[str | None, list[StoredPort]] = defaultdict(list)
    for port in await rows.find(session, StoredPort, host=list(hosts)):
        if port.server_id is not None:
            guests[port.host].append(port)
    if not guests:
        return dict.fromkeys(hosts, NOTHING)
    around = await _around(session, [port for some in guests.values() for port in some])
    return {host: around.of(guests[host]) if host in guests else NOTHING for host in hosts}


@attrs.frozen(kw_only=True)
class _Around:
    """What the guests of several hosts live with, each kind with the oldest first."""

    networks: Sequence[StoredNetwork]
    subnets: Sequence[StoredSubnet]
    joined: Sequence[StoredPort]
    """Legs of routers on the networks of guests."""
    routers: Sequence[StoredRouter]
    legs: Sequence[StoredPort]
    """All legs of these routers."""
    leading: Sequence[StoredFloatingIp]
    others: Sequence[StoredPort]
    """Ports of the floating IPs and of DHCP."""
    addresses: Sequence[StoredAddress]
    pairs: Sequence[PortInGroup]
    groups: Mapping[str, StoredSecurityGroup]
    """By id."""
    rules: Mapping[str, Sequence[StoredRule]]
    """By the group that has them."""

    def of(self, guests: Sequence[StoredPort]) -> NotedNetworks:
        """Return what of it some of the guests live with."""
        own, ids = {port.network_id for port in guests}, set(rows.ids(guests))
        joining = {leg.device_id for leg in self.joined if leg.network_id in own}
        on_them = [router for router in self.routers if router.id in joining]
        serving = set(rows.ids(on_them))
        leading = [row for row in self.leading if row.port_id in ids]
        others = {row.floating_port_id for row in leading} | {dhcp_port_id(network) for network in own}
        legs = [leg for leg in self.legs if leg.device_id in serving]
        found = [*guests, *legs, *(port for port in self.others if port.id in others)]
        there, keys = {port.network_id for port in found}, set(rows.ids(found))
        pairs = [pair for pair in self.pairs if pair.port_id in ids]
        groups, group_rules = self._closure({pair.group_id for pair in pairs})
        return NotedNetworks(
            networks=_noted([row for row in self.networks if row.id in there]),
            subnets=_noted([row for row in self.subnets if row.network_id in there]),
            ports=_noted(found),
            addresses=_noted([row for row in self.addresses if row.port_id in keys]),
            port_groups=_noted(pairs),
            groups=_noted(groups),
            rules=_noted(group_rules),
            routers=_noted(on_them),
            floating_ips=_noted(leading),
        )

    def _closure(self, wanted: set[str]) -> tuple[list[StoredSecurityGroup], list[StoredRule]]:
        """Return groups with their rules, and those that the rules trust with theirs, and so on."""
        groups: list[StoredSecurityGroup] = []
        lines: list[StoredRule] = []
        known: set[str] = set()
        while wanted:
            known |= wanted
            groups += sorted((self.groups[id] for id in wanted if id in self.groups), key=_age)
            more = sorted((line for id in wanted for line in self.rules.get(id, ())), key=_age)
            lines += more
            wanted = _trusted(more) - known
        return groups, lines


async def _around(session: Session, guests: Sequence[StoredPort]) -> _Around:
    own = {port.network_id for port in guests}
    joined = await rows.find(session, StoredPort, network_id=own, device_owner=INTERFACE)
    routers = await rows.find(session, StoredRouter, id={leg.device_id for leg in joined}) if joined else []
    legs = await _of_routers(session, routers)
    leading = await rows.find(session, StoredFloatingIp, port_id=rows.ids(guests))
    serving = {row.floating_port_id for row in leading} | {dhcp_port_id(network) for network in own}
    others = await rows.find(session, StoredPort, id=serving)
    found = [*guests, *legs, *others]
    cut = await with_subnets(session, {port.network_id for port in found})
    pairs = await groups_of(session, rows.ids(guests))
    groups, rules = await _groups(session, {pair.group_id for pair in pairs})
    return _Around(
        networks=[network for network, _ in cut],
        subnets=sorted((subnet for _, some in cut for subnet in some), key=_age),
        joined=joined,
        routers=routers,
        legs=legs,
        leading=leading,
        others=others,
        addresses=await addresses_of(session, rows.ids(found)),
        pairs=pairs,
        groups=groups,
        rules=rules,
    )


async def _of_routers(session: Session, found: Sequence[StoredRouter]) -> list[StoredPort]:
    if not found:
        return []
    return await rows.find(session, StoredPort, device_id=rows.ids(found), device_owner=(INTERFACE, GATEWAY))


async def _groups(
    session: Session, wanted: set[str]
) -> tuple[dict[str, StoredSecurityGroup], dict[str, list[StoredRule]]]:
    """Fetch groups with their rules, and those that the rules trust with theirs, and so on."""
    groups: dict[str, StoredSecurityGroup] = {}
    rules: dict[str, list[StoredRule]] = defaultdict(list)
    known: set[str] = set()
    while wanted:
        known |= wanted
        groups.update((row.id, row) for row in await rows.find(session, StoredSecurityGroup, id=wanted))
        more = await rows.find(session, StoredRule, security_group_id=wanted)
        for line in more:
            rules[line.security_group_id].append(line)
        wanted = _trusted(more) - known
    return groups, rules


def _trusted(lines: Iterable[StoredRule]) -> set[str]:
    return {line.remote_group_id for line in lines if line.remote_group_id}


def _age(row: StoredResource) -> tuple[datetime, str]:
    return row.created_at, row.id


def _noted(found: Sequence[StoredRow]) -> tuple[NotedRow, ...]:
    return tuple(
        {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in attrs.asdict(row, recurse=False).items()
            if name not in _PASSING
        }
        for row in found
    )
