"""The contacts that rows of a file may mean, and what a row would change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from inbox.models.account import Team
from inbox.models.base import db
from inbox.models.consent import Consent, Stopping
from inbox.models.contact import Contact

LABELS = {"first_name": "first name", "last_name": "last name", "phone": "mobile", "email": "e-mail", "external_id": "Contact ID"}


@dataclass
class Known:
    """The contacts a batch of rows may mean, by number and by Contact ID, and what stands about their numbers."""

    by_phone: dict[str, Contact]
    by_id: dict[str, Contact]
    consents: dict[str, list[Consent]] = field(default_factory=dict)
    stopping: set[str] = field(default_factory=set)
    teams: set[int] = field(default_factory=set)

    def find(self, values: dict[str, Any]) -> tuple[Contact | None, str]:
        """The contact a row means, and why it can't be told, if so."""
        by_phone = self.by_phone.get(values.get("phone") or "")
        by_id = self.by_id.get(values.get("external_id") or "")
        if by_phone and by_id and by_phone.id == by_id.id and by_phone.also:
            return by_phone, ""  # the number and the Contact ID of two contacts that were merged
        if by_phone and by_id and by_phone.id != by_id.id:
            return None, f"The number belongs to {by_phone.name}, but the Contact ID to {by_id.name}."
        if by_phone and values.get("external_id") and by_phone.external_id not in (None, values["external_id"]) and values["external_id"] not in by_phone.also:
            return None, f"{by_phone.name} has this number and another Contact ID."
        if by_id and values.get("phone") and by_id.phone not in (None, values["phone"]) and values["phone"] not in by_id.also:
            return None, f"{by_id.name} has this Contact ID and another number."
        return by_phone or by_id, ""

    def consent(self, contact: Contact | None, values: dict[str, Any]) -> str:
        """What the row's opt-in does: in, out, kept (an opt-out stays whatever a file says), or empty."""
        wish, address = values.get("opt_in"), address_of(contact, values)
        if wish is None or not address:
            return ""
        told = self.consents.get(address, [])
        if wish:
            if address in self.stopping or any(change.opted_out for change in told):
                return "kept"
            return "" if any(change.scope == "account" and change.source != "undone" for change in told) else "in"
        everywhere = any(change.scope == "account" for change in told) or self.teams <= {change.team_id for change in told if change.scope == "team"}
        return "" if told and everywhere and all(change.opted_out for change in told) else "out"


def address_of(contact: Contact | None, values: dict[str, Any]) -> str:
    return values.get("phone") or (contact.phone if contact else None) or ""


def known_contacts(account_id: int, values: list[dict[str, Any]]) -> Known:
    """Two queries for a whole batch, three more when the file tells of consent."""
    numbers = {v["phone"] for v in values if v.get("phone")}
    ids = {v["external_id"] for v in values if v.get("external_id")}
    query = sa.select(Contact).where(Contact.account_id == account_id)
    by_phone = db.session.scalars(query.where(Contact.phone.in_(numbers))).all() if numbers else []
    by_id = db.session.scalars(query.where(Contact.external_id.in_(ids))).all() if ids else []
    known = Known({c.phone or "": _standing(c) for c in by_phone}, {c.external_id or "": _standing(c) for c in by_id})
    if any(v.get("opt_in") is not None for v in values):
        addresses = numbers | {c.phone for c in by_id if c.phone}
        known.consents, known.stopping = Consent.standing_of(account_id, addresses), Stopping.marked(account_id, addresses)
        known.teams = set(db.session.scalars(sa.select(Team.id).where(Team.account_id == account_id)))
    return known


def _standing(contact: Contact) -> Contact:
    """The contact that a row of the file means, though it names a number or Contact ID of one that was merged into it."""
    found = contact.standing()
    if found.id != contact.id:
        found.also |= {value for value in (contact.phone, contact.external_id) if value}
    return found


def differences(contact: Contact, values: dict[str, Any]) -> list[str]:
    """What the row says anew, in words; empty cells say nothing."""
    changed = [label for name, label in LABELS.items() if values.get(name) and getattr(contact, name) != values[name] and values[name] not in contact.also]
    kept = contact.fields or {}
    return changed + [name for name, value in (values.get("fields") or {}).items() if kept.get(name) != value]


def owner_change(contact: Contact | None, values: dict[str, Any]) -> str:
    """set, cleared, or empty when the owner stays."""
    before = contact.owner_id if contact else None
    if values.get("owner_id") and values["owner_id"] != before:
        return "set"
    return "cleared" if values.get("clear") and before is not None else ""
