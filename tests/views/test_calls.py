"""CH-3 on the pages: the button, its dialog with and without scripts, the row of a call, and how an inbox takes calls."""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock
from inbox.models import Call, Carrier, Conversation, Event, Inbox, Member, db, transaction
from tests.models.test_calls import AGENT, forwarded, notice, place, ringing, take
from tests.views.test_registration_pages import SETTINGS
from tests.world import World


@pytest.fixture
def app(suite_app: Flask) -> Flask:
    return suite_app


def where(conversation: Conversation) -> str:
    return f"/c/{conversation.public_id}/call"


def nonce(page: str) -> str:
    found = re.search(r'name="nonce" type="hidden" value="([^"]+)"', page)
    assert found, page
    return found[1]


def calls() -> int:
    return db.session.scalar(sa.select(sa.func.count(Call.id))) or 0


# -- calling ------------------------------------------------------------------------------------------------------


def test_CH_3_the_dialog_asks_for_ones_own_phone_and_places_one_call(world: World) -> None:
    conversation = world.conversation()
    maya = world.app.test_client().sign_in(world.maya)
    assert f'href="{where(conversation)}"' in maya.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    dialog = maya.part(where(conversation)).get_data(as_text=True)
    assert "Your phone rings first" in dialog and "<!doctype" not in dialog
    form = {"phone": "(628) 555-0171", "nonce": nonce(dialog)}
    done = maya.send(where(conversation), htmx=True, **form)
    text = done.get_data(as_text=True)
    assert done.status_code == 201 and "Your phone rings" in text and 'data-kind="call"' in text and "Ringing your phone" in text
    assert maya.send(where(conversation), htmx=True, **form).status_code == 201 and calls() == 1
    assert 'value="(628) 555-0171"' in maya.part(where(conversation)).get_data(as_text=True), "the number is kept"
    again = maya.send(where(conversation), htmx=True, phone=AGENT, nonce="another")
    assert again.status_code == 422 and "You are calling" in again.get_data(as_text=True) and calls() == 1


def test_CH_3_it_works_without_scripts_and_keeps_what_was_typed(world: World) -> None:
    conversation = world.conversation()
    maya = world.app.test_client().sign_in(world.maya)
    page = maya.get(where(conversation)).get_data(as_text=True)
    assert page.lstrip().lower().startswith("<!doctype")
    wrong = maya.send(where(conversation), phone="555 12", nonce=nonce(page))
    text = wrong.get_data(as_text=True)
    assert wrong.status_code == 422 and "with its area code" in text and 'value="555 12"' in text and nonce(text) == nonce(page)
    assert maya.send(where(conversation), phone=AGENT).status_code == 303 and calls() == 1
    shown = maya.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    assert "(628) 555-0171 rings" in shown


@pytest.mark.parametrize(("who", "status"), [("theo", 200), ("uma", 403), ("vera", 403), ("olga", 404), ("nina", 404)])
def test_PERM_7_only_who_may_reply_may_call(world: World, who: str, status: int) -> None:
    conversation = world.conversation()
    client = world.app.test_client().sign_in(getattr(world, who))
    assert client.get(where(conversation)).status_code == status
    placed = client.send(where(conversation), phone=AGENT).status_code
    assert placed == (303 if status == 200 else status) and calls() == (status == 200)
    if who == "vera":
        assert where(conversation) not in client.get(f"/c/{conversation.public_id}").get_data(as_text=True)


def test_CH_3_a_blocked_contact_and_an_unregistered_team_are_refused_in_words(world: World) -> None:
    conversation = world.conversation()
    maya = world.app.test_client().sign_in(world.maya)
    with transaction():
        world.named(conversation, "Rosa").blocked_at = clock.now()
    assert "Rosa is blocked" in maya.part(where(conversation)).get_data(as_text=True)
    assert maya.send(where(conversation), phone=AGENT).status_code == 422 and calls() == 0


def test_CH_3_where_the_carrier_makes_no_calls_nothing_is_shown(world: World) -> None:
    conversation = world.conversation()
    with transaction():
        kannel = Carrier.add(world.harbor, "kannel", name="SMPP", api_base="http://127.0.0.1:9/x", user="u", password="p", sender="", public_url="http://localhost", by=world.dana)
        db.session.get_one(Inbox, world.front.id).carrier_id = kannel.id
    maya, dana = (world.app.test_client().sign_in(who) for who in (world.maya, world.dana))
    assert where(conversation) not in maya.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    assert "can’t make calls" in maya.get(where(conversation)).get_data(as_text=True)
    settings = dana.get(f"/inboxes/{world.front.public_id}/settings").get_data(as_text=True)
    assert "voicemail" not in re.sub(r"<input type=\"hidden\"[^>]*>", "", settings).lower()


