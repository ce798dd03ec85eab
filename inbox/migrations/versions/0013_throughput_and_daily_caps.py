"""What went out today, by campaign; lanes of the outbox; quiet hours of an inbox"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

WAITING = sa.text("state IN ('queued','sending','checking')")


def upgrade() -> None:
    op.create_table(
        "usage_day",
        sa.Column("registration_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("segments", sa.Integer(), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["registration_id"], ["registration.id"], name=op.f("fk_usage_day_registration_id_registration")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usage_day")),
        sa.UniqueConstraint("registration_id", "day", name=op.f("uq_usage_day_registration_id_day")),
    )
    with op.batch_alter_table("dispatch") as batch:
        batch.add_column(sa.Column("lane", sa.String(length=4), nullable=False, server_default="send"))
        batch.add_column(sa.Column("counted_on", sa.Date()))
        batch.drop_index("ix_dispatch_due")
        batch.create_index("ix_dispatch_due", ["lane", "sweep_at"], sqlite_where=WAITING, postgresql_where=WAITING)
    op.execute("UPDATE dispatch SET lane = 'auto' WHERE message_id IN (SELECT id FROM message WHERE kind = 'auto')")
    with op.batch_alter_table("inbox") as batch:
        batch.add_column(sa.Column("quiet", sa.String(length=8), nullable=False, server_default="state"))
        batch.add_column(sa.Column("quiet_opens", sa.Integer(), nullable=False, server_default="480"))
        batch.add_column(sa.Column("quiet_closes", sa.Integer(), nullable=False, server_default="1260"))


def downgrade() -> None:
    with op.batch_alter_table("inbox") as batch:
        batch.drop_column("quiet_closes")
        batch.drop_column("quiet_opens")
        batch.drop_column("quiet")
    with op.batch_alter_table("dispatch") as batch:
        batch.drop_index("ix_dispatch_due")
        batch.create_index("ix_dispatch_due", ["sweep_at"], sqlite_where=WAITING, postgresql_where=WAITING)
        batch.drop_column("counted_on")
        batch.drop_column("lane")
    op.drop_table("usage_day")
