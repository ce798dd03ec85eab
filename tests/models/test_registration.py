"""REG-1..4 at the model: from a form to an approved campaign, forward only, with nothing leaving before."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox import clock
from inbox.channels.base import Issue, RegistrationStatus
from inbox.channels.twilio import Twilio
from inbox.models import Denied, Inbox, Refused, Registration, SendRefused, db, transaction
from inbox.models.event import Event
from inbox.models.registration import NEXT, USUAL, business_day
from tests.channels.test_a2p import BRAND, CAMPAIGN
from tests.models.helpers import anew, rows

FORM = {**BRAND, **CAMPAIGN}
STATES = sorted({*NEXT} - {"draft"})


# -- forward only -------------------------------------------------------------------------------------------------


def put_in(registration, state):
    with transaction():
        registration.state, registration.round, registration.history = state, 2, []


@pytest.mark.parametrize("before", sorted(NEXT))
@pytest.mark.parametrize("told", STATES)
def test_REG_2_a_notice_that_does_not_fit_changes_nothing(world, bell, before, told):
    registration = world.waiting_registration
    put_in(registration, before)
    bell.rung.clear()
    registration._advance(RegistrationStatus(told, told))
    anew()
    if told in NEXT[before] and told != "submitted":  # only people submit
        assert registration.state == told and [h[0] for h in registration.history] == [told]
        assert (("send_mail", ("registration", registration.id)) in bell.rung) == (told in ("approved", "rejected", "suspended", "expired"))
    else:
        assert registration.state == before and registration.history == [] and not bell.rung
    assert world.waiting.registered == (registration.state == "approved" and world.waiting.joined_at is not None)


def test_REG_2_news_about_an_older_submission_is_ignored(world):
    registration = world.waiting_registration
    put_in(registration, "in_review")
    registration._advance(RegistrationStatus("rejected", "brand failed", (Issue("brand_ein", "1", "Wrong"),)), 1)
    anew()
    assert registration.state == "in_review" and registration.issues == []
    registration._advance(RegistrationStatus("rejected", "brand failed", (Issue("brand_ein", "1", "Wrong"),)), 2)
    anew()
    assert registration.found_issues() == [Issue("brand_ein", "1", "Wrong")]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(["submitted", "in_review"]), notices=st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from([None, 1, 2])), max_size=12),
    repeats=st.integers(1, 3),
)
def test_REG_2_shuffled_and_repeated_notices_only_move_forward(world, start, notices, repeats):
    registration = world.waiting_registration
    c = world.conversation(inbox=world.waiting)
    put_in(registration, start)
    with transaction():
        world.waiting.joined_at = None
    for state, about in notices:
        for _ in range(repeats):
            before = registration.state
            registration._advance(RegistrationStatus(state, state), about)
            anew()
            assert registration.state == before or (registration.state == state != "submitted" and state in NEXT[before] and about in (None, 2))
            may_leave = registration.state == "approved"
            assert (world.waiting in Inbox.visible_to(world.dana)) == may_leave
            if may_leave:
                assert c.gate("Hi")
            else:
                with pytest.raises(SendRefused):
                    c.gate("Hi")
    path = [start, *[h[0] for h in registration.history]]
    assert all(after in NEXT[before] for before, after in zip(path, path[1:], strict=False))


def test_REG_2_eight_pollers_with_the_same_answer_move_it_once(world, app, together, bell):
    registration = world.waiting_registration
    put_in(registration, "in_review")
    bell.rung.clear()

    def poll(_):
        db.session.get(Registration, registration.id)._advance(RegistrationStatus("approved", "campaign verified"), 2)

    assert together(poll, 8, app) == [None] * 8
    anew()
    assert [h[0] for h in registration.history] == ["approved"]
    assert bell.rung == [("send_mail", ("registration", registration.id))]
    assert db.session.query(Event).filter_by(kind="registration.moved").count() == 1


def test_REG_2_limits_come_with_the_approval_and_with_later_looks(world, bell):
    registration = world.waiting_registration
    limits = {"mps": 12.0, "daily_cap": 2000, "score": 40, "tier": "LOW"}
    assert registration.limits == {}
    for state in ("draft", "rejected", "expired", "suspended", "in_review"):
        put_in(registration, state)
        registration._advance(RegistrationStatus("in_review", "brand approved", limits=limits))
        anew()
        assert registration.limits == {}, "not approved yet"
    registration._advance(RegistrationStatus("approved", "campaign verified", limits=limits))
    anew()
    assert registration.limits == limits
    registration._advance(RegistrationStatus("approved", "campaign verified"))
    anew()
    assert registration.limits == limits, "a carrier that says nothing takes nothing away"
    registration._advance(RegistrationStatus("approved", "campaign verified", limits={**limits, "mps": 225.0, "daily_cap": None}))
    anew()
    assert registration.limits["mps"] == 225.0 and registration.limits["daily_cap"] is None
    put_in(registration, "rejected")
    registration._advance(RegistrationStatus("approved", "campaign verified", limits=limits))
    anew()
    assert registration.limits["mps"] == 225.0, "a late notice changes nothing"


# -- how long it takes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        ("2026-11-18", 0, "2026-11-18"), ("2026-11-18", 1, "2026-11-19"), ("2026-11-20", 1, "2026-11-23"), ("2026-11-21", 1, "2026-11-23"),
        ("2026-11-18", 10, "2026-12-02"), ("2026-11-18", 15, "2026-12-09"), ("2026-11-22", 5, "2026-11-27"),
    ],
)
def test_REG_2_business_days_leave_weekends_out(start, days, end):
    assert business_day(date.fromisoformat(start), days) == date.fromisoformat(end)


@pytest.mark.one_database
def test_REG_2_expected_dates_count_from_the_submission_in_the_accounts_zone(world):
    registration = world.waiting_registration
    assert registration.expected("campaign") is None and not registration.overdue("campaign")
    with transaction():
        registration.state, registration.submitted_at = "in_review", datetime(2026, 11, 19, 5, tzinfo=UTC)  # the evening of the 18th in Los Angeles
    assert registration.expected("profile") == (date(2026, 11, 18), date(2026, 11, 23))
    assert registration.expected("brand") == (date(2026, 11, 18), date(2026, 11, 25))
    assert registration.expected("campaign") == (date(2026, 12, 2), date(2026, 12, 9))
    with transaction():
        registration.reached = {"profile": "2026-11-20T18:00:00+00:00", "brand": "2026-11-23T18:00:00+00:00"}
    assert registration.expected("campaign") == (date(2026, 12, 7), date(2026, 12, 14)), "the campaign starts when the brand is verified"


def test_REG_2_what_takes_longer_than_usual_is_known(world):
    registration = world.waiting_registration
    with transaction():
        registration.state, registration.submitted_at = "in_review", clock.now()
    assert not any(registration.overdue(step) for step in USUAL)
    clock.shift(12 * 86400)
    assert registration.overdue("profile") and registration.overdue("brand") and not registration.overdue("campaign")
    with transaction():
        registration.reached = {"profile": clock.now().isoformat(), "brand": clock.now().isoformat()}
    assert not registration.overdue("profile") and not registration.overdue("brand")
    clock.shift(22 * 86400)
    assert registration.overdue("campaign")
    with transaction():
        registration.state = "approved"
    assert not registration.overdue("campaign")


def test_REG_2_the_day_each_step_was_accepted_is_kept(world):
    registration = world.waiting_registration
    put_in(registration, "submitted")
    registration._advance(RegistrationStatus("submitted", "brand pending"))
    registration._advance(RegistrationStatus("in_review", "brand in_review", done=frozenset({"profile"})))
    anew()
    first = registration.accepted("profile")
    assert first and registration.accepted("brand") is None
    clock.shift(3600)
    registration._advance(RegistrationStatus("in_review", "brand approved", done=frozenset({"profile", "brand"})))
    anew()
    assert registration.accepted("profile") == first and registration.accepted("brand") > first
    clock.shift(3600)
    registration._advance(RegistrationStatus("rejected", "campaign failed", done=frozenset({"profile", "brand"})))
    with transaction():
        registration.write(FORM, by=world.dana)
        registration.submit(by=world.dana)
    anew()
    assert registration.accepted("profile") == first, "what the carriers accepted stays accepted"
    registration._advance(RegistrationStatus("rejected", "brand failed"))
    with transaction():
        registration.submit(by=world.dana)
    anew()
    assert registration.reached == {}, "a brand that was turned down is looked at again"


def test_REG_2_an_expired_registration_is_submitted_again_with_what_was_typed(world, bell):
    registration = world.waiting_registration
    with transaction():
        registration.write(FORM, by=world.dana)
    put_in(registration, "approved")
    with transaction():
        registration.refs = {"service": "MG1", "brand": "BN1", "profile": "BU1", "campaign": "QE1"}
    registration._advance(RegistrationStatus("expired", "campaign expired"))
    anew()
    assert registration.state == "expired" and registration.editable and registration.form["brand_ein"] == FORM["brand_ein"] and not world.waiting.registered
    with transaction():
        registration.submit(by=world.dana)
    anew()
    assert registration.state == "submitted" and registration.refs == {"service": "MG1", "brand": "BN1", "profile": "BU1"}
    with transaction():
        registration.state, registration.provider_state = "expired", "brand deletion_pending"
        registration.submit(by=world.dana)
    anew()
    assert registration.refs == {"service": "MG1"}, "a brand that is gone is made anew"


# -- the form -----------------------------------------------------------------------------------------------------


def test_REG_1_what_was_typed_is_kept_and_mistakes_are_said_at_their_field(world):
    registration = world.waiting_registration
    with transaction():
        registration.write({**FORM, "brand_ein": "nope"}, by=world.dana)
    before = rows()
    with pytest.raises(Refused) as refused, transaction():
        registration.submit(by=world.dana)
    assert refused.value.field == "brand_ein" and rows() == before
    anew()
    assert registration.state == "draft" and registration.form["brand_ein"] == "nope" and registration.form["sample_1"] == CAMPAIGN["sample_1"]
    for who in (world.maya, world.sven, world.vera, world.uma):
        with pytest.raises(Denied), transaction():
            registration.submit(by=who)
        with pytest.raises(Denied), transaction():
            registration.write({}, by=who)
        with pytest.raises(Denied), transaction():
            registration.check_now(by=who)


def test_REG_2_once_sent_it_is_not_edited_or_sent_again(world, bell):
    registration = world.waiting_registration
    with transaction():
        registration.write(FORM, by=world.ada)
        registration.submit(by=world.ada)
    assert (registration.state, registration.round) == ("submitted", 1) and bell.rung == [("submit_registration", (registration.id,))]
    with pytest.raises(Refused), transaction():
        registration.submit(by=world.ada)
    with pytest.raises(Refused), transaction():
        registration.write({"brand_ein": "1"}, by=world.ada)
    anew()
    assert registration.round == 1 and registration.form["brand_ein"] == BRAND["brand_ein"]


def test_REG_2_submitting_at_once_submits_once(world, app, together, bell):
    from tests.models.helpers import person

    registration, dana = world.waiting_registration, world.dana.id
    with transaction():
        registration.write(FORM, by=world.dana)

    def submit(_):
        with transaction():
            db.session.get(Registration, registration.id).submit(by=person(dana))

    results = together(submit, 6, app)
    assert results.count(None) == 1 and all(isinstance(r, Refused) for r in results if r), results
    anew()
    assert registration.round == 1


def test_check_now_is_not_a_hammer(world, bell):
    registration = world.waiting_registration
    with transaction():
        registration.check_now(by=world.ada)
        registration.checked_at = clock.now()
    assert bell.rung == [("poll_registrations", (registration.id,))]
    with pytest.raises(Refused), transaction():
        registration.check_now(by=world.ada)
    clock.shift(6)
    with transaction():
        registration.check_now(by=world.ada)


# -- with the carrier ---------------------------------------------------------------------------------------------


@pytest.fixture
def carrier(world, sandbox_app, carrier_port):
    """The running sandbox carrier, with a number bought for the waiting inbox."""

    class Control:
        base = f"http://127.0.0.1:{carrier_port}/__sim"

        def post(self, path, **data):
            answer = httpx.post(f"{self.base}/{path}", json=data, trust_env=False)
            assert answer.status_code < 300, answer.text

        def buy(self, inbox):
            credentials = world.carrier.credentials
            [offer, *_] = Twilio().search_numbers(credentials, "415", "")
            owned = Twilio().buy_number(credentials, offer.e164, *(world.carrier.hook(kind) for kind in ("messages", "voice", "status")))
            with transaction():
                inbox.phone, inbox.number_sid = owned.e164, owned.sid

        def numbers_of(self, registration):
            found = httpx.get(
                f"http://127.0.0.1:{carrier_port}/v1/Services/{registration.refs['service']}/PhoneNumbers",
                auth=(world.carrier.account_sid, world.carrier.credentials.auth_token), trust_env=False,
            ).json()
            return {number["sid"] for number in found["phone_numbers"]}

        def until(self, registration, *states):
            """Poll as the job does while the carrier's days go by."""
            deadline = time.monotonic() + 20
            while registration.state not in states:
                assert time.monotonic() < deadline, (registration.state, registration.provider_state, registration.problem)
                self.post("clock", advance=30)
                registration.refresh()
                anew()

    control = Control()
    control.post("reset")
    control.buy(world.waiting)
    return control


