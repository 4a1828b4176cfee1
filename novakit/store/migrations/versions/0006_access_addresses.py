"""Where servers are reached, and whether their guests grow their disks"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("servers", schema=None) as batch_op:
        batch_op.add_column(sa.Column("access_ip_v4", sa.String(length=15), nullable=True))
        batch_op.add_column(sa.Column("access_ip_v6", sa.String(length=39), nullable=True))
        batch_op.add_column(sa.Column("auto_disk_config", sa.Boolean(), server_default=sa.false(), nullable=False))
