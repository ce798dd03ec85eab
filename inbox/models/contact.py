"""Contacts: the customers, who owns them, and what they allowed us to send."""

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
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.account import Account

HUES = ("blue", "teal", "green", "lime", "amber", "orange", "red", "pink", "violet")


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
        self.owner_id = owner.id if owner else None
        Event.record(
            "contact.owner_set" if owner else "contact.owner_cleared", account=self.account_id, by=by, contact=self.id,
            owner=owner.name if owner else None, source=source,
        )
        return True

    def edit(self, *, by: Member, first: str, last: str, email: str | None, owner: Member | None) -> None:
        by.require(Permission.CONTACTS_EDIT)
        self.rename(first, last)
        self.email = email or None
        self.give_to(owner, by=by)
        Event.record("contact.edited", account=self.account_id, by=by, contact=self.id)

    @staticmethod
    def search(account_id: int, words: str = "", *, after: tuple[str, int] | None = None, limit: int = 40) -> list[Contact]:
        """Contacts by name, keyed paging; words match the start of a name, or digits of the number."""
        query = sa.select(Contact).options(sa.orm.joinedload(Contact.owner)).where(Contact.account_id == account_id)
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
    def visible_to(member: Member) -> Any:
        """The scope of contacts a member may open: the account's, with the permission."""
        if not member.can(Permission.CONTACTS_VIEW):
            return sa.select(Contact).where(sa.false())
        return sa.select(Contact).where(Contact.account_id == member.account_id)


class Consent(Model):
    """Whether a team may text an address; no row means nobody said anything (MSG-2)."""

    __tablename__ = "consent"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("team.id"))
    address: Mapped[str] = mapped_column(sa.String(254))
    opted_out: Mapped[bool] = mapped_column()
    source: Mapped[str] = mapped_column(sa.String(20))  # text, provider, import, hand
    evidence: Mapped[str] = mapped_column(sa.String(200), default="")
    at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (sa.UniqueConstraint("team_id", "address"),)

    @staticmethod
    def of(team_id: int, address: str) -> Consent | None:
        return db.session.scalar(sa.select(Consent).where(Consent.team_id == team_id, Consent.address == address))

    @staticmethod
    def put(account: Account | int, team_id: int, address: str, *, opted_out: bool, source: str, evidence: str = "") -> bool:
        """Record a change of mind; True when it changed anything. Every change is an audit event."""
        account_id = account if isinstance(account, int) else account.id
        before = Consent.of(team_id, address)
        if before is not None and before.opted_out == opted_out:
            return False
        insert = insert_or_ignore()(Consent).values(
            account_id=account_id, team_id=team_id, address=address, opted_out=opted_out, source=source, evidence=evidence[:200], at=clock.now()
        )
        db.session.execute(
            insert.on_conflict_do_update(
                index_elements=["team_id", "address"],
                set_={"opted_out": opted_out, "source": source, "evidence": evidence[:200], "at": clock.now()},
            )
        )
        if before is not None:
            db.session.refresh(before)
        Event.record("consent.opted_out" if opted_out else "consent.opted_in", account=account_id, team=team_id, address=address, source=source)
        return True
