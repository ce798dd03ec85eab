"""The registration form: its fields in order, what they need, and what they say before anything is typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inbox.channels.a2p import BRAND_TYPES, VERTICALS
from inbox.forms import choices, lines

_TYPES = dict(zip(BRAND_TYPES, ("Private company", "Company listed on a stock exchange", "Nonprofit", "Government"), strict=True))


@dataclass(frozen=True)
class Entry:
    """One field. `kind` is text, area, select, radio or switch; `least` and `most` are characters."""

    name: str
    label: str
    kind: str = "text"
    hint: str = ""
    most: int = 255
    least: int = 0
    required: bool = True
    type: str = "text"
    autocomplete: str = "off"
    options: tuple[tuple[str, str], ...] = ()
    half: bool = False
    placeholder: str = ""


@dataclass(frozen=True)
class Part:
    """A group of fields with a title."""

    key: str
    title: str
    text: str
    entries: tuple[Entry, ...]


def _business() -> tuple[Entry, ...]:
    kinds = (("", "Choose one"), *_TYPES.items())
    verticals = (("", "Choose one"), *((v, v.replace("_", " ").capitalize() if v != "NGO" else "NGO") for v in VERTICALS))
    return (
        Entry("brand_legal_name", "Legal name", hint="Exactly as on the tax certificate, with Inc or LLC.", autocomplete="organization"),
        Entry(
            "brand_ein", "EIN or registration number", hint="Nine digits in the United States. Carriers match it with the legal name.", most=21, half=True,
            placeholder="12-3456789",
        ),
        Entry("brand_type", "Kind of business", "select", options=kinds, half=True),
        Entry("brand_vertical", "Industry", "select", options=verticals, half=True),
        Entry("brand_website", "Website", type="url", hint="Reviewers open it: it must work and name the business.", most=500, half=True, autocomplete="url", placeholder="https://www.example.com"),
        Entry("brand_address_street", "Street", autocomplete="street-address"),
        Entry("brand_address_city", "City", most=100, autocomplete="address-level2", half=True),
        Entry("brand_address_region", "State or region", most=50, autocomplete="address-level1", hint="Two letters in the United States.", half=True, placeholder="CA"),
        Entry("brand_address_postal", "ZIP or postal code", most=20, autocomplete="postal-code", half=True),
        Entry("brand_country", "Country", "select", options=tuple(choices.countries().items()), half=True),
    )


def _contact() -> tuple[Entry, ...]:
    return (
        Entry("contact_first_name", "First name", most=100, autocomplete="given-name", half=True),
        Entry("contact_last_name", "Last name", most=100, autocomplete="family-name", half=True),
        Entry("contact_title", "Job title", most=100, autocomplete="organization-title", half=True),
        Entry("contact_phone", "Phone", type="tel", most=40, autocomplete="tel", half=True),
        Entry("contact_email", "E-mail", type="email", most=254, autocomplete="email", hint="At the business’s own domain if you can: free mailboxes slow the review down."),
    )


def _samples() -> tuple[Entry, ...]:
    hint = "At least one sample names the business, and one says how to opt out, like “Reply STOP to opt out”."
    return tuple(
        Entry(f"sample_{n}", f"Sample text {n}", "area", hint=hint if n == 1 else "", least=20, most=1024, required=n <= 2) for n in range(1, 6)
    )


def _replies() -> tuple[Entry, ...]:
    return (
        Entry("opt_in_keywords", "Keywords to opt in", hint="Separated by commas.", required=False, half=True),
        Entry("opt_in_message", "Reply to them", "area", least=20, most=320, required=False),
        Entry("opt_out_keywords", "Keywords to opt out", hint="Separated by commas.", required=False, half=True),
        Entry("opt_out_message", "Reply to them", "area", least=20, most=320, required=False),
        Entry("help_keywords", "Keywords for help", hint="Separated by commas.", required=False, half=True),
        Entry("help_message", "Reply to them", "area", least=20, most=320, required=False),
        Entry("privacy_url", "Privacy policy", type="url", most=2048, required=False, half=True, placeholder="https://www.example.com/privacy"),
        Entry("terms_url", "Terms", type="url", most=2048, required=False, half=True, placeholder="https://www.example.com/terms"),
    )


PARTS = (
    Part("business", "Business", "Who sends the texts. Carriers compare this with public records.", _business()),
    Part("contact", "Contact person", "Someone at the business whom the carriers may ask.", _contact()),
    Part("purpose", "What the texts are for", "", (Entry("use_case", "Purpose", "radio"),)),
    Part(
        "texts", "The texts", "What reviewers read most closely.",
        (
            Entry("description", "What you text about", "area", hint="Who texts whom, and why. Two or three plain sentences.", least=40, most=4096),
            Entry(
                "message_flow", "How people agree to get texts", "area", hint="Where they give their number, what they are told there, and that they can stop.",
                least=40, most=2048,
            ),
            *_samples(),
            Entry("has_embedded_links", "Texts may hold links", "switch", required=False),
            Entry("has_embedded_phone", "Texts may hold phone numbers", "switch", required=False),
        ),
    ),
    Part("replies", "Keywords and policies", "What happens when someone writes STOP, START or HELP. The usual answers are filled in.", _replies()),
)
ENTRIES = {entry.name: entry for part in PARTS for entry in part.entries}


_SAMPLES = tuple(f"sample_{n}" for n in range(1, 6))
_TOGETHER = ("brand_legal_name", "use_case", *_SAMPLES, "has_embedded_links", "has_embedded_phone")


def beside(entry: Entry) -> list[Entry]:
    """The other fields whose check depends on this one: samples, what they must name, what they may hold."""
    return [ENTRIES[name] for name in _TOGETHER if name != entry.name] if entry.name in _TOGETHER else []


def read(posted: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a posted form as text and switches, valid or not; absurdly long text is cut so that it can be kept."""
    form: dict[str, Any] = {}
    for name, entry in ENTRIES.items():
        if entry.kind == "switch":
            form[name] = bool(posted.get(name))
        elif name in posted:
            form[name] = lines(posted[name])[: max(5000, entry.most + 1000)]
    return form


def suggestions(company: str, country: str, email: str, name: str) -> dict[str, Any]:
    """What a new form starts with: everything that is usually the same, in the company's words."""
    first, _, last = name.partition(" ")
    return {
        "brand_legal_name": "",
        "brand_country": country,
        "contact_first_name": first,
        "contact_last_name": last,
        "contact_email": email,
        "use_case": "CUSTOMER_CARE",
        "opt_in_keywords": "START",
        "opt_in_message": f"{company}: you get texts from us again. Message and data rates may apply. Reply HELP for help, STOP to opt out.",
        "opt_out_keywords": "STOP",
        "opt_out_message": f"{company}: you won’t get more texts from us. Reply START to hear from us again.",
        "help_keywords": "HELP",
        "help_message": f"{company}: reply to this text or call this number to reach our team. Reply STOP to opt out.",
    }
