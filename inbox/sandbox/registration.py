"""10DLC: brands, campaigns, toll-free verification and the events that tell of their fate."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from flask import Blueprint, Response, jsonify, request

from .carrier import Carrier
from .clock import iso
from .store import Doc
from .trusthub import assigned, set_bundle_status
from .wire import (
    Refusal,
    carrier,
    fetch_or_404,
    field,
    flag,
    listing,
    modern_page,
    new_sid,
    ok,
    required,
    web_address,
)
from .worker import job

bp = Blueprint("registration", __name__, url_prefix="/v1")

EVENTS = "com.twilio.messaging.compliance."
ERROR_URL = "https://www.twilio.com/docs/api/errors/"
POST_APPROVAL = {"AGENTS_FRANCHISES", "PROXY", "EMERGENCY", "K12_EDUCATION", "SOCIAL", "SWEEPSTAKE"}
USECASES: dict[str, tuple[str, str]] = {
    "2FA": ("Two-Factor authentication (2FA)", "Codes that prove who is signing in"),
    "ACCOUNT_NOTIFICATION": ("Account Notification", "News about a customer's own account"),
    "AGENTS_FRANCHISES": ("Agents and franchises", "Branches and agents of one brand that each have a number"),
    "CHARITY": ("Charity", "Texts from a registered nonprofit"),
    "PROXY": ("Proxy", "Two people talk through a number that hides theirs"),
    "CUSTOMER_CARE": ("Customer Care", "Answers to customers and help with their questions"),
    "DELIVERY_NOTIFICATION": ("Delivery Notification", "Where an order is and when it arrives"),
    "EMERGENCY": ("Emergency", "Warnings of a public emergency"),
    "FRAUD_ALERT": ("Fraud Alert Messaging", "Warnings of misuse of an account"),
    "HIGHER_EDUCATION": ("Higher Education", "Texts from colleges and universities"),
    "K12_EDUCATION": ("K-12 Education", "Texts from schools"),
    "LOW_VOLUME": ("Low Volume Mixed", "Several purposes with few texts a day"),
    "MARKETING": ("Marketing", "Offers and promotions"),
    "MIXED": ("Mixed", "Several purposes in one campaign"),
    "POLITICAL": ("Political", "Texts of an election campaign"),
    "POLLING_VOTING": ("Polling and voting", "Surveys and polls outside elections"),
    "PUBLIC_SERVICE_ANNOUNCEMENT": ("Public Service Announcement", "Texts that raise awareness"),
    "SECURITY_ALERT": ("Security Alert", "Warnings that a system is at risk"),
    "SOCIAL": ("Social", "Texts between people of a community"),
    "SWEEPSTAKE": ("Sweepstake", "Prize draws"),
    "SOLE_PROPRIETOR": ("Sole Proprietor", "Texts of a person who runs a business alone"),
}
DISALLOWED = re.compile(
    r"\b(cannabis|cbd|marijuana|vape|casino|gambling|betting|payday|loan forgiveness|debt relief|lead generation|"
    r"affiliate marketing|work from home)\b", re.I,
)
PROMOTION = re.compile(r"\b\d+ ?% off\b|\b(discount|coupon|promo code|flash sale|special offer|limited time)\b", re.I)
OPT_IN = re.compile(
    r"\b(opt(s|ed|ing)?[ -]?in|consent(s|ed)?|agree[sd]?|sign(s|ed|ing)? up|subscribe[sd]?|checkbox|check(s|ed)? a box|"
    r"tick(s|ed)?|text(s|ing)? (us|our|start|join|the)|ask(s|ed)?|give[sn]?)\b", re.I,
)
RATES = re.compile(r"rates? (may|could) apply", re.I)
AMONG_STAFF = re.compile(
    r"\b(staff|employees|coworkers|team members) (text|message|chat)\w* (with )?(each other|one another)\b", re.I
)
LINK = re.compile(r"https?://|\bwww\.|\b[a-z0-9-]+\.(com|net|org|io|co)/", re.I)
TAX_ERROR: Doc = {
    "code": 30794, "fields": ["business_registration_number", "business_name"],
    "description": "The business name does not match the tax ID that was given.", "url": f"{ERROR_URL}30794",
}


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


def emit(here: Carrier, name: str, sid: str, data: Doc) -> None:
    """Send a CloudEvent to every sink subscribed to its type."""
    kind = EVENTS + name
    event = {
        "specversion": "1.0", "type": kind, "source": sid, "id": new_sid("EZ"),
        "dataschema": f"https://events-schemas.twilio.com/A2P.{name.split('.')[-1].title().replace('-', '')}/2",
        "datacontenttype": "application/json", "time": iso(here.clock.now()), "data": data,
    }
    for subscription in here.store.list("subscription"):
        if kind not in [item["type"] for item in subscription["_types"]]:
            continue
        sink = here.store.get(subscription["sink_sid"], "sink")
        if sink is None:
            continue
        copies = 2 if here.fault("duplicate_webhook", f"event.{name}") else 1
        for _ in range(copies):
            here.schedule("post_events", sid, url=sink["sink_configuration"]["destination"], events=[event], sid=sid,
                          method=sink["sink_configuration"].get("method", "POST"), attempt=1)


def _millis(here: Carrier) -> int:
    return int(here.clock.now() * 1000)


@bp.post("/Sinks")
def create_sink() -> Response:
    here = carrier()
    required("Description", "SinkConfiguration", "SinkType")
    if field("SinkType") != "webhook":
        raise Refusal(400, 20001, "This carrier has sinks of the type webhook only")
    try:
        configuration = json.loads(field("SinkConfiguration"))
        destination = str(configuration["destination"])
    except (ValueError, KeyError, TypeError):
        raise Refusal(400, 20001, "SinkConfiguration must be a JSON object with a destination") from None
    web_address(destination, 20001, "destination")
    sid, now = new_sid("DG"), iso(here.clock.now())
    path = f"/v1/Sinks/{sid}"
    return ok(here.store.add("sink", {
        "sid": sid, "description": field("Description"), "sink_configuration": configuration, "sink_type": "webhook",
        "status": "active", "date_created": now, "date_updated": now, "_path": path,
        "_links": {"sink_test": f"{path}/Test", "sink_validate": f"{path}/Validate"},
    }), 201)


@bp.get("/Sinks")
def list_sinks() -> Response:
    docs, more = listing("sink")
    return modern_page("sinks", docs, more)


@bp.get("/Sinks/<sid>")
def show_sink(sid: str) -> Response:
    return ok(fetch_or_404(sid, "sink"))


@bp.post("/Sinks/<sid>/Test")
def test_sink(sid: str) -> Response:
    here = carrier()
    sink = fetch_or_404(sid, "sink")
    event = {"specversion": "1.0", "type": "com.twilio.eventstreams.test-event", "source": sid, "id": new_sid("EZ"),
             "datacontenttype": "application/json", "time": iso(here.clock.now()), "data": {"test_id": new_sid("")}}
    here.schedule("post_events", sid, url=sink["sink_configuration"]["destination"], events=[event], sid=sid,
                  method="POST", attempt=1)
    response = jsonify({"result": "submitted"})
    response.status_code = 201
    return response


@bp.delete("/Sinks/<sid>")
def delete_sink(sid: str) -> tuple[str, int]:
    fetch_or_404(sid, "sink")
    carrier().store.remove(sid)
    return "", 204


@bp.post("/Subscriptions")
def create_subscription() -> Response:
    here = carrier()
    required("Description", "SinkSid", "Types")
    fetch_or_404(field("SinkSid"), "sink")
    try:
        types = [json.loads(text) for text in request.form.getlist("Types")]
        types = [{"type": str(item["type"]), "schema_version": item.get("schema_version", 1)} for item in types]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refusal(400, 20001, "Every Types value must be a JSON object with a type") from None
    sid, now = new_sid("DF"), iso(here.clock.now())
    path = f"/v1/Subscriptions/{sid}"
    return ok(here.store.add("subscription", {
        "sid": sid, "account_sid": here.account_sid, "description": field("Description"),
        "sink_sid": field("SinkSid"), "date_created": now, "date_updated": now, "_types": types, "_path": path,
        "_links": {"subscribed_events": f"{path}/SubscribedEvents"},
    }), 201)


@bp.get("/Subscriptions")
def list_subscriptions() -> Response:
    docs, more = listing("subscription")
    return modern_page("subscriptions", docs, more)


@bp.get("/Subscriptions/<sid>")
def show_subscription(sid: str) -> Response:
    return ok(fetch_or_404(sid, "subscription"))


@bp.get("/Subscriptions/<sid>/SubscribedEvents")
def subscribed_events(sid: str) -> Response:
    doc = fetch_or_404(sid, "subscription")
    return modern_page("types", [
        {"account_sid": doc["account_sid"], "subscription_sid": sid, **item,
         "_path": f"/v1/Subscriptions/{sid}/SubscribedEvents/{item['type']}"} for item in doc["_types"]
    ], False)


@bp.delete("/Subscriptions/<sid>")
def delete_subscription(sid: str) -> tuple[str, int]:
    fetch_or_404(sid, "subscription")
    carrier().store.remove(sid)
    return "", 204


# ── brands ───────────────────────────────────────────────────────────────────────────────────────────────────────


@bp.post("/a2p/BrandRegistrations")
def create_brand() -> Response:
    here = carrier()
    required("CustomerProfileBundleSid", "A2PProfileBundleSid")
    kind = field("BrandType") or "STANDARD"
    if kind not in ("STANDARD", "SOLE_PROPRIETOR"):
        raise Refusal(400, 20001, "BrandType must be STANDARD or SOLE_PROPRIETOR")
    profile = here.store.get(field("CustomerProfileBundleSid"), "profile")
    trust = here.store.get(field("A2PProfileBundleSid"), "trust")
    for what, doc in (("CustomerProfileBundleSid", profile), ("A2PProfileBundleSid", trust)):
        if doc is None:
            raise Refusal(400, 20001, f"{what} does not name a bundle of this account")
        if doc["status"] in ("draft", "twilio-rejected"):
            raise Refusal(400, 20001, f"The bundle in {what} is {doc['status']}; submit it for review first")
    sid, now = new_sid("BN"), iso(here.clock.now())
    path = f"/v1/a2p/BrandRegistrations/{sid}"
    doc = {
        "sid": sid, "account_sid": here.account_sid, "customer_profile_bundle_sid": field("CustomerProfileBundleSid"),
        "a2p_profile_bundle_sid": field("A2PProfileBundleSid"), "date_created": now, "date_updated": now,
        "brand_type": kind, "status": "PENDING", "tcr_id": None, "failure_reason": None, "errors": [],
        "brand_score": None, "brand_feedback": [], "identity_status": None, "russell_3000": None,
        "government_entity": None, "tax_exempt_status": None,
        "skip_automatic_sec_vet": flag("SkipAutomaticSecVet"), "mock": flag("Mock"), "_path": path,
        "_links": {"brand_registration_otps": f"{path}/SmsOtp", "brand_vettings": f"{path}/Vettings"},
    }
    with here.store.write():
        here.store.add("brand", doc)
        here.schedule("review_brand", sid, here.clock.now() + here.review_seconds("brand") / 4, sid=sid)
    return ok(doc, 201)


@bp.get("/a2p/BrandRegistrations")
def list_brands() -> Response:
    docs, more = listing("brand")
    return modern_page("data", docs, more)


@bp.get("/a2p/BrandRegistrations/<sid>")
def show_brand(sid: str) -> Response:
    return ok(fetch_or_404(sid, "brand"))


@bp.post("/a2p/BrandRegistrations/<sid>")
def resubmit_brand(sid: str) -> Response:
    here = carrier()
    with here.store.write():
        doc = fetch_or_404(sid, "brand")
        if doc["status"] != "FAILED":
            raise Refusal(400, 20001, "Only a failed brand can be submitted again")
        doc = here.store.change(sid, status="PENDING", failure_reason=None, errors=[], brand_feedback=[],
                                date_updated=iso(here.clock.now())) or doc
        here.schedule("review_brand", sid, here.clock.now() + here.review_seconds("brand") / 4, sid=sid)
    return ok(doc, 202)


@bp.post("/a2p/BrandRegistrations/<sid>/SmsOtp")
def brand_otp(sid: str) -> Response:
    doc = fetch_or_404(sid, "brand")
    if doc["brand_type"] != "SOLE_PROPRIETOR":
        raise Refusal(400, 20001, "Only a sole proprietor brand confirms by text")
    response = jsonify({"account_sid": doc["account_sid"], "brand_registration_sid": sid})
    response.status_code = 201
    return response


@bp.post("/a2p/BrandRegistrations/<sid>/Vettings")
def create_vetting(sid: str) -> Response:
    here = carrier()
    brand = fetch_or_404(sid, "brand")
    required("VettingProvider")
    vetting, now = new_sid("VT"), iso(here.clock.now())
    doc = here.store.add("vetting", {
        "account_sid": here.account_sid, "brand_sid": sid, "brand_vetting_sid": vetting, "sid": vetting,
        "vetting_id": field("VettingId") or vetting[-8:], "vetting_class": "STANDARD", "vetting_status": "SUCCESS",
        "vetting_provider": field("VettingProvider"), "date_created": now, "date_updated": now,
        "_path": f"{brand['_path']}/Vettings/{vetting}",
    }, sid)
    here.store.change(sid, brand_score=_score(sid), identity_status="VETTED_VERIFIED")
    return ok(doc, 201)


@bp.get("/a2p/BrandRegistrations/<sid>/Vettings")
def vettings(sid: str) -> Response:
    fetch_or_404(sid, "brand")
    docs, more = listing("vetting", sid)
    return modern_page("data", docs, more)


@bp.get("/a2p/BrandRegistrations/<sid>/Vettings/<vetting>")
def show_vetting(sid: str, vetting: str) -> Response:
    return ok(fetch_or_404(vetting, "vetting"))


def _score(sid: str) -> int:
    return 40 + zlib.crc32(sid.encode()) % 55


def business(here: Carrier, brand: Doc) -> Doc:
    return assigned(here, brand["customer_profile_bundle_sid"], "customer_profile_business_information")


@job
def review_brand(here: Carrier, at: float, sid: str) -> None:
    """The next step of a brand's review."""
    doc = here.store.get(sid, "brand")
    if doc is None or doc["status"] not in ("PENDING", "IN_REVIEW"):
        return
    name = str(business(here, doc).get("business_name", ""))
    if doc["status"] == "PENDING":
        here.store.change(sid, status="IN_REVIEW", date_updated=iso(at))
        here.schedule("review_brand", sid, at + here.review_seconds("brand") * 3 / 4, sid=sid)
    elif "slow" in name.casefold():
        return
    elif "mismatch" in name.casefold():
        fail_brand(here, doc, [TAX_ERROR], ["TAX_ID"])
    else:
        approve_brand(here, doc)


