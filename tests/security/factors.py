"""Second factors for tests: an app that is set up, and its codes."""

from __future__ import annotations

import pyotp

from inbox import clock
from inbox.models import Member, Totp, transaction
from inbox.models.second_factor import STEP
from inbox.models.secret import decrypt


def step_now() -> int:
    return int(clock.now().timestamp()) // STEP


def code_of(member: Member, ahead: int = 0) -> str:
    """What the member's app shows now, or some steps ahead."""
    from inbox.models import db

    row = db.session.query(Totp).filter_by(member_id=member.id).one()
    db.session.rollback()
    return pyotp.TOTP(decrypt(row.sealed)).generate_otp(step_now() + ahead)


def set_up_app(member: Member) -> list[str]:
    """Switch an app on; its first code was used a while ago. Returns the recovery codes."""
    with transaction():
        row = Totp.begin(member)
        codes = row.confirm(pyotp.TOTP(decrypt(row.sealed)).generate_otp(step_now()), by=member)
        row.last_step = 0
    return codes
