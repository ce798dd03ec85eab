"""Send a member the test they asked for on the page of their notifications."""

from __future__ import annotations

import logging
import smtplib

from flask import current_app

from inbox import mailers, webpush
from inbox.models import Member, PushKey, PushSubscription, db, transaction
from jobs.deliver_notifications import push_once

log = logging.getLogger(__name__)


def try_notification(member_id: int, way: str) -> None:
    """One mail to the member's address, or one push to each of their browsers; nothing is tried again."""
    with transaction():
        member = db.session.get_one(Member, member_id)
        browsers = {row.id: row.address for row in PushSubscription.of(member)} if way == "push" else {}
        key = PushKey.private_key() if browsers else ""
    if not member.active:
        return
    if way == "mail":
        _mail(member)
        return
    answers = {id: push_once(address, key, mailers.push_test(), "test") for id, address in browsers.items()}
    with transaction():
        PushSubscription.gone([id for id, status in answers.items() if status in webpush.GONE])
        PushSubscription.used([id for id, status in answers.items() if 200 <= status < 300])


def _mail(member: Member) -> None:
    with current_app.test_request_context(base_url=current_app.config["PUBLIC_URL"]):
        email = mailers.notification_test(member)
    db.session.commit()
    try:
        mailers.deliver(email)
    except (OSError, smtplib.SMTPException) as error:
        log.warning("the test mail of member %s was not delivered (%s)", member.id, error)
