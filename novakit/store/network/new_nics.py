"""What new NICs of servers are judged and made by: one statement when they are asked for, and one when they are made.

On PostgreSQL it is two when they are made, as the one that locks subnets comes after the lock of the quota.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.hosts import network_hosts
from novakit.store.network.networks import StoredNetwork, networks
from novakit.store.network.ports import addresses, ports
from novakit.store.network.quotas import network_quotas
from novakit.store.network.rows import made
from novakit.store.network.security_groups import security_groups
from novakit.store.network.subnets import StoredSubnet, subnets
from novakit.store.schema import JsonRows


@attrs.frozen(kw_only=True)
class Usable:
    """What of the network a request for servers may use."""

    networks: Sequence[tuple[StoredNetwork, int]]
    """Each with its number of subnets, the oldest first."""
    groups: Sequence[tuple[str, str]]
    """Ids and names of the project's security groups that have one of the names asked for, or are it by id."""
    limit: int | None
    """How many ports were set for the project; None where none were."""
    ports: int
    """How many it has."""


_PROJECT = sa.bindparam("project", type_=sa.String)
_GROUPS = sa.select(JsonRows(security_groups.c.id, security_groups.c.name)).where(
    security_groups.c.project_id == _PROJECT,
    security_groups.c.name.in_(sa.bindparam("names", expanding=True))
    | security_groups.c.id.in_(sa.bindparam("ids", expanding=True)),
)
_LIMIT = sa.select(network_quotas.c.limit).where(
    network_quotas.c.project_id == _PROJECT, network_quotas.c.resource == "port"
)
_PORTS = sa.select(sa.func.count()).select_from(ports).where(ports.c.project_id == _PROJECT)
_SUBNETS = sa.select(sa.func.count()).select_from(subnets).where(subnets.c.network_id == networks.c.id)
_ALWAYS = sa.select(sa.literal(1).label("one")).subquery()
"""One row, so that all but the networks is known also where there are none."""
_MAY_USE = (
    (networks.c.project_id == sa.bindparam("owner", type_=sa.String))
    | networks.c.shared
    | networks.c.external
    | sa.bindparam("everything", type_=sa.Boolean)
)


def _usable(which: sa.ColumnElement[bool]) -> sa.Select[*tuple[object, ...]]:
    return (
        sa.select(
            networks,
            _SUBNETS.correlate(networks).scalar_subquery(),
            _GROUPS.scalar_subquery(),
            _LIMIT.scalar_subquery(),
            _PORTS.scalar_subquery(),
        )
        .select_from(_ALWAYS.outerjoin(networks, which))
        .order_by(networks.c.created_at, networks.c.id)
    )


_USABLE = _usable(_MAY_USE)
_USABLE_AMONG = _usable(_MAY_USE & networks.c.id.in_(sa.bindparam("networks", expanding=True)))


async def usable(
    session: Session,
    project_id: str | None,
    *,
    groups: Collection[str],
    only: Collection[str] | None = None,
    everything: bool = False,
) -> Usable:
    """Fetch what a project may use of the network: own, shared and external networks, or `everything`.

    `groups` are names and ids of security groups; `only` are ids of networks, None for all.
    """
    values: dict[str, object] = {
        "project": project_id or "",
        "owner": project_id,
        "everything": everything,
        "names": list(groups),
        "ids": [name.lower() for name in groups],
    }
    if only is None:
        found = await session.rows(_USABLE, values)
    else:
        found = await session.rows(_USABLE_AMONG, {**values, "networks": list(only)})
    width = len(networks.c)
    return Usable(
        networks=[(made(StoredNetwork, row[:width]), row[width]) for row in found if row[0] is not None],
        groups=[(key, name) for key, name in found[0][width + 1] or ()],
        limit=found[0][width + 2],
        ports=found[0][width + 3],
    )


NEAR = 64
"""Addresses from a subnet's cursor on of which is known with the subnet itself whether they are in use."""


@attrs.frozen(kw_only=True)
class LockedSubnet:
    """A subnet that nobody else writes for the moment, with what new ports on it must know."""

    subnet: StoredSubnet
    network_name: str
    mtu: int
    port_security: bool
    """Whether new ports on its network are filtered."""
    near: frozenset[int]
    """Those of the `NEAR` addresses from the cursor on that are in use."""


