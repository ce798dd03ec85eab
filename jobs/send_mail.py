"""Send one e-mail: an invitation, or the carriers' decision to everyone who manages registrations."""

from __future__ import annotations

import json
import logging
import smtplib
import time

from flask import current_app
from flask_mail import Message as Email

from inbox import mailers
from inbox.extensions import redis
from inbox.models import Event, Invitation, LedgerEntry, MailedLink, Member, Registration, db, transaction
from inbox.permissions import Permission

log = logging.getLogger(__name__)
AGAIN = "inbox:mail:again"  # a sorted set of jobs by the time they are due
GIVE_UP = 9


def send_mail(kind: str, row_id: int, attempt: int = 1, only: str = "") -> None:
    """Make the mail from the row as it is now and deliver it; a mail server in trouble is tried again for a day."""
    # Templates may look at who is reading; in a mail nobody is signed in.
    with current_app.test_request_context(base_url=current_app.config["PUBLIC_URL"]):
        emails = [email for email in _emails(kind, row_id) if not only or email.recipients == [only]]
    db.session.commit()
    for email in emails:
        try:
            mailers.deliver(email)
        except smtplib.SMTPRecipientsRefused:
            log.warning("the mail server refused the address of mail %s %s", kind, row_id)
            _note_bounce(kind, row_id)
        except (OSError, smtplib.SMTPException) as error:
            log.warning("mail %s %s was not delivered (%s)", kind, row_id, error)
            _again(kind, row_id, attempt, str(email.recipients[0]))


def _note_bounce(kind: str, row_id: int) -> None:
    """Whoever sent an invitation reads in the list that it did not arrive."""
    if kind == "invitation":
        with transaction():
            db.session.get_one(Invitation, row_id).bounce()


def _emails(kind: str, row_id: int) -> list[Email]:
    if kind == "invitation":
        invitation = db.session.get(Invitation, row_id)
        email = mailers.invitation(invitation) if invitation else None
        return [email] if email else []
    if kind in ("reset", "address", "address_changed"):
        return _link(kind, row_id)
    if kind == "registration":
        registration = db.session.get(Registration, row_id)
        if registration is None:
            return []
        return [mailers.registration(registration, to) for to in Member.holding(registration.account_id, Permission.REGISTRATION_MANAGE)]
    if kind == "ownership":
        return _ownership(row_id)
    if kind == "balance":
        entry = db.session.get(LedgerEntry, row_id)
        return [mailers.balance(entry, to) for to in Member.holding(entry.account_id, Permission.BILLING_MANAGE)] if entry else []
    raise ValueError(f"There is no mail called {kind!r}.")


def _ownership(event_id: int) -> list[Email]:
    event = db.session.get(Event, event_id)
    owner, former = (db.session.get(Member, event.about_id), db.session.get(Member, event.actor_id)) if event else (None, None)
    return [mailers.ownership(event, owner, former, to) for to in (owner, former) if to.active] if event and owner and former else []


def _link(kind: str, row_id: int) -> list[Email]:
    """A mail about a password or an address; its token is made here and nowhere kept."""
    with transaction():
        row = db.session.get(MailedLink, row_id)
        token = row.issue() if row and kind != "address_changed" else None
    if row and row.member and kind == "address_changed" and row.used_at:
        return [mailers.address_changed(row, row.member)]
    return [mailers.link(row, row.member, token)] if row and row.member and token else []


def _again(kind: str, row_id: int, attempt: int, to: str) -> None:
    if attempt < GIVE_UP:
        due = time.time() + min(4 * 3600, 30 * 3 ** (attempt - 1))
        redis.client.zadd(AGAIN, {json.dumps([kind, row_id, attempt + 1, to]): due})
