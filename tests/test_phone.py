"""Numbers, segments and keywords."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inbox import clock, phone

DATA = Path(__file__).parent / "data"
SEGMENTS = json.loads((DATA / "segmentation.json").read_text(encoding="utf-8"))
KEYWORDS = json.loads((DATA / "optout_keywords.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("written", "region", "e164"),
    [
        ("(415) 555-0134", "US", "+14155550134"),
        ("415.555.0134", "US", "+14155550134"),
        ("14155552671", "US", "+14155552671"),
        ("+1 415 555 2671 x12", "US", "+14155552671"),
        ("1-800-FLOWERS", "US", "+18003569377"),
        ("+390212345678", "US", "+390212345678"),
        ("+447700900123", "US", "+447700900123"),
        ("020 7183 8750", "GB", "+442071838750"),
        ("\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff13\uff14", "US", "+14155550134"),
        ("+15555550123", "US", "+15555550123"),
        ("12345", "US", None),
        ("555-0134", "US", None),
        ("4.47E+11", "GB", None),
        ("", "US", None),
        ("Ana", "US", None),
        ("4" * 500, "US", None),
        ("\x00", "US", None),
        ("415-555-0134", "??", None),
    ],
)
def test_normalize(written: str, region: str, e164: str | None) -> None:
    assert phone.normalize(written, region) == e164


def test_validity_is_stricter_than_possibility() -> None:
    assert phone.valid("+14155550134")
    assert not phone.valid("+15555550123")
    assert not phone.valid("+447700900123")
    assert not phone.valid("12345")


def test_display() -> None:
    assert phone.display("+14155550134") == "(415) 555-0134"
    assert phone.display("+14155550134", "GB") == "+1 415-555-0134"
    assert phone.display("+442071838750") == "+44 20 7183 8750"
    assert phone.display("+442071838750", "GB") == "020 7183 8750"
    for other in ("12345", "INFO", "", "whatsapp:+14155550134", "+1"):
        assert phone.display(other) == other


def test_where_a_number_is_from() -> None:
    assert phone.area_code("+14155550134") == "415"
    assert phone.area_code("+18005550134") == "800"
    assert phone.area_code("+442071838750") == "20"
    assert phone.area_code("12345") is None
    assert phone.region_of("+14155550134") == "US"
    assert phone.region_of("+16045550134") == "CA"
    assert phone.region_of("+442071838750") == "GB"
    assert phone.region_of("junk") is None
    assert phone.time_zones("+14155550134") == ("America/Los_Angeles",)
    assert len(phone.time_zones("+18005551212")) > 10
    assert phone.time_zones("junk") == ()


@pytest.mark.parametrize("case", SEGMENTS, ids=lambda case: case["id"])
def test_segments_agree_with_two_calculators(case: dict[str, Any]) -> None:
    counted = phone.segments(case["text"])
    assert (counted.encoding, counted.segments) == (case["encoding"], case["segments"])


@pytest.mark.parametrize(
    ("text", "encoding", "units", "count"),
    [
        ("a" * 160, "GSM-7", 160, 1),
        ("a" * 161, "GSM-7", 161, 2),
        ("a" * 306, "GSM-7", 306, 2),
        ("a" * 307, "GSM-7", 307, 3),
        ("a" * 459, "GSM-7", 459, 3),
        ("a" * 460, "GSM-7", 460, 4),
        ("€" * 80, "GSM-7", 160, 1),
        ("€" * 81, "GSM-7", 162, 2),
        ("a" * 158 + "€", "GSM-7", 160, 1),
        ("a" * 159 + "€", "GSM-7", 161, 2),
        ("a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
        ("[ok] {x} ~ ^ | \\", "GSM-7", 24, 1),
        ("é" * 160, "GSM-7", 160, 1),
        ("ÇΔΩ\n\r\n", "GSM-7", 6, 1),
        ("п" * 70, "UCS-2", 70, 1),
        ("п" * 71, "UCS-2", 71, 2),
        ("п" * 134, "UCS-2", 134, 2),
        ("п" * 135, "UCS-2", 135, 3),
        ("😀" * 35, "UCS-2", 70, 1),
        ("😀" * 36, "UCS-2", 72, 2),
        ("👨\u200d👩\u200d👧\u200d👦", "UCS-2", 11, 1),
        ("🇫🇷", "UCS-2", 4, 1),
        ("a" * 1600, "GSM-7", 1600, 11),
        ("", "GSM-7", 0, 1),
    ],
)
def test_segment_table(text: str, encoding: str, units: int, count: int) -> None:
    counted = phone.segments(text)
    assert (counted.encoding, counted.units, counted.segments) == (encoding, units, count)


@pytest.mark.parametrize("char", ["`", "ç", "á", "α", "\t", "\u00a0", "’", "—"])
def test_characters_that_force_the_larger_encoding_are_named(char: str) -> None:
    counted = phone.segments(f"Hi {char} there {char}")
    assert counted.encoding == "UCS-2"
    assert counted.forced_by == (char,)


def test_room_is_what_still_fits_into_the_last_segment() -> None:
    assert phone.segments("").room == 160
    assert phone.segments("a" * 160).room == 0
    assert phone.segments("a" * 161).room == 145
    assert phone.segments("п").room == 69
    for length in (1, 159, 161, 305, 400):
        room = phone.segments("a" * length).room
        assert phone.segments("a" * (length + room)).segments == phone.segments("a" * length).segments
        assert phone.segments("a" * (length + room + 1)).segments == phone.segments("a" * length).segments + 1


@pytest.mark.parametrize("case", KEYWORDS["positives"] + KEYWORDS["negatives"], ids=lambda case: case["text"][:30])
def test_keywords(case: dict[str, Any]) -> None:
    expected = case["expect"].upper() if case["expect"] else None
    if case.get("level", "must") == "must":
        assert phone.keyword(case["text"]) == expected
    else:  # obeyed, or asked about (tests/models/test_consent.py)
        assert phone.keyword(case["text"]) in (expected, None)


@pytest.mark.parametrize(
    "text", ["opt-out", "Opt out", "STOP ALL", "s t o p", "ＳＴＯＰ", "STOP 🛑", "stop\u200b", "’Stop’", "arrêt"]
)
def test_ways_of_writing_stop(text: str) -> None:
    assert phone.keyword(text) == "STOP"


@pytest.mark.parametrize(
    "text", ["", "   ", "\u200b", "stop it", "the bus stop", "help me", "yes please", "don't stop", "STOP" * 100]
)
def test_whole_message_only(text: str) -> None:
    assert phone.keyword(text) is None


def test_the_clock_moves_and_returns() -> None:
    before = clock.now()
    clock.shift(3600)
    try:
        assert 3599 < (clock.now() - before).total_seconds() < 3700
        assert clock.now().utcoffset() is not None
    finally:
        clock.reset()
    assert (clock.now() - before).total_seconds() < 100
