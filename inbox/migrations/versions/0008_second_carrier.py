"""A second kind of carrier: an account may have several, and an inbox says which one its texts go through."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
FILL = "UPDATE inbox SET carrier_id = (SELECT MIN(carrier.id) FROM carrier WHERE carrier.account_id = inbox.account_id)"


def upgrade():
    with op.batch_alter_table("carrier", schema=None) as batch_op:
        batch_op.add_column(sa.Column("public_id", sa.String(length=20), nullable=True))
        batch_op.add_column(sa.Column("kind", sa.String(length=20), nullable=False, server_default="twilio"))
        batch_op.add_column(sa.Column("name", sa.String(length=60), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("sender", sa.String(length=20), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("hook_key", sa.String(length=300), nullable=False, server_default=""))
    carrier = sa.table("carrier", sa.column("id", sa.Integer), sa.column("public_id", sa.String))
    for carrier_id in op.get_bind().execute(sa.select(carrier.c.id)).scalars().all():
        made = "".join(secrets.choice(ALPHABET) for _ in range(14))
        op.execute(carrier.update().where(carrier.c.id == carrier_id).values(public_id=made))
    with op.batch_alter_table("carrier", schema=None) as batch_op:
        batch_op.alter_column("public_id", existing_type=sa.String(length=20), nullable=False)
        batch_op.create_unique_constraint("uq_carrier_public_id", ["public_id"])
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("carrier_id", sa.Integer(), nullable=True))
        batch_op.create_foreign_key("fk_inbox_carrier_id_carrier", "carrier", ["carrier_id"], ["id"])
        batch_op.create_index("ix_inbox_carrier_id", ["carrier_id"])
    op.execute(FILL)


def downgrade():
    """Carriers of other kinds go, and with them what they sent us unread; their inboxes stay, without a way to send."""
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_index("ix_inbox_carrier_id")
        batch_op.drop_constraint("fk_inbox_carrier_id_carrier", type_="foreignkey")
        batch_op.drop_column("carrier_id")
    op.execute("DELETE FROM webhook_event WHERE carrier_id IN (SELECT id FROM carrier WHERE kind <> 'twilio')")
    op.execute("DELETE FROM carrier WHERE kind <> 'twilio'")
    with op.batch_alter_table("carrier", schema=None) as batch_op:
        batch_op.drop_constraint("uq_carrier_public_id", type_="unique")
        for name in ("hook_key", "sender", "name", "kind", "public_id"):
            batch_op.drop_column(name)
