"""Mentions: teammates named in a note with an @, kept by who they are and not by what they are called (CONV-4)."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox.models.base import Model, Refused
from inbox.models.member import Member
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.message import Message

MOST = 20  # mentions in one note
LISTED = 8
WORDS = 6  # of a name
_AT = re.compile(r'(?<![\w@.])@(?:"([^"\n]{1,120})"|([^\s@"]+(?: [^\s@"]+){0,5}))')


class Mention(Model):
    """A place in a note where a member is named: `length` characters from `position` on, the @ included."""

    __tablename__ = "mention"
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    position: Mapped[int] = mapped_column()
    length: Mapped[int] = mapped_column()
    member: Mapped[Member] = relationship(lazy="joined", innerjoin=True)

    __table_args__ = (sa.UniqueConstraint("message_id", "position"), sa.Index("ix_mention_member", "member_id", "message_id"))


@dataclass(frozen=True)
class Span:
    """A member named in a text that is not stored yet."""

    member: Member
    position: int
    length: int


@dataclass(frozen=True)
class Choice:
    """Somebody a note could name: what to write for them, and whether they would see it."""

    member: Member
    text: str
    reads: bool


def spans(conversation: Conversation, body: str) -> list[Span]:
    """Whom a note names. An @ before no name of ours stays a plain sign; Refused when a name means several people, or somebody who cannot read here."""
    marks = list(_AT.finditer(body))
    if not marks:
        return []
    names = _names(Member.with_reach(conversation.account_id))
    found = []
    for mark in marks:
        people, length = _read(mark, names)
        if people:
            found.append(Span(_one(people, conversation), mark.start(), length))
    if len(found) > MOST:
        raise Refused(f"Mention at most {MOST} people in one note.", field="body")
    return found


def choices(conversation: Conversation, typed: str) -> list[Choice]:
    """Who comes into question after an @ and these letters: those who can read here first."""
    people, wanted = Member.with_reach(conversation.account_id), typed.casefold().strip()
    alike: dict[str, int] = defaultdict(int)
    for member in people:
        alike[member.name.casefold()] += 1
    fitting = [m for m in people if not wanted or any(part.startswith(wanted) for part in (m.name.casefold(), *m.name.casefold().split()))]
    found = [Choice(m, f"@{m.name if alike[m.name.casefold()] == 1 else m.user_id}", bool(m.can(Permission.CONVERSATIONS_VIEW, on=conversation))) for m in fitting]
    return sorted(found, key=lambda c: not c.reads)[:LISTED]


def _names(people: list[Member]) -> dict[str, list[Member]]:
    """What people may be called: a full name, a first name, or the user id; a full name goes before somebody's first name."""
    full: dict[str, list[Member]] = defaultdict(list)
    first: dict[str, list[Member]] = defaultdict(list)
    for member in people:
        full[member.name.casefold()].append(member)
        full[member.user_id.casefold()].append(member)
        first[member.name.casefold().split()[0] if member.name.split() else ""].append(member)
    return {**first, **full}


def _read(mark: re.Match[str], names: dict[str, list[Member]]) -> tuple[list[Member], int]:
    """The people meant by what follows an @, the longest name that there is, and how many characters that takes."""
    quoted, words = mark.group(1), (mark.group(2) or "").split(" ")
    if quoted is not None:
        return names.get(" ".join(quoted.split()).casefold(), []), len(quoted) + 3
    for count in range(min(len(words), WORDS), 0, -1):
        said = " ".join(words[:count])
        for name in (said, re.sub(r"(?:['’]s)?\W*$", "", said)):
            if name and name.casefold() in names:
                return names[name.casefold()], len(name) + 1
    return [], 0


def _one(people: list[Member], conversation: Conversation) -> Member:
    reading = [m for m in people if m.can(Permission.CONVERSATIONS_VIEW, on=conversation)]
    if not reading:
        raise Refused(f"{people[0].name} cannot read this inbox and would never see this. Write the name without the @.", field="body")
    if len(reading) > 1:
        same = len({m.name.casefold() for m in reading}) < len(reading)
        ways = [f"@{m.user_id} ({m.name})" if same else f"@{m.name}" for m in reading[:LISTED]]
        raise Refused(f"There are several people of that name here. Write {', '.join(ways[:-1])} or {ways[-1]}.", field="body")
    return reading[0]


def tell_of_note(message: Message, conversation: Conversation, named: list[Span], *, by: Member) -> None:
    """Keep whom a new note names and tell each of them once; then tell who follows the conversation."""
    from inbox.models.following import Following
    from inbox.models.notification import Notice

    for span in named:
        Mention(message_id=message.id, member_id=span.member.id, position=span.position, length=span.length).save()
    told = {span.member.id: span.member for span in named}
    for member in told.values():
        Notice.give("mentioned", conversation, message=message, to=member, by=by)
    for member in Following.of(conversation):
        if member.id not in told:
            Notice.give("followed", conversation, message=message, to=member, by=by)
