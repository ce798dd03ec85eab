"""The search index"""

import sqlalchemy as sa
from alembic import op

import inbox.models.base

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MOMENT = inbox.models.base.Moment(timezone=True)


SQLITE = (
    "CREATE VIRTUAL TABLE message_words USING fts5(words, content='', tokenize='ascii', prefix='2 3')",
    "CREATE VIRTUAL TABLE contact_words USING fts5(words, tokenize='ascii', prefix='2 3')",
)
POSTGRESQL = (
    "CREATE TABLE message_words (id BIGINT NOT NULL, words TSVECTOR NOT NULL, CONSTRAINT pk_message_words PRIMARY KEY (id))",
    "CREATE INDEX ix_message_words_words ON message_words USING gin (words)",
    "CREATE TABLE contact_words (id BIGINT NOT NULL, words TSVECTOR NOT NULL, CONSTRAINT pk_contact_words PRIMARY KEY (id))",
    "CREATE INDEX ix_contact_words_words ON contact_words USING gin (words)",
)


def upgrade() -> None:
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
    op.create_table(
        "search_mark",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("reached", sa.Integer(), nullable=False),
        sa.Column("until", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_search_mark")),
        sa.UniqueConstraint("name", name=op.f("uq_search_mark_name")),
    )
    op.create_table(
        "recent_search",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("words", sa.String(length=200), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["member.id"], name=op.f("fk_recent_search_member_id_member")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recent_search")),
        sa.UniqueConstraint("member_id", "words", name=op.f("uq_recent_search_member_id_words")),
    )


def downgrade() -> None:
    op.drop_table("recent_search")
    op.drop_table("search_mark")
    op.execute("DROP TABLE contact_words")
    op.execute("DROP TABLE message_words")
