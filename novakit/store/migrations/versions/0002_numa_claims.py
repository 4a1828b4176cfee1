"""NUMA claims"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "numa_claims",
        sa.Column("server_id", sa.String(length=36), nullable=False),
        sa.Column("provider_id", sa.String(length=36), nullable=False),
        sa.Column("taken", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("server_id", name=op.f("pk_numa_claims")),
    )
    with op.batch_alter_table("numa_claims", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_numa_claims_provider_id"), ["provider_id"], unique=False)
