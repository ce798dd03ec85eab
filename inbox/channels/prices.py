"""What the carrier charges for a text, by the recipient's country, in millionths of a dollar.

United States and Canada: the list prices of October 2026 for long-code and toll-free numbers ($0.0083 a segment, $0.0220 a text with files).
The carriers' pass-through fees and volume discounts are not in them; where the carrier names a price for a text itself, that one is booked.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from inbox import phone

SEGMENT = {"US": 8_300, "CA": 8_300}
WITH_FILES = {"US": 22_000, "CA": 22_000}  # the whole text, however long
ELSEWHERE = 100_000  # a segment; above most list prices


def price(to: str, segments: int, files: int) -> int:
    """What a whole text costs; `to` is an E.164 number."""
    region = phone.region_of(to) or ""
    if files and region in WITH_FILES:
        return WITH_FILES[region]
    return SEGMENT.get(region, ELSEWHERE) * max(1, segments)


def told(answer: Mapping[str, Any]) -> int | None:
    """The price in a Message resource, which the carrier writes as a negative decimal once it knows; None before, or in another currency."""
    if str(answer.get("price_unit") or "USD").upper() != "USD":
        return None
    try:
        amount = abs(Decimal(str(answer.get("price")))) * 1_000_000
    except InvalidOperation:
        return None
    return int(amount.to_integral_value(ROUND_HALF_UP)) if amount.is_finite() and amount < 10**9 else None
