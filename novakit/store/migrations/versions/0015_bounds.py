"""What projects leave behind is bounded: whose deleted images were, and less of deleted servers"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_decisions_project_id_number", "decisions", ["project_id", "number"], unique=False)
    for table in ("images", "deleted_images"):
        op.add_column(table, sa.Column("was_open", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deleted_images", sa.Column("owner", sa.String(length=64), nullable=True))
    op.create_index("ix_deleted_images_owner", "deleted_images", ["owner", "was_open", "deleted_at"], unique=False)
    op.execute(
        "UPDATE images SET was_open = true WHERE visibility IN ('public', 'community') "
        "OR id IN (SELECT image_id FROM image_members)"
    )
    op.execute(
        "UPDATE servers SET user_data = NULL, public_key = NULL, metadata = '{}', tags = '[]', "
        "image_properties = '{}', scheduler_hints = '{}', locked_reason = NULL WHERE deleted_at IS NOT NULL"
    )
