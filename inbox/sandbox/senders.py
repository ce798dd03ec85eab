"""Numbers for sale, numbers bought and Messaging Services."""

from __future__ import annotations

import sqlite3
from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import numbers
from .carrier import Carrier
from .clock import iso, rfc2822
from .messages import account_path
from .store import Doc
from .wire import (
    TOLL_FREE,
    Refusal,
    carrier,
    classic_page,
    fetch_or_404,
    field,
    flag,
    listing,
    modern_page,
    new_sid,
    ok,
    paging,
    required,
    web_address,
)

bp = Blueprint("senders", __name__, url_prefix="/2010-04-01/Accounts/<account>")
services = Blueprint("services", __name__, url_prefix="/v1/Services")

URL_FIELDS = {
    "SmsUrl": "sms_url", "SmsFallbackUrl": "sms_fallback_url", "VoiceUrl": "voice_url",
    "VoiceFallbackUrl": "voice_fallback_url", "StatusCallback": "status_callback",
}
TEXT_FIELDS = {
    "SmsMethod": "sms_method", "SmsFallbackMethod": "sms_fallback_method", "VoiceMethod": "voice_method",
    "VoiceFallbackMethod": "voice_fallback_method", "StatusCallbackMethod": "status_callback_method",
    "FriendlyName": "friendly_name", "SmsApplicationSid": "sms_application_sid",
    "VoiceApplicationSid": "voice_application_sid", "TrunkSid": "trunk_sid", "AddressSid": "address_sid",
    "BundleSid": "bundle_sid",
}


# ── numbers for sale ─────────────────────────────────────────────────────────────────────────────────────────────


@bp.get("/AvailablePhoneNumbers.json")
def countries(account: str) -> Response:
    path = f"{account_path(account)}/AvailablePhoneNumbers"
    return jsonify({"countries": [{
        "country_code": "US", "country": "United States", "beta": False, "uri": f"{path}/US.json",
        "subresource_uris": {"local": f"{path}/US/Local.json", "toll_free": f"{path}/US/TollFree.json"},
    }], "uri": f"{path}.json"})


@bp.get("/AvailablePhoneNumbers/US.json")
def country(account: str) -> Response:
    path = f"{account_path(account)}/AvailablePhoneNumbers"
    return jsonify({
        "country_code": "US", "country": "United States", "beta": False, "uri": f"{path}/US.json",
        "subresource_uris": {"local": f"{path}/US/Local.json", "toll_free": f"{path}/US/TollFree.json"},
    })


@bp.get("/AvailablePhoneNumbers/<country>/<kind>.json")
def available(account: str, country: str, kind: str) -> Response:
    here = carrier()
    if country != "US" or kind not in ("Local", "TollFree"):
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
    _, size = paging()
    area, contains = request.args.get("AreaCode", "").strip(), request.args.get("Contains", "")
    if area and not (area.isdigit() and len(area) == 3):
        raise Refusal(400, 20001, "AreaCode must be three digits")
    codes = list(numbers.TOLL_FREE_CODES) if kind == "TollFree" else _local_codes()
    codes = [code for code in codes if not area or code == area]
    taken = {row["number"] for row in here.store.rows("SELECT number FROM owned")}
    found = numbers.search(codes, contains, taken, size)
    if found is None:
        raise Refusal(400, 21451, "Contains must have at least two digits or letters and no other characters")
    return jsonify({
        "available_phone_numbers": [_offer(number, kind) for number in found],
        "uri": request.full_path.rstrip("?"),
    })


def _local_codes() -> list[str]:
    """The area codes a search covers, narrowed by region and locality."""
    region = request.args.get("InRegion", "").strip().upper()
    city = request.args.get("InLocality", "").strip().casefold()
    return [
        code for code, (locality, state) in numbers.AREA_CODES.items()
        if (not region or state == region) and (not city or locality.casefold() == city)
    ]


