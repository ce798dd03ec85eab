"""Two contacts that are one person become one.

The contact that was merged away stays as a row that only keeps its number and leads to the survivor: whoever writes from that number is the survivor, and an
undo brings the row back as it was. Consent is kept by number and is not touched; while two numbers are one person, an opt-out of either counts for both
(`Allowed.elsewhere`), and a block of either blocks both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inbox.models.base import Refused, db
from inbox.models.contact import WITHHELD, Contact
from inbox.models.contact_field import ContactField
from inbox.models.conversation import Conversation
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.merging.merging import Busy, Merging, MergingPart, packed, unpacked, waiting_briefly
from inbox.models.merging.parting import check_undoable, take_apart
from inbox.models.merging.talks import MOST, forget, merge_conversations, note
from inbox.models.rights import attend
from inbox.models.search.filters import contacts_with
from inbox.models.search.index import put_contacts
from inbox.models.search.terms import Phrase
from inbox.models.search.words import fold, split
from inbox.permissions import Permission

NAME = ("first_name", "last_name", "name")
UNIQUE = ("phone", "external_id")  # two contacts that change these change them with each other
COLUMNS = (*NAME, *UNIQUE, "email", "owner_id", "fields", "blocked_at")
LABELS = {"name": "Name", "phone": "Main number", "email": "Email", "external_id": "Contact ID", "owner": "Contact owner"}
ALIKE = 5  # contacts that are offered as duplicates


@dataclass(frozen=True)
class Choice:
    """One line of the preview: what each of the two has, in words, and which is suggested; `clash` says that somebody must choose."""

    key: str
    label: str
    mine: str
    theirs: str

    @property
    def clash(self) -> bool:
        return bool(self.mine and self.theirs and self.mine != self.theirs)

    @property
    def result(self) -> str:
        return self.mine or self.theirs


def preview(into: Contact, other: Contact) -> list[Choice]:
    """What the merged contact will have, line by line."""
    found = [
        Choice("name", LABELS["name"], into.name if into.named else "", other.name if other.named else ""),
        Choice("phone", LABELS["phone"], into.phone_display, other.phone_display),
        Choice("email", LABELS["email"], into.email or "", other.email or ""),
        Choice("external_id", LABELS["external_id"], into.external_id or "", other.external_id or ""),
        Choice("owner", LABELS["owner"], into.owner.name if into.owner else "", other.owner.name if other.owner else ""),
    ]
    mine, theirs = into.fields or {}, other.fields or {}
    fields = {field.key: field for field in ContactField.of(into.account_id)} if mine or theirs else {}
    for key in dict.fromkeys([*fields, *mine, *theirs]):
        if mine.get(key) or theirs.get(key):
            said = [fields[key].shown(kept[key]) if key in fields and kept.get(key) else str(kept.get(key) or "") for kept in (mine, theirs)]
            found.append(Choice(f"field:{key}", fields[key].name if key in fields else key, said[0], said[1]))
    return found


def alike(contact: Contact, *, by: Member) -> list[tuple[Contact, str]]:
    """Contacts that may be the same person, each with what they share."""
    found: dict[int, tuple[Contact, str]] = {}
    for words, why, fits in _signs(contact):
        ids = contacts_with([Phrase(tuple(words))], by, 50) if words else []
        rows = db.session.scalars(Contact.visible_to(by, Permission.CONTACTS_MERGE, among=ids).where(Contact.id != contact.id).order_by(Contact.id)) if ids else ()
        for row in rows:
            if fits(row):
                found.setdefault(row.id, (row, why))
    if contact.external_id:
        ways = {contact.external_id.lower(), contact.external_id.upper()} - {contact.external_id}
        for row in db.session.scalars(Contact.visible_to(by, Permission.CONTACTS_MERGE).where(Contact.external_id.in_(ways), Contact.id != contact.id)):
            found.setdefault(row.id, (row, "Same Contact ID"))
    return list(found.values())[:ALIKE]


def _signs(contact: Contact) -> list[tuple[list[str], str, Any]]:
    """Words to look for, what they mean, and the check that a contact really has them."""
    email, name = (contact.email or "").casefold(), fold(contact.name) if contact.named else ""
    found: list[tuple[list[str], str, Any]] = []
    if email:
        found.append(([word.text for word in split(email) if not word.tail], "Same e-mail address", lambda row: (row.email or "").casefold() == email))
    if name:
        found.append((name.split(), "Same name, another number", lambda row: row.named and fold(row.name) == name))
    return found


def merge_contacts(into: Contact, other: Contact, *, by: Member, theirs: Mapping[str, bool] | None = None, talks: bool = False) -> tuple[Merging, list[str]]:
    """Make `other` a part of `into`. `theirs` names the lines of the preview where the other's value wins; with `talks` their conversations in one inbox become one.

    Returns the merge, and why some conversations stayed apart.
    """
    attend(by, into.owner, other.owner)
    by.require(Permission.CONTACTS_MERGE)
    if into.id == other.id:
        raise Refused("Choose another contact to merge with.", field="other")
    _alone([into, other], by)
    if WITHHELD in (into.phone, other.phone):
        raise Refused("Callers who hide their number share one contact, which is nobody’s.", field="other")
    newest = db.session.scalar(sa.select(sa.func.max(Conversation.id))) or 0
    made = Merging(account_id=into.account_id, contact_id=into.id, by_id=by.id, newest_id=newest).save()
    part = MergingPart(merging_id=made.id, contact_id=other.id, before={}).save()
    note(part, "conversation", sa.select(Conversation.id).where(Conversation.contact_id == other.id))
    note(part, "contact", sa.select(Contact.id).where(Contact.merged_into_id == other.id))
    own, before = _look(into), _look(other)
    _combine(into, other, {key for key, wins in (theirs or {}).items() if wins}, by)
    db.session.execute(sa.update(Conversation).where(Conversation.contact_id == other.id).values(contact_id=into.id).execution_options(synchronize_session=False))
    db.session.execute(sa.update(Contact).where(Contact.merged_into_id == other.id).values(merged_into_id=into.id).execution_options(synchronize_session=False))
    other.merged_into_id = into.id
    db.session.flush()
    made.before, part.before = _changes(own, _look(into)), _changes(before, _look(other))
    Event.record("contact.merged", account=into.account_id, by=by, contact=into.id, name=into.name, other=before["name"], merging=made.public_id)
    forget(Conversation)
    put_contacts([into, other])
    kept = _fold(into, other, by) if talks else []
    _tell(into)
    return made, kept


def _alone(contacts: list[Contact], by: Member) -> None:
    """Nobody else changes these until the transaction ends, and `by` may merge each of them."""
    ids = sorted({contact.id for contact in contacts})
    with waiting_briefly():
        db.session.scalars(sa.select(Contact).where(Contact.id.in_(ids)).order_by(Contact.id).with_for_update().execution_options(populate_existing=True)).all()
        talks = sa.select(Conversation.id).where(Conversation.contact_id.in_(ids)).order_by(Conversation.id)
        db.session.execute(talks.with_for_update(key_share=True)).all()
    if any(contact.merged_into_id is not None for contact in contacts):
        raise Busy("One of these was merged a moment ago. Look again.")
    may = set(db.session.scalars(Contact.visible_to(by, Permission.CONTACTS_MERGE, among=ids).with_only_columns(Contact.id)))
    if may != set(ids):
        raise Refused("Your role allows to merge only contacts of other teams.", field="other")


def _look(contact: Contact) -> dict[str, Any]:
    return packed({name: getattr(contact, name) for name in COLUMNS})


def _changes(was: dict[str, Any], became: dict[str, Any]) -> dict[str, Any]:
    return {name: [was[name], became[name]] for name in COLUMNS if was[name] != became[name]}


def _combine(into: Contact, other: Contact, theirs: set[str], by: Member) -> None:
    """The values that win; what only one of the two has is kept, and the stricter of two blocks."""
    for name in UNIQUE:
        if getattr(other, name) and (name in theirs or not getattr(into, name)):
            _swap(into, other, name)
    if other.email and ("email" in theirs or not into.email):
        into.email = other.email
    if other.named and ("name" in theirs or not into.named):
        into.first_name, into.last_name = other.first_name, other.last_name
    if other.owner is not None and ("owner" in theirs or into.owner is None):
        into.give_to(other.owner, by=by, source="merge")
    mine, its = into.fields or {}, other.fields or {}
    merged = {key: its[key] if its.get(key) and (f"field:{key}" in theirs or not mine.get(key)) else value for key, value in {**its, **mine}.items()}
    if merged != mine:
        into.fields = merged
    if other.blocked_at is not None and into.blocked_at is None:
        into.blocked_at = other.blocked_at
    into.name = _called(into)
    db.session.flush()


def _called(contact: Contact) -> str:
    named = Contact(phone=contact.phone, email=contact.email)  # `rename` would index it, half changed
    named.rename(contact.first_name, contact.last_name)
    return named.name


def _swap(into: Contact, other: Contact, name: str) -> None:
    """Two unique values change places."""
    mine, theirs = getattr(into, name), getattr(other, name)
    setattr(other, name, None)
    db.session.flush()
    setattr(into, name, theirs)
    db.session.flush()
    setattr(other, name, mine)
    db.session.flush()


def _fold(into: Contact, other: Contact, by: Member) -> list[str]:
    """In each inbox the person's conversations become one, where `by` may merge them; returns why some did not."""
    query = Conversation.scope(by).where(Conversation.contact_id == into.id, Conversation.spam_at.is_(None)).order_by(Conversation.inbox_id, Conversation.id)
    groups: dict[int, list[Conversation]] = {}
    for talk in db.session.scalars(query).unique():
        groups.setdefault(talk.inbox_id, []).append(talk)
    kept = []
    for found in groups.values():
        if len({talk.address for talk in found}) < 2 or not by.can(Permission.CONVERSATIONS_MERGE, on=found[0]):
            continue
        found.sort(key=lambda talk: (not talk.archived, talk.address == into.phone, talk.last_activity_at, talk.id), reverse=True)
        try:
            with db.session.begin_nested():
                merge_conversations(found[0], found[1:MOST], by=by)
        except Busy:
            raise
        except Refused as refused:
            kept.append(f"{found[0].inbox.name}: {refused.sentence}")
    return kept