def approve_brand(here: Carrier, doc: Doc) -> None:
    sid = doc["sid"]
    tcr_id = "B" + sid[-6:].upper()
    with here.store.write():
        here.store.change(
            sid, status="APPROVED", tcr_id=tcr_id, identity_status="VERIFIED", errors=[], failure_reason=None,
            brand_feedback=[], brand_score=None if doc["skip_automatic_sec_vet"] else _score(sid), russell_3000=False,
            government_entity=False, date_updated=iso(here.clock.now()),
        )
        emit(here, "brand-registration.brand-registered", sid, {
            "accountsid": here.account_sid, "brandsid": sid, "brandstatus": "registered", "externalbrandid": tcr_id,
            "createddate": _millis(here), "updateddate": _millis(here),
        })


def fail_brand(here: Carrier, doc: Doc, errors: list[Doc], feedback: list[str]) -> None:
    sid = doc["sid"]
    with here.store.write():
        here.store.change(
            sid, status="FAILED", identity_status="UNVERIFIED", errors=errors, brand_feedback=feedback,
            failure_reason="; ".join(str(error["description"]) for error in errors),
            date_updated=iso(here.clock.now()),
        )
        emit(here, "brand-registration.brand-failure", sid, {
            "accountsid": here.account_sid, "brandsid": sid, "brandstatus": "registration_failed",
            "createddate": _millis(here), "updateddate": _millis(here),
            "brandregistrationerrors": [
                {"registrationerrorcode": error["code"], "registrationerrordescription": error["description"],
                 "registrationerrorurl": error["url"], "registrationerrorfields": error["fields"]}
                for error in errors
            ],
        })


