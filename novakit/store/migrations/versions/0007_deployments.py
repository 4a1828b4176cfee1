"""The identity of the deployment"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "deployments",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("begun_at", schema.UTC(), nullable=False),
        sa.Column("forgotten_before", schema.UTC(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_deployments")),
    )
