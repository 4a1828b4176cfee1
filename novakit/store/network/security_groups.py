"""Security groups."""

from typing import ClassVar

import attrs
import sqlalchemy as sa

from novakit.store.engine import Session
from novakit.store.network.rows import Condition, StoredResource, fresh, owned_by, standard_columns
from novakit.store.schema import metadata

security_groups = sa.Table(
    "security_groups",
    metadata,
    *standard_columns(),
    sa.Column("stateful", sa.Boolean, nullable=False, default=True),
)


@attrs.frozen
class StoredSecurityGroup(StoredResource):
    """A row of `security_groups`."""

    table: ClassVar[sa.Table] = security_groups
    stateful: bool


def seen_by(project_id: str | None) -> list[Condition]:
    """Make the condition that keeps to what a project owns; None keeps everything."""
    return owned_by(security_groups, project_id)


async def add_unless_there(session: Session, key: str, project_id: str) -> bool:
    """Add a project's default group. Returns whether it was not there."""
    row = fresh(id=key, project_id=project_id, name="default", description="Default security group")
    statement = session.insert(security_groups).values({**row, "stateful": True})
    return await session.changed(statement.on_conflict_do_nothing()) > 0
