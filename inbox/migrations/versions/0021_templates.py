"""Templates"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
OPEN = sa.text("archived_at IS NULL AND owner_id IS NOT NULL")
OPEN_TEAM = sa.text("archived_at IS NULL AND owner_id IS NULL")


def upgrade() -> None:
    op.create_table(
        "template",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("owner_id", sa.Integer(), nullable=True),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("shortcut", sa.String(length=40), nullable=False),
        sa.Column("folder", sa.String(length=60), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("variants", sa.JSON(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("archived_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_template_account_id_account")),
        sa.ForeignKeyConstraint(["owner_id"], ["member.id"], name=op.f("fk_template_owner_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
        sa.UniqueConstraint("public_id", name=op.f("uq_template_public_id")),
    )
    with op.batch_alter_table("template") as batch:
        batch.create_index("ix_template_list", ["account_id", "folder", "name", "id"])
        batch.create_index("uq_template_own_shortcut", ["owner_id", "shortcut"], unique=True, sqlite_where=OPEN, postgresql_where=OPEN)
        batch.create_index("uq_template_team_shortcut", ["account_id", "shortcut"], unique=True, sqlite_where=OPEN_TEAM, postgresql_where=OPEN_TEAM)
    op.create_table(
        "template_inbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["inbox_id"], ["inbox.id"], name=op.f("fk_template_inbox_inbox_id_inbox")),
        sa.ForeignKeyConstraint(["template_id"], ["template.id"], name=op.f("fk_template_inbox_template_id_template")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_inbox")),
        sa.UniqueConstraint("template_id", "inbox_id", name=op.f("uq_template_inbox_template_id_inbox_id")),
    )
    with op.batch_alter_table("template_inbox") as batch:
        batch.create_index(op.f("ix_template_inbox_inbox_id"), ["inbox_id"])
    op.create_table(
        "template_version",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("variants", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["by_id"], ["member.id"], name=op.f("fk_template_version_by_id_member")),
        sa.ForeignKeyConstraint(["template_id"], ["template.id"], name=op.f("fk_template_version_template_id_template")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_version")),
        sa.UniqueConstraint("template_id", "number", name=op.f("uq_template_version_template_id_number")),
    )
    op.create_table(
        "template_use",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("template_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_template_use_member_id_member")),
        sa.ForeignKeyConstraint(["template_id"], ["template.id"], name=op.f("fk_template_use_template_id_template")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_use")),
        sa.UniqueConstraint("template_id", "day", "member_id", name=op.f("uq_template_use_template_id_day_member_id")),
    )
    with op.batch_alter_table("template_use") as batch:
        batch.create_index("ix_template_use_member", ["member_id", "template_id", "at"])


def downgrade() -> None:
    for table in ("template_use", "template_version", "template_inbox", "template"):
        op.drop_table(table)
