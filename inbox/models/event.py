"""The append-only record of who did what: the timeline of a conversation and the audit log of the account."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox.models.base import Model, now_column

if TYPE_CHECKING:
    from inbox.models.account import Account
    from inbox.models.conversation import Conversation
    from inbox.models.member import Member


class Event(Model):
    """One thing that happened. `kind` is noun.verb; `data` holds names and ids, never message text or secrets."""

    __tablename__ = "event"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int | None] = mapped_column(sa.ForeignKey("conversation.id"))
    inbox_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbox.id"))
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    kind: Mapped[str] = mapped_column(sa.String(60))
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    at: Mapped[datetime] = now_column()
    actor: Mapped[Member | None] = relationship(lazy="raise")

    __table_args__ = (
        sa.Index("ix_event_conversation", "conversation_id", "id"),
        sa.Index("ix_event_account", "account_id", "id"),
    )

    @staticmethod
    def record(
        kind: str,
        *,
        account: Account | int,
        by: Member | None = None,
        conversation: Conversation | None = None,
        inbox: int | None = None,
        **data: Any,
    ) -> Event:
        """Append an event in the current transaction (ACC-8)."""
        return Event(
            account_id=account if isinstance(account, int) else account.id,
            conversation_id=conversation.id if conversation else None,
            inbox_id=inbox if inbox is not None else (conversation.inbox_id if conversation else None),
            actor_id=by.id if by else None,
            kind=kind,
            data=data,
        ).save()
