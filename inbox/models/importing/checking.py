"""The dry run: a verdict on every row, in file order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inbox.models.importing.cells import EMAIL, normalized, number_problem
from inbox.models.importing.known import Known, differs, known_contacts, owner_change

_JOINERS = "\u200c\u200d"  # several scripts and emoji need them; other hidden characters only deceive


@dataclass
class Checker:
    """Judges rows in file order against the contacts as they are now."""

    account_id: int
    region: str
    columns: list[str]
    clear: bool
    members: dict[str, int]
    seen: dict[str, int] = field(default_factory=dict)

    def judge(self, numbered: list[tuple[int, list[str]]]) -> list[dict[str, Any]]:
        """The verdicts on a batch of rows."""
        read = [(number, self._values(cells)) for number, cells in numbered]
        known = known_contacts(self.account_id, [values for _, values in read])
        return [self._verdict(number, values, known) for number, values in read]

    def _values(self, cells: list[str]) -> dict[str, Any]:
        """The named cells of a row, the number in its one form."""
        values: dict[str, Any] = {}
        for name, cell in zip(self.columns, cells, strict=False):
            if name and cell:
                values[name] = " ".join("".join(c for c in cell if c.isprintable() or c.isspace() or c in _JOINERS).split())
        full = values.pop("full_name", "")
        if full:
            first, _, last = full.partition(" ")
            values.update(first_name=first, last_name=last.strip())
        for name, longest in (("first_name", 80), ("last_name", 80), ("external_id", 80), ("user_id", 60), ("email", 254)):
            if name in values and len(values[name]) > longest:
                values[name] = values[name][:longest] if name.endswith("_name") else values[name]
        raw = values.pop("phone", "")
        if raw:
            values["raw_phone"] = raw[:80]
            values["phone"] = normalized(raw, self.region)
        return values

    def _verdict(self, number: int, values: dict[str, Any], known: Known) -> dict[str, Any]:
        problem = self._fault(values)
        if problem:
            return _verdict(number, values, "invalid", problem)
        for key in (values.get("phone"), values.get("external_id") and f"id:{values['external_id']}"):
            if key and key in self.seen:
                what = "number" if key == values.get("phone") else "Contact ID"
                return _verdict(number, values, "duplicate", f"The same {what} as row {self.seen[key]:,}.")
        for key in (values.get("phone"), values.get("external_id") and f"id:{values['external_id']}"):
            if key:
                self.seen[key] = number
        if values.get("user_id") and values["user_id"].casefold() not in self.members:
            return _verdict(number, values, "conflict", f"Nobody in this account has the User ID “{values['user_id'][:40]}”.")
        owner_id = self.members.get(values["user_id"].casefold()) if values.get("user_id") else None
        values["owner_id"], values["clear"] = owner_id, self.clear and owner_id is None
        contact, clash = known.find(values)
        if clash:
            return _verdict(number, values, "conflict", clash)
        owner = owner_change(contact, values)
        if contact is None:
            return _verdict(number, values, "create", owner=owner)
        return _verdict(number, values, "update" if owner or differs(contact, values) else "unchanged", owner=owner)

    def _fault(self, values: dict[str, Any]) -> str:
        if "raw_phone" in values and values["phone"] is None:
            return number_problem(values["raw_phone"])
        if "raw_phone" not in values and not values.get("external_id"):
            return "This row has no mobile number."
        if values.get("email") and (len(values["email"]) > 254 or not EMAIL.fullmatch(values["email"])):
            return f"“{values['email'][:60]}” is not an e-mail address."
        if len(values.get("external_id", "")) > 80:
            return "The Contact ID is longer than 80 characters."
        return ""


def _verdict(number: int, values: dict[str, Any], effect: str, problem: str = "", owner: str = "") -> dict[str, Any]:
    return {"number": number, "values": values, "effect": effect, "problem": problem[:300], "owner": owner}