# ── campaigns ────────────────────────────────────────────────────────────────────────────────────────────────────

TEXT_FIELDS = {
    "OptInMessage": "opt_in_message", "OptOutMessage": "opt_out_message", "HelpMessage": "help_message",
    "PrivacyPolicyUrl": "privacy_policy_url", "TermsAndConditionsUrl": "terms_and_conditions_url",
}
KEYWORD_FIELDS = {"OptInKeywords": "opt_in_keywords", "OptOutKeywords": "opt_out_keywords",
                  "HelpKeywords": "help_keywords"}
FLAG_FIELDS = {"HasEmbeddedLinks": "has_embedded_links", "HasEmbeddedPhone": "has_embedded_phone",
               "SubscriberOptIn": "subscriber_opt_in", "AgeGated": "age_gated", "DirectLending": "direct_lending"}


def _campaign_fields(update: bool) -> Doc:
    """The campaign's fields as posted, held against the documented limits."""
    fields: Doc = {}
    for name, key, low, high in (("Description", "description", 40, 4096), ("MessageFlow", "message_flow", 40, 2048)):
        value = field(name)
        if value or not update:
            if not low <= len(value) <= high:
                raise Refusal(400, 20001, f"{name} must have {low} to {high} characters")
            fields[key] = value
    samples = [text.strip() for text in request.form.getlist("MessageSamples") if text.strip()]
    if samples or not update:
        if not 2 <= len(samples) <= 5 or any(not 20 <= len(text) <= 1024 for text in samples):
            raise Refusal(400, 20001, "MessageSamples must be 2 to 5 texts of 20 to 1024 characters")
        fields["message_samples"] = samples
    for name, key in TEXT_FIELDS.items():
        value = field(name)
        if value and name.endswith("Message") and not 20 <= len(value) <= 320:
            raise Refusal(400, 20001, f"{name} must have 20 to 320 characters")
        if value:
            fields[key] = value
    for name, key in KEYWORD_FIELDS.items():
        words = [word for text in request.form.getlist(name) for word in text.replace(",", " ").split()]
        if any(not word.isalnum() for word in words) or len(" ".join(words)) > 255:
            raise Refusal(400, 20001, f"{name} must be letters and digits, 255 characters at most")
        if words:
            fields[key] = words
    for name, key in FLAG_FIELDS.items():
        if name in request.form:
            fields[key] = flag(name)
    return fields


