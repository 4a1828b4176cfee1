"""Aggregates of resource providers are kept in small letters, as whoever asks for one is read"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

aggregates = sa.table(
    "resource_provider_aggregates",
    sa.column("provider_id", sa.String(36)),
    sa.column("aggregate_id", sa.String(36)),
)


def upgrade() -> None:
    c, connection = aggregates.c, op.get_bind()
    in_capitals = c.aggregate_id != sa.func.lower(c.aggregate_id)
    rows = connection.execute(sa.select(c.provider_id, c.aggregate_id).where(in_capitals)).all()
    if not rows:
        return
    connection.execute(sa.delete(aggregates).where(in_capitals))
    there = {tuple(row) for row in connection.execute(sa.select(c.provider_id, c.aggregate_id))}
    # In two spellings it was two rows, and is one.
    wanted = sorted({(provider, id.lower()) for provider, id in rows} - there)
    if wanted:
        made = [{"provider_id": provider, "aggregate_id": id} for provider, id in wanted]
        connection.execute(sa.insert(aggregates), made)
