"""The control plane: play the customer, bend the clock, break things and look inside."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request

from . import registration
from .carrier import DEFAULTS, REVIEW_SECONDS, Carrier
from .clock import iso
from .guard import check_peer
from .messages import PIXELS, receive
from .store import Doc
from .voice import OUTCOMES as CALL_OUTCOMES
from .voice import pick_up, ring, ringing_at
from .wire import E164, Refusal, carrier

bp = Blueprint("control", __name__, url_prefix="/__sim")
bp.before_request(check_peer)

FAULTS = {
    "latency", "429", "500", "500_after", "list_lag", "timeout", "drop", "api_error", "number_taken", "carrier_error", "early_receipt",
    "duplicate_webhook", "out_of_order", "missing_receipt", "wrong_signature", "extra_params", "webhook_latency",
    "media_404", "media_huge", "media_type", "media_slow",
}
PHONE_OUTCOMES = ("auto", "delivered", "slow", "undelivered", "filtered", "opted_out")
HUES = ("pink", "blue", "violet", "orange", "teal", "green", "amber", "red", "lime", "slate")


def body() -> Doc:
    found = request.get_json(silent=True)
    if not isinstance(found, dict):
        raise Refusal(400, 20001, "The body must be a JSON object")
    return found


def number(value: Any, name: str, low: float = 0.0) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise Refusal(400, 20001, f"{name} must be a number") from None
    if not low <= found < 1e10:
        raise Refusal(400, 20001, f"{name} must be {low:g} or more")
    return found


def phone_number(value: Any, name: str) -> str:
    text = str(value or "")
    if not E164.match(text):
        raise Refusal(400, 20001, f"{name} must be a phone number like +14155550101")
    return text


# ── the customer ─────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/inbound")
def inbound() -> Response:
    here, data = carrier(), body()
    media = [_picture(item) for item in data.get("media") or []]
    text = str(data.get("body") or "")
    if len(media) > 10:
        raise Refusal(400, 20001, "A text carries ten pictures at most")
    if not text and not media:
        raise Refusal(400, 20001, "Write something or add a picture")
    extra = [(str(key), str(value)) for key, value in (data.get("params") or {}).items()]
    doc = receive(here, phone_number(data.get("from"), "from"), phone_number(data.get("to"), "to"), text, media,
                  extra=extra)
    return jsonify({"sid": doc["sid"]})


def _picture(item: Any) -> tuple[str, bytes]:
    """A picture given as {"content_type", "data": base64} or {} for a tiny sample."""
    if not isinstance(item, dict):
        raise Refusal(400, 20001, "Every medium is an object with content_type and data")
    if "data" not in item:
        return str(item.get("content_type") or "image/png"), PIXELS
    try:
        return str(item.get("content_type") or "image/jpeg"), base64.b64decode(str(item["data"]), validate=True)
    except (binascii.Error, ValueError):
        raise Refusal(400, 20001, "data must be base64") from None


@bp.post("/call")
def call() -> Response:
    here, data = carrier(), body()
    outcome = str(data.get("outcome") or here.setting("call_outcome"))
    if outcome not in CALL_OUTCOMES:
        raise Refusal(400, 20001, f"outcome must be one of {', '.join(CALL_OUTCOMES)}")
    message = int(number(data.get("message", 1), "message"))
    doc = ring(here, phone_number(data.get("from"), "from"), phone_number(data.get("to"), "to"), outcome, message)
    return jsonify({"sid": doc["sid"]})


@bp.post("/pick-up")
def pick() -> Response:
    """Answer or decline what rings at a phone: {"phone": "+1…", "answer": true}."""
    here, data = carrier(), body()
    doc = ringing_at(here, phone_number(data.get("phone"), "phone"))
    if doc is None or not pick_up(here, doc["sid"], bool(data.get("answer"))):
        raise Refusal(404, 20404, "That phone does not ring")
    return jsonify({"ok": True})


@bp.post("/phones")
def create_phone() -> Response:
    data = body()
    return jsonify(add_phone(carrier(), str(data.get("name") or ""), str(data.get("number") or ""),
                             str(data.get("area") or "")))


def add_phone(here: Carrier, name: str, wanted: str = "", area: str = "") -> Doc:
    """A new customer phone, with the next free fictional number of an area code when none is given."""
    name = name.strip()[:40]
    if not name:
        raise Refusal(400, 20001, "Give the phone's owner a name")
    if area and not re.fullmatch(r"[2-9]\d{2}", area):
        raise Refusal(400, 20001, "The area code must be three digits and cannot start with 0 or 1")
    with here.store.write() as db:
        taken = {row["number"] for row in db.execute("SELECT number FROM phone")}
        if not wanted:
            free = (f"+1{area or '415'}55501{place:02d}" for place in range(50))
            wanted = next((number for number in free if number not in taken), "")
            if not wanted:
                raise Refusal(400, 20001, f"All fictional numbers of area code {area} are in use")
        if phone_number(wanted, "number") in taken:
            raise Refusal(409, 20001, f"There is already a phone with the number {wanted}")
        hue = HUES[len(taken) % len(HUES)]
        db.execute("INSERT INTO phone (number, name, hue) VALUES (?, ?, ?)", (wanted, name, hue))
    return {"number": wanted, "name": name, "hue": hue, "outcome": "auto"}


@bp.post("/outcome")
def outcome() -> Response:
    data = body()
    set_outcome(carrier(), phone_number(data.get("phone"), "phone"), str(data.get("outcome") or ""))
    return jsonify({"ok": True})


def set_outcome(here: Carrier, phone: str, wanted: str) -> None:
    if wanted not in PHONE_OUTCOMES:
        raise Refusal(400, 20001, f"outcome must be one of {', '.join(PHONE_OUTCOMES)}")
    with here.store.write() as db:
        db.execute("INSERT OR IGNORE INTO phone (number, name, hue) VALUES (?, ?, 'slate')", (phone, phone))
        db.execute("UPDATE phone SET outcome = ? WHERE number = ?", (wanted, phone))


@bp.get("/handset/<phone>")
def handset(phone: str) -> Response:
    """All texts and calls of one customer phone, oldest first."""
    here = carrier()
    return jsonify({
        "messages": [_plain(doc) for doc in here.store.list(
            "message", where="(json_extract(data, '$.to') = ? OR json_extract(data, '$.from') = ?)", args=(phone, phone)
        )],
        "calls": [{**_plain(doc), "story": doc["_story"]} for doc in here.store.list(
            "call", where="(json_extract(data, '$.to') = ? OR json_extract(data, '$.from') = ?)", args=(phone, phone)
        )],
    })


def _plain(doc: Doc) -> Doc:
    return {key: value for key, value in doc.items() if not key.startswith("_")}


# ── clock, faults, settings ──────────────────────────────────────────────────────────────────────────────────────


@bp.get("/clock")
def read_clock() -> Response:
    here = carrier()
    return jsonify({"now": here.clock.now(), "iso": iso(here.clock.now()), "speed": here.clock.speed})


@bp.post("/clock")
def set_clock() -> Response:
    here, data = carrier(), body()
    if data.get("freeze") is not None:
        here.clock.run(0.0 if data["freeze"] else 1.0)
    if data.get("speed") is not None:
        here.clock.run(number(data["speed"], "speed"))
    if data.get("advance") is not None:
        here.clock.advance(number(data["advance"], "advance"))
    here.wake.set()
    return read_clock()


@bp.post("/fault")
def add_fault() -> Response:
    here, data = carrier(), body()
    fault(here, data)
    return jsonify({"faults": here.faults()})


def fault(here: Carrier, data: Doc) -> None:
    """Arm one fault: `kind`, and `count` or `probability`; `match` narrows it to a path, event or number."""
    kind = str(data.pop("kind", ""))
    if kind not in FAULTS:
        raise Refusal(400, 20001, f"kind must be one of {', '.join(sorted(FAULTS))}")
    probability = number(data.pop("probability", 1), "probability")
    if probability > 1:
        raise Refusal(400, 20001, "probability must be 1 or less")
    count = data.pop("count", None)
    for name in ("seconds", "bytes", "code", "status"):
        if name in data:
            data[name] = number(data[name], name)
    here.add_fault(kind, None if count is None else int(number(count, "count", 1)), probability, data)


@bp.get("/fault")
def list_faults() -> Response:
    return jsonify({"faults": carrier().faults()})


@bp.delete("/fault")
def clear_faults() -> Response:
    carrier().clear_faults()
    return jsonify({"faults": []})


@bp.post("/settings")
def set_settings() -> Response:
    here = carrier()
    change_settings(here, body())
    return jsonify(here.settings())


def change_settings(here: Carrier, data: Doc) -> None:
    for key, value in data.items():
        if key not in DEFAULTS:
            raise Refusal(400, 20001, f"There is no setting {key}")
        if key == "review" and value not in REVIEW_SECONDS:
            raise Refusal(400, 20001, f"review must be one of {', '.join(REVIEW_SECONDS)}")
        if key == "call_outcome" and value not in CALL_OUTCOMES:
            raise Refusal(400, 20001, f"call_outcome must be one of {', '.join(CALL_OUTCOMES)}")
        if isinstance(DEFAULTS[key], bool) and not isinstance(value, bool):
            raise Refusal(400, 20001, f"{key} must be true or false")
        if isinstance(DEFAULTS[key], float):
            value = number(value, key)
        if key == "seed":
            value = int(number(value, key))
        data[key] = value
    for key, value in data.items():
        here.set_setting(key, value)


# ── registration ─────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/review")
def review() -> Response:
    """Change how long reviews take, e.g. {"review": "fast"}."""
    here, data = carrier(), body()
    change_settings(here, {"review": data.get("review", data.get("mode"))})
    return jsonify({"review": here.setting("review")})


@bp.post("/<any(approve, reject, advance, suspend):verdict>")
def decide(verdict: str) -> Response:
    here, data = carrier(), body()
    sid = str(data.get("sid") or "")
    reason = str(data.get("reason") or "")
    errors = data.get("errors")
    if verdict == "approve":
        done = registration.approve(here, sid)
    elif verdict == "reject":
        done = registration.reject(here, sid, _errors(here, sid, errors) if errors else None, reason)
    elif verdict == "suspend":
        done = registration.suspend(here, sid)
    else:
        done = registration.advance(here, sid)
    if not done:
        raise Refusal(404, 20404, f"There is no registration {sid}")
    return jsonify({"ok": True})


def _errors(here: Carrier, sid: str, given: Any) -> list[Doc]:
    """The errors of a rejection in the shape the API shows: [{"code", "fields", "description"}]."""
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise Refusal(400, 20001, "errors must be a list of objects")
    key = "error_code" if registration.kind_of(here, sid) == "campaign" else "code"
    return [
        {key: int(number(item.get("error_code", item.get("code")), "code")),
         "fields": [str(name) for name in item.get("fields") or []], "description": str(item.get("description") or ""),
         "url": f"{registration.ERROR_URL}{item.get('error_code', item.get('code'))}"}
        for item in given
    ]


# ── looking inside ───────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/log")
def log() -> Response:
    limit = min(1000, max(1, request.args.get("limit", 50, int)))
    return jsonify({"log": carrier().log_rows(limit, request.args.get("after", 0, int), request.args.get("event", ""))})


@bp.get("/state")
def state() -> Response:
    here = carrier()
    rows = here.store.rows("SELECT kind, count(*) AS n FROM doc GROUP BY kind")
    return jsonify({
        "account_sid": here.account_sid, "clock": {"now": here.clock.now(), "speed": here.clock.speed},
        "settings": here.settings(), "faults": here.faults(), "work": current_app.extensions["sandbox_worker"].counts(),
        "counts": {row["kind"]: row["n"] for row in rows},
        "numbers": [row["number"] for row in here.store.rows("SELECT number FROM owned ORDER BY number")],
        "phones": [dict(row) for row in here.store.rows("SELECT * FROM phone ORDER BY rowid")],
        "opted_out": [dict(row) for row in here.store.rows("SELECT * FROM opt_out")],
        "registrations": registration.registrations(here),
    })


@bp.post("/reset")
def reset() -> Response:
    carrier().reset()
    return jsonify({"ok": True})
