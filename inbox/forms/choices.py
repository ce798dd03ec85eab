"""Lists that forms offer: countries and time zones, from the time zone database's own tables."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from zoneinfo import available_timezones

_TABLES = resources.files("tzdata") / "zoneinfo"
_US_ZONES = {
    "America/New_York": "Eastern (New York)",
    "America/Chicago": "Central (Chicago)",
    "America/Denver": "Mountain (Denver)",
    "America/Phoenix": "Arizona (Phoenix)",
    "America/Los_Angeles": "Pacific (Los Angeles)",
    "America/Anchorage": "Alaska (Anchorage)",
    "Pacific/Honolulu": "Hawaii (Honolulu)",
}


def _rows(name: str) -> Iterator[list[str]]:
    for line in (_TABLES / name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


@cache
def countries() -> dict[str, str]:
    """Names by two-letter code, the United States first."""
    names = sorted(((code, name) for code, name in _rows("iso3166.tab")), key=lambda pair: pair[1])
    return {"US": "United States", **dict(names)}


@cache
def time_zones() -> dict[str, dict[str, str]]:
    """Zones by part of the world, those of the United States first."""
    known = available_timezones()
    groups: dict[str, dict[str, str]] = {"United States": {zone: label for zone, label in _US_ZONES.items() if zone in known}}
    for zone in sorted(row[2] for row in _rows("zone.tab")):
        if zone in known and zone not in _US_ZONES:
            part, _, city = zone.partition("/")
            groups.setdefault(part, {})[zone] = city.replace("_", " ").replace("/", ", ")
    groups["Everywhere"] = {"UTC": "UTC"}
    return groups
