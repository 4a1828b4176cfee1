"""What the servers of a project take from its quota is summed from an index, without a look at each of them"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    columns = ["project_id", "deleted_at", "created_at", "number", "id", "vcpus", "memory_mb"]
    op.drop_index("ix_servers_page", table_name="servers")
    op.create_index("ix_servers_page", "servers", columns, unique=False)
