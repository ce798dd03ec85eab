"""Tags: words with a colour on conversations (TOOL-3)."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox.models.base import Model, now_column, public_id


class Tag(Model):
    """A word of the account; `key` is its name folded, so that Urgent and urgent are one."""

    __tablename__ = "tag"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(sa.String(40))
    key: Mapped[str] = mapped_column(sa.String(80))
    hue: Mapped[str] = mapped_column(sa.String(10), default="blue")
    created_at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("account_id", "key"),)


class Tagging(Model):
    """A tag on a conversation."""

    __tablename__ = "tagging"
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    tag_id: Mapped[int] = mapped_column(sa.ForeignKey("tag.id"))

    __table_args__ = (sa.UniqueConstraint("conversation_id", "tag_id"), sa.Index("ix_tagging_tag_id", "tag_id", "conversation_id"))