def _tell(contact: Contact) -> None:
    for talk in db.session.scalars(sa.select(Conversation).where(Conversation.contact_id == contact.id, Conversation.merged_into_id.is_(None)).limit(50)):
        talk.changed()


# -- and apart again ---------------------------------------------------------------------------------------------------


def part_contacts(merging: Merging, *, by: Member) -> Contact:
    """Undo a merge of contacts; conversations that mix the two come apart first. Returns the contact the other comes out of."""
    into, part = merging.contact, merging.parts[0]
    other = part.contact
    assert into is not None and other is not None  # noqa: S101 - the caller has seen that it is one of contacts
    attend(by)
    by.require(Permission.CONTACTS_MERGE)
    check_undoable(merging)
    for mixed in _mixed(merging, into, other):
        take_apart(mixed, by=by)
    db.session.refresh(merging, ["undone_at"])
    check_undoable(merging)
    here = sa.or_(Merging.contact_id == into.id, MergingPart.contact_id == into.id)
    later = sa.select(Merging.id).join(MergingPart).where(Merging.id > merging.id, Merging.undone_at.is_(None), here)
    _alone([into], by)
    if db.session.scalar(later.limit(1)) is not None:
        raise Refused("This contact was merged with another one since. Undo that merge first.")
    db.session.refresh(other, with_for_update=True)
    merging.undone_at = _now()
    _separate(part, into, other, merging)
    Event.record("contact.unmerged", account=into.account_id, by=by, contact=into.id, name=into.name, other=other.name, merging=merging.public_id)
    put_contacts([into, other])
    for contact in (into, other):
        _tell(contact)
    return into