def _offer(number: str, kind: str) -> Doc:
    place = numbers.place_of(number)
    return {
        "friendly_name": numbers.friendly(number), "phone_number": number, "lata": None,
        "locality": place.city if place else None, "rate_center": place.city.upper() if place else None,
        "latitude": None, "longitude": None, "region": place.state if place else None, "postal_code": None,
        "iso_country": "US", "address_requirements": "none", "beta": False,
        "capabilities": {"voice": True, "SMS": True, "MMS": True},
    }


# ── numbers bought ───────────────────────────────────────────────────────────────────────────────────────────────


def _number_fields() -> Doc:
    """The changeable fields the request carries."""
    fields: Doc = {}
    for name, key in URL_FIELDS.items():
        if name in request.form:
            value = field(name)
            fields[key] = web_address(value, 21502, name) if value else ""
    for name, key in TEXT_FIELDS.items():
        if name in request.form:
            fields[key] = field(name)
    if fields.get("voice_url"):
        fields |= {"voice_application_sid": "", "trunk_sid": None}
    elif fields.get("voice_application_sid") or fields.get("trunk_sid"):
        fields["voice_url"] = ""
    return fields


@bp.post("/IncomingPhoneNumbers.json")
@bp.post("/IncomingPhoneNumbers/Local.json")
@bp.post("/IncomingPhoneNumbers/TollFree.json")
def buy(account: str) -> Response:
    here = carrier()
    wanted, area = field("PhoneNumber"), field("AreaCode")
    if not wanted and not area:
        raise Refusal(400, 21452, "PhoneNumber or AreaCode is required")
    fields = _number_fields()
    if wanted and (not wanted.startswith("+") or not wanted[1:].isdigit()):
        raise Refusal(400, 21421, f"{wanted} is not a valid phone number")
    if here.fault("number_taken", wanted) or (wanted and not numbers.can_be_bought(wanted)):
        raise Refusal(400, 21422, f"{wanted or area} is not available.")
    with here.store.write() as db:
        if not wanted:
            taken = {row["number"] for row in db.execute("SELECT number FROM owned")}
            free = numbers.search([area] if area in numbers.AREA_CODES else [], "", taken, 1)
            if not free:
                raise Refusal(400, 21452, f"No phone numbers found in area code {area}")
            wanted = free[0]
        doc = _new_number(here, wanted, fields)
        try:
            db.execute("INSERT INTO owned (number, sid) VALUES (?, ?)", (wanted, doc["sid"]))
        except sqlite3.IntegrityError:
            raise Refusal(400, 21422, f"{wanted} is not available.") from None
        here.store.add("number", doc)
    return ok(doc, 201)


def _new_number(here: Carrier, number: str, fields: Doc) -> Doc:
    sid, now = new_sid("PN"), rfc2822(here.clock.now())
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "friendly_name": numbers.friendly(number),
        "phone_number": number, "sms_url": "", "sms_method": "POST", "sms_fallback_url": "",
        "sms_fallback_method": "POST", "sms_application_sid": "", "voice_url": "", "voice_method": "POST",
        "voice_fallback_url": "", "voice_fallback_method": "POST", "voice_application_sid": "", "trunk_sid": None,
        "status_callback": "", "status_callback_method": "POST", "voice_caller_id_lookup": False,
        "voice_receive_mode": "voice", "address_sid": None, "address_requirements": "none", "bundle_sid": None,
        "identity_sid": None, "emergency_status": "Inactive", "emergency_address_sid": None,
        "emergency_address_status": "unregistered", "beta": False, "origin": "twilio", "status": "in-use",
        "type": "tollfree" if TOLL_FREE.match(number) else "local", "api_version": "2010-04-01",
        "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
        "date_created": now, "date_updated": now,
        "uri": f"{account_path(here.account_sid)}/IncomingPhoneNumbers/{sid}.json", "subresource_uris": {},
    }
    doc.update(fields)
    return doc


