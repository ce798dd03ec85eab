"""Texts: sending, delivery, receiving and their pictures."""

from __future__ import annotations

import base64
import datetime as dt
import re
import xml.etree.ElementTree as ET
from typing import Any

import httpx
from flask import Blueprint, Response, redirect, request

from .carrier import Carrier
from .clock import rfc2822
from .hooks import Params, client, notify
from .numbers import place_of
from .store import Doc
from .wire import (
    E164,
    TOLL_FREE,
    Refusal,
    carrier,
    classic_page,
    fetch_or_404,
    field,
    listing,
    new_sid,
    ok,
    segments,
    web_address,
)
from .worker import job

bp = Blueprint("messages", __name__, url_prefix="/2010-04-01/Accounts/<account>")

MAX_MEDIA = 10
IMAGE_LIMIT, OTHER_LIMIT = 5_000_000, 500_000
STOP_WORDS = {"STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL"}
START_WORDS = {"START", "YES", "UNSTOP"}
HELP_WORDS = {"HELP", "INFO"}
FICTIONAL = re.compile(r"^\+1\d{3}55501(\d\d)$")
FAILURES = {"50": 30003, "51": 30004, "52": 30005, "53": 30006, "54": 30007, "55": 30008}
MEANINGS = {
    30001: "Queue overflow", 30002: "Account suspended", 30003: "Unreachable destination handset",
    30004: "Message blocked", 30005: "Unknown destination handset", 30006: "Landline or unreachable carrier",
    30007: "Message filtered", 30008: "Unknown error", 30022: "US A2P 10DLC rate limits exceeded",
    30023: "US A2P 10DLC daily message cap reached", 30027: "US A2P 10DLC T-Mobile daily message limit reached",
    30032: "Toll-free number has not been verified", 30034: "US A2P 10DLC message from an unregistered number",
    11751: "Media message exceeds the size limit", 21620: "Invalid media URL",
}
OUTCOMES: dict[str, int] = {"undelivered": 30003, "filtered": 30007}
REPLY_EVERY = 60  # a phone that answers by itself repeats the same words at most once a minute
PIXELS = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)


def account_path(account: str) -> str:
    return f"/2010-04-01/Accounts/{account}"


def new_message(here: Carrier, sid: str, **fields: Any) -> Doc:
    """A Message resource in the shape the API shows."""
    now = rfc2822(here.clock.now())
    path = f"{account_path(here.account_sid)}/Messages/{sid}"
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "messaging_service_sid": None, "from": None, "to": None,
        "body": "", "num_segments": "1", "num_media": "0", "direction": "outbound-api", "status": "queued",
        "error_code": None, "error_message": None, "price": None, "price_unit": "USD", "api_version": "2010-04-01",
        "date_created": now, "date_updated": now, "date_sent": None, "uri": f"{path}.json",
        "subresource_uris": {"media": f"{path}/Media.json"}, "tags": None, "_at": here.clock.now(),
    }
    doc.update(fields)
    return doc


# ── the API ──────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/Messages.json")
def create(account: str) -> Response:
    here = carrier()
    to, sender, service_sid = field("To"), field("From"), field("MessagingServiceSid")
    body, media = request.form.get("Body", ""), [url for url in request.form.getlist("MediaUrl") if url.strip()]
    _check_text(to, body, media)
    status_callback = field("StatusCallback")
    if status_callback:
        web_address(status_callback, 21609, "StatusCallback")
    service = _service(here, service_sid)
    number = _sender(here, sender, service, to)
    send_at = _send_at(here, service)
    _check_reachable(here, number, to)
    via_service = service is not None
    status = "scheduled" if send_at else "accepted" if via_service else "queued"
    doc = new_message(
        here, new_sid("MM" if media else "SM"), to=to, body=body, status=status, num_media=str(len(media)),
        messaging_service_sid=service_sid or None, num_segments="0" if via_service else str(segments(body)),
        **{"from": None if via_service and not sender else number, "_sender": number, "_media_urls": media,
           "_callback": status_callback or (service or {}).get("status_callback") or "", "_service": service_sid},
    )
    _accept(here, doc, send_at)
    return ok(doc, 201)


