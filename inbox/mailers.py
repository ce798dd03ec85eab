"""One function per e-mail. Called by jobs only; without a mail server the mail becomes a file in the data directory."""

from __future__ import annotations

import secrets
import time
from email.utils import parseaddr
from pathlib import Path

from flask import current_app, render_template
from flask_mail import Message as Email

from inbox import unsubscribing
from inbox.extensions import mail
from inbox.models import Bundle, Conversation, Event, Invitation, LedgerEntry, Line, MailedLink, Member, Registration
from inbox.models.cover import Cover


def invitation(row: Invitation) -> Email | None:
    """The link to join; None when the invitation is over."""
    if row.token is None:
        return None
    url = f"{current_app.config['PUBLIC_URL'].rstrip('/')}/invitations/{row.token}"
    return _email(row.email, f"Join {row.account.name}’s shared inbox", "invitation", invitation=row, url=url)


def link(row: MailedLink, to: Member, token: str) -> Email:
    """A link that proves an address: to choose a new password, or to sign in with another address (ACC-7)."""
    if row.purpose == "password":
        return _email(to.email, "Choose a new password", "reset", member=to, url=_url(f"/password/reset/{token}"))
    return _email(row.email, "Confirm your new e-mail address", "address", member=to, url=_url(f"/address/{token}"))


def address_changed(row: MailedLink, to: Member) -> Email:
    """The notice to the address that no longer works; the row keeps it."""
    return _email(row.email, "You sign in with another address now", "address_changed", member=to)


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


def ownership(event: Event, owner: Member, former: Member, to: Member) -> Email:
    """The account has another owner (PERM-2); both of them are told."""
    account = to.account
    subject = f"You own {account.name} now" if to.id == owner.id else f"{owner.name} owns {account.name} now"
    return _email(to.email, subject, "ownership", at=event.at, owner=owner, former=former, member=to, account=account, url=_url("/settings/roles"))


def balance(entry: LedgerEntry, to: Member) -> Email:
    """The balance did not cover the seats of a month; until funds are added nothing is sent."""
    url = _url("/settings/billing/payments/new")
    return _email(to.email, f"{to.account.name} cannot send texts: the balance is empty", "balance", entry=entry, member=to, account=to.account, url=url)


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


def notification(bundle: Bundle) -> Email:
    """What waits for one member, one line for each conversation; a click in the mail program ends such mails (RFC 8058)."""
    lines, member = bundle.lines, bundle.member
    only = lines[0]
    what = only.news[:1].lower() + only.news[1:]
    subject = f"{only.name}: {what} in {only.conversation.inbox.name}" if len(lines) == 1 else f"News in {len(lines)} conversations"
    email = _email(member.email, subject[:200], "notification", member=member, lines=lines, conversation_url=conversation_url, settings_url=_url("/settings/notifications"))
    cover = Cover.over(member)
    if cover:
        email.subject, email.body, email.html = cover.text(email.subject or ""), cover.text(str(email.body or "")), cover.page(email.html or "")
    stop = _url(f"/notifications/unsubscribe/{unsubscribing.sign(current_app.config['SECRET_KEY'], member.public_id, 'mail')}")
    email.extra_headers = {"List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Auto-Submitted": "auto-generated"}
    return email


def notification_test(to: Member) -> Email:
    """The test a member asked for."""
    return _email(to.email, "Your notifications arrive here", "notification_test", member=to, settings_url=_url("/settings/notifications"))


def push(bundle: Bundle, line: Line) -> dict[str, str]:
    """What one browser shows about one conversation; words of the text only for those who want them."""
    words = f"{line.news}: {line.preview}" if bundle.wishes.previews and line.preview else line.news
    title, cover = f"{line.name} · {line.conversation.inbox.name}", Cover.over(bundle.member)
    if cover:
        title, words = cover.text(title), cover.text(words)
    return {"title": title, "body": words, "url": f"/c/{line.conversation.public_id}", "tag": line.conversation.public_id}


def push_test() -> dict[str, str]:
    return {"title": "Notifications arrive here", "body": "This is the test you asked for.", "url": "/settings/notifications", "tag": "test"}


def push_subject() -> str:
    """Whom a push service may write to about us."""
    address = parseaddr(current_app.config["MAIL_DEFAULT_SENDER"])[1]
    return f"mailto:{address or 'no-reply@localhost'}"


def conversation_url(conversation: Conversation) -> str:
    return _url(f"/c/{conversation.public_id}")


def _url(path: str) -> str:
    return current_app.config["PUBLIC_URL"].rstrip("/") + path
