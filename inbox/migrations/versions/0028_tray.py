"""The in-app tray"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
UNREAD = sa.text("read_at IS NULL")
LISTED = ("mine", "unassigned", "others")  # texts, which the lists show themselves
FREE, OWN = "free", ("registration", "import")


def upgrade() -> None:
    op.create_table(
        "tray_item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("notice_id", sa.Integer(), nullable=True),
        sa.Column("conversation_id", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("event", sa.String(length=12), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_tray_item_member_id_member")),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], name=op.f("fk_tray_item_notice_id_notice"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_tray_item_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_tray_item_message_id_message")),
        sa.ForeignKeyConstraint(["actor_id"], ["member.id"], name=op.f("fk_tray_item_actor_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tray_item")),
        sa.UniqueConstraint("notice_id", "member_id", name=op.f("uq_tray_item_notice_id_member_id")),
    )
    with op.batch_alter_table("tray_item") as batch:
        batch.create_index("ix_tray_item_member", ["member_id", "id"])
        batch.create_index("ix_tray_item_unread", ["member_id", "conversation_id"], sqlite_where=UNREAD, postgresql_where=UNREAD)
        batch.create_index("ix_tray_item_conversation", ["conversation_id"])
        batch.create_index("ix_tray_item_created", ["created_at"])
    with op.batch_alter_table("notification_setting") as batch:
        batch.add_column(sa.Column("sound", sa.String(length=5), server_default="off", nullable=False))
        batch.add_column(sa.Column("volume", sa.SmallInteger(), server_default="60", nullable=False))
    _wish()


def _wish() -> None:
    """Whoever has chosen already finds everything in the tray too, and hears by push what is free the way they hear of what is assigned to them."""
    wish = sa.table("notification_wish", *(sa.column(name) for name in ("member_id", "inbox_id", "event", "way", "wanted")))
    columns = ["member_id", "inbox_id", "event", "way", "wanted"]
    had = sa.select(wish.c.member_id, wish.c.inbox_id, wish.c.event, sa.literal("app"), sa.true()).where(wish.c.way == "mail", wish.c.event.not_in(LISTED))
    op.execute(wish.insert().from_select(columns, had))
    for event in (FREE, *OWN):
        new = sa.select(wish.c.member_id, wish.c.inbox_id, sa.literal(event), sa.literal("app"), sa.true()).where(wish.c.way == "mail", wish.c.event == "assigned")
        op.execute(wish.insert().from_select(columns, new))
    push = sa.select(wish.c.member_id, wish.c.inbox_id, sa.literal(FREE), wish.c.way, wish.c.wanted).where(wish.c.way == "push", wish.c.event == "assigned")
    op.execute(wish.insert().from_select(columns, push))


def downgrade() -> None:
    wish = sa.table("notification_wish", sa.column("event"), sa.column("way"))
    told, notice = sa.table("notification", sa.column("event")), sa.table("notice", sa.column("kind"))
    op.execute(sa.delete(wish).where(sa.or_(wish.c.way == "app", wish.c.event.in_((FREE, *OWN)))))
    op.execute(sa.delete(told).where(told.c.event == FREE))
    op.drop_table("tray_item")
    op.execute(sa.delete(notice).where(notice.c.kind == FREE))
    with op.batch_alter_table("notification_setting") as batch:
        batch.drop_column("volume")
        batch.drop_column("sound")
