"""When the host that an operation waits for first did not answer"""

import sqlalchemy as sa
from alembic import op

from novakit.store.schema import UTC

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("operations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("silent_since", UTC, nullable=True))
