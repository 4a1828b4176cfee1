"""What stands around guests: whether anything of it changed, and what of it hosts note.

That are networks, subnets, routers, floating IPs, security groups with their rules, and ports that no server has: few
rows, which change seldom, while the ports of servers come and go all the time.
"""

from collections.abc import Collection
from typing import Any, NamedTuple

import attrs
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.networks import networks
from novakit.store.network.ports import StoredPort, addresses, port_groups, ports
from novakit.store.network.routers import routers
from novakit.store.network.security_group_rules import rules
from novakit.store.network.security_groups import security_groups
from novakit.store.network.subnets import subnets
from novakit.store.schema import JsonRows, shared

Mark = tuple[object, ...]
"""Equal to another one where nothing changed in between."""
PASSING = frozenset({"status", "fault", "revision", "updated_at", "cursor"})
"""Columns that change without anybody's asking, or with every other one."""


class _Fraction(FunctionElement[int]):
    """The microseconds of a moment, as a number that costs next to nothing."""

    name = "fraction"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(_Fraction)
def _fraction(element: _Fraction, compiler: SQLCompiler, **how: object) -> str:
    return f"CAST(substr({compiler.process(element.clauses, **how)}, 21) AS INTEGER)"


@compiles(_Fraction, "postgresql")
def _fraction_of_postgresql(element: _Fraction, compiler: SQLCompiler, **how: object) -> str:
    return f"CAST(extract(microseconds FROM {compiler.process(element.clauses, **how)}) AS BIGINT)"


def _marks(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> sa.Select[*tuple[object, ...]]:
    changed = table.c.updated_at
    # Not the latest moment alone, which is the same for a row that is gone and after a clock was set back: then the
    # sum of fractions tells a row from another one that came for it.
    told = (sa.func.count(), sa.func.sum(table.c.revision), sa.func.max(changed), sa.func.sum(_Fraction(changed)))
    name = sa.literal_column(f"'{table.name}'", sa.String)
    return sa.select(name.label("kind"), *told).select_from(table).where(*conditions)


_TABLES = (networks, subnets, routers, floating_ips, security_groups, rules)
_MARK = sa.union_all(*(_marks(table) for table in _TABLES), _marks(ports, ports.c.server_id.is_(None)))


async def mark(session: Session) -> Mark:
    """Fetch what stands for everything around guests as it is now, but for columns that are `PASSING`; one statement.

    It holds for rows that are made, changed by `rows.change` and deleted, and for addresses of ports that no server has
    where whoever gives or takes one changes the port, too.
    """
    return tuple(sorted(tuple(row) for row in await session.rows(_MARK)))


class GuestPort(NamedTuple):
    """A guest's port as it is noted; equal to another one where the note of it is the same."""

    host: str
    network_id: str
    floating_ips: str | None
    """JSON: the ids of those that lead to it, each in a list of its own; the order is any, and None stands for none."""
    groups: str | None
    """The same of its security groups."""
    addresses: str | None
    """JSON: lists of a subnet's id and a number."""
    columns: tuple[Any, ...]
    """Values of `NOTED`."""


NOTED = tuple(field.name for field in attrs.fields(StoredPort) if field.name not in PASSING)


def _of_port(table: sa.Table, *columns: sa.Column[Any]) -> sa.ScalarSelect[Any]:
    # As text, which is compared: reading it costs ten times as much, and mostly it is the one that was read before.
    return (
        sa.select(sa.cast(JsonRows(*columns), sa.Text))
        .where(table.c.port_id == ports.c.id)
        .correlate(ports)
        .scalar_subquery()
    )


_GUEST_PORTS = (
    sa.select(
        ports.c.host.label("of_host"),
        ports.c.network_id.label("on_network"),
        _of_port(floating_ips, floating_ips.c.id),
        _of_port(port_groups, port_groups.c.group_id),
        _of_port(addresses, addresses.c.subnet_id, addresses.c.number),
        *(shared(ports.c[name]) for name in NOTED),
    )
    .where(ports.c.host.in_(sa.bindparam("hosts", expanding=True)), ports.c.server_id.is_not(None))
    .order_by(ports.c.created_at, ports.c.id)
)


async def guest_ports(session: Session, hosts: Collection[str]) -> list[GuestPort]:
    """Fetch the ports of the servers on hosts as they are noted, the oldest first; one statement."""
    found = await session.rows(_GUEST_PORTS, {"hosts": list(hosts)})
    return [GuestPort._make((*row[:5], tuple(row[5:]))) for row in found]