def submit(world, **changes):
    registration = world.waiting_registration
    with transaction():
        registration.write({**FORM, **changes}, by=world.ada)
        registration.submit(by=world.ada)
    registration.send_to_carrier()
    anew()
    return registration


def test_REG_4_from_form_to_approval_the_inbox_joins_and_shows(world, carrier, bell):
    c = world.conversation(inbox=world.waiting)
    registration = submit(world)
    assert registration.state == "in_review" and {"service", "brand"} <= set(registration.refs), registration.problem
    assert carrier.numbers_of(registration) == {world.waiting.number_sid}
    with pytest.raises(SendRefused):
        c.gate("Hi")
    with transaction():
        second = Inbox.create(
            world.waiting.team, name="Later", api_code="later", hue="lime", phone="+14155550199", number_sid=None, forward_to=None, description="", by=world.dana
        )
    carrier.buy(second)
    bell.facts.clear()
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "approved" and registration.decided_at and registration.issues == []
    assert c.gate("Hi") and world.waiting.joined_at and second.registered
    assert {"what": "navigation", "account": world.harbor.id} in bell.facts
    assert carrier.numbers_of(registration) == {world.waiting.number_sid, second.number_sid}, "numbers bought meanwhile joined too"
    assert bell.rung.count(("send_mail", ("registration", registration.id))) == 1
    assert registration.limits["mps"] in (12.0, 120.0, 225.0) and registration.limits["daily_cap"] in (2_000, 40_000, 200_000) and registration.limits["score"] >= 40
    registration.refresh()
    anew()
    assert registration.state == "approved" and [h[0] for h in registration.history] == ["submitted", "in_review", "approved"]
    world.dana.forget_inboxes()
    assert world.waiting in Inbox.visible_to(world.dana)

    carrier.post("suspend", sid=registration.refs["campaign"])
    registration.refresh()
    anew()
    assert registration.state == "suspended" and world.waiting not in Inbox.visible_to(world.dana)
    with pytest.raises(SendRefused):
        c.gate("Hi")


