"""What people agreed to, with the evidence"""

import re

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

GUARDS = {
    "sqlite": tuple(
        f"CREATE TRIGGER consent_no_{what} BEFORE {what.upper()} ON consent_change BEGIN SELECT RAISE(ABORT, 'Changes of consent are final.'); END"
        for what in ("update", "delete")
    ),
    "postgresql": (
        "CREATE FUNCTION consent_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Changes of consent are final.'; END $$",
        "CREATE TRIGGER consent_no_change BEFORE UPDATE OR DELETE ON consent_change FOR EACH ROW EXECUTE FUNCTION consent_is_final()",
    ),
}
UNGUARD = {
    "sqlite": ("DROP TRIGGER consent_no_update", "DROP TRIGGER consent_no_delete"),
    "postgresql": ("DROP TRIGGER consent_no_change ON consent_change", "DROP FUNCTION consent_is_final()"),
}
QUOTED = re.compile(r"message (\d+): (.*)", re.DOTALL)  # how evidence was kept before
Moment = inbox.models.base.Moment(timezone=True)
WORDS = {"stop_words": 200, "start_words": 200, "help_words": 200, "opt_in_request": 320}


def _foreign(table, *columns):
    return [sa.ForeignKeyConstraint([column], [f"{other}.id"], name=f"fk_{table}_{column}_{other}") for column, other in columns]


def upgrade():
    op.create_table(
        "consent_change",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer()),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Integer()),
        sa.Column("by_id", sa.Integer()),
        sa.Column("at", Moment, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        *_foreign("consent_change", ("account_id", "account"), ("team_id", "team"), ("inbox_id", "inbox"), ("message_id", "message"), ("by_id", "member")),
        sa.PrimaryKeyConstraint("id", name="pk_consent_change"),
    )
    op.create_index("ix_consent_change_decides", "consent_change", ["account_id", "address", "id"])
    op.create_table(
        "consent_stopping",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("scope", sa.String(8), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        *_foreign("consent_stopping", ("account_id", "account"), ("team_id", "team"), ("inbox_id", "inbox")),
        sa.PrimaryKeyConstraint("id", name="pk_consent_stopping"),
        sa.UniqueConstraint("account_id", "address", "inbox_id", name="uq_consent_stopping_account_id_address_inbox_id"),
    )
    op.create_index("ix_consent_stopping_at", "consent_stopping", ["at"])
    op.create_table(
        "opt_in_request",
        sa.Column("inbox_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("asked_at", Moment, nullable=False),
        sa.Column("answered_at", Moment),
        sa.Column("id", sa.Integer(), nullable=False),
        *_foreign("opt_in_request", ("inbox_id", "inbox"), ("message_id", "message")),
        sa.PrimaryKeyConstraint("id", name="pk_opt_in_request"),
        sa.UniqueConstraint("inbox_id", "address", name="uq_opt_in_request_inbox_id_address"),
    )
    with op.batch_alter_table("team") as batch:
        batch.add_column(sa.Column("consent_scope", sa.String(8), nullable=False, server_default="team"))
    with op.batch_alter_table("contact") as batch:
        batch.add_column(sa.Column("blocked_at", Moment))
    with op.batch_alter_table("message") as batch:
        batch.add_column(sa.Column("opt_out", sa.String(6), nullable=False, server_default=""))
    with op.batch_alter_table("inbox") as batch:
        for name, length in WORDS.items():
            batch.add_column(sa.Column(name, sa.String(length), nullable=False, server_default=""))
        for name in ("double_opt_in", "append_opt_out"):
            batch.add_column(sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    _carry_over()
    op.drop_table("consent")
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def _carry_over():
    """Every row becomes the first change of its history, with the text it came from when it names one."""
    bind, tables = op.get_bind(), sa.MetaData()
    old, new, message = (sa.Table(name, tables, autoload_with=bind) for name in ("consent", "consent_change", "message"))
    for row in bind.execute(sa.select(old).order_by(old.c.at, old.c.id)).mappings().all():
        values = {**row, "scope": "team", "message_id": None, "inbox_id": None}
        quoted = QUOTED.fullmatch(row["evidence"])
        if quoted:
            found = bind.execute(sa.select(message.c.id, message.c.inbox_id).where(message.c.id == int(quoted[1]))).first()
            values |= {"evidence": quoted[2]} | ({"message_id": found.id, "inbox_id": found.inbox_id} if found else {})
        values.pop("id")
        bind.execute(new.insert().values(**values))


def downgrade():
    bind = op.get_bind()
    for statement in UNGUARD[bind.dialect.name]:
        op.execute(statement)
    op.create_table(
        "consent",
        sa.Column("account_id", sa.Integer(), nullable=False),
        sa.Column("team_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(254), nullable=False),
        sa.Column("opted_out", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("evidence", sa.String(200), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("id", sa.Integer(), nullable=False),
        *_foreign("consent", ("account_id", "account"), ("team_id", "team")),
        sa.PrimaryKeyConstraint("id", name="pk_consent"),
        sa.UniqueConstraint("team_id", "address", name="uq_consent_team_id_address"),
    )
    op.execute(
        "INSERT INTO consent (account_id, team_id, address, opted_out, source, evidence, at) SELECT account_id, team_id, address, opted_out, source, "
        "substr(evidence, 1, 200), at FROM consent_change WHERE id IN (SELECT max(id) FROM consent_change GROUP BY team_id, address)"
    )
    with op.batch_alter_table("inbox") as batch:
        for name in (*WORDS, "double_opt_in", "append_opt_out"):
            batch.drop_column(name)
    with op.batch_alter_table("message") as batch:
        batch.drop_column("opt_out")
    with op.batch_alter_table("contact") as batch:
        batch.drop_column("blocked_at")
    with op.batch_alter_table("team") as batch:
        batch.drop_column("consent_scope")
    for table in ("opt_in_request", "consent_stopping", "consent_change"):
        op.drop_table(table)
