"""What hosts must know of what stands around their guests' ports, in one statement.

That are networks with subnets, rules of security groups and the groups' members, and on the gateway host every router
and what DHCP serves. The parts have little to do with each other: each is one list of JSON, and together they are one
row. For 590 leases SQLite takes as long to write them as JSON as Python takes to fetch as many rows.
"""

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import attrs
import orjson
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.networks import networks
from novakit.store.network.ports import NEEDS_DHCP, StoredAddress, addresses, port_groups, ports
from novakit.store.network.routers import routers
from novakit.store.network.security_group_rules import rules
from novakit.store.network.security_groups import security_groups
from novakit.store.network.subnets import subnets
from novakit.store.schema import JsonRows, SortedRows


class NetworkLine(NamedTuple):
    """What hosts must know of a network itself."""

    id: str
    segment: int
    mtu: int
    physical_network: str | None
    admin_state_up: bool


class SubnetLine(NamedTuple):
    """What they must know of a subnet."""

    id: str
    network_id: str
    cidr: str
    gateway_ip: str | None
    dhcp: bool
    dns_servers: Sequence[str]
    host_routes: Sequence[Sequence[str]]


class RuleLine(NamedTuple):
    """What they must know of a security group's rule."""

    id: str
    security_group_id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_min: int | None
    port_max: int | None
    remote_ip_prefix: str | None
    remote_group_id: str | None


class LegLine(NamedTuple):
    """What the gateway host must know of a router's port."""

    id: str
    network_id: str
    mac: str
    device_id: str
    device_owner: str


class RouterLine(NamedTuple):
    """What it must know of a router."""

    id: str
    snat: bool
    routes: Sequence[Sequence[str]]


class FloatingIpLine(NamedTuple):
    """What it must know of a floating IP that leads somewhere."""

    id: str
    address: str
    router_id: str
    fixed_number: int


class AddressOnNetwork(NamedTuple):
    """An address in use on a network, with what its port is called."""

    port_id: str
    mac: str
    hostname: str
    subnet_id: str
    number: int


AddressesByGroup = dict[str, Sequence[int]]
"""By security group, the addresses of every port in it, each once, the lowest first."""


@attrs.frozen(kw_only=True)
class ServedByGateway:
    """What the gateway host serves; the oldest come first."""

    legs: Sequence[LegLine] = ()
    leg_addresses: Sequence[StoredAddress] = ()
    """The lowest first."""
    routers: Sequence[RouterLine] = ()
    """Those that are up."""
    floating_ips: Sequence[FloatingIpLine] = ()
    needing: Sequence[tuple[str, str]] = ()
    """Subnets that need DHCP, each with its network."""
    addresses: Sequence[AddressOnNetwork] = ()
    """All those on the networks of such subnets, the lowest first."""


@attrs.frozen(kw_only=True)
class Around:
    """What stands around some guests' ports; the oldest come first."""

    networks: Sequence[NetworkLine]
    subnets: Sequence[SubnetLine]
    rules: Sequence[RuleLine]
    members: AddressesByGroup
    served: ServedByGateway


_LinesQuery = sa.Select[*tuple[object, ...]]


def _some(name: str) -> sa.BindParameter[object]:
    return sa.bindparam(name, expanding=True)


def _listed(lines: _LinesQuery) -> sa.ScalarSelect[object]:
    columns = lines.subquery().c
    # Not shared: they are long, and seldom the same twice.
    return sa.select(sa.type_coerce(JsonRows(*columns), sa.JSON())).scalar_subquery()


def _lines(table: sa.Table, names: Sequence[str]) -> _LinesQuery:
    """Select what a line is made of, after the moment by which lines are put in order."""
    columns = (table.c[name] for name in names)
    # Lists as text: JSON in JSON is text on SQLite, and none on PostgreSQL.
    told = (sa.cast(each, sa.Text) if isinstance(each.type, sa.JSON) else each for each in columns)
    return sa.select(table.c.created_at, *told)


def _members(which: sa.ColumnElement[bool]) -> _LinesQuery:
    numbers = sa.cast(SortedRows(addresses.c.number), sa.Text).label("numbers")
    return (
        sa.select(port_groups.c.group_id, numbers)
        .join(addresses, addresses.c.port_id == port_groups.c.port_id)
        .where(which)
        .group_by(port_groups.c.group_id)
    )


