"""Scheduled texts and the time to undo"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


UNDOABLE = sa.text("undo_until IS NOT NULL AND state IN ('queued','held')")


def upgrade() -> None:
    with op.batch_alter_table("member") as batch:
        batch.add_column(sa.Column("undo_seconds", sa.SmallInteger(), server_default="5", nullable=False))
    with op.batch_alter_table("message") as batch:
        batch.add_column(sa.Column("undo_until", MOMENT, nullable=True))
    with op.batch_alter_table("dispatch") as batch:
        batch.add_column(sa.Column("undo_until", MOMENT, nullable=True))
        batch.add_column(sa.Column("seen", sa.Integer(), server_default="0", nullable=False))
        batch.add_column(sa.Column("added", sa.Integer(), server_default="0", nullable=False))
        batch.create_index("ix_dispatch_undoable", ["conversation_id"], sqlite_where=UNDOABLE, postgresql_where=UNDOABLE)
    with op.batch_alter_table("draft") as batch:
        batch.add_column(sa.Column("files", sa.JSON(), server_default="[]", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("draft") as batch:
        batch.drop_column("files")
    with op.batch_alter_table("dispatch") as batch:
        batch.drop_index("ix_dispatch_undoable")
        batch.drop_column("added")
        batch.drop_column("seen")
        batch.drop_column("undo_until")
    with op.batch_alter_table("message") as batch:
        batch.drop_column("undo_until")
    with op.batch_alter_table("member") as batch:
        batch.drop_column("undo_seconds")
