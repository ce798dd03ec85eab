"""Quiet hours: when a text that no person sends right now may reach somebody, by the clock on their wall (CHANNELS 1.7). Pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from inbox import phone as phones
from inbox.quiet_places import STATE_OF_AREA_CODE, zip_states, zip_zones

Mode = Literal["state", "federal", "own", "off"]
Span = tuple[int, int]  # minutes since midnight: from, and up to but without
MODES: tuple[Mode, ...] = ("state", "federal", "own", "off")
FEDERAL: Span = (8 * 60, 21 * 60)
# Monday to Saturday, Sunday; Saturday is only another day in Rhode Island. Washington's hours are not confirmed, and the stricter reading.
_EARLY: Span = (8 * 60, 20 * 60)
_STATES: dict[str, tuple[str, Span, Span, Span]] = {  # its name, weekdays, Saturday, Sunday
    "CT": ("Connecticut", (9 * 60, 20 * 60), (9 * 60, 20 * 60), (9 * 60, 20 * 60)),
    "FL": ("Florida", _EARLY, _EARLY, _EARLY),
    "MD": ("Maryland", _EARLY, _EARLY, _EARLY),
    "MS": ("Mississippi", _EARLY, _EARLY, _EARLY),
    "NJ": ("New Jersey", _EARLY, _EARLY, _EARLY),
    "OK": ("Oklahoma", _EARLY, _EARLY, _EARLY),
    "RI": ("Rhode Island", (9 * 60, 18 * 60), (10 * 60, 17 * 60), (10 * 60, 17 * 60)),
    "TX": ("Texas", (9 * 60, 21 * 60), (9 * 60, 21 * 60), (12 * 60, 21 * 60)),
    "WA": ("Washington", _EARLY, _EARLY, _EARLY),
}
_ZONE_FIELDS = ("time_zone", "timezone")
_POSTAL_FIELDS = ("postal", "zip", "postal_code", "zip_code", "postcode", "zipcode")
_FARTHEST = timedelta(days=9)  # no zones of one calling code disagree for so long


@dataclass(frozen=True)
class Place:
    """Where somebody may be: every zone that fits, and the states whose hours count."""

    zones: tuple[str, ...]
    states: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quiet:
    """It is too early or too late somewhere: `times` are the wall clocks there, earliest first, `until` the first minute that is fine everywhere."""

    until: datetime
    times: tuple[datetime, ...]
    state: str = ""  # whose stricter hours make it quiet
    hours: Span = FEDERAL

    def sentence(self, name: str, write: Callable[[datetime], str] | None = None) -> str:
        """“It is 21:40 for Priya.”; `write` writes a wall clock as the reader's language does."""
        write = write or _clock
        first, last = write(self.times[0]), write(self.times[-1])
        where = f"It is {first} for {name}" if first == last else f"It is between {first} and {last} for {name}"
        if not self.state:
            return f"{where}."
        day = self.times[0].replace(hour=0, minute=0)
        opens, closes = (write(day + timedelta(minutes=minute)) for minute in self.hours)
        return f"{where}, and {self.state} wants texts between {opens} and {closes}."


