"""What a bulk change does to one conversation, and how that is put back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inbox import clock
from inbox.models.base import Refused, db
from inbox.models.conversation import Conversation
from inbox.models.conversation.snoozing import FARTHEST
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.tag import Tag
from inbox.permissions import Permission

P = Permission
# action -> (what it needs, "12 <...>", the verb of "2 you may not <...>")
ACTIONS: dict[str, tuple[Permission, str, str]] = {
    "assign": (P.CONVERSATIONS_ASSIGN, "assigned to {}", "assign"),
    "tag": (P.CONVERSATIONS_NOTE, "tagged {}", "tag"),
    "untag": (P.CONVERSATIONS_NOTE, "without the tag {} now", "tag"),
    "archive": (P.CONVERSATIONS_ARCHIVE, "archived", "archive"),
    "reopen": (P.CONVERSATIONS_ARCHIVE, "back in the inbox", "reopen"),
    "snooze": (P.CONVERSATIONS_ARCHIVE, "snoozed until {}", "snooze"),
    "spam": (P.CONVERSATIONS_ARCHIVE, "marked as spam", "mark as spam"),
    "read": (P.CONVERSATIONS_REPLY, "marked read", "mark read"),
    "unread": (P.CONVERSATIONS_REPLY, "marked unread", "mark unread"),
}
MOVES = frozenset({"archive", "reopen", "snooze", "spam"})
DISTURBS = frozenset({"archive", "assign", "snooze", "spam"})  # not under the hands of somebody who is replying


class Unlike(Refused):
    """This one can't be changed like the others; `reason` is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Order:
    """What to do: `member` (None for nobody), `tag` or `until` as the action needs."""

    action: str
    member: Member | None = None
    tag: Tag | None = None
    until: datetime | None = None
    words: str = ""

    @property
    def value(self) -> str:
        row = self.member or self.tag
        return str(row.id) if row else self.until.isoformat() if self.until else ""

    @property
    def label(self) -> str:
        """The value in words; a moment is written for who reads."""
        return self.words or (self.member.name if self.member else self.tag.name if self.tag else "nobody" if self.action == "assign" else "")

    @staticmethod
    def stored(action: str, value: str, label: str) -> Order:
        """What a row says; the tag is None when it was deleted meanwhile."""
        return Order(
            action,
            member=db.session.get(Member, int(value)) if action == "assign" and value else None,
            tag=db.session.get(Tag, int(value)) if action in ("tag", "untag") else None,
            until=datetime.fromisoformat(value) if action == "snooze" else None,
            words=label,
        )


def affected(action: str) -> bool:
    """Whether the action, or taking it back, may open conversations."""
    return action in MOVES


def permitted(order: Order, by: Member) -> None:
    """Refuse what cannot work for any conversation, with the sentence to read."""
    if order.action not in ACTIONS:
        raise Refused("Choose what to do from the list.")
    mine = order.action == "assign" and order.member is not None and order.member.id == by.id
    by.require(P.CONVERSATIONS_TAKE if mine else ACTIONS[order.action][0])
    if order.member is not None and order.member.account_id != by.account_id:
        raise Refused("Choose someone from the list.", field="to")
    if order.action in ("tag", "untag") and (order.tag is None or order.tag.account_id != by.account_id):
        raise Refused("Choose a tag from the list.", field="tag")
    if order.action == "snooze":
        now = clock.now()
        if order.until is None or order.until <= now:
            raise Refused("That moment has passed. Choose a later one.", field="at")
        if order.until > now + FARTHEST:
            raise Refused("Choose a moment within a year.", field="at")


def change(conversation: Conversation, order: Order, by: Member) -> None:
    """Do it by the method that every other door uses; Refused when it may not be."""
    if order.action in DISTURBS:
        held = conversation.locked_for(by)
        if held is not None:
            raise Unlike(f"locked:{held.holder.name}")
    if order.action == "assign":
        if conversation.assignee_id != (order.member.id if order.member else None):
            conversation.assign_to(order.member, by=by, expected=conversation.assignee_id, tell=False)
    elif order.action in ("tag", "untag"):
        if order.tag is None:
            raise Unlike("tag")
        conversation.tag(order.tag, by=by) if order.action == "tag" else conversation.untag(order.tag, by=by)
    elif order.action == "snooze" and order.until is not None:
        conversation.snooze(order.until, by=by)
    elif order.action == "reopen":
        _reopen(conversation, by)
    elif order.action == "read":
        by.require(P.CONVERSATIONS_REPLY, on=conversation)
        conversation.mark_read(by=by)
    else:
        {"archive": conversation.archive, "spam": conversation.mark_spam, "unread": conversation.mark_unread}[order.action](by=by)
    db.session.flush()


