"""Imports that can be undone"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
MOVING = sa.text("state IN ('checking','running','undoing')")


def upgrade() -> None:
    with op.batch_alter_table("contact_import") as batch:
        batch.add_column(sa.Column("started_at", MOMENT, nullable=True))
        batch.add_column(sa.Column("part", sa.Integer(), nullable=False, server_default="0"))
        batch.add_column(sa.Column("parts", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("header_key", sa.String(length=64), nullable=False, server_default=""))
        batch.add_column(sa.Column("reached", sa.Integer(), nullable=False, server_default="0"))
        batch.create_index("ix_contact_import_header", ["account_id", "header_key", "id"])
        batch.create_index("ix_contact_import_moving", ["id"], sqlite_where=MOVING, postgresql_where=MOVING)
    with op.batch_alter_table("contact_import") as batch:
        for name in ("part", "parts", "header_key", "reached"):
            batch.alter_column(name, server_default=None)
    with op.batch_alter_table("import_row") as batch:
        batch.add_column(sa.Column("consent", sa.String(length=8), nullable=False, server_default=""))
        batch.add_column(sa.Column("changes", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("contact_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("was", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("became", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("undone", sa.String(length=8), nullable=False, server_default=""))
    with op.batch_alter_table("import_row") as batch:
        for name in ("consent", "changes", "undone"):
            batch.alter_column(name, server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("import_row") as batch:
        for name in ("undone", "became", "was", "contact_id", "changes", "consent"):
            batch.drop_column(name)
    op.execute("UPDATE contact_import SET state = 'done' WHERE state IN ('undoing', 'undone')")
    with op.batch_alter_table("contact_import") as batch:
        batch.drop_index("ix_contact_import_moving")
        batch.drop_index("ix_contact_import_header")
        for name in ("reached", "header_key", "parts", "part", "started_at"):
            batch.drop_column(name)