@attrs.frozen(kw_only=True)
class NicSurroundings:
    """What new NICs of some servers are made by."""

    settled: Collection[str]
    """Servers that have a NIC already."""
    limits: Mapping[str, int]
    """How many ports were set for a project; those for which none were are left out."""
    ports: Mapping[str, int]
    """How many a project has; those that have none are left out."""
    groups: Mapping[str, str]
    """Names of security groups, by id."""
    vif_types: Mapping[str, str | None]
    """How hosts wire NICs, of those that have told."""
    subnets: Sequence[LockedSubnet] | None
    """Those of the networks, the oldest first; None where they must be locked by a statement of their own."""


def _among(column: sa.ColumnElement[str], name: str) -> sa.ColumnElement[bool]:
    return column.in_(sa.bindparam(name, expanding=True))


_COUNTED = (
    sa.select(ports.c.project_id.label("project_id"), sa.func.count().label("count"))
    .where(_among(ports.c.project_id, "projects"))
    .group_by(ports.c.project_id)
    .subquery()
)
_AROUND = (
    sa.select(JsonRows(ports.c.server_id)).where(_among(ports.c.server_id, "servers")),
    sa.select(JsonRows(network_quotas.c.project_id, network_quotas.c.limit)).where(
        _among(network_quotas.c.project_id, "projects"), network_quotas.c.resource == "port"
    ),
    sa.select(JsonRows(_COUNTED.c.project_id, _COUNTED.c.count)),
    sa.select(JsonRows(security_groups.c.id, security_groups.c.name)).where(_among(security_groups.c.id, "groups")),
    sa.select(JsonRows(network_hosts.c.host, network_hosts.c.vif_type)).where(_among(network_hosts.c.host, "hosts")),
)
_NEAR = (
    sa.select(JsonRows(addresses.c.number))
    .where(
        addresses.c.subnet_id == subnets.c.id,
        addresses.c.number.between(subnets.c.cursor, subnets.c.cursor + (NEAR - 1)),
    )
    .correlate(subnets)
)
_OF_SUBNET = (subnets, networks.c.name, networks.c.mtu, networks.c.port_security, _NEAR.scalar_subquery().label("near"))
_ON_NETWORKS = _among(subnets.c.network_id, "networks")
_BY_AGE = (subnets.c.created_at, subnets.c.id)
_SURROUNDINGS = sa.select(*(each.scalar_subquery() for each in _AROUND))
_SURROUNDINGS_AND_SUBNETS = (
    sa.select(*(each.scalar_subquery() for each in _AROUND), *_OF_SUBNET)
    .select_from(_ALWAYS.outerjoin(subnets.join(networks, networks.c.id == subnets.c.network_id), _ON_NETWORKS))
    .order_by(*_BY_AGE)
)
_LOCK = (
    sa.select(*_OF_SUBNET)
    .join(networks, networks.c.id == subnets.c.network_id)
    .where(_ON_NETWORKS)
    .order_by(*_BY_AGE)
    .with_for_update()
)


async def surroundings(
    session: Session,
    *,
    servers: Collection[str],
    projects: Collection[str],
    groups: Collection[str],
    hosts: Collection[str],
    networks: Collection[str],
) -> NicSurroundings:
    """Fetch what new NICs of servers are made by, for any number of them; in a transaction that writes.

    On SQLite that keeps all others from writing, so the subnets of networks come in the same statement.
    """
    asked = {"servers": list(servers), "projects": list(projects), "groups": list(groups), "hosts": list(hosts)}
    alone = session.dialect == "sqlite"
    if alone:
        found = await session.rows(_SURROUNDINGS_AND_SUBNETS, {**asked, "networks": list(networks)})
    else:
        found = await session.rows(_SURROUNDINGS, asked)
    width = len(_AROUND)
    settled, limits, counts, names, vif_types = (some or () for some in found[0][:width])
    return NicSurroundings(
        settled={server for (server,) in settled},
        limits=dict(limits),
        ports=dict(counts),
        groups=dict(names),
        vif_types=dict(vif_types),
        subnets=[_locked(row[width:]) for row in found if row[width] is not None] if alone else None,
    )


async def lock_subnets(session: Session, network_ids: Collection[str]) -> list[LockedSubnet]:
    """Fetch the subnets of networks, the oldest first, and keep other writers off them, on PostgreSQL.

    An address of `near` may have been taken while the lock was waited for; the key of the addresses then refuses it,
    and whoever collided begins again.
    """
    return [_locked(row) for row in await session.rows(_LOCK, {"networks": list(network_ids)})]


def _locked(row: Sequence[Any]) -> LockedSubnet:
    width = len(subnets.c)
    return LockedSubnet(
        subnet=made(StoredSubnet, row[:width]),
        network_name=row[width],
        mtu=row[width + 1],
        port_security=row[width + 2],
        near=frozenset(number for (number,) in row[width + 3] or ()),
    )
