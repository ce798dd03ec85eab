"""The contacts that rows of a file may mean, and what a row would change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from inbox.models.base import db
from inbox.models.contact import Contact


@dataclass
class Known:
    """The contacts a batch of rows may mean, by number and by Contact ID."""

    by_phone: dict[str, Contact]
    by_id: dict[str, Contact]

    def find(self, values: dict[str, Any]) -> tuple[Contact | None, str]:
        """The contact a row means, and why it can't be told, if so."""
        by_phone = self.by_phone.get(values.get("phone") or "")
        by_id = self.by_id.get(values.get("external_id") or "")
        if by_phone and by_id and by_phone.id != by_id.id:
            return None, f"The number belongs to {by_phone.name}, but the Contact ID to {by_id.name}."
        if by_phone and values.get("external_id") and by_phone.external_id not in (None, values["external_id"]):
            return None, f"{by_phone.name} has this number and another Contact ID."
        if by_id and values.get("phone") and by_id.phone not in (None, values["phone"]):
            return None, f"{by_id.name} has this Contact ID and another number."
        return by_phone or by_id, ""


def known_contacts(account_id: int, values: list[dict[str, Any]]) -> Known:
    """Two queries for a whole batch."""
    numbers = {v["phone"] for v in values if v.get("phone")}
    ids = {v["external_id"] for v in values if v.get("external_id")}
    query = sa.select(Contact).where(Contact.account_id == account_id)
    by_phone = db.session.scalars(query.where(Contact.phone.in_(numbers))).all() if numbers else []
    by_id = db.session.scalars(query.where(Contact.external_id.in_(ids))).all() if ids else []
    return Known({c.phone or "": c for c in by_phone}, {c.external_id or "": c for c in by_id})


def differs(contact: Contact, values: dict[str, Any]) -> bool:
    """Whether the row says anything new; empty cells say nothing."""
    return any(values.get(name) and getattr(contact, name) != values[name] for name in ("first_name", "last_name", "phone", "email", "external_id"))


def owner_change(contact: Contact | None, values: dict[str, Any]) -> str:
    """set, cleared, or empty when the owner stays."""
    before = contact.owner_id if contact else None
    if values.get("owner_id") and values["owner_id"] != before:
        return "set"
    return "cleared" if values.get("clear") and before is not None else ""
