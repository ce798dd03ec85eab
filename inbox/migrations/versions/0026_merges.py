"""Merged conversations and contacts"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


def upgrade() -> None:
    for table in ("conversation", "contact"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("merged_into_id", sa.Integer(), nullable=True))
            batch.create_foreign_key(op.f(f"fk_{table}_merged_into_id_{table}"), table, ["merged_into_id"], ["id"])
            batch.create_index(f"ix_{table}_merged_into_id", ["merged_into_id"])
    with op.batch_alter_table("message") as batch:
        batch.add_column(sa.Column("address", sa.String(length=254), nullable=True))
    _merging()
    _parts()


def _merging() -> None:
    op.create_table(
        "merging",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=True),
        sa.Column("contact_id", sa.Integer(), nullable=True),
        sa.Column("by_id", sa.Integer(), nullable=False),
        sa.Column("newest_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("undone_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_merging_account_id_account")),
        sa.ForeignKeyConstraint(["by_id"], ["member.id"], name=op.f("fk_merging_by_id_member")),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_merging_contact_id_contact")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_merging_conversation_id_conversation")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merging")),
        sa.UniqueConstraint("public_id", name=op.f("uq_merging_public_id")),
    )
    with op.batch_alter_table("merging") as batch:
        batch.create_index("ix_merging_conversation_id", ["conversation_id", "id"])
        batch.create_index("ix_merging_contact_id", ["contact_id", "id"])


def _parts() -> None:
    op.create_table(
        "merging_part",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("merging_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=True),
        sa.Column("contact_id", sa.Integer(), nullable=True),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["contact_id"], ["contact.id"], name=op.f("fk_merging_part_contact_id_contact")),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversation.id"], name=op.f("fk_merging_part_conversation_id_conversation")),
        sa.ForeignKeyConstraint(["merging_id"], ["merging.id"], name=op.f("fk_merging_part_merging_id_merging")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merging_part")),
    )
    op.create_table(
        "merging_item",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("part_id", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["part_id"], ["merging_part.id"], name=op.f("fk_merging_item_part_id_merging_part")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merging_item")),
    )
    with op.batch_alter_table("merging_part") as batch:
        for name in ("merging_id", "conversation_id", "contact_id"):
            batch.create_index(f"ix_merging_part_{name}", [name])
    with op.batch_alter_table("merging_item") as batch:
        batch.create_index("ix_merging_item_part_id", ["part_id", "what", "row_id"])


def downgrade() -> None:
    for table in ("merging_item", "merging_part", "merging"):
        op.drop_table(table)
    with op.batch_alter_table("message") as batch:
        batch.drop_column("address")
    for table in ("contact", "conversation"):
        with op.batch_alter_table(table) as batch:
            batch.drop_index(f"ix_{table}_merged_into_id")
            batch.drop_constraint(op.f(f"fk_{table}_merged_into_id_{table}"), type_="foreignkey")
            batch.drop_column("merged_into_id")
