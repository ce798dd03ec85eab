"""Scheduled messages"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
DUE = sa.text("state = 'waiting'")
OPEN = sa.text("state IN ('waiting','held','dropped')")
CARRIED = sa.text("scheduled_id IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "scheduled_message",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("author_id", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("planned_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("unanswered", sa.Boolean(), nullable=False),
        sa.Column("seen", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("why", sa.String(400), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("nonce", sa.String(40), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_scheduled_message_account_id_account")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_scheduled_message_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["author_id"], ["member.id"], name=op.f("fk_scheduled_message_author_id_member")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_scheduled_message_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduled_message")),
        sa.UniqueConstraint("public_id", name=op.f("uq_scheduled_message_public_id")),
        sa.UniqueConstraint("conversation_id", "nonce", name=op.f("uq_scheduled_message_conversation_id_nonce")),
    )
    op.create_index("ix_scheduled_message_due", "scheduled_message", ["due_at", "id"], sqlite_where=DUE, postgresql_where=DUE)
    for name, columns in (("conversation", ["conversation_id", "due_at"]), ("author", ["author_id", "due_at", "id"]), ("account", ["account_id", "due_at", "id"])):
        op.create_index(f"ix_scheduled_message_{name}", "scheduled_message", columns, sqlite_where=OPEN, postgresql_where=OPEN)
    with op.batch_alter_table("attachment") as batch:
        batch.add_column(sa.Column("scheduled_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(op.f("fk_attachment_scheduled_id_scheduled_message"), "scheduled_message", ["scheduled_id"], ["id"])
    op.create_index("ix_attachment_scheduled", "attachment", ["scheduled_id"], sqlite_where=CARRIED, postgresql_where=CARRIED)
    wish = sa.table("notification_wish", *(sa.column(name) for name in ("member_id", "inbox_id", "event", "way", "wanted")))
    # whoever has chosen already hears of these the way they want to hear of a text that did not arrive
    chosen = sa.select(wish.c.member_id, wish.c.inbox_id, sa.literal("scheduled"), wish.c.way, wish.c.wanted).where(wish.c.event == "failed")
    op.execute(wish.insert().from_select(["member_id", "inbox_id", "event", "way", "wanted"], chosen))


def downgrade() -> None:
    for table, column in (("notification_wish", "event"), ("notification", "event"), ("notice", "kind")):
        name = sa.column(column)
        op.execute(sa.delete(sa.table(table, name)).where(name == "scheduled"))
    op.drop_index("ix_attachment_scheduled", "attachment")
    with op.batch_alter_table("attachment") as batch:
        batch.drop_constraint(op.f("fk_attachment_scheduled_id_scheduled_message"), type_="foreignkey")
        batch.drop_column("scheduled_id")
    op.drop_table("scheduled_message")
