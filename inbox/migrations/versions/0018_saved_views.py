"""Lists across inboxes, who waits for a reply, saved views"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
OPEN, ARCHIVED = sa.text("archived_at IS NULL"), sa.text("archived_at IS NOT NULL")
OWED = sa.text("owed_since IS NOT NULL AND archived_at IS NULL")
LISTS = [
    ("ix_conversation_owed", ["inbox_id", "owed_since", "id"], OWED),
    ("ix_conversation_owed_mine", ["assignee_id", "owed_since", "id"], OWED),
    ("ix_conversation_owed_work", ["account_id", "owed_since", "id"], OWED),
    ("ix_conversation_mine", ["assignee_id", "last_inbound_at", "id"], OPEN),
    ("ix_conversation_mine_out", ["assignee_id", "last_inbound_at", "id"], ARCHIVED),
    ("ix_conversation_work", ["account_id", "last_activity_at", "id"], OPEN),
    ("ix_conversation_work_out", ["account_id", "last_activity_at", "id"], ARCHIVED),
]

WEIGH = """
UPDATE conversation SET owed_since = (
    SELECT min(asked.created_at) FROM message AS asked
    WHERE asked.conversation_id = conversation.id AND asked.kind = 'in' AND asked.id > coalesce((
        SELECT max(told.id) FROM message AS told
        WHERE told.conversation_id = conversation.id AND told.kind = 'out' AND told.state NOT IN ('failed', 'undelivered', 'canceled')
    ), 0)
)
"""


def upgrade() -> None:
    op.execute("UPDATE conversation SET last_inbound_at = created_at WHERE last_inbound_at IS NULL")
    with op.batch_alter_table("conversation") as batch:
        batch.add_column(sa.Column("owed_since", MOMENT, nullable=True))
    op.execute(WEIGH)
    with op.batch_alter_table("conversation") as batch:
        for name, columns, where in LISTS:
            batch.create_index(name, columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=True),
        sa.Column("view", sa.String(length=12), nullable=False),
        sa.Column("query", sa.String(length=1000), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_saved_view_account_id_account")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_saved_view_member_id_member")),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_saved_view_inbox_id_inbox")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_view")),
        sa.UniqueConstraint("public_id", name=op.f("uq_saved_view_public_id")),
    )
    with op.batch_alter_table("saved_view") as batch:
        batch.create_index("ix_saved_view_member_id", ["member_id", "position"])
        batch.create_index("ix_saved_view_shared", ["account_id", "position"], sqlite_where=sa.text("shared"), postgresql_where=sa.text("shared"))


def downgrade() -> None:
    op.drop_table("saved_view")
    with op.batch_alter_table("conversation") as batch:
        for name, _, _ in reversed(LISTS):
            batch.drop_index(name)
        batch.drop_column("owed_since")
    op.execute("UPDATE conversation SET last_inbound_at = NULL WHERE last_inbound_id = 0")
