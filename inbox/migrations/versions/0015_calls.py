"""Calls and voicemail: a row per call, how an inbox takes calls, and the phone a member is rung on."""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OPEN = sa.text("ended_at IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("inbox") as batch:
        batch.add_column(sa.Column("ring_seconds", sa.Integer(), nullable=False, server_default="20"))
        batch.add_column(sa.Column("voicemail", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch.add_column(sa.Column("greeting", sa.String(length=320), nullable=False, server_default=""))
    with op.batch_alter_table("member") as batch:
        batch.add_column(sa.Column("phone", sa.String(length=20), nullable=False, server_default=""))
    moment = inbox.models.base.Moment(timezone=True)
    op.create_table(
        "call",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("direction", sa.String(length=3), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("provider_id", sa.String(length=80), nullable=True),
        sa.Column("ref", sa.String(length=40), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=True),
        sa.Column("agent_number", sa.String(length=20), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("claimed_at", moment, nullable=True),
        sa.Column("joined_at", moment, nullable=True),
        sa.Column("answered_at", moment, nullable=True),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=300), nullable=False),
        sa.Column("recording_id", sa.String(length=80), nullable=True),
        sa.Column("recording_seconds", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_call_account_id_account")),
        sa.ForeignKeyConstraint(["by_id"], ["member.id"], name=op.f("fk_call_by_id_member")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_call_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_call_inbox_id_inbox")),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name=op.f("fk_call_message_id_message")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_call")),
        sa.UniqueConstraint("account_id", "provider_id", name=op.f("uq_call_account_id_provider_id")),
        sa.UniqueConstraint("message_id", name=op.f("uq_call_message_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_call_public_id")),
        sa.UniqueConstraint("ref", name=op.f("uq_call_ref")),
    )
    op.create_index(op.f("ix_call_conversation_id"), "call", ["conversation_id"])
    op.create_index("ix_call_open", "call", ["started_at"], sqlite_where=OPEN, postgresql_where=OPEN)


def downgrade() -> None:
    """Rows of calls stay in their threads as lines of words."""
    op.drop_table("call")
    op.execute("UPDATE message SET kind = 'note', state = 'note' WHERE kind = 'call'")
    with op.batch_alter_table("member") as batch:
        batch.drop_column("phone")
    with op.batch_alter_table("inbox") as batch:
        for name in ("greeting", "voicemail", "ring_seconds"):
            batch.drop_column(name)
