"""CONV-8: many at once as pages and fragments, up and down the ladder, on both databases."""

# ruff: noqa: F811 - fixtures of another folder are named like arguments
from __future__ import annotations

import pytest

from inbox.models import Bulk, Tag, db, transaction
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


def some(world, n=3):
    return [world.conversation(sender=f"+1415555040{k}") for k in range(n)]


def ids(conversations):
    return [c.public_id for c in conversations]


def sent(client, world, view="all", htmx=False, **fields):
    return client.send("/bulk", htmx=htmx, list=world.front.public_id, view=view, **fields)


def last():
    db.session.expire_all()
    return db.session.query(Bulk).order_by(Bulk.id.desc()).first()


def test_CONV_8_a_row_has_a_box_of_the_lists_form(world, maya):
    [c] = some(world, 1)
    text = maya.get(f"/i/{world.front.public_id}/all").text
    assert f'name="c" value="{c.public_id}" form="bulk"' in text and 'id="bulk"' in text


def test_CONV_8_without_scripts_a_page_asks_what_to_do_and_shows_what_came_of_it(world, maya):
    rows = some(world)
    asked = sent(maya, world, c=ids(rows[:2]))
    assert asked.status_code == 200 and "<h1" in asked.text and "Change 2 conversations" in asked.text and "All 3 that match the list" in asked.text
    answer = sent(maya, world, c=ids(rows[:2]), action="archive")
    assert answer.status_code == 303
    shown = maya.get(answer.location)
    assert "2 archived." in shown.text and "Undo" in shown.text and "2 archived" in maya.get("/bulk").text
    assert maya.send(f"{answer.location}/undo").status_code == 303 and "2 put back as they were." in maya.get(answer.location).text
    db.session.expire_all()
    assert not any(c.archived for c in rows)


def test_CONV_8_all_that_match_counts_more_than_the_chosen(world, maya):
    rows = some(world)
    assert maya.get(f"/bulk/matches?list={world.front.public_id}&view=all").text == "Select all 3 that match"
    answer = sent(maya, world, c=ids(rows[:1]), all="1", action="assign", to="me", htmx=True)
    assert answer.headers["HX-Retarget"] == "#bulk-result" and answer.headers["HX-Trigger"] == "bulk" and "3 assigned to Maya Chen." in answer.text
    assert maya.get(f"/bulk/matches?list={world.front.public_id}&view=unassigned").text == "Select all 0 that match"
    assert maya.get("/bulk/matches?list=work&view=mine").text == "Select all 3 that match"


@pytest.mark.parametrize(
    ("fields", "done"),
    [
        ({"action": "assign", "to": "nobody"}, "0 assigned to nobody"), ({"action": "snooze", "until": "hour"}, "2 snoozed until"), ({"action": "spam"}, "2 marked as spam"),
        ({"action": "read"}, "2 marked read"), ({"action": "unread"}, "0 marked unread"), ({"action": "reopen"}, "0 back in the inbox"),
    ],
)
def test_CONV_8_every_action_says_what_it_did(world, maya, fields, done):
    assert done in sent(maya, world, c=ids(some(world, 2)), htmx=True, **fields).text


def test_CONV_8_tags_by_the_many(world, maya):
    rows = some(world)
    with transaction():
        tag = Tag.create("Refund", by=world.dana)
    assert "Refund" in sent(maya, world, c=ids(rows), htmx=True).text
    assert "3 tagged Refund." in sent(maya, world, c=ids(rows), action="tag", tag=tag.public_id, htmx=True).text
    assert "2 without the tag Refund now." in sent(maya, world, c=ids(rows[1:]), action="untag", tag=tag.public_id, htmx=True).text


def test_CONV_8_what_is_missing_is_said_with_the_choice_kept(world, maya):
    rows = some(world, 2)
    for fields in ({"action": "assign"}, {"action": "tag"}, {"action": "snooze", "until": "at"}, {"action": "snooze", "until": "at", "at": "2001-01-01T00:00"}):
        for htmx in (False, True):
            answer = sent(maya, world, c=ids(rows), htmx=htmx, **fields)
            assert answer.status_code == 422 and 'role="alert"' in answer.text and all(id in answer.text for id in ids(rows)), fields
    assert sent(maya, world).status_code == 422 and sent(maya, world, action="archive").status_code == 422
    assert last() is None


def test_CONV_8_many_are_done_by_a_job_with_its_progress(world, maya, bell, monkeypatch):
    from inbox.models import bulk

    monkeypatch.setattr(bulk, "INLINE", 2)
    rows = some(world)
    answer = sent(maya, world, c=ids(rows), action="archive", htmx=True)
    assert "0 of 3" in answer.text and 'data-live="bulk"' in answer.text
    at = f"/bulk/{last().public_id}"
    assert "Reload" in maya.get(at).text
    assert maya.send(f"{at}/undo").status_code == 422
    bell.work()
    assert "3 archived." in maya.part(at).text and "data-live" not in maya.part(at).text


def test_PERM_6_viewers_and_those_outside_change_nothing(app, world):
    rows = some(world, 2)
    for who, status in (("vera", 403), ("uma", 403), ("olga", 404), ("nina", 404)):
        client = app.test_client().sign_in(getattr(world, who))
        assert sent(client, world, c=ids(rows), action="archive").status_code == status, who
        if status == 404:
            assert client.send("/bulk", list="work", c=ids(rows), action="archive").status_code == 422, who
            assert client.get(f"/bulk/matches?list={world.front.public_id}").status_code == 404
    db.session.expire_all()
    assert not any(c.archived for c in rows) and last() is None


def test_ACC_1_another_members_change_is_not_there(app, world, maya):
    sent(maya, world, c=ids(some(world, 2)), action="archive")
    at = f"/bulk/{last().public_id}"
    for who in (world.theo, world.nina):
        other = app.test_client().sign_in(who)
        assert other.get(at).status_code == 404 and other.send(f"{at}/undo").status_code == 404
    assert maya.get("/bulk/nope").status_code == 404
    assert maya.send("/bulk", list="nope", view="all", c="x", action="archive").status_code == 404
    assert maya.send("/bulk", list=world.front.public_id, view="nope", c="x", action="archive").status_code == 404


def test_CONV_8_assigning_to_somebody_elsewhere_is_refused(world, maya):
    rows = some(world, 2)
    assert sent(maya, world, c=ids(rows), action="assign", to=world.nina.public_id).status_code == 404
    answer = sent(maya, world, c=ids(rows), action="assign", to=world.olga.public_id, htmx=True)
    assert "0 assigned to Olga Outside.</b> 2: Olga Outside can’t be assigned this conversation." in answer.text and "add them.</p>" in answer.text
