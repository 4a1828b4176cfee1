"""Counts of wrong passwords, whose tokens were revoked, and what projects may keep of images"""

import sqlalchemy as sa
from alembic import op

from novakit.store import schema

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "login_attempts",
        sa.Column("who", sa.String(length=64), nullable=False),
        sa.Column("wrong", sa.Integer(), nullable=False),
        sa.Column("last_at", schema.UTC(), nullable=False),
        sa.Column("right_at", schema.UTC(), nullable=True),
        sa.PrimaryKeyConstraint("who", name=op.f("pk_login_attempts")),
    )
    with op.batch_alter_table("login_attempts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_login_attempts_last_at"), ["last_at"], unique=False)
    with op.batch_alter_table("identity_revocations", schema=None) as batch_op:
        batch_op.add_column(sa.Column("user_id", sa.String(length=64), nullable=True))
        batch_op.create_index(batch_op.f("ix_identity_revocations_user_id"), ["user_id"], unique=False)
    op.create_table(
        "image_quotas",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_image_quotas")),
    )
