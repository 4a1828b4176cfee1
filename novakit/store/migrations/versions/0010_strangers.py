"""Guests that no server is"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "strangers",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("guest", sa.String(length=36), nullable=False),
        sa.Column("claim_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("power", sa.String(length=16), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("keeps", sa.JSON(), nullable=False),
        sa.Column("held", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.String(length=40), nullable=True),
        sa.Column("first_seen", schema.UTC(), nullable=False),
        sa.PrimaryKeyConstraint("host", "guest", name=op.f("pk_strangers")),
    )
