"""What of the network of hosts is not as it should be."""

from collections.abc import Collection, Sequence

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.hosts import network_hosts
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers

_IS_SETTLED = ports.c.fault.is_(None) & (ports.c.status == sa.case((ports.c.admin_state_up, "ACTIVE"), else_="DOWN"))


def _wired(of_host: sa.ColumnElement[bool]) -> sa.Select[*tuple[object, ...]]:
    names = ("id", "network_id", "admin_state_up", "status", "fault")
    return (
        sa.select(network_hosts.c.host, network_hosts.c.gateway, *(ports.c[name] for name in names))
        .outerjoin(ports, of_host)
        .where(network_hosts.c.host.in_(sa.bindparam("hosts", expanding=True)))
    )


_OF_HOST = ports.c.host == network_hosts.c.host
_WIRED, _UNSETTLED = _wired(_OF_HOST), _wired(_OF_HOST & ~_IS_SETTLED)


@attrs.frozen
class WiredPort:
    """What a host made of one port on it."""

    id: str
    network_id: str
    admin_state_up: bool
    status: str
    fault: str | None


async def wired(
    session: Session, hosts: Collection[str], *, settled: bool
) -> list[tuple[str, int | None, WiredPort | None]]:
    """Fetch what hosts made of the ports on them; without `settled`, of those that have a fault or another status yet.

    Beside each port stand its host and whether that is the gateway; a host that has none stands there without a port.
    """
    rows = await session.rows(_WIRED if settled else _UNSETTLED, {"hosts": list(hosts)})
    return [(row[0], row[1], None if row[2] is None else WiredPort(*row[2:])) for row in rows]


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


async def unsettled(session: Session, owners: Collection[str]) -> Sequence[tuple[str, str, str]]:
    """Fetch what has a fault or another status than it has where all is well; one statement, and mostly no rows.

    It is asked of routers, floating IPs, and ports that no server has but one of `owners`. Returns table, id and the
    status of one that is well.
    """
    return await session.rows(UNSETTLED, {"owners": list(owners)})
