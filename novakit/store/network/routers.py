"""Routers; their interfaces are ports."""

from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit.store.network.rows import Condition, StoredResource, owned_by, standard_columns
from novakit.store.schema import metadata, uuid_column

routers = sa.Table(
    "routers",
    metadata,
    *standard_columns(),
    sa.Column("admin_state_up", sa.Boolean, nullable=False, default=True),
    sa.Column("status", sa.String(16), nullable=False, default="ACTIVE"),
    sa.Column("fault", sa.Text),
    uuid_column("external_network_id", sa.ForeignKey("networks.id"), index=True),
    uuid_column("gateway_port_id"),
    sa.Column("snat", sa.Boolean, nullable=False, default=True),
    sa.Column("routes", sa.JSON, nullable=False),
)
"""`routes` are pairs of destination and next hop."""


@attrs.frozen
class StoredRouter(StoredResource):
    """A row of `routers`."""

    table: ClassVar[sa.Table] = routers
    admin_state_up: bool
    status: str
    fault: str | None
    external_network_id: str | None
    gateway_port_id: str | None
    snat: bool
    routes: list[tuple[str, str]]


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project owns; None keeps everything."""
    return owned_by(routers, project_id)