def _accept(here: Carrier, doc: Doc, send_at: float | None) -> None:
    """Store a new outbound text and note its first step."""
    sid = doc["sid"]
    with here.store.write():
        here.store.add("message", doc)
        if send_at:
            here.schedule("step", sid, send_at, sid=sid, to="queued")
        else:
            first = "queued" if doc["status"] == "accepted" else "sending"
            here.schedule("step", sid, here.clock.now() + 0.02, sid=sid, to=first)


def _check_text(to: str, body: str, media: list[str]) -> None:
    if not to:
        raise Refusal(400, 21604, "A 'To' phone number is required.")
    if not E164.match(to) or (to.startswith("+1") and not re.fullmatch(r"\+1[2-9]\d{2}[2-9]\d{6}", to)):
        raise Refusal(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if not body and not media and not field("ContentSid"):
        raise Refusal(400, 21602, "Message body is required.")
    if len(body) > 1600:
        raise Refusal(400, 21617, "The concatenated message body exceeds the 1600 character limit")
    if len(media) > MAX_MEDIA:
        raise Refusal(400, 21623, "Number of media files exceeds allowed limit")
    for url in media:
        web_address(url, 21620, "media")
    validity = field("ValidityPeriod")
    if validity and not (validity.isdigit() and 1 <= int(validity) <= 36_000):
        raise Refusal(400, 20001, "ValidityPeriod must be between 1 and 36000 seconds")


def _service(here: Carrier, service_sid: str) -> Doc | None:
    if not service_sid:
        return None
    service = here.store.get(service_sid, "service")
    if service is None:
        raise Refusal(400, 21705, "The Messaging Service is invalid")
    return service


def _sender(here: Carrier, sender: str, service: Doc | None, to: str) -> str:
    """The number a text leaves from."""
    if not sender and service is None:
        raise Refusal(400, 21603, "A 'From' phone number or a MessagingServiceSid is required.")
    if service is not None and not sender:
        return _pool_number(here, service, to)
    if not E164.match(sender):
        raise Refusal(400, 21212, f"The 'From' number {sender} is not a valid phone number")
    if here.store.row("SELECT 1 FROM owned WHERE number = ?", sender) is None:
        raise Refusal(
            400, 21606, f"The 'From' phone number provided ({sender}) is not a message-capable number of this account."
        )
    return sender


def _pool_number(here: Carrier, service: Doc, to: str) -> str:
    pool = here.store.rows(
        "SELECT o.number FROM member m JOIN owned o ON o.sid = m.number_sid WHERE m.service_sid = ? ORDER BY o.number",
        service["sid"],
    )
    if not pool:
        raise Refusal(400, 21703, "The Messaging Service does not have a phone number available")
    last = here.store.list("message", where="json_extract(data, '$.to') = ? AND json_extract(data, '$._service') = ?",
                           args=(to, service["sid"]), limit=1, newest_first=True)
    numbers = [row["number"] for row in pool]
    if last and last[0].get("_sender") in numbers:  # sticky sender
        return str(last[0]["_sender"])
    return str(numbers[0])


def _send_at(here: Carrier, service: Doc | None) -> float | None:
    if field("ScheduleType") != "fixed":
        return None
    if service is None:
        raise Refusal(400, 35118, "MessagingServiceSid is required to schedule a message")
    text = field("SendAt")
    if not text:
        raise Refusal(400, 35111, "SendAt is required to schedule a message")
    try:
        moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise Refusal(400, 20001, "SendAt must be an ISO 8601 date") from None
    ahead = moment - here.clock.now()
    if not 15 * 60 <= ahead <= 35 * 86_400:
        raise Refusal(400, 35114, "SendAt must be between 15 minutes and 35 days ahead")
    return moment


def _check_reachable(here: Carrier, number: str, to: str) -> None:
    if _outcome(here, to) == "opted_out" or (here.setting("auto_opt_out") and is_opted_out(here, number, to)):
        raise Refusal(400, 21610, "Attempt to send to unsubscribed recipient")
    if magic(here, to) == "65":
        raise Refusal(400, 21614, f"'To' number is not a valid mobile number: {to}")
    if to == number:
        raise Refusal(400, 21266, "'To' and 'From' number cannot be the same")


def is_opted_out(here: Carrier, number: str, customer: str) -> bool:
    return here.store.row("SELECT 1 FROM opt_out WHERE sender = ? AND customer = ?", number, customer) is not None


def _outcome(here: Carrier, to: str) -> str:
    row = here.store.row("SELECT outcome FROM phone WHERE number = ?", to)
    return str(row["outcome"]) if row else "auto"


def magic(here: Carrier, to: str) -> str:
    """The last two digits of a fictional number, which decide how delivery turns out; "" elsewhere."""
    found = FICTIONAL.match(to)
    return found.group(1) if found and _outcome(here, to) == "auto" else ""


@bp.get("/Messages.json")
def index(account: str) -> Response:
    here = carrier()
    where: list[str] = ["1=1"]
    args: list[Any] = []
    for name, key in (("To", "to"), ("From", "from")):
        if request.args.get(name):
            where.append(f"json_extract(data, '$.{key}') = ?")
            args.append(request.args[name])
    for name, sign in (("DateSent", "="), ("DateSent<", "<="), ("DateSent>", ">=")):
        if request.args.get(name):
            where.append(_date_filter(request.args[name], sign))
            args.extend(_date_bounds(request.args[name], sign))
    lag = here.fault("list_lag", f"GET {request.path}")
    if lag:
        where.append("json_extract(data, '$._at') < ?")
        args.append(here.clock.now() - float(lag.get("seconds", 5)))
    docs, more = listing("message", where=" AND ".join(where), args=tuple(args))
    return classic_page("messages", docs, more)


def _moment(text: str) -> tuple[float, bool]:
    """A date or a moment, and whether it was only a date."""
    try:
        parsed = dt.datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise Refusal(400, 20001, "DateSent must be a date") from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=dt.UTC)
    return parsed.timestamp(), len(text.strip()) <= 10


