"""Profiles."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


COLUMNS = ("language", "picture_id", "picture_sha256", "picture_small_sha256", "text_signature", "email_signature")


def upgrade():
    with op.batch_alter_table("member", schema=None) as batch_op:
        batch_op.add_column(sa.Column("language", sa.String(length=12), nullable=False, server_default="en-US"))
        batch_op.add_column(sa.Column("picture_id", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("picture_sha256", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("picture_small_sha256", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("text_signature", sa.String(length=60), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("email_signature", sa.Text(), nullable=False, server_default=""))
        batch_op.create_index(batch_op.f("ix_member_picture_id"), ["picture_id"], unique=True)


def downgrade():
    op.drop_index("ix_member_picture_id", table_name="member")
    for name in COLUMNS:
        op.execute(f"ALTER TABLE member DROP COLUMN {name}")  # in place: a rebuilt table would drag along every row that points at it