def test_REG_4_an_inbox_made_while_the_approval_came_joins_at_the_next_look(world, carrier, bell, monkeypatch):
    registration = submit(world)
    carrier.until(registration, "approved", "rejected")
    with transaction():
        late, odd = (
            Inbox.create(world.waiting.team, name=name, api_code=name.lower(), hue="lime", phone=phone, number_sid=sid, forward_to=None, description="", by=world.dana)
            for name, phone, sid in (("Late", "+14155550198", None), ("Odd", "+14155550197", "PN" + "0" * 32))
        )
    carrier.buy(late)
    registration.refresh()
    anew()
    assert late.registered and late.number_sid in carrier.numbers_of(registration)
    assert not odd.registered and registration.problem.startswith("A number could not join:"), "a number the carrier does not take is said, and holds up nothing"
    assert registration.state == "approved" and registration.provider_state == "campaign verified"


def test_REG_2_a_rejected_brand_names_its_fields_and_is_corrected(world, carrier, bell):
    registration = submit(world, brand_legal_name="Mismatch Bakery", sample_1="Mismatch Bakery: your cake is ready until 6 pm. Reply STOP to opt out.")
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "rejected" and registration.editable
    assert {issue.field for issue in registration.found_issues()} == {"brand_ein", "brand_legal_name"}
    assert registration.next_check_at is None and registration.id not in Registration.due()
    brand = registration.refs["brand"]
    registration = submit(world)
    assert registration.state == "in_review" and registration.issues == [] and registration.round == 2
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "approved" and registration.refs["brand"] == brand
    assert [h[0] for h in registration.history] == ["submitted", "in_review", "rejected", "submitted", "in_review", "approved"]


