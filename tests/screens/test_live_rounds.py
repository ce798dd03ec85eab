"""Live pages in rounds: drawn once for all who read the same, and nobody is told what they may not see, whenever that was decided."""

from __future__ import annotations

import re
import socket
import threading
import time

import pytest
import simple_websocket
import sqlalchemy as sa

from inbox.models import AccessChange, InboxMember, LoginSession, Member, Role, SavedView, Viewers, db, transaction, viewers
from inbox.models.conversation import Filter
from inbox.permissions import Permission
from inbox.views import live, picture, rounds
from tests.screens.test_live import server  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("bell")


def watching(world, server, member, conversation=None):  # noqa: F811
    page = server.page(member)
    more = {"conversation": conversation.public_id, "state": "free"} if conversation else {}
    page.show(inbox=world.front.public_id, view="all", now=2**52, **more)
    page.told.clear()
    return page


def test_who_reads_the_same_gets_the_same_bytes_drawn_once(world, server, bell, monkeypatch):  # noqa: F811
    c = world.conversation()
    pages = [watching(world, server, who, c) for who in (world.theo, world.theo, world.uma)] + [watching(world, server, world.maya, c)]
    drawn = []
    monkeypatch.setattr(picture, "rows", lambda who, *rest, real=picture.rows: drawn.append(who.id) or real(who, *rest))
    bell.facts.clear()
    with transaction():
        c.acquire(by=world.maya)
    server.tell(bell)
    told = [page.until('id="lock"') for page in pages]
    assert told[0] == told[1], "two pages of one member"
    assert "Tell me when free" in told[0] and "Tell me when free" not in told[2], "one without a seat"
    assert "You’re replying" in told[3] and "Maya Chen is replying" in told[0]
    assert len(drawn) == 3 and len(set(drawn)) == 3, "one drawing for each audience, the holder's own among them"


def test_TOOL_6_hidden_numbers_stay_hidden_in_what_is_drawn_for_many(world, server, bell):  # noqa: F811
    with transaction():
        Role.create(world.harbor, name="Shy agent", permissions={Permission.MESSAGE, Permission.CONVERSATIONS_TAKE}, by=world.dana)
        shy = next(sheet for sheet in Role.sheets(world.harbor.id) if sheet.name == "Shy agent")
        world.theo.set_roles([(shy.key, None)], by=world.dana)
    c = world.conversation(sender="+14155550191")
    theo, uma = watching(world, server, world.theo, c), watching(world, server, world.uma, c)
    bell.facts.clear()
    world.text("Call me on 415 555 0191", sender="+14155550191")
    server.tell(bell)
    uma.until("415 555 0191")
    theo.until("•••-••91")
    assert not any("0191" in told for told in [*theo.told, *theo.quiet(0.5)])


TAKEN = {
    "inbox": lambda world: world.front.remove_member(world.theo, by=world.dana),
    "role": lambda world: world.theo.change_role("analytics", by=world.dana),
    "rows": lambda world: db.session.execute(sa.delete(InboxMember).where(InboxMember.member_id == world.theo.id)),
}


@pytest.mark.parametrize("what", TAKEN)
def test_S62_rights_taken_between_the_news_and_its_delivery(world, server, bell, what):  # noqa: F811
    c = world.conversation()
    theo, uma = watching(world, server, world.theo, c), watching(world, server, world.uma, c)
    bell.facts.clear()
    world.text("CANARY of a moment ago")
    news = list(bell.facts)
    with transaction():
        TAKEN[what](world)
    bell.facts[:] = news  # what tells of the rights is late, or lost
    server.tell(bell)
    uma.until("CANARY")
    heard = "".join([*theo.told, *theo.quiet(0.5)])
    assert "CANARY" not in heard and "can’t open" in heard


@pytest.mark.parametrize("what", ["signed out", "deactivated"])
def test_S62_signed_out_between_the_news_and_its_delivery(world, server, bell, what):  # noqa: F811
    theo, uma = watching(world, server, world.theo), watching(world, server, world.uma)
    bell.facts.clear()
    world.text("CANARY of a moment ago")
    news = list(bell.facts)
    with transaction():
        if what == "deactivated":
            world.theo.deactivate(by=world.dana)
        else:
            for row in LoginSession.living(world.theo):
                row.revoke()
    bell.facts[:] = news
    server.tell(bell)
    uma.until("CANARY")
    with pytest.raises(simple_websocket.ConnectionClosed) as closed:
        while True:
            told = theo.ws.receive(timeout=3)
            assert told and "CANARY" not in told
    assert closed.value.reason == live.SIGNED_OUT


