"""The role matrix as a page: its columns and rows, what a form says of them, and who is affected, in words (PERM-5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flask import request

from inbox.models import Member, Role, RoleSheet
from inbox.models.role import copyable, grantable
from inbox.models.role_edit import Effect, RoleEdit, in_order
from inbox.permissions import ENTRIES, GROUPS, OWNERS_ONLY, Entry, Permission, known, needed


@dataclass(frozen=True)
class Column:
    """A role across the matrix; `edit` is set when the reader may change it."""

    sheet: RoleSheet
    people: int
    edit: RoleEdit | None
    copies: bool  # whether a duplicate would hold anything of it

    @property
    def ticked(self) -> frozenset[Permission]:
        return self.edit.wanted if self.edit else self.sheet.permissions

    @property
    def kind(self) -> str:
        people = "1 person" if self.people == 1 else f"{self.people} people"
        return people if self.sheet.default else f"custom, {people}"


class Line(NamedTuple):
    """A permission down the matrix; `why` tells why its cells are closed to the reader."""

    entry: Entry
    needs: str
    find: str
    why: str
    shown: bool


def edits(who: Member) -> list[RoleEdit]:
    """What the posted form says about each custom role of the account; a role the form does not know is left alone."""
    free = grantable(who)
    found = []
    for role in Role.custom(who.account_id):
        key, form = role.public_id, request.form
        if f"version-{key}" not in form:
            continue
        version = form[f"version-{key}"]
        number = int(version) if version.isascii() and version.isdigit() and len(version) < 10 else -1
        found.append(RoleEdit(role, number, known(form.get(f"seen-{key}", "").split()), known(form.getlist(f"on-{key}")), free))
    return found


def missing(found: Iterable[RoleEdit]) -> bool:
    """Whether the form changes a role that does not exist anymore."""
    here = {edit.role.public_id for edit in found}
    keys = {name.removeprefix("version-") for name in request.form if name.startswith("version-")} - here
    return any(set(request.form.getlist(f"on-{key}")) - set(request.form.get(f"seen-{key}", "").split()) for key in keys)


def columns(who: Member, changed: Iterable[RoleEdit] = ()) -> list[Column]:
    """Every role of the account; `changed` puts the reader's ticks in place of what is stored."""
    people, free, may = Role.people(who.account_id), grantable(who), bool(who.can(Permission.ROLES_MANAGE))
    mine = {edit.role.public_id: edit for edit in changed}
    found = []
    for sheet in Role.sheets(who.account_id):
        edit = mine.get(sheet.key) or RoleEdit(sheet.row, sheet.row.version, sheet.permissions, sheet.permissions, free) if sheet.row and may else None
        copies = may and sheet.key != "owner" and (bool(copyable(sheet, who)) or not sheet.permissions)
        found.append(Column(sheet, people.get(sheet.key, 0), edit, copies))
    return found


def groups(who: Member, q: str) -> list[tuple[str, list[Line]]]:
    """The rows, group by group; those that `q` does not find are there but hidden, so that their ticks are posted along."""
    free, may = grantable(who), who.can(Permission.ROLES_MANAGE)
    word = q.casefold()
    found = []
    for title, entries in GROUPS.items():
        lines = []
        for entry in entries:
            find = f"{entry.title} {entry.label} {entry.permission.value}".casefold()
            why = _why(entry.permission) if may and entry.permission not in free else ""
            lines.append(Line(entry, " ".join(sorted(needed(entry.permission))), find, why, word in find))
        found.append((title, lines))
    return found


def _why(permission: Permission) -> str:
    return "Stays with the owner." if permission in OWNERS_ONLY else "Your own role does not allow this, so you cannot give or take it."


def context(who: Member, changed: Iterable[RoleEdit] = (), **more: Any) -> dict[str, Any]:
    """What roles/index.html shows."""
    q = " ".join(request.args.get("q", "").split())[:60]
    across, down = columns(who, changed), groups(who, q)
    keys = [column.sheet.key for column in across]
    custom = [column.sheet.key for column in across if not column.sheet.default]
    wanted = request.args.get("role", "")
    return {
        "columns": across, "groups": down, "q": q, "shown": wanted if wanted in keys else (custom or keys)[0], "custom": bool(custom),
        "found": sum(line.shown for _, lines in down for line in lines), "may": who.can(Permission.ROLES_MANAGE), "may_transfer": who.can(Permission.OWNERSHIP_TRANSFER), **more,
    }


def titles(permissions: Iterable[Permission]) -> list[str]:
    return [ENTRIES[permission].title for permission in in_order(permissions)]


class Same(NamedTuple):
    """People whom a change affects alike."""

    people: list[Member]
    gained: tuple[str, ...]
    lost: tuple[str, ...]


def alike(effects: Iterable[Effect]) -> list[Same]:
    """One line for people who gain and lose the same."""
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Member]] = {}
    for effect in effects:
        if effect.gained or effect.lost:
            found.setdefault((effect.gained, effect.lost), []).append(effect.member)
    return [Same(people, gained, lost) for (gained, lost), people in found.items()]
