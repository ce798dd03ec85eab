"""Mentions and followers"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
NEW = ("mentioned", "followed")


def upgrade() -> None:
    op.create_table(
        "following",
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_following_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_following_member_id_member")),
        sa.PrimaryKeyConstraint("conversation_id", "member_id", name=op.f("pk_following")),
    )
    with op.batch_alter_table("following") as batch:
        batch.create_index("ix_following_member", ["member_id", "conversation_id"])
    op.create_table(
        "mention",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("length", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_mention_member_id_member")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_mention_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mention")),
        sa.UniqueConstraint("message_id", "position", name=op.f("uq_mention_message_id_position")),
    )
    with op.batch_alter_table("mention") as batch:
        batch.create_index("ix_mention_member", ["member_id", "message_id"])
    op.create_table(
        "last_read",
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_last_read_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_last_read_member_id_member")),
        sa.PrimaryKeyConstraint("conversation_id", "member_id", name=op.f("pk_last_read")),
    )
    wish = sa.table("notification_wish", *(sa.column(name) for name in ("member_id", "inbox_id", "event", "way", "wanted")))
    for event in NEW:  # whoever has chosen already gets these the way they want to hear that something was assigned to them
        chosen = sa.select(wish.c.member_id, wish.c.inbox_id, sa.literal(event), wish.c.way, wish.c.wanted).where(wish.c.event == "assigned")
        op.execute(wish.insert().from_select(["member_id", "inbox_id", "event", "way", "wanted"], chosen))


def downgrade() -> None:
    for table, column in (("notification_wish", "event"), ("notification", "event"), ("notice", "kind")):
        name = sa.column(column)
        op.execute(sa.delete(sa.table(table, name)).where(name.in_(NEW)))
    for table in ("last_read", "mention", "following"):
        op.drop_table(table)
