"""Texts, calls, numbers and registrations through Twilio's REST API and webhooks.

Written against the published API: 2010-04-01 for messages and numbers, v1 for messaging services, registrations
(A2P 10DLC) and trust products. Two facts are documented only in guides and unconfirmed: the policy ids used when the
list of policies does not name them, and the media host's redirect to storage.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Literal, cast
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit, urlunsplit
from xml.sax.saxutils import escape, quoteattr

from inbox import net, phone
from inbox.channels import a2p, prices, twilio_codes
from inbox.channels.base import (
    AccountProblem,
    AvailableNumber,
    BrandRef,
    CallNotice,
    Capabilities,
    ChannelError,
    Credentials,
    Doubtful,
    Event,
    Inbound,
    Issue,
    Keyword,
    Media,
    NumberAddresses,
    NumberTaken,
    Outgoing,
    OwnedNumber,
    PermanentFailure,
    RawRequest,
    Receipt,
    Recording,
    RegistrationNotice,
    RegistrationState,
    RegistrationStatus,
    Ring,
    Sent,
    Status,
    TemporaryFailure,
    Uncertain,
    Unreadable,
    UseCase,
    fitting,
)
from inbox.channels.twilio_codes import explain
from inbox.channels.twilio_refusals import REFUSALS

Fields = list[tuple[str, str]]
Form = Mapping[str, Any]

SEND_TIMEOUT = 15.0
CHECK_TIMEOUT = 5.0
MEDIA_TIMEOUT = 30.0
MEDIA_BYTES = 5 * 1024 * 1024  # a picture, and a whole text with everything in it
FILE_BYTES = 500 * 1024  # any other file
MEDIA_TYPES = frozenset(
    {
        *("image/jpeg", "image/png", "image/gif", "audio/mpeg", "audio/mp4", "audio/ogg", "audio/amr", "video/mp4", "video/webm", "video/quicktime"),
        *("video/3gpp", "video/3gpp2", "text/vcard", "application/pdf"),
    }
)
LIST_PAGES = 10
CLOCKS_DIFFER = timedelta(seconds=5)  # the carrier's from ours; it keeps whole seconds
LOCAL_CENTS, TOLL_FREE_CENTS = 115, 215  # the list price per month in the US
TOLL_FREE = frozenset({"800", "833", "844", "855", "866", "877", "888"})

STATUSES = {
    "accepted": Status.QUEUED,
    "queued": Status.QUEUED,
    "scheduled": Status.SCHEDULED,
    "sending": Status.SENDING,
    "sent": Status.SENT,
    "partially_delivered": Status.SENT,
    "delivered": Status.DELIVERED,
    "read": Status.READ,
    "undelivered": Status.UNDELIVERED,
    "failed": Status.FAILED,
    "canceled": Status.CANCELED,
}
# What hidden callers arrive as: the letters of ANONYMOUS, RESTRICTED, BLOCKED, UNKNOWN and UNAVAILABLE on a keypad.
HIDDEN_CALLERS = frozenset({"+266696687", "+7378742833", "+2562533", "+8656696", "+86282452253"})

_HASHES = {"HMAC_SHA1": hashlib.sha1, "HMAC_SHA256": hashlib.sha256}
_EVENTS = "com.twilio.messaging.compliance."
_NOTICES = (
    *("brand-registration.brand-registered", "brand-registration.brand-failure", "brand-registration.brand-verified"),
    *("brand-registration.brand-unverified", "brand-registration.brand-vetted-verified"),
    *("campaign-registration.campaign-submitted", "campaign-registration.campaign-approved"),
    "campaign-registration.campaign-failure",
)
_PROFILE_POLICY = "RNdfbf3fae0e1107f8aded0e7cead80bf5"
_TRUST_POLICY = "RNb0d4771c2c98518d916a3d4cd70a8f8b"
_BRAND_STATES: dict[str, RegistrationState] = {
    "PENDING": "submitted",
    "IN_REVIEW": "in_review",
    "APPROVED": "approved",
    "FAILED": "rejected",
    "SUSPENDED": "suspended",
    "DELETION_PENDING": "expired",
    "DELETION_FAILED": "expired",
}
_CAMPAIGN_STATES: dict[str, RegistrationState] = {
    "PENDING": "submitted",
    "IN_PROGRESS": "in_review",
    "VERIFIED": "approved",
    "FAILED": "rejected",
    "SUSPENDED": "suspended",
    "EXPIRED": "expired",
    "DELETED": "expired",
}
_COMPANY_TYPES = {
    "PRIVATE_PROFIT": ("private", "Limited Liability Corporation"),
    "PUBLIC_PROFIT": ("public", "Corporation"),
    "NON_PROFIT": ("non-profit", "Non-profit Corporation"),
    "GOVERNMENT": ("government", "Non-profit Corporation"),
}
_INDUSTRIES = {
    "COMMUNICATION": "TELECOMMUNICATIONS",
    "ENTERTAINMENT": "MEDIA",
    "GAMBLING": "CONSUMER",
    "HUMAN_RESOURCES": "PROFESSIONAL_SERVICES",
    "NGO": "NOT_FOR_PROFIT",
    "POLITICAL": "NOT_FOR_PROFIT",
    "POSTAL": "TRANSPORTATION",
    "PROFESSIONAL": "PROFESSIONAL_SERVICES",
}
_ACCOUNT_SID = re.compile(r"AC[0-9a-fA-F]{32}")
_EMPTY_TWIML = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _moment(value: object) -> datetime | None:
    try:
        return parsedate_to_datetime(str(value))
    except (TypeError, ValueError):
        return None


def _without_nul(value: str) -> str:
    """Text a database can keep: without NUL, and without half of a pair (JSON can say both)."""
    return value.replace("\x00", "�").encode("utf-8", "replace").decode()


# -- requests ----------------------------------------------------------------------------------------------------


def _request(
    credentials: Credentials, method: str, url: str, data: Fields | None = None, timeout: float = net.TIMEOUT
) -> net.Response:
    """One call with the account's credentials; how it can fail without an answer is told apart here."""
    try:
        return net.request(
            method,
            url,
            auth=(credentials.account_sid, credentials.auth_token),
            data=data,
            headers={"Accept": "application/json"},
            timeout=timeout,
            allow_private=credentials.trusted_origins,
        )
    except net.ConnectFailed as error:
        raise TemporaryFailure(f"The carrier can't be reached. {error}") from error
    except net.Unknown as error:
        if method == "POST":
            raise Uncertain(f"The carrier did not confirm it. {error}") from error
        raise TemporaryFailure(f"The carrier did not answer. {error}") from error
    except net.Refused as error:
        raise PermanentFailure(f"The carrier's address can't be used. {error}") from error


def _retry_after(response: net.Response) -> float | None:
    value = response.headers.get("retry-after", "").strip()
    return float(value) if value.isascii() and value.isdigit() else None


