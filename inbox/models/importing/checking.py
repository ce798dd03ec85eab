"""The dry run: a verdict on every row, in file order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inbox.models.base import Refused
from inbox.models.contact_field import ContactField
from inbox.models.importing.cells import EMAIL, normalized, number_problem, wish
from inbox.models.importing.columns import FIELD
from inbox.models.importing.known import Known, differences, known_contacts, owner_change

_JOINERS = "\u200c\u200d"  # several scripts and emoji need them; other hidden characters only deceive
LONGEST = {"first_name": 80, "last_name": 80, "opt_in_at": 60, "opt_in_how": 120}  # characters kept of a cell; longer ones are cut
LONGEST_FIELD = 300


@dataclass
class Checker:
    """Judges rows in file order against the contacts as they are now."""

    account_id: int
    region: str
    columns: list[str]
    clear: bool
    members: dict[str, int]
    seen: dict[str | int, int] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)  # of the columns, for custom fields
    kinds: dict[str, ContactField] = field(default_factory=dict)  # the fields the account has, by key

    def judge(self, numbered: list[tuple[int, list[str]]]) -> list[dict[str, Any]]:
        """The verdicts on a batch of rows."""
        read = [(number, self._values(cells)) for number, cells in numbered]
        known = known_contacts(self.account_id, [values for _, values in read])
        return [self._verdict(number, values, known) for number, values in read]

    def remember(self, number: int, values: dict[str, Any]) -> int | None:
        """Keep a row's number and Contact ID; the row that had one of them before, if any."""
        keys = keys_of(values)
        before = next((self.seen[key] for key in keys if key in self.seen), None)
        if before is None:
            self.seen.update(dict.fromkeys(keys, number))
        return before

    def _values(self, cells: list[str]) -> dict[str, Any]:
        """The named cells of a row, the number in its one form."""
        values: dict[str, Any] = {}
        for place, (name, cell) in enumerate(zip(self.columns, cells, strict=False)):
            if name and cell:
                text = " ".join((cell if cell.isprintable() else "".join(c for c in cell if c.isprintable() or c.isspace() or c in _JOINERS)).split())
                if name == FIELD:
                    values.setdefault("fields", {})[self.names[place]] = text[:LONGEST_FIELD]
                else:
                    values[name] = text[:LONGEST.get(name, len(text))]
        full = values.pop("full_name", "")
        if full:
            first, _, last = full.partition(" ")
            values.update(first_name=first[:80], last_name=last.strip()[:80])
        raw = values.pop("phone", "")
        if raw:
            values["raw_phone"] = raw[:80]
            values["phone"] = normalized(raw, self.region)
        if "opt_in" in values:
            values["raw_opt_in"] = values.pop("opt_in")[:80]
            values["opt_in"] = wish(values["raw_opt_in"])
        return values

    def _verdict(self, number: int, values: dict[str, Any], known: Known) -> dict[str, Any]:
        problem = self._fault(values)
        if problem:
            return _verdict(number, values, "invalid", problem)
        before = self.remember(number, values)
        if before is not None:
            what = "number" if self.seen.get(_number(values)) == before else "Contact ID"
            return _verdict(number, values, "duplicate", f"The same {what} as row {before:,}.")
        if values.get("user_id") and values["user_id"].casefold() not in self.members:
            return _verdict(number, values, "conflict", f"Nobody in this account has the User ID “{values['user_id'][:40]}”.", owner="unknown")
        owner_id = self.members.get(values["user_id"].casefold()) if values.get("user_id") else None
        values["owner_id"], values["clear"] = owner_id, self.clear and owner_id is None
        contact, clash = known.find(values)
        if clash:
            return _verdict(number, values, "conflict", clash)
        owner, consent = owner_change(contact, values), known.consent(contact, values)
        if contact is None:
            return _verdict(number, values, "create", owner=owner, consent=consent)
        changes = differences(contact, values)
        effect = "update" if owner or changes or consent in ("in", "out") else "unchanged"
        return _verdict(number, values, effect, owner=owner, consent=consent, changes=changes)

    def _fault(self, values: dict[str, Any]) -> str:
        if "raw_phone" in values and values["phone"] is None:
            return number_problem(values["raw_phone"])
        if "raw_phone" not in values and not values.get("external_id"):
            return "This row has no mobile number."
        if values.get("email") and (len(values["email"]) > 254 or not EMAIL.fullmatch(values["email"])):
            return f"“{values['email'][:60]}” is not an e-mail address."
        try:
            values.update({"fields": {key: self.kinds[key].checked(text) if key in self.kinds else text for key, text in values["fields"].items()}} if "fields" in values else {})
        except Refused as refused:
            return f"{self.kinds[refused.field or ''].name}: {refused.sentence}"
        if len(values.get("external_id", "")) > 80:
            return "The Contact ID is longer than 80 characters."
        if "raw_opt_in" in values and values["opt_in"] is None:
            return f"“{values['raw_opt_in'][:40]}” in the opt-in column says neither yes nor no."
        return ""


def keys_of(values: dict[str, Any]) -> list[str | int]:
    """What no two rows may share: the number, as a small integer, and the Contact ID."""
    return [key for key in (_number(values), values.get("external_id")) if key]


def _number(values: dict[str, Any]) -> int:
    return int(values["phone"][1:]) if values.get("phone") else 0


def _verdict(
    number: int, values: dict[str, Any], effect: str, problem: str = "", owner: str = "", consent: str = "", changes: list[str] | None = None
) -> dict[str, Any]:
    return {"number": number, "values": values, "effect": effect, "problem": problem[:300], "owner": owner, "consent": consent, "changes": changes or []}
