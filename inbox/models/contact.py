"""Contacts: the customers, who owns them, and whom nobody wants to hear of."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox import phone as phones
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.member import Member, initials
from inbox.models.rights import Denied, attend
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation

HUES = ("blue", "teal", "green", "lime", "amber", "orange", "red", "pink", "violet")
WITHHELD = "withheld"  # in place of the number of callers who hide it: they share one contact, and one conversation per inbox, which nothing can be sent to


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
    blocked_at: Mapped[datetime | None] = mapped_column(Moment)  # its texts are kept, but reach nobody, and none leaves to it (MSG-1)
    created_at: Mapped[datetime] = now_column()
    owner: Mapped[Member | None] = relationship()

    __table_args__ = (
        sa.UniqueConstraint("account_id", "phone"),
        sa.Index("uq_contact_external", "account_id", "external_id", unique=True),
        sa.Index("ix_contact_name", "account_id", "name", "id"),
    )

    @staticmethod
    def at(account_id: int, phone: str) -> Contact:
        """The contact with that number, made when new; two at once make one."""
        db.session.execute(
            insert_or_ignore()(Contact)
            .values(
                account_id=account_id, phone=phone, name=phones.display(phone), public_id=public_id(), first_name="", last_name="", fields={},
                created_at=clock.now(),
            )
            .on_conflict_do_nothing(index_elements=["account_id", "phone"])
        )
        return db.session.scalars(sa.select(Contact).where(Contact.account_id == account_id, Contact.phone == phone)).one()

    def rename(self, first: str, last: str) -> None:
        """Set the name; an unnamed contact shows its number."""
        self.first_name, self.last_name = one_line(first)[:80], one_line(last)[:80]
        full = f"{self.first_name} {self.last_name}".strip()
        self.name = full or (phones.display(self.phone) if self.phone else (self.email or "Unknown"))

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

    def edit(self, *, by: Member, first: str, last: str, email: str | None, owner: Member | None) -> None:
        by.require(Permission.CONTACTS_EDIT)
        if (owner.id if owner else None) != self.owner_id:
            by.require(Permission.CONTACTS_OWN)
            if db.session.scalar(Contact.visible_to(by, Permission.CONTACTS_OWN).where(Contact.id == self.id)) is None:
                raise Denied("Your role allows to set the owner only for contacts of other teams.")
        self.give_to(owner, by=by)  # first: it waits for the owner, and a refusal leaves the rest as it was
        self.rename(first, last)
        self.email = email or None
        Event.record("contact.edited", account=self.account_id, by=by, contact=self.id)

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
        Event.record(kind, account=self.account_id, by=by, conversation=conversation, contact=self.id)
        if conversation is not None:
            conversation.changed()

    @staticmethod
    def search(by: Member, words: str = "", *, after: tuple[str, int] | None = None, limit: int = 40) -> list[Contact]:
        """Contacts that `by` may see, by name, keyed paging; words match the start of a name, or digits of the number."""
        query = Contact.visible_to(by).options(sa.orm.joinedload(Contact.owner))
        words = one_line(words)
        if words:
            escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            matches = [sa.func.lower(Contact.name).like(f"%{escaped.lower()}%", escape="\\")]
            digits = "".join(c for c in words if c.isdigit())
            if len(digits) >= 3:
                matches.append(Contact.phone.like(f"%{digits}%"))
            query = query.where(sa.or_(*matches))
        if after:
            query = query.where(sa.tuple_(Contact.name, Contact.id) > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])))
        return list(db.session.scalars(query.order_by(Contact.name, Contact.id).limit(limit)))

    @staticmethod
    def visible_to(member: Member, permission: Permission = Permission.CONTACTS_VIEW) -> Any:
        """The scope of contacts a member may use `permission` on: the account's, or those who talk with an inbox of the teams it is held for."""
        from inbox.models.conversation import Conversation
        from inbox.models.inbox import Inbox

        if not member.can(permission):
            return sa.select(Contact).where(sa.false())
        query, teams = sa.select(Contact).where(Contact.account_id == member.account_id), member.teams_with(permission)
        if teams is None:
            return query
        return query.where(Contact.id.in_(sa.select(Conversation.contact_id).join(Inbox, Inbox.id == Conversation.inbox_id).where(Inbox.team_id.in_(teams))))

