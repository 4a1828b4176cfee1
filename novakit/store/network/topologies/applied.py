"""Which topologies hosts have, and what of the network is not as it should be where they have them.

On SQLite both is one statement: one that records returns the rest. On PostgreSQL it is two, the one that records at the
end: whoever changes ports changes these before their host, and who did it the other way round would wait in a circle.
A port may leave its host between the two, so that what is written of it holds only where it still is there.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache

import attrs
import orjson
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.hosts import network_hosts
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers
from novakit.store.schema import JsonRows, Returned


@attrs.frozen
class WiredPort:
    """What a host made of one port on it."""

    id: str
    network_id: str
    admin_state_up: bool
    status: str
    fault: str | None


@attrs.frozen
class PortState:
    """What is new of one port on a host."""

    id: str
    status: str
    fault: str | None


@attrs.frozen(kw_only=True)
class HostState:
    """What is known of a host that has a topology."""

    applied: int
    """The latest revision that was recorded, or is recorded with the question."""
    wanted: int
    """The latest revision that it is to have."""
    is_gateway: bool
    ports: Sequence[WiredPort]
    """Those on it that have a fault or another status than where all is well, or every one."""
    around: Sequence[tuple[str, str, str]]
    """Of the gateway host, the routers, floating IPs and routers' and DHCP's ports that are not well: table, id and the
    status of one that is."""


def _unsettled(
    table: sa.Table, well: sa.ColumnElement[str], *conditions: sa.ColumnElement[bool]
) -> sa.Select[tuple[str, str, str]]:
    name = sa.literal_column(f"'{table.name}'", sa.String)
    differs = (table.c.status != well) | table.c.fault.is_not(None)
    return sa.select(name.label("kind"), table.c.id.label("id"), well.label("well")).where(differs, *conditions)


_ACTIVE, _DOWN = sa.literal_column("'ACTIVE'", sa.String), sa.literal_column("'DOWN'", sa.String)
_OWNED = ports.c.device_owner.in_(sa.bindparam("owners", expanding=True))
UNSETTLED = sa.union_all(
    # No server has one of them: said so that they are found by that, and not among all ports.
    _unsettled(ports, _ACTIVE, _OWNED, ports.c.server_id.is_(None)),
    _unsettled(routers, _ACTIVE),
    _unsettled(floating_ips, sa.case((floating_ips.c.port_id.is_not(None), _ACTIVE), else_=_DOWN)),
)
_AROUND = UNSETTLED.subquery().c
_IS_SETTLED = ports.c.fault.is_(None) & (ports.c.status == sa.case((ports.c.admin_state_up, _ACTIVE), else_=_DOWN))
_GIVEN = sa.func.json_each(sa.bindparam("revisions")).table_valued("key", "value").alias("given")
_REVISION = sa.cast(_GIVEN.c.value, sa.BigInteger)
_APPLIED = (
    sa.update(network_hosts)
    .where(network_hosts.c.host == _GIVEN.c.key)
    # The older one stays by its value: a host of which nothing is new must be returned, too.
    .values(applied=sa.case((network_hosts.c.applied < _REVISION, _REVISION), else_=network_hosts.c.applied))
)
_APPLIED_EACH = (
    sa.update(network_hosts)
    .where(network_hosts.c.host == sa.bindparam("of_host"), network_hosts.c.applied < sa.bindparam("revision"))
    .values(applied=sa.bindparam("revision"))
)
_NEW_STATE = (
    sa.update(ports)
    .where(ports.c.id == sa.bindparam("port_id"), ports.c.host == sa.bindparam("on_host"))
    .values(status=sa.bindparam("new_status"), fault=sa.bindparam("new_fault"))
)


@cache
def _states(*, settled: bool, recording: bool) -> sa.UpdateBase | sa.Select[*tuple[object, ...]]:
    """Build the statement that tells of hosts, of all their ports if `settled`, and records what they have."""
    # Not shared: they may be long, hold what hosts say, and are seldom the same twice.
    of_host = sa.select(
        sa.type_coerce(JsonRows(*(ports.c[field.name] for field in attrs.fields(WiredPort))), sa.JSON())
    )
    of_host = of_host.where(ports.c.host == network_hosts.c.host, *(() if settled else (~_IS_SETTLED,)))
    around = sa.select(sa.type_coerce(JsonRows(*_AROUND), sa.JSON())).scalar_subquery()
    told = (
        network_hosts.c.host,
        network_hosts.c.applied,
        network_hosts.c.wanted,
        network_hosts.c.gateway,
        Returned(of_host.correlate(network_hosts).scalar_subquery()),
        sa.case((network_hosts.c.gateway == 1, Returned(around))),
    )
    if recording:
        return _APPLIED.returning(*told)
    return sa.select(*told).where(network_hosts.c.host.in_(sa.bindparam("hosts", expanding=True)))


async def states(
    session: Session, revisions: Mapping[str, int], owners: Collection[str], *, settled: bool
) -> dict[str, HostState]:
    """Fetch what is known of hosts that have topologies of these revisions; those that are unknown are left out.

    `owners` are those of routers' and DHCP's ports. With `settled` every port of the hosts comes, whatever its state.
    What the hosts have is recorded by the same statement, or else by `record`.
    """
    recording = session.dialect == "sqlite"
    values: dict[str, object] = {"owners": list(owners)}
    if recording:
        values["revisions"] = orjson.dumps(dict(revisions)).decode()
    else:
        values["hosts"] = list(revisions)
    found = await session.rows(_states(settled=settled, recording=recording), values)
    return {
        host: HostState(
            applied=applied,
            wanted=wanted,
            is_gateway=gateway == 1,
            ports=[
                WiredPort(id, network, bool(is_up), status, fault) for id, network, is_up, status, fault in on or ()
            ],
            around=[(table, id, well) for table, id, well in around or ()],
        )
        for host, applied, wanted, gateway, on, around in found
    }


async def set_ports(session: Session, changes: Iterable[tuple[str, PortState]]) -> None:
    """Write the states of ports beside their hosts; one that is not on its host any more stays as it is."""
    lines = [
        {"on_host": host, "port_id": port.id, "new_status": port.status, "new_fault": port.fault}
        for host, port in changes
    ]
    if lines:
        await session.execute(_NEW_STATE, lines)


async def record(session: Session, revisions: Mapping[str, int]) -> None:
    """Record what hosts have where `states` has not; an older revision than the recorded one changes nothing."""
    if session.dialect != "sqlite" and revisions:
        lines = [{"of_host": host, "revision": revision} for host, revision in revisions.items()]
        await session.execute(_APPLIED_EACH, lines)
