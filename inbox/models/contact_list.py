"""The list of contacts: who is in it, by what filter, and what a row says beside the contact itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased, joinedload

from inbox.models.base import db, one_line
from inbox.models.consent import Consent
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation
from inbox.models.conversation.filtering import FEW, unindexed
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.search.query import read
from inbox.models.search.terms import Phrase, Term
from inbox.models.tag import Tag, Tagging

MATCHES = 1000  # contacts that words may stand for, the newest
CONSENTS = {"in": "Said yes to texts", "out": "Opted out", "none": "Said nothing"}
_DIGITS = re.compile(r"[\d\s().+/\u2010-\u2013-]{3,25}")


@dataclass(frozen=True)
class ContactFilter:
    """What the list is narrowed to. `owner` is me, none or a member's public id, `tag` a tag's; `consent` a key of CONSENTS."""

    words: str = ""
    owner: str = ""
    tag: str = ""
    consent: str = ""
    blocked: bool = False

    def args(self, **changed: Any) -> dict[str, str]:
        """As the arguments of an address, without what asks for nothing."""
        values = {"q": self.words, "owner": self.owner, "tag": self.tag, "consent": self.consent, "blocked": "1" if self.blocked else "", **changed}
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Listed:
    """What a row shows of one contact beside its columns."""

    consent: str = ""  # in, out or nothing
    last: datetime | None = None  # when somebody last wrote in a conversation the reader may open


def listed(member: Member, filter: ContactFilter, *, after: tuple[str, int] | None = None, limit: int = 40) -> list[Contact]:
    """Contacts by name, after the last one of the page before."""
    ids = _matches(member, one_line(filter.words)) if one_line(filter.words) else None
    few = _tagged(member, filter.tag) if filter.tag else None
    if few is not None:
        ids = few if ids is None else [id for id in ids if id in set(few)]
    query = Contact.visible_to(member, among=ids).options(joinedload(Contact.owner)).where(*_conditions(member, filter))
    if after:
        query = query.where(sa.tuple_(Contact.name, Contact.id) > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])))
    return list(db.session.scalars(query.order_by(Contact.name, Contact.id).limit(limit)))


def _matches(member: Member, words: str) -> list[int]:
    from inbox.models.search.filters import contacts_with

    return contacts_with(terms, member, MATCHES) if (terms := _terms(words)) else []


def _tagged(member: Member, tag: str) -> list[int] | None:
    """The contacts with whom a conversation has a tag that few have; None when many have it."""
    tag_id = _id(Tag, tag, member)
    talks = list(db.session.scalars(sa.select(Tagging.conversation_id).where(Tagging.tag_id == tag_id).limit(FEW + 1)))
    if len(talks) > FEW:
        return None
    found = sa.select(Conversation.contact_id).where(Conversation.id.in_(talks), unindexed("inbox_id").in_(member.readable_inbox_ids)).distinct()
    return list(db.session.scalars(found))


def _terms(words: str) -> list[Term]:
    """Every word begun; digits in any grouping are one number."""
    digits = "".join(c for c in words if c.isdigit())
    if _DIGITS.fullmatch(words) and len(digits) >= 3:
        return [Phrase((digits,), prefix=True)]
    return [Phrase(term.words, prefix=True) if isinstance(term, Phrase) else term for term in read(words.replace(":", " ")).terms]


def _conditions(member: Member, filter: ContactFilter) -> list[Any]:
    found: list[Any] = []
    if filter.owner == "none":
        found.append(Contact.owner_id.is_(None))
    elif filter.owner:
        found.append(Contact.owner_id == (member.id if filter.owner == "me" else _id(Member, filter.owner, member)))
    if filter.tag:
        talks = sa.select(Conversation.contact_id).join(Tagging, Tagging.conversation_id == Conversation.id)
        found.append(Contact.id.in_(talks.where(Tagging.tag_id == _id(Tag, filter.tag, member), Conversation.inbox_id.in_(member.readable_inbox_ids))))
    if filter.blocked:
        found.append(Contact.blocked_at.is_not(None))
    if filter.consent == "none":
        found += [Contact.phone.is_not(None), Contact.phone.not_in(sa.select(Consent.address).where(Consent.account_id == member.account_id))]
    elif filter.consent:
        out = Contact.phone.in_(_standing(member, opted_out=True))
        found += [out] if filter.consent == "out" else [sa.not_(out), Contact.phone.in_(_standing(member, opted_out=False))]
    return found


def _id(model: Any, public_id: str, member: Member) -> int:
    """The row of that id in the account; 0, which no row has, when there is none."""
    return db.session.scalar(sa.select(model.id).where(model.public_id == public_id, model.account_id == member.account_id)) or 0


def _standing(member: Member, *, opted_out: bool) -> Any:
    """The numbers about which a change stands that no later one overruled, as far as it counts for the member's inboxes."""
    change, later = aliased(Consent), aliased(Consent)
    overruled = sa.exists().where(
        later.account_id == change.account_id, later.address == change.address, later.id > change.id,
        sa.or_(
            later.scope == "account", sa.and_(later.scope == "team", change.scope != "account", later.team_id == change.team_id),
            sa.and_(later.scope == "inbox", change.scope == "inbox", later.inbox_id == change.inbox_id),
        ),
    )
    said = change.opted_out if opted_out else sa.and_(sa.not_(change.opted_out), change.source != "undone")
    inboxes = member.readable_inbox_ids
    teams = sa.select(Inbox.team_id).where(Inbox.id.in_(inboxes))
    near = sa.or_(change.scope == "account", sa.and_(change.scope == "team", change.team_id.in_(teams)), sa.and_(change.scope == "inbox", change.inbox_id.in_(inboxes)))
    return sa.select(change.address).where(change.account_id == member.account_id, said, near, sa.not_(overruled))


def about(member: Member, contacts: list[Contact]) -> dict[int, Listed]:
    """What the rows of a page say beside the contacts, by contact id: two queries however many they are."""
    inboxes = [inbox for inbox in Inbox.visible_to(member) if inbox.id in member.readable_inbox_ids]
    standing = Consent.standing_of(member.account_id, [c.phone for c in contacts if c.phone])
    last = sa.select(Conversation.contact_id, sa.func.max(Conversation.last_activity_at).label("at")).where(
        Conversation.contact_id.in_([c.id for c in contacts]), unindexed("inbox_id").in_(member.readable_inbox_ids)
    )
    times = {row.contact_id: row.at for row in db.session.execute(last.group_by(Conversation.contact_id))} if contacts else {}
    return {c.id: Listed(_said(standing.get(c.phone or "", []), inboxes), times.get(c.id)) for c in contacts}


def _said(changes: list[Consent], inboxes: list[Inbox]) -> str:
    reaching = [change for change in changes if change.source != "undone" and any(change.reaches(inbox) for inbox in inboxes)]
    return "out" if any(change.opted_out for change in reaching) else "in" if reaching else ""


def tags_of(contact: Contact, member: Member, limit: int = 20) -> list[Tag]:
    """The tags on the contact's conversations that the member may read, by name."""
    talks = sa.select(Tagging.tag_id).join(Conversation, Conversation.id == Tagging.conversation_id)
    mine = talks.where(Conversation.contact_id == contact.id, unindexed("inbox_id").in_(member.readable_inbox_ids))
    return list(db.session.scalars(sa.select(Tag).where(Tag.id.in_(mine)).order_by(Tag.key).limit(limit)))
