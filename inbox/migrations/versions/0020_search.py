"""The search index"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
