"""Keeping the index: what is written is indexed in the same transaction; what was there before, a batch at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox.models.base import Model, db, transaction
from inbox.models.carrier import insert_or_ignore
from inbox.models.search import engine
from inbox.models.search.words import GAP, of_contact, of_text

if TYPE_CHECKING:
    from inbox.models.contact import Contact
    from inbox.models.message import Message

BATCH = 500
_LINK = re.compile(r"https?://\S|\bwww\.\w", re.IGNORECASE)


class SearchMark(Model):
    """How far the rows that were there before the index have been put into it: `reached` of `until`, by id."""

    __tablename__ = "search_mark"
    name: Mapped[str] = mapped_column(sa.String(20), unique=True)
    reached: Mapped[int] = mapped_column(default=0)
    until: Mapped[int | None] = mapped_column()


def marks(message: Any, files: int) -> list[str]:
    """What a message is, as words that nobody can type."""
    found = [f"§i{message.inbox_id}", f"§v{message.conversation_id}", f"§k{message.kind}"]
    if message.author_id:
        found.append(f"§w{message.author_id}")
    if files:
        found.append("§ha")
    if _LINK.search(message.body):
        found.append("§hl")
    return found


def add_message(message: Message, files: int = 0) -> None:
    """Index a message that was just written, with how many files it has. Calls have no words of their own."""
    if message.kind != "call":
        engine.add_messages([(message.id, [*of_text(message.body), GAP, *marks(message, files)])])


def put_contact(contact: Contact) -> None:
    """Index a contact as it is now."""
    put_contacts([contact])


def put_contacts(contacts: Iterable[Any]) -> None:
    """Index contacts, or rows with their columns, as they are now: with what the same person is called elsewhere; who was merged away is found there only."""
    rows = list(contacts)
    aliases, away = _merged([c.id for c in rows])
    words = {c.id: [*of_contact(c.name, c.phone, c.email), *(w for a in aliases.get(c.id, ()) for w in (GAP, *of_contact(a.name, a.phone, a.email)))] for c in rows}
    engine.put_contacts([(c.id, [*words[c.id], GAP, f"§a{c.account_id}"] if c.id not in away else [f"§m{c.id}"]) for c in rows])


def _merged(ids: list[int]) -> tuple[dict[int, list[Any]], set[int]]:
    """What was merged into these contacts, and which of them were merged away themselves."""
    from inbox.models.contact import Contact

    columns = (Contact.id, Contact.merged_into_id, Contact.name, Contact.phone, Contact.email)
    into: dict[int, list[Any]] = {}
    away: set[int] = set()
    for start in range(0, len(ids), BATCH):
        some = ids[start : start + BATCH]
        for row in db.session.execute(sa.select(*columns).where(Contact.merged_into_id.is_not(None), sa.or_(Contact.merged_into_id.in_(some), Contact.id.in_(some)))):
            into.setdefault(row.merged_into_id, []).append(row)
            away.add(row.id)
    return into, away


def unfinished() -> bool:
    """Whether there are rows from before the index that are not in it."""
    done = db.session.scalar(sa.select(sa.func.count()).select_from(SearchMark).where(SearchMark.until.is_not(None), SearchMark.reached >= SearchMark.until))
    return (done or 0) < len(_STEPS)


def catch_up() -> bool:
    """Index one batch of what was there before; False when nothing is left. May stop anywhere, and run twice at once."""
    for name, step in _STEPS.items():
        with transaction():
            mark = _mark(name)
            if mark.until is not None and mark.reached >= mark.until:
                continue
            mark.reached = step(mark)
            return True
    return False


def _mark(name: str) -> SearchMark:
    db.session.execute(insert_or_ignore()(SearchMark).values(name=name, reached=0).on_conflict_do_nothing(index_elements=["name"]))
    mark = db.session.scalars(sa.select(SearchMark).where(SearchMark.name == name).with_for_update()).one()
    if mark.until is None:
        from inbox.models.contact import Contact
        from inbox.models.message import Message

        mark.until = db.session.scalar(sa.select(sa.func.max((Message if name == "messages" else Contact).id))) or 0
    return mark


def _messages(mark: SearchMark) -> int:
    from inbox.models.message import Attachment, Message

    rows = db.session.execute(
        sa.select(Message.id, Message.inbox_id, Message.conversation_id, Message.kind, Message.author_id, Message.body)
        .where(Message.id > mark.reached, Message.id <= mark.until).order_by(Message.id).limit(BATCH)
    ).all()
    if not rows:
        return mark.until or 0
    with_files = set(db.session.scalars(sa.select(Attachment.message_id).where(Attachment.message_id.in_([r.id for r in rows]))))
    engine.add_messages([(r.id, [*of_text(r.body), GAP, *marks(r, r.id in with_files)]) for r in rows if r.kind != "call"])
    return rows[-1].id


def _contacts(mark: SearchMark) -> int:
    from inbox.models.contact import Contact

    rows = db.session.execute(
        sa.select(Contact.id, Contact.account_id, Contact.name, Contact.phone, Contact.email)
        .where(Contact.id > mark.reached, Contact.id <= mark.until).order_by(Contact.id).limit(BATCH)
    ).all()
    put_contacts(rows)
    return rows[-1].id if rows else mark.until or 0


_STEPS = {"messages": _messages, "contacts": _contacts}
