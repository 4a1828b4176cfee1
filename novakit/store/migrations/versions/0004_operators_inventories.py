"""Inventories as hosts report them and as operators state them"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("inventories", schema=None) as batch_op:
        batch_op.add_column(sa.Column("reported", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("stated", sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column("restated", sa.Boolean(), server_default=sa.false(), nullable=False))
