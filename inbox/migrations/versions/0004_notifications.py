"""Notifications."""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


def upgrade() -> None:
    _wishes()
    _notices()
    _push()


def _wishes() -> None:
    op.create_table(
        "notification_setting",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("previews", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_notification_setting_member_id_member")),
        sa.PrimaryKeyConstraint("member_id", name=op.f("pk_notification_setting")),
    )
    op.create_table(
        "notification_wish",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=True),
        sa.Column("event", sa.String(length=12), nullable=False),
        sa.Column("way", sa.String(length=4), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_notification_wish_inbox_id_inbox")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_notification_wish_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification_wish")),
    )
    with op.batch_alter_table("notification_wish", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notification_wish_member_id"), ["member_id"], unique=False)
        for name, columns, where in (
            ("uq_notification_wish_all", ["member_id", "event", "way"], "inbox_id IS NULL"),
            ("uq_notification_wish_inbox", ["member_id", "inbox_id", "event", "way"], "inbox_id IS NOT NULL"),
        ):
            batch_op.create_index(name, columns, unique=True, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("actor_id", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("fanned_at", MOMENT, nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_notice_account_id_account")),
        sa.ForeignKeyConstraint(["actor_id"], ["member.id"], name=op.f("fk_notice_actor_id_member")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_notice_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_notice_member_id_member")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_notice_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    new, waiting = sa.text("fanned_at IS NULL"), sa.text("state IN ('waiting','claimed')")
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index("ix_notice_new", ["created_at"], unique=False, sqlite_where=new, postgresql_where=new)
    op.create_table(
        "notification",
        sa.Column("notice_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=12), nullable=False),
        sa.Column("way", sa.String(length=4), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=False),
        sa.Column("claim", sa.String(length=36), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_notification_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_notification_member_id_member")),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], name=op.f("fk_notification_notice_id_notice"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint("notice_id", "member_id", "way", name=op.f("uq_notification_notice_id_member_id_way")),
    )
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.create_index("ix_notification_due", ["due_at"], unique=False, sqlite_where=waiting, postgresql_where=waiting)
        batch_op.create_index("ix_notification_open", ["member_id", "way"], unique=False, sqlite_where=waiting, postgresql_where=waiting)
        batch_op.create_index("ix_notification_claim", ["claim"], unique=False)
        batch_op.create_index("ix_notification_ended", ["ended_at"], unique=False)


def _push() -> None:
    op.create_table(
        "push_key",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("private", sa.String(length=300), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push_key")),
    )
    op.create_table(
        "push_subscription",
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.String(length=1500), nullable=False),
        sa.Column("endpoint_digest", sa.String(length=64), nullable=False),
        sa.Column("p256dh", sa.String(length=100), nullable=False),
        sa.Column("auth", sa.String(length=300), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_push_subscription_member_id_member")),
        sa.ForeignKeyConstraint(["session_id"], ["login_session.id"], name=op.f("fk_push_subscription_session_id_login_session"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_push_subscription")),
        sa.UniqueConstraint("endpoint_digest", name=op.f("uq_push_subscription_endpoint_digest")),
    )
    with op.batch_alter_table("push_subscription", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_push_subscription_member_id"), ["member_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_push_subscription_session_id"), ["session_id"], unique=False)


def downgrade() -> None:
    for table in ("push_subscription", "push_key", "notification", "notice", "notification_wish", "notification_setting"):
        op.drop_table(table)
