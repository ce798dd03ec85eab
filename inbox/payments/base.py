"""What every payment adapter speaks: what is asked of it, and how that stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["pending", "confirmed", "failed"]


@dataclass(frozen=True)
class Charge:
    """Money to take; `ref` is ours and the same for every repetition, `amount` is in millionths of the currency unit."""

    ref: str
    amount: int
    currency: str
    note: str


@dataclass(frozen=True)
class Outcome:
    """How a payment stands; `problem` is a sentence when it failed."""

    state: State
    provider_id: str
    problem: str = ""


class Provider(Protocol):
    """What the rest of the product may ask of a payment adapter. Asking twice with the same `ref` must take the money once."""

    key: str
    name: str

    def begin(self, charge: Charge) -> Outcome:
        """Start the payment: pending while somebody still has to act."""
        ...

    def confirm(self, charge: Charge) -> Outcome:
        """An administrator says the money is there; the provider answers whether that is so."""
        ...
