"""Attributes that clients keep of identity's things besides those of the API"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("domains", "projects", "users", "roles", "regions", "services", "endpoints")


def upgrade() -> None:
    for name in TABLES:
        with op.batch_alter_table(f"identity_{name}", schema=None) as batch_op:
            batch_op.add_column(sa.Column("extra", sa.JSON(), nullable=True))