def _now() -> Any:
    from inbox import clock

    return clock.now()


def _numbers(part: MergingPart, into: Contact, other: Contact) -> set[str]:
    """The numbers that go back with `other`."""
    was = part.before.get("phone", [other.phone])[0]
    aliases = db.session.scalars(sa.select(Contact.phone).where(Contact.id.in_(_items(part, "contact"))))
    return {number for number in (was, *aliases) if number}


def _items(part: MergingPart, what: str) -> Any:
    from inbox.models.merging.merging import MergingItem

    return sa.select(MergingItem.row_id).where(MergingItem.part_id == part.id, MergingItem.what == what)


def _mixed(merging: Merging, into: Contact, other: Contact) -> list[Merging]:
    """Later merges of conversations that put the two together, and what was merged on top of those; the last first."""
    part = merging.parts[0]
    theirs, numbers = set(db.session.scalars(_items(part, "conversation"))), _numbers(part, into, other)
    here = sa.select(Conversation.id).where(Conversation.contact_id == into.id)
    query = sa.select(Merging).where(Merging.conversation_id.in_(here), Merging.id > merging.id, Merging.undone_at.is_(None)).order_by(Merging.id.desc())
    found, last = db.session.scalars(query).all(), 0
    for position, one in enumerate(found, 1):
        talks = [one.conversation, *(p.conversation for p in one.parts)]
        if len({talk is not None and (talk.id in theirs or talk.address in numbers) for talk in talks}) > 1:
            last = position
    return list(found[:last])