def _date_filter(text: str, sign: str) -> str:
    column = "json_extract(data, '$._at')"
    return f"({column} >= ? AND {column} < ?)" if sign == "=" else f"({column} {sign[0]} ?)"


def _date_bounds(text: str, sign: str) -> list[float]:
    moment, whole_day = _moment(text)
    if sign == "=":
        return [moment, moment + 86_400] if whole_day else [moment, moment + 1]
    return [moment + (86_400 if whole_day else 1)] if sign == "<=" else [moment - 0.000_001]


@bp.get("/Messages/<sid>.json")
def show(account: str, sid: str) -> Response:
    return ok(fetch_or_404(sid, "message"))


@bp.post("/Messages/<sid>.json")
def update(account: str, sid: str) -> Response:
    here = carrier()
    with here.store.write():
        doc = fetch_or_404(sid, "message")
        if field("Status") == "canceled":
            if doc["status"] != "scheduled":
                raise Refusal(400, 30409, "Only a scheduled message can be canceled")
            doc = here.store.change(sid, status="canceled", date_updated=rfc2822(here.clock.now())) or doc
            _report(here, doc, here.clock.now())
        elif "Body" in request.form:
            if request.form["Body"] != "":
                raise Refusal(400, 20001, "Body can only be emptied")
            if doc["status"] in ("queued", "sending", "accepted", "scheduled"):
                raise Refusal(400, 20009, "The message is still on its way and cannot be redacted")
            doc = here.store.change(sid, body="", date_updated=rfc2822(here.clock.now())) or doc
    return ok(doc)


@bp.delete("/Messages/<sid>.json")
def delete(account: str, sid: str) -> tuple[str, int]:
    here = carrier()
    with here.store.write():
        doc = fetch_or_404(sid, "message")
        if doc["status"] in ("queued", "sending", "accepted"):
            raise Refusal(409, 20009, "Cannot delete a message that is still on its way")
        here.store.remove(sid)
    return "", 204


@bp.get("/Messages/<sid>/Media.json")
def media_index(account: str, sid: str) -> Response:
    fetch_or_404(sid, "message")
    docs, more = listing("media", sid, newest_first=False)
    return classic_page("media_list", docs, more)


@bp.get("/Messages/<sid>/Media/<media>.json")
def media_show(account: str, sid: str, media: str) -> Response:
    doc = fetch_or_404(media, "media")
    if doc["parent_sid"] != sid:
        raise Refusal(404, 20404, "The requested media was not found")
    return ok(doc)


@bp.delete("/Messages/<sid>/Media/<media>.json")
def media_delete(account: str, sid: str, media: str) -> tuple[str, int]:
    here = carrier()
    fetch_or_404(media, "media")
    here.store.remove(media)
    with here.store.write() as db:
        db.execute("DELETE FROM blob WHERE sid = ?", (media,))
    return "", 204


