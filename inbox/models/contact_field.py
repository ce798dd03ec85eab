"""The account's own fields of contacts: what each is called, which kind of value it takes, and in what order they stand (TOOL-6)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import clock, dates
from inbox.models.account import Account
from inbox.models.base import Model, Refused, db, now_column, one_line, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.contact import Contact
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.search.words import fold
from inbox.permissions import Permission

KINDS = {"text": "Text", "number": "Number", "date": "Date", "choice": "Choice", "bool": "Yes or no"}
LONGEST = 80  # characters of a name
LONGEST_VALUE = 300
MOST = 60  # fields of an account
MOST_CHOICES = 50
COUNTED = 5000  # contacts looked at when uses are counted, the newest
YES = frozenset({"yes", "y", "true", "1", "x", "ja", "oui", "si", "sí", "да"})
NO = frozenset({"no", "n", "false", "0", "nein", "non", "нет"})


def _key(name: str) -> str:
    """What makes two names one field."""
    return (fold(name) or name.casefold())[:120]


class ContactField(Model):
    """A field every contact may have. `key` is its name in `Contact.fields`, which never changes, so that renaming touches no contact."""

    __tablename__ = "contact_field"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    key: Mapped[str] = mapped_column(sa.String(LONGEST))
    name: Mapped[str] = mapped_column(sa.String(LONGEST))
    name_key: Mapped[str] = mapped_column(sa.String(120))
    kind: Mapped[str] = mapped_column(sa.String(8), default="text")
    choices: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("account_id", "key"), sa.UniqueConstraint("account_id", "name_key"))

    # -- finding --------------------------------------------------------------------------------------------------

    @staticmethod
    def of(account_id: int) -> list[ContactField]:
        """The account's fields in their order."""
        return list(db.session.scalars(sa.select(ContactField).where(ContactField.account_id == account_id).order_by(ContactField.position, ContactField.id)))

    @staticmethod
    def shown_of(contact: Contact, language: str = dates.USUAL) -> list[tuple[str, str]]:
        """What a contact has, as (name, value) in the order of the fields; one query, none for who has nothing."""
        kept = contact.fields or {}
        if not any(kept.values()):
            return []
        return [(field.name, field.shown(kept[field.key], language)) for field in ContactField.of(contact.account_id) if kept.get(field.key) not in (None, "")]

    @staticmethod
    def uses(account_id: int, fields: Collection[ContactField]) -> tuple[dict[int, int], bool]:
        """How many contacts have a value, by field id, and whether that is all of them: only the newest are looked at, so that the cost never grows."""
        if not fields:
            return {}, True
        rows = db.session.scalars(sa.select(Contact.fields).where(Contact.account_id == account_id).order_by(Contact.id.desc()).limit(COUNTED + 1)).all()
        counts = Counter(key for row in rows[:COUNTED] for key, value in (row or {}).items() if value not in (None, ""))
        return {field.id: counts[field.key] for field in fields}, len(rows) <= COUNTED

    @staticmethod
    def keys_for(account_id: int, names: Iterable[str]) -> list[str]:
        """The keys under which values of fields with these names are kept; a name nobody knows is its own key."""
        known = {key: field.key for field in reversed(ContactField.of(account_id)) for key in (_key(field.key), field.name_key)}
        return [known.get(_key(name), name) for name in names]

    @staticmethod
    def learn(account_id: int, keys: Iterable[str]) -> None:
        """Make text fields of keys that have none yet, as imports bring them; two at once make one."""
        have = ContactField.of(account_id)
        known = {field.key for field in have} | {field.name_key for field in have}
        fresh = [key for key in dict.fromkeys(keys) if key not in known and _key(key) not in known]
        for place, key in enumerate(fresh, len(have)):
            values = {"public_id": public_id(), "account_id": account_id, "key": key, "name": key, "name_key": _key(key), "kind": "text", "choices": [], "position": place}
            db.session.execute(insert_or_ignore()(ContactField).values(created_at=clock.now(), **values).on_conflict_do_nothing())

    # -- making and changing --------------------------------------------------------------------------------------

    @staticmethod
    def create(name: str, kind: str = "text", choices: Iterable[str] = (), *, by: Member) -> ContactField:
        """A new field, at the end. A name that contacts had values under before brings those back."""
        by.require(Permission.CONTACTS_FIELDS)
        name, kept = _checked_name(name), _checked_choices(kind, choices)
        have = _alone(by.account_id)
        if len(have) >= MOST:
            raise Refused(f"There are {MOST} fields already. Delete one first.", field="name")
        _free(name, have)
        keys = {field.key for field in have}
        key = name if name not in keys else next(f"{name[:70]} {n}" for n in range(2, MOST + 3) if f"{name[:70]} {n}" not in keys)
        made = ContactField(
            account_id=by.account_id, key=key, name=name, name_key=_key(name), kind=kind, choices=kept, position=max((f.position for f in have), default=-1) + 1
        ).save()
        Event.record("contact_field.created", account=by.account_id, by=by, name=name)
        return made

    def edit(self, name: str, kind: str, choices: Iterable[str] = (), *, by: Member) -> None:
        """Another name, kind or list of choices. Values that do not fit the new kind stay until somebody changes them."""
        by.require(Permission.CONTACTS_FIELDS)
        name, kept = _checked_name(name), _checked_choices(kind, choices)
        have = _alone(self.account_id)
        self._there(have)
        _free(name, [field for field in have if field.id != self.id])
        if (name, kind, kept) == (self.name, self.kind, self.choices):
            return
        Event.record("contact_field.changed", account=self.account_id, by=by, before=self.name, after=name, name=name)
        self.name, self.name_key, self.kind, self.choices = name, _key(name), kind, kept

    def move(self, by_places: int, *, by: Member) -> None:
        """Up (-1) or down (+1) in the order."""
        by.require(Permission.CONTACTS_FIELDS)
        have = _alone(self.account_id)
        self._there(have)
        at = next(place for place, field in enumerate(have) if field.id == self.id)
        have.insert(max(0, min(len(have) - 1, at + by_places)), have.pop(at))
        for place, field in enumerate(have):
            field.position = place

    def destroy(self, *, by: Member) -> None:
        """Contacts keep what they have under its name, unseen, so that making it again brings it back."""
        by.require(Permission.CONTACTS_FIELDS)
        self._there(_alone(self.account_id))
        Event.record("contact_field.deleted", account=self.account_id, by=by, name=self.name)
        db.session.delete(self)
        db.session.flush()

    def _there(self, have: list[ContactField]) -> None:
        if all(field.id != self.id for field in have):
            raise Refused("This field was deleted a moment ago.")

    # -- values -----------------------------------------------------------------------------------------------------

    def checked(self, text: str) -> str:
        """The value as it is kept; Refused with the reason when it is none of this kind. Nothing stays nothing."""
        text = one_line(text)
        if not text:
            return ""
        if len(text) > LONGEST_VALUE:
            raise Refused(f"{self.name}: use at most {LONGEST_VALUE} characters.", field=self.key)
        return {"number": self._number, "date": self._date, "choice": self._choice, "bool": self._bool}.get(self.kind, str)(text)

    def _number(self, text: str) -> str:
        plain = text.replace("\u00a0", "").replace(" ", "")
        plain = plain.replace(",", "") if re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?", plain) else plain.replace(",", ".")
        try:
            found = Decimal(plain)
        except InvalidOperation:
            found = Decimal("NaN")
        if not found.is_finite() or not re.fullmatch(r"[+-]?[\d.]{1,30}", plain):
            raise Refused(f"“{text[:40]}” is not a number.", field=self.key)
        return f"{found:f}"

    def _date(self, text: str) -> str:
        try:
            return date.fromisoformat(text).isoformat()
        except ValueError:
            raise Refused(f"“{text[:40]}” is not a date. Write it like 2026-03-09.", field=self.key) from None

    def _choice(self, text: str) -> str:
        found = next((choice for choice in self.choices if _key(choice) == _key(text)), None)
        if found is None:
            raise Refused(f"“{text[:40]}” is not one of the choices: {', '.join(self.choices[:8])}.", field=self.key)
        return found

    def _bool(self, text: str) -> str:
        if text.casefold() in YES | NO:
            return "Yes" if text.casefold() in YES else "No"
        raise Refused(f"“{text[:40]}” is neither yes nor no.", field=self.key)

    def shown(self, value: Any, language: str = dates.USUAL) -> str:
        """The value as people read it."""
        text = one_line(str(value))[:LONGEST_VALUE]
        if self.kind == "date":
            try:
                return dates.written(language).dated(datetime.fromisoformat(text))
            except ValueError:
                return text
        return text

    @staticmethod
    def put(contact: Contact, typed: Mapping[str, str]) -> bool:
        """Keep what was typed, by key; True when anything changed. What stayed as it was is not judged again. Refused names the field at fault by its key."""
        kept = dict(contact.fields or {})
        for field in ContactField.of(contact.account_id):
            if field.key not in typed or one_line(typed[field.key]) == one_line(str(kept.get(field.key) or "")):
                continue
            value = field.checked(typed[field.key])
            if value:
                kept[field.key] = value
            else:
                kept.pop(field.key, None)
        changed = kept != (contact.fields or {})
        if changed:
            contact.fields = kept
        return changed