def _separate(part: MergingPart, into: Contact, other: Contact, merging: Merging) -> None:
    numbers, came = _numbers(part, into, other), Conversation.id > merging.newest_id
    here = (Conversation.contact_id == into.id, sa.or_(Conversation.id.in_(_items(part, "conversation")), sa.and_(came, Conversation.address.in_(numbers))))
    db.session.execute(sa.update(Conversation).where(*here).values(contact_id=other.id).execution_options(synchronize_session=False))
    db.session.execute(sa.update(Contact).where(Contact.id.in_(_items(part, "contact"))).values(merged_into_id=other.id).execution_options(synchronize_session=False))
    other.merged_into_id = None
    for name in UNIQUE:
        if name in part.before or name in merging.before:
            _unswap(into, other, name, merging.before.get(name), part.before.get(name))
    was = unpacked(Contact, {name: both[0] for name, both in merging.before.items()})
    became = unpacked(Contact, {name: both[1] for name, both in merging.before.items()})
    named = all(getattr(into, name) == became[name] for name in NAME if name in became)
    for name in COLUMNS:
        if name in was and name not in UNIQUE and getattr(into, name) == became[name] and (named or name not in NAME):
            setattr(into, name, _standing_owner(was[name], into) if name == "owner_id" else was[name])
    if not named:
        into.name = _called(into)
    other.name = _called(other) if not other.named else other.name
    db.session.flush()
    forget(Conversation)


def _unswap(into: Contact, other: Contact, name: str, mine: list[Any] | None, theirs: list[Any] | None) -> None:
    """Back to each what was its own, as far as nobody gave either another one since."""
    if getattr(into, name) == (mine or [None, getattr(into, name)])[1] and getattr(other, name) == (theirs or [None, getattr(other, name)])[1]:
        _swap(into, other, name)


def _standing_owner(member_id: int | None, contact: Contact) -> int | None:
    member = db.session.get(Member, member_id) if member_id is not None else None
    return member_id if member is not None and member.can(Permission.CONVERSATIONS_REPLY) else None


__all__ = ["Choice", "alike", "merge_contacts", "part_contacts", "preview"]
