"""Taking an import back: every contact as it was before, except those that somebody changed or talked with since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from inbox import clock
from inbox.models.base import db
from inbox.models.consent import hold_all_still
from inbox.models.contact import Contact
from inbox.models.event import Event
from inbox.models.importing.applying import KEPT, snapshot
from inbox.models.importing.row import ImportRow
from inbox.models.importing.wishes import newest_of, take_back
from inbox.models.member import Member
from inbox.models.search import put_contacts

if TYPE_CHECKING:
    from inbox.models.importing.contact_import import ContactImport


class Undoing:
    """Takes back rows in one transaction; a row is removed, restored, or left with the reason."""

    def __init__(self, of: ContactImport, rows: list[ImportRow]) -> None:
        self.of, self.rows = of, [row for row in rows if row.contact_id is not None]
        self.events: list[dict[str, Any]] = []

    def apply(self) -> None:
        ids = [row.contact_id for row in self.rows if row.contact_id]
        told = {row.contact_id: (row.became or {}).get("phone") for row in self.rows if row.consent in ("in", "out")}
        hold_all_still(self.of.account_id, {phone for phone in told.values() if phone})
        held = sa.select(Contact).where(Contact.account_id == self.of.account_id, Contact.id.in_(ids)).with_for_update()
        contacts = {contact.id: contact for contact in db.session.scalars(held.execution_options(populate_existing=True))}
        self.members = {member.id: member for member in Member.of(self.of.account_id)}
        self.talked, self.newest = self._talked(ids), newest_of(self.of.account_id, [phone for phone in told.values() if phone])
        gone, back = [], []
        for row in self.rows:
            contact = contacts.get(row.contact_id or 0)
            row.problem = self._why_not(row, contact)
            row.undone = "left" if row.problem else "restored" if row.was else "removed"
            if contact is None or row.problem:
                continue
            if row.consent in ("in", "out") and told[contact.id]:
                back.append((row, str(told[contact.id])))
            if row.was is None:
                gone.append(contact.id)
                db.session.expunge(contact)
            else:
                self._restore(contact, row.was)
        take_back(self.of, back)
        put_contacts([contacts[row.contact_id or 0] for row in self.rows if row.undone == "restored"])
        if gone:
            key: sa.ColumnClause[int] = sa.column("rowid" if db.session.get_bind().dialect.name == "sqlite" else "id")
            db.session.execute(sa.delete(sa.table("contact_words", key)).where(key.in_(gone)))
            db.session.execute(sa.delete(Contact).where(Contact.id.in_(gone)), execution_options={"synchronize_session": False})
        if self.events:
            db.session.execute(sa.insert(Event), self.events)

    def _why_not(self, row: ImportRow, contact: Contact | None) -> str:
        became = dict(row.became or {})
        consent = became.pop("consent", None)
        if contact is None:
            return "This contact was deleted since."
        if contact.id in self.talked:
            return "Somebody talked with this contact since, or began to."
        if snapshot(contact) != became:
            return "Somebody changed this contact since."
        if consent is not None and self.newest.get(became.get("phone") or "") != consent:
            return "The customer said something about texts since."
        if row.was and row.was["owner_id"] not in (None, *self.members):
            return "The owner before has left the account since."
        return ""

    def _talked(self, ids: list[int]) -> set[int]:
        """The contacts with whom something happened since, and the new ones that anything refers to by now."""
        from inbox.models.conversation import Conversation

        since = self.of.started_at or self.of.created_at
        query = sa.select(Conversation.contact_id).where(Conversation.contact_id.in_(ids), Conversation.last_activity_at >= since)
        found = set(db.session.scalars(query))
        new = [row.contact_id for row in self.rows if row.was is None]
        for table in db.metadata.tables.values():
            for column in table.columns:
                if any(key.column is Contact.__table__.c.id for key in column.foreign_keys):
                    found.update(db.session.scalars(sa.select(column).where(column.in_(new)).distinct()))
        return found

    def _restore(self, contact: Contact, was: dict[str, Any]) -> None:
        before = contact.owner_id
        for name in KEPT:
            setattr(contact, name, was[name])
        if contact.owner_id != before:
            self.events.append(
                {
                    "account_id": self.of.account_id, "actor_id": self.of.member_id, "kind": "contact.owner_set" if contact.owner_id else "contact.owner_cleared",
                    "data": {"contact": contact.id, "owner": self.members[contact.owner_id].name if contact.owner_id else None, "source": "undo"}, "at": clock.now(),
                }
            )
