"""What carriers call: verify, store, commit, answer; a job applies it. Nothing here trusts the caller before the signature is checked."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, request, send_file
from sqlalchemy.exc import SQLAlchemyError

from inbox import media, media_link, refusals, selftest
from inbox.channels.base import CallNotice, RawRequest, Unreadable
from inbox.extensions import csrf
from inbox.models import Attachment, Carrier, Contact, Door, Inbox, db, transaction
from inbox.models.call import UNHEARD, usual_greeting
from inbox.models.contact import WITHHELD
from inbox.views.access import public

bp = Blueprint("hooks", __name__)
MAX_BODY = 1_000_000  # bytes
KEPT_HEADERS = ("content-type", "x-twilio-signature", "x-twilio-webhooks-signature-settings", "i-twilio-idempotency-token", "user-agent")


@bp.route("/hooks/sms/<token>/<any(messages, status, voice, dial, recording, call, events):kind>", methods=["GET", "POST"])
@csrf.exempt
@public
def create(token: str, kind: str) -> Response:
    """Take a carrier's request: 403 and nothing kept unless it is signed for this very address. Some carriers can only report by GET."""
    request.max_content_length = MAX_BODY
    door, raw = _take(token, kind)
    if kind in ("voice", "dial"):
        answer = (_answer_call if kind == "voice" else _after_dial)(_carrier(token), raw)
        if answer is not None:
            return Response(answer, content_type="text/xml; charset=utf-8")
    status, content_type, body = door.adapter.ack(kind)
    return Response(body, status, content_type=content_type)


def _take(token: str, kind: str, *, anew: bool = False) -> tuple[Door, RawRequest]:
    """Verify and store by what this process remembers of the carrier; where that did not do, once more by what the database says now."""
    try:
        door = Door.at(token, anew=anew) or abort(404)
        _taken(door, kind)
        raw = _raw(door)
        genuine = _genuine(door, raw)
        stored = genuine and _store(door, kind, raw, unchanged=not anew)
    except SQLAlchemyError:
        current_app.logger.exception("a carrier's request could not be stored")
        db.session.rollback()
        abort(503)
    if not stored and not anew:
        return _take(token, kind, anew=True)
    if not genuine:
        refusals.note(door.id)
        abort(403)
    return door, raw


def _store(door: Door, kind: str, raw: RawRequest, *, unchanged: bool) -> bool:
    dedupe, problem = _dedupe(door, kind, raw)
    headers = {name: raw.headers[name] for name in KEPT_HEADERS if name in raw.headers}
    with transaction():
        return door.store(kind, dedupe, method=raw.method, url=raw.url, headers=headers, body=raw.body, problem=problem, unchanged=unchanged) is not None


@bp.post("/hooks/sms/<token>/test")
@csrf.exempt
@public
def test(token: str) -> Response:
    """Our own call of this address: 403 unless it is signed like a carrier's; nothing is kept. The answer proves that it was this server."""
    request.max_content_length = MAX_BODY
    carrier = _carrier(token)
    raw = _raw(carrier)
    if not _genuine(carrier, raw):
        abort(403)
    return Response(selftest.proof(current_app.config["SECRET_KEY"], raw.body + raw.url.encode()), content_type="text/plain; charset=utf-8")


def _genuine(carrier: Carrier | Door, raw: RawRequest) -> bool:
    keys = carrier.credentials
    return bool(carrier.adapter.verify(keys, raw, raw.url) and carrier.adapter.meant_for(keys, raw))


def _carrier(token: str) -> Carrier:
    try:
        return Carrier.by_token(token) or abort(404)
    except SQLAlchemyError:
        current_app.logger.exception("the database does not answer a carrier's request")
        db.session.rollback()
        abort(503)


def _taken(door: Door, kind: str) -> None:
    """Only what this kind of carrier sends, the way it sends it."""
    methods = door.adapter.hooks.get(kind) or abort(404)
    if request.method not in methods:
        abort(405, valid_methods=sorted(methods))


def _raw(carrier: Carrier | Door) -> RawRequest:
    """The request as it came, at the address the carrier was given: proxies may have changed ours."""
    query = request.query_string.decode("latin-1")
    url = carrier.public_url.rstrip("/") + request.path + (f"?{query}" if query else "")
    headers = {name.lower(): value for name, value in request.headers.items()}
    return RawRequest(method=request.method, url=url, headers=headers, body=request.get_data())


def _dedupe(door: Door, kind: str, raw: RawRequest) -> tuple[str, str | None]:
    """What makes a repetition of this request the same, and what is wrong with it, if it can't be read."""
    problem = None
    try:
        names = [event.dedupe for event in door.adapter.parse(raw)]
    except Unreadable as error:
        names, problem = [], error.reason
    key = f"{kind}:{'|'.join(names)}" if names else f"{kind}:sha256:{hashlib.sha256(raw.url.encode() + raw.body).hexdigest()}"
    return (key if len(key) <= 200 else f"{kind}:sha256:{hashlib.sha256(key.encode()).hexdigest()}"), problem


def _answer_call(carrier: Carrier, raw: RawRequest) -> bytes:
    """Ring the forwarding number of the inbox, else take a message, else say that texting works; a blocked caller hears a busy line."""
    inbox = _called(carrier, _fields(raw))
    if _blocked(carrier, raw):
        reject: bytes = carrier.adapter.reject_twiml()
        return reject
    if inbox is None or not inbox.forward_to:
        return _take_message(carrier, inbox)
    twiml: bytes = carrier.adapter.forward_twiml(inbox.forward_to, inbox.phone, carrier.hook("dial"), inbox.ring_seconds, carrier.hook("call"))
    return twiml


def _fields(raw: RawRequest) -> dict[str, str]:
    """The form's fields; the first of a repeated one counts."""
    return dict(reversed(raw.form()))


def _after_dial(carrier: Carrier, raw: RawRequest) -> bytes | None:
    """What follows once the forwarding number rang: a message where nobody answered. None where the call is simply over."""
    fields = _fields(raw)
    if fields.get("DialCallStatus") not in UNHEARD:
        return None
    if "ref" in request.args:  # a member called out
        words: bytes = carrier.adapter.greeting_twiml("Nobody answered. Goodbye.")
        return words
    return _take_message(carrier, _called(carrier, fields))


def _called(carrier: Carrier, fields: dict[str, str]) -> Inbox | None:
    """The inbox whose number rings; None when it takes no calls."""
    inbox = db.session.scalar(sa.select(Inbox).where(Inbox.account_id == carrier.account_id, Inbox.phone == fields.get("To", "")))
    return inbox if inbox is not None and inbox.texting.adapter.caps.calls else None


def _blocked(carrier: Carrier, raw: RawRequest) -> bool:
    """Whether nobody wants to hear of who calls; those who hide their number are one contact."""
    try:
        callers = [event.sender or WITHHELD for event in carrier.adapter.parse(raw) if isinstance(event, CallNotice)]
    except Unreadable:
        return False
    blocked = sa.select(Contact.id).where(Contact.account_id == carrier.account_id, Contact.phone.in_(callers), Contact.blocked_at.is_not(None))
    return db.session.scalar(blocked) is not None


def _take_message(carrier: Carrier, inbox: Inbox | None) -> bytes:
    name = carrier.account.name
    twiml: bytes
    if inbox is None or not inbox.voicemail:
        twiml = carrier.adapter.greeting_twiml(f"Thank you for calling {name}. Please send a text to this number, and our team will answer.")
    else:
        twiml = carrier.adapter.voicemail_twiml(inbox.greeting or usual_greeting(name), carrier.hook("recording"))
    return twiml


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
