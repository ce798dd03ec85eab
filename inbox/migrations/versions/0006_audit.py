"""Audit: from where, about whom, on what topic; events are final; an index for each filter.

A later migration that rebuilds the table `event` on SQLite (batch mode) loses its triggers and has to create them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

AUDITED = sa.text("topic <> 'activity'")
PLAIN = {"kind": "kind", "actor": "actor_id", "about": "about_id", "origin": "origin"}
PARTIAL = {"": [], "_topic": ["topic"], "_actor": ["actor_id"], "_about": ["about_id"], "_origin": ["origin"]}
TOPIC = """
UPDATE event SET topic = CASE
  WHEN kind IN ('inbox.member_added', 'inbox.member_removed') OR kind LIKE 'role.%' OR kind LIKE 'seat.%' OR kind LIKE 'member.%' OR kind LIKE 'invitation.%' THEN 'access'
  WHEN kind LIKE 'call.%' OR kind LIKE 'consent.%' OR kind LIKE 'contact.%' OR kind LIKE 'conversation.%' OR kind LIKE 'import.%' OR kind LIKE 'lock.%'
    OR kind LIKE 'message.%' THEN 'activity'
  ELSE 'settings' END
"""
ABOUT = {
    "sqlite": """
UPDATE event SET about_id = (SELECT member.id FROM member WHERE member.account_id = event.account_id AND member.id =
  CASE WHEN kind = 'conversation.assigned' THEN json_extract(data, '$.to') ELSE json_extract(data, '$.member') END)
""",
    "postgresql": """
UPDATE event SET about_id = member.id FROM member WHERE member.account_id = event.account_id AND CAST(member.id AS text) =
  CASE WHEN event.kind = 'conversation.assigned' THEN event.data->>'to' ELSE event.data->>'member' END
""",
}
GUARDS = {
    "sqlite": (
        "CREATE TRIGGER event_no_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'Events are final.'); END",
        "CREATE TRIGGER event_no_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'Events are final.'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Events are final.'; END $$",
        "CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION event_is_final()",
    ),
}
UNGUARD = {
    "sqlite": ("DROP TRIGGER event_no_update", "DROP TRIGGER event_no_delete"),
    "postgresql": ("DROP TRIGGER event_no_change ON event", "DROP FUNCTION event_is_final()"),
}


def upgrade():
    database = op.get_bind().dialect.name
    with op.batch_alter_table("event") as batch:
        batch.add_column(sa.Column("about_id", sa.Integer(), nullable=True))
        batch.add_column(sa.Column("topic", sa.String(10), nullable=False, server_default="settings"))
        batch.add_column(sa.Column("origin", sa.String(45), nullable=False, server_default=""))
        batch.create_foreign_key("fk_event_about_id_member", "member", ["about_id"], ["id"])
        batch.drop_index("ix_event_account")
    op.execute(TOPIC)
    op.execute(ABOUT[database])
    op.create_index("ix_event_account", "event", ["account_id", "at", "id"])
    for name, column in PLAIN.items():
        op.create_index(f"ix_event_{name}", "event", ["account_id", column, "at", "id"])
    for name, columns in PARTIAL.items():
        op.create_index(f"ix_event_audit{name}", "event", ["account_id", *columns, "at", "id"], sqlite_where=AUDITED, postgresql_where=AUDITED)
    for statement in GUARDS[database]:
        op.execute(statement)


def downgrade():
    for statement in UNGUARD[op.get_bind().dialect.name]:
        op.execute(statement)
    with op.batch_alter_table("event") as batch:
        for name in ("account", *PLAIN, *(f"audit{suffix}" for suffix in PARTIAL)):
            batch.drop_index(f"ix_event_{name}")
        batch.drop_constraint("fk_event_about_id_member", type_="foreignkey")
        batch.drop_column("origin")
        batch.drop_column("topic")
        batch.drop_column("about_id")
    op.create_index("ix_event_account", "event", ["account_id", "id"])