@bp.get("/Messages/<sid>/Media/<media>")
def media_bytes(account: str, sid: str, media: str) -> Response:
    """The stored bytes, or a redirect to storage (as the real host answers) when that is switched on."""
    here = carrier()
    if here.setting("media_redirect"):
        return redirect(f"{here.base_url}/storage/{media}", 307)  # type: ignore[return-value]
    return stored(here, media)


def stored(here: Carrier, media: str) -> Response:
    found = here.store.blob(media)
    if found is None or here.fault("media_404", media):
        raise Refusal(404, 20404, "The requested media was not found")
    content_type, body = found
    slow = here.fault("media_slow", media)
    if slow:
        here.pause(float(slow.get("seconds", 5)))
    huge = here.fault("media_huge", media)
    if huge:
        body = b"\0" * int(huge.get("bytes", 30_000_000))
    wrong = here.fault("media_type", media)
    if wrong:
        content_type = str(wrong.get("content_type", "text/html"))
    return Response(body, content_type=content_type, headers={"X-Content-Type-Options": "nosniff"})


# ── delivery ─────────────────────────────────────────────────────────────────────────────────────────────────────


@job
def step(here: Carrier, at: float, sid: str, to: str, code: int | None = None) -> None:
    """Move a text on by one status, tell the app, and note the next step."""
    doc = here.store.get(sid, "message")
    if doc is None or doc["status"] in ("canceled", "failed", "undelivered") or (
        doc["status"] == "delivered" and to != "sent"
    ):
        return
    if to == "queued":
        _set_status(here, doc, "queued", at)
        here.schedule("step", sid, at + 0.03, sid=sid, to="sending")
    elif to == "sending":
        _start_sending(here, doc, at)
    elif to == "sent":
        _sent(here, doc, at)
    else:
        doc = _set_status(here, doc, to, at, code)
        if to == "delivered":
            _arrived(here, doc, at)


def _set_status(
    here: Carrier, doc: Doc, status: str, at: float, code: int | None = None
) -> Doc:
    fields: Doc = {"status": status, "date_updated": rfc2822(at)}
    if status == "sent":
        fields["date_sent"] = rfc2822(at)
    if code:
        fields |= {"error_code": code, "error_message": MEANINGS.get(code, "Unknown error")}
    with here.store.write():
        doc = here.store.change(doc["sid"], **fields) or doc
        _report(here, doc, at)
    return doc


def _report(here: Carrier, doc: Doc, at: float) -> None:
    """Queue the status callback for a text's present status."""
    url = doc.get("_callback") or ""
    event = f"message.{doc['status']}"
    if not url or here.fault("missing_receipt", event):
        return
    notify(here, url, receipt(here, doc, at), event=event, sid=doc["sid"], lane=doc["sid"], at=at,
           twice=magic(here, doc["to"]) == "58")


def receipt(here: Carrier, doc: Doc, at: float) -> Params:
    """The parameters of a status callback."""
    params: Params = [
        ("MessageSid", doc["sid"]), ("SmsSid", doc["sid"]), ("AccountSid", here.account_sid),
        ("From", doc.get("_sender") or doc["from"]), ("To", doc["to"]), ("MessageStatus", doc["status"]),
        ("SmsStatus", doc["status"]), ("ApiVersion", "2010-04-01"),
    ]
    if doc.get("messaging_service_sid"):
        params.append(("MessagingServiceSid", doc["messaging_service_sid"]))
    if doc.get("error_code"):
        params += [("ErrorCode", str(doc["error_code"])), ("ErrorMessage", doc["error_message"])]
    if doc["status"] in ("delivered", "undelivered"):
        params.append(("RawDlrDate", dt.datetime.fromtimestamp(at, dt.UTC).strftime("%y%m%d%H%M")))
    return params


