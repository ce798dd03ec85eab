"""CONV-8 on pages: scheduling from a conversation and from Compose, with and without JavaScript, and deciding about what waits."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from PIL import Image

from inbox import clock
from inbox.models import Draft, Message, ScheduledMessage, db, transaction
from tests.models.helpers import anew

WORDS = "See you at nine."


@pytest.fixture
def app(suite_app):
    return suite_app


@pytest.fixture
def c(world):
    return world.conversation()


@pytest.fixture
def row(world, c):
    with transaction():
        return ScheduledMessage.schedule(c, WORDS, by=world.maya, at=clock.now() + timedelta(days=2), seen=c.last_inbound_id)


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


def day_after(days=2):
    """A moment as somebody in Los Angeles types it."""
    from zoneinfo import ZoneInfo

    return f"{clock.now().astimezone(ZoneInfo('America/Los_Angeles')) + timedelta(days=days):%Y-%m-%dT09:00}"


def thread(client, c):
    return client.get(f"/c/{c.public_id}").get_data(as_text=True)


def of(c):
    anew()
    return db.session.scalars(sa.select(ScheduledMessage).where(ScheduledMessage.conversation_id == c.id).order_by(ScheduledMessage.id)).all()


def picture():
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(data, "PNG")
    data.seek(0)
    return data


# -- making one ------------------------------------------------------------------------------------------------------------


def test_CONV_8_the_menu_offers_moments_by_the_writers_clock(maya, c):
    page = maya.part(f"/c/{c.public_id}/schedule").get_data(as_text=True)
    assert "Tomorrow" in page and "9:00" in page and "Only if they don’t answer first" in page and "datetime-local" in page
    assert "checked" in page and f"/c/{c.public_id}/schedule/hint" in page


def test_CONV_8_scheduling_shows_a_chip_and_empties_the_form(app, world, maya, c, bell):
    with transaction():
        Draft.put(c, WORDS, by=world.maya)
    answer = maya.send(f"/c/{c.public_id}/schedule", htmx=True, body=WORDS, seen=c.last_inbound_id, nonce="n", choosing=1, when="tomorrow", unanswered=1)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 201 and answer.headers["HX-Trigger"] == "scheduled"
    assert "You scheduled this" in page and "tomorrow 9:00" in page and "only if they don’t answer first" in page
    assert Draft.of(c, world.maya) is None and of(c)[0].unanswered
    assert any(fact["what"] == "scheduled" for fact in bell.facts)
    again = maya.send(f"/c/{c.public_id}/schedule", htmx=True, body=WORDS, seen=c.last_inbound_id, nonce="n", choosing=1, when="tomorrow", unanswered=1)
    assert again.status_code == 201 and len(of(c)) == 1
    maya.send(f"/c/{c.public_id}/draft", htmx=True, body=WORDS, kind="reply", nonce="n")
    assert Draft.of(c, world.maya) is None, "a late copy of what is scheduled is no draft"
    looks = thread(app.test_client().sign_in(world.vera), c)
    assert "Maya Chen scheduled this" in looks and "/scheduled/" not in re.search(r'id="scheduled".*?id="composer"', looks, re.DOTALL).group()


def test_CONV_8_scheduling_without_javascript_asks_for_the_moment_and_keeps_words_and_files(maya, c):
    form = {"csrf_token": maya.csrf(), "body": WORDS, "seen": c.last_inbound_id, "nonce": "m", "then": "schedule", "media": (picture(), "ear.png")}
    asked = maya.post(f"/c/{c.public_id}/schedule", data=form, content_type="multipart/form-data")
    page = asked.get_data(as_text=True)
    upload = re.search(r'name="upload" value="([^"]+)"', page).group(1)
    assert asked.status_code == 200 and f"{WORDS}</textarea>" in page and of(c) == []
    wrong = maya.send(f"/c/{c.public_id}/schedule", body=WORDS, seen=c.last_inbound_id, upload=upload, choosing=1, at="soon", unanswered=1)
    page = wrong.get_data(as_text=True)
    assert wrong.status_code == 422 and "Choose a date and a time." in page and f"{WORDS}</textarea>" in page and upload in page and of(c) == []
    done = maya.send(f"/c/{c.public_id}/schedule", body=WORDS, seen=c.last_inbound_id, upload=upload, choosing=1, at=day_after())
    assert done.status_code == 303 and done.headers["Location"].endswith(f"/c/{c.public_id}")
    made = of(c)[0]
    assert [f.filename for f in made.files] == ["ear.png"] and not made.unanswered
    page = thread(maya, c)
    assert "You scheduled this" in page and "1 file" in page and "Scheduled: it leaves" in page


@pytest.mark.parametrize(("fields", "status", "says"), [
    ({"body": ""}, 422, "Write something first"), ({"at": "2020-01-01T09:00"}, 422, "has passed"), ({"at": "9999-01-01T09:00"}, 422, "within a year"), ({"seen": 0}, 409, "new text"),
])
def test_CONV_8_what_cannot_be_scheduled_says_why_and_keeps_the_text(maya, c, fields, status, says):
    form = {"body": WORDS, "seen": c.last_inbound_id, "choosing": 1, "at": day_after(), **fields}
    for htmx in (True, False):
        answer = maya.send(f"/c/{c.public_id}/schedule", htmx=htmx, **form)
        page = answer.get_data(as_text=True)
        assert answer.status_code == status and says in page and of(c) == []
        assert htmx or f"{form['body']}</textarea>" in page


def test_CONV_8_the_hint_knows_the_customers_clock_and_their_night(maya, world):
    c = world.conversation(sender="+12125550134")
    page = maya.part(f"/c/{c.public_id}/schedule/hint?at={day_after()}").get_data(as_text=True)
    assert "12:00" in page and "It will be" not in page
    night = maya.part(f"/c/{c.public_id}/schedule/hint?at={day_after()[:11]}20:00").get_data(as_text=True)
    assert "It will be 11:00" in night and "It leaves" in night
    assert maya.part(f"/c/{c.public_id}/schedule/hint?at=nonsense").status_code == 200


def test_CONV_8_a_first_text_is_scheduled_from_compose(maya, world):
    page = maya.get("/compose").get_data(as_text=True)
    assert "Schedule…" in page and "/compose/schedule" in page
    form = {"inbox": world.front.public_id, "to": "+14155550177", "body": WORDS, "choosing": 1, "unanswered": 1, "nonce": "x"}
    wrong = maya.send("/compose/schedule", **form, at="")
    page = wrong.get_data(as_text=True)
    assert wrong.status_code == 422 and "Choose a date and a time." in page and WORDS in page and "+14155550177" in page
    done = maya.send("/compose/schedule", **form, when="tomorrow")
    anew()
    made = db.session.scalars(sa.select(ScheduledMessage)).one()
    assert done.status_code == 303 and done.headers["Location"].endswith(made.conversation.public_id) and made.conversation.archived
    assert maya.send("/compose/schedule", **{**form, "to": ""}, when="tomorrow").status_code == 422
    assert db.session.scalar(sa.select(sa.func.count(Message.id)).where(Message.kind == "out")) == 0


# -- deciding ----------------------------------------------------------------------------------------------------------------


def test_CONV_8_a_chip_is_edited_in_place_and_on_a_page(maya, c, row):
    assert f"/scheduled/{row.public_id}/edit" in thread(maya, c)
    for page in (maya.get(f"/scheduled/{row.public_id}/edit"), maya.part(f"/scheduled/{row.public_id}/edit")):
        assert page.status_code == 200 and f"{WORDS}</textarea>" in page.get_data(as_text=True)
    to, version = f"/scheduled/{row.public_id}/edit", row.version
    wrong = maya.send(to, htmx=True, body="", at=day_after(), choosing=1, version=version)
    assert wrong.status_code == 422 and "Write something first" in wrong.get_data(as_text=True)
    done = maya.send(to, htmx=True, body="Ten is fine.", at=day_after(3), choosing=1, version=version)
    assert done.status_code == 200 and "Ten is fine." in done.get_data(as_text=True) and "data-done" in done.get_data(as_text=True)
    old = maya.send(to, body="Eleven", at=day_after(), choosing=1, version=version)
    assert old.status_code == 409 and "Eleven</textarea>" in old.get_data(as_text=True), "what was typed is still there"
    assert of(c)[0].body == "Ten is fine." and not of(c)[0].unanswered


def test_CONV_8_send_now_cancel_and_dismiss(maya, world, c, row):
    sent = maya.send(f"/scheduled/{row.public_id}/send", htmx=True, seen=c.last_inbound_id)
    page = sent.get_data(as_text=True)
    assert sent.status_code == 200 and f'class="bub">{WORDS}' in page and of(c)[0].state == "sent" and "You scheduled" not in page
    assert maya.send(f"/scheduled/{row.public_id}/send", htmx=True).status_code == 409
    with transaction():
        second = ScheduledMessage.schedule(c, "Second", by=world.maya, at=clock.now() + timedelta(days=2), seen=c.last_inbound_id)
    back = maya.send(f"/scheduled/{second.public_id}/cancel", htmx=True, body="typed")
    page = back.get_data(as_text=True)
    assert back.status_code == 200 and back.headers["HX-Trigger"] == "decided" and "Second\ntyped</textarea>" in page
    with transaction():
        third = ScheduledMessage.schedule(c, "Third", by=world.maya, at=clock.now() + timedelta(days=2), seen=c.last_inbound_id)
    assert maya.send(f"/scheduled/{third.public_id}/dismiss").status_code == 422
    world.text("Hello?", sender=c.address)
    page = thread(maya, c)
    assert "They wrote first." in page and "scheduled text was dropped" in page and "Schedule again" in page and "Third" in page
    assert maya.send(f"/scheduled/{third.public_id}/dismiss", htmx=True).status_code == 200
    assert "Third" not in re.search(r'id="scheduled".*?id="composer"', thread(maya, c), re.DOTALL).group()


def test_CONV_8_the_same_without_javascript_from_the_list(maya, world, c, row):
    page = maya.get("/scheduled").get_data(as_text=True)
    assert WORDS in page and "Send now" in page and 'name="from" value="mine"' in page
    done = maya.send(f"/scheduled/{row.public_id}/cancel", **{"from": "mine"})
    assert done.status_code == 303 and done.headers["Location"].endswith("/scheduled") and Draft.of(c, world.maya).body == WORDS
    assert "Nothing is scheduled" in maya.get("/scheduled").get_data(as_text=True)


def test_CONV_8_the_list_is_paged_and_everyones_is_for_supervisors(app, maya, world, c):
    with transaction():
        for n in range(45):
            ScheduledMessage.schedule(c, f"Text {n:02}.", by=world.maya, at=clock.now() + timedelta(days=2, minutes=n // 2), seen=c.last_inbound_id)
    page = maya.get("/scheduled").get_data(as_text=True)
    shown = re.findall(r"Text (\d\d)\.", page)
    more = re.search(r'hx-get="([^"]+after[^"]+)"', page).group(1)
    rest = re.findall(r"Text (\d\d)\.", maya.part(more).get_data(as_text=True))
    assert [int(n) for n in [*shown, *rest]] == list(range(45)) and len(shown) == 40
    assert maya.get("/scheduled/all").status_code == 403
    everyone = app.test_client().sign_in(world.sven).get("/scheduled/all").get_data(as_text=True)
    assert "Text 00." in everyone and "Maya Chen" in everyone
    assert maya.get("/scheduled?after=nonsense").status_code == maya.get("/scheduled?after=9e99_1").status_code == 200


@pytest.mark.parametrize("what", ["edit", "send", "cancel", "dismiss"])
def test_CONV_8_who_may_not_decide(app, world, c, row, what):
    for who, status in ((world.theo, 403), (world.vera, 403), (world.uma, 403), (world.nina, 404), (world.olga, 404)):
        assert app.test_client().sign_in(who).send(f"/scheduled/{row.public_id}/{what}", htmx=True).status_code == status, who.name
    assert app.test_client().sign_in(world.maya).send(f"/scheduled/nonsense/{what}").status_code == 404
    assert of(c)[0].state == "waiting"


def test_CONV_8_who_may_not_schedule(app, world, c):
    for who, status in ((world.vera, 403), (world.uma, 403), (world.nina, 404), (world.olga, 404)):
        answer = app.test_client().sign_in(who).send(f"/c/{c.public_id}/schedule", htmx=True, body=WORDS, seen=c.last_inbound_id, choosing=1, when="tomorrow")
        assert answer.status_code == status, who.name
    waiting = world.conversation(sender="+14155550188", inbox=world.waiting)
    with transaction():
        world.waiting.add_member(world.maya, by=world.dana) if world.waiting.registered else None
    refused = app.test_client().sign_in(world.dana).send(f"/c/{waiting.public_id}/schedule", htmx=True, body=WORDS, seen=waiting.last_inbound_id, choosing=1, when="tomorrow")
    assert refused.status_code in (404, 422) and of(waiting) == []
