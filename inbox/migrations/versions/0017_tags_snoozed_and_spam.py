"""Tags, and conversations that are snoozed or spam"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
SNOOZED, SPAM = sa.text("snoozed_until IS NOT NULL"), sa.text("spam_at IS NOT NULL")


def upgrade() -> None:
    with op.batch_alter_table("conversation") as batch:
        batch.add_column(sa.Column("snoozed_until", MOMENT, nullable=True))
        batch.add_column(sa.Column("spam_at", MOMENT, nullable=True))
        batch.create_index("ix_conversation_snoozed", ["inbox_id", "last_activity_at", "id"], sqlite_where=SNOOZED, postgresql_where=SNOOZED)
        batch.create_index("ix_conversation_waking", ["snoozed_until"], sqlite_where=SNOOZED, postgresql_where=SNOOZED)
        batch.create_index("ix_conversation_spam", ["inbox_id", "last_activity_at", "id"], sqlite_where=SPAM, postgresql_where=SPAM)
    op.create_table(
        "tag",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("hue", sa.String(length=10), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_tag_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_tag_account_id_key")),
        sa.UniqueConstraint("public_id", name=op.f("uq_tag_public_id")),
    )
    op.create_table(
        "tagging",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_tagging_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["tag_id"], ["tag.id"], name=op.f("fk_tagging_tag_id_tag")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tagging")),
        sa.UniqueConstraint("conversation_id", "tag_id", name=op.f("uq_tagging_conversation_id_tag_id")),
    )
    with op.batch_alter_table("tagging") as batch:
        batch.create_index("ix_tagging_tag_id", ["tag_id", "conversation_id"])


def downgrade() -> None:
    op.drop_table("tagging")
    op.drop_table("tag")
    with op.batch_alter_table("conversation") as batch:
        for name in ("ix_conversation_spam", "ix_conversation_waking", "ix_conversation_snoozed"):
            batch.drop_index(name)
        batch.drop_column("spam_at")
        batch.drop_column("snoozed_until")
