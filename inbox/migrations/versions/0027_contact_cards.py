"""Contact cards: the account's own fields, lists by owner and of the blocked, and who sees numbers and addresses"""

import secrets
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)
BLOCKED, OUT = sa.text("blocked_at IS NOT NULL"), sa.text("opted_out")
SEES = "contacts/pii/view"
READS = {"inbox/conversations/view", "contacts/contacts/view"}
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


def upgrade() -> None:
    op.create_table(
        "contact_field",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("public_id", sa.String(length=20), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_key", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("choices", sa.JSON(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_contact_field_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_field")),
        sa.UniqueConstraint("account_id", "key", name=op.f("uq_contact_field_account_id_key")),
        sa.UniqueConstraint("account_id", "name_key", name=op.f("uq_contact_field_account_id_name_key")),
        sa.UniqueConstraint("public_id", name=op.f("uq_contact_field_public_id")),
    )
    op.create_index("ix_contact_blocked", "contact", ["account_id", "name", "id"], sqlite_where=BLOCKED, postgresql_where=BLOCKED)
    op.create_index("ix_contact_owned", "contact", ["owner_id", "name", "id"])
    op.create_index("ix_consent_change_out", "consent_change", ["account_id", "address"], sqlite_where=OUT, postgresql_where=OUT)
    _fields_that_are_there()
    _nobody_loses_anything()


def _fields_that_are_there() -> None:
    """Every name that contacts have values under becomes a text field."""
    connection = op.get_bind()
    keys = "json_each(contact.fields) AS f" if connection.dialect.name == "sqlite" else "json_each(contact.fields) AS f(key, value)"
    whole = "json_type(contact.fields) = 'object'" if connection.dialect.name == "sqlite" else "json_typeof(contact.fields) = 'object'"
    found = connection.execute(sa.text(f"SELECT DISTINCT contact.account_id, f.key FROM contact, {keys} WHERE {whole} ORDER BY 1, 2")).all()
    from inbox.models.search.words import fold

    rows, seen = [], set()
    for account, key in found:
        name_key = (fold(key) or key.casefold())[:120]
        if not key.strip() or len(key) > 80 or (account, name_key) in seen:
            continue
        seen.add((account, name_key))
        rows.append({
            "public_id": "".join(secrets.choice(ALPHABET) for _ in range(14)), "account_id": account, "key": key, "name": key, "name_key": name_key, "kind": "text",
            "choices": [], "position": len([1 for one in seen if one[0] == account]) - 1, "created_at": datetime.now(UTC),
        })
    table = sa.table(
        "contact_field", sa.column("public_id"), sa.column("account_id"), sa.column("key"), sa.column("name"), sa.column("name_key"), sa.column("kind"),
        sa.column("choices", sa.JSON()), sa.column("position"), sa.column("created_at", MOMENT),
    )
    if rows:
        connection.execute(sa.insert(table), rows)


def _nobody_loses_anything() -> None:
    """Custom roles that read customers keep seeing numbers and addresses."""
    role = sa.table("role", sa.column("id", sa.Integer()), sa.column("permissions", sa.JSON()))
    for id, held in op.get_bind().execute(sa.select(role.c.id, role.c.permissions)).all():
        if READS & set(held or []) and SEES not in held:
            op.get_bind().execute(sa.update(role).where(role.c.id == id).values(permissions=sorted([*held, SEES])))


def downgrade() -> None:
    op.drop_index("ix_consent_change_out", "consent_change")
    op.drop_index("ix_contact_owned", "contact")
    op.drop_index("ix_contact_blocked", "contact")
    op.drop_table("contact_field")
