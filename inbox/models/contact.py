"""Contacts: the customers, who owns them, and whom nobody wants to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox import phone as phones
from inbox.models.base import Model, Moment, Refused, Unindexed, db, now_column, one_line, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.member import Member, initials
from inbox.models.rights import Denied, attend
from inbox.models.search.index import put_contact
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation

HUES = ("blue", "teal", "green", "lime", "amber", "orange", "red", "pink", "violet")
WITHHELD = "withheld"  # in place of the number of callers who hide it: they share one contact, and one conversation per inbox, which nothing can be sent to

BLOCKED = sa.text("blocked_at IS NOT NULL")


class Contact(Model):
    """A customer; `owner_id` is set by hand or by an import's UserID (ASG-1)."""

    __tablename__ = "contact"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    first_name: Mapped[str] = mapped_column(sa.String(80), default="")
    last_name: Mapped[str] = mapped_column(sa.String(80), default="")
    name: Mapped[str] = mapped_column(sa.String(165), default="")  # shown everywhere; the formatted number when unnamed
    phone: Mapped[str | None] = mapped_column(sa.String(20))
    email: Mapped[str | None] = mapped_column(sa.String(254))
    external_id: Mapped[str | None] = mapped_column(sa.String(80))
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"), index=True)
    fields: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    merged_into_id: Mapped[int | None] = mapped_column(sa.ForeignKey("contact.id"), index=True)  # the same person: this row only keeps its number, and leads there
    blocked_at: Mapped[datetime | None] = mapped_column(Moment)  # its texts are kept, but reach nobody, and none leaves to it (MSG-1)
    created_at: Mapped[datetime] = now_column()
    owner: Mapped[Member | None] = relationship()
    also = frozenset[str]()  # an import notes here which numbers and Contact IDs of its rows were merged in

    __table_args__ = (
        sa.UniqueConstraint("account_id", "phone"),
        sa.Index("uq_contact_external", "account_id", "external_id", unique=True),
        sa.Index("ix_contact_name", "account_id", "name", "id"),
        sa.Index("ix_contact_owned", "owner_id", "name", "id"),
        sa.Index("ix_contact_blocked", "account_id", "name", "id", sqlite_where=BLOCKED, postgresql_where=BLOCKED),
    )

    @staticmethod
    def at(account_id: int, phone: str) -> Contact:
        """The contact with that number, made when new; two at once make one. Where two are one person by now, the one that stands for both."""
        made = db.session.execute(
            insert_or_ignore()(Contact)
            .values(
                account_id=account_id, phone=phone, name=phones.display(phone), public_id=public_id(), first_name="", last_name="", fields={},
                created_at=clock.now(),
            )
            .on_conflict_do_nothing(index_elements=["account_id", "phone"])
            .returning(Contact.id)
        ).scalar()
        found = db.session.scalars(sa.select(Contact).where(Contact.account_id == account_id, Contact.phone == phone)).one()
        if made is not None:
            put_contact(found)
        return found.standing()

    def standing(self) -> Contact:
        """This contact, or the one it was merged into."""
        return self if self.merged_into_id is None else db.session.get_one(Contact, self.merged_into_id)

    def numbers(self) -> list[str]:
        """Every number of this person, the main one first."""
        query = sa.select(Contact.phone).where(Contact.merged_into_id == self.id, Contact.phone.is_not(None)).order_by(Contact.id)
        return [number for number in (self.phone, *db.session.scalars(query)) if number]

    @staticmethod
    def same_person(account_id: int, phone: str | None) -> list[str]:
        """The other numbers of whoever has this one; hardly anybody has any."""
        asked = {"whose_account": account_id, "whose_phone": phone}
        return [number for number in db.session.scalars(sa.union(*numbers_with()), asked) if number]

    def rename(self, first: str, last: str) -> None:
        """Set the name; an unnamed contact shows its number."""
        stored = self.id is not None  # read first: reading an expired row later would flush the change, and nobody would see it
        self.first_name, self.last_name = one_line(first)[:80], one_line(last)[:80]
        full = f"{self.first_name} {self.last_name}".strip()
        self.name = full or (phones.display(self.phone) if self.phone else (self.email or "Unknown"))
        if stored and db.session.is_modified(self):
            put_contact(self)

    @property
    def named(self) -> bool:
        return bool(self.first_name or self.last_name)

    @property
    def initials(self) -> str:
        return initials(self.name) if self.named else ""

    @property
    def hue(self) -> str:
        return HUES[self.id % len(HUES)] if self.named else "slate"

    @property
    def phone_display(self) -> str:
        return phones.display(self.phone) if self.phone else ""

    def give_to(self, owner: Member | None, *, by: Member | None, source: str = "hand") -> bool:
        """Set or clear the owner; False when nothing changed."""
        if (owner.id if owner else None) == self.owner_id:
            return False
        if owner and owner.account_id != self.account_id:
            raise Refused("Choose someone from the list.", field="owner")
        if owner and by is not None:
            attend(owner)
            may = owner.can(Permission.CONVERSATIONS_REPLY)
            if not may:
                raise Refused(f"{owner.name} can’t be the owner. {may.told}", field="owner")
        self.owner_id = owner.id if owner else None
        Event.record(
            "contact.owner_set" if owner else "contact.owner_cleared", account=self.account_id, by=by, contact=self.id,
            owner=owner.name if owner else None, source=source,
        )
        return True

    @staticmethod
    def create(*, by: Member, first: str, last: str, phone: str, email: str | None, owner: Member | None, fields: Mapping[str, str] | None = None) -> Contact:
        """A contact somebody typed in; Refused when the number is none, or somebody's already."""
        by.require(Permission.CONTACTS_EDIT)
        if by.teams_with(Permission.CONTACTS_EDIT) is not None:
            raise Denied("Your role allows to edit contacts only for some teams, and a new contact belongs to none yet.")
        number = phones.normalize(phone, by.account.country or "US")
        if number is None:
            raise Refused("That is not a phone number. Include the area code, for example (415) 555-0134.", field="phone")
        values = {"account_id": by.account_id, "phone": number, "name": phones.display(number), "public_id": public_id(), "first_name": "", "last_name": "", "fields": {}}
        made = insert_or_ignore()(Contact).values(created_at=clock.now(), **values).on_conflict_do_nothing(index_elements=["account_id", "phone"]).returning(Contact.id)
        id = db.session.execute(made).scalar()
        if id is None:
            raise Refused("There is a contact with this number already.", field="phone")
        contact = db.session.get_one(Contact, id)
        contact._write(by=by, first=first, last=last, email=email, owner=owner, fields=fields)
        put_contact(contact)
        Event.record("contact.created", account=by.account_id, by=by, contact=contact.id)
        return contact

    def edit(self, *, by: Member, first: str, last: str, email: str | None, owner: Member | None, fields: Mapping[str, str] | None = None) -> None:
        """Change what is known; `fields` by their keys, those left out stay. The address stays for who may not see it."""
        by.require(Permission.CONTACTS_EDIT)
        self._write(by=by, first=first, last=last, email=email if by.sees_personal else self.email, owner=owner, fields=fields)
        Event.record("contact.edited", account=self.account_id, by=by, contact=self.id)

    def _write(self, *, by: Member, first: str, last: str, email: str | None, owner: Member | None, fields: Mapping[str, str] | None) -> None:
        from inbox.models.contact_field import ContactField

        self.entrust_to(owner, by=by)  # first: it waits for the owner, and a refusal leaves the rest as it was
        if fields:
            ContactField.put(self, fields)
        self.email = email or None
        self.rename(first, last)

    def entrust_to(self, owner: Member | None, *, by: Member) -> bool:
        """Another owner, or none, by somebody who may set it for this contact; False when nothing changed."""
        if (owner.id if owner else None) == self.owner_id:
            return False
        by.require(Permission.CONTACTS_OWN)
        scope = Contact.visible_to(by, Permission.CONTACTS_OWN).where(Contact.id == self.id)
        if db.session.scalar(scope) is None:
            raise Denied("Your role allows to set the owner only for contacts of other teams.")
        return self.give_to(owner, by=by)

    @property
    def blocked(self) -> bool:
        return self.blocked_at is not None

    def block(self, *, by: Member, conversation: Conversation | None = None) -> None:
        """Keep this contact's texts from everybody, and ours from it; `conversation` is where somebody decided so."""
        self._set_blocked(clock.now(), "contact.blocked", by, conversation)

    def unblock(self, *, by: Member, conversation: Conversation | None = None) -> None:
        self._set_blocked(None, "contact.unblocked", by, conversation)

    def _set_blocked(self, at: datetime | None, kind: str, by: Member, conversation: Conversation | None) -> None:
        by.require(Permission.CONTACTS_EDIT)
        db.session.execute(sa.select(Contact.id).where(Contact.id == self.id).with_for_update(key_share=True))
        db.session.refresh(self, ["blocked_at"])
        if self.blocked == (at is not None):
            return
        self.blocked_at = at
        if at is not None:
            from inbox.models.undo import stop_for

            db.session.flush()
            stop_for(self)
        Event.record(kind, account=self.account_id, by=by, conversation=conversation, contact=self.id)
        if conversation is not None:
            conversation.changed()

    @staticmethod
    def search(by: Member, words: str = "", *, after: tuple[str, int] | None = None, limit: int = 40) -> list[Contact]:
        """Contacts that `by` may see, by name, keyed paging; each word begins one of the name or the address, or is a part of the number."""
        from inbox.models.contact_list import ContactFilter, listed

        return listed(by, ContactFilter(words=words), after=after, limit=limit)

    @staticmethod
    def visible_to(member: Member, permission: Permission = Permission.CONTACTS_VIEW, *, among: Any = None) -> Any:
        """The scope of contacts a member may use `permission` on: the account's, or those who talk with an inbox of the teams it is held for; `among` names some by their ids."""
        from inbox.models.conversation import Conversation
        from inbox.models.inbox import Inbox

        if not member.can(permission):
            return sa.select(Contact).where(sa.false())
        columns = (Contact.account_id, Contact.merged_into_id)
        account_id, merged_into_id = columns if among is None else (Unindexed(column) for column in columns)  # some are found by their keys
        query, teams = sa.select(Contact).where(account_id == member.account_id, merged_into_id.is_(None)), member.teams_with(permission)
        query = query if among is None else query.where(Contact.id.in_(among))
        if teams is None:
            return query
        near = Unindexed(Conversation.inbox_id) == Inbox.id
        talks = sa.select(Conversation.id).join(Inbox, near).where(Conversation.contact_id == Contact.id, Inbox.team_id.in_(teams))
        return query.where(talks.correlate(Contact).exists())


@cache
def numbers_with() -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Two selects of the other numbers of whoever has the number `whose_phone` of `whose_account`, each by an index."""
    one, other = sa.orm.aliased(Contact), sa.orm.aliased(Contact)
    stands = sa.func.coalesce(one.merged_into_id, one.id)
    here = (one.account_id == sa.bindparam("whose_account"), one.phone == sa.bindparam("whose_phone"), other.phone.is_not(None), other.id != one.id)
    main = sa.select(other.phone).join_from(one, other, other.id == one.merged_into_id).where(*here)
    more = sa.select(other.phone).join_from(one, other, other.merged_into_id == stands).where(*here)
    return main, more
