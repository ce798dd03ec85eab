"""Limits of an approved campaign, and drafts that wait for it"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("registration") as batch:
        batch.add_column(sa.Column("limits", sa.JSON(), nullable=False, server_default="{}"))
        batch.add_column(sa.Column("reached", sa.JSON(), nullable=False, server_default="{}"))
    with op.batch_alter_table("draft") as batch:
        batch.add_column(sa.Column("release", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch.add_column(sa.Column("seen", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("released_why", sa.Text(), nullable=False, server_default=""))
        batch.create_index("ix_draft_release", ["conversation_id"], sqlite_where=sa.text("release"), postgresql_where=sa.text("release"))


def downgrade() -> None:
    with op.batch_alter_table("draft") as batch:
        batch.drop_index("ix_draft_release")
        batch.drop_column("released_why")
        batch.drop_column("seen")
        batch.drop_column("release")
    with op.batch_alter_table("registration") as batch:
        batch.drop_column("reached")
        batch.drop_column("limits")
