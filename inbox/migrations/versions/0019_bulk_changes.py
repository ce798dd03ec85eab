"""Bulk changes and what a snooze remembers"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