@bp.post("/Services/<service>/Compliance/Usa2p")
def create_campaign(service: str) -> Response:
    here = carrier()
    fetch_or_404(service, "service")
    required("BrandRegistrationSid", "Description", "MessageFlow", "MessageSamples", "UsAppToPersonUsecase",
             "HasEmbeddedLinks", "HasEmbeddedPhone")
    fields = _campaign_fields(update=False)
    usecase = field("UsAppToPersonUsecase")
    if usecase not in USECASES:
        raise Refusal(400, 20001, f"UsAppToPersonUsecase {usecase} does not exist")
    brand = here.store.get(field("BrandRegistrationSid"), "brand")
    if brand is None:
        raise Refusal(404, 20404, "The brand registration was not found")
    if brand["status"] != "APPROVED":
        raise Refusal(400, 21717, "The brand is not registered yet, so no campaign can be created for it")
    sid, now = new_sid("QE"), iso(here.clock.now())
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "brand_registration_sid": brand["sid"],
        "messaging_service_sid": service, "us_app_to_person_usecase": usecase, "campaign_status": "IN_PROGRESS",
        "campaign_id": None, "is_externally_registered": False, "rate_limits": None, "mock": brand["mock"],
        "opt_in_message": None, "opt_out_message": None, "help_message": None, "opt_in_keywords": [],
        "opt_out_keywords": ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"],
        "help_keywords": ["HELP", "INFO"], "privacy_policy_url": None, "terms_and_conditions_url": None,
        **dict.fromkeys(FLAG_FIELDS.values(), False), **fields, "errors": [], "date_created": now,
        "date_updated": now, "_path": f"/v1/Services/{service}/Compliance/Usa2p/{sid}",
    }
    with here.store.write():
        if here.store.list("campaign", service, limit=1):
            raise Refusal(409, 21711, "The Messaging Service already has a campaign")
        here.store.add("campaign", doc, service)
        _submit_campaign(here, doc)
    return ok(doc, 201)


