"""Who answers: take, hand on, give back (ASG-1, ASG-2)."""

from __future__ import annotations

import sqlalchemy as sa

from inbox.models.base import Refused, db
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.permissions import Permission


class TakenAlready(Refused):
    """Somebody else was faster; the sentence says who."""

    status = 409


class Assigning(ConversationRow):
    """The assignee, changed by compare-and-set."""

    __abstract__ = True

    def assign_to(self, member: Member | None, *, by: Member, expected: Member | int | None) -> None:
        """Assign to `member` or to nobody, if it is still with `expected` (ASG-2); raises TakenAlready with who has it.

        Taking for oneself needs the take permission, anything else the assign permission; the new assignee must be able to reply.
        """
        mine = member is not None and member.id == by.id
        by.require(Permission.CONVERSATIONS_TAKE if mine else Permission.CONVERSATIONS_ASSIGN, on=self)  # type: ignore[arg-type]
        if member is not None:
            db.session.refresh(member, ["seated"], with_for_update={"read": True})  # nobody takes their seat until this is decided
        if member is not None and not member.may_receive(self.inbox):
            why = member.can(Permission.CONVERSATIONS_REPLY, on=self.inbox).why
            raise Refused(f"{member.name} can’t be assigned conversations of {self.inbox.name}: {_third(why)}", field="assignee")
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

    @staticmethod
    def hand_over_all(member: Member, *, to: Member | None, by: Member, inbox_id: int | None = None) -> int:
        """Move every open conversation of `member` to `to` where they can reply, else to nobody; frees their locks (SEAT-5)."""
        from inbox.models.conversation import Conversation
        from inbox.models.conversation.locking import release_all

        query = sa.select(Conversation).where(Conversation.assignee_id == member.id)
        if inbox_id is not None:
            query = query.where(Conversation.inbox_id == inbox_id)
        moved = 0
        for conversation in db.session.scalars(query):
            heir = to if to and to.may_receive(conversation.inbox) else None
            conversation.assignee_id = heir.id if heir else None
            Event.record(
                "conversation.assigned" if heir else "conversation.unassigned", account=member.account_id, by=by, conversation=conversation,
                to=heir.id if heir else None, to_name=heir.name if heir else None, before=member.id,
            )
            conversation.changed()
            moved += 1
        db.session.flush()
        release_all(member, inbox_id)
        return moved


def _third(why: str) -> str:
    """The reason about somebody else, in the third person."""
    return (
        why.replace("Your role", "the role").replace("allows you", "allows it").replace("you have no seat", "there is no seat")
        .replace("You are not in this inbox", "not in this inbox")
    )
