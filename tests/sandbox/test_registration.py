"""Profiles, brands, campaigns and toll-free verification."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from .conftest import GOOD_CAMPAIGN, ROSA, Sandbox, register, signed


@pytest.fixture
def desk(sandbox: Sandbox) -> Sandbox:
    """Fast reviews on a clock that stands still."""
    sandbox.sim("review", review="fast")
    sandbox.freeze()
    return sandbox


def brand_of(desk: Sandbox, business: str = "Harbor Vet Clinic", **fields: Any) -> Any:
    profile, trust = register(desk, business)
    return desk.client.messaging.v1.brand_registrations.create(profile, trust, **fields)


def approved(desk: Sandbox) -> tuple[Any, Any]:
    brand = brand_of(desk)
    desk.advance(5)
    return brand.fetch(), desk.client.messaging.v1.services.create("Desk")


def campaign_for(desk: Sandbox, brand: Any, service: Any, **changes: Any) -> Any:
    return desk.client.messaging.v1.services(service.sid).us_app_to_person.create(
        brand_registration_sid=brand.sid, **{**GOOD_CAMPAIGN, **changes})


def test_a_profile_is_evaluated_reviewed_and_reported(desk: Sandbox) -> None:
    hub = desk.client.trusthub.v1
    profile, trust = register(desk, callback=desk.receiver.base + "/profile")
    result = hub.customer_profiles(profile).customer_profiles_evaluations.create(
        hub.customer_profiles(profile).fetch().policy_sid)
    assert result.status == "compliant" and all(item["passed"] for item in result.results)
    assert len(hub.customer_profiles(profile).customer_profiles_entity_assignments.list()) == 3
    assert hub.customer_profiles(profile).fetch().status == "pending-review"
    desk.advance(0.5)
    assert hub.customer_profiles(profile).fetch().status == "in-review"
    desk.advance(2)
    assert hub.customer_profiles(profile).fetch().status == "twilio-approved"
    assert hub.trust_products(trust).fetch().status == "twilio-approved"
    assert [hit["Status"] for hit in desk.receiver.at("/profile")] == ["in-review", "twilio-approved"]
    assert all(signed(hit) for hit in desk.receiver.at("/profile"))


def test_an_incomplete_profile_is_rejected(desk: Sandbox) -> None:
    hub = desk.client.trusthub.v1
    policy = next(item.sid for item in hub.policies.list() if item.friendly_name == "Secondary Customer Profile")
    assert hub.policies(policy).fetch().requirements["end_user"]
    profile = hub.customer_profiles.create("Profile", "dana@example.com", policy)
    user = hub.end_users.create("Business", "customer_profile_business_information", attributes={"business_name": "A"})
    hub.customer_profiles(profile.sid).customer_profiles_entity_assignments.create(user.sid)
    result = hub.customer_profiles(profile.sid).customer_profiles_evaluations.create(policy)
    assert result.status == "noncompliant"
    assert any(field["object_field"] == "business_type" for field in result.results[0]["invalid"])
    hub.customer_profiles(profile.sid).update(status="pending-review")
    desk.advance(5)
    assert hub.customer_profiles(profile.sid).fetch().status == "twilio-rejected"
    hub.end_users(user.sid).update(attributes={"business_name": "B"})
    assert hub.end_users(user.sid).fetch().attributes == {"business_name": "B"}
    assert len(hub.customer_profiles.list(status="twilio-rejected")) == 1


def test_a_brand_needs_submitted_bundles(desk: Sandbox) -> None:
    with pytest.raises(TwilioRestException):
        desk.client.messaging.v1.brand_registrations.create("BU" + "0" * 32, "BU" + "1" * 32)


def test_a_good_brand_and_campaign_are_approved_and_the_number_may_text(desk: Sandbox) -> None:
    brand = brand_of(desk)
    assert (brand.status, brand.tcr_id) == ("PENDING", None)
    desk.advance(0.6)
    assert brand.fetch().status == "IN_REVIEW"
    number, service = desk.buy(), desk.client.messaging.v1.services.create("Desk")
    desk.client.messaging.v1.services(service.sid).phone_numbers.create(number.sid)
    with pytest.raises(TwilioRestException) as early:
        campaign_for(desk, brand, service)
    assert early.value.code == 21717
    desk.advance(2)
    done = brand.fetch()
    assert done.status == "APPROVED" and done.identity_status == "VERIFIED" and done.tcr_id.startswith("B")
    campaign = campaign_for(desk, brand, service)
    assert campaign.campaign_status == "IN_PROGRESS" and campaign.opt_out_keywords[0] == "STOP"
    blocked = desk.send(ROSA)
    assert blocked.status == "queued"
    desk.advance(2)
    failed = desk.client.messages(blocked.sid).fetch()
    assert (failed.status, failed.error_code) == ("undelivered", 30034)
    assert desk.receiver.at("/status")[-1]["ErrorCode"] == "30034"
    desk.advance(5)
    done = desk.client.messaging.v1.services(service.sid).us_app_to_person(campaign.sid).fetch()
    assert done.campaign_status == "VERIFIED" and done.campaign_id.startswith("C") and done.rate_limits["att"]["mps"]
    free = desk.send(ROSA)
    desk.advance(5)
    assert desk.client.messages(free.sid).fetch().status == "delivered"
    assert [item.sid for item in desk.client.messaging.v1.services(service.sid).us_app_to_person.list()] == [campaign.sid]


def test_a_business_called_mismatch_fails_on_its_tax_id_and_may_try_again(desk: Sandbox) -> None:
    brand = brand_of(desk, "Mismatch Plumbing")
    desk.advance(5)
    failed = brand.fetch()
    assert failed.status == "FAILED" and failed.brand_feedback == ["TAX_ID"]
    assert failed.errors[0]["fields"] and "tax ID" in failed.failure_reason
    hub = desk.client.trusthub.v1
    user = next(item for item in hub.end_users.list() if item.type == "customer_profile_business_information")
    user.update(attributes={**user.attributes, "business_name": "Right Plumbing"})
    assert brand.update().status == "PENDING"
    desk.advance(5)
    assert brand.fetch().status == "APPROVED"


def test_a_business_called_slow_stays_in_review_until_a_person_decides(desk: Sandbox) -> None:
    brand = brand_of(desk, "Slow Burgers")
    desk.advance(10_000_000)
    assert brand.fetch().status == "IN_REVIEW"
    desk.sim("approve", sid=brand.sid)
    assert brand.fetch().status == "APPROVED"


@pytest.mark.parametrize(("changes", "code", "where"), [
    ({"message_samples": ["Get 20% off all cat food this week only!", GOOD_CAMPAIGN["message_samples"][0]]}, 30893,
     "MESSAGE_SAMPLES"),
    ({"message_samples": ["See https://example.com/visit for your booking.", GOOD_CAMPAIGN["message_samples"][0]]}, 30893,
     "HAS_EMBEDDED_LINKS"),
    ({"message_flow": "People find our number somewhere and then we send them texts now and then."}, 30896,
     "MESSAGE_FLOW"),
    ({"description": "News about our CBD and cannabis treats for dogs, for pet owners who texted."}, 30897, "DESCRIPTION"),
    ({"us_app_to_person_usecase": "SWEEPSTAKE"}, 30900, "USE_CASE"),
    ({"us_app_to_person_usecase": "CHARITY"}, 30900, "USE_CASE"),
    ({"description": "The staff text each other about shifts and breaks in the clinic, all day."}, 30533, "DESCRIPTION"),
])
def test_campaigns_are_rejected_by_what_they_say(desk: Sandbox, changes: dict[str, Any], code: int, where: str) -> None:
    brand, service = approved(desk)
    campaign = campaign_for(desk, brand, service, **changes)
    desk.advance(10)
    one = desk.client.messaging.v1.services(service.sid).us_app_to_person(campaign.sid)
    failed = one.fetch()
    assert failed.campaign_status == "FAILED"
    (error,) = [item for item in failed.errors if item["error_code"] == code]
    assert where in error["fields"] and error["description"] and error["url"].endswith(str(code))
    if code == 30896:
        fields = {key: GOOD_CAMPAIGN[key] for key in ("message_flow", "message_samples", "description")}
        again = one.update(has_embedded_links=False, has_embedded_phone=False, age_gated=False, direct_lending=False,
                           **fields)
        assert again.campaign_status == "IN_PROGRESS" and again.errors == []
        desk.advance(10)
        assert one.fetch().campaign_status == "VERIFIED"
    assert one.delete()


@pytest.mark.parametrize("changes", [
    {"description": "short"}, {"message_flow": "x" * 2049}, {"message_samples": ["only one that is long enough"]},
    {"message_samples": ["short", "shorter"]}, {"us_app_to_person_usecase": "CHATTING"}, {"help_message": "short"},
    {"opt_in_keywords": ["not ok!"]},
])
def test_campaign_limits_are_checked_at_once(desk: Sandbox, changes: dict[str, Any]) -> None:
    brand, service = approved(desk)
    with pytest.raises(TwilioRestException) as refused:
        campaign_for(desk, brand, service, **changes)
    assert refused.value.status == 400


def test_use_cases_depend_on_the_brand(desk: Sandbox) -> None:
    brand, service = approved(desk)
    listed = desk.client.messaging.v1.services(service.sid).us_app_to_person_usecases.fetch(
        brand_registration_sid=brand.sid).us_app_to_person_usecases
    codes = {item["code"]: item["post_approval_required"] for item in listed}
    assert {"CUSTOMER_CARE", "LOW_VOLUME", "MIXED"} <= set(codes) and "SOLE_PROPRIETOR" not in codes
    assert codes["SOCIAL"] and not codes["MARKETING"]
    alone = brand_of(desk, "Dana Dogwalks", brand_type="SOLE_PROPRIETOR")
    assert alone.brand_registration_otps.create().brand_registration_sid == alone.sid
    only = desk.client.messaging.v1.services(service.sid).us_app_to_person_usecases.fetch(brand_registration_sid=alone.sid)
    assert [item["code"] for item in only.us_app_to_person_usecases] == ["SOLE_PROPRIETOR"]


def test_vetting_gives_a_score(desk: Sandbox) -> None:
    brand, _ = approved(desk)
    vetting = brand.brand_vettings.create("campaign-verify", vetting_id="cv|1")
    assert vetting.vetting_status == "SUCCESS"
    assert brand.fetch().identity_status == "VETTED_VERIFIED" and brand.fetch().brand_score > 0
    assert len(brand.brand_vettings.list()) == 1


def test_events_are_posted_signed_to_the_sink(desk: Sandbox) -> None:
    events = desk.client.events.v1
    sink = events.sinks.create("Registrations", {"destination": desk.receiver.base + "/events?k=1", "method": "POST"},
                               "webhook")
    base = "com.twilio.messaging.compliance."
    events.subscriptions.create("All", sink.sid, [
        {"type": base + name} for name in ("brand-registration.brand-registered", "brand-registration.brand-failure",
                                           "campaign-registration.campaign-approved",
                                           "campaign-registration.campaign-failure")])
    brand, service = approved(desk)
    campaign = campaign_for(desk, brand, service)
    desk.advance(10)
    desk.sim("reject", sid=campaign.sid, errors=[{"code": 30897, "fields": ["DESCRIPTION"], "description": "No."}])
    desk.sim("reject", sid=brand.sid)
    desk.settle()
    hits = desk.receiver.at("/events")
    assert all(signed(hit) and "bodySHA256=" in hit.url for hit in hits)
    posted = [json.loads(hit.body)[0] for hit in hits]
    found = {event["type"].removeprefix(base): event for event in posted}
    assert set(found) == {"brand-registration.brand-registered", "campaign-registration.campaign-approved",
                          "campaign-registration.campaign-failure", "brand-registration.brand-failure"}
    assert found["brand-registration.brand-registered"]["data"]["brandsid"] == brand.sid
    failure = found["campaign-registration.campaign-failure"]["data"]
    assert failure["campaignsid"] == campaign.sid and failure["campaignregistrationerrors"][0]["errorcode"] == "30897"
    assert posted[0]["specversion"] == "1.0" and posted[0]["id"].startswith("EZ")
    events.sinks(sink.sid).sink_test.create()
    desk.settle()
    assert json.loads(desk.receiver.at("/events")[-1].body)[0]["type"] == "com.twilio.eventstreams.test-event"


def test_decisions_by_hand_and_the_next_step(desk: Sandbox) -> None:
    brand = brand_of(desk)
    desk.sim("advance", sid=brand.sid)
    desk.settle()
    assert brand.fetch().status == "IN_REVIEW"
    desk.sim("advance", sid=brand.sid)
    desk.settle()
    assert brand.fetch().status == "APPROVED"
    desk.sim("suspend", sid=brand.sid)
    assert brand.fetch().status == "SUSPENDED"
    answer = desk.control.post("/approve", json={"sid": "BN" + "0" * 32})
    assert answer.status_code == 404


def test_real_durations_pass_in_a_moment(sandbox: Sandbox) -> None:
    sandbox.sim("review", review="real")
    sandbox.freeze()
    brand = brand_of(sandbox)
    sandbox.advance(500)
    assert brand.fetch().status == "IN_REVIEW"
    sandbox.advance(200)
    assert brand.fetch().status == "APPROVED"
    service = sandbox.client.messaging.v1.services.create("Desk")
    campaign = campaign_for(sandbox, brand, service)
    one = sandbox.client.messaging.v1.services(service.sid).us_app_to_person(campaign.sid)
    sandbox.advance(11 * 86_400)
    assert one.fetch().campaign_status == "IN_PROGRESS"
    sandbox.advance(3 * 86_400)
    assert one.fetch().campaign_status == "VERIFIED"


def test_toll_free_numbers_need_their_own_verification(desk: Sandbox) -> None:
    number = desk.buy("+18886662233")
    blocked = desk.send(ROSA, from_="+18886662233")
    desk.advance(5)
    assert desk.client.messages(blocked.sid).fetch().error_code == 30032
    filed = desk.client.messaging.v1.tollfree_verifications.create(
        business_name="Harbor Vet", business_website="https://example.com", notification_email="dana@example.com",
        use_case_categories=["CUSTOMER_CARE"], use_case_summary="Answers to pet owners",
        production_message_sample="Your visit is booked", opt_in_image_urls=["https://example.com/a.png"],
        opt_in_type="VIA_TEXT", message_volume="100", tollfree_phone_number_sid=number.sid)
    assert filed.status == "PENDING_REVIEW"
    desk.sim("reject", sid=filed.sid, reason="Not clear enough")
    rejected = desk.client.messaging.v1.tollfree_verifications(filed.sid).fetch()
    assert (rejected.status, rejected.rejection_reason) == ("TWILIO_REJECTED", "Not clear enough")
    desk.client.messaging.v1.tollfree_verifications(filed.sid).update(use_case_summary="Answers about visits")
    desk.advance(5)
    assert desk.client.messaging.v1.tollfree_verifications(filed.sid).fetch().status == "TWILIO_APPROVED"
    free = desk.send(ROSA, from_="+18886662233")
    desk.advance(5)
    assert desk.client.messages(free.sid).fetch().status == "delivered"