def _submit_campaign(here: Carrier, doc: Doc) -> None:
    here.schedule("review_campaign", doc["sid"], here.clock.now() + here.review_seconds("campaign"), sid=doc["sid"])
    emit(here, "campaign-registration.campaign-submitted", doc["sid"], _campaign_event(here, doc, "submitted"))


def _campaign_event(here: Carrier, doc: Doc, status: str) -> Doc:
    return {
        "accountsid": here.account_sid, "campaignsid": doc["sid"], "brandsid": doc["brand_registration_sid"],
        "messagingservicesid": doc["messaging_service_sid"], "externalcampaignid": doc.get("campaign_id"),
        "campaignregistrationstatus": status, "createddate": _millis(here), "updateddate": _millis(here),
    }


@bp.get("/Services/<service>/Compliance/Usa2p")
def list_campaigns(service: str) -> Response:
    fetch_or_404(service, "service")
    docs, more = listing("campaign", service)
    return modern_page("compliance", docs, more)


@bp.get("/Services/<service>/Compliance/Usa2p/Usecases")
def usecases(service: str) -> Response:
    here = carrier()
    fetch_or_404(service, "service")
    brand = here.store.get(request.args.get("BrandRegistrationSid", ""), "brand")
    codes = list(USECASES)
    if brand is not None:
        alone = brand["brand_type"] == "SOLE_PROPRIETOR"
        codes = ["SOLE_PROPRIETOR"] if alone else [code for code in codes if code != "SOLE_PROPRIETOR"]
    return jsonify({"us_app_to_person_usecases": [
        {"code": code, "name": USECASES[code][0], "description": USECASES[code][1],
         "post_approval_required": code in POST_APPROVAL} for code in codes
    ]})


@bp.get("/Services/<service>/Compliance/Usa2p/<sid>")
def show_campaign(service: str, sid: str) -> Response:
    return ok(_campaign(service, sid))


def _campaign(service: str, sid: str) -> Doc:
    doc = fetch_or_404(sid, "campaign")
    if doc["messaging_service_sid"] != service:
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
    return doc


@bp.post("/Services/<service>/Compliance/Usa2p/<sid>")
def update_campaign(service: str, sid: str) -> Response:
    here = carrier()
    fields = _campaign_fields(update=True)
    with here.store.write():
        doc = _campaign(service, sid)
        again = doc["campaign_status"] == "FAILED"
        if again:
            fields |= {"campaign_status": "IN_PROGRESS", "errors": []}
        doc = here.store.change(sid, **fields, date_updated=iso(here.clock.now())) or doc
        if again:
            _submit_campaign(here, doc)
    return ok(doc)


