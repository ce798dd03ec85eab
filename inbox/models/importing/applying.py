"""The run: rows applied in batches, each one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm.attributes import set_committed_value

from inbox import clock
from inbox.models.base import db, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.consent import hold_all_still
from inbox.models.contact import Contact
from inbox.models.contact_field import ContactField
from inbox.models.event import Event
from inbox.models.importing.known import Known, address_of, differences, known_contacts, owner_change
from inbox.models.importing.row import ImportRow
from inbox.models.importing.wishes import note_wishes
from inbox.models.member import Member
from inbox.models.search import put_contacts

if TYPE_CHECKING:
    from inbox.models.importing.contact_import import ContactImport

KEPT = ("first_name", "last_name", "name", "phone", "email", "external_id", "owner_id", "fields")  # what an import may change and an undo puts back


def snapshot(contact: Contact) -> dict[str, Any]:
    """The contact as an undo compares and restores it."""
    return {name: getattr(contact, name) for name in KEPT} | {"blocked": contact.blocked}


class Batch:
    """Applies rows in one transaction; what changed since the dry run is judged again, row by row."""

    def __init__(self, of: ContactImport, rows: list[ImportRow]) -> None:
        self.of, self.rows = of, rows
        self.events: list[dict[str, Any]] = []
        self.changes: dict[tuple[str, ...], list[dict[str, Any]]] = {}  # by the names of the columns
        self.members = {m.id: m for m in Member.of(of.account_id)}

    def apply(self) -> None:
        self._count_anew()
        with db.session.no_autoflush:  # the rows are written once, at the end
            self._apply([row.values for row in self.rows])

    def _apply(self, values: list[dict[str, Any]]) -> None:
        hold_all_still(self.of.account_id, {one["phone"] for one in values if one.get("phone") and one.get("opt_in") is not None})
        known = known_contacts(self.of.account_id, values)
        fresh = [row for row in self.rows if known.find(row.values) == (None, "")]
        self._insert(fresh)
        new = {row.number for row in fresh}
        known = known_contacts(self.of.account_id, values) if fresh else known
        wishes: list[tuple[ImportRow, str]] = []
        written: list[Contact] = []
        for row in self.rows:
            contact = self._one(row, known, row.number in new)
            if contact is not None:
                written.append(contact)
            if contact is not None and row.consent in ("in", "out"):
                wishes.append((row, address_of(contact, row.values)))
        self._save()
        ContactField.learn(self.of.account_id, dict.fromkeys(key for one in values for key in one.get("fields") or {}))
        put_contacts(written)
        note_wishes(self.of, wishes)
        if self.events:
            db.session.execute(sa.insert(Event).returning(Event.id), self.events)  # what returns something goes many rows a statement

    def _count_anew(self) -> None:
        """Let PostgreSQL see that the tables have grown, each time they may have doubled: without it, it goes on to read them whole."""
        steps = self.rows[0].number // len(self.rows) if self.rows else 0
        if steps and not steps & (steps - 1) and db.session.get_bind().dialect.name == "postgresql":
            db.session.execute(sa.text("ANALYZE contact, consent_change"))

    def _save(self) -> None:
        """What changed of the contacts, and nothing else: one statement for all rows that change the same, where the session would send one for each row."""
        for names, some in self.changes.items():
            if names:
                db.session.execute(sa.update(Contact), some)

    def _insert(self, fresh: list[ImportRow]) -> None:
        """Make the new contacts in one statement; one that somebody else made meanwhile is met below."""
        if not fresh:
            return
        now = clock.now()
        made: list[dict[str, Any]] = [
            {
                "account_id": self.of.account_id, "public_id": public_id(), "phone": row.values.get("phone"), "external_id": row.values.get("external_id"),
                "first_name": "", "last_name": "", "name": "", "fields": {}, "created_at": now,
            }
            for row in fresh
        ]
        db.session.execute(insert_or_ignore()(Contact.__table__).on_conflict_do_nothing().returning(Contact.__table__.c.id), made)

    def _one(self, row: ImportRow, known: Known, new: bool) -> Contact | None:
        contact, clash = known.find(row.values)
        owner_id = row.values.get("owner_id")
        row.applied = True
        if contact is None or (owner_id and owner_id not in self.members):
            row.effect, row.owner, row.consent, row.changes = "conflict", "", "", []
            row.problem = clash or "Somebody changed this contact or its owner during the import."
            return None
        new = new and contact.name == ""
        row.changes = [] if new else differences(contact, row.values)
        row.owner, row.consent = owner_change(contact, row.values), known.consent(contact, row.values)
        row.effect = "create" if new else "update" if row.changes or row.owner or row.consent in ("in", "out") else "unchanged"
        before = snapshot(contact)
        row.contact_id, row.was = contact.id, None if new else before
        self._write(contact, row.values)
        if row.owner:
            set_committed_value(contact, "owner_id", owner_id)
            self._note_owner(contact, owner_id)
        row.became = snapshot(contact)
        changed = {name: row.became[name] for name in KEPT if row.became[name] != before[name]}
        self.changes.setdefault(tuple(changed), []).append({"id": contact.id, **changed})
        return contact

    def _write(self, contact: Contact, values: dict[str, Any]) -> None:
        for name in ("phone", "email", "external_id"):
            if values.get(name) and values[name] not in contact.also:
                set_committed_value(contact, name, values[name])
        if values.get("fields"):
            set_committed_value(contact, "fields", {**(contact.fields or {}), **values["fields"]})
        named = Contact(phone=contact.phone, email=contact.email)  # `rename` would index each contact by itself; the batch does it once
        named.rename(values.get("first_name") or contact.first_name, values.get("last_name") or contact.last_name)
        for name in ("first_name", "last_name", "name"):
            set_committed_value(contact, name, getattr(named, name))

    def _note_owner(self, contact: Contact, owner_id: int | None) -> None:
        self.events.append(
            {
                "account_id": self.of.account_id, "actor_id": self.of.member_id, "kind": "contact.owner_set" if owner_id else "contact.owner_cleared",
                "data": {"contact": contact.id, "owner": self.members[owner_id].name if owner_id else None, "source": "import"}, "at": clock.now(),
            }
        )
