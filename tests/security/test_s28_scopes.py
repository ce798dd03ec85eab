"""SECURITY S28, S29, S31, S34, S66: files need the row's scope or our own proof; access that ended ends everywhere; looking never writes; nothing is cached for others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inbox import clock, media_link
from inbox.extensions import db
from inbox.models import Attachment, Draft, Message, transaction
from inbox.permissions import Permission
from inbox.views.access import PUBLIC
from tests.access.test_matrix import address, call, routes, samples

KEY = "a key for this test only"


def test_S28_a_signed_link_is_for_one_file_and_ends(monkeypatch):
    good = media_link.sign(KEY, "abc")
    assert media_link.proves(KEY, "abc", good)
    for wrong in ("", "x", good[:-1], good + "A", good.swapcase(), media_link.sign("another key", "abc"), media_link.sign(KEY, "abd")):
        assert not media_link.proves(KEY, "abc", wrong), wrong
    monkeypatch.setattr(media_link, "LIFE", -1)
    assert not media_link.proves(KEY, "abc", good)


def test_S28_a_file_without_membership_or_proof_does_not_exist(app, world):
    message = world.text()
    with transaction():
        row = Attachment(account_id=world.harbor.id, message_id=message.id, state="refused", filename="a.png").save()
    for who, status in ((world.olga, 404), (world.nina, 404)):
        client = app.test_client().sign_in(who)
        assert client.get(f"/media/{row.public_id}").status_code == status
        assert client.get(f"/media/{row.public_id}/thumb").status_code == status
    assert app.test_client().get(f"/media/{row.public_id}").status_code == 303, "signed out: the sign-in page"


def test_S29_who_left_the_inbox_can_do_nothing_from_pages_left_open(app, world):
    c = world.conversation()
    client = app.test_client().sign_in(world.maya)
    with transaction():
        fence = c.acquire(by=world.maya).fence
        Draft.put(c, "half", by=world.maya)
    before = db.session.query(Message).count()
    token = client.csrf()
    with transaction():
        world.front.remove_member(world.maya, by=world.dana)
    tries = {
        "messages": {"body": "late", "fence": fence, "seen": c.last_inbound_id}, "notes": {"body": "late"}, "lock": {}, "lock/renewal": {"fence": fence},
        "lock/release": {"fence": fence}, "draft": {"body": "late"}, "assignment": {"assignee": "me"}, "archival": {}, "lock/wait": {},
    }
    for path, data in tries.items():
        answer = client.post(f"/c/{c.public_id}/{path}", data={"csrf_token": token, **data})
        assert answer.status_code == 404, f"{path}: {answer.status_code}"
    assert client.get(f"/c/{c.public_id}").status_code == 404
    assert db.session.query(Message).count() == before


def test_S31_a_viewer_writes_nothing(app, world):
    sample = samples(world)
    client = app.test_client().sign_in(world.vera)
    for rule, method in routes(app):
        permission = app.view_functions[rule.endpoint].permission
        if method != "GET" and isinstance(permission, Permission) and permission != Permission.CONVERSATIONS_VIEW:
            answer = call(client, address(app, rule, sample, 0), method)
            assert answer.status_code == 403, f"{method} {rule.rule}: {answer.status_code}"


@pytest.mark.parametrize("state", ["archived", "assigned", "old"])
def test_S34_no_state_of_a_conversation_opens_it_to_others(app, world, state):
    c = world.conversation("CANARY", sender="+14155550166")
    with transaction():
        if state == "archived":
            c.archive(by=world.dana)
        elif state == "assigned":
            c.assign_to(world.maya, by=world.dana, expected=None)
        else:
            c.last_activity_at = clock.now() - timedelta(days=900)
    for who in (world.olga, world.nina):
        client = app.test_client().sign_in(who)
        for path in (f"/c/{c.public_id}", f"/c/{c.public_id}/sync", f"/c/{c.public_id}/older?before=9", f"/i/{world.front.public_id}/archived", f"/i/{world.front.public_id}/all"):
            answer = client.get(path)
            assert answer.status_code == 404 and b"CANARY" not in answer.data, path


@pytest.mark.one_database
def test_S66_no_cache_keeps_what_somebody_signed_in_saw(app, world):
    sample = samples(world)
    client = app.test_client().sign_in(world.dana)
    for rule, method in routes(app):
        if app.view_functions[rule.endpoint].permission == PUBLIC or method != "GET":
            continue
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.get(address(app, rule, sample, 0), headers=headers)
            cache = answer.headers["Cache-Control"]
            assert "no-store" in cache or ("private" in cache and "public" not in cache), f"{rule.rule}: {cache}"
            assert {"cookie", "hx-request"} <= {v.strip().lower() for v in answer.headers["Vary"].split(",")}, rule.rule