@bp.delete("/Services/<service>/Compliance/Usa2p/<sid>")
def delete_campaign(service: str, sid: str) -> tuple[str, int]:
    here = carrier()
    doc = _campaign(service, sid)
    with here.store.write():
        here.store.remove(sid)
        emit(here, "campaign-registration.campaign-deleted", sid, _campaign_event(here, doc, "deleted"))
    return "", 204


def campaign_error(code: int, description: str, *fields: str) -> Doc:
    return {"error_code": code, "fields": list(fields), "description": description, "url": f"{ERROR_URL}{code}"}


def campaign_errors(here: Carrier, doc: Doc) -> list[Doc]:
    """What a reviewer would object to."""
    errors: list[Doc] = []
    samples, usecase = doc["message_samples"], doc["us_app_to_person_usecase"]
    bad = [name for name, text in (("DESCRIPTION", doc["description"]), ("MESSAGE_FLOW", doc["message_flow"]),
                                   ("MESSAGE_SAMPLES", " ".join(samples))) if DISALLOWED.search(text)]
    if bad:
        errors.append(campaign_error(30897, "The campaign is about content that carriers do not allow.", *bad))
    if not OPT_IN.search(doc["message_flow"]) or not RATES.search(doc["message_flow"]):
        errors.append(campaign_error(
            30896, "The message flow must say how people opt in and that message and data rates may apply.",
            "MESSAGE_FLOW"))
    errors += _sample_errors(doc, samples, usecase)
    if AMONG_STAFF.search(doc["description"]):
        errors.append(campaign_error(30533, "Texts between people inside a business are not allowed.", "DESCRIPTION"))
    brand = here.store.get(doc["brand_registration_sid"], "brand") or {}
    if not _eligible(here, usecase, brand):
        errors.append(campaign_error(30900, "The brand is not eligible for this use case.", "USE_CASE"))
    return errors


def _sample_errors(doc: Doc, samples: list[str], usecase: str) -> list[Doc]:
    text = " ".join(samples)
    if usecase not in ("MARKETING", "MIXED", "LOW_VOLUME", "SWEEPSTAKE") and PROMOTION.search(text):
        return [campaign_error(30893, "A sample is an offer, which the chosen use case does not cover.",
                               "MESSAGE_SAMPLES")]
    if len({sample.casefold() for sample in samples}) < len(samples):
        return [campaign_error(30893, "The samples must differ from one another.", "MESSAGE_SAMPLES")]
    if LINK.search(text) and not doc["has_embedded_links"]:
        return [campaign_error(30893, "A sample has a link, but the campaign says that its texts have none.",
                               "MESSAGE_SAMPLES", "HAS_EMBEDDED_LINKS")]
    return []


def _eligible(here: Carrier, usecase: str, brand: Doc) -> bool:
    alone = brand.get("brand_type") == "SOLE_PROPRIETOR"
    if alone or usecase == "SOLE_PROPRIETOR":
        return alone and usecase == "SOLE_PROPRIETOR"
    if usecase == "CHARITY":
        company = assigned(here, brand.get("a2p_profile_bundle_sid", ""), "us_a2p_messaging_profile_information")
        return company.get("company_type") == "non-profit"
    if usecase == "POLITICAL":
        return bool(here.store.list("vetting", brand.get("sid", ""), limit=1))
    return usecase not in POST_APPROVAL


@job
def review_campaign(here: Carrier, at: float, sid: str) -> None:
    """The verdict on a campaign."""
    doc = here.store.get(sid, "campaign")
    if doc is None or doc["campaign_status"] not in ("PENDING", "IN_PROGRESS"):
        return
    brand = here.store.get(doc["brand_registration_sid"], "brand") or {}
    if brand and "slow" in str(business(here, brand).get("business_name", "")).casefold():
        return
    errors = campaign_errors(here, doc)
    if errors:
        fail_campaign(here, doc, errors)
    else:
        approve_campaign(here, doc)


def approve_campaign(here: Carrier, doc: Doc) -> None:
    sid = doc["sid"]
    brand = here.store.get(doc["brand_registration_sid"], "brand") or {}
    score = brand.get("brand_score") or 0
    mps, kind, tier = (75, "A", "TOP") if score >= 75 else (40, "C", "HIGH_MID") if score >= 50 else (4, "E", "LOW")
    if doc["us_app_to_person_usecase"] == "LOW_VOLUME":
        mps, kind, tier = 1, "T", "LOW"
    with here.store.write():
        doc = here.store.change(
            sid, campaign_status="VERIFIED", campaign_id="C" + sid[-6:].upper(), errors=[],
            rate_limits={"att": {"mps": mps, "msg_class": kind}, "tmobile": {"brand_tier": tier}},
            date_updated=iso(here.clock.now()),
        ) or doc
        here.store.change(doc["messaging_service_sid"], us_app_to_person_registered=True)
        emit(here, "campaign-registration.campaign-approved", sid, _campaign_event(here, doc, "approved"))