def test_REG_2_a_rejected_campaign_is_corrected_and_resubmitted(world, carrier, bell):
    registration = submit(world, description="Bluebird Bakery sends its customers casino and betting news every day.")
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "rejected" and registration.provider_state.startswith("campaign")
    assert registration.found_issues() and all(issue.message for issue in registration.found_issues())
    registration = submit(world)
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "approved", registration.issues


def test_REG_2_trouble_at_the_carrier_is_said_and_tried_again(world, carrier, bell):
    carrier.post("fault", kind="500", count=50)
    registration = submit(world)
    assert registration.state == "submitted" and registration.problem and registration.id not in Registration.due()
    clock.shift(31)
    assert registration.id in Registration.due()
    carrier.post("reset")
    carrier.buy(world.waiting)
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "approved" and registration.problem == ""


def test_REG_2_a_submission_that_broke_half_way_goes_on_where_it_stopped(world, carrier, bell, monkeypatch):
    from inbox.channels import twilio as module

    steps = []
    real = module._call

    def breaks(credentials, method, url, *args, **kwargs):
        if method == "POST":
            steps.append(url)
            if len(steps) == 9:
                from inbox.channels.base import TemporaryFailure

                raise TemporaryFailure("The line is dead.")
        return real(credentials, method, url, *args, **kwargs)

    monkeypatch.setattr(module, "_call", breaks)
    registration = submit(world)
    assert registration.state == "submitted" and registration.problem == "The line is dead."
    kept = dict(registration.refs)
    assert len(kept) > 1, "what was made is known"
    carrier.until(registration, "approved", "rejected")
    assert registration.state == "approved" and kept.items() <= registration.refs.items()
