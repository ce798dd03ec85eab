"""TOOL-3, CONV-8: tags, snooze and spam as pages and fragments, up and down the ladder, on both databases."""

# ruff: noqa: F811 - fixtures of another folder are named like arguments
from __future__ import annotations

import pytest

from inbox.models import Tag, db, transaction
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once

LIST = "/settings/tags"


@pytest.fixture
def dana(app, world):
    return app.test_client().sign_in(world.dana)


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


def made(world, name="Refund", by=None):
    with transaction():
        return Tag.create(name, by=by or world.dana)


def names(conversation):
    db.session.expire_all()
    return [tag.name for tag in conversation.tags]


# -- the account's tags --------------------------------------------------------------------------------------------------


def test_TOOL_3_tags_are_made_listed_with_their_uses_renamed_and_coloured(world, dana):
    assert "No tags yet" in dana.get(LIST).text
    assert dana.send(LIST, name="Refund", hue="red").status_code == 303
    tag, c = Tag.named(world.harbor.id, "refund"), world.conversation()
    with transaction():
        c.tag(tag, by=world.maya)
    text = dana.get(LIST).text
    assert 'data-hue="red">Refund' in text and '<td class="n">1</td>' in text
    assert dana.send(f"{LIST}/{tag.public_id}", name="Refunds", hue="teal").status_code == 303
    assert 'data-hue="teal">Refunds' in dana.get(LIST).text and names(c) == ["Refunds"]


@pytest.mark.parametrize(("name", "said"), [("", "Give the tag a name."), ("x" * 41, "at most 40"), ("rEFUND", "of that name already")])
def test_TOOL_3_a_name_that_does_not_work_is_said_beside_it(world, dana, name, said):
    made(world)
    answer = dana.send(LIST, name=name, hue="red")
    assert answer.status_code == 422 and said in answer.text and 'aria-invalid="true"' in answer.text


def test_TOOL_3_a_taken_name_and_an_unknown_colour_or_target_are_said(world, dana):
    tag = made(world)
    made(world, "VIP")
    assert "Merge the two instead" in dana.send(f"{LIST}/{tag.public_id}", name="vip", hue="red").text
    assert dana.send(f"{LIST}/{tag.public_id}", name="Refund", hue="mauve").status_code == 422
    answer = dana.send(f"{LIST}/{tag.public_id}/merge", into=tag.public_id)
    assert answer.status_code == 422 and dana.send(f"{LIST}/{tag.public_id}/merge", into="nope").status_code == 422


def test_TOOL_3_merging_and_deleting_name_how_many(world, dana):
    refund, money, c = made(world), made(world, "Money back"), world.conversation()
    with transaction():
        c.tag(refund, by=world.maya)
    one, other = f"{LIST}/{refund.public_id}", money.public_id
    assert "Delete Refund from 1 conversation" in dana.get(one).text
    merged = dana.send(f"{one}/merge", into=other)
    assert merged.status_code == 303 and "Refund is part of Money back now. It was on 1 conversation." in dana.get(LIST).text
    assert names(c) == ["Money back"] and dana.get(one).status_code == 404
    dana.send(f"{LIST}/{other}/delete")
    assert "Money back is deleted. It was on 1 conversation." in dana.get(LIST).text and names(c) == []


def test_PERM_6_only_who_manages_tags_may(app, world, maya):
    tag = made(world)
    theirs = made(world, "Theirs", by=world.nina)
    for client in (maya, app.test_client().sign_in(world.vera)):
        assert client.get(LIST).status_code == 403
        for path in ("", f"/{tag.public_id}", f"/{tag.public_id}/merge", f"/{tag.public_id}/delete"):
            assert client.send(LIST + path, name="x", hue="red").status_code == 403
    ada = app.test_client().sign_in(world.ada)
    for path in ("", "/merge", "/delete"):
        assert ada.send(f"{LIST}/{theirs.public_id}{path}", name="x", hue="red", into=tag.public_id).status_code == 404
    assert "Theirs" not in ada.get(LIST).text


# -- tags of a conversation ----------------------------------------------------------------------------------------------


def test_TOOL_3_put_on_and_taken_off_without_scripts(world, maya):
    tag, c = made(world), world.conversation()
    at = f"/c/{c.public_id}/tags"
    page = maya.get(at)
    assert "<h1>Tags of" in page.text and "Refund" in page.text
    assert maya.send(at, tag=tag.public_id).status_code == 303 and names(c) == ["Refund"]
    assert "added <b>Refund</b>" in maya.get(f"/c/{c.public_id}").text
    assert maya.send(f"{at}/off", tag=tag.public_id).status_code == 303 and names(c) == []


def test_TOOL_3_typing_filters_and_who_manages_tags_makes_one(world, maya, dana):
    made(world)
    made(world, "VIP")
    c = world.conversation()
    at = f"/c/{c.public_id}/tags"
    part = maya.part(f"{at}?name=REF")
    assert 'id="picks"' in part.text and "Refund" in part.text and "VIP" not in part.text
    assert "No tag of that name." in maya.part(f"{at}?name=nope").text and "Make “nope”" in dana.part(f"{at}?name=nope").text
    answer = maya.send(at, name="nope")
    assert answer.status_code == 422 and "There is no tag of that name" in answer.text and Tag.named(world.harbor.id, "nope") is None
    assert maya.send(at, name="refund", htmx=True).status_code == 200 and names(c) == ["Refund"]
    assert 'data-hue=' in dana.send(at, name="Fresh", htmx=True).text and names(c) == ["Fresh", "Refund"]


