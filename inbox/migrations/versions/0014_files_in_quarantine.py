"""Files that are kept apart, files that wait to be sent, contact cards, and inboxes that write plain characters"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

PENDING = sa.text("state = 'pending'")
UNSENT = sa.text("message_id IS NULL")


def upgrade() -> None:
    op.drop_index("ix_attachment_pending", "attachment")  # made anew: the table is copied, and a partial index must stay one
    with op.batch_alter_table("attachment") as batch:
        batch.alter_column("message_id", existing_type=sa.Integer(), nullable=True)
        batch.add_column(sa.Column("member_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("card", sa.JSON(), nullable=True))
        batch.create_foreign_key(op.f("fk_attachment_member_id_member"), "member", ["member_id"], ["id"])
    op.create_index("ix_attachment_pending", "attachment", ["next_at"], sqlite_where=PENDING, postgresql_where=PENDING)
    op.create_index("ix_attachment_unsent", "attachment", ["next_at"], sqlite_where=UNSENT, postgresql_where=UNSENT)
    with op.batch_alter_table("inbox") as batch:
        batch.add_column(sa.Column("plain_texts", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("inbox") as batch:
        batch.drop_column("plain_texts")
    op.execute("DELETE FROM attachment WHERE message_id IS NULL")
    op.execute("UPDATE attachment SET state = 'refused' WHERE state = 'held'")
    op.drop_index("ix_attachment_unsent", "attachment")
    op.drop_index("ix_attachment_pending", "attachment")
    with op.batch_alter_table("attachment") as batch:
        batch.drop_constraint(op.f("fk_attachment_member_id_member"), type_="foreignkey")
        batch.drop_column("card")
        batch.drop_column("member_id")
        batch.alter_column("message_id", existing_type=sa.Integer(), nullable=False)
    op.create_index("ix_attachment_pending", "attachment", ["next_at"], sqlite_where=PENDING, postgresql_where=PENDING)
