"""MSG-1 in the thread: what is held says so, may be sent at once or taken back, and every text tells how it was judged."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Dispatch, Event, Message, Refused, Registration, UsageDay, db, transaction
from inbox.models.gate import Path
from inbox.models.usage import next_day
from tests.models.helpers import anew

NOON, LATE = datetime(2026, 11, 20, 20, 0, tzinfo=UTC), datetime(2026, 11, 21, 5, 40, tzinfo=UTC)  # Friday in San Francisco: 12:00 and 21:40
MORNING = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)


@pytest.fixture
def app(suite_app):
    return suite_app


@pytest.fixture
def held(world):
    """An away message that waits for the morning, in Priya's conversation."""
    clock.shift((LATE - clock.now()).total_seconds())
    c = world.conversation()
    world.named(c, "Priya")
    with transaction():
        return c.answer_automatically("We open at eight.", path=Path.AWAY)


def thread(client, message):
    return client.get(f"/c/{message.conversation.public_id}").get_data(as_text=True)


def test_MSG_1_a_held_text_says_why_and_until_when_and_offers_both_ways_out(app, world, held):
    page = thread(app.test_client().sign_in(world.maya), held)
    assert "Held: it is 9:40 PM for Priya; goes out" in page and "8:00 AM" in page
    assert f"/messages/{held.public_id}/release" in page and f"/messages/{held.public_id}/cancel" in page
    looks = thread(app.test_client().sign_in(world.vera), held)
    assert "Held: it is 9:40 PM" in looks and "/release" not in looks and "/cancel" not in looks


def test_MSG_1_send_now_sends_at_once_and_is_audited(app, world, held, bell):
    client = app.test_client().sign_in(world.maya)
    bell.rung.clear()
    answer = client.send(f"/messages/{held.public_id}/release")
    assert answer.status_code == 303
    anew()
    row = Dispatch.of(held)
    assert row.held_until is None and row.next_at <= clock.now() and row.lane == "send" and "quiet" in row.exempt
    assert ("send_message", (row.id,)) in bell.rung and held.hold is None
    assert next(a for a in held.verdict if a["rule"] == "quiet")["exempt"] is True
    event = db.session.scalars(sa.select(Event).where(Event.kind == "message.released")).one()
    assert event.actor_id == world.maya.id and event.data["message"] == held.id
    again = client.send(f"/messages/{held.public_id}/release")
    assert again.status_code == 422 and "does not wait for quiet hours" in again.get_data(as_text=True)


def test_MSG_1_cancel_takes_it_back_for_good(app, world, held, bell):
    client = app.test_client().sign_in(world.maya)
    with transaction():
        later = held.conversation.answer_automatically("Later", path=Path.AWAY)
    answer = client.send(f"/messages/{held.public_id}/cancel", htmx=True)
    assert answer.status_code == 200 and "Canceled" in answer.get_data(as_text=True)
    anew()
    assert held.state == "canceled" and Dispatch.of(held).state == "canceled" and later.state == "queued"
    assert db.session.scalars(sa.select(Event).where(Event.kind == "message.canceled")).one().actor_id == world.maya.id
    clock.shift(3600 * 12)
    with transaction():
        assert Dispatch.of(held).claim_it() is None
        assert Dispatch.of(later).claim_it(), "it does not hold up what comes after it"
    assert client.send(f"/messages/{held.public_id}/cancel").status_code == 422
    assert client.send(f"/messages/{later.public_id}/cancel").status_code == 422, "it is leaving"


def test_MSG_1_who_may_not_reply_may_neither_send_nor_cancel(app, world, held):
    for who, status in ((world.vera, 403), (world.uma, 403), (world.olga, 404), (world.nina, 404)):
        client = app.test_client().sign_in(who)
        for act in ("release", "cancel"):
            assert client.send(f"/messages/{held.public_id}/{act}").status_code == status, (who.name, act)
    anew()
    assert held.state == "queued" and Dispatch.of(held).held_until == MORNING


def test_MSG_1_a_day_that_is_used_up_offers_cancel_but_not_send_now(app, world):
    with transaction():
        registration = Registration.of_team(world.team.id)
        registration.limits = {"daily_cap": 10}
        UsageDay.take(registration.id, 10, 10)
        world.front.quiet = "off"
    message = world.reply(world.conversation(), world.maya)
    client = app.test_client().sign_in(world.maya)
    page = thread(client, message)
    assert "Held: today’s limit is used up; goes out" in page and "/cancel" in page and "/release" not in page
    assert "Today’s limit of 10 segments is used up. It goes out after midnight Pacific time." in page, "and the composer says so before the next one"
    assert client.send(f"/messages/{message.public_id}/release").status_code == 422
    boss = app.test_client().sign_in(world.dana)
    assert "10 of today’s 10 segments have gone out." in boss.get(f"/registrations/{registration.public_id}").get_data(as_text=True)
    assert Dispatch.of(message).held_until == next_day()