def test_PERM_6_tags_need_the_note_permission_the_seat_and_the_inbox(app, world):
    tag, c = made(world), world.conversation()
    theirs = world.conversation(inbox=world.reception, sender="+12065550134")
    foreign = made(world, "Theirs", by=world.nina)
    for who, status in (("vera", 403), ("uma", 403), ("olga", 404), ("nina", 404)):
        client = app.test_client().sign_in(getattr(world, who))
        for path in ("", "/off"):
            assert client.send(f"/c/{c.public_id}/tags{path}", tag=tag.public_id).status_code == status, who
        assert client.get(f"/c/{c.public_id}/tags").status_code == status
    maya = app.test_client().sign_in(world.maya)
    assert maya.send(f"/c/{theirs.public_id}/tags", tag=tag.public_id).status_code == 404
    assert maya.send(f"/c/{c.public_id}/tags", tag=foreign.public_id).status_code == 422
    assert maya.send(f"/c/{c.public_id}/tags", tag="nope", htmx=True).status_code == 422 and names(c) == []


# -- snooze and spam -----------------------------------------------------------------------------------------------------


def test_CONV_8_snoozed_without_scripts_and_back(world, maya):
    c = world.conversation()
    at = f"/c/{c.public_id}/snooze"
    page = maya.get(at).text
    assert "<h1>Snooze" in page and "Tomorrow morning" in page and "datetime-local" in page
    answer = maya.send(at, until="tomorrow")
    assert answer.status_code == 303 and answer.location.endswith("/mine")
    db.session.expire_all()
    assert c.snoozed and "Snoozed until" in maya.get(answer.location).text
    head = maya.get(f"/c/{c.public_id}").text
    assert "Unsnooze" in head and "snoozed this until" in head
    assert maya.send(f"{at}/undo").status_code == 303
    db.session.expire_all()
    assert not c.archived


def test_CONV_8_a_toast_with_undo_answers_as_a_fragment(world, maya):
    c = world.conversation()
    for path, said in (("snooze", "Snoozed until"), ("spam", "Marked as spam."), ("archival", "Archived.")):
        answer = maya.send(f"/c/{c.public_id}/{path}", htmx=True, until="hour")
        assert said in answer.text and f"/c/{c.public_id}/{path}/undo" in answer.text and answer.headers["HX-Trigger"] == "archived", path
        back = maya.send(f"/c/{c.public_id}/{path}/undo", htmx=True)
        db.session.expire_all()
        assert back.headers["HX-Trigger"] == "reopened" and "Undo" not in back.text and not c.archived, path


@pytest.mark.parametrize("at", ["", "soon", "2001-01-01T00:00", "9999-01-01T00:00"])
def test_CONV_8_a_moment_that_does_not_work_is_said_and_kept(world, maya, at):
    c = world.conversation()
    answer = maya.send(f"/c/{c.public_id}/snooze", until="at", at=at)
    assert answer.status_code == 422 and 'role="alert"' in answer.text and f'value="{at}"' in answer.text
    assert maya.send(f"/c/{c.public_id}/snooze", until="at", at=at, htmx=True).status_code == 422
    db.session.expire_all()
    assert not c.archived


def test_PERM_6_snooze_and_spam_need_the_archive_permission(app, world):
    c = world.conversation()
    for who, status in (("vera", 403), ("uma", 403), ("olga", 404), ("nina", 404)):
        client = app.test_client().sign_in(getattr(world, who))
        for path in ("snooze", "snooze/undo", "spam", "spam/undo"):
            assert client.send(f"/c/{c.public_id}/{path}", until="hour").status_code == status, (who, path)
    maya = app.test_client().sign_in(world.maya)
    assert maya.get("/c/nope/snooze").status_code == 404
    db.session.expire_all()
    assert not c.archived


def test_CONV_8_spam_and_block_and_back(world, maya):
    c = world.conversation()
    maya.send(f"/c/{c.public_id}/spam", block="1")
    db.session.expire_all()
    assert c.spam and c.contact.blocked
    text = maya.get(f"/c/{c.public_id}").text
    assert "Not spam" in text and "marked this as spam" in text and 'id="snooze"' not in text
    back = maya.send(f"/c/{c.public_id}/spam/undo", htmx=True)
    db.session.expire_all()
    assert "still blocked" in back.text and not c.spam and not c.archived


def test_CONV_8_spam_cannot_be_snoozed_or_marked_unread(world, maya):
    c = world.conversation()
    maya.send(f"/c/{c.public_id}/spam")
    assert maya.send(f"/c/{c.public_id}/snooze", until="hour", htmx=True).status_code == 422
    assert maya.send(f"/c/{c.public_id}/reading", value="unread").status_code == 422
