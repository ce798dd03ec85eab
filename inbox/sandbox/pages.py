"""The phone simulator: a customer's handset beside the switches that decide what the carrier does."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, current_app, jsonify, make_response, redirect, render_template, request

from . import registration
from .carrier import Carrier
from .control import HUES, add_phone, change_settings, fault, number, set_outcome
from .guard import check_peer
from .messages import MEANINGS, is_registered, receive
from .numbers import friendly, place_of
from .store import Doc
from .voice import MESSAGES, pick_up, ring, ringing_at
from .voice import OUTCOMES as CALL_OUTCOMES
from .wire import E164, Refusal, carrier

bp = Blueprint("pages", __name__)
bp.before_request(check_peer)

PICTURES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
MAX_PICTURE = 5_000_000
THREAD_LENGTH = 80
OUTCOME_CHOICES = (
    ("auto", "By number", "The last two digits decide"),
    ("delivered", "Delivered", "Queued, sent, delivered in a second"),
    ("slow", "Slow", "Stays queued for 60 s"),
    ("undelivered", "Undelivered", "Error 30003, handset unreachable"),
    ("filtered", "Filtered", "Error 30007, carrier violation"),
    ("opted_out", "Opted out", "Error 21610, customer sent STOP"),
)
FAULT_CHOICES = (
    ("429", "Next request: too many requests"), ("500", "Next request: server error"),
    ("500_after", "Next request: accepted, then server error"), ("list_lag", "Next list leaves out the newest"),
    ("timeout", "Next request: accepted, no answer"), ("drop", "Next request: connection drops"),
    ("duplicate_webhook", "Next webhook twice"), ("wrong_signature", "Next webhook with a wrong signature"),
    ("extra_params", "Next webhook with unknown fields"), ("missing_receipt", "Next receipt goes missing"),
    ("out_of_order", "Next receipts out of order"), ("early_receipt", "Next receipt before the answer"),
    ("carrier_error", "Next text fails: daily limit (30023)"), ("number_taken", "Next purchase: number gone"),
    ("media_404", "Next picture is missing"), ("media_huge", "Next picture is huge"),
)
CLOCK_CHOICES = (("60", "1 minute"), ("3600", "1 hour"), ("86400", "1 day"), ("1209600", "2 weeks"))
MESSAGE_CHOICES = tuple((seconds, f"{seconds} s message" if seconds else "Hangs up") for seconds in MESSAGES)
CALL_WORDS = {"completed": "Picked up", "no-answer": "No answer", "busy": "Busy", "failed": "Failed"}
OK_STATES = {"APPROVED", "VERIFIED", "twilio-approved", "TWILIO_APPROVED"}
BAD_STATES = {"FAILED", "SUSPENDED", "twilio-rejected", "TWILIO_REJECTED"}
EMOJI = ["😀", "😂", "😍", "🙏", "👍", "❤️", "🎉", "😢", "🐶", "🐱", "✅", "🔥"]


# ── what the page shows ──────────────────────────────────────────────────────────────────────────────────────────


def _phones(here: Carrier) -> list[Doc]:
    return [dict(row) | {"initials": _initials(row["name"]), "tel": friendly(row["number"])}
            for row in here.store.rows("SELECT * FROM phone ORDER BY rowid")]


def _initials(name: str) -> str:
    words = [word for word in name.split() if word[:1].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "#"


def _numbers(here: Carrier) -> list[Doc]:
    found = []
    for place_in_list, doc in enumerate(here.store.list("number")):
        place = place_of(doc["phone_number"])
        name = doc["friendly_name"] if doc["friendly_name"] != friendly(doc["phone_number"]) else ""
        found.append({
            "number": doc["phone_number"], "tel": friendly(doc["phone_number"]), "name": name,
            "place": f"{place.city}, {place.state}" if place else "Toll-free",
            "hue": HUES[(place_in_list + 4) % len(HUES)],
            "registered": is_registered(here, doc["phone_number"]),
        })
    return found


def _chosen(items: list[Doc], wanted: str) -> Doc | None:
    return next((item for item in items if item["number"] == wanted), items[0] if items else None)


def _clock_text(moment: float, with_date: bool = False) -> str:
    local = dt.datetime.fromtimestamp(moment)
    text = f"{local.hour % 12 or 12}:{local.minute:02d}"
    return f"{local:%a} {local.day} {local:%b}, {text} {'AM' if local.hour < 12 else 'PM'}" if with_date else text


def _thread(here: Carrier, phone: str, inbox: str) -> list[Doc]:
    """The texts and calls between a customer and an inbox number, oldest first."""
    both = "(json_extract(data, '$.from') = ? AND json_extract(data, '$.to') = ?)"
    texts = here.store.list("message", where=f"({both} OR (json_extract(data, '$._sender') = ? AND"
                            " json_extract(data, '$.to') = ?))", args=(phone, inbox, inbox, phone),
                            limit=THREAD_LENGTH, newest_first=True)
    calls = here.store.list("call", where=f"({both} OR {both})", args=(phone, inbox, inbox, phone), limit=20,
                            newest_first=True)
    items = [_text_item(here, doc, phone) for doc in texts] + [
        {"kind": "call", "at": doc["_at"], "status": doc["status"], "story": doc["_story"]} for doc in calls
    ]
    return sorted(items, key=lambda item: item["at"])


def _ringing(here: Carrier, phone: Doc | None) -> Doc | None:
    """The call that rings at the chosen phone."""
    doc = ringing_at(here, phone["number"]) if phone else None
    return doc and doc | {"tel": friendly(doc["from"])}


def _text_item(here: Carrier, doc: Doc, phone: str) -> Doc:
    pictures = [item["sid"] for item in here.store.list("media", doc["sid"])
                if item["content_type"] in PICTURES] if doc["num_media"] != "0" else []
    code = doc["error_code"]
    return {
        "kind": "text", "mine": doc["from"] == phone, "body": doc["body"], "pictures": pictures, "at": doc["_at"],
        "status": doc["status"], "code": code, "meaning": MEANINGS.get(code, "") if code else "",
    }


def _log(here: Carrier) -> list[Doc]:
    rows = here.log_rows(50)
    for row in rows:
        moment = dt.datetime.fromtimestamp(row["at"])
        row["time"] = f"{moment.hour % 12 or 12}:{moment:%M:%S}"
        status = row.get("status")
        row["tone"] = "ok" if status and status < 400 else "warn" if row.get("attempt") == 0 else "bad"
        row["shown"] = status or ("skipped" if row.get("attempt") == 0 else "no answer")
        row["path"] = urlsplit(row.get("url") or "").path
    return rows


def _registrations(here: Carrier) -> list[Doc]:
    found = registration.registrations(here)
    for item in found:
        status = item["status"]
        item["tone"] = "ok" if status in OK_STATES else "bad" if status in BAD_STATES else "warn"
        item["shown"] = status.removeprefix("twilio-").removeprefix("TWILIO_").replace("_", " ").replace("-", " ")
        item["shown"] = item["shown"].capitalize()
    return found


def _view() -> dict[str, Any]:
    here = carrier()
    phones, inboxes = _phones(here), _numbers(here)
    phone = _chosen(phones, request.values.get("phone", ""))
    inbox = _chosen(inboxes, request.values.get("number", ""))
    now, speed = here.clock.now(), here.clock.speed
    return {
        "phones": phones, "numbers": inboxes, "phone": phone, "inbox": inbox,
        "thread": _thread(here, phone["number"], inbox["number"]) if phone and inbox else [],
        "ringing": _ringing(here, phone), "messages": MESSAGE_CHOICES, "log": _log(here), "registrations": _registrations(here), "faults": here.faults(),
        "fault_names": dict(FAULT_CHOICES), "fault_choices": FAULT_CHOICES, "clock_choices": CLOCK_CHOICES,
        "outcomes": OUTCOME_CHOICES, "call_words": CALL_WORDS, "emoji": EMOJI, "settings": here.settings(),
        "time": _clock_text(now), "date": _clock_text(now, with_date=True), "speed": speed,
        "product_url": os.environ.get("PUBLIC_URL") or f"http://localhost:{os.environ.get('PORT') or '8000'}",
        "note": request.args.get("note", "")[:200], "theme": request.args.get("theme", ""),
    }


@bp.get("/")
def index() -> Response:
    return make_response(render_template("sandbox/index.html", **_view()))


@bp.get("/live")
def live() -> Response:
    """The parts of the page that change by themselves, for the poll."""
    view = _view()
    parts = {name: render_template(f"sandbox/_{name}.html", **view)
             for name in ("ringing", "thread", "log", "registrations", "clock", "faults", "nav")}
    return jsonify({"parts": parts, "time": view["time"]})


@bp.get("/picture/<sid>")
def picture(sid: str) -> Response:
    """A picture of the thread for the page itself, which has no carrier credentials."""
    found = carrier().store.blob(sid)
    if found is None or found[0] not in PICTURES:
        raise Refusal(404, 20404, "There is no such picture.")
    return Response(found[1], content_type=found[0], headers={"Content-Security-Policy": "default-src 'none'; sandbox"})


def problem(status: int, message: str) -> Response:
    """A refusal as a page, or as JSON for the script."""
    if request.headers.get("Accept", "").startswith("application/json"):
        response = jsonify({"message": message})
    else:
        response = make_response(render_template("sandbox/problem.html", message=message, theme=""))
    response.status_code = status
    return response


# ── what the page's forms do ─────────────────────────────────────────────────────────────────────────────────────


def _back(note: str = "") -> Response:
    """To the page again, with the same phone and number; the script only wants to know that it worked."""
    if request.headers.get("Accept", "").startswith("application/json"):
        return jsonify({"note": note})
    query = {key: request.form[key] for key in ("phone", "number") if request.form.get(key)}
    if note:
        query["note"] = note
    response: Any = redirect(f"/?{urlencode(query)}" if query else "/", 303)
    made: Response = response
    return made


def _pair() -> tuple[str, str]:
    phone, inbox = request.form.get("phone", ""), request.form.get("number", "")
    if not E164.match(phone) or not E164.match(inbox):
        raise Refusal(400, 20001, "Choose a customer phone and an inbox number first.")
    return phone, inbox


@bp.post("/say")
def say() -> Response:
    phone, inbox = _pair()
    body = request.form.get("quick") or request.form.get("body", "")
    pictures = []
    for upload in request.files.getlist("pictures"):
        if not upload.filename:
            continue
        content = upload.read(MAX_PICTURE + 1)
        if len(content) > MAX_PICTURE:
            raise Refusal(413, 20001, f"{upload.filename} is larger than 5 MB.")
        if (upload.mimetype or "") not in PICTURES:
            raise Refusal(400, 20001, f"{upload.filename} is not a JPEG, PNG, GIF or WebP picture.")
        pictures.append((upload.mimetype or "image/jpeg", content))
    if len(pictures) > 10:
        raise Refusal(400, 20001, "A text carries ten pictures at most.")
    if request.form.get("photo"):
        pictures.append(("image/png", sample_photo(current_app.root_path)))
    if not body.strip() and not pictures:
        raise Refusal(400, 20001, "Write something or add a picture.")
    if len(body) > 1600:
        raise Refusal(400, 20001, "A text has 1,600 characters at most.")
    receive(carrier(), phone, inbox, body.replace("\r\n", "\n"), pictures)
    return _back()


def sample_photo(root: str) -> bytes:
    with open(os.path.join(root, "static", "photo.png"), "rb") as held:
        return held.read()


@bp.post("/ring")
def ring_up() -> Response:
    phone, inbox = _pair()
    outcome = request.form.get("outcome", "completed")
    if outcome not in CALL_OUTCOMES:
        raise Refusal(400, 20001, "Choose how the call ends.")
    message = request.form.get("message", "1")
    if message not in map(str, MESSAGES):
        raise Refusal(400, 20001, "Choose how long the message is.")
    ring(carrier(), phone, inbox, outcome, int(message))
    return _back()


@bp.post("/pick-up")
def pick() -> Response:
    if not pick_up(carrier(), request.form.get("ring", ""), request.form.get("answer") == "1"):
        raise Refusal(404, 20404, "That phone does not ring any more.")
    return _back()


@bp.post("/outcome")
def outcome() -> Response:
    set_outcome(carrier(), request.form.get("phone", ""), request.form.get("outcome", ""))
    return _back()


@bp.post("/phones")
def new_phone() -> Response:
    made = add_phone(carrier(), request.form.get("name", ""), area=request.form.get("area", "").strip())
    query = {"phone": made["number"], "number": request.form.get("number", "")}
    response: Any = redirect(f"/?{urlencode(query)}", 303)
    result: Response = response
    return result


@bp.post("/registration")
def decide() -> Response:
    verdicts = {"approve": registration.approve, "reject": registration.reject, "advance": registration.advance}
    act = verdicts.get(request.form.get("verdict", ""))
    if act is None or not act(carrier(), request.form.get("sid", "")):
        raise Refusal(404, 20404, "There is no such registration.")
    return _back()


@bp.post("/time")
def clock() -> Response:
    here = carrier()
    if request.form.get("advance"):
        here.clock.advance(number(request.form["advance"], "advance"))
    elif request.form.get("speed"):
        here.clock.run(number(request.form["speed"], "speed"))
    here.wake.set()
    return _back()


@bp.post("/faults")
def faults() -> Response:
    here = carrier()
    if request.form.get("clear"):
        here.clear_faults()
        return _back("Faults cleared.")
    kind = request.form.get("kind", "")
    data: Doc = {"kind": kind, "count": 1}
    if kind == "carrier_error":
        data["code"] = 30023
    fault(here, data)
    return _back()


@bp.post("/options")
def options() -> Response:
    """The carrier's switches; a box that is not ticked is not sent."""
    wanted: Doc = {"review": request.form.get("review", "minutes")}
    for key in ("auto_opt_out", "require_registration", "answer_by_hand"):
        wanted[key] = request.form.get(key) == "1"
    change_settings(carrier(), wanted)
    return _back("Saved.")
