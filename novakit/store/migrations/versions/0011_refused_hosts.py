"""Hosts of other deployments"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refused_hosts",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("deployment", sa.String(length=36), nullable=False),
        sa.Column("since", schema.UTC(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_refused_hosts")),
    )