def _failure(response: net.Response, method: str) -> Exception:
    """What an answer of 300 and above means."""
    body = response.json()
    answer = body if isinstance(body, dict) else {}
    code = str(answer["code"]) if isinstance(answer.get("code"), int) else None
    told = str(answer.get("message") or "").strip()
    known = code in twilio_codes.WORDS
    reason = explain(code) if known else told or f"The carrier answered with status {response.status}."
    if method == "POST" and code is not None and response.status >= 500 and response.status != 503:
        return Doubtful(explain("20500"), code, _retry_after(response))  # the carrier gave up, but does not say how far it came
    if response.status == 429 or response.status == 503 or code in twilio_codes.TRY_LATER:
        fallback = "20429" if response.status == 429 else "20503"
        return TemporaryFailure(reason if known else explain(fallback), code or fallback, _retry_after(response), tomorrow=code in twilio_codes.DAILY_CAP)
    if response.status >= 500:
        if method != "POST":
            return TemporaryFailure(explain("20500"), code or "20500", _retry_after(response))
        # No error object: it may come from a gateway after the request went through.
        return Uncertain(f"The carrier answered with status {response.status}.")
    if response.status in (401, 403) or code in twilio_codes.ACCOUNT:
        return AccountProblem(explain(code or "20003"), code or "20003")
    if code == twilio_codes.NUMBER_GONE:
        return NumberTaken(reason, code)
    return PermanentFailure(reason, code or str(response.status), opted_out=code == twilio_codes.OPTED_OUT)


def _call(
    credentials: Credentials, method: str, url: str, data: Fields | None = None, timeout: float = net.TIMEOUT
) -> dict[str, Any]:
    """A call whose answer is a JSON object (empty for 204)."""
    response = _request(credentials, method, url, data, timeout)
    if response.status >= 300:
        raise _failure(response, method)
    answer = response.json()
    if isinstance(answer, dict):
        return answer
    if response.status == 204 or method == "DELETE":
        return {}
    if method == "POST":
        raise Uncertain("The carrier's answer can't be read.")
    raise TemporaryFailure("The carrier's answer can't be read.")


def _sid(answer: Mapping[str, Any]) -> str:
    sid = answer.get("sid")
    if not isinstance(sid, str) or not sid:
        raise Uncertain("The carrier's answer holds no id.")
    return sid


def _account(credentials: Credentials, path: str) -> str:
    return f"{credentials.api_base.rstrip('/')}/2010-04-01/Accounts/{quote(credentials.account_sid)}/{path}"


def _messaging(credentials: Credentials, path: str) -> str:
    return f"{credentials.messaging_base.rstrip('/')}/v1/{path}"


def _trusthub(credentials: Credentials, path: str) -> str:
    return f"{credentials.trusthub_base.rstrip('/')}/v1/{path}"


def _events(credentials: Credentials, path: str) -> str:
    """The events host: next to the messaging host at Twilio, the same server for a test carrier."""
    base = re.sub(r"^(https://)messaging\.", r"\1events.", credentials.messaging_base.rstrip("/"))
    return f"{base}/v1/{path}"


def _rows(credentials: Credentials, url: str, key: str, timeout: float = net.TIMEOUT) -> Iterator[dict[str, Any]]:
    """The items of a list over its pages; pages elsewhere than on the list's own host are not followed."""
    home = urlsplit(url)
    for _ in range(LIST_PAGES):
        answer = _call(credentials, "GET", url, timeout=timeout)
        rows = answer.get(key)
        yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
        meta = answer.get("meta")
        following = answer.get("next_page_uri") or (meta.get("next_page_url") if isinstance(meta, dict) else None)
        if not isinstance(following, str) or not following:
            return
        parts = urlsplit(following)
        url = urlunsplit((home.scheme, home.netloc, parts.path, parts.query, ""))


# -- signatures --------------------------------------------------------------------------------------------------


def _algorithm(settings: str) -> str:
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def _url_variants(url: str) -> list[str]:
    """The address with and without its port: the sender is not consistent about it."""
    parts = urlsplit(url)._replace(fragment="")
    user, at, host = parts.netloc.rpartition("@")
    if parts.port is None:
        other = f"{host}:{443 if parts.scheme == 'https' else 80}"
    else:
        other = host.removesuffix(f":{parts.port}")
    return [urlunsplit(parts), urlunsplit(parts._replace(netloc=f"{user}{at}{other}"))]


def _signed_fields(request: RawRequest) -> str:
    values: dict[str, set[str]] = {}
    for name, value in request.form():
        values.setdefault(name, set()).add(value)
    return "".join(name + value for name in sorted(values) for value in sorted(values[name]))


def _is_form(request: RawRequest) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/x-www-form-urlencoded"


# -- what comes in -----------------------------------------------------------------------------------------------


def _number(value: str) -> str:
    """A sender or recipient as E.164 where it is one; short codes, names and prefixed addresses stay as they are."""
    return phone.normalize(value) or value.strip() if value.startswith("+") else value.strip()


