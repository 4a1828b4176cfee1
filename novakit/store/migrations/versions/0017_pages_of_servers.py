"""A page of a project's servers is read from an index in its order"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_servers_project_id_deleted_at", table_name="servers")
    op.create_index(
        "ix_servers_page", "servers", ["project_id", "deleted_at", "created_at", "number", "id"], unique=False
    )