def test_rights_given_meanwhile_count_at_once(world, server, bell):  # noqa: F811
    c = world.conversation(inbox=world.pharmacy)
    with transaction():
        world.pharmacy.add_member(world.theo, by=world.dana)
    page = server.page(world.theo)
    page.show(inbox=world.pharmacy.public_id, view="all", now=2**52)
    bell.facts.clear()
    world.text("For you too", inbox=world.pharmacy, sender=c.address)
    server.tell(bell)
    page.until("For you too")


def test_every_socket_is_told_in_order(world, server, bell):  # noqa: F811
    c = world.conversation()
    pages = [watching(world, server, who, c) for who in (world.theo, world.uma, world.maya)]
    bell.facts.clear()
    for n in range(12):
        world.text(f"Number {n}.")
        server.tell(bell)
    for page in pages:
        page.until('class="bub">Number 11.')
        ids = list(dict.fromkeys(int(id) for told in page.told if "#thread" in told for id in re.findall(r'id="m-(\d+)"', told)))
        assert ids == sorted(ids) and len(ids) == 12, "all of them, in order"


def test_a_slow_reader_holds_up_nobody(world, server, bell):  # noqa: F811
    c = world.conversation()
    theo = watching(world, server, world.theo, c)
    slow = socket.create_connection(("127.0.0.1", server.server.server_port))
    slow.sendall(
        f"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
        f"Origin: http://localhost\r\nCookie: session={server.cookie(world.uma)}\r\n\r\n".encode()
    )
    assert slow.recv(4096).startswith(b"HTTP/1.1 101")
    began = time.monotonic()
    while not (found := [page for page in live.hub.pages if page.member_id == world.uma.id]):
        assert time.monotonic() - began < 5
    (uma,) = found
    while uma._backlog is None:
        uma.push(b"\x81\x7e\xea\x60" + b" " * 60_000)  # it never reads
    bell.facts.clear()
    began = time.monotonic()
    with transaction():
        c.acquire(by=world.maya)
    server.tell(bell)
    theo.until("Maya Chen is replying")
    assert time.monotonic() - began < 4
    while uma in live.hub.pages:
        uma.push(b"\x81\x7e\xea\x60" + b" " * 60_000)
        assert time.monotonic() - began < 10
    slow.close()


def test_a_page_that_talks_without_end_is_cut_off(world, server):  # noqa: F811
    page, other = server.page(world.theo), server.page(world.maya)
    with pytest.raises((simple_websocket.ConnectionClosed, OSError)):
        for _ in range(3000):
            page.ws.send('{"show": {}}')
        page.quiet(3)
    other.show(inbox=world.front.public_id, view="all")


def test_what_is_drawn_in_vain_sends_only_its_readers_to_ask(world, server, bell, monkeypatch):  # noqa: F811
    c = world.conversation()
    theo, uma = watching(world, server, world.theo, c), watching(world, server, world.uma, c)
    theo_id = world.theo.id

    def broken(who, *rest, real=picture.conversation):
        if who.id == theo_id:
            raise RuntimeError("drawn in vain")
        return real(who, *rest)

    monkeypatch.setattr(picture, "conversation", broken)
    bell.facts.clear()
    with transaction():
        c.acquire(by=world.maya)
    server.tell(bell)
    uma.until("Maya Chen is replying</b>")
    theo.until('"resync"')


def test_the_navigation_is_told_only_when_it_changed(world, server, bell, monkeypatch):  # noqa: F811
    monkeypatch.setattr(rounds, "NAVIGATION_EVERY", 0.05)
    c = world.conversation()
    theo, maya = watching(world, server, world.theo, c), watching(world, server, world.maya)
    with transaction():
        SavedView.keep(world.front, Filter(view="all", read="unread"), "Not read yet", by=world.theo)
    bell.facts.clear()
    live.hub.deliver({"what": "navigation", "account": world.harbor.id})
    assert "Not read yet" in theo.until("nav-lists") and "Not read yet" not in maya.until("nav-lists")
    live.hub.deliver({"what": "navigation", "account": world.harbor.id})
    theo.quiet(0.3)
    assert not any("nav-lists" in told for told in theo.quiet(0.3))
    with transaction():
        c.assign_to(world.theo, by=world.theo, expected=None)
    server.tell(bell)
    mine, others = theo.until("nav-lists"), maya.until("nav-lists")
    assert re.search(r'Assigned to me</span><span class="count hot">1<', mine) and not re.search(r'Assigned to me</span><span class="count', others)
    assert re.search(r'Assigned to others</span><span class="count">1<', others) and not re.search(r'Assigned to others</span><span class="count', mine)


