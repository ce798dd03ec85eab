"""Tell one member what waits for them, by one way: claim and commit, tell with nothing held, write down what came of it."""

from __future__ import annotations

import logging
import smtplib

from flask import current_app
from flask_mail import Message as Email

from inbox import mailers, net, webpush
from inbox.models import Bundle, Notification, PushKey, PushSubscription, db, transaction

log = logging.getLogger(__name__)


def deliver_notifications(member_id: int, way: str) -> None:
    """Send one mail, or one push per conversation and browser; a claim that another worker has is left alone."""
    with transaction():
        bundle = Bundle.take(member_id, way)
    if bundle is None:
        db.session.commit()
        return
    (_mail if way == "mail" else _push)(bundle)


def _mail(bundle: Bundle) -> None:
    # Templates may look at who is reading; in a mail nobody is signed in.
    with current_app.test_request_context(base_url=current_app.config["PUBLIC_URL"]):
        email: Email = mailers.notification(bundle)
    db.session.commit()
    try:
        mailers.deliver(email)
    except smtplib.SMTPRecipientsRefused:
        log.warning("the mail server refused the address of member %s", bundle.member.id)
        with transaction():
            Notification.refused(bundle.claim, "address refused")
    except (OSError, smtplib.SMTPException) as error:
        log.warning("a notification of member %s was not delivered (%s)", bundle.member.id, error)
        with transaction():
            Notification.later(bundle.claim, "mail server")
    else:
        with transaction():
            Notification.told(bundle.claim)


def _push(bundle: Bundle) -> None:
    with transaction():
        browsers = {row.id: row.address for row in PushSubscription.of(bundle.member)}
        key = PushKey.private_key()
    payloads = [(mailers.push(bundle, line), line.conversation.public_id) for line in bundle.lines]
    db.session.commit()
    answers = {id: [push_once(address, key, payload, topic) for payload, topic in payloads] for id, address in browsers.items()}
    took = [id for id, statuses in answers.items() if all(200 <= status < 300 for status in statuses)]
    with transaction():
        PushSubscription.gone([id for id, statuses in answers.items() if any(status in webpush.GONE for status in statuses)])
        PushSubscription.used(took)
        if took:
            Notification.told(bundle.claim)
        elif any(status == 0 or status == 429 or status >= 500 for statuses in answers.values() for status in statuses):
            Notification.later(bundle.claim, "push service")
        else:
            Notification.refused(bundle.claim, "no browser takes it")


def push_once(address: tuple[str, str, str], key: str, payload: dict[str, str], topic: str) -> int:
    """The push service's status; 0 when it gave none, 400 when the address may not be used."""
    allowed = current_app.config.get("PUSH_PRIVATE", ())
    try:
        return webpush.send(*address, payload, private=key, subject=mailers.push_subject(), topic=topic, allow_private=allowed)
    except (net.Refused, ValueError):
        return 400
    except net.NetError:
        return 0
