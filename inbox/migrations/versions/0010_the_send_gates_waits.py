"""What made a text leave, and until when the send gate makes it wait"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("message") as batch:
        batch.add_column(sa.Column("path", sa.String(length=10), nullable=False, server_default=""))
    with op.batch_alter_table("dispatch") as batch:
        batch.add_column(sa.Column("held_until", inbox.models.base.Moment(timezone=True)))
    op.execute("UPDATE message SET path = 'reply' WHERE kind = 'out'")
    op.execute("UPDATE message SET path = 'auto' WHERE kind = 'auto'")


def downgrade() -> None:
    with op.batch_alter_table("dispatch") as batch:
        batch.drop_column("held_until")
    with op.batch_alter_table("message") as batch:
        batch.drop_column("path")
