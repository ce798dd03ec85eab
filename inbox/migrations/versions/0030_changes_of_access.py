"""Changes of access, noted by the database itself in the transaction that makes them"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

# What a member may see and how it is written for them hangs on these; the account is that of the row, or of the member it names.
MEMBER = ("name", "email", "time_zone", "language", "phone", "seated", "deactivated_at", "removed_at")
WATCHED = (  # table, by the member it names, what may happen, the columns that count in an update
    ("member", False, ("UPDATE",), MEMBER),
    ("grant", True, ("INSERT", "UPDATE", "DELETE"), ("role", "role_id", "team_id")),
    ("role", False, ("UPDATE", "DELETE"), ("permissions", "name")),
    ("inbox", False, ("INSERT", "UPDATE", "DELETE"), ("team_id", "owner_id", "phone", "forward_to")),
    ("inbox_member", True, ("INSERT", "UPDATE", "DELETE"), ("inbox_id", "member_id")),
    ("login_session", True, ("UPDATE", "DELETE"), ("revoked_at",)),
)


def upgrade() -> None:
    op.create_table(
        "access_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_access_change_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_change")),
    )
    op.create_index("ix_access_change_account", "access_change", ["account_id", "id"])
    (_postgresql if op.get_bind().dialect.name == "postgresql" else _sqlite)()


def _account(row: str, by_member: bool) -> str:
    return f"SELECT account_id FROM member WHERE id = {row}.member_id" if by_member else f"SELECT {row}.account_id"


def _postgresql() -> None:
    for name, by_member in (("access_of_account", False), ("access_of_member", True)):
        note = "INSERT INTO access_change (account_id) {}"
        op.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF TG_OP = 'DELETE' THEN {note.format(_account('OLD', by_member))}; ELSE {note.format(_account('NEW', by_member))}; END IF; RETURN NULL; END $$"
        )
    for table, by_member, happenings, columns in WATCHED:
        for what in happenings:
            different = " OR ".join(f"OLD.{column}::text IS DISTINCT FROM NEW.{column}::text" for column in columns)
            when = f"UPDATE OF {', '.join(columns)}" if what == "UPDATE" else what
            op.execute(
                f'CREATE TRIGGER access_{table}_{what.lower()} AFTER {when} ON "{table}" FOR EACH ROW {f"WHEN ({different})" if what == "UPDATE" else ""} '
                f"EXECUTE FUNCTION access_of_{'member' if by_member else 'account'}()"
            )


def _sqlite() -> None:
    for table, by_member, happenings, columns in WATCHED:
        for what in happenings:
            different = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)
            when = f"UPDATE OF {', '.join(columns)}" if what == "UPDATE" else what
            row = "OLD" if what == "DELETE" else "NEW"
            op.execute(
                f'CREATE TRIGGER access_{table}_{what.lower()} AFTER {when} ON "{table}" FOR EACH ROW {f"WHEN {different}" if what == "UPDATE" else ""} '
                f"BEGIN INSERT INTO access_change (account_id) {_account(row, by_member)}; END"
            )


def downgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, _, happenings, _ in WATCHED:
        for what in happenings:
            op.execute(f"DROP TRIGGER access_{table}_{what.lower()}" + (f' ON "{table}"' if postgresql else ""))
    if postgresql:
        op.execute("DROP FUNCTION access_of_account()")
        op.execute("DROP FUNCTION access_of_member()")
    op.drop_table("access_change")
