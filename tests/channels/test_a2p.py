"""What the product checks before a registration is sent."""

from __future__ import annotations

from typing import Any

import pytest

from inbox.channels import a2p, get, twilio, twilio_codes
from inbox.channels.twilio_refusals import REFUSALS

BRAND: dict[str, Any] = {
    "brand_legal_name": "Bluebird Bakery, Inc.",
    "brand_ein": "12-3456789",
    "brand_type": "PRIVATE_PROFIT",
    "brand_vertical": "RETAIL",
    "brand_website": "https://bluebird.example",
    "brand_address_street": "1 Market St",
    "brand_address_city": "San Francisco",
    "brand_address_region": "CA",
    "brand_address_postal": "94105",
    "brand_country": "US",
    "contact_first_name": "Ana",
    "contact_last_name": "Silva",
    "contact_email": "ana@bluebird.example",
    "contact_phone": "(415) 555-0134",
    "contact_title": "Owner",
}
CAMPAIGN: dict[str, Any] = {
    **BRAND,
    "use_case": "CUSTOMER_CARE",
    "description": "Bluebird Bakery answers customers who text it about orders and opening hours.",
    "message_flow": "Customers text the number on our website and receipts to ask for help and agree to get answers. "
    "Message frequency varies. Message and data rates may apply. See https://bluebird.example/texts",
    "sample_1": "Bluebird Bakery: your cake is ready until 6 pm. Reply STOP to opt out.",
    "sample_2": "Bluebird Bakery: we are open on Sunday from 8 to 2.",
    "has_embedded_links": False,
    "has_embedded_phone": False,
}


def fields(issues: list[Any]) -> list[str]:
    return [issue.field for issue in issues]


def test_complete_forms_pass() -> None:
    assert get("sms").check_brand(BRAND) == []
    assert get("sms").check_campaign(CAMPAIGN) == []


@pytest.mark.parametrize("name", list(BRAND))
def test_every_brand_field_is_needed(name: str) -> None:
    for empty in ("", "   ", None):
        assert fields(a2p.check_brand({**BRAND, name: empty})) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("brand_ein", "12345"),
        ("brand_ein", "AB-3456789"),
        ("brand_type", "SOLE_PROPRIETOR"),
        ("brand_vertical", "MAGIC"),
        ("brand_website", "bluebird"),
        ("brand_website", "javascript:alert(1)"),
        ("brand_website", "https://[::1"),
        ("brand_address_postal", "941"),
        ("brand_address_region", "California"),
        ("brand_country", "USA1"),
        ("brand_legal_name", "x" * 256),
        ("contact_email", "ana"),
        ("contact_email", "ana@bluebird"),
        ("contact_phone", "12345"),
    ],
)
def test_brand_shapes(name: str, value: str) -> None:
    assert fields(a2p.check_brand({**BRAND, name: value})) == [name]


def test_a_business_abroad_has_other_shapes() -> None:
    abroad = {**BRAND, "brand_country": "DE", "brand_ein": "HRB 12345", "brand_address_postal": "10115"}
    abroad |= {"brand_address_region": "Berlin", "contact_phone": "030 123456"}
    assert a2p.check_brand(abroad) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"use_case": ""}, ["use_case"]),
        ({"use_case": "FUN"}, ["use_case"]),
        ({"description": "x" * 39}, ["description"]),
        ({"description": "x" * 4097}, ["description"]),
        ({"message_flow": "x" * 39}, ["message_flow"]),
        ({"message_flow": "x" * 2049}, ["message_flow"]),
        ({"sample_2": ""}, ["sample_2"]),
        ({"sample_2": "x" * 19}, ["sample_2"]),
        ({"sample_3": "x" * 1025}, ["sample_3"]),
        ({"sample_1": "Bluebird Bakery: your cake is ready."}, ["sample_1"]),
        ({"brand_legal_name": "Robin Cafe"}, ["sample_1"]),
        ({"sample_3": "Track it at https://bluebird.example/t/1"}, ["has_embedded_links"]),
        ({"sample_3": "Track it at bluebird.com today please"}, ["has_embedded_links"]),
        ({"sample_3": "Call us at (415) 555-0134 any time."}, ["has_embedded_phone"]),
        ({"has_embedded_links": "true"}, ["has_embedded_links"]),
        ({"has_embedded_phone": True}, ["has_embedded_phone"]),
        ({"opt_in_message": "Hi"}, ["opt_in_message"]),
        ({"help_message": "x" * 321}, ["help_message"]),
        ({"opt_out_keywords": "STOP, QUIT!"}, ["opt_out_keywords"]),
        ({"help_keywords": "A" * 256}, ["help_keywords"]),
        ({"privacy_url": "bluebird/privacy"}, ["privacy_url"]),
        ({"terms_url": "ftp://bluebird.example"}, ["terms_url"]),
    ],
)
def test_campaign_limits(changes: dict[str, Any], named: list[str]) -> None:
    assert fields(a2p.check_campaign({**CAMPAIGN, **changes})) == named


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "x" * 40},
        {"description": "x" * 4096},
        {"message_flow": "x" * 2048},
        {"sample_2": "x" * 20},
        {"sample_2": "x" * 1024},
        {"sample_3": "See https://bluebird.example/t/1", "has_embedded_links": "on"},
        {"sample_3": "Call us at 415-555-0134 any time.", "has_embedded_phone": "1"},
        {"opt_out_keywords": "STOP, QUIT END", "opt_out_message": "x" * 20},
        {"brand_legal_name": "BLUEBIRD BAKERY LLC"},
    ],
)
def test_campaigns_within_the_limits(changes: dict[str, Any]) -> None:
    assert a2p.check_campaign({**CAMPAIGN, **changes}) == []


