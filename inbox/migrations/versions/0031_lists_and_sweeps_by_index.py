"""What is archived for somebody, unread or owed, and what is swept by its age: each by an index"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

ARCHIVED, TOLD = sa.text("archived_at IS NOT NULL"), sa.text("fanned_at IS NOT NULL")
OWED, UNREAD = sa.text("owed_since IS NOT NULL AND archived_at IS NOT NULL"), sa.text("unread AND archived_at IS NOT NULL")


def upgrade() -> None:
    op.create_index("ix_notice_told", "notice", ["created_at"], sqlite_where=TOLD, postgresql_where=TOLD)
    op.create_index("ix_attempt_last_at", "attempt", ["last_at"])
    op.create_index("ix_conversation_assignee_out", "conversation", ["inbox_id", "assignee_id", "last_activity_at", "id"], sqlite_where=ARCHIVED, postgresql_where=ARCHIVED)
    op.create_index("ix_conversation_owed_out", "conversation", ["inbox_id", "last_activity_at", "id"], sqlite_where=OWED, postgresql_where=OWED)
    op.create_index("ix_conversation_unread_out", "conversation", ["inbox_id", "last_activity_at", "id"], sqlite_where=UNREAD, postgresql_where=UNREAD)


def downgrade() -> None:
    op.drop_index("ix_conversation_unread_out", "conversation")
    op.drop_index("ix_conversation_owed_out", "conversation")
    op.drop_index("ix_conversation_assignee_out", "conversation")
    op.drop_index("ix_attempt_last_at", "attempt")
    op.drop_index("ix_notice_told", "notice")
