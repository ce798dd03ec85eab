"""CONV-8 and LOCK-4 in the thread: a text shows how long it can be taken back, and one the customer spoke before asks what to do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inbox import clock
from inbox.models import Attachment, Dispatch, Draft, db, transaction
from tests.models.helpers import anew
from tests.models.test_undo import Still

WORDS = "Yes, it is ready."


@pytest.fixture
def app(suite_app):
    return suite_app


@pytest.fixture
def still(monkeypatch, world):
    """Seconds pass when the test says so, however long a page takes."""
    monkeypatch.setattr(Still, "at", clock.now())
    monkeypatch.setattr(clock, "datetime", Still)
    return Still


@pytest.fixture
def c(world, still):
    with transaction():
        world.maya.undo_seconds = 20
    return world.conversation()


@pytest.fixture
def waiting(world, c):
    with transaction():
        return c.reply(WORDS, by=world.maya, fence=c.acquire(by=world.maya).fence, seen=c.last_inbound_id)


def thread(client, c):
    return client.get(f"/c/{c.public_id}").get_data(as_text=True)


def test_CONV_8_sending_shows_the_seconds_and_undo(app, world, c, still):
    client = app.test_client().sign_in(world.maya)
    answer = client.send(f"/c/{c.public_id}/messages", htmx=True, body=WORDS, seen=c.last_inbound_id)
    page = answer.get_data(as_text=True)
    assert answer.status_code == 201 and "Sending in" in page and "data-undo=" in page and "/undo" in page
    assert "Undo" in thread(client, c)
    looks = thread(app.test_client().sign_in(world.vera), c)
    assert "Sending in" in looks and "/undo" not in looks
    still.at += timedelta(seconds=21)
    assert "Sending in" not in thread(client, c)


def test_CONV_8_undo_puts_the_text_and_its_files_back_into_the_form(app, world, c):
    with transaction():
        upload = Attachment(account_id=world.harbor.id, member_id=world.maya.id, state="stored", content_type="image/png", filename="ear.png", size=9).save()
        message = c.reply(WORDS, by=world.maya, fence=c.acquire(by=world.maya).fence, seen=c.last_inbound_id, uploads=[upload])
    client = app.test_client().sign_in(world.maya)
    answer = client.send(f"/messages/{message.public_id}/undo", htmx=True, body="and more")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 200 and answer.headers["HX-Trigger"] == "undone"
    assert f"{WORDS}\nand more</textarea>" in page and f'value="{upload.public_id}"' in page and "Taken back" in page
    assert "You’re replying" in page
    assert f'value="{upload.public_id}"' in thread(client, c), "still there when the page is opened anew"
    again = client.send(f"/messages/{message.public_id}/undo", htmx=True)
    assert again.status_code == 409 and "already" in again.get_data(as_text=True)


def test_CONV_8_undo_works_without_javascript(app, world, c, waiting):
    client = app.test_client().sign_in(world.maya)
    answer = client.send(f"/messages/{waiting.public_id}/undo")
    assert answer.status_code == 303 and answer.headers["Location"].endswith(f"/c/{c.public_id}")
    assert f"{WORDS}</textarea>" in thread(client, c)
    assert client.send(f"/messages/{waiting.public_id}/undo").status_code == 409


@pytest.mark.parametrize("what", ["undo", "anyway"])
def test_CONV_8_who_may_not_decide_about_a_text(app, world, c, waiting, what):
    for who, status in ((world.vera, 403), (world.uma, 403), (world.nina, 404), (world.olga, 404)):
        answer = app.test_client().sign_in(who).send(f"/messages/{waiting.public_id}/{what}")
        assert answer.status_code == status, who.name
    maya = app.test_client().sign_in(world.maya)
    assert maya.send(f"/messages/nonsense/{what}").status_code == 404
    assert maya.get(f"/messages/{waiting.public_id}/{what}").status_code == 405
    anew()
    assert Dispatch.of(waiting).state == "queued"


def test_LOCK_4_a_held_text_asks_and_is_sent_anyway(app, world, c, waiting, bell):
    world.text("Wait, which one?")
    client = app.test_client().sign_in(world.maya)
    page = thread(client, c)
    assert "wrote meanwhile" in page and "Send anyway" in page and "Edit" in page
    assert "/anyway" not in thread(app.test_client().sign_in(world.vera), c)
    stale = client.send(f"/messages/{waiting.public_id}/anyway", htmx=True, seen=0)
    assert stale.status_code == 409 and "new text" in stale.get_data(as_text=True)
    anew()
    sent = client.send(f"/messages/{waiting.public_id}/anyway", htmx=True, seen=c.last_inbound_id)
    assert sent.status_code == 200 and "Queued" in sent.get_data(as_text=True)
    anew()
    assert Dispatch.of(waiting).state == "queued" and ("send_message", (Dispatch.of(waiting).id,)) in bell.rung


def test_LOCK_4_a_held_text_is_edited_without_javascript(app, world, c, waiting):
    world.text("Wait, which one?")
    client = app.test_client().sign_in(world.maya)
    assert client.send(f"/messages/{waiting.public_id}/undo").status_code == 303
    assert Draft.of(c, world.maya).body == WORDS


def test_CONV_8_a_stopped_text_says_why(app, world, c, waiting):
    world.text("STOP")
    page = thread(app.test_client().sign_in(world.maya), c)
    assert "Not sent:" in page and "replied STOP" in page and WORDS in page


def test_CONV_8_the_time_to_undo_is_chosen_in_the_profile(app, world):
    client = app.test_client().sign_in(world.maya)
    page = client.get("/settings/profile").get_data(as_text=True)
    assert "Time to undo" in page and "20 seconds" in page
    form = {"name": "Maya Chen", "time_zone": "America/Los_Angeles", "language": world.maya.language, "theme": "auto"}
    assert client.send("/settings/profile", **form, undo_seconds="10").status_code == 303
    anew()
    assert db.session.get_one(type(world.maya), world.maya.id).undo_seconds == 10
    assert client.send("/settings/profile", **form, undo_seconds="7").status_code == 422
    assert client.send("/settings/profile", **form).status_code == 303
    anew()
    assert world.maya.undo_seconds == 10, "a form without it leaves it"