def test_an_empty_form_names_every_required_field_once() -> None:
    assert sorted(fields(a2p.check_brand({}))) == sorted(BRAND)
    assert fields(a2p.check_campaign({})) == ["use_case", "description", "message_flow", "sample_1", "sample_2"]


def test_the_carriers_names_of_our_fields() -> None:
    names = {
        "MESSAGE_FLOW": "message_flow",
        "messageFlow": "message_flow",
        "MESSAGE_SAMPLES": "sample_1",
        "SAMPLE_3": "sample_3",
        "brand_contact_email": "contact_email",
        "TAX_ID": "brand_ein",
        "business_registration_number": "brand_ein",
        "HAS_EMBEDDED_LINKS": "has_embedded_links",
        "privacy-policy url": "privacy_url",
        "SOMETHING_NEW": None,
    }
    assert {name: a2p.our_field(name) for name in names} == names


def test_purposes_of_a_shared_inbox_come_first() -> None:
    codes = [case.code for case in get("sms").use_cases()]
    assert codes[:3] == ["CUSTOMER_CARE", "LOW_VOLUME", "MIXED"]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("brand", "campaign", "limits"),
    [
        ({"brand_score": 80}, {"rate_limits": {"att": {"mps": 75, "msg_class": "A"}, "tmobile": {"brand_tier": "TOP"}}}, (225.0, 200_000, 80, "TOP")),
        ({"brand_score": 60}, {"rate_limits": {"att": {"mps": 40, "msg_class": "C"}, "tmobile": {"brand_tier": "HIGH_MID"}}}, (120.0, 40_000, 60, "HIGH_MID")),
        ({"brand_score": 30}, {"rate_limits": {"att": {"mps": 4, "msg_class": "E"}, "tmobile": {"brand_tier": "LOW_MID"}}}, (12.0, 10_000, 30, "LOW_MID")),
        ({"brand_score": 30}, {"rate_limits": {"att": {"mps": 4, "msg_class": "E"}}}, (12.0, 2_000, 30, "LOW")),
        ({"brand_score": 90}, {"us_app_to_person_usecase": "LOW_VOLUME", "rate_limits": {"att": {"mps": 1, "msg_class": "T"}, "tmobile": {"brand_tier": "LOW"}}}, (3.75, 2_000, 90, "LOW")),
        ({"brand_score": 75}, {"rate_limits": None}, (225.0, 200_000, 75, "TOP")),
        ({"brand_score": 74}, {}, (120.0, 40_000, 74, "HIGH_MID")),
        ({"brand_score": 1}, {"rate_limits": {"att": None, "tmobile": "?"}}, (12.0, 2_000, 1, "LOW")),
        ({"brand_score": None}, {}, (3.75, 2_000, None, "LOW")),
        ({"brand_score": "many"}, {"rate_limits": {"att": {"mps": "fast"}, "tmobile": {"brand_tier": "NEW"}}}, (3.75, 2_000, None, "NEW")),
        ({"brand_type": "SOLE_PROPRIETOR"}, {}, (1.0, 1_000, None, "SOLE_PROPRIETOR")),
        ({"russell_3000": True}, {}, (225.0, 200_000, None, "TOP")),
        ({"government_entity": True}, {}, (225.0, None, None, "TOP")),
        ({"government_entity": True}, {"us_app_to_person_usecase": "LOW_VOLUME"}, (3.75, 2_000, None, "LOW")),
        ({"brand_score": 88}, {"rate_limits": {"att": {"mps": 75}, "tmobile": {"brand_tier": "uncapped"}}}, (225.0, None, 88, "UNCAPPED")),
    ],
)
def test_REG_2_what_a_campaign_may_send(brand: dict[str, Any], campaign: dict[str, Any], limits: tuple[Any, ...]) -> None:
    assert twilio._limits(brand, {"us_app_to_person_usecase": "CUSTOMER_CARE", **campaign}) == dict(zip(("mps", "daily_cap", "score", "tier"), limits, strict=True))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, []),
        ({"message_flow": ""}, []),
        ({"message_flow": "People find our number somewhere on the internet."}, ["message_flow"]),
        ({"message_flow": "Customers tick a box. Message and data rates may apply."}, ["message_flow"]),
        ({"message_flow": "Customers tick a box. We text about twice a month."}, ["message_flow"]),
        ({"message_flow": "Customers tick a box at checkout, get 2 texts per order; msg & data rates may apply."}, []),
        ({"message_flow": "Message frequency varies. Message and data rates may apply."}, ["message_flow"]),
        ({"sample_2": "Bluebird Bakery: 20% off every cake this week only!"}, ["sample_2"]),
        ({"sample_2": "Bluebird Bakery: 20% off every cake this week only!", "use_case": "MIXED"}, []),
        ({"sample_2": CAMPAIGN["sample_1"].upper()}, ["sample_2"]),
        ({"use_case": "2FA"}, ["sample_1"]),
        ({"use_case": "2FA", "sample_2": "Bluebird Bakery: [code] is your code."}, []),
        ({"description": "Our staff text each other about shifts and swaps all day."}, ["description"]),
        ({"description": "Our staff answer customers who text with questions about orders."}, []),
    ],
)
def test_REG_1_advice_names_what_reviewers_look_for_and_does_not_block(changes: dict[str, Any], named: list[str]) -> None:
    form = {**CAMPAIGN, **changes}
    assert fields(a2p.advise(form)) == named
    if changes.get("message_flow") != "":
        assert a2p.check_campaign(form) == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sample_3": "Track your order: [link to the order]", "has_embedded_links": True}, []),
        ({"sample_3": "Track your order: [link to the order]"}, ["has_embedded_links"]),
        ({"sample_3": "Questions? Call us: [phone number] any time", "has_embedded_phone": True}, []),
        ({"sample_3": "Questions? Call us: [phone number] any time"}, ["has_embedded_phone"]),
        ({"sample_3": "Bluebird Bakery: [first name], your [cake] is ready."}, []),
    ],
)
def test_REG_1_brackets_stand_for_what_they_name(changes: dict[str, Any], named: list[str]) -> None:
    assert fields(a2p.check_campaign({**CAMPAIGN, **changes})) == named


