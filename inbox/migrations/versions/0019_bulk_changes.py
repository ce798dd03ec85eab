"""Bulk changes and what a snooze remembers"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
MOVING = sa.text("state IN ('running','undoing')")


def upgrade() -> None:
    op.create_table(
        "bulk",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=10), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        sa.Column("label", sa.String(length=120), nullable=False),
        sa.Column("filter", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("reached_id", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("missed", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_bulk_account_id_account")),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_bulk_inbox_id_inbox")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_bulk_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk")),
        sa.UniqueConstraint("public_id", name=op.f("uq_bulk_public_id")),
    )
    with op.batch_alter_table("bulk") as batch:
        batch.create_index("ix_bulk_member_id", ["member_id", "id"])
        batch.create_index("ix_bulk_moving", ["id"], sqlite_where=MOVING, postgresql_where=MOVING)
        batch.create_index("ix_bulk_created_at", ["created_at"])
    op.create_table(
        "bulk_item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bulk_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.ForeignKeyConstraint(["bulk_id"], ["bulk.id"], name=op.f("fk_bulk_item_bulk_id_bulk")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_bulk_item_conversation_id_conversation")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_item")),
        sa.UniqueConstraint("bulk_id", "conversation_id", name=op.f("uq_bulk_item_bulk_id_conversation_id")),
    )
    with op.batch_alter_table("bulk_item") as batch:
        batch.create_index("ix_bulk_item_bulk_id", ["bulk_id", "id"])
        batch.create_index("ix_bulk_item_conversation_id", ["conversation_id"])


def downgrade() -> None:
    op.drop_table("bulk_item")
    op.drop_table("bulk")
