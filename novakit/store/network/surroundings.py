"""What stands around guests: whether anything of it changed, which hosts note, and what of it is not as it should be.

That are networks, subnets, routers, floating IPs, security groups with their rules, and ports that no server has: few
rows, which change seldom, while the ports of servers come and go all the time.
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.floating_ips import floating_ips
from novakit.store.network.networks import networks
from novakit.store.network.ports import ports
from novakit.store.network.routers import routers
from novakit.store.network.security_group_rules import rules
from novakit.store.network.security_groups import security_groups
from novakit.store.network.subnets import subnets

Mark = tuple[object, ...]
"""Equal to another one where nothing changed in between."""


def _marks(table: sa.Table, *conditions: sa.ColumnElement[bool]) -> list[sa.ScalarSelect[object]]:
    # Not the moment alone, which is the same for a row that is gone and after a clock was set back.
    told = (sa.func.count(), sa.func.sum(table.c.revision), sa.func.max(table.c.updated_at))
    return [sa.select(one).select_from(table).where(*conditions).scalar_subquery() for one in told]


_TABLES = (networks, subnets, routers, floating_ips, security_groups, rules)
_MARK = sa.select(
    *(
        one.label(f"mark{place}")
        for place, one in enumerate(
            [each for table in _TABLES for each in _marks(table)] + _marks(ports, ports.c.server_id.is_(None))
        )
    )
)


async def mark(session: Session) -> Mark:
    """Fetch what stands for everything around guests as it is now; one statement."""
    return tuple((await session.execute(_MARK)).one())


def _unsettled(
    table: sa.Table, well: sa.ColumnElement[str], *conditions: sa.ColumnElement[bool]
) -> sa.Select[tuple[str, str, str]]:
    name = sa.literal_column(f"'{table.name}'", sa.String)
    differs = (table.c.status != well) | table.c.fault.is_not(None)
    return sa.select(name.label("kind"), table.c.id.label("id"), well.label("well")).where(differs, *conditions)


_ACTIVE, _DOWN = sa.literal_column("'ACTIVE'", sa.String), sa.literal_column("'DOWN'", sa.String)
_UNSETTLED = sa.union_all(
    _unsettled(ports, _ACTIVE, ports.c.device_owner.in_(sa.bindparam("owners", expanding=True))),
    _unsettled(routers, _ACTIVE),
    _unsettled(floating_ips, sa.case((floating_ips.c.port_id.is_not(None), _ACTIVE), else_=_DOWN)),
)


async def unsettled(session: Session, owners: Collection[str]) -> Sequence[tuple[str, str, str]]:
    """Fetch what has a fault or another status than it has where all is well; one statement, and mostly no rows.

    It is asked of ports that `owners` have, routers and floating IPs. Returns table, id and the status of one that is
    well.
    """
    return await session.rows(_UNSETTLED, {"owners": list(owners)})