# What the facts name for registrations, and the words of the brand's feedback.
CODES = (
    *("21717", "21727", "21736", "30532", "30533", "30538", "30540", "30544", "30702", "30794", "30893", "30896", "30897", "30899", "30900", "30902", "30930"),
    *("TAX_ID", "STOCK_SYMBOL", "NONPROFIT", "GOVERNMENT_ENTITY", "OTHERS"),
)


@pytest.mark.parametrize("code", CODES)
def test_REG_2_every_registration_code_says_what_to_change_and_where(code: str) -> None:
    from inbox.forms.registrations import ENTRIES

    known = REFUSALS[code]
    assert known.field is None or known.field in ENTRIES
    assert known.sentence.endswith(".") and known.change.endswith(".") and "'" not in known.sentence + known.change and code not in known.sentence
    assert not code.isdigit() or twilio_codes.explain(code) == f"{known.sentence} {known.change}"


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"errors": [{"error_code": 30896, "fields": ["MESSAGE_FLOW"]}]}, [("message_flow", "30896", REFUSALS["30896"].sentence)]),
        ({"errors": [{"error_code": 30896, "fields": []}]}, [("message_flow", "30896", REFUSALS["30896"].sentence)]),
        ({"errors": [{"error_code": 30900, "fields": ["SOMETHING_NEW"]}]}, [("use_case", "30900", REFUSALS["30900"].sentence)]),
        ({"errors": [{"error_code": 30899}]}, [(None, "30899", REFUSALS["30899"].sentence)]),
        (
            {"errors": [{"code": 30794, "fields": ["business_registration_number", "business_name"]}]},
            [("brand_ein", "30794", REFUSALS["30794"].sentence), ("brand_legal_name", "30794", REFUSALS["30794"].sentence)],
        ),
        ({"errors": [{"error_code": 39999, "fields": ["DESCRIPTION"], "description": "Newly forbidden."}]}, [("description", "39999", "Newly forbidden.")]),
        ({"errors": [{"error_code": 39999, "description": "Newly forbidden."}]}, [(None, "39999", "Newly forbidden.")]),
        ({"errors": [], "brand_feedback": ["TAX_ID", "NEWS"]}, [("brand_ein", "TAX_ID", REFUSALS["TAX_ID"].sentence), (None, "NEWS", "This does not match the official records.")]),
        ({"failure_reason": "Because."}, [(None, "", "Because.")]),
    ],
)
def test_REG_2_the_carriers_errors_in_plain_words_at_their_field(answer: dict[str, Any], found: list[Any]) -> None:
    issues = twilio._registration_issues(answer)
    assert [(i.field, i.code, i.message) for i in issues] == found
    assert all(i.words == f"{i.message} {REFUSALS[i.code].change}" for i in issues if i.code in REFUSALS)
