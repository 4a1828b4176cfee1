"""Networks."""

from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.rows import Condition, StoredResource, counters, owned_by, standard_columns
from novakit.store.schema import metadata

networks = sa.Table(
    "networks",
    metadata,
    *standard_columns(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("shared", sa.Boolean, nullable=False, default=False),
    sa.Column("external", sa.Boolean, nullable=False, default=False),
    sa.Column("is_default", sa.Boolean, nullable=False, default=False),
    sa.Column("mtu", sa.Integer, nullable=False),
    sa.Column("port_security", sa.Boolean, nullable=False, default=True),
    sa.Column("segment", sa.Integer, nullable=False, unique=True),
    sa.Column("network_type", sa.String(16), nullable=False),
    sa.Column("physical_network", sa.String(255)),
    sa.Column("dns_domain", sa.String(255), nullable=False, default=""),
    sa.Column("fault", sa.Text),
    sa.UniqueConstraint("physical_network", name="uq_networks_physical_network"),
)


@attrs.frozen
class StoredNetwork(StoredResource):
    """A row of `networks`."""

    table: ClassVar[sa.Table] = networks
    admin_state_up: bool
    shared: bool
    external: bool
    is_default: bool
    mtu: int
    port_security: bool
    segment: int
    network_type: str
    physical_network: str | None
    dns_domain: str
    fault: str | None


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project may use: own, shared and external ones; None keeps all."""
    own = owned_by(networks, project_id)
    return [own[0] | networks.c.shared | networks.c.external] if own else []


async def next_segment(session: Session, highest: int) -> int:
    """Hand out the next segment from 1 to `highest` that no network has, going round; writers wait for each other."""
    await session.execute(session.insert(counters).values(name="segment", value=0).on_conflict_do_nothing())
    statement = sa.update(counters).where(counters.c.name == "segment").values(value=counters.c.value + 1)
    while True:
        number = int(await session.scalar(statement.returning(counters.c.value))) % highest or highest
        if not await session.scalar(sa.select(networks.c.segment).where(networks.c.segment == number)):
            return number
