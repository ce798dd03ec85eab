"""What a file says about consent, written down with its evidence, and taken back when the import is undone (MSG-2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from inbox import clock
from inbox.models.account import Team
from inbox.models.base import db
from inbox.models.consent import Consent
from inbox.models.event import Event
from inbox.models.importing.row import ImportRow

if TYPE_CHECKING:
    from inbox.models.importing.contact_import import ContactImport

IN_ORDER = sa.insert(Consent).returning(Consent.id, sort_by_parameter_order=True)  # many rows a statement, numbered as they were given
COPIED = ("team_id", "inbox_id", "scope", "opted_out", "source", "evidence", "message_id", "by_id")


def evidence(filename: str, row: ImportRow) -> str:
    """Where the file says so, in its own words, and when and how if it tells."""
    values = row.values
    told = [f"File “{filename}”, row {row.number:,}: “{values['raw_opt_in']}”."]
    told += [f"{label}: {values[name]}." for label, name in (("When", "opt_in_at"), ("How", "opt_in_how")) if values.get(name)]
    return " ".join(told)


def note_wishes(of: ContactImport, wishes: list[tuple[ImportRow, str]]) -> None:
    """Record the opt-ins in one statement, for all the account sends, and each opt-out for every team of it."""
    if not wishes:
        return
    teams = list(db.session.scalars(sa.select(Team).where(Team.account_id == of.account_id).order_by(Team.id)))
    told_in = [(row, address) for row, address in wishes if row.consent == "in"]
    _insert(of, teams[0].id, [{"address": address, "opted_out": False, "source": "import", "evidence": evidence(of.filename, row)} for row, address in told_in])
    for row, address in wishes:
        if row.consent == "out":
            for team in teams:
                Consent.put(of.account_id, team.id, address, opted_out=True, source="import", evidence=evidence(of.filename, row), by=of.member)
    newest = newest_of(of.account_id, [address for _, address in wishes])
    for row, address in wishes:
        row.became = {**(row.became or {}), "consent": newest.get(address)}


def newest_of(account_id: int, addresses: list[str]) -> dict[str, int]:
    """The id of the newest change about each address: nothing was said since while it stays the same."""
    query = sa.select(Consent.address, sa.func.max(Consent.id)).where(Consent.account_id == account_id, Consent.address.in_(addresses)).group_by(Consent.address)
    return {row[0]: row[1] for row in db.session.execute(query)}


def take_back(of: ContactImport, rows: list[tuple[ImportRow, str]]) -> None:
    """Say that nobody said anything, then again what stood before the import; the history itself is final."""
    if not rows:
        return
    team = db.session.scalars(sa.select(Team.id).where(Team.account_id == of.account_id).order_by(Team.id)).first()
    told = f"The import of “{of.filename}” was undone."
    _insert(of, team, [{"address": address, "opted_out": False, "source": "undone", "evidence": told} for _, address in rows])
    every: dict[str, list[Consent]] = {}
    for change in db.session.scalars(sa.select(Consent).where(Consent.account_id == of.account_id, Consent.address.in_([a for _, a in rows])).order_by(Consent.id)):
        every.setdefault(change.address, []).append(change)
    copies = [
        {"account_id": of.account_id, "address": address, "at": clock.now(), **{name: getattr(change, name) for name in COPIED}}
        for row, address in rows
        for change in _before(every[address], evidence(of.filename, row))
    ]
    if copies:
        db.session.execute(IN_ORDER, copies)


def _before(every: list[Consent], of_the_import: str) -> list[Consent]:
    """What stood about an address before the import wrote its own."""
    first = max((place for place, one in enumerate(every) if one.source == "import" and one.evidence == of_the_import), default=len(every))
    while first and every[first - 1].source == "import" and every[first - 1].evidence == of_the_import:
        first -= 1  # an opt-out is written for every team
    standing: list[Consent] = []
    for change in every[:first]:
        standing = [*(one for one in standing if not change.overrules(one)), change]
    return [one for one in standing if one.source != "undone"]


def _insert(of: ContactImport, team_id: int | None, changes: list[dict[str, Any]]) -> None:
    if not changes:
        return
    shared = {"account_id": of.account_id, "by_id": of.member_id, "at": clock.now()}
    db.session.execute(IN_ORDER, [{**shared, "team_id": team_id, "inbox_id": None, "scope": "account", "message_id": None, **one} for one in changes])
    heard = [
        {
            "account_id": of.account_id, "actor_id": of.member_id, "kind": "consent.opted_in", "at": clock.now(),
            "data": {"team": team_id, "address": one["address"], "source": one["source"], "scope": "account"},
        }
        for one in changes
        if one["source"] == "import"
    ]
    if heard:
        db.session.execute(sa.insert(Event).returning(Event.id), heard)
