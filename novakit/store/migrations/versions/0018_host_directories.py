"""Which directory a host reports from, and why a host is refused"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("directory", sa.String(length=36), nullable=False, server_default=""))
    op.add_column("refused_hosts", sa.Column("why", sa.Text(), nullable=False, server_default=""))
