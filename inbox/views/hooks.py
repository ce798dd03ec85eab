"""What carriers call: verify, store, commit, answer; a job applies it. Nothing here trusts the caller before the signature is checked."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, request, send_file
from sqlalchemy.exc import SQLAlchemyError

from inbox import media, media_link
from inbox.channels.base import RawRequest, Unreadable
from inbox.extensions import csrf
from inbox.models import Attachment, Carrier, Inbox, WebhookEvent, db, transaction
from inbox.views.access import public

bp = Blueprint("hooks", __name__)
MAX_BODY = 1_000_000  # bytes
KEPT_HEADERS = ("content-type", "x-twilio-signature", "x-twilio-webhooks-signature-settings", "i-twilio-idempotency-token", "user-agent")


@bp.route("/hooks/sms/<token>/<any(messages, status, voice, dial, events):kind>", methods=["POST"])
@csrf.exempt
@public
def create(token: str, kind: str) -> Response:
    """Take a carrier's request: 403 and nothing kept unless it is signed for this very address."""
    request.max_content_length = MAX_BODY
    carrier = _carrier(token)
    raw = _raw(carrier)
    if not carrier.adapter.verify(carrier.credentials, raw, raw.url) or not _meant_for(carrier, raw):
        abort(403)
    dedupe, problem = _dedupe(carrier, kind, raw)
    headers = {name: raw.headers[name] for name in KEPT_HEADERS if name in raw.headers}
    try:
        with transaction():
            row = WebhookEvent.store(carrier, kind, dedupe, method=raw.method, url=raw.url, headers=headers, body=raw.body)
            if row is not None:
                row.problem = problem
    except SQLAlchemyError:
        current_app.logger.exception("a carrier's request could not be stored")
        db.session.rollback()
        abort(503)
    if kind == "voice":
        return _answer_call(carrier, raw)
    status, content_type, body = carrier.adapter.ack(kind)
    return Response(body, status, content_type=content_type)


def _carrier(token: str) -> Carrier:
    try:
        return Carrier.by_token(token) or abort(404)
    except SQLAlchemyError:
        current_app.logger.exception("the database does not answer a carrier's request")
        db.session.rollback()
        abort(503)


def _raw(carrier: Carrier) -> RawRequest:
    """The request as it came, at the address the carrier was given: proxies may have changed ours."""
    query = request.query_string.decode("latin-1")
    url = carrier.public_url.rstrip("/") + request.path + (f"?{query}" if query else "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return RawRequest(method=request.method, url=url, headers=headers, body=request.get_data(cache=False, parse_form_data=False))


def _meant_for(carrier: Carrier, raw: RawRequest) -> bool:
    """Whether the account the body names, if it names one, is the one this address belongs to."""
    named = [value for name, value in parse_qsl(raw.body.decode("utf-8", "replace"), keep_blank_values=True) if name == "AccountSid"]
    return all(value == carrier.account_sid for value in named)


def _dedupe(carrier: Carrier, kind: str, raw: RawRequest) -> tuple[str, str | None]:
    """What makes a repetition of this request the same, and what is wrong with it, if it can't be read."""
    problem = None
    try:
        names = [event.dedupe for event in carrier.adapter.parse(raw)]
    except Unreadable as error:
        names, problem = [], error.reason
    key = f"{kind}:{'|'.join(names)}" if names else f"{kind}:sha256:{hashlib.sha256(raw.url.encode() + raw.body).hexdigest()}"
    return (key if len(key) <= 200 else f"{kind}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"), problem


def _answer_call(carrier: Carrier, raw: RawRequest) -> Response:
    """Ring the forwarding number of the inbox, or say that texting works."""
    fields = dict(reversed(raw.form()))
    inbox = db.session.scalar(sa.select(Inbox).where(Inbox.account_id == carrier.account_id, Inbox.phone == fields.get("To", "")))
    if inbox is not None and inbox.forward_to:
        twiml = carrier.adapter.forward_twiml(inbox.forward_to, inbox.phone or "", carrier.hook("dial"))
    else:
        name = carrier.account.name
        twiml = carrier.adapter.greeting_twiml(f"Thank you for calling {name}. Please send a text to this number, and our team will answer.")
    return Response(twiml, content_type="text/xml; charset=utf-8")


@bp.route("/hooks/sms/<token>/media/<attachment>")
@public
def show(token: str, attachment: str) -> Response:
    """A file of an outgoing text, for the carrier to fetch; the link itself is the proof and ends after a day."""
    carrier = _carrier(token)
    if not media_link.proves(current_app.config["SECRET_KEY"], attachment, request.args.get("sig", "")):
        abort(403)
    found = db.session.scalar(
        sa.select(Attachment).where(Attachment.account_id == carrier.account_id, Attachment.public_id == attachment, Attachment.state == "stored")
    )
    if found is None or found.sha256 is None:
        abort(404)
    try:
        file = media.open_stored(current_app.config["MEDIA_ROOT"], found.sha256)
    except FileNotFoundError:
        abort(404)
    response = send_file(file, mimetype=found.content_type or media.UNKNOWN, download_name=found.filename or "file", max_age=0)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response
