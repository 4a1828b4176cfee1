"""Whether anything changed of what stands around guests, which hosts note beside the ports of their own.

That are networks, subnets, routers, floating IPs, security groups with their rules, and ports that no server has: few
rows, which change seldom, while the ports of servers come and go all the time.
"""

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
