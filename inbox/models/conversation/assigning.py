"""Who answers: take, hand on, give back (ASG-1, ASG-2)."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox.models.base import Refused, db
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.notification import Notice
from inbox.models.rights import attend
from inbox.permissions import Permission


class TakenAlready(Refused):
    """Somebody else was faster; the sentence says who."""

    status = 409


class Assigning(ConversationRow):
    """The assignee, changed by compare-and-set."""

    __abstract__ = True

    def assign_to(self, member: Member | None, *, by: Member, expected: Member | int | None, tell: bool = True) -> None:
        """Assign to `member` or to nobody, if it is still with `expected` (ASG-2); raises TakenAlready with who has it.

        Taking for oneself needs the take permission, anything else the assign permission; the new assignee must be able to reply.
        Whoever assigns many tells it once, and not with each (`tell`).
        """
        attend(by, member)
        mine = member is not None and member.id == by.id
        by.require(Permission.CONVERSATIONS_TAKE if mine else Permission.CONVERSATIONS_ASSIGN, on=self)  # type: ignore[arg-type]
        if member is not None and not member.may_receive(self.inbox):
            raise Refused(f"{member.name} can’t be assigned this conversation. {member.can(Permission.CONVERSATIONS_REPLY, on=self.inbox).told}", field="assignee")
        before = expected if isinstance(expected, int) or expected is None else expected.id
        same = type(self).assignee_id.is_(None) if before is None else type(self).assignee_id == before
        done = db.session.execute(
            sa.update(type(self))
            .where(type(self).id == self.id, same)
            .values(assignee_id=member.id if member else None, version=type(self).version + 1)
            .returning(type(self).id)
            .execution_options(synchronize_session=False)
        ).scalar()
        db.session.refresh(self, ["assignee_id", "version"])
        db.session.expire(self, ["assignee"])
        if done is None:
            if self.assignee_id == (member.id if member else None):
                return
            who = self.assignee.name if self.assignee else "nobody"
            raise TakenAlready("It was given back a moment ago." if self.assignee is None else f"{who} has this conversation now.")
        Event.record(
            "conversation.assigned" if member else "conversation.unassigned", account=self.account_id, by=by, conversation=self,  # type: ignore[arg-type]
            to=member.id if member else None, to_name=member.name if member else None, before=before,
        )
        self.changed()
        if tell:
            Notice.give("assigned", self, to=member, by=by)  # type: ignore[arg-type]

    @staticmethod
    def hand_over_lost(member: Member, *, to: Member | None, by: Member, inbox_id: int | None = None) -> int:
        """Move the conversations `member` can no longer answer to `to` where they can, else to nobody (SEAT-5); returns how many open ones.

        Archived ones move without an event or a notice, by one statement for each inbox: there may be very many.
        """
        from inbox.models.conversation import Conversation

        heirs = _heirs(member, to, inbox_id)
        open_ones = (Conversation.assignee_id == member.id, Conversation.inbox_id.in_(heirs), Conversation.archived_at.is_(None))
        query = sa.select(Conversation).options(joinedload(Conversation.inbox)).where(*open_ones)
        query = query.with_for_update(key_share=True, of=Conversation).order_by(Conversation.id).execution_options(populate_existing=True)
        moved = 0
        for conversation in db.session.scalars(query) if heirs else ():
            heir = heirs[conversation.inbox_id]
            conversation.assignee_id = heir.id if heir else None
            Event.record(
                "conversation.assigned" if heir else "conversation.unassigned", account=member.account_id, by=by, conversation=conversation,
                to=heir.id if heir else None, to_name=heir.name if heir else None, before=member.id,
            )
            conversation.changed()
            Notice.give("assigned", conversation, to=heir, by=by)
            moved += 1
        db.session.flush()
        for lost, heir in heirs.items():  # one that was reopened meanwhile too
            db.session.execute(
                sa.update(Conversation)
                .where(Conversation.assignee_id == member.id, Conversation.inbox_id == lost)
                .values(assignee_id=heir.id if heir else None, version=Conversation.version + 1)
                .execution_options(synchronize_session=False)
            )
        for row in list(db.session.identity_map.values()) if heirs else ():
            if isinstance(row, Conversation) and row not in db.session.dirty:
                db.session.expire(row, ["assignee_id", "assignee", "version"])
        return moved


def _heirs(member: Member, to: Member | None, inbox_id: int | None) -> dict[int, Member | None]:
    """The inboxes whose conversations `member` has but can no longer answer, each with who gets them."""
    from inbox.models.conversation import Conversation
    from inbox.models.inbox import Inbox

    theirs = sa.select(Conversation.inbox_id).where(Conversation.assignee_id == member.id)
    query = sa.select(Inbox).where(Inbox.account_id == member.account_id, Inbox.id.in_(theirs if inbox_id is None else [inbox_id])).order_by(Inbox.id)
    return {inbox.id: to if to and to.may_receive(inbox) else None for inbox in db.session.scalars(query) if not member.may_receive(inbox)}
