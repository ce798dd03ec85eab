"""Imports that can be undone"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
