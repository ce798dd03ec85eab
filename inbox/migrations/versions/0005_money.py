"""Money: balances, payments, and the ledger, whose rows are final.

A later migration that rebuilds the table `ledger_entry` on SQLite (batch mode) loses its triggers and has to create them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

GUARDS = {
    "sqlite": (
        "CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'Ledger entries are final.'); END",
        "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'Ledger entries are final.'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION ledger_entry_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Ledger entries are final.'; END $$",
        "CREATE TRIGGER ledger_entry_no_change BEFORE UPDATE OR DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION ledger_entry_is_final()",
    ),
}
UNGUARD = {
    "sqlite": ("DROP TRIGGER ledger_entry_no_update", "DROP TRIGGER ledger_entry_no_delete"),
    "postgresql": ("DROP TRIGGER ledger_entry_no_change ON ledger_entry", "DROP FUNCTION ledger_entry_is_final()"),
}


def upgrade():
    op.create_table(
        "wallet",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("seats_until", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_wallet_account_id_account"),
        sa.PrimaryKeyConstraint("id", name="pk_wallet"),
        sa.UniqueConstraint("account_id", name="uq_wallet_account_id"),
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=20), nullable=False),
        sa.Column("provider_id", sa.String(length=120), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=120), nullable=False),
        sa.Column("problem", sa.String(length=300), nullable=False),
        sa.Column("nonce", sa.String(length=40), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_payment_account_id_account"),
        sa.ForeignKeyConstraint(["by_id"], ["member.id"], name="fk_payment_by_id_member"),
        sa.PrimaryKeyConstraint("id", name="pk_payment"),
        sa.UniqueConstraint("public_id", name="uq_payment_public_id"),
        sa.UniqueConstraint("account_id", "nonce", name="uq_payment_account_id_nonce"),
    )
    op.create_index(
        "ix_payment_pending", "payment", ["account_id", "id"], sqlite_where=sa.text("state = 'pending'"), postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.Column("reference", sa.String(length=80), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("by_id", sa.Integer(), nullable=True),
        sa.Column("message_id", sa.Integer(), nullable=True),
        sa.Column("payment_id", sa.Integer(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name="fk_ledger_entry_account_id_account"),
        sa.ForeignKeyConstraint(["by_id"], ["member.id"], name="fk_ledger_entry_by_id_member"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="fk_ledger_entry_message_id_message"),
        sa.ForeignKeyConstraint(["payment_id"], ["payment.id"], name="fk_ledger_entry_payment_id_payment"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entry"),
        sa.UniqueConstraint("account_id", "reference", name="uq_ledger_entry_account_id_reference"),
    )
    op.create_index("ix_ledger_entry_account", "ledger_entry", ["account_id", "id"])
    op.create_index("ix_ledger_entry_kind", "ledger_entry", ["account_id", "kind", "id"])
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade():
    for statement in UNGUARD[op.get_bind().dialect.name]:
        op.execute(statement)
    op.drop_table("ledger_entry")
    op.drop_table("payment")
    op.drop_table("wallet")