def hints(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The IANA zone and the postal code among a contact's own fields, each empty when there is none."""
    known = {re.sub(r"[^a-z0-9]+", "_", str(name).casefold()).strip("_"): str(value).strip() for name, value in fields.items() if value}
    zone, postal = (next((known[name] for name in names if name in known), "") for names in (_ZONE_FIELDS, _POSTAL_FIELDS))
    return zone, postal


def place(address: str, zone_hint: str = "", postal: str = "", usual: str = "UTC") -> Place:
    """Where the owner of a number is, by what was said of them, else their ZIP code, else their number, else the zone `usual`."""
    states = zip_states(postal) or _states_of(address)
    if _zone(zone_hint):
        return Place((zone_hint,), states)
    zones = zip_zones(postal) or tuple(name for name in phones.time_zones(address) if _zone(name))
    return Place(zones or (usual if _zone(usual) else "UTC",), states)


def _states_of(address: str) -> tuple[str, ...]:
    state = STATE_OF_AREA_CODE.get(phones.area_code(address) or "") if address.startswith("+1") else None
    return (state,) if state else ()


def quiet_until(
    address: str, at: datetime, zone_hint: str = "", postal: str = "", *, usual: str = "UTC", mode: str = "state", own: Span = FEDERAL, name: str = "the contact"
) -> tuple[datetime | None, str]:
    """The first minute at which a text may reach `address` and why not before; (None, "") when it may `at` that moment."""
    found = look(place(address, zone_hint, postal, usual), at, mode=mode, own=own, usual=usual)
    return (found.until, found.sentence(name)) if found else (None, "")


def look(where: Place, at: datetime, *, mode: str = "state", own: Span = FEDERAL, usual: str = "UTC") -> Quiet | None:
    """The quiet that reigns at a moment in any of the zones; None when there is none."""
    if mode == "off":
        return None
    zones = [zone for zone in map(_zone, where.zones) if zone]
    states = where.states if mode == "state" else ()
    walls = sorted({at.astimezone(zone).replace(tzinfo=None) for zone in zones})
    if all(_open(wall, mode, states, own) for wall in walls):
        return None
    until = _earliest(zones, at, mode, states, own)
    if until is None:  # they never agree, so the usual zone decides
        until = _earliest([_zone(usual) or ZoneInfo("UTC")], at, mode, states, own) or at + _FARTHEST
        if until <= at:
            return None
    strict = next((s for wall in walls for s in states if s in _STATES and _within(wall, FEDERAL) and not _within(wall, _span(s, wall))), None)
    hours = _span(strict, next(wall for wall in walls if not _within(wall, _span(strict, wall)))) if strict else FEDERAL
    return Quiet(until, tuple(walls), _STATES[strict][0] if strict else "", hours)


def _earliest(zones: list[ZoneInfo], at: datetime, mode: str, states: tuple[str, ...], own: Span) -> datetime | None:
    """The first minute from `at` on that is open in all zones; None when they never agree."""
    minute, limit = at.replace(second=0, microsecond=0), at + _FARTHEST
    while minute <= limit:
        closed = [step for step in (_closed_for(zone, minute, mode, states, own) for zone in zones) if step]
        if not closed:
            return max(minute, at)
        minute += max(closed)
    return None


def _closed_for(zone: ZoneInfo, at: datetime, mode: str, states: tuple[str, ...], own: Span) -> timedelta:
    """How long it surely stays quiet in one zone: until it opens, or until the clocks change before that."""
    here = at.astimezone(zone)
    wall = here.replace(tzinfo=None)
    step = _until_open(wall, mode, states, own)
    offset = here.utcoffset()
    if not step or (at + step).astimezone(zone).utcoffset() == offset:
        return step
    low, high = 0, int(step.total_seconds() // 60)  # minutes; the clocks change after low, by high
    while high - low > 1:
        middle = (low + high) // 2
        if (at + timedelta(minutes=middle)).astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return timedelta(minutes=high)


def _until_open(wall: datetime, mode: str, states: tuple[str, ...], own: Span) -> timedelta:
    """How long until the hours begin on a clock that nobody changes; zero within them."""
    if _open(wall, mode, states, own):
        return timedelta()
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    for day in (midnight, midnight + timedelta(days=1)):
        opens = day + timedelta(minutes=max(span[0] for span in _spans(day, mode, states, own)))
        if opens > wall:
            return opens - wall
    return timedelta(days=1)


def _open(wall: datetime, mode: str, states: tuple[str, ...], own: Span) -> bool:
    return all(_within(wall, span) for span in _spans(wall, mode, states, own))


def _within(wall: datetime, span: Span) -> bool:
    return span[0] <= wall.hour * 60 + wall.minute < span[1]


def _spans(wall: datetime, mode: str, states: Iterable[str], own: Span) -> list[Span]:
    """The hours that count on that day."""
    return [own] if mode == "own" else [FEDERAL, *(_span(state, wall) for state in states if state in _STATES)]


def _span(state: str, wall: datetime) -> Span:
    _, week, saturday, sunday = _STATES[state]
    return (week, week, week, week, week, saturday, sunday)[wall.weekday()]


def _clock(at: datetime) -> str:
    return f"{at:%H:%M}"


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo | None:
    """The zone of that name, if there is one; names come from people, too."""
    if not re.fullmatch(r"[A-Za-z0-9_+/-]{1,64}", name) or name.startswith("/"):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