def _start_sending(here: Carrier, doc: Doc, at: float) -> None:
    if _outcome(here, doc["to"]) == "slow" and not doc.get("_waited"):
        here.store.change(doc["sid"], _waited=True)
        here.schedule("step", doc["sid"], at + 60, sid=doc["sid"], to="sending")
        return
    if magic(here, doc["to"]) == "70" and not doc.get("_waited"):
        here.store.change(doc["sid"], _waited=True)
        here.schedule("step", doc["sid"], at + 30, sid=doc["sid"], to="sending")
        return
    sender = doc["_sender"]
    count = str(segments(doc["body"]) if not doc["_media_urls"] else 1)
    with here.store.write():
        here.store.change(doc["sid"], num_segments=count, **{"from": sender})
        doc = _set_status(here, here.store.get(doc["sid"]) or doc, "sending", at)
    problem = _collect_media(here, doc) or _blocked(here, sender, doc["to"])
    sid = doc["sid"]
    if problem in (21620, 11751):
        here.schedule("step", sid, at + 0.1, sid=sid, to="failed", code=problem)
    elif problem:
        here.schedule("step", sid, at + here.setting("sent_after"), sid=sid, to="undelivered", code=problem)
    elif magic(here, doc["to"]) == "59" or here.fault("out_of_order", sid):
        here.schedule("step", sid, at + here.setting("sent_after"), sid=sid, to="delivered")
        here.schedule("late_sent", sid, at + here.setting("delivered_after"), sid=sid)
    else:
        here.schedule("step", sid, at + here.setting("sent_after"), sid=sid, to="sent")


def _sent(here: Carrier, doc: Doc, at: float) -> None:
    sid, digits = doc["sid"], magic(here, doc["to"])
    _set_status(here, doc, "sent", at)
    wait = max(0.0, here.setting("delivered_after") - here.setting("sent_after"))
    fault = here.fault("carrier_error", doc["to"])
    code = int(fault.get("code", 30008)) if fault else FAILURES.get(digits) or OUTCOMES.get(_outcome(here, doc["to"]))
    if code:
        here.schedule("step", sid, at + wait, sid=sid, to="undelivered", code=code)
    elif digits == "56":
        return
    else:
        here.schedule("step", sid, at + (7_200 if digits == "57" else wait), sid=sid, to="delivered")


@job
def late_sent(here: Carrier, at: float, sid: str) -> None:
    """A `sent` receipt that comes after `delivered`; the text itself stays delivered."""
    doc = here.store.get(sid, "message")
    if doc is not None:
        _report(here, {**doc, "status": "sent"}, at)


def _blocked(here: Carrier, sender: str, to: str) -> int | None:
    """10DLC: United States carriers take texts from registered numbers only."""
    if not to.startswith("+1") or not here.setting("require_registration"):
        return None
    if TOLL_FREE.match(sender):
        done = here.store.list("tollfree", where="json_extract(data, '$._number') = ? AND json_extract(data,"
                               " '$.status') = 'TWILIO_APPROVED'", args=(sender,), limit=1)
        return None if done else 30032
    return None if is_registered(here, sender) else 30034


def is_registered(here: Carrier, number: str) -> bool:
    """Whether a number's Messaging Service carries a verified campaign."""
    row = here.store.row(
        "SELECT 1 FROM owned o JOIN member m ON m.number_sid = o.sid JOIN doc c ON c.kind = 'campaign'"
        " AND c.parent = m.service_sid WHERE o.number = ? AND json_extract(c.data, '$.campaign_status') = 'VERIFIED'",
        number,
    )
    return row is not None


def _collect_media(here: Carrier, doc: Doc) -> int | None:
    """Fetch an outbound text's pictures from the app; the error number when that fails."""
    for url in doc["_media_urls"]:
        try:
            with client() as http, http.stream("GET", url) as answer:
                if answer.status_code >= 400:
                    return 21620
                content_type = answer.headers.get("content-type", "application/octet-stream").split(";")[0]
                limit = IMAGE_LIMIT if content_type in ("image/jpeg", "image/png", "image/gif") else OTHER_LIMIT
                body = b""
                for chunk in answer.iter_bytes():
                    body += chunk
                    if len(body) > limit:
                        return 11751
        except (httpx.HTTPError, httpx.InvalidURL):
            return 21620
        add_media(here, doc["sid"], content_type, body)
    return None


def add_media(here: Carrier, parent: str, content_type: str, body: bytes) -> Doc:
    sid, now = new_sid("ME"), rfc2822(here.clock.now())
    with here.store.write():
        here.store.save_blob(sid, content_type, body)
        return here.store.add("media", {
            "sid": sid, "account_sid": here.account_sid, "parent_sid": parent, "content_type": content_type,
            "date_created": now, "date_updated": now,
            "uri": f"{account_path(here.account_sid)}/Messages/{parent}/Media/{sid}.json",
        }, parent)