def fail_campaign(here: Carrier, doc: Doc, errors: list[Doc], status: str = "FAILED") -> None:
    sid = doc["sid"]
    with here.store.write():
        doc = here.store.change(sid, campaign_status=status, errors=errors, date_updated=iso(here.clock.now())) or doc
        here.store.change(doc["messaging_service_sid"], us_app_to_person_registered=False)
        emit(here, "campaign-registration.campaign-failure", sid, {
            **_campaign_event(here, doc, "failure" if status == "FAILED" else status.lower()),
            "campaignregistrationerrors": [
                {"errorcode": str(error["error_code"]), "errordescription": error["description"],
                 "errorurl": error["url"], "fields": error["fields"]} for error in errors
            ],
        })


# ── toll-free verification ───────────────────────────────────────────────────────────────────────────────────────

TOLLFREE_NEEDS = (
    "BusinessName", "BusinessWebsite", "NotificationEmail", "UseCaseCategories", "UseCaseSummary",
    "ProductionMessageSample", "OptInImageUrls", "OptInType", "MessageVolume", "TollfreePhoneNumberSid",
)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _tollfree_fields() -> Doc:
    lists = ("UseCaseCategories", "OptInImageUrls")
    return {_snake(name): request.form.getlist(name) if name in lists else field(name) for name in request.form}


@bp.post("/Tollfree/Verifications")
def create_tollfree() -> Response:
    here = carrier()
    required(*TOLLFREE_NEEDS)
    number = fetch_or_404(field("TollfreePhoneNumberSid"), "number")
    if number["type"] != "tollfree":
        raise Refusal(400, 20001, "TollfreePhoneNumberSid does not name a toll-free number")
    sid, now = new_sid("HH"), iso(here.clock.now())
    doc: Doc = {
        **_tollfree_fields(), "sid": sid, "account_sid": here.account_sid, "status": "PENDING_REVIEW",
        "rejection_reason": None, "error_code": None, "edit_allowed": None, "rejection_reasons": None,
        "date_created": now, "date_updated": now, "_number": number["phone_number"],
        "_path": f"/v1/Tollfree/Verifications/{sid}",
    }
    with here.store.write():
        here.store.add("tollfree", doc)
        here.schedule("review_tollfree", sid, here.clock.now() + here.review_seconds("tollfree") / 4, sid=sid)
    return ok(doc, 201)


@bp.get("/Tollfree/Verifications")
def list_tollfree() -> Response:
    wanted = request.args.get("TollfreePhoneNumberSid", "")
    where = "json_extract(data, '$.tollfree_phone_number_sid') = ?" if wanted else ""
    docs, more = listing("tollfree", where=where, args=(wanted,) if wanted else ())
    return modern_page("verifications", docs, more)


@bp.get("/Tollfree/Verifications/<sid>")
def show_tollfree(sid: str) -> Response:
    return ok(fetch_or_404(sid, "tollfree"))


@bp.post("/Tollfree/Verifications/<sid>")
def update_tollfree(sid: str) -> Response:
    here = carrier()
    with here.store.write():
        doc = fetch_or_404(sid, "tollfree")
        if doc["status"] != "TWILIO_REJECTED":
            raise Refusal(400, 20001, "Only a rejected verification can be edited")
        doc = here.store.change(sid, **_tollfree_fields(), status="PENDING_REVIEW", rejection_reason=None,
                                error_code=None, date_updated=iso(here.clock.now())) or doc
        here.schedule("review_tollfree", sid, here.clock.now() + here.review_seconds("tollfree") / 4, sid=sid)
    return ok(doc)


@bp.delete("/Tollfree/Verifications/<sid>")
def delete_tollfree(sid: str) -> tuple[str, int]:
    fetch_or_404(sid, "tollfree")
    carrier().store.remove(sid)
    return "", 204


@job
def review_tollfree(here: Carrier, at: float, sid: str) -> None:
    doc = here.store.get(sid, "tollfree")
    if doc is None or doc["status"] not in ("PENDING_REVIEW", "IN_REVIEW"):
        return
    if doc["status"] == "PENDING_REVIEW":
        here.store.change(sid, status="IN_REVIEW", date_updated=iso(at))
        here.schedule("review_tollfree", sid, at + here.review_seconds("tollfree") * 3 / 4, sid=sid)
    elif DISALLOWED.search(f"{doc['use_case_summary']} {doc['production_message_sample']}"):
        decide_tollfree(here, doc, "The use case is not allowed on toll-free numbers.")
    else:
        decide_tollfree(here, doc, "")


