"""What clients are told of ports on a host"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("network_hosts", sa.Column("vif_type", sa.String(length=32), nullable=True))
    op.add_column("network_hosts", sa.Column("port_filter", sa.Boolean(), nullable=True))