def test_news_from_many_threads_while_pages_come_and_go(world, server, bell):  # noqa: F811
    c = world.conversation()
    steady = watching(world, server, world.theo, c)
    fact = {"what": "lock", "account": world.harbor.id, "inbox": c.inbox_id, "conversation": c.id}
    threads = [threading.Thread(target=lambda: [live.hub.deliver(dict(fact)) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        page = server.page(world.maya)
        page.show(inbox=world.front.public_id, view="all")
        page.ws.close()
    for thread in threads:
        thread.join()
    world.text("The last one")
    server.tell(bell)
    steady.until("The last one")
    assert not any('"resync"' in told for told in steady.told)


CHANGES = {
    "role": lambda w: w.theo.change_role("viewer", by=w.dana),
    "role's permissions": lambda w: w.desk.change({Permission.MEMBERS_VIEW}, by=w.dana, version=w.desk.version),
    "added": lambda w: w.pharmacy.add_member(w.theo, by=w.dana),
    "taken out": lambda w: w.front.remove_member(w.theo, by=w.dana),
    "taken out, all at once": lambda w: db.session.execute(sa.delete(InboxMember).where(InboxMember.inbox_id == w.front.id)),
    "seat": lambda w: w.harbor.unseat(w.theo, by=w.dana),
    "deactivated": lambda w: w.theo.deactivate(by=w.dana),
    "signed out": lambda w: LoginSession.living(w.theo)[0].revoke(),
    "time zone": lambda w: db.session.execute(sa.update(Member).where(Member.id == w.theo.id).values(time_zone="Asia/Tokyo")),
}


@pytest.mark.parametrize("what", CHANGES)
def test_the_database_notes_every_change_of_access(world, what):
    with transaction():
        world.desk = Role.create(world.harbor, name="Desk", permissions={Permission.MESSAGE}, by=world.dana)
        world.uma.change_role(world.desk.public_id, by=world.dana)
        LoginSession.start(world.theo, ip="127.0.0.1", user_agent="test")
    before, theirs = AccessChange.mark(world.harbor.id), AccessChange.mark(world.north.id)
    with transaction():
        CHANGES[what](world)
    assert AccessChange.mark(world.harbor.id) != before and AccessChange.mark(world.north.id) == theirs


def test_reading_changes_no_access_and_old_changes_are_forgotten(world, client):
    mark = AccessChange.mark(world.harbor.id)
    client.sign_in(world.maya)
    client.get(f"/i/{world.front.public_id}/all")
    assert AccessChange.mark(world.harbor.id) == mark
    with transaction():
        for _ in range(3):
            db.session.add_all([AccessChange(account_id=world.harbor.id) for _ in range(400)])
        db.session.flush()
        AccessChange.forget_old()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(AccessChange)) <= 1000
    assert AccessChange.mark(world.harbor.id) != mark


def test_viewers_who_left_are_forgotten_and_no_others(world, monkeypatch):
    monkeypatch.setattr(viewers, "PARTS", 1)
    with transaction():
        for who in [world.maya, world.theo, world.uma] * 3:
            LoginSession.start(who, ip="127.0.0.1", user_agent="test")
    ids = [row.id for who in (world.maya, world.theo, world.uma) for row in LoginSession.living(who)]
    known = Viewers(world.harbor.id)
    for here in (ids, ids, ids[:2], ids[:2], ids):
        known.look(id for id in here)
        assert all(known.of(id) for id in here)
        assert len(known._viewers) <= 2 * len(here) + 1


def test_assigning_to_oneself_needs_no_name(world, client):
    c = world.conversation()
    client.sign_in(world.theo)
    answer = client.post(f"/c/{c.public_id}/assignment", data={"csrf_token": client.csrf(), "to": "me", "expected": ""}, headers={"HX-Request": "true"})
    assert answer.status_code == 200 and "Assigned to you" in answer.get_data(as_text=True)
    db.session.refresh(c)
    assert c.assignee_id == world.theo.id
