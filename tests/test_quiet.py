"""MSG-1: quiet hours by the clock on the contact's wall: never early, never a minute later than needed."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox import quiet
from inbox.quiet_places import STATE_OF_AREA_CODE, zip_states, zip_zones

FRANCISCO, TAMPA, DALLAS, PROVIDENCE, BOISE, FREE = "+14155550134", "+18135550134", "+12145550134", "+14015550134", "+12085550134", "+18005550134"
# The law, written down once more: state -> weekday hours, Saturday, Sunday.
LAW = {
    "CT": ((9, 20),) * 3, "FL": ((8, 20),) * 3, "MD": ((8, 20),) * 3, "MS": ((8, 20),) * 3, "NJ": ((8, 20),) * 3, "OK": ((8, 20),) * 3,
    "RI": ((9, 18), (10, 17), (10, 17)), "TX": ((9, 21), (9, 21), (12, 21)), "WA": ((8, 20),) * 3,
}
CLOCKS = json.loads((Path(__file__).parent / "data" / "clock_changes.json").read_text())


def utc(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def may(at: datetime, where: quiet.Place, mode: str, own: tuple[int, int]) -> bool:
    """Whether a text may arrive, minute by minute and without cleverness."""
    for name in where.zones:
        wall = at.astimezone(ZoneInfo(name))
        minute, day = wall.hour * 60 + wall.minute, (0, 0, 0, 0, 0, 1, 2)[wall.weekday()]
        spans = [own] if mode == "own" else [(480, 1260)]
        spans += [(a * 60, b * 60) for a, b in (LAW[s][day] for s in where.states if s in LAW)] if mode == "state" else []
        if not all(a <= minute < b for a, b in spans):
            return False
    return True


@pytest.mark.parametrize(
    ("address", "zone", "at", "until", "sentence"),
    [
        (FRANCISCO, "America/Los_Angeles", "2026-11-20T21:40", "2026-11-21T08:00", "It is 21:40 for Priya."),
        (FRANCISCO, "America/Los_Angeles", "2026-11-20T20:59", None, ""),
        (FRANCISCO, "America/Los_Angeles", "2026-11-20T07:59", "2026-11-20T08:00", "It is 07:59 for Priya."),
        (TAMPA, "America/New_York", "2026-11-20T20:00", "2026-11-21T08:00", "It is 20:00 for Priya, and Florida wants texts between 08:00 and 20:00."),
        (DALLAS, "America/Chicago", "2026-11-22T08:30", "2026-11-22T12:00", "It is 08:30 for Priya, and Texas wants texts between 12:00 and 21:00."),
        (DALLAS, "America/Chicago", "2026-11-21T21:00", "2026-11-22T12:00", "It is 21:00 for Priya."),
        (PROVIDENCE, "America/New_York", "2026-11-20T18:00", "2026-11-21T10:00", "It is 18:00 for Priya, and Rhode Island wants texts between 09:00 and 18:00."),
        (PROVIDENCE, "America/New_York", "2026-11-22T17:00", "2026-11-23T09:00", "It is 17:00 for Priya, and Rhode Island wants texts between 10:00 and 17:00."),
        (BOISE, "America/Los_Angeles", "2026-11-20T20:30", "2026-11-21T08:00", "It is between 20:30 and 21:30 for Priya."),
    ],
)
def test_MSG_1_federal_and_stricter_hours(address, zone, at, until, sentence):
    found = quiet.quiet_until(address, utc(at, zone), name="Priya")
    assert found == (utc(until, zone) if until else None, sentence)


def test_MSG_1_a_contacts_own_zone_beats_the_zip_code_which_beats_the_number():
    at = utc("2026-11-20T20:30", "America/Los_Angeles")
    assert quiet.quiet_until(FRANCISCO, at) == (None, "")
    assert quiet.quiet_until(FRANCISCO, at, postal="10001-1234")[0] == utc("2026-11-21T08:00", "America/New_York")
    assert quiet.quiet_until(FRANCISCO, at, "Pacific/Honolulu", "10001") == (None, "")
    assert quiet.quiet_until(FRANCISCO, at, "Mars/Olympus", "no zip") == (None, ""), "what means nothing is passed over"
    assert quiet.place(FRANCISCO, postal="75201") == quiet.Place(("America/Chicago",), ("TX",))
    assert quiet.hints({"Time Zone": "America/Boise", "ZIP": 83702, "Pet": "Rex"}) == ("America/Boise", "83702")
    assert quiet.hints({"timezone": "", "postal": None}) == ("", "")


def test_MSG_1_an_unknown_number_goes_by_the_accounts_clock_and_a_toll_free_one_by_every_clock_it_may_be_under():
    assert quiet.place("+999123", usual="Europe/Berlin").zones == ("Europe/Berlin",)
    assert quiet.place("+999123", usual="nonsense").zones == ("UTC",)
    many = quiet.place(FREE, usual="America/New_York")
    assert len(many.zones) > 20 and many.states == ()
    until = quiet.look(many, utc("2026-11-20T09:00", "America/New_York")).until
    assert all(8 <= until.astimezone(ZoneInfo(zone)).hour < 21 for zone in many.zones)
    apart = quiet.Place(("Asia/Tokyo", "Europe/London", "America/Los_Angeles"))
    assert quiet.look(apart, utc("2026-11-20T03:00", "UTC"), usual="Europe/London").until == utc("2026-11-20T08:00", "Europe/London"), "they never agree"
    assert quiet.look(apart, utc("2026-11-20T09:00", "UTC"), usual="Europe/London") is None


def test_MSG_1_own_hours_and_none_at_all():
    late = utc("2026-11-20T22:15", "America/Los_Angeles")
    assert quiet.quiet_until(FRANCISCO, late, mode="own", own=(7 * 60, 22 * 60 + 30)) == (None, "")
    assert quiet.quiet_until(FRANCISCO, late, mode="off") == (None, "")
    assert quiet.quiet_until(TAMPA, utc("2026-11-20T20:30", "America/New_York"), mode="federal") == (None, "")


@settings(max_examples=150, deadline=None)
@given(
    zones=st.lists(st.sampled_from(sorted({*CLOCKS["zones"], "America/Los_Angeles", "America/New_York", "America/Phoenix", "Pacific/Honolulu"})), min_size=1, max_size=3, unique=True),
    state=st.sampled_from(["", *LAW, "CA"]),
    at=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1)) | st.sampled_from([datetime.fromisoformat(t) for t in CLOCKS["changes"]]),
    shift=st.integers(-1500, 200),
    mode=st.sampled_from(["state", "federal", "own"]),
    own=st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda span: span[0] < span[1]),
)
def test_MSG_1_the_first_minute_that_is_not_quiet_anywhere(zones, state, at, shift, mode, own):
    at = (at + timedelta(minutes=shift)).replace(tzinfo=UTC)
    where = quiet.Place(tuple(zones), (state,) if state else ())
    found = quiet.look(where, at, mode=mode, own=own)
    if may(at, where, mode, own):
        assert found is None
        return
    first = at.replace(second=0, microsecond=0)
    earliest = next((m for m in (first + timedelta(minutes=n) for n in range(1, 3 * 1440)) if may(m, where, mode, own)), None)
    if earliest is None:
        return  # these zones never agree: then the usual one decides
    assert found is not None and found.until == earliest, "not inside anybody's quiet time, and not a minute later"


def test_MSG_1_the_night_a_clock_changes_is_as_long_as_it_is():
    for change in CLOCKS["changes"]:
        at = datetime.fromisoformat(change).replace(tzinfo=UTC) - timedelta(hours=2)
        for zone in CLOCKS["zones"]:
            found = quiet.look(quiet.Place((zone,)), at)
            if found:
                wall = found.until.astimezone(ZoneInfo(zone))
                assert (wall.hour, wall.minute) == (8, 0), (zone, change)


def test_the_area_codes_are_those_of_the_published_numbering_data():
    from phonenumbers.geodata import GEOCODE_DATA

    short = {name: code for code, name in STATES.items()}
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for prefix, names in GEOCODE_DATA.items():
        text = names.get("en", "")
        city = re.search(r", ([A-Z]{2})$", text)
        state = short.get(text) or (city.group(1) if city and city.group(1) in STATES else None)
        if prefix.startswith("1") and len(prefix) >= 4 and state:
            found[prefix[1:4]][state] += 1
    assert len(found) > 350
    for code, states in found.items():
        assert STATE_OF_AREA_CODE.get(code) == states.most_common(1)[0][0], code
    newer = set(STATE_OF_AREA_CODE) - set(found)
    assert newer <= {"436", "471", "621"}, newer
    assert set(STATE_OF_AREA_CODE.values()) == set(STATES)


def test_nothing_imports_the_numbering_data_at_run_time():
    root = Path(__file__).parent.parent
    for path in [*root.glob("inbox/**/*.py"), *root.glob("jobs/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            assert not {"geocoder", "geodata", "phonenumbers.geocoder", "phonenumbers.geodata"} & set(names), path


def test_zip_codes_name_their_state_and_clocks():
    assert zip_states("94105") == ("CA",) and zip_zones("94105") == ("America/Los_Angeles",)
    assert zip_states("06390") == ("CT", "NY"), "Fishers Island"
    assert zip_zones("79901") == ("America/Denver",) and zip_zones("37402") == ("America/New_York",) and zip_zones("32401") == ("America/New_York", "America/Chicago")
    assert zip_zones("86515") == ("America/Phoenix", "America/Denver") and zip_zones("96799")[1] == "Pacific/Pago_Pago"
    for nothing in ("", "9410", "abcde", "941056", "09012", "٩٤١٠٥", "00000"):
        assert zip_states(nothing) == () == zip_zones(nothing), nothing
    for code in range(100_000):
        for zone in zip_zones(f"{code:05}") if code % 100 == 1 else ():
            ZoneInfo(zone)


STATES = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California", "CO": "Colorado", "CT": "Connecticut", "DE": "Delaware", "DC": "Washington D.C.",
    "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois", "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana",
    "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota", "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska",
    "NV": "Nevada", "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York", "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio",
    "OK": "Oklahoma", "OR": "Oregon", "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota", "TN": "Tennessee", "TX": "Texas", "UT": "Utah",
    "VT": "Vermont", "VA": "Virginia", "WA": "Washington State", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
}
