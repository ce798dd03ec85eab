"""BOX-4: the people of an inbox are ticked in a list; who gains and who loses is shown before anything is saved."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask import g

from inbox.models import Grant, Inbox, db, transaction


def where(inbox):
    return f"/inboxes/{inbox.public_id}/members"


def ticked(text):
    return set(re.findall(r'value="(\w+)"[^>]* checked', text))


def inside(world):
    db.session.rollback()
    db.session.expire_all()
    return {person.name.split()[0] for person in world.front.members}


def keys(*people):
    return [person.public_id for person in people]


def test_BOX_4_the_list_shows_who_is_in_and_why_somebody_can_do_less(world, client):
    with transaction():
        db.session.execute(sa.delete(Grant).where(Grant.member_id == world.olga.id))
        Grant(member_id=world.olga.id, role="analytics").save()
    text = client.sign_in(world.dana).get(where(world.front)).text
    assert ticked(text) == set(keys(world.dana, world.ada, world.maya, world.theo, world.uma, world.vera))
    assert "Analytics does not allow reading conversations, so access here changes nothing yet." in text
    assert "Has no seat, so can read but not reply." in text and "Viewer only allows reading." in text and "sees every inbox anyway" in text
    for person in (world.maya, world.sven):
        row = text.split(f"<b>{person.name}</b>")[1].split("</li>")[0]
        assert "Reads and replies" in row and "why" not in row


def test_BOX_4_gains_and_losses_are_shown_first_and_saved_second(world, client):
    world.reply(world.conversation(), world.maya)
    held = world.conversation("mine", sender="+14155550177")
    with transaction():
        held.assign_to(world.maya, by=world.maya, expected=held.assignee_id)
    client.sign_in(world.dana)
    people = keys(world.dana, world.ada, world.theo, world.uma, world.vera, world.olga)
    text = client.send(where(world.front), people=people).text
    assert "Olga Outside" in text.split("Gain access")[1].split("Lose access")[0] and "Maya Chen" in text.split("Lose access")[1]
    assert re.search(r"\d open conversations? goe?s? ?back to unassigned|\d open conversation", text)
    assert inside(world) == {"Dana", "Ada", "Maya", "Theo", "Uma", "Vera"}, "nothing is saved yet"
    seen = re.findall(r'name="seen" value="(\w+)"', text)
    answer = client.send(where(world.front), people=people, seen=seen, confirmed="1")
    assert answer.status_code == 303 and inside(world) == {"Dana", "Ada", "Theo", "Uma", "Vera", "Olga"}
    assert "Nothing changed." in client.get(client.send(where(world.front), people=people).location).text


def test_BOX_4_a_list_that_changed_meanwhile_is_shown_again(world, client):
    client.sign_in(world.dana)
    people = keys(world.dana, world.ada)
    seen = re.findall(r'name="seen" value="(\w+)"', client.send(where(world.front), people=people).text)
    with transaction():
        world.front.add_member(world.olga, by=world.ada)
    answer = client.send(where(world.front), people=people, seen=seen, confirmed="1")
    assert answer.status_code == 409 and "Someone else changed the list" in answer.text and "Olga Outside" in answer.text.split("Lose access")[1]
    assert "Olga" in inside(world)
    seen = re.findall(r'name="seen" value="(\w+)"', answer.text)
    assert client.send(where(world.front), people=people, seen=seen, confirmed="1").status_code == 303 and inside(world) == {"Dana", "Ada"}


def test_BOX_4_whoever_is_deactivated_keeps_the_inbox_for_their_return(world, client):
    with transaction():
        world.theo.deactivate(by=world.dana)
    client.sign_in(world.dana)
    assert "Theo" not in client.get(where(world.front)).text
    people = keys(world.dana, world.maya)
    text = client.send(where(world.front), people=people).text
    assert "Theo" not in text
    client.send(where(world.front), people=people, seen=re.findall(r'name="seen" value="(\w+)"', text), confirmed="1")
    assert inside(world) == {"Dana", "Maya", "Theo"}


def test_BOX_4_two_saves_at_once_never_mix(world, together):
    inbox_id, seen = world.front.id, {person.id for person in world.front.members}
    lists = [[world.dana.id, world.ada.id], [world.dana.id, world.olga.id]]

    def save(i):
        with transaction():
            inbox, by = db.session.get_one(Inbox, inbox_id), db.session.get_one(type(world.dana), world.dana.id)
            inbox.set_members([db.session.get_one(type(world.dana), id) for id in lists[i]], by=by, seen=seen)

    results = together(save, 2, world.app)
    assert [type(r).__name__ for r in results if r is not None] == ["MembersChanged"]
    assert inside(world) in ({"Dana", "Ada"}, {"Dana", "Olga"})


def test_BOX_4_the_ladder(app, world, client):
    for who, status in ((world.ada, 200), (world.maya, 403), (world.sven, 403), (world.vera, 403), (world.uma, 403), (world.nina, 404)):
        g.pop("csrf_token", None)  # of the browser before
        theirs = app.test_client().sign_in(who)
        assert theirs.get(where(world.front)).status_code == status, who.name
        answer = theirs.send(where(world.front), people=keys(world.dana))
        assert answer.status_code == status, who.name
    assert inside(world) == {"Dana", "Ada", "Maya", "Theo", "Uma", "Vera"}
    g.pop("csrf_token", None)
    client.sign_in(world.dana)
    assert client.get("/inboxes/nothing/members").status_code == 404
    assert client.send(where(world.front), people=[*keys(world.nina), "x", *keys(world.dana)], confirmed="1").status_code == 409
    assert "Nina" not in inside(world)


@pytest.mark.parametrize("more", [3, 12])
def test_BOX_4_the_list_costs_the_same_for_many(world, client, more):
    with transaction():
        for n in range(more):
            world.member(world.harbor, f"P{n} Person", "viewer", seat=False)
    client.sign_in(world.dana)
    seen = []
    listener = lambda *args: seen.append(args[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listener)
    client.get(where(world.front))
    sa.event.remove(db.engine, "before_cursor_execute", listener)
    assert len(seen) <= 30, len(seen)
