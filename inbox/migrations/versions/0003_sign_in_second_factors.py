"""Sign-in second factors."""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def moment(name, nullable=False):
    return sa.Column(name, inbox.models.base.Moment(timezone=True), nullable=nullable)


def member(table, nullable=False):
    return sa.Column("member_id", sa.Integer(), nullable=nullable), sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f(f"fk_{table}_member_id_member"))


def account(table):
    return sa.Column("account_id", sa.Integer(), nullable=False), sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f(f"fk_{table}_account_id_account"))


def key(table, *unique):
    constraints = [sa.UniqueConstraint(*names.split(), name=op.f(f"uq_{table}_{'_'.join(names.split())}")) for names in unique]
    return sa.Column("id", sa.Integer(), nullable=False), sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")), *constraints


def upgrade():
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.add_column(sa.Column("previous_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(moment("confirmed_at", nullable=True))
        batch_op.add_column(moment("renewed_at", nullable=True))
        batch_op.add_column(sa.Column("renewal_due", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("setup_due", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.create_index(batch_op.f("ix_login_session_previous_digest"), ["previous_digest"], unique=False)

    op.create_table(
        "attempt",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        moment("first_at"),
        moment("last_at"),
        *key("attempt", "key"),
    )
    op.create_table(
        "totp",
        *member("totp"),
        sa.Column("sealed", sa.String(length=300), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        moment("created_at"),
        moment("confirmed_at", nullable=True),
        *key("totp", "member_id"),
    )
    op.create_table(
        "recovery_code",
        *member("recovery_code"),
        sa.Column("code_digest", sa.String(length=64), nullable=False),
        moment("used_at", nullable=True),
        *key("recovery_code", "member_id code_digest"),
    )
    op.create_table(
        "passkey",
        sa.Column("public_id", sa.String(length=20), nullable=False),
        *member("passkey"),
        sa.Column("credential", sa.String(length=1400), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        moment("created_at"),
        moment("used_at", nullable=True),
        *key("passkey", "public_id", "credential"),
    )
    op.create_table(
        "passkey_challenge",
        sa.Column("ticket", sa.String(length=43), nullable=False),
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.String(length=20), nullable=False),
        *member("passkey_challenge", nullable=True),
        moment("created_at"),
        *key("passkey_challenge", "ticket"),
    )
    op.create_table(
        "mailed_link",
        sa.Column("purpose", sa.String(length=20), nullable=False),
        *member("mailed_link", nullable=True),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("token_digest", sa.String(length=64), nullable=True),
        moment("created_at"),
        moment("expires_at"),
        moment("used_at", nullable=True),
        *key("mailed_link", "token_digest"),
    )
    op.create_table(
        "sign_in_policy",
        *account("sign_in_policy"),
        sa.Column("second_factor", sa.Boolean(), nullable=False),
        *key("sign_in_policy", "account_id"),
    )
    op.create_table(
        "identity_provider",
        *account("identity_provider"),
        sa.Column("issuer", sa.String(length=300), nullable=False),
        sa.Column("client_id", sa.String(length=300), nullable=False),
        sa.Column("sealed", sa.String(length=1500), nullable=False),
        sa.Column("domains", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("exclusive", sa.Boolean(), nullable=False),
        sa.Column("set_by_id", sa.Integer(), nullable=False),
        moment("created_at"),
        moment("updated_at"),
        sa.ForeignKeyConstraint(["set_by_id"], ["member.id"], name=op.f("fk_identity_provider_set_by_id_member")),
        *key("identity_provider", "account_id"),
    )
    for table in ("passkey", "mailed_link"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{table}_member_id"), ["member_id"], unique=False)


def downgrade():
    for table in ("identity_provider", "sign_in_policy", "mailed_link", "passkey_challenge", "passkey", "recovery_code", "totp", "attempt"):
        op.drop_table(table)
    with op.batch_alter_table("login_session", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_login_session_previous_digest"))
        for column in ("setup_due", "renewal_due", "renewed_at", "confirmed_at", "previous_digest"):
            batch_op.drop_column(column)
