"""Tags on a conversation (TOOL-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, declared_attr, relationship

from inbox.models.base import Refused, db
from inbox.models.carrier import insert_or_ignore
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.tag import MOST, Tag, Tagging
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation


class Tagged(ConversationRow):
    """Putting tags on and taking them off: whoever may write a note may do both."""

    __abstract__ = True

    @declared_attr
    def tags(cls) -> Mapped[list[Tag]]:  # noqa: N805
        return relationship("Tag", secondary="tagging", order_by="Tag.key", viewonly=True)

    def tag(self: Conversation, tag: Tag, *, by: Member) -> bool:  # type: ignore[misc]
        """Put it on; False when it is there already."""
        by.require(Permission.CONVERSATIONS_NOTE, on=self)
        self._one_writer()
        if tag.account_id != self.account_id or db.session.scalar(sa.select(Tag.id).where(Tag.id == tag.id).with_for_update(read=True, key_share=True)) is None:
            raise Refused("This tag was removed a moment ago.")
        there = set(db.session.scalars(sa.select(Tagging.tag_id).where(Tagging.conversation_id == self.id)))
        if tag.id in there:
            return False
        if len(there) >= MOST:
            raise Refused(f"A conversation can have {MOST} tags. Take one off first.")
        db.session.execute(
            insert_or_ignore()(Tagging).values(conversation_id=self.id, tag_id=tag.id).on_conflict_do_nothing(index_elements=["conversation_id", "tag_id"])
        )
        self._tags_changed("conversation.tagged", tag, by)
        return True

    def untag(self: Conversation, tag: Tag, *, by: Member) -> bool:  # type: ignore[misc]
        """Take it off; False when it is not there."""
        by.require(Permission.CONVERSATIONS_NOTE, on=self)
        gone = db.session.execute(sa.delete(Tagging).where(Tagging.conversation_id == self.id, Tagging.tag_id == tag.id).returning(Tagging.id)).scalar()
        if gone is None:
            return False
        self._tags_changed("conversation.untagged", tag, by)
        return True

    def has_tag(self, tag_id: int) -> bool:
        return db.session.scalar(sa.select(Tagging.id).where(Tagging.conversation_id == self.id, Tagging.tag_id == tag_id)) is not None

    def _tags_changed(self: Conversation, kind: str, tag: Tag, by: Member) -> None:  # type: ignore[misc]
        db.session.expire(self, ["tags"])
        Event.record(kind, account=self.account_id, by=by, conversation=self, tag=tag.name, hue=tag.hue)
        self.changed()
