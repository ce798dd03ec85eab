"""Send a registration's form to the carriers."""

from __future__ import annotations

from inbox.models import Registration, db
from jobs.poll_registrations import alone


def submit_registration(registration_id: int) -> None:
    """Make the brand at the carrier; the poller goes on from what a broken try leaves."""
    with alone(registration_id, patience=30) as mine:
        if not mine:
            return
        registration = db.session.get(Registration, registration_id)
        if registration is not None and registration.state == "submitted":
            registration.send_to_carrier()
