"""Who members are at their provider"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_identity",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("created_at", inbox.models.base.Moment(timezone=True), nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_provider_identity_account_id_account")),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_provider_identity_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_identity")),
        sa.UniqueConstraint("account_id", "issuer", "member_id", name=op.f("uq_provider_identity_account_id_issuer_member_id")),
        sa.UniqueConstraint("account_id", "issuer", "subject", name=op.f("uq_provider_identity_account_id_issuer_subject")),
    )
    op.create_index(op.f("ix_provider_identity_member_id"), "provider_identity", ["member_id"])


def downgrade() -> None:
    op.drop_table("provider_identity")