@bp.get("/IncomingPhoneNumbers.json")
def owned(account: str) -> Response:
    where, args = ["1=1"], []
    if request.args.get("PhoneNumber"):
        where.append("instr(json_extract(data, '$.phone_number'), ?)")
        args.append(request.args["PhoneNumber"].replace("*", ""))
    if request.args.get("FriendlyName"):
        where.append("json_extract(data, '$.friendly_name') = ?")
        args.append(request.args["FriendlyName"])
    docs, more = listing("number", where=" AND ".join(where), args=tuple(args))
    return classic_page("incoming_phone_numbers", docs, more)


@bp.get("/IncomingPhoneNumbers/<sid>.json")
def show(account: str, sid: str) -> Response:
    return ok(fetch_or_404(sid, "number"))


@bp.post("/IncomingPhoneNumbers/<sid>.json")
def update(account: str, sid: str) -> Response:
    here = carrier()
    fields = _number_fields()
    with here.store.write():
        doc = fetch_or_404(sid, "number")
        doc = here.store.change(sid, **fields, date_updated=rfc2822(here.clock.now())) or doc
    return ok(doc)


@bp.delete("/IncomingPhoneNumbers/<sid>.json")
def release(account: str, sid: str) -> tuple[str, int]:
    here = carrier()
    with here.store.write() as db:
        fetch_or_404(sid, "number")
        db.execute("DELETE FROM owned WHERE sid = ?", (sid,))
        db.execute("DELETE FROM member WHERE number_sid = ?", (sid,))
        here.store.remove(sid)
    return "", 204


# ── Messaging Services ───────────────────────────────────────────────────────────────────────────────────────────

SERVICE_URLS = {"InboundRequestUrl": "inbound_request_url", "FallbackUrl": "fallback_url",
                "StatusCallback": "status_callback"}
SERVICE_FLAGS = {
    "StickySender": ("sticky_sender", True), "SmartEncoding": ("smart_encoding", True),
    "MmsConverter": ("mms_converter", True), "AreaCodeGeomatch": ("area_code_geomatch", True),
    "FallbackToLongCode": ("fallback_to_long_code", False),
    "UseInboundWebhookOnNumber": ("use_inbound_webhook_on_number", False),
    "SynchronousValidation": ("synchronous_validation", False),
}
SERVICE_USES = ("notifications", "marketing", "verification", "discussion", "poll", "undeclared")


def _service_fields() -> Doc:
    fields: Doc = {}
    if "FriendlyName" in request.form:
        name = field("FriendlyName")
        if not 1 <= len(name) <= 64:
            raise Refusal(400, 20001, "FriendlyName must have 1 to 64 characters")
        fields["friendly_name"] = name
    for name, key in SERVICE_URLS.items():
        if name in request.form:
            value = field(name)
            fields[key] = web_address(value, 21715 if name == "InboundRequestUrl" else 21609, name) if value else None
    for name, (key, _) in SERVICE_FLAGS.items():
        if name in request.form:
            fields[key] = flag(name)
    if field("Usecase"):
        if field("Usecase") not in SERVICE_USES:
            raise Refusal(400, 20001, f"Usecase must be one of {', '.join(SERVICE_USES)}")
        fields["usecase"] = field("Usecase")
    for name, key in (("InboundMethod", "inbound_method"), ("FallbackMethod", "fallback_method")):
        if field(name):
            fields[key] = field(name)
    if field("ValidityPeriod"):
        if not field("ValidityPeriod").isdigit() or not 1 <= int(field("ValidityPeriod")) <= 36_000:
            raise Refusal(400, 20001, "ValidityPeriod must be between 1 and 36000 seconds")
        fields["validity_period"] = int(field("ValidityPeriod"))
    return fields


@services.post("")
def create_service() -> Response:
    here = carrier()
    required("FriendlyName")
    sid, now = new_sid("MG"), iso(here.clock.now())
    path = f"/v1/Services/{sid}"
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "friendly_name": "", "inbound_request_url": None,
        "inbound_method": "POST", "fallback_url": None, "fallback_method": "POST", "status_callback": None,
        "scan_message_content": "inherit", "validity_period": 36_000, "usecase": "undeclared",
        "us_app_to_person_registered": False, "date_created": now, "date_updated": now,
        **dict(SERVICE_FLAGS.values()), "_path": path,
        "_links": {
            "phone_numbers": f"{path}/PhoneNumbers", "us_app_to_person": f"{path}/Compliance/Usa2p",
            "us_app_to_person_usecases": f"{path}/Compliance/Usa2p/Usecases", "short_codes": f"{path}/ShortCodes",
            "alpha_senders": f"{path}/AlphaSenders", "messages": "/2010-04-01/Messages",
        },
    }
    doc.update(_service_fields())
    return ok(here.store.add("service", doc), 201)


