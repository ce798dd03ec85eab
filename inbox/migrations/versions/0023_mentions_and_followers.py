"""Mentions and followers"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
