"""The columns of a conversation, and what every trait of it needs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, declared_attr, mapped_column, relationship

from inbox import clock, realtime
from inbox.models.base import Model, Moment, db, now_column, public_id

if TYPE_CHECKING:
    from inbox.models.account import Account
    from inbox.models.contact import Contact
    from inbox.models.inbox import Inbox
    from inbox.models.member import Member


class ConversationRow(Model):
    """The thread between one inbox and one contact on one channel: what lists filter and sort on is a column here."""

    __abstract__ = True
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    contact_id: Mapped[int] = mapped_column(sa.ForeignKey("contact.id"), index=True)
    channel: Mapped[str] = mapped_column(sa.String(20), default="sms")
    address: Mapped[str] = mapped_column(sa.String(254))  # the contact's, on this channel
    assignee_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    archived_at: Mapped[datetime | None] = mapped_column(Moment)  # out of the open lists: done, snoozed or spam
    snoozed_until: Mapped[datetime | None] = mapped_column(Moment)  # comes back then, or with the customer's next text
    spam_at: Mapped[datetime | None] = mapped_column(Moment)  # stays away whatever comes in
    last_activity_at: Mapped[datetime] = now_column()
    last_inbound_at: Mapped[datetime | None] = mapped_column(Moment, default=clock.now)  # when the customer last wrote or called in vain; its beginning until they do
    owed_since: Mapped[datetime | None] = mapped_column(Moment)  # the first text of the customer that no person answered
    last_inbound_id: Mapped[int] = mapped_column(default=0)
    last_message_id: Mapped[int] = mapped_column(default=0)
    preview: Mapped[str] = mapped_column(sa.String(160), default="")
    preview_by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    preview_kind: Mapped[str] = mapped_column(sa.String(8), default="in")
    unread: Mapped[bool] = mapped_column(default=False)
    failed: Mapped[bool] = mapped_column(default=False)  # its newest outgoing text did not arrive
    version: Mapped[int] = mapped_column(default=0)
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("conversation.id"), index=True)  # it is out of every list, and leads there
    created_at: Mapped[datetime] = now_column()

    @declared_attr
    def account(cls) -> Mapped[Account]:  # noqa: N805
        return relationship("Account")

    @declared_attr
    def inbox(cls) -> Mapped[Inbox]:  # noqa: N805
        return relationship("Inbox")

    @declared_attr
    def contact(cls) -> Mapped[Contact]:  # noqa: N805
        return relationship("Contact")

    @declared_attr
    def assignee(cls) -> Mapped[Member | None]:  # noqa: N805
        return relationship("Member", foreign_keys="Conversation.assignee_id")

    def standing(self) -> Self:
        """This conversation, or the one it was merged into; not merged away from under the caller until the transaction ends."""
        merged = db.session.scalar(sa.select(type(self).merged_into_id).where(type(self).id == self.id).with_for_update(read=True, key_share=True))
        return self if merged is None else db.session.get_one(type(self), merged)

    def changed(self, what: str = "conversation", **facts: object) -> None:
        """Publish a fact about this conversation after commit."""
        realtime.publish(what, account=self.account_id, inbox=self.inbox_id, conversation=self.id, **facts)
