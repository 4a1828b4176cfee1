"""How much room the file systems of hosts' directories have, apart from what hosts measure"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("hosts", sa.Column("room", sa.JSON(none_as_null=True), nullable=True))
