"""One function per e-mail. Called by jobs only; without a mail server the mail becomes a file in the data directory."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from flask import current_app, render_template
from flask_mail import Message as Email

from inbox.extensions import mail
from inbox.models import Invitation, Member, Registration


def invitation(row: Invitation) -> Email | None:
    """The link to join; None when the invitation is over."""
    if row.token is None:
        return None
    url = f"{current_app.config['PUBLIC_URL'].rstrip('/')}/invitations/{row.token}"
    return _email(row.email, f"Join {row.account.name}’s shared inbox", "invitation", invitation=row, url=url)


def registration(row: Registration, to: Member) -> Email:
    """The carriers decided (REG-4)."""
    subjects = {
        "approved": f"Texting is on for {row.team.name}",
        "rejected": f"Carriers need changes before {row.team.name} can text",
        "suspended": f"Carriers suspended texting for {row.team.name}",
        "expired": f"The carrier registration of {row.team.name} expired",
    }
    url = f"{current_app.config['PUBLIC_URL'].rstrip('/')}/registrations/{row.public_id}"
    return _email(to.email, subjects.get(row.state, "Your carrier registration changed"), "registration", registration=row, member=to, url=url)


def deliver(email: Email) -> None:
    """Hand the mail to the configured server, or write it as a file; raises on failure so that the job retries."""
    if current_app.config["MAIL_SERVER"]:
        mail.send(email)
        return
    folder: Path = current_app.config["MAIL_FOLDER"]
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{int(time.time() * 1000)}-{secrets.token_hex(3)}.eml"
    (folder / name).write_bytes(email.as_bytes())


def _email(to: str, subject: str, template: str, **context: object) -> Email:
    one_line = " ".join(subject.split())
    return Email(
        subject=one_line, recipients=[to], body=render_template(f"mail/{template}.txt", **context), html=render_template(f"mail/{template}.html", **context)
    )