def _reopen(conversation: Conversation, by: Member) -> None:
    if conversation.archived and Conversation.open_one(conversation.inbox_id, conversation.address) is not None:
        by.require(P.CONVERSATIONS_ARCHIVE, on=conversation)
        raise Unlike("newer")
    conversation.unarchive(by=by)


def look(conversation: Conversation, order: Order) -> dict[str, Any]:
    """How the conversation stands, as far as the action touches it."""
    if order.action == "assign":
        return {"assignee": conversation.assignee_id}
    if order.action in ("tag", "untag"):
        return {"tagged": order.tag is not None and conversation.has_tag(order.tag.id)}
    if order.action in ("read", "unread"):
        return {"unread": conversation.unread}
    moments = {"archived_at": conversation.archived_at, "snoozed_until": conversation.snoozed_until, "spam_at": conversation.spam_at}
    return {"unread": conversation.unread, **{name: at.isoformat() if at else None for name, at in moments.items()}}


def restore(conversation: Conversation, order: Order, before: dict[str, Any], by: Member) -> None:
    """Put back what `look` saw before the change."""
    if order.action == "assign":
        to = db.session.get(Member, before["assignee"]) if before["assignee"] else None
        conversation.assign_to(to, by=by, expected=conversation.assignee_id)
    elif order.action in ("tag", "untag"):
        if order.tag is None:
            raise Unlike("tag")
        conversation.tag(order.tag, by=by) if before["tagged"] else conversation.untag(order.tag, by=by)
    elif order.action in ("read", "unread"):
        by.require(P.CONVERSATIONS_REPLY, on=conversation)
        conversation.unread = before["unread"]
        conversation.changed()
    else:
        _move_back(conversation, before, by)
    db.session.flush()


def _move_back(conversation: Conversation, before: dict[str, Any], by: Member) -> None:
    """To the list it came from; a snooze that ran out meanwhile ends in the inbox."""
    by.require(P.CONVERSATIONS_ARCHIVE, on=conversation)
    archived, snoozed, spam = (datetime.fromisoformat(before[name]) if before[name] else None for name in ("archived_at", "snoozed_until", "spam_at"))
    if snoozed and snoozed <= clock.now():
        archived = snoozed = None
    if archived is None:
        _reopen(conversation, by)
    else:
        conversation.archived_at, conversation.snoozed_until, conversation.spam_at = archived, snoozed, spam
        kind = "conversation.spam_marked" if spam else "conversation.snoozed" if snoozed else "conversation.archived"
        Event.record(kind, account=conversation.account_id, by=by, conversation=conversation, until=snoozed.isoformat() if snoozed else None)
    conversation.unread = before["unread"]
    conversation.changed()


def sentences(action: str, missed: dict[str, int], undoing: bool) -> list[str]:
    """Why some were left as they are: “3 were locked by Maya”, “2 you may not assign”."""
    verb = ACTIONS[action][2]
    found = []
    for reason, n in sorted(missed.items(), key=lambda pair: -pair[1]):
        kind, _, detail = reason.partition(":")
        was = "was" if n == 1 else "were"
        found.append(
            {
                "locked": f"{n} {was} locked by {detail}",
                "rights": f"{n} you may not {'change back' if undoing else verb}",
                "newer": f"{n} {'has' if n == 1 else 'have'} a newer open conversation with the same contact",
                "since": f"{n} {was} changed by somebody since",
                "tag": f"{n} could not be changed, because the tag was deleted",
            }.get(kind, f"{n}: {detail.rstrip('.')}")
        )
    return found


def outcome(action: str, label: str, changed: int) -> str:
    """“12 assigned to Maya”."""
    return f"{changed:,} {ACTIONS[action][1].format(label)}"