def _arrived(here: Carrier, doc: Doc, at: float) -> None:
    """The handset has the text: another inbox number receives it, a magic phone answers."""
    sender, customer = doc["_sender"], doc["to"]
    if here.store.row("SELECT 1 FROM owned WHERE number = ?", customer):
        media = [here.store.blob(item["sid"]) for item in here.store.list("media", doc["sid"])]
        receive(here, sender, customer, doc["body"], [item for item in media if item], at)
        return
    replies: dict[str, list[tuple[str, bool]]] = {
        "60": [("Thanks!", False)], "61": [("STOP", False)], "62": [("Here is a picture", True)],
        "63": [("First of all, thank you.", False), ("Second, I will be there at 10.", False),
               ("And third, is parking free?", False)],
        "64": [("👍🏽👨‍👩‍👧‍👦 نعم، شكراً لكم ✨", False)],
    }
    for place, (text, picture) in enumerate(replies.get(magic(here, customer), [])):
        if not _just_said(here, customer, sender, text, at):
            here.schedule("reply", f"{customer}>{sender}", at + 1 + place * 0.3, phone=customer, number=sender,
                          body=text, picture=picture)


def _just_said(here: Carrier, customer: str, number: str, text: str, at: float) -> bool:
    """Keeps a phone that answers by itself and an app that answers by itself from talking for ever."""
    last = here.store.list(
        "message", where="json_extract(data, '$.from') = ? AND json_extract(data, '$.to') = ? AND"
        " json_extract(data, '$.body') = ? AND json_extract(data, '$._at') > ?",
        args=(customer, number, text, at - REPLY_EVERY), limit=1,
    )
    return bool(last)


@job
def reply(here: Carrier, at: float, phone: str, number: str, body: str, picture: bool) -> None:
    receive(here, phone, number, body, [("image/png", PIXELS)] if picture else [], at)


# ── receiving ────────────────────────────────────────────────────────────────────────────────────────────────────


def receive(
    here: Carrier, sender: str, number: str, body: str, media: list[tuple[str, bytes]], at: float | None = None,
    extra: Params | None = None,
) -> Doc:
    """A customer's text to one of the account's numbers: stored, then posted to the app."""
    at = here.clock.now() if at is None else at
    owned = here.store.row("SELECT sid FROM owned WHERE number = ?", number)
    service = _service_of(here, owned["sid"]) if owned else None
    sid = new_sid("MM" if media else "SM")
    with here.store.write():
        doc = here.store.add("message", new_message(
            here, sid, body=body, to=number, direction="inbound", status="received", num_media=str(len(media)),
            num_segments=str(segments(body)), messaging_service_sid=service["sid"] if service else None,
            **{"from": sender, "_sender": sender, "date_sent": rfc2822(at), "_at": at},
        ))
        stored_media = [add_media(here, sid, content_type, blob) for content_type, blob in media]
    kind = _handle_keyword(here, sender, number, body, service)
    params = _inbound_params(here, doc, stored_media, kind if service else "") + (extra or [])
    _deliver_inbound(here, doc, owned["sid"] if owned else "", service, params, at)
    return doc


def _service_of(here: Carrier, number_sid: str) -> Doc | None:
    row = here.store.row("SELECT service_sid FROM member WHERE number_sid = ?", number_sid)
    return here.store.get(row["service_sid"], "service") if row else None


def _handle_keyword(here: Carrier, sender: str, number: str, body: str, service: Doc | None) -> str:
    """With automatic handling on, keep the opt-out list and answer; the kind of keyword or ""."""
    word = body.strip().upper()
    kind = "STOP" if word in STOP_WORDS else "START" if word in START_WORDS else "HELP" if word in HELP_WORDS else ""
    if not kind or not here.setting("auto_opt_out"):
        return ""
    answers = {
        "STOP": "You have successfully been unsubscribed. You will not receive any more messages from this number."
                " Reply START to resubscribe.",
        "START": "You have successfully been re-subscribed to messages from this number. Reply HELP for help."
                 " Reply STOP to unsubscribe.",
        "HELP": "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
    }
    with here.store.write() as db:
        if kind == "STOP":
            db.execute("INSERT OR IGNORE INTO opt_out (sender, customer) VALUES (?, ?)", (number, sender))
        elif kind == "START":
            db.execute("DELETE FROM opt_out WHERE sender = ? AND customer = ?", (number, sender))
    _send_from_carrier(here, number, sender, answers[kind], [])
    return kind


