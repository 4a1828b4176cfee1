"""With which drivers hosts run"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "host_plugins",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("driver", sa.String(length=255), nullable=False),
        sa.Column("network", sa.String(length=255), nullable=False),
        sa.Column("plugins", sa.JSON(), nullable=False),
        sa.Column("since", schema.UTC(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_plugins")),
    )
