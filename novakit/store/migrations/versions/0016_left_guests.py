"""Guests that may be on hosts that their servers have left"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "left_guests",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("server_id", sa.String(length=36), nullable=False),
        sa.Column("since", schema.UTC(), nullable=False),
        sa.PrimaryKeyConstraint("host", "server_id", name=op.f("pk_left_guests")),
    )
    op.create_index("ix_left_guests_server_id", "left_guests", ["server_id"], unique=False)
    op.execute(
        "INSERT INTO left_guests (host, server_id, since) SELECT host, id, deleted_at FROM servers "
        "WHERE deleted_at IS NOT NULL AND terminated_at IS NULL AND host IS NOT NULL"
    )
