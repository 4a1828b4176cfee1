"""Hosts' networks have a name for all of their topology but the members of security groups"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("network_hosts", sa.Column("shape", sa.String(length=36), nullable=False, server_default=""))
    op.add_column("network_hosts", sa.Column("shape_of", sa.BigInteger(), nullable=False, server_default="0"))