def decide_tollfree(here: Carrier, doc: Doc, reason: str) -> None:
    with here.store.write():
        here.store.change(
            doc["sid"], status="TWILIO_REJECTED" if reason else "TWILIO_APPROVED", rejection_reason=reason or None,
            error_code=30475 if reason else None, edit_allowed=bool(reason), date_updated=iso(here.clock.now()),
        )


# ── decisions by hand ────────────────────────────────────────────────────────────────────────────────────────────

PENDING: dict[str, tuple[str, tuple[str, ...]]] = {
    "profile": ("status", ("pending-review", "in-review")), "trust": ("status", ("pending-review", "in-review")),
    "brand": ("status", ("PENDING", "IN_REVIEW")), "campaign": ("campaign_status", ("PENDING", "IN_PROGRESS")),
    "tollfree": ("status", ("PENDING_REVIEW", "IN_REVIEW")),
}


def kind_of(here: Carrier, sid: str) -> str:
    row = here.store.row("SELECT kind FROM doc WHERE sid = ?", sid)
    return str(row["kind"]) if row and row["kind"] in PENDING else ""


def drop_reviews(here: Carrier, sid: str) -> None:
    with here.store.write() as db:
        db.execute("DELETE FROM due WHERE lane = ? AND job LIKE 'review%'", (sid,))


def approve(here: Carrier, sid: str) -> bool:
    """Approve a registration at once; False when the id names none."""
    doc, kind = here.store.get(sid), kind_of(here, sid)
    if doc is None or not kind:
        return False
    drop_reviews(here, sid)
    if kind == "brand":
        approve_brand(here, doc)
    elif kind == "campaign":
        approve_campaign(here, doc)
    elif kind == "tollfree":
        decide_tollfree(here, doc, "")
    else:
        set_bundle_status(here, doc, "twilio-approved")
    return True


def reject(here: Carrier, sid: str, errors: list[Doc] | None = None, reason: str = "") -> bool:
    """Reject a registration at once, with given or usual errors; False when the id names none."""
    doc, kind = here.store.get(sid), kind_of(here, sid)
    if doc is None or not kind:
        return False
    drop_reviews(here, sid)
    if kind == "brand":
        fail_brand(here, doc, errors or [TAX_ERROR], ["OTHERS"] if errors else ["TAX_ID"])
    elif kind == "campaign":
        usual = campaign_error(30896, "The message flow does not show how people opt in.", "MESSAGE_FLOW")
        fail_campaign(here, doc, errors or [usual])
    elif kind == "tollfree":
        decide_tollfree(here, doc, reason or "The use case could not be verified.")
    else:
        set_bundle_status(here, doc, "twilio-rejected", reason or "The business could not be verified.")
    return True


def suspend(here: Carrier, sid: str) -> bool:
    """Suspend an approved brand or campaign."""
    doc, kind = here.store.get(sid), kind_of(here, sid)
    if doc is None or kind not in ("brand", "campaign"):
        return False
    drop_reviews(here, sid)
    if kind == "brand":
        here.store.change(sid, status="SUSPENDED", date_updated=iso(here.clock.now()))
    else:
        fail_campaign(here, doc, [campaign_error(30899, "The carriers suspended this campaign.", "USE_CASE")],
                      "SUSPENDED")
    return True


def advance(here: Carrier, sid: str) -> bool:
    """Take a registration's next step now."""
    kind = kind_of(here, sid)
    if not kind:
        return False
    drop_reviews(here, sid)
    name = "review_bundle" if kind in ("profile", "trust") else f"review_{kind}"
    here.schedule(name, sid, sid=sid)
    return True


def registrations(here: Carrier) -> list[dict[str, Any]]:
    """Every registration with what a person needs to decide it, newest first."""
    found = []
    titles = {"profile": "Customer profile", "trust": "Trust product", "brand": "Brand", "campaign": "Campaign",
              "tollfree": "Toll-free number"}
    for kind, (key, open_states) in PENDING.items():
        for doc in here.store.list(kind):
            if kind == "brand":
                name = str(business(here, doc).get("business_name") or "")
            elif kind == "campaign":
                name = USECASES[doc["us_app_to_person_usecase"]][0]
            else:
                name = str(doc.get("friendly_name") or doc.get("_number") or "")
            found.append({
                "sid": doc["sid"], "kind": kind, "title": titles[kind], "name": name, "status": doc[key],
                "pending": doc[key] in open_states, "errors": doc.get("errors") or [],
                "created": doc["date_created"],
            })
    order = {kind: place for place, kind in enumerate(("campaign", "tollfree", "brand", "trust", "profile"))}
    return sorted(found, key=lambda item: order[item["kind"]])