_LEGS = ports.c.device_owner.in_(_some("legs")) & ports.c.server_id.is_(None)
"""No server has one of them: said so that they are found by that, and not among all guests' ports."""
_OF_NEEDING = sa.select(subnets.c.id, subnets.c.network_id).where(NEEDS_DHCP).cte("needing")
_OF_LEGS = _lines(ports, LegLine._fields).where(_LEGS).cte("legs")
_RULES = rules.c.security_group_id.in_(_some("groups"))
_NAMED = port_groups.c.group_id.in_(
    # One set: PostgreSQL looks at every row for what is in one set or in another.
    sa.union(
        sa.select(rules.c.remote_group_id).where(_RULES, rules.c.remote_group_id.is_not(None)),
        sa.select(security_groups.c.id).where(security_groups.c.id.in_(_some("named"))),
    )
)
_ON_SERVED = (
    sa.select(*(ports.c[name] for name in ("id", "mac", "hostname")), addresses.c.subnet_id, addresses.c.number)
    .join(addresses, addresses.c.port_id == ports.c.id)
    .where(ports.c.network_id.in_(sa.select(_OF_NEEDING.c.network_id)))
)
_OF_GATEWAY = (
    sa.select(_OF_LEGS),
    sa.select(addresses).join(_OF_LEGS, _OF_LEGS.c.id == addresses.c.port_id),
    _lines(routers, RouterLine._fields).where(routers.c.admin_state_up),
    _lines(floating_ips, FloatingIpLine._fields).where(
        floating_ips.c.router_id.is_not(None), floating_ips.c.fixed_number.is_not(None)
    ),
    sa.select(_OF_NEEDING),
    _ON_SERVED,
)


def _around(*networks_too: _LinesQuery) -> tuple[_LinesQuery, ...]:
    asked = sa.select(networks.c.id).where(networks.c.id.in_(_some("networks")))
    wanted = sa.union(asked, *networks_too) if networks_too else asked
    return (
        _lines(networks, NetworkLine._fields).where(networks.c.id.in_(wanted)),
        _lines(subnets, SubnetLine._fields).where(subnets.c.network_id.in_(wanted)),
        _lines(rules, RuleLine._fields).where(_RULES),
        _members(_NAMED),
    )


_OF_GUESTS = sa.select(*map(_listed, _around()))
_OF_ALL = sa.select(
    *map(_listed, (*_around(sa.select(_OF_LEGS.c.network_id), sa.select(_OF_NEEDING.c.network_id)), *_OF_GATEWAY))
)


async def around(
    session: Session,
    *,
    networks: Collection[str],
    groups: Collection[str],
    named: Collection[str],
    legs: Collection[str] | None,
) -> Around:
    """Fetch networks, what security groups let through, and the members of all groups that their rules trust.

    `named` are groups of which the members alone are asked for. With `legs`, the owners of routers' ports, comes all
    that the gateway host serves, and the networks of that.
    """
    asked = {"networks": list(networks), "groups": list(groups), "named": list(named)}
    found = (
        await session.rows(_OF_GUESTS, asked)
        if legs is None
        else await session.rows(_OF_ALL, {**asked, "legs": list(legs)})
    )
    on, cut, let, members, *served = (some or () for some in found[0])
    return Around(
        networks=[NetworkLine._make((*told, bool(is_up))) for *told, is_up in _by_age(on)],
        subnets=[
            SubnetLine._make((*told, bool(dhcp), orjson.loads(servers), orjson.loads(routes)))
            for *told, dhcp, servers, routes in _by_age(cut)
        ],
        rules=[RuleLine._make(row) for row in _by_age(let)],
        members=_numbers(members),
        served=_served(served) if served else ServedByGateway(),
    )


def _by_age(lines: Iterable[list[Any]]) -> Iterable[list[Any]]:
    """Put lines in order, by moment and id, and leave the moment out."""
    return (line[1:] for line in sorted(lines))


def _served(found: Sequence[Sequence[list[Any]]]) -> ServedByGateway:
    legs, leg_addresses, up, leading, needing, in_use = found
    return ServedByGateway(
        legs=[LegLine._make(row) for row in _by_age(legs)],
        leg_addresses=[StoredAddress(*row) for row in sorted(leg_addresses, key=itemgetter(1))],
        routers=[RouterLine(id, bool(snat), orjson.loads(routes)) for id, snat, routes in _by_age(up)],
        floating_ips=[FloatingIpLine._make(row) for row in _by_age(leading)],
        needing=[(subnet_id, network_id) for subnet_id, network_id in needing],
        addresses=[*map(AddressOnNetwork._make, sorted(in_use, key=itemgetter(4)))],
    )


def _numbers(members: Iterable[tuple[str, str]]) -> AddressesByGroup:
    return {group_id: sorted(set(orjson.loads(numbers))) for group_id, numbers in members}


_GROUP_MEMBERS = _members(port_groups.c.group_id.in_(_some("groups")))


async def group_members(session: Session, group_ids: Collection[str]) -> AddressesByGroup:
    """Fetch the members of security groups."""
    return _numbers(await session.rows(_GROUP_MEMBERS, {"groups": list(group_ids)}))