# -- the row ------------------------------------------------------------------------------------------------------


def test_CH_3_the_row_tells_the_call_in_words(world: World) -> None:
    conversation = world.named(world.conversation(), "Rosa").id
    found = db.session.get_one(Conversation, conversation)
    maya = world.app.test_client().sign_in(world.maya)

    def row() -> str:
        page = maya.get(f"/c/{found.public_id}").get_data(as_text=True)
        article = re.search(r'<article class="phone-call.*?</article>', page, re.S)
        assert article
        return article[0]

    take(world, ringing(world))
    assert "Rosa is calling…" in row() and " live" in row()
    take(world, forwarded(world, "in-progress"))
    assert "On the phone" in row() and "Answered by the forwarding number" in row()
    take(world, forwarded(world, "completed", duration=75))
    assert "Call 1:15" in row() and " live" not in row()
    for since in (0, 10**6):  # a page that polls learns how the call stands, too
        synced = maya.part(f"/c/{found.public_id}/sync?since={since}&event=0&lock=0").get_data(as_text=True)
        assert synced.count('data-kind="call"') == 1


def test_CH_3_the_list_shows_missed_calls_and_who_called(world: World) -> None:
    call = take(world, ringing(world), notice(world, "completed"))
    maya = world.app.test_client().sign_in(world.maya)
    rows = maya.get(f"/i/{world.front.public_id}/all").get_data(as_text=True)
    assert "Missed call" in rows and f'class="conv-row unread" id="row-{call.conversation_id}"' in rows
    out = place(world, world.conversation(sender="+14155550135"))
    theo = world.app.test_client().sign_in(world.theo)
    page = theo.get(f"/c/{out.conversation.public_id}").get_data(as_text=True)
    assert "Ringing Maya Chen…" in page and AGENT not in page and "555-0171" not in page, "nobody sees a colleague's number"


# -- settings -----------------------------------------------------------------------------------------------------


def test_CH_3_how_an_inbox_takes_calls_is_set_and_recorded(world: World) -> None:
    dana = world.app.test_client().sign_in(world.dana)
    at = f"/inboxes/{world.front.public_id}/settings"
    assert "Thank you for calling Harbor Vet" in dana.get(at).get_data(as_text=True)
    done = dana.send(at, **{**SETTINGS, "forward_to": "831 555 0100", "ring_seconds": "45", "greeting": "Leave a word & a number."})
    assert done.status_code == 303, done.get_data(as_text=True)[-2000:]
    front = db.session.get_one(Inbox, world.front.id)
    assert (front.forward_to, front.ring_seconds, front.voicemail, front.greeting) == ("+18315550100", 45, False, "Leave a word & a number.")
    changed = db.session.scalars(sa.select(Event).where(Event.kind == "inbox.changed").order_by(Event.id.desc())).first()
    assert changed is not None and changed.data["before"]["ring_seconds"] == 20 and changed.data["after"]["voicemail"] is False


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ring_seconds": "9"}, "Choose between 10 and 60 seconds."), ({"ring_seconds": "61"}, "Choose between 10 and 60 seconds."), ({"greeting": "x" * 321}, "Use at most 320"),
        ({"forward_to": "+14155550100"}, "own number"), ({"forward_to": "12"}, "Enter a phone number"),
    ],
)
def test_CH_3_wrong_settings_are_refused_at_their_field(world: World, change: dict[str, str], sentence: str) -> None:
    dana = world.app.test_client().sign_in(world.dana)
    answer = dana.send(f"/inboxes/{world.front.public_id}/settings", **{**SETTINGS, "ring_seconds": "30", **change})
    assert answer.status_code == 422 and sentence in answer.get_data(as_text=True)
    assert db.session.get_one(Inbox, world.front.id).ring_seconds == 20


@pytest.mark.parametrize(("typed", "kept"), [("(628) 555-0171", AGENT), ("", ""), ("nonsense", None)])
def test_ACC_5_the_phone_in_the_profile_is_kept_in_full_or_refused(world: World, typed: str, kept: str | None) -> None:
    maya = world.app.test_client().sign_in(world.maya)
    form: dict[str, Any] = {"name": "Maya Chen", "time_zone": "UTC", "language": "en-US", "theme": "auto", "phone": typed}
    answer = maya.send("/settings/profile", **form)
    page = answer.get_data(as_text=True)
    assert answer.status_code == (422 if kept is None else 303), page[-1500:]
    if kept is None:
        assert "Enter a phone number with its area code" in page and 'value="nonsense"' in page
    else:
        assert db.session.get_one(Member, world.maya.id).phone == kept
