"""CONV-8: merging as pages, up and down the ladder, without JavaScript, on both databases."""

# ruff: noqa: F811 - fixtures of another folder are named like arguments
from __future__ import annotations

import itertools

import pytest

from inbox.models import Contact, Conversation, Merging, db, transaction
from inbox.models.merging.people import merge_contacts
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once

_phones = itertools.count(5300)


def number() -> str:
    return f"+1415556{next(_phones)}"


@pytest.fixture
def dana(app, world):
    return app.test_client().sign_in(world.dana)


@pytest.fixture
def two(world):
    one, other = world.conversation("First", sender=number()), world.conversation("Second", sender=number())
    with transaction():
        one.contact.rename("Rosa", "Diaz")
        merge_contacts(one.contact, other.contact, by=world.dana)
    return one, other


def anew(row):
    db.session.expire_all()
    return row


def test_CONV_8_conversations_are_merged_from_more_and_undone(world, dana, two):
    one, other = two
    assert f"/c/{one.public_id}/merge" in dana.get(f"/c/{one.public_id}").text
    asked = dana.get(f"/c/{one.public_id}/merge")
    assert asked.status_code == 200 and other.public_id in asked.text and "Second" in asked.text
    assert dana.send(f"/c/{one.public_id}/merge", c=other.public_id).status_code == 303
    page = dana.get(f"/c/{one.public_id}").text
    assert "The conversations are one now." in page and "Second" in page and "merged 2 conversations into this one" in page
    message = one.thread()[0][-2].message or one.thread()[0][0].message
    led = dana.get(f"/c/{other.public_id}?at={message.public_id}")
    assert led.status_code == 302 and led.location.startswith(f"/c/{one.public_id}") and f"at={message.public_id}" in led.location
    assert dana.get(f"/c/{other.public_id}/merge").status_code == 302
    merging = db.session.query(Merging).filter_by(conversation_id=one.id).one()
    assert "You merged 1 other into this" in dana.get(f"/c/{one.public_id}/merge").text
    assert dana.send(f"/c/{one.public_id}/merges/{merging.public_id}/undo").status_code == 303
    assert dana.get(f"/c/{other.public_id}").status_code == 200 and anew(other).merged_into_id is None
    again = dana.send(f"/c/{one.public_id}/merges/{merging.public_id}/undo")
    assert again.status_code == 422 and "undone already" in again.text


def test_CONV_8_what_cannot_be_merged_is_said_on_the_form_and_keeps_the_choice(world, dana, two):
    one, other = two
    with transaction():
        other.acquire(by=world.theo)
    answer = dana.send(f"/c/{one.public_id}/merge", c=other.public_id)
    assert answer.status_code == 422 and "Theo Okafor is replying" in answer.text and "checked" in answer.text
    for chosen, said in (("nope", "not there any more"), ("", "at least one other")):
        answer = dana.send(f"/c/{one.public_id}/merge", c=chosen) if chosen else dana.send(f"/c/{one.public_id}/merge")
        assert answer.status_code == 422 and said in answer.text


def test_CONV_8_from_a_list_two_to_ten_are_chosen(world, dana, two):
    one, other = two
    ids = [one.public_id, other.public_id]
    assert "/merges/chosen" in dana.send("/bulk", c=ids, list="work", view="all").text
    to = dana.send("/merges/chosen", c=ids)
    assert to.status_code == 303 and "/merge?c=" in to.location and "checked" in dana.get(to.location).text
    assert dana.send("/merges/chosen", c=one.public_id).status_code == 422


def test_CONV_8_contacts_are_found_compared_merged_and_parted(world, dana):
    one, other = world.conversation("First", sender=number()), world.conversation("Second", sender=number())
    with transaction():
        one.contact.rename("Rosa", "Diaz")
        other.contact.rename("Rosa", "Diaz")
        one.contact.email, other.contact.email = "rosa@example.com", "r.diaz@example.com"
    into, second = one.contact.public_id, other.contact.public_id
    assert f"/contacts/{into}/merge" in dana.get(f"/contacts/{into}").text
    assert "Same name, another number" in dana.get(f"/contacts/{into}/merge").text
    hint = dana.get(f"/contacts/{into}/alike", headers={"HX-Request": "true"})
    assert hint.status_code == 200 and f"/contacts/{into}/merge/{second}" in hint.text and dana.get(f"/contacts/{into}/alike").status_code == 303
    assert second in dana.get(f"/contacts/{into}/merge?q=Rosa").text and "Nobody else was found" in dana.get(f"/contacts/{into}/merge?q=Zebulon").text
    compared = dana.get(f"/contacts/{into}/merge/{second}").text
    assert "r.diaz@example.com" in compared and 'name="w2"' in compared and "Make one conversation" in compared
    assert dana.send(f"/contacts/{into}/merge/{second}", w2="theirs", talks="1").status_code == 303
    page = dana.get(f"/contacts/{into}").text
    assert "The contacts are one now." in page and "r.diaz@example.com" in page
    assert dana.get(f"/contacts/{second}").location.endswith(f"/contacts/{into}")
    assert sum(anew(talk).merged_into_id is None for talk in (one, other)) == 1
    merging = db.session.query(Merging).filter_by(contact_id=one.contact_id).one()
    assert dana.send(f"/contacts/{into}/merges/{merging.public_id}/undo").status_code == 303
    assert dana.get(f"/contacts/{second}").status_code == 200
    assert db.session.get(Contact, one.contact_id).email == "rosa@example.com" and anew(other).merged_into_id is None
    log = dana.get("/settings/audit").text
    assert "Contacts merged" in log and "Merge of contacts undone" in log


def test_CONV_8_nobody_merges_without_the_permission_or_across_accounts(world, app, dana, two):
    one, other = two
    third = world.conversation(sender=number())
    paths = [f"/c/{one.public_id}/merge", f"/contacts/{one.contact.public_id}/merge", f"/contacts/{one.contact.public_id}/merge/{third.contact.public_id}"]
    for who, status in ((world.maya, 403), (world.vera, 403), (world.nina, 404)):
        client = app.test_client().sign_in(who)
        assert [client.get(path).status_code for path in paths] == [status] * 3
        assert client.send(paths[0], c=other.public_id).status_code == status
        assert client.send(paths[2]).status_code == status
    assert "/merge" not in app.test_client().sign_in(world.maya).get(f"/c/{one.public_id}").text
    foreign = world.conversation(sender=number(), inbox=world.reception)
    assert "not there any more" in dana.send(paths[0], c=foreign.public_id).text
    assert dana.get(f"/contacts/{one.contact.public_id}/merge/{foreign.contact.public_id}").status_code == 404
    assert dana.send(f"/c/{one.public_id}/merges/nope/undo").status_code == 404 and dana.send(f"/contacts/{one.contact.public_id}/merges/nope/undo").status_code == 404
    assert db.session.query(Conversation).filter(Conversation.merged_into_id.is_not(None)).count() == 0


def test_CONV_8_a_reply_from_the_old_page_keeps_its_text(world, dana, two):
    one, other = two
    with transaction():
        fence = other.acquire(by=world.dana).fence
    dana.send(f"/c/{one.public_id}/merge", c=other.public_id)
    answer = dana.send(f"/c/{other.public_id}/messages", body="Typed on the old page", fence=fence, seen=other.last_inbound_id)
    assert answer.status_code == 409 and "Typed on the old page" in answer.text