def _send_from_carrier(here: Carrier, number: str, to: str, body: str, media: list[str]) -> None:
    _accept(here, new_message(
        here, new_sid("MM" if media else "SM"), to=to, body=body, direction="outbound-reply",
        num_media=str(len(media)), **{"from": number, "_sender": number, "_media_urls": media, "_callback": "",
                                      "_service": ""},
    ), None)


def _inbound_params(here: Carrier, doc: Doc, media: list[Doc], opt_out: str) -> Params:
    sid = doc["sid"]
    params: Params = [
        ("ToCountry", "US"), ("MessageSid", sid), ("SmsSid", sid), ("SmsMessageSid", sid),
        ("AccountSid", here.account_sid), ("From", doc["from"]), ("To", doc["to"]), ("Body", doc["body"]),
        ("NumMedia", doc["num_media"]), ("NumSegments", doc["num_segments"]), ("SmsStatus", "received"),
        ("ApiVersion", "2010-04-01"), ("FromCountry", "US" if doc["from"].startswith("+1") else ""),
    ]
    for side, number in (("From", doc["from"]), ("To", doc["to"])):
        place = place_of(number)
        params += [(f"{side}City", place.city.upper() if place else ""), (f"{side}State", place.state if place else ""),
                   (f"{side}Zip", "")]
    if doc["messaging_service_sid"]:
        params.append(("MessagingServiceSid", doc["messaging_service_sid"]))
    if opt_out:
        params.append(("OptOutType", opt_out))
    for place_, item in enumerate(media):
        url = f"{here.base_url}{item['uri'].removesuffix('.json')}"
        params += [(f"MediaUrl{place_}", url), (f"MediaContentType{place_}", item["content_type"])]
    return params


def _deliver_inbound(
    here: Carrier, doc: Doc, number_sid: str, service: Doc | None, params: Params, at: float
) -> None:
    number = here.store.get(number_sid, "number") if number_sid else None
    if service and not service.get("use_inbound_webhook_on_number"):
        url, fallback = service.get("inbound_request_url") or "", service.get("fallback_url") or ""
        why = "the Messaging Service has no InboundRequestUrl"
    else:
        url, fallback = (number or {}).get("sms_url") or "", (number or {}).get("sms_fallback_url") or ""
        why = "the number has no SmsUrl" if number else "the number is not owned by this account"
    if not url:
        here.log("message.received", doc["sid"], url="", params=dict(params), status=None, attempt=0,
                 answer=f"not posted: {why}")
        return
    lane = f"{doc['from']}>{doc['to']}"
    notify(here, url, params, event="message.received", sid=doc["sid"], lane=lane, at=at, fallback=fallback,
           then="twiml_reply", then_args={"sid": doc["sid"]})


@job
def twiml_reply(here: Carrier, at: float, sid: str, answer: str, content_type: str) -> None:
    """Carry out <Message> in the app's answer to an inbound text."""
    doc = here.store.get(sid, "message")
    if doc is None or not answer.strip():
        return
    if "xml" not in content_type and "text/plain" not in content_type:
        here.log("webhook.warning", sid, status=None, attempt=0, error=12300,
                 answer=f"12300: the answer's content type {content_type} is not XML")
        return
    if "text/plain" in content_type:
        _send_from_carrier(here, doc["to"], doc["from"], answer.strip()[:1600], [])
        return
    root = parse_twiml(answer)
    if root is None:
        here.log("webhook.warning", sid, status=None, attempt=0, error=12100, answer="12100: the answer is not TwiML")
        return
    for message in root.iter("Message"):
        body = message.findtext("Body") or (message.text or "")
        media = [(item.text or "").strip() for item in message.findall("Media")]
        _send_from_carrier(here, message.get("from") or doc["to"], message.get("to") or doc["from"], body.strip(),
                           [url for url in media if url])


def parse_twiml(text: str) -> ET.Element | None:
    """The <Response> of a TwiML document; None when it is something else."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314 - entities were refused above
    except ET.ParseError:
        return None
    return root if root.tag == "Response" else None
