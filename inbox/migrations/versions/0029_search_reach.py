"""Files of imports that are gone, and notices about many conversations at once"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
KEPT = sa.text("emptied_at IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("contact_import") as batch:
        batch.add_column(sa.Column("emptied_at", MOMENT, nullable=True))
        batch.create_index("ix_contact_import_kept", ["created_at"], sqlite_where=KEPT, postgresql_where=KEPT)
    with op.batch_alter_table("notice") as batch:
        batch.add_column(sa.Column("count", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("notice") as batch:
        batch.drop_column("count")
    with op.batch_alter_table("contact_import") as batch:
        batch.drop_index("ix_contact_import_kept")
        batch.drop_column("emptied_at")