def _alone(account_id: int) -> list[ContactField]:
    """The account's fields, nobody else's to change until this transaction ends."""
    db.session.execute(sa.select(Account.id).where(Account.id == account_id).with_for_update(key_share=True))
    query = sa.select(ContactField).where(ContactField.account_id == account_id).order_by(ContactField.position, ContactField.id)
    return list(db.session.scalars(query.execution_options(populate_existing=True)))


def _checked_name(name: str) -> str:
    name = one_line(name)
    if not _key(name):
        raise Refused("Give the field a name.", field="name")
    if len(name) > LONGEST:
        raise Refused(f"Use at most {LONGEST} characters.", field="name")
    return name


def _checked_choices(kind: str, choices: Iterable[str]) -> list[str]:
    if kind not in KINDS:
        raise Refused("Choose a kind from the list.", field="kind")
    found: dict[str, str] = {}
    for choice in choices if kind == "choice" else ():
        if one_line(choice):
            found.setdefault(_key(choice), one_line(choice)[:LONGEST])
    kept = list(found.values())
    if kind == "choice" and not 2 <= len(kept) <= MOST_CHOICES:
        raise Refused(f"Write two to {MOST_CHOICES} choices, one on each line.", field="choices")
    return kept


def _free(name: str, others: list[ContactField]) -> None:
    other = next((field for field in others if field.name_key == _key(name)), None)
    if other is not None:
        raise Refused(f"There is a field {other.name} already.", field="name")