def _integer(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 10 else None


def _call_notice(request: RawRequest, fields: dict[str, str]) -> list[Event]:
    if "TranscriptionSid" in fields:
        return []  # never asked for, so nothing waits for it
    sid, dial, parent = fields["CallSid"], fields.get("DialCallStatus"), fields.get("ParentCallSid")
    recording = _recording(fields)
    if "RecordingSid" in fields and recording is None and not dial:
        return []  # the file is not there yet, or it holds nothing
    status = dial or fields.get("CallStatus") or ("completed" if recording else "")
    if not status:
        raise Unreadable("The call has no status.")
    duration = fields.get("DialCallDuration") if dial else fields.get("CallDuration")
    sender = _number(fields.get("From") or fields.get("Caller") or "")
    hidden = parent or sender in HIDDEN_CALLERS or not any(char.isdigit() for char in sender)
    refs = parse_qs(urlsplit(request.url).query).get("ref")
    if recording:
        dedupe = f"{sid}:recording:{recording.sid}"
    else:
        dedupe = f"{sid}:dial:{status}" if dial else f"{sid}:{status}"
    return [
        CallNotice(
            dedupe=dedupe,
            call_sid=parent or sid,
            sender="" if hidden else sender,
            to="" if parent else _number(fields.get("To") or fields.get("Called") or ""),
            status=status,
            duration=_integer(duration),
            forward=bool(dial or parent),
            recording=recording,
            outgoing=fields.get("Direction", "").startswith("outbound") and not parent,
            ref=refs[0] if refs else None,
        )
    ]


def _recording(fields: dict[str, str]) -> Recording | None:
    """The finished recording a request brings; None while there is none, or when nothing was said."""
    sid, url, seconds = fields.get("RecordingSid"), fields.get("RecordingUrl"), _integer(fields.get("RecordingDuration"))
    if not sid or not url or not seconds or fields.get("RecordingStatus") != "completed":
        return None
    return Recording(sid, url, seconds)


def _receipt(request: RawRequest, sid: str, fields: dict[str, str], status: str) -> Receipt:
    query = parse_qs(urlsplit(request.url).query)
    refs = query.get("m") or query.get("ref")
    code = fields.get("ErrorCode") or None
    code = None if code == "0" else code
    return Receipt(
        dedupe=f"{sid}:{status}",
        provider_id=sid,
        ref=refs[0] if refs else None,
        status=STATUSES.get(status, Status.UNKNOWN),
        error_code=code,
        error_text=(explain(code) if code in twilio_codes.WORDS else fields.get("ErrorMessage") or explain(code))
        if code
        else None,
        occurred_at=None,
    )


def _media(fields: dict[str, str]) -> tuple[Media, ...]:
    found = []
    for place in range(20):
        if url := fields.get(f"MediaUrl{place}"):
            kind = fields.get(f"MediaContentType{place}", "").partition(";")[0].strip().lower()
            found.append(Media(url, kind or "application/octet-stream"))
    return tuple(found)


def _inbound(sid: str, fields: dict[str, str]) -> Inbound:
    sender = fields.get("From", "").strip()
    if not sender:
        raise Unreadable("The text has no sender.")
    text = fields.get("Body", "")
    told = fields.get("OptOutType", "").strip().upper()
    keyword = cast(Keyword, told) if told in ("STOP", "START", "HELP") else phone.keyword(text)
    return Inbound(
        dedupe=sid,
        provider_id=sid,
        sender=_number(sender),
        to=_number(fields.get("To", "")),
        text=text,
        media=_media(fields),
        occurred_at=None,
        keyword=keyword,
        raw=dict(fields),
        answered=bool(told),
    )


def _cloud_event(event: dict[str, Any]) -> RegistrationNotice | None:
    kind_of_event = str(event.get("type") or "")
    if not kind_of_event.startswith(_EVENTS):
        return None
    topic, _, what = kind_of_event.removeprefix(_EVENTS).partition(".")
    data = event.get("data")
    fields = {key.lower().replace("_", ""): value for key, value in (data if isinstance(data, dict) else {}).items()}
    kind: Literal["brand", "campaign"]
    if topic == "brand-registration":
        kind, sid, status = "brand", fields.get("brandsid"), fields.get("brandstatus")
    elif topic == "campaign-registration":
        # The event's own campaign id is not the one the registration API gives out, its messaging service is.
        kind, status = "campaign", fields.get("campaignregistrationstatus")
        sid = fields.get("messagingservicesid") or fields.get("campaignsid")
    else:
        return None
    if not sid:
        return None
    dedupe = str(event.get("id") or f"{sid}:{kind_of_event}:{event.get('time') or status}")
    return RegistrationNotice(_without_nul(dedupe), _without_nul(str(sid)), kind, _without_nul(str(status or what)))


def _cloud_events(body: bytes) -> list[Event]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("The body is not valid JSON.") from None
    events = parsed if isinstance(parsed, list) else [parsed]
    if not all(isinstance(event, dict) for event in events):
        raise Unreadable("The body holds no events.")
    # One event of a kind not known here must not lose the others.
    return [notice for notice in map(_cloud_event, events) if notice is not None]


# -- registration ------------------------------------------------------------------------------------------------


def _registration_issues(answer: Mapping[str, Any]) -> tuple[Issue, ...]:
    """The carriers' errors at our form fields."""
    issues: list[Issue] = []
    errors = answer.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if not isinstance(error, dict):
            continue
        code = str(error.get("error_code") or error.get("code") or "")
        known = REFUSALS.get(code)
        message = known.sentence if known else str(error.get("description") or explain(code))
        names = error.get("fields")
        named = [a2p.our_field(str(name)) for name in names] if isinstance(names, list) else []
        fields: list[str | None] = [field for field in named if field] or [known.field if known else None]
        issues += [Issue(field, code, message, known.change if known else "") for field in dict.fromkeys(fields)]
    feedback = answer.get("brand_feedback")
    if not issues and isinstance(feedback, list):
        for name in map(str, feedback):
            known = REFUSALS.get(name)
            field, message, change = known or (a2p.our_field(name), "This does not match the official records.", "")
            issues.append(Issue(field, name, message, change))
    if not issues and (reason := answer.get("failure_reason")):
        issues.append(Issue(None, "", str(reason)))
    return tuple(issues)


def _limits(brand: Mapping[str, Any], campaign: Mapping[str, Any]) -> dict[str, Any]:
    """What a verified campaign may send: the carriers' numbers where they are told, else what follows from the brand's score.

    AT&T's number is for one carrier; class T stands for 1.25 and is told in whole numbers, so that it follows from the table.
    """
    rates = campaign.get("rate_limits")
    told = {name: rates.get(name) if isinstance(rates, dict) else None for name in ("att", "tmobile")}
    att, tmobile = ({} if not isinstance(row, dict) else row for row in told.values())
    mps, score = att.get("mps"), brand.get("brand_score")
    each = float(mps) if isinstance(mps, int | float) and 0 < mps < 100_000 and att.get("msg_class") != "T" else None
    return a2p.limits(
        str(campaign.get("us_app_to_person_usecase") or ""),
        score if isinstance(score, int) and 0 <= score <= 100 else None,
        mps=each * a2p.CARRIERS if each else None,
        tier=str(tmobile.get("brand_tier") or "").upper()[:20],
        alone=brand.get("brand_type") == "SOLE_PROPRIETOR",
        russell=brand.get("russell_3000") is True,
        government=brand.get("government_entity") is True,
    )


def _evaluation_issues(answer: Mapping[str, Any]) -> tuple[Issue, ...]:
    """The fields an evaluation found wrong."""
    issues = []
    results = answer.get("results")
    for result in results if isinstance(results, list) else []:
        if not isinstance(result, dict) or result.get("passed") is True:
            continue
        invalid = result.get("invalid")
        for item in invalid if isinstance(invalid, list) else []:
            if isinstance(item, dict):
                name = str(item.get("object_field") or item.get("requirement_name") or "")
                message = str(item.get("failure_reason") or item.get("friendly_name") or "This is not accepted.")
                issues.append(Issue(a2p.our_field(name), str(item.get("error_code") or ""), message))
        if not invalid:
            message = str(result.get("failure_reason") or "")
            if message:
                name = str(result.get("object_field") or result.get("requirement_name") or "")
                issues.append(Issue(a2p.our_field(name), str(result.get("error_code") or ""), message))
    return tuple(issues)


def _business(brand: Form) -> dict[str, str]:
    vertical = a2p.text(brand, "brand_vertical")
    country = a2p.text(brand, "brand_country").upper()
    kind = a2p.text(brand, "brand_type")
    return {
        "business_name": a2p.text(brand, "brand_legal_name"),
        "business_identity": "direct_customer",
        "business_type": _COMPANY_TYPES.get(kind, _COMPANY_TYPES["PRIVATE_PROFIT"])[1],
        "business_industry": "GOVERNMENT" if kind == "GOVERNMENT" else _INDUSTRIES.get(vertical, vertical),
        "business_registration_identifier": "EIN" if country == "US" else "Other",
        "business_registration_number": a2p.text(brand, "brand_ein"),
        "business_regions_of_operation": "USA_AND_CANADA",
        "website_url": a2p.text(brand, "brand_website"),
        "social_media_profile_urls": "",
    }


def _representative(brand: Form) -> dict[str, str]:
    number = a2p.text(brand, "contact_phone")
    return {
        "first_name": a2p.text(brand, "contact_first_name"),
        "last_name": a2p.text(brand, "contact_last_name"),
        "email": a2p.text(brand, "contact_email"),
        "phone_number": phone.normalize(number, a2p.text(brand, "brand_country").upper() or "US") or number,
        "business_title": a2p.text(brand, "contact_title"),
        "job_position": "Other",
    }


def _company(brand: Form) -> dict[str, str]:
    kind = _COMPANY_TYPES.get(a2p.text(brand, "brand_type"), _COMPANY_TYPES["PRIVATE_PROFIT"])[0]
    profile = {"company_type": kind, "brand_contact_email": a2p.text(brand, "contact_email")}
    for name in ("stock_exchange", "stock_ticker"):
        if value := a2p.text(brand, f"brand_{name}"):
            profile[name] = value
    return profile


def _address(brand: Form) -> Fields:
    return [
        ("CustomerName", a2p.text(brand, "brand_legal_name")),
        ("Street", a2p.text(brand, "brand_address_street")),
        ("City", a2p.text(brand, "brand_address_city")),
        ("Region", a2p.text(brand, "brand_address_region")),
        ("PostalCode", a2p.text(brand, "brand_address_postal")),
        ("IsoCountry", a2p.text(brand, "brand_country").upper()),
    ]


def _campaign(campaign: Form) -> Fields:
    """The fields a campaign is made and changed with."""
    fields: Fields = [
        ("Description", a2p.text(campaign, "description")),
        ("MessageFlow", a2p.text(campaign, "message_flow")),
        *(("MessageSamples", sample) for sample in a2p.samples(campaign).values()),
        ("HasEmbeddedLinks", _flag(a2p.yes(campaign, "has_embedded_links"))),
        ("HasEmbeddedPhone", _flag(a2p.yes(campaign, "has_embedded_phone"))),
    ]
    for name, ours in (("PrivacyPolicyUrl", "privacy_url"), ("TermsAndConditionsUrl", "terms_url")):
        if value := a2p.text(campaign, ours):
            fields.append((name, value))
    return fields


def _campaign_replies(campaign: Form) -> Fields:
    """The fields only a new campaign takes: what people text and what they get back."""
    fields: Fields = []
    for kind in ("In", "Out"):
        if value := a2p.text(campaign, f"opt_{kind.lower()}_message"):
            fields.append((f"Opt{kind}Message", value))
        fields += [(f"Opt{kind}Keywords", word) for word in a2p.keywords(campaign, f"opt_{kind.lower()}_keywords")]
    if value := a2p.text(campaign, "help_message"):
        fields.append(("HelpMessage", value))
    fields += [("HelpKeywords", word) for word in a2p.keywords(campaign, "help_keywords")]
    return fields


class _BrandSteps:
    """A brand submission that skips what an earlier try already made; sids is filled in as it goes."""

    def __init__(self, credentials: Credentials, brand: Form, sids: BrandRef, save: Callable[[], None]) -> None:
        self.credentials = credentials
        self.brand = brand
        self.sids = sids
        self.save = save
        self.name = a2p.text(brand, "brand_legal_name")

    def made(self, step: str, make: Callable[[], str]) -> str:
        if step not in self.sids:
            self.sids[step] = make()
            self.save()
        return self.sids[step]

    def post(self, path: str, *data: tuple[str, str]) -> dict[str, Any]:
        return _call(self.credentials, "POST", _trusthub(self.credentials, path), list(data))

    def policies(self) -> None:
        if "profile_policy" in self.sids and "trust_policy" in self.sids:
            return
        listed = list(_rows(self.credentials, _trusthub(self.credentials, "Policies?PageSize=100"), "results"))
        names = {str(row.get("sid")): str(row.get("friendly_name") or "").lower() for row in listed}

        def pick(known: str, *words: str) -> str:
            named = [sid for sid, name in names.items() if all(word in name for word in words)]
            return known if known in names or not named else named[0]

        self.sids["profile_policy"] = pick(_PROFILE_POLICY, "secondary", "business")
        self.sids["trust_policy"] = pick(_TRUST_POLICY, "a2p")
        self.save()

    def bundle(self, step: str, resource: str, label: str, policy: str) -> str:
        return self.made(
            step,
            lambda: _sid(
                self.post(
                    resource,
                    ("FriendlyName", f"{self.name} {label}"[:64]),
                    ("Email", a2p.text(self.brand, "contact_email")),
                    ("PolicySid", self.sids[policy]),
                )
            ),
        )

    def end_user(self, step: str, kind: str, attributes: dict[str, str]) -> str:
        fields = (("FriendlyName", f"{self.name} {step}"[:64]), ("Attributes", json.dumps(attributes)))
        return self.made(step, lambda: _sid(self.post("EndUsers", *fields, ("Type", kind))))

    def address(self) -> dict[str, str]:
        """What the address document says: the id of an entry in the account's address book.

        A carrier without an address book gets the address itself.
        """
        url = _account(self.credentials, "Addresses.json")
        try:
            sid = self.made("address", lambda: _sid(_call(self.credentials, "POST", url, _address(self.brand))))
        except PermanentFailure as error:
            if error.code not in ("20404", "404"):
                raise
            return {re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower(): value for name, value in _address(self.brand)}
        return {"address_sids": sid}

    def document(self) -> str:
        if "document" in self.sids:
            return self.sids["document"]
        fields = (
            ("FriendlyName", f"{self.name} address"[:64]),
            ("Type", "customer_profile_address"),
            ("Attributes", json.dumps(self.address())),
        )
        return self.made("document", lambda: _sid(self.post("SupportingDocuments", *fields)))

    def assign(self, resource: str, bundle: str, step: str) -> None:
        path, target = f"{resource}/{bundle}/EntityAssignments", self.sids[step]

        def put() -> str:
            try:
                return _sid(self.post(path, ("ObjectSid", target)))
            except PermanentFailure:
                # An earlier try may have done it without hearing so.
                for row in _rows(self.credentials, _trusthub(self.credentials, path), "results"):
                    if row.get("object_sid") == target:
                        return _sid(row)
                raise

        self.made(f"{bundle}:{step}", put)

    def submit(self, resource: str, bundle: str, policy: str) -> None:
        """Have the bundle checked and hand it in."""
        if self.sids.get(f"{bundle}:submitted"):
            return
        result = self.post(f"{resource}/{bundle}/Evaluations", ("PolicySid", self.sids[policy]))
        if result.get("status") == "noncompliant":
            issues = _evaluation_issues(result)
            reason = issues[0].message if issues else "The carrier found the business details incomplete."
            raise PermanentFailure(reason, issues=issues)
        self.post(f"{resource}/{bundle}", ("Status", "pending-review"))
        self.sids[f"{bundle}:submitted"] = "yes"
        self.save()

    def profile(self) -> str:
        profile = self.bundle("profile", "CustomerProfiles", "profile", "profile_policy")
        self.end_user("business", "customer_profile_business_information", _business(self.brand))
        self.end_user("representative", "authorized_representative_1", _representative(self.brand))
        self.document()
        for step in ("business", "representative", "document"):
            self.assign("CustomerProfiles", profile, step)
        self.submit("CustomerProfiles", profile, "profile_policy")
        return profile

    def trust_product(self) -> str:
        product = self.bundle("trust", "TrustProducts", "A2P", "trust_policy")
        self.end_user("messaging", "us_a2p_messaging_profile_information", _company(self.brand))
        for step in ("messaging", "profile"):
            self.assign("TrustProducts", product, step)
        self.submit("TrustProducts", product, "trust_policy")
        return product

    def register(self) -> None:
        self.policies()
        profile, product = self.profile(), self.trust_product()
        url = _messaging(self.credentials, "a2p/BrandRegistrations")

        def create() -> str:
            # A brand costs money: one made by a try whose answer was lost is found, not made again.
            for row in _rows(self.credentials, f"{url}?PageSize=100", "data"):
                if row.get("customer_profile_bundle_sid") == profile and row.get("a2p_profile_bundle_sid") == product:
                    return _sid(row)
            fields = [
                ("CustomerProfileBundleSid", profile),
                ("A2PProfileBundleSid", product),
                ("BrandType", "STANDARD"),
            ]
            return _sid(_call(self.credentials, "POST", url, fields))

        self.made("brand", create)

    def correct(self) -> None:
        """Write the changed form into the pieces that exist, hand them in again and have the brand looked at again."""
        updates = (
            ("business", _business(self.brand)),
            ("representative", _representative(self.brand)),
            ("messaging", _company(self.brand)),
        )
        for step, attributes in updates:
            if sid := self.sids.get(step):
                self.post(f"EndUsers/{sid}", ("Attributes", json.dumps(attributes)))
        if sid := self.sids.get("address"):
            fields = [(name, value) for name, value in _address(self.brand) if name != "IsoCountry"]
            _call(self.credentials, "POST", _account(self.credentials, f"Addresses/{sid}.json"), fields)
        if sid := self.sids.get("brand"):
            _call(self.credentials, "POST", _messaging(self.credentials, f"a2p/BrandRegistrations/{sid}"), [])


def _response(verbs: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?><Response>{verbs}</Response>'.encode()


def _dial(to: str, caller_id: str, action_url: str, seconds: int, progress_url: str) -> str:
    attributes = f"action={quoteattr(action_url)} callerId={quoteattr(caller_id)}"
    progress = f' statusCallback={quoteattr(progress_url)} statusCallbackEvent="answered"' if progress_url else ""
    return f'<Dial {attributes} answerOnBridge="true" timeout="{seconds}"><Number{progress}>{escape(to)}</Number></Dial>'


class Twilio:
    """The adapter for texts."""

    key = "sms"
    kind = "twilio"
    label = "Twilio"
    hooks = dict.fromkeys(("messages", "status", "voice", "dial", "recording", "call", "events"), frozenset({"POST"}))
    caps = Capabilities(
        text_limit=1600,
        segmented=True,
        media_types=MEDIA_TYPES,
        max_media=10,
        max_media_bytes=MEDIA_BYTES,
        max_file_bytes=FILE_BYTES,
        max_total_bytes=MEDIA_BYTES,
        can_initiate=True,
        receipts=frozenset({"sent", "delivered", "failed", "undelivered"}),
        handles_optout=True,
    )

    # -- webhooks --

    def verify(self, credentials: Credentials, request: RawRequest, public_url: str) -> bool:
        """Whether the provider signed this request for this address (the full public one, with its query)."""
        given = request.headers.get("x-twilio-signature", "").strip().encode("utf-8", "replace")
        hashing = _HASHES.get(_algorithm(request.headers.get("x-twilio-webhooks-signature-settings", "")))
        if not given or hashing is None or not credentials.auth_token:
            return False
        try:
            variants, query = _url_variants(public_url), parse_qs(urlsplit(public_url).query)
        except ValueError:
            return False
        fields = _signed_fields(request) if _is_form(request) else ""
        intact = True
        if request.body and not _is_form(request):
            named = (query.get("bodySHA256") or [""])[0].lower().encode("utf-8", "replace")
            intact = hmac.compare_digest(hashlib.sha256(request.body).hexdigest().encode(), named)
        matches = False
        for url in variants:
            signed = (url + fields).encode("utf-8", "replace")
            made = base64.b64encode(hmac.new(credentials.auth_token.encode(), signed, hashing).digest())
            matches |= hmac.compare_digest(made, given)
        return intact and matches

    def meant_for(self, credentials: Credentials, request: RawRequest) -> bool:
        """Whether the account the body names, if it names one, is this one."""
        return all(value == credentials.account_sid for name, value in request.form() if name == "AccountSid")

    def parse(self, request: RawRequest) -> list[Event]:
        """What a request tells, as events; unknown parameters are ignored, a body without sense is Unreadable.

        A receipt's ref is the callback address's query parameter m (or ref). For a call, the outcome of forwarding
        it ("no-answer" in a dial action) is one notice and the end of the whole call ("completed") is another. A
        campaign's notice names its messaging service.
        """
        if not _is_form(request) and request.body.lstrip()[:1] in (b"[", b"{"):
            return _cloud_events(request.body)
        fields: dict[str, str] = {}
        for name, value in request.form():
            fields.setdefault(_without_nul(name), _without_nul(value))
        if not fields:
            raise Unreadable("The request holds no fields.")
        if fields.get("CallSid"):
            return fitting(_call_notice(request, fields))
        sid = fields.get("MessageSid") or fields.get("SmsSid") or fields.get("SmsMessageSid")
        if not sid:
            raise Unreadable("The request names no message and no call.")
        status = (fields.get("MessageStatus") or fields.get("SmsStatus") or "").strip().lower()
        if status and status not in ("received", "receiving"):
            return fitting([_receipt(request, sid, fields, status)])
        return fitting([_inbound(sid, fields)])

    def ack(self, kind: str) -> tuple[int, str, bytes]:
        """The answer (status, content type, body) to a stored request: empty TwiML, or nothing for events."""
        if kind == "events":
            return 204, "text/plain", b""
        return 200, "text/xml; charset=utf-8", _EMPTY_TWIML

    def probe(self, credentials: Credentials, hook: str, nonce: str) -> RawRequest:
        """A harmless request signed as the provider signs, to try our own address with."""
        body = urlencode([("AccountSid", credentials.account_sid), ("Nonce", nonce)]).encode()
        request = RawRequest("POST", hook, {"content-type": "application/x-www-form-urlencoded"}, body)
        made = hmac.new(credentials.auth_token.encode(), (hook + _signed_fields(request)).encode(), hashlib.sha1).digest()
        return replace(request, headers={**request.headers, "x-twilio-signature": base64.b64encode(made).decode()})

    def check(self, credentials: Credentials) -> Issue | None:
        """What is wrong with the credentials, at the field it is wrong in; None when the carrier takes them and the account is active."""
        if not _ACCOUNT_SID.fullmatch(credentials.account_sid):
            return Issue("account_sid", "format", "The account SID starts with AC, followed by 32 digits and letters a to f. This one does not.")
        try:
            response = _request(credentials, "GET", _account(credentials, "").removesuffix("/") + ".json", timeout=CHECK_TIMEOUT)
        except ChannelError as error:
            return Issue("api_base", "unreachable", str(error))
        answer = response.json()
        told = answer if isinstance(answer, dict) else {}
        code, status = str(told.get("code") or ""), str(told.get("status") or "")
        if code == "20005" or status in ("suspended", "closed"):
            return Issue(None, "suspended", f"The carrier account is {status or 'not active'}. Nothing can be sent until that is settled with the carrier.")
        if response.status == 404:
            return Issue("account_sid", "unknown", "The carrier does not know this account SID.")
        if response.status in (401, 403):
            return Issue("auth_token", "auth", "The carrier does not accept the auth token for this account SID. It may have been replaced, or belong to another account.")
        if response.status in (429, 503):
            return Issue("api_base", "busy", "The carrier is too busy to answer. Try again in a minute.")
        if response.status != 200 or not told.get("sid"):
            return Issue("api_base", "address", f"A server answers with status {response.status}, but not as the carrier does.")
        if told["sid"] != credentials.account_sid:
            return Issue("account_sid", "other", "The auth token belongs to another account than this SID.")
        return None

    # -- texts --

    def price(self, to: str, segments: int, files: int) -> int:
        """What the carrier charges for a text, in millionths of a dollar, before it says so itself."""
        return prices.price(to, segments, files)

    def send(self, credentials: Credentials, outgoing: Outgoing) -> Sent:
        """Hand a text to the carrier, once: Uncertain means it may be on its way, so look with find first."""
        fields: Fields = [("To", outgoing.to), ("From", outgoing.sender)]
        if outgoing.text:
            fields.append(("Body", outgoing.text))
        fields += [("MediaUrl", url) for url in outgoing.media_urls]
        if outgoing.status_callback:
            fields.append(("StatusCallback", outgoing.status_callback))
        answer = _call(credentials, "POST", _account(credentials, "Messages.json"), fields, SEND_TIMEOUT)
        return self._sent(answer)

    def _sent(self, answer: Mapping[str, Any]) -> Sent:
        count = _integer(str(answer.get("num_segments") or ""))
        status = STATUSES.get(str(answer.get("status")), Status.QUEUED)
        return Sent(_sid(answer), status, count or None, prices.told(answer))

    def find(self, credentials: Credentials, outgoing: Outgoing, since: datetime, known: Collection[str] = ()) -> Sent | None:
        """The first text the carrier took since then, if it did: same sender, recipient, words and number of files; `known` are ids of other texts.

        No date filter goes to the carrier: it compares the sending date, which a waiting text does not have yet.
        """
        query = urlencode({"To": outgoing.to, "From": outgoing.sender, "PageSize": "100"})
        earliest = since.replace(microsecond=0) - CLOCKS_DIFFER
        found: dict[str, Any] | None = None
        for row in _rows(credentials, _account(credentials, f"Messages.json?{query}"), "messages"):
            created = _moment(row.get("date_created"))
            if created is not None and created < earliest:
                break
            if self._matches(row, outgoing) and row.get("sid") not in known:
                found = row
        return self._sent(found) if found else None

    def _matches(self, row: Mapping[str, Any], outgoing: Outgoing) -> bool:
        return (
            row.get("direction") == "outbound-api"
            and row.get("to") == outgoing.to
            and row.get("from") == outgoing.sender
            and str(row.get("body") or "").strip() == outgoing.text.strip()
            and str(row.get("num_media") or "0") == str(len(outgoing.media_urls))
        )

    def fetch_media(self, credentials: Credentials, url: str) -> tuple[bytes, str]:
        """A received file and the content type the carrier claims; only ever from the account's own media."""
        own = urlsplit(_account(credentials, "")).path
        try:
            at_home, path = net.origin(url) == net.origin(credentials.api_base), urlsplit(url).path
        except (net.Refused, ValueError) as error:
            raise PermanentFailure("The file has no usable address.") from error
        if not at_home or not path.startswith(own) or ".." in unquote(path):
            raise PermanentFailure("The file is not on the carrier's own server.")
        try:
            response = net.request(
                "GET",
                url,
                auth=(credentials.account_sid, credentials.auth_token),
                timeout=MEDIA_TIMEOUT,
                max_bytes=MEDIA_BYTES,
                allow_private=credentials.trusted_origins,
            )
        except net.TooLarge as error:
            raise PermanentFailure("The file is larger than 5 MB.", "11751") from error
        except net.Refused as error:
            raise PermanentFailure(f"The file's address can't be used. {error}") from error
        except net.NetError as error:
            raise TemporaryFailure(f"The file could not be fetched. {error}") from error
        if response.status >= 300:
            raise _failure(response, "GET")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return response.body, kind or "application/octet-stream"

    # -- numbers --

    def search_numbers(
        self, credentials: Credentials, area_code: str, prefix: str = "", limit: int = 5, page: int = 0
    ) -> list[AvailableNumber]:
        """US numbers that can be bought, by area code and optionally the digits that follow it."""
        area_code, prefix = (area_code or "").strip(), (prefix or "").strip()
        if not re.fullmatch(r"[2-9]\d{2}", area_code):
            raise PermanentFailure("An area code has three digits, like 415.")
        if not re.fullmatch(r"\d{0,7}", prefix):
            raise PermanentFailure("The digits after the area code are up to seven, like 555.")
        wanted = min(1000, limit * (page + 1))
        # The carrier offers numbers, not pages: ask for enough and leave out what was shown before.
        query = {"AreaCode": area_code, "SmsEnabled": "true", "PageSize": str(wanted)}
        if prefix:
            query["Contains"] = f"{area_code}{prefix}".ljust(10, "*")
        toll_free = area_code in TOLL_FREE
        path = f"AvailablePhoneNumbers/US/{'TollFree' if toll_free else 'Local'}.json?{urlencode(query)}"
        rows = _call(credentials, "GET", _account(credentials, path)).get("available_phone_numbers")
        listed = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        return [self._available(row, toll_free) for row in listed[limit * page : wanted]]

    def _available(self, row: Mapping[str, Any], toll_free: bool) -> AvailableNumber:
        can = row.get("capabilities")
        abilities = {str(name).lower(): value is True for name, value in can.items()} if isinstance(can, dict) else {}
        return AvailableNumber(
            e164=str(row.get("phone_number") or ""),
            locality=str(row.get("locality") or ""),
            region=str(row.get("region") or ""),
            sms=abilities.get("sms", False),
            mms=abilities.get("mms", False),
            voice=abilities.get("voice", False),
            monthly_cents=TOLL_FREE_CENTS if toll_free else LOCAL_CENTS,
        )

    def _hooks(self, sms_url: str, voice_url: str, status_url: str) -> Fields:
        return [
            ("SmsUrl", sms_url),
            ("SmsMethod", "POST"),
            ("VoiceUrl", voice_url),
            ("VoiceMethod", "POST"),
            ("StatusCallback", status_url),
            ("StatusCallbackMethod", "POST"),
        ]

    def buy_number(
        self, credentials: Credentials, e164: str, sms_url: str, voice_url: str, status_url: str
    ) -> OwnedNumber:
        """Buy a number and point it at us; NumberTaken when somebody was faster."""
        fields = [("PhoneNumber", e164), *self._hooks(sms_url, voice_url, status_url)]
        try:
            answer = _call(
                credentials, "POST", _account(credentials, "IncomingPhoneNumbers.json"), fields, SEND_TIMEOUT
            )
        except Uncertain:
            if owned := self.owned_number(credentials, e164):
                return owned
            raise
        return OwnedNumber(_sid(answer), str(answer.get("phone_number") or e164))

    def owned_number(self, credentials: Credentials, e164: str) -> OwnedNumber | None:
        """The number if the account has it."""
        url = _account(credentials, f"IncomingPhoneNumbers.json?{urlencode({'PhoneNumber': e164})}")
        rows = _rows(credentials, url, "incoming_phone_numbers")
        return next((OwnedNumber(_sid(row), e164) for row in rows if row.get("phone_number") == e164), None)

    def configure_number(
        self, credentials: Credentials, number_sid: str, sms_url: str, voice_url: str, status_url: str
    ) -> None:
        """Point a number of ours at these addresses."""
        url = _account(credentials, f"IncomingPhoneNumbers/{quote(number_sid)}.json")
        none_instead = [("SmsApplicationSid", ""), ("VoiceApplicationSid", "")]  # an application would answer in our place
        _call(credentials, "POST", url, [*none_instead, *self._hooks(sms_url, voice_url, status_url)])

    def number_addresses(self, credentials: Credentials) -> list[NumberAddresses]:
        """Which addresses the account's numbers call; one that an application answers for calls none of ours."""
        rows = _rows(credentials, _account(credentials, "IncomingPhoneNumbers.json?PageSize=1000"), "incoming_phone_numbers", CHECK_TIMEOUT)
        return [
            NumberAddresses(
                sid=_sid(row), e164=str(row.get("phone_number") or ""), sms_url="" if row.get("sms_application_sid") else str(row.get("sms_url") or ""),
                voice_url="" if row.get("voice_application_sid") or row.get("trunk_sid") else str(row.get("voice_url") or ""),
                status_url=str(row.get("status_callback") or ""),
            )
            for row in rows
        ]

    def release_number(self, credentials: Credentials, number_sid: str) -> None:
        """Give a number back; one that is gone already is fine."""
        response = _request(
            credentials, "DELETE", _account(credentials, f"IncomingPhoneNumbers/{quote(number_sid)}.json")
        )
        if response.status >= 300 and response.status != 404:
            raise _failure(response, "DELETE")

    def ensure_service(self, credentials: Credentials, name: str, inbound_url: str, status_url: str) -> str:
        """The id of the messaging service of that name, made or brought up to date."""
        url = _messaging(credentials, "Services")
        fields = [
            ("FriendlyName", name[:64]),
            ("InboundRequestUrl", inbound_url),
            ("InboundMethod", "POST"),
            ("StatusCallback", status_url),
            ("SmartEncoding", "false"),  # what the composer counted is what is sent
        ]
        for row in _rows(credentials, f"{url}?PageSize=100", "services"):
            if row.get("friendly_name") == name[:64]:
                _call(credentials, "POST", f"{url}/{_sid(row)}", fields)
                return _sid(row)
        return _sid(_call(credentials, "POST", url, fields))

    def attach_number(self, credentials: Credentials, service_sid: str, number_sid: str) -> None:
        """Add a number to a messaging service, where its campaign covers it; a number in it already is fine."""
        url = _messaging(credentials, f"Services/{quote(service_sid)}/PhoneNumbers")
        try:
            _call(credentials, "POST", url, [("PhoneNumberSid", number_sid)])
        except PermanentFailure as error:
            if error.code != twilio_codes.ALREADY_ATTACHED:
                raise

    # -- registration --

    def submit_brand(
        self,
        credentials: Credentials,
        brand: Form,
        sids: BrandRef | None = None,
        save: Callable[[BrandRef], None] | None = None,
    ) -> BrandRef:
        """Register the business: profile, people, address, evaluation, trust product, brand.

        sids holds the ids earlier tries made; it is filled in step by step (and handed to save after each), so that
        a broken submission goes on where it stopped even when this raises. The result holds all of them, the brand's
        under "brand". A brand that was turned down is corrected from the form and submitted again.
        """
        made: BrandRef = {} if sids is None else sids
        steps = _BrandSteps(credentials, brand, made, lambda: save(dict(made)) if save else None)
        if "brand" not in made:
            steps.register()
        elif self._brand(credentials, made["brand"]).get("status") == "FAILED":
            steps.correct()
        return made

    def resubmit_brand(self, credentials: Credentials, brand: Form, sids: BrandRef) -> BrandRef:
        """Correct a brand that was turned down and submit it again."""
        _BrandSteps(credentials, brand, sids, lambda: None).correct()
        return sids

    def _brand(self, credentials: Credentials, brand_sid: str) -> dict[str, Any]:
        return _call(credentials, "GET", _messaging(credentials, f"a2p/BrandRegistrations/{quote(brand_sid)}"))

    def _campaigns(self, credentials: Credentials, service_sid: str) -> str:
        return _messaging(credentials, f"Services/{quote(service_sid)}/Compliance/Usa2p")

    def submit_campaign(self, credentials: Credentials, service_sid: str, brand_sid: str, campaign: Form) -> str:
        """Register what the texts of a messaging service are for.

        A service has one campaign: one that exists already is returned, corrected first when it was turned down; one that ended makes room.
        """
        url = self._campaigns(credentials, service_sid)
        for row in _rows(credentials, url, "compliance"):
            state = _CAMPAIGN_STATES.get(str(row.get("campaign_status") or ""))
            if state == "rejected":
                return self.resubmit_campaign(credentials, service_sid, _sid(row), campaign)
            if state != "expired":
                return _sid(row)
            _call(credentials, "DELETE", f"{url}/{quote(_sid(row))}")
        fields = [
            ("BrandRegistrationSid", brand_sid),
            ("UsAppToPersonUsecase", a2p.text(campaign, "use_case")),
            *_campaign(campaign),
            *_campaign_replies(campaign),
        ]
        return _sid(_call(credentials, "POST", url, fields))

    def resubmit_campaign(self, credentials: Credentials, service_sid: str, sid: str, campaign: Form) -> str:
        """Correct a campaign that was turned down and submit it again."""
        url = f"{self._campaigns(credentials, service_sid)}/{quote(sid)}"
        return _sid(_call(credentials, "POST", url, _campaign(campaign)))

    def registration_status(self, credentials: Credentials, refs: Mapping[str, str]) -> RegistrationStatus:
        """Where a registration stands: refs holds the ids of its brand, service and campaign under these names.

        The provider's state starts with "brand" or "campaign". "brand approved" without a campaign is still in
        review: the campaign is next.
        """
        brand = self._brand(credentials, refs["brand"])
        told = str(brand.get("status") or "")
        state = _BRAND_STATES.get(told, "in_review")
        issues = _registration_issues(brand) if state in ("rejected", "suspended") else ()
        if state != "approved":
            done = self._profile_done(credentials, refs) if state in ("submitted", "in_review") else frozenset()
            return RegistrationStatus(state, f"brand {told.lower()}", issues, done=done)
        done = frozenset({"profile", "brand"})
        if not refs.get("campaign"):
            return RegistrationStatus("in_review", "brand approved", done=done)
        url = f"{self._campaigns(credentials, refs['service'])}/{quote(refs['campaign'])}"
        campaign = _call(credentials, "GET", url)
        told = str(campaign.get("campaign_status") or "")
        state = _CAMPAIGN_STATES.get(told, "in_review")
        issues = _registration_issues(campaign) if state in ("rejected", "suspended") else ()
        if state != "approved":
            return RegistrationStatus(state, f"campaign {told.lower()}", issues, done=done)
        return RegistrationStatus(state, f"campaign {told.lower()}", issues, _limits(brand, campaign), done | {"campaign"})

    def _profile_done(self, credentials: Credentials, refs: Mapping[str, str]) -> frozenset[str]:
        """Whether the business profile is accepted, while the brand is not."""
        if not (sid := refs.get("profile")):
            return frozenset()
        profile = _call(credentials, "GET", _trusthub(credentials, f"CustomerProfiles/{quote(sid)}"))
        return frozenset({"profile"}) if profile.get("status") == "twilio-approved" else frozenset()

    def subscribe_registration_events(self, credentials: Credentials, url: str) -> str:
        """Have decisions about brands and campaigns posted to the address; asking twice changes nothing."""
        for row in _rows(credentials, _events(credentials, "Sinks?PageSize=100"), "sinks"):
            configuration = row.get("sink_configuration")
            if isinstance(configuration, dict) and configuration.get("destination") == url:
                return _sid(row)
        configuration = json.dumps({"destination": url, "method": "POST", "batch_events": False})
        fields = [("Description", "Registrations"), ("SinkType", "webhook"), ("SinkConfiguration", configuration)]
        sink = _sid(_call(credentials, "POST", _events(credentials, "Sinks"), fields))
        types = [("Types", json.dumps({"type": _EVENTS + notice})) for notice in _NOTICES]
        fields = [("Description", "Registrations"), ("SinkSid", sink), *types]
        _call(credentials, "POST", _events(credentials, "Subscriptions"), fields)
        return sink

    def use_cases(self) -> tuple[UseCase, ...]:
        """What texts can be registered for."""
        return a2p.USE_CASES

    def check_brand(self, form: Form) -> list[Issue]:
        """What is wrong with a brand, before anybody is asked."""
        return a2p.check_brand(form)

    def check_campaign(self, form: Form) -> list[Issue]:
        """What is wrong with a campaign, before anybody is asked."""
        return a2p.check_campaign(form)

    def advise(self, form: Form) -> list[Issue]:
        """What reviewers often turn a campaign down for; it may be sent all the same."""
        return a2p.advise(form)

    # -- calls and words --

    def forward_twiml(self, forward_to: str, caller_id: str, action_url: str, seconds: int = 20, progress_url: str = "") -> bytes:
        """The answer to a call: ring that number for so long, tell progress_url when it is answered, and action_url how it went."""
        return _response(_dial(forward_to, caller_id, action_url, seconds, progress_url))

    def greeting_twiml(self, text: str) -> bytes:
        """The answer to a call that is not forwarded: say the words and hang up."""
        return _response(f"<Say>{escape(text)}</Say><Hangup/>")

    def reject_twiml(self) -> bytes:
        """The answer to a call nobody wants: the line is busy."""
        return _response('<Reject reason="busy"/>')

    def voicemail_twiml(self, text: str, recording_url: str, seconds: int = 120) -> bytes:
        """The answer to a call nobody takes: say the words, then record for at most so many seconds; recording_url hears of the file."""
        at = quoteattr(recording_url)
        record = f'<Record action={at} recordingStatusCallback={at} recordingStatusCallbackEvent="completed" maxLength="{seconds}" playBeep="true"/>'
        return _response(f"<Say>{escape(text)}</Say>{record}<Hangup/>")

    def place_call(self, credentials: Credentials, ring: Ring) -> str:
        """Ring a member's phone and put whoever answers through; the carrier's id of the call. Uncertain: it may be ringing.

        The instructions go with the request, so no address of ours tells the carrier whom to call.
        """
        dial = _dial(ring.to, ring.sender, ring.dial_url, ring.seconds, ring.status_url)
        fields: Fields = [
            ("To", ring.agent),
            ("From", ring.sender),
            ("Twiml", _response(f"<Say>Connecting your call.</Say>{dial}").decode()),
            ("Timeout", str(ring.seconds)),
            ("StatusCallback", ring.status_url),
            *(("StatusCallbackEvent", event) for event in ("answered", "completed")),
        ]
        return _sid(_call(credentials, "POST", _account(credentials, "Calls.json"), fields, SEND_TIMEOUT))

    def knows(self, code: str) -> bool:
        """Whether a code is one of this carrier's."""
        return code.isdigit()

    def explain(self, code: str | None) -> str:
        """What an error code means and what to do about it."""
        return explain(code)
