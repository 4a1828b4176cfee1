"""What a host keeps of the networks around its guests, so that a database that never knew them can have them again.

Rows as they are in the tables, of everything that the guests of one host live with: their ports and security groups,
their networks, the routers on these with all their legs, the floating IPs that lead to them, and DHCP's ports.
What changes without anybody's asking is left out, so that equal notes mean that nothing was changed.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs

from novakit.network.hosts.dhcp import dhcp_port_id
from novakit.network.interfaces import GATEWAY, INTERFACE
from novakit.store.engine import Session
from novakit.store.network import rows
from novakit.store.network.floating_ips import StoredFloatingIp
from novakit.store.network.networks import StoredNetwork
from novakit.store.network.ports import StoredPort, addresses_of, groups_of
from novakit.store.network.remade import NotedRow
from novakit.store.network.routers import StoredRouter
from novakit.store.network.rows import StoredRow
from novakit.store.network.security_group_rules import StoredRule
from novakit.store.network.security_groups import StoredSecurityGroup
from novakit.store.network.subnets import StoredSubnet
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


async def read(session: Session, host: str) -> NotedNetworks:
    """Read what the guests of a host live with."""
    guests = [port for port in await rows.find(session, StoredPort, host=host) if port.server_id is not None]
    if not guests:
        return NOTHING
    own = {port.network_id for port in guests}
    joined = await rows.find(session, StoredPort, network_id=own, device_owner=INTERFACE)
    on_them = await rows.find(session, StoredRouter, id={leg.device_id for leg in joined}) if joined else []
    legs = await _of_routers(session, on_them)
    leading = await rows.find(session, StoredFloatingIp, port_id=rows.ids(guests))
    others = {row.floating_port_id for row in leading} | {dhcp_port_id(network) for network in own}
    found = [*guests, *legs, *await rows.find(session, StoredPort, id=others)]
    around = {port.network_id for port in found}
    pairs = await groups_of(session, rows.ids(guests))
    groups, group_rules = await _groups(session, {pair.group_id for pair in pairs})
    return NotedNetworks(
        networks=_noted(await rows.find(session, StoredNetwork, id=around)),
        subnets=_noted(await rows.find(session, StoredSubnet, network_id=around)),
        ports=_noted(found),
        addresses=_noted(await addresses_of(session, rows.ids(found))),
        port_groups=_noted(pairs),
        groups=_noted(groups),
        rules=_noted(group_rules),
        routers=_noted(on_them),
        floating_ips=_noted(leading),
    )


async def _of_routers(session: Session, found: Sequence[StoredRouter]) -> list[StoredPort]:
    if not found:
        return []
    return await rows.find(session, StoredPort, device_id=rows.ids(found), device_owner=(INTERFACE, GATEWAY))


async def _groups(session: Session, wanted: set[str]) -> tuple[list[StoredSecurityGroup], list[StoredRule]]:
    """Fetch groups with their rules, and those that the rules trust with theirs, and so on."""
    groups: list[StoredSecurityGroup] = []
    lines: list[StoredRule] = []
    known: set[str] = set()
    while wanted:
        known |= wanted
        groups += await rows.find(session, StoredSecurityGroup, id=wanted)
        more = await rows.find(session, StoredRule, security_group_id=wanted)
        lines += more
        wanted = {row.remote_group_id for row in more if row.remote_group_id} - known
    return groups, lines


def _noted(found: Sequence[StoredRow]) -> tuple[NotedRow, ...]:
    return tuple(
        {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in attrs.asdict(row, recurse=False).items()
            if name not in _PASSING
        }
        for row in found
    )
