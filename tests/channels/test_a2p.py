"""What the product checks before a registration is sent."""

from __future__ import annotations

from typing import Any

import pytest

from inbox.channels import a2p, get

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