@services.get("")
def list_services() -> Response:
    docs, more = listing("service")
    return modern_page("services", docs, more)


@services.get("/<sid>")
def show_service(sid: str) -> Response:
    return ok(fetch_or_404(sid, "service"))


@services.post("/<sid>")
def update_service(sid: str) -> Response:
    here = carrier()
    fields = _service_fields()
    with here.store.write():
        doc = fetch_or_404(sid, "service")
        doc = here.store.change(sid, **fields, date_updated=iso(here.clock.now())) or doc
    return ok(doc)


@services.delete("/<sid>")
def delete_service(sid: str) -> tuple[str, int]:
    here = carrier()
    with here.store.write() as db:
        fetch_or_404(sid, "service")
        db.execute("DELETE FROM member WHERE service_sid = ?", (sid,))
        here.store.remove(sid)
    return "", 204


def _member(sid: str, number_sid: str) -> Doc:
    """A number as the service shows it."""
    number = carrier().store.get(number_sid, "number")
    if number is None:
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
    return {
        "sid": number_sid, "account_sid": number["account_sid"], "service_sid": sid,
        "phone_number": number["phone_number"], "country_code": "US", "capabilities": ["SMS", "MMS", "Voice"],
        "date_created": iso(carrier().clock.now()), "date_updated": iso(carrier().clock.now()),
        "_path": f"/v1/Services/{sid}/PhoneNumbers/{number_sid}",
    }


@services.post("/<sid>/PhoneNumbers")
def add_number(sid: str) -> Response:
    here = carrier()
    required("PhoneNumberSid")
    number_sid = field("PhoneNumberSid")
    with here.store.write() as db:
        fetch_or_404(sid, "service")
        doc = _member(sid, number_sid)
        holder = db.execute("SELECT service_sid FROM member WHERE number_sid = ?", (number_sid,)).fetchone()
        if holder is not None and holder["service_sid"] == sid:
            raise Refusal(409, 21710, "Phone Number or Short Code is already in the Messaging Service.")
        if holder is not None:
            raise Refusal(409, 21712, "Phone Number or Short Code is associated with another Messaging Service.")
        db.execute("INSERT INTO member (number_sid, service_sid) VALUES (?, ?)", (number_sid, sid))
    return ok(doc, 201)


@services.get("/<sid>/PhoneNumbers")
def members(sid: str) -> Response:
    fetch_or_404(sid, "service")
    page, size = paging()
    rows = carrier().store.rows(
        "SELECT number_sid FROM member WHERE service_sid = ? ORDER BY rowid LIMIT ? OFFSET ?",
        sid, size + 1, page * size,
    )
    return modern_page("phone_numbers", [_member(sid, row["number_sid"]) for row in rows[:size]], len(rows) > size)


@services.get("/<sid>/PhoneNumbers/<number_sid>")
def member(sid: str, number_sid: str) -> Response:
    _require_member(sid, number_sid)
    return ok(_member(sid, number_sid))


@services.delete("/<sid>/PhoneNumbers/<number_sid>")
def remove_number(sid: str, number_sid: str) -> tuple[str, int]:
    _require_member(sid, number_sid)
    with carrier().store.write() as db:
        db.execute("DELETE FROM member WHERE number_sid = ?", (number_sid,))
    return "", 204


def _require_member(sid: str, number_sid: str) -> Any:
    row = carrier().store.row("SELECT 1 FROM member WHERE service_sid = ? AND number_sid = ?", sid, number_sid)
    if row is None:
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
