"""Money as whole numbers: a micro is a millionth of a dollar, because carriers charge fractions of a cent. Never a float."""

from __future__ import annotations

import re

from inbox.models.base import Refused

CURRENCY = "USD"
DOLLAR = 1_000_000  # micros
CENT = DOLLAR // 100
_TYPED = re.compile(r"\$?\s*(\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.(\d{1,2}))?", re.ASCII)


def plain(micros: int) -> str:
    """The amount for machines: -0.0083, 12.34, 1.1010: two, four or six decimals, never fewer than the amount has."""
    whole, rest = divmod(abs(micros), DOLLAR)
    decimals = f"{rest:06d}"[: 2 if rest % CENT == 0 else 4 if rest % (CENT // 100) == 0 else 6]
    return f"{'-' if micros < 0 else ''}{whole}.{decimals}"


def dollars(micros: int) -> str:
    """The amount for people, exact: $12.34, $0.0083, −$1,250.00."""
    whole, _, decimals = plain(abs(micros)).partition(".")
    return f"{'−' if micros < 0 else ''}${int(whole):,}.{decimals}"


def parse(text: str, field: str = "amount") -> int:
    """The micros of what a person typed, in dollars and cents; raises Refused at `field`."""
    found = _TYPED.fullmatch(text.strip())
    if found is None:
        raise Refused("Enter an amount in dollars, like 50 or 49.90.", field=field)
    return int(found[1].replace(",", "")) * DOLLAR + int((found[2] or "").ljust(2, "0")) * CENT
