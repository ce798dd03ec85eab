"""When a channel was last tried"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
FAILED, PROBLEM = sa.text("state IN ('failed','undelivered')"), sa.text("problem IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "carrier_check",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("carrier_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("well", sa.Boolean(), nullable=False),
        sa.Column("sentence", sa.String(length=500), nullable=False),
        sa.Column("field", sa.String(length=20), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_carrier_check_carrier_id_carrier")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_carrier_check")),
        sa.UniqueConstraint("carrier_id", "kind", name=op.f("uq_carrier_check_carrier_id_kind")),
    )
    op.create_table(
        "replay",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("carrier_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("first_id", sa.Integer(), nullable=False),
        sa.Column("last_id", sa.Integer(), nullable=False),
        sa.Column("reached_id", sa.Integer(), nullable=False),
        sa.Column("carried", sa.JSON(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("differences", sa.JSON(), nullable=False),
        sa.Column("problem", sa.String(length=300), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_replay_account_id_account")),
        sa.ForeignKeyConstraint(["carrier_id"], ["carrier.id"], name=op.f("fk_replay_carrier_id_carrier")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_replay_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay")),
        sa.UniqueConstraint("public_id", name=op.f("uq_replay_public_id")),
    )
    with op.batch_alter_table("replay") as batch:
        batch.create_index("ix_replay_account_id", ["account_id", "id"])
        batch.create_index("ix_replay_carrier_id", ["carrier_id"])
        batch.create_index("ix_replay_moving", ["id"], sqlite_where=sa.text("state IN ('checking','running')"), postgresql_where=sa.text("state IN ('checking','running')"))
    with op.batch_alter_table("webhook_event") as batch:
        batch.create_index("ix_webhook_event_range", ["carrier_id", "kind", "received_at", "id"])
        batch.create_index("ix_webhook_event_problem", ["carrier_id", "received_at"], sqlite_where=PROBLEM, postgresql_where=PROBLEM)
    with op.batch_alter_table("message") as batch:
        batch.create_index("ix_message_failed", ["account_id", "created_at"], sqlite_where=FAILED, postgresql_where=FAILED)


def downgrade() -> None:
    with op.batch_alter_table("message") as batch:
        batch.drop_index("ix_message_failed")
    with op.batch_alter_table("webhook_event") as batch:
        batch.drop_index("ix_webhook_event_problem")
        batch.drop_index("ix_webhook_event_range")
    op.drop_table("replay")
    op.drop_table("carrier_check")
