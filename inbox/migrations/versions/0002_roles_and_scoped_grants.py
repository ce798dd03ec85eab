"""Roles and scoped grants"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "role",
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("name_key", sa.String(length=120), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", inbox.models.base.Moment(timezone=True), nullable=False),
        sa.Column("updated_at", inbox.models.base.Moment(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_role_account_id_account")),
        sa.ForeignKeyConstraint(["created_by_id"], ["member.id"], name=op.f("fk_role_created_by_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role")),
        sa.UniqueConstraint("account_id", "name_key", name=op.f("uq_role_account_id_name_key")),
        sa.UniqueConstraint("public_id", name=op.f("uq_role_public_id")),
    )
    with op.batch_alter_table("grant") as batch:
        batch.add_column(sa.Column("role_id", sa.Integer(), nullable=True))
        batch.create_foreign_key(op.f("fk_grant_role_id_role"), "role", ["role_id"], ["id"])
        batch.create_index(op.f("ix_grant_role_id"), ["role_id"])
        batch.create_index(
            "uq_grant_account_wide", ["member_id", "role"], unique=True, sqlite_where=sa.text("team_id IS NULL"), postgresql_where=sa.text("team_id IS NULL")
        )
    with op.batch_alter_table("member") as batch:
        batch.add_column(sa.Column("removed_at", inbox.models.base.Moment(timezone=True), nullable=True))
    with op.batch_alter_table("draft") as batch:
        batch.alter_column("author_id", existing_type=sa.Integer(), nullable=True)


def downgrade() -> None:
    op.execute("DELETE FROM draft WHERE author_id IS NULL")
    with op.batch_alter_table("draft") as batch:
        batch.alter_column("author_id", existing_type=sa.Integer(), nullable=False)
    with op.batch_alter_table("member") as batch:
        batch.drop_column("removed_at")
    op.execute('DELETE FROM "grant" WHERE role_id IS NOT NULL')
    with op.batch_alter_table("grant") as batch:
        batch.drop_index("uq_grant_account_wide")
        batch.drop_index(op.f("ix_grant_role_id"))
        batch.drop_constraint(op.f("fk_grant_role_id_role"), type_="foreignkey")
        batch.drop_column("role_id")
    op.drop_table("role")
