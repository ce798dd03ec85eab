"""The list of somebody's roles as a form: what it holds, what may be given, and in words what saving it would change."""

from __future__ import annotations

from dataclasses import dataclass, field

from inbox.models import Member, Refused, Role, RoleSheet, Team
from inbox.models.granting import Place
from inbox.models.handover import Handover, Shift, imagined, shifts
from inbox.models.role import EXCLUSIVE
from inbox.permissions import Permission

OWN_ROLES = "Someone else has to change your own roles."
TRANSFER = "Ownership moves only by a transfer."
Pair = tuple[str, str]  # a role's key and a team's public id, empty for the whole account


@dataclass(frozen=True)
class Row:
    """A line of the form. `why` says why it cannot be changed; empty when it can."""

    role: str
    team: str
    name: str = ""
    why: str = ""


@dataclass
class RolesForm:
    """The list as it is drawn: `why` says why none of it can be changed, `saved` marks what it was, `reviewed` what the words below are about."""

    rows: list[Row]
    options: list[tuple[RoleSheet, str]]
    teams: list[Team]
    why: str = ""
    saved: str = ""
    reviewed: str = ""
    sentence: str = ""
    shifts: list[Shift] = field(default_factory=list)
    handover: Handover | None = None
    seat_ends: bool = False

    @property
    def changed(self) -> bool:
        return self.reviewed != self.saved


def roles_form(row: Member, who: Member, wanted: list[Pair] | None = None) -> RolesForm:
    """The form for what the person holds, or for what somebody `wanted` instead."""
    teams = list(row.account.teams)
    team_ids = {team.id: team.public_id for team in teams}
    held = [(grant.role, team_ids.get(grant.team_id, "") if grant.team_id else "") for grant in row.grants]
    wanted = held if wanted is None else wanted
    sheets = Role.sheets(row.account_id)
    form = RolesForm(
        _rows(row, who, wanted, held), [(sheet, _why_not(sheet, who)) for sheet in sheets if sheet.key != "owner"], teams, _why_none(row, who), _mark(held), _mark(wanted)
    )
    if form.changed:
        _foresee(form, row, who, wanted)
    return form


def _foresee(form: RolesForm, row: Member, who: Member, wanted: list[Pair]) -> None:
    """Put into words what saving would change, or why it cannot be saved."""
    try:
        places = places_of(row, wanted)
    except Refused as error:
        form.sentence, form.rows = error.sentence, [line for line in form.rows if line.name]
        return
    if {role for role, _ in wanted} >= EXCLUSIVE:
        form.sentence = "Agent and Supervisor cannot be held together: Supervisor already contains Agent."
        return
    after = imagined(row, places=places)
    form.shifts = shifts(row, after, form.teams)
    form.seat_ends = row.seated and not after.seated
    form.handover = Handover.of(row, after, reader=who)


def _rows(row: Member, who: Member, wanted: list[Pair], held: list[Pair]) -> list[Row]:
    """What is wanted, each with its name; one that somebody holds and the reader could not give stays as it is."""
    grants = dict(zip(held, row.grants, strict=True))
    names = {sheet.key: sheet.name for sheet in Role.sheets(row.account_id)}
    rows = []
    for role, team in wanted:
        grant = grants.get((role, team))
        fixed = grant is not None and not grant.permissions <= who.permissions_in(grant.team_id)
        rows.append(Row(role, team, grant.name if fixed and grant else names.get(role, ""), "Allows things your own role does not." if fixed else ""))
    return rows


def _why_not(sheet: RoleSheet, who: Member) -> str:
    """Why the reader cannot give a role; empty when they can."""
    return "" if who.may_grant(sheet.permissions) else "allows things your own role does not"


def _why_none(row: Member, who: Member) -> str:
    may = who.can(Permission.ROLES_ASSIGN)
    if not may:
        return may.why
    if "owner" in row.roles:
        return TRANSFER
    return OWN_ROLES if row.id == who.id else ""


def _mark(pairs: list[Pair]) -> str:
    """A list of roles as one text, to see whether it is still the same."""
    return ";".join(sorted(f"{role}:{team}" for role, team in pairs))


def places_of(row: Member, wanted: list[Pair]) -> list[Place]:
    """The form's pairs as the model takes them; raises Refused for what the account does not have."""
    teams = {team.public_id: team.id for team in row.account.teams}
    keys = {sheet.key for sheet in Role.sheets(row.account_id)}
    for role, team in wanted:
        if role not in keys:
            raise Refused("Choose one of the roles in the list.", field="role")
        if team and team not in teams:
            raise Refused("Choose one of the teams in the list.", field="team")
    return [(role, teams[team] if team else None) for role, team in wanted]
