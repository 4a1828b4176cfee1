"""Floating IPs: addresses of external networks that lead to fixed ones."""

from collections.abc import Collection, Mapping
from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit import world
from novakit.store.engine import Session
from novakit.store.network.rows import Condition, StoredResource, owned_by, standard_columns
from novakit.store.schema import metadata, uuid_column

floating_ips = sa.Table(
    "floating_ips",
    metadata,
    *standard_columns(),
    uuid_column("external_network_id", sa.ForeignKey("networks.id"), nullable=False, index=True),
    uuid_column("floating_port_id", nullable=False),
    sa.Column("address", sa.String(45), nullable=False, index=True),
    uuid_column("port_id", index=True),
    sa.Column("fixed_number", sa.BigInteger),
    uuid_column("router_id", sa.ForeignKey("routers.id"), index=True),
    sa.Column("status", sa.String(16), nullable=False, default="DOWN"),
    sa.Column("fault", sa.Text),
    sa.UniqueConstraint("port_id", "fixed_number", name="uq_floating_ips_fixed"),
)


@attrs.frozen
class StoredFloatingIp(StoredResource):
    """A row of `floating_ips`."""

    table: ClassVar[sa.Table] = floating_ips
    external_network_id: str
    floating_port_id: str
    address: str
    port_id: str | None
    fixed_number: int | None
    router_id: str | None
    status: str
    fault: str | None


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project owns; None keeps everything."""
    return owned_by(floating_ips, project_id)


FREE: Mapping[str, str | None] = {
    "port_id": None,
    "fixed_number": None,
    "router_id": None,
    "status": "DOWN",
    "fault": None,
}
"""What a floating IP that leads nowhere has in its columns."""


async def free(session: Session, port_ids: Collection[str], numbers: Collection[int] | None = None) -> int:
    """Free the floating IPs that lead to ports, or to some of their addresses. Returns how many there were."""
    statement = sa.update(floating_ips).where(floating_ips.c.port_id.in_(list(port_ids)))
    if numbers is not None:
        statement = statement.where(floating_ips.c.fixed_number.in_(list(numbers)))
    return await session.changed(statement.values(**FREE, revision=floating_ips.c.revision + 1, updated_at=world.now()))
