"""Host measurements, and operations by when they ended"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "host_metrics",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("received_at", schema.UTC(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.name"], name=op.f("fk_host_metrics_host"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_metrics")),
    )
    with op.batch_alter_table("host_metrics", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_host_metrics_changed"), ["changed"], unique=False)
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.create_index(
            "ix_operations_finished_at",
            ["finished_at"],
            unique=False,
            sqlite_where=sa.text("finished_at IS NOT NULL"),
            postgresql_where=sa.text("finished_at IS NOT NULL"),
        )