def test_MSG_1_the_composer_warns_quietly_while_it_is_late_for_the_customer(app, world):
    clock.shift((LATE - clock.now()).total_seconds())
    c = world.conversation()
    world.named(c, "Priya")
    client = app.test_client().sign_in(world.maya)
    page = client.get(f"/c/{c.public_id}").get_data(as_text=True)
    note = page[page.index('id="night"') :][:400]
    assert "It is 9:40 PM for Priya." in note and " hidden" not in note.split(">")[0]
    assert client.send(f"/c/{c.public_id}/messages", body="Good night", seen=c.last_inbound_id).status_code == 303
    message = db.session.scalars(sa.select(Message).where(Message.body == "Good night")).one()
    assert Dispatch.of(message).held_until is None and message.hold is None
    clock.shift((NOON - clock.now()).total_seconds())
    page = client.get(f"/c/{c.public_id}").get_data(as_text=True)
    assert " hidden" in page[page.index('id="night"') :].split(">")[0]


def test_MSG_1_why_tells_every_rules_answer_in_words(app, world, held):
    client = app.test_client().sign_in(world.vera)
    whole = client.get(f"/messages/{held.public_id}/checks")
    part = client.get(f"/messages/{held.public_id}/checks", headers={"HX-Request": "true"})
    assert whole.status_code == part.status_code == 200 and "<html" in whole.get_data(as_text=True) and "<html" not in part.get_data(as_text=True)
    text = part.get_data(as_text=True)
    for words in ("The carrier registration", "Opt-outs", "The balance", "Quiet hours", "It is 21:40 for Priya. It waits until", "The carriers’ daily limit", "An away message"):
        assert words in text, words
    assert text.count("<li") == len(held.verdict)
    inbound = db.session.scalars(sa.select(Message).where(Message.kind == "in")).first()
    assert client.get(f"/messages/{inbound.public_id}/checks").status_code == 404
    assert app.test_client().sign_in(world.olga).get(f"/messages/{held.public_id}/checks").status_code == 404
    page = thread(client, held)
    assert page.count(f"/messages/{held.public_id}/checks") == 2, "one link, with and without scripts"


def test_MSG_1_cancel_send_now_and_a_worker_never_both_win(app, world, together, bell):
    clock.shift((LATE - clock.now()).total_seconds())
    for turn in range(6):
        c = world.conversation(sender=f"+1415555{200 + turn:04}")
        with transaction():
            message_id = c.answer_automatically("We open at eight.", path=Path.AWAY).id
        maya_id = world.maya.id
        clock.shift((MORNING - clock.now()).total_seconds() + (1 if turn % 2 else -60))
        db.session.commit()

        def act(number, message_id=message_id, maya_id=maya_id):
            from inbox.models import Member

            with transaction():
                message = db.session.get_one(Message, message_id)
                if number % 3 == 0:
                    return "claimed" if Dispatch.of(message).claim_it() else "none"
                try:
                    message.cancel(by=db.session.get_one(Member, maya_id)) if number % 3 == 1 else message.release(by=db.session.get_one(Member, maya_id))
                except Refused:
                    return "none"
                return "canceled" if number % 3 == 1 else "released"

        done = together(act, 9, app)
        anew()
        row = db.session.scalars(sa.select(Dispatch).where(Dispatch.message_id == message_id)).one()
        assert not [d for d in done if isinstance(d, Exception)], done
        assert done.count("claimed") + done.count("canceled") <= 1 and done.count("released") <= 1, done
        assert row.state == {True: "canceled"}.get("canceled" in done, "sending" if "claimed" in done else "queued")
        assert row.message.state == ("canceled" if "canceled" in done else "queued")
        clock.shift((LATE - clock.now()).total_seconds())


def test_MSG_1_quiet_hours_are_a_setting_of_the_inbox(app, world):
    client = app.test_client().sign_in(world.dana)
    at = f"/inboxes/{world.front.public_id}/settings"
    page = client.get(at).get_data(as_text=True)
    assert "Quiet hours" in page and 'value="08:00"' in page and "Quiet hours are off" not in page
    form = {
        "lock_on": "open", "lock_lease": "45", "lock_heartbeat": "15", "idle_after": "180", "idle_answer": "60", "reopen": "yes", "ring_seconds": "20",
        "quiet": "own", "quiet_opens": "09:30", "quiet_closes": "18:15",
    }
    assert client.send(at, **form).status_code == 303
    anew()
    assert (world.front.quiet, world.front.quiet_opens, world.front.quiet_closes) == ("own", 570, 1095)
    assert db.session.scalars(sa.select(Event).where(Event.kind == "inbox.changed")).all()[-1].data["after"]["quiet"] == "own"
    for wrong in ({"quiet_opens": "18:15", "quiet_closes": "09:30"}, {"quiet": "never"}, {"quiet_opens": "25:99"}):
        answer = client.send(at, **{**form, **wrong})
        assert answer.status_code == 422, wrong
    assert client.send(at, **{**form, "quiet": "off"}).status_code == 303
    assert "Quiet hours are off" in client.get(at).get_data(as_text=True)
    assert client.send(at, **{name: value for name, value in form.items() if not name.startswith("quiet")}).status_code == 303
    anew()
    assert world.front.quiet == "off", "a form that does not ask leaves it"
