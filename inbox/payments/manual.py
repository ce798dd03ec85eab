"""The embedded provider: money that came by bank transfer, cheque or cash, which an administrator has seen and confirms. It charges nobody."""

from __future__ import annotations

from inbox.payments.base import Charge, Outcome


class Manual:
    """Takes an administrator's word; the note (an invoice or transfer number) is the proof that is kept."""

    key = "manual"
    name = "Confirmed by hand"

    def begin(self, charge: Charge) -> Outcome:
        """Nothing moves until somebody confirms."""
        return Outcome("pending", charge.ref)

    def confirm(self, charge: Charge) -> Outcome:
        """The word of whoever confirms; a top-up without a note could not be found in any bank statement."""
        if not charge.note.strip():
            return Outcome("failed", charge.ref, "A payment confirmed by hand needs a reference.")
        return Outcome("confirmed", charge.ref)
