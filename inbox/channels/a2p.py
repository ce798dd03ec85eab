"""Registration with the US carriers (A2P 10DLC): the purposes they know and what they check before they look."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from inbox import phone
from inbox.channels.base import Issue, UseCase

Form = Mapping[str, Any]

BRAND_TYPES = ("PRIVATE_PROFIT", "PUBLIC_PROFIT", "NON_PROFIT", "GOVERNMENT")
VERTICALS = (
    *("AGRICULTURE", "COMMUNICATION", "CONSTRUCTION", "EDUCATION", "ENERGY", "ENTERTAINMENT", "FINANCIAL", "GAMBLING"),
    *("GOVERNMENT", "HEALTHCARE", "HOSPITALITY", "HUMAN_RESOURCES", "INSURANCE", "LEGAL", "MANUFACTURING", "NGO"),
    *("POLITICAL", "POSTAL", "PROFESSIONAL", "REAL_ESTATE", "RETAIL", "TECHNOLOGY", "TRANSPORTATION"),
)

USE_CASES = (
    UseCase("CUSTOMER_CARE", "Customer care", "Support, account help and answers to people who write to you."),
    UseCase("LOW_VOLUME", "Low volume", "Small amounts of texts for several of these purposes; the cheapest to keep."),
    UseCase("MIXED", "Mixed", "Two to five purposes together, in any amount."),
    UseCase("ACCOUNT_NOTIFICATION", "Account notifications", "Notices about an account somebody has with you."),
    UseCase("DELIVERY_NOTIFICATION", "Delivery notifications", "Where an order or a delivery is."),
    UseCase("MARKETING", "Marketing", "Offers and promotions people asked for."),
    UseCase("2FA", "Sign-in codes", "One-time codes that let people sign in."),
    UseCase("FRAUD_ALERT", "Fraud alerts", "Warnings of possible fraud on an account."),
    UseCase("SECURITY_ALERT", "Security alerts", "Warnings that a system may be compromised."),
    UseCase("HIGHER_EDUCATION", "Higher education", "Texts of colleges and universities."),
    UseCase("K12_EDUCATION", "Schools", "Texts of primary and secondary schools.", needs_review=True),
    UseCase("POLLING_VOTING", "Polls", "Surveys and polls that are not political."),
    UseCase("PUBLIC_SERVICE_ANNOUNCEMENT", "Public service announcements", "Information of public interest."),
    UseCase("CHARITY", "Charity", "Texts of a registered charity; not for donations to campaigns."),
    UseCase("POLITICAL", "Political", "Texts of a registered political organization."),
    UseCase(
        "AGENTS_FRANCHISES", "Agents and franchises", "Branches that each text their customers.", needs_review=True
    ),
    UseCase("EMERGENCY", "Emergency", "Public safety in an emergency.", needs_review=True),
    UseCase("PROXY", "Proxy", "Two people reach one another through a shared number.", needs_review=True),
    UseCase("SOCIAL", "Social", "Conversations between members of a community.", needs_review=True),
    UseCase("SWEEPSTAKE", "Sweepstakes", "Prize draws.", needs_review=True),
)

# What a campaign may send by the score of its business: at least that score, segments a second over the three big carriers, segments a day, tier.
_RATES = ((75, 225.0, 200_000, "TOP"), (50, 120.0, 40_000, "HIGH_MID"), (1, 12.0, 2_000, "LOW"))
_LOW_VOLUME = (3.75, 2_000, "LOW")
_ALONE = (1.0, 1_000, "SOLE_PROPRIETOR")
TIERS: dict[str, int | None] = {"TOP": 200_000, "HIGH_MID": 40_000, "LOW_MID": 10_000, "LOW": 2_000, "UNCAPPED": None}
CARRIERS = 3  # the big ones; each takes a third of the rate

_EMAIL = re.compile(r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$")
_EIN = re.compile(r"^\d{2}-?\d{7}$")
_ZIP = re.compile(r"^\d{5}(-\d{4})?$")
_LINK = re.compile(
    r"https?://\S|\bwww\.\S|\b[a-z0-9-]+\.(?:com|net|org|io|co|us|info|biz|app|shop|ly|me)\b", re.IGNORECASE
)
_PHONE = re.compile(r"(?<![\w.])(?:\+?1[\s.-]?)?\(?[2-9]\d{2}\)?[\s.-]?\d{3}[\s.-]?\d{4}(?!\d)")
_BRACKET_LINK = re.compile(r"\[[^\]]*\b(link|url|website)\b[^\]]*\]", re.IGNORECASE)
_BRACKET_PHONE = re.compile(r"\[[^\]]*\b(phone|number to call)\b[^\]]*\]", re.IGNORECASE)
_OPT_OUT = re.compile(r"\b(stop|opt[\s-]?out|unsubscribe|end|quit|cancel)\b", re.IGNORECASE)
_KEYWORD = re.compile(r"^[A-Za-z0-9]+$")
# What reviewers look for in how people agree to texts.
_METHOD = re.compile(
    r"\b(opt(s|ed|ing)?[\s-]?in|consents?|consented|agrees?|agreed|sign(s|ed|ing)?[\s-]up|subscribes?|subscribed|check(s|ed)?[\s-]?box|check(s|ed)? a box|ticks?|ticked|"
    r"texts? (us|our|the|start|join)|texting (us|our|the|start|join)|asks?|asked|gives? (us|their)|tells?|told|fills?|filled|form)\b", re.IGNORECASE,
)
_FREQUENCY = re.compile(
    r"\bfrequency\b|\bhow often\b|\b(texts?|messages?|msgs?|times?)\s*(per|a|each|every|/)\s*(day|week|month|year|order|visit|appointment)\b|\b(daily|weekly|monthly)\b|"
    r"\b(one|once|only|each)[\s-](time|per|a)\b|\bonly (when|as|if)\b|\brecurring\b", re.IGNORECASE,
)
_RATES_APPLY = re.compile(r"\brates?\b[^.]{0,20}\b(may|might|can|could|will)?\s*apply", re.IGNORECASE)
_PROMOTION = re.compile(r"\b\d+ ?% off\b|\b(discount|coupon|promo code|sale ends|flash sale|special offer|limited time)\b", re.IGNORECASE)
_CODE = re.compile(r"\b\d{4,8}\b|\bcode\b|\[[^\]]*(code|pin|otp)[^\]]*\]", re.IGNORECASE)
_STAFF = re.compile(r"\b(staff|employees|coworkers|colleagues|team members)\b[^.]*\b(text|message|chat)\w* (with )?(each other|one another)\b", re.IGNORECASE)
_OFFERS = frozenset({"MARKETING", "MIXED", "LOW_VOLUME", "SWEEPSTAKE"})
# Words that end or join company names; a sample may leave them out.
_SUFFIX = re.compile(r"[,.]|\b(inc|incorporated|llc|llp|ltd|limited|corp|corporation|company|co|the)\b", re.IGNORECASE)

_LABELS = {
    "brand_legal_name": "the legal name of the business",
    "brand_ein": "the EIN",
    "brand_type": "the kind of business",
    "brand_vertical": "the industry",
    "brand_website": "the website",
    "brand_address_street": "the street",
    "brand_address_city": "the city",
    "brand_address_region": "the state or region",
    "brand_address_postal": "the postal code",
    "brand_country": "the country",
    "contact_first_name": "the contact's first name",
    "contact_last_name": "the contact's last name",
    "contact_email": "the contact's e-mail",
    "contact_phone": "the contact's phone number",
    "contact_title": "the contact's job title",
    "use_case": "the purpose",
    "description": "the description",
    "message_flow": "how people agree to texts",
}


def text(form: Form, name: str) -> str:
    """A field as stripped text."""
    value = form.get(name)
    return "" if value is None else str(value).strip()


def yes(form: Form, name: str) -> bool:
    """A field as a switch, whether it came from a form or from code."""
    return str(form.get(name) or "").strip().lower() in ("1", "true", "yes", "on", "y")


def keywords(form: Form, name: str) -> list[str]:
    """The keywords of a field, separated by commas, spaces or lines."""
    value = form.get(name) or ""
    parts = value if isinstance(value, list | tuple) else re.split(r"[\s,;]+", str(value))
    return [str(part).strip() for part in parts if str(part).strip()]


def samples(form: Form) -> dict[str, str]:
    """The samples that were filled in, by field."""
    names = [f"sample_{number}" for number in range(1, 6)]
    return {name: text(form, name) for name in names if text(form, name)}


def limits(
    use_case: str, score: int | None, *, mps: float | None = None, tier: str = "", alone: bool = False, russell: bool = False, government: bool = False
) -> dict[str, Any]:
    """What an approved campaign may send, for RegistrationStatus.limits.

    `mps` (segments a second over all carriers) and `tier` (of TIERS) are what the carriers said; what they did not say follows from the score.
    """
    if alone:
        rate, cap, named = _ALONE
    elif use_case == "LOW_VOLUME" or not (score or russell or government):
        rate, cap, named = _LOW_VOLUME
    else:
        best = russell or government
        rate, cap, named = next((row[1:] for row in _RATES if best or (score or 0) >= row[0]), _RATES[-1][1:])
    daily: int | None = None if government and not alone and not tier and use_case != "LOW_VOLUME" else TIERS.get(tier, cap)
    return {"mps": mps if mps else rate, "daily_cap": daily, "score": score, "tier": tier or named}


def _missing(form: Form, names: Iterable[str]) -> list[Issue]:
    return [Issue(name, "required", f"Enter {_LABELS[name]}.") for name in names if not text(form, name)]


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and "." in host.strip(".") and not re.search(r"\s", value)


def check_brand(form: Form) -> list[Issue]:
    """Everything wrong with a brand that can be told without asking the carriers."""
    required = [name for name in _LABELS if name.startswith(("brand_", "contact_"))]
    issues = _missing(form, required)

    def refuse(name: str, code: str, message: str) -> None:
        issues.append(Issue(name, code, message))

    country = text(form, "brand_country").upper()
    us = country == "US"
    if (kind := text(form, "brand_type")) and kind not in BRAND_TYPES:
        refuse(
            "brand_type", "choice", "Choose the kind of business. A business without an EIN can't be registered here."
        )
    if (vertical := text(form, "brand_vertical")) and vertical not in VERTICALS:
        refuse("brand_vertical", "choice", "Choose an industry of the list.")
    if len(text(form, "brand_legal_name")) > 255:
        refuse("brand_legal_name", "length", "Use at most 255 characters.")
    ein = text(form, "brand_ein")
    if ein and us and not _EIN.match(ein):
        refuse("brand_ein", "shape", "An EIN has nine digits, like 12-3456789.")
    elif ein and not us and not 3 <= len(ein) <= 21:
        refuse("brand_ein", "shape", "Enter the registration number with 3 to 21 characters.")
    if country and not re.match(r"^[A-Z]{2}$", country):
        refuse("brand_country", "shape", "Choose a country.")
    if (website := text(form, "brand_website")) and not _is_url(website):
        refuse("brand_website", "shape", "Enter a full address, like https://www.example.com.")
    if us and (postal := text(form, "brand_address_postal")) and not _ZIP.match(postal):
        refuse("brand_address_postal", "shape", "A ZIP code has five digits, like 94105.")
    if us and (region := text(form, "brand_address_region")) and not re.match(r"^[A-Za-z]{2}$", region):
        refuse("brand_address_region", "shape", "Use the two letters of the state, like CA.")
    if (email := text(form, "contact_email")) and not _EMAIL.match(email):
        refuse("contact_email", "shape", "Enter an e-mail address, like ana@example.com.")
    if (number := text(form, "contact_phone")) and phone.normalize(
        number, country if len(country) == 2 else "US"
    ) is None:
        refuse("contact_phone", "shape", "Enter a phone number with its area code.")
    return issues


def _length(form: Form, name: str, least: int, most: int, required: bool) -> list[Issue]:
    value = text(form, name)
    if (value or required) and not least <= len(value) <= most:
        message = f"Use {least} to {most:,} characters; this has {len(value):,}."
        return [Issue(name, "length", message)]
    return []


def _names_brand(sample: str, brand: str) -> bool:
    """Whether a sample names the business, forgiving case, punctuation and endings like Inc."""
    core = " ".join(_SUFFIX.sub(" ", brand).casefold().split())
    said = " ".join(_SUFFIX.sub(" ", sample).casefold().split())
    return not core or core in said or brand.casefold() in sample.casefold()


def _check_samples(form: Form) -> list[Issue]:
    given = samples(form)
    issues = [
        Issue(name, "required", "Give at least two sample texts.")
        for name in ("sample_1", "sample_2")
        if len(given) < 2 and name not in given
    ]
    for name in given:
        issues += _length(form, name, 20, 1024, required=True)
    if not given:
        return issues
    first = next(iter(given))
    brand = text(form, "brand_legal_name") or text(form, "brand_name")
    if brand and not any(_names_brand(sample, brand) for sample in given.values()):
        issues.append(Issue(first, "brand", f"At least one sample must name {brand}."))
    if not any(_OPT_OUT.search(sample) for sample in given.values()):
        issues.append(
            Issue(first, "opt_out", "At least one sample must say how to opt out, like “Reply STOP to opt out”.")
        )
    return issues


def _check_flags(form: Form) -> list[Issue]:
    """Whether the switches for links and numbers say what the samples show; [link] and [phone] stand for one."""
    joined = "\n".join(samples(form).values())
    linked, called = bool(_LINK.search(joined) or _BRACKET_LINK.search(joined)), bool(_PHONE.search(joined) or _BRACKET_PHONE.search(joined))
    issues = []
    if linked and not yes(form, "has_embedded_links"):
        issues.append(Issue("has_embedded_links", "flag", "A sample holds a link: say that texts hold links."))
    if yes(form, "has_embedded_links") and joined and not linked:
        issues.append(
            Issue("has_embedded_links", "flag", "No sample holds a link: add one to a sample or turn this off.")
        )
    if called and not yes(form, "has_embedded_phone"):
        issues.append(
            Issue("has_embedded_phone", "flag", "A sample holds a phone number: say that texts hold numbers.")
        )
    if yes(form, "has_embedded_phone") and joined and not called:
        message = "No sample holds a phone number: add one to a sample or turn this off."
        issues.append(Issue("has_embedded_phone", "flag", message))
    return issues


def advise(form: Form) -> list[Issue]:
    """What reviewers often turn a campaign down for, at its field; guesses from words, so that none of it blocks."""
    issues = []
    flow, purpose, given = text(form, "message_flow"), text(form, "use_case"), samples(form)
    if flow:
        missing = [
            words
            for found, words in (
                (_METHOD, "how people agree (a form, a box they tick, a keyword they text, what they are told at the desk)"),
                (_FREQUENCY, "how often you text (“Message frequency varies”)"),
                (_RATES_APPLY, "“Message and data rates may apply”"),
            )
            if not found.search(flow)
        ]
        if missing:
            listed = missing[0] if len(missing) == 1 else f"{', '.join(missing[:-1])} and {missing[-1]}"
            issues.append(Issue("message_flow", "flow", f"Reviewers look for {listed}."))
    if _STAFF.search(text(form, "description")):
        issues.append(Issue("description", "staff", "Texts among staff can’t be registered. Describe what you text your customers."))
    seen: dict[str, str] = {}
    for name, sample in given.items():
        if twin := seen.get(sample.casefold()):
            issues.append(Issue(name, "same", f"This is the same as sample {twin[-1]}. Show another text you send."))
        elif _PROMOTION.search(sample) and purpose and purpose not in _OFFERS:
            issues.append(Issue(name, "purpose", "This reads like an offer, which the purpose you chose does not cover. Choose “Mixed” or “Marketing”, or leave it out."))
        seen.setdefault(sample.casefold(), name)
    if purpose == "2FA" and given and not any(map(_CODE.search, given.values())):
        issues.append(Issue(next(iter(given)), "purpose", "Sign-in codes: show a text with a code, like “[code] is your code”."))
    return issues


def check_campaign(form: Form) -> list[Issue]:
    """Everything wrong with a campaign that can be told without asking the carriers.

    The form may also hold brand_legal_name (or brand_name), so that samples can be checked for it.
    """
    issues = _missing(form, ("use_case",))
    if (purpose := text(form, "use_case")) and purpose not in {case.code for case in USE_CASES}:
        issues.append(Issue("use_case", "choice", "Choose a purpose of the list."))
    issues += _length(form, "description", 40, 4096, required=True)
    issues += _length(form, "message_flow", 40, 2048, required=True)
    issues += _check_samples(form)
    issues += _check_flags(form)
    for name in ("opt_in_message", "opt_out_message", "help_message"):
        issues += _length(form, name, 20, 320, required=False)
    for name in ("opt_in_keywords", "opt_out_keywords", "help_keywords"):
        words = keywords(form, name)
        if not all(map(_KEYWORD.match, words)):
            issues.append(Issue(name, "shape", "Keywords hold letters and digits only, separated by commas."))
        elif len(",".join(words)) > 255:
            issues.append(Issue(name, "length", "Use at most 255 characters."))
    for name in ("privacy_url", "terms_url"):
        if (url := text(form, name)) and not _is_url(url):
            issues.append(Issue(name, "shape", "Enter a full address, like https://www.example.com/privacy."))
    return issues


# What the carriers call our fields in their errors.
_FIELDS: dict[str, str] = {
    **dict.fromkeys(("TAX_ID", "EIN", "BUSINESS_REGISTRATION_NUMBER", "BRAND_EIN"), "brand_ein"),
    **dict.fromkeys(
        ("LEGAL_NAME", "COMPANY_NAME", "BUSINESS_NAME", "LEGAL_COMPANY_NAME", "BRAND_NAME"), "brand_legal_name"
    ),
    **dict.fromkeys(
        ("STOCK_SYMBOL", "NONPROFIT", "GOVERNMENT_ENTITY", "BUSINESS_TYPE", "COMPANY_TYPE", "ENTITY_TYPE"), "brand_type"
    ),
    **dict.fromkeys(("BUSINESS_INDUSTRY", "VERTICAL"), "brand_vertical"),
    **dict.fromkeys(("WEBSITE", "WEBSITE_URL", "BRAND_WEBSITE"), "brand_website"),
    **dict.fromkeys(("STREET", "ADDRESS", "ADDRESS_SIDS", "CUSTOMER_PROFILE_ADDRESS"), "brand_address_street"),
    "CITY": "brand_address_city",
    **dict.fromkeys(("REGION", "STATE"), "brand_address_region"),
    **dict.fromkeys(("POSTAL_CODE", "ZIP"), "brand_address_postal"),
    **dict.fromkeys(("COUNTRY", "ISO_COUNTRY", "BUSINESS_REGIONS_OF_OPERATION"), "brand_country"),
    "FIRST_NAME": "contact_first_name",
    "LAST_NAME": "contact_last_name",
    **dict.fromkeys(("EMAIL", "BRAND_CONTACT_EMAIL", "CONTACT_EMAIL"), "contact_email"),
    **dict.fromkeys(("PHONE", "PHONE_NUMBER", "CONTACT_PHONE"), "contact_phone"),
    **dict.fromkeys(("BUSINESS_TITLE", "JOB_POSITION", "CONTACT_TITLE"), "contact_title"),
    **dict.fromkeys(("USE_CASE", "USECASE", "US_APP_TO_PERSON_USECASE", "CAMPAIGN_USE_CASE"), "use_case"),
    **dict.fromkeys(("DESCRIPTION", "CAMPAIGN_DESCRIPTION"), "description"),
    **dict.fromkeys(("MESSAGE_FLOW", "CALL_TO_ACTION", "CTA"), "message_flow"),
    **dict.fromkeys(("MESSAGE_SAMPLES", "SAMPLES", "SAMPLE", "MESSAGE_SAMPLE"), "sample_1"),
    **{
        f"{prefix}{number}": f"sample_{number}"
        for prefix in ("SAMPLE_", "SAMPLE", "MESSAGE_SAMPLE_")
        for number in range(1, 6)
    },
    **dict.fromkeys(("HAS_EMBEDDED_LINKS", "EMBEDDED_LINK", "EMBEDDED_LINKS"), "has_embedded_links"),
    **dict.fromkeys(("HAS_EMBEDDED_PHONE", "EMBEDDED_PHONE"), "has_embedded_phone"),
    **{name: name.lower() for name in ("OPT_IN_MESSAGE", "OPT_OUT_MESSAGE", "HELP_MESSAGE")},
    **{name: name.lower() for name in ("OPT_IN_KEYWORDS", "OPT_OUT_KEYWORDS", "HELP_KEYWORDS")},
    **dict.fromkeys(("OPTIN_MESSAGE", "OPT_IN", "SUBSCRIBER_OPT_IN"), "opt_in_message"),
    "OPTOUT_MESSAGE": "opt_out_message",
    **dict.fromkeys(("PRIVACY_POLICY_URL", "PRIVACY_POLICY", "PRIVACY_URL"), "privacy_url"),
    **dict.fromkeys(("TERMS_AND_CONDITIONS_URL", "TERMS_AND_CONDITIONS", "TERMS_URL"), "terms_url"),
}


def our_field(name: str) -> str | None:
    """Our form field for the carriers' name of it; None when there is no such field."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).replace("-", "_").replace(" ", "_").upper()
    return _FIELDS.get(plain)
