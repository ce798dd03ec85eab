"""ACC-6 on the page of one's notifications: nothing before Save changes, refused when the owner says no, and without JavaScript."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from inbox import unsubscribing, webpush
from inbox.models import Event, LoginSession, Notification, PushSubscription, db, transaction
from inbox.models import wish as wishing
from inbox.models.wish import CELLS, DEFAULT, Wishes
from tests import conftest as house

app = house.app  # both databases, the real navigation
PAGE = "/settings/notifications"
KEYS = {"p256dh": webpush.public_key("A" * 42 + "E"), "auth": webpush.b64(b"b" * 16)}


def ticks(prefix, cells):
    return {f"{prefix}-{event}-{way}": "y" for event, way in cells}


def ticked(html, prefix):
    return {tuple(cell) for cell in (m.rsplit("-", 2)[1:] for m in re.findall(rf'name="({prefix}-[a-z_]+-[a-z]+)"[^>]* checked', html))}


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


def test_ACC_6_the_page_shows_the_defaults(world, maya):
    html = maya.get(PAGE).text
    assert ticked(html, "all") == set(DEFAULT) and ("others", "mail") not in DEFAULT
    assert "Front Desk" in html and "Pharmacy" not in html, "only inboxes one is in"
    assert "no mail server here" in html and "Save changes" in html


def test_ACC_6_nothing_applies_until_saved_and_off_is_off(world, maya):
    only = {("mine", "mail"), ("others", "push")}
    answer = maya.send(PAGE, **ticks("all", only), **ticks(world.front.public_id, CELLS), previews="y")
    assert answer.status_code == 303
    wishes = Wishes.of(world.maya)
    assert (wishes.general, wishes.own, wishes.previews) == (frozenset(only), {}, True), "an inbox counts only with its own switch"
    assert ticked(maya.get(PAGE).text, "all") == only
    assert maya.send(PAGE).status_code == 303 and Wishes.of(world.maya).general == frozenset()
    kinds = db.session.scalars(sa.select(Event.kind).where(Event.kind.like("notification.%"))).all()
    assert kinds == ["notification.changed"] * 2


def test_ACC_6_an_inbox_of_its_own_and_foreign_ones_are_ignored(world, maya):
    front = world.front.public_id
    foreign = world.reception.public_id
    maya.send(PAGE, **ticks("all", DEFAULT), **{f"own-{front}": "y", f"own-{foreign}": "y"}, **ticks(front, {("others", "mail")}), **ticks(foreign, CELLS))
    assert Wishes.of(world.maya).own == {world.front.id: frozenset({("others", "mail")})}
    html = maya.get(PAGE).text
    assert ticked(html, front) == {("others", "mail")} and "Own choice" in html


def test_ACC_6_not_allowed_says_why_and_the_server_refuses(world, maya):
    with transaction():
        Notification.allow(world.maya, False, by=world.dana)
    html = maya.get(PAGE).text
    assert "switched off for you. Dana Whitfield can allow them" in html
    assert ticked(html, "all") == {cell for cell in DEFAULT if cell[1] == "app"}, "the tray is a page of the product, not something that is sent"
    answer = maya.send(PAGE, **ticks("all", {("mine", "mail")}))
    assert answer.status_code == 403 and "Dana Whitfield can allow them" in answer.text
    for path, fields in ((f"{PAGE}/tests", {"way": "mail"}), (f"{PAGE}/browsers", {"endpoint": "https://push.example/x", **KEYS})):
        assert maya.send(path, **fields).status_code == 403
    assert Wishes.of(world.maya).general == DEFAULT and PushSubscription.of(world.maya) == []
    assert maya.send(PAGE).status_code == 303, "off is always possible"


def test_ACC_6_the_owner_reads_that_they_can_change_it_themselves(app, world):
    with transaction():
        Notification.allow(world.dana, False, by=world.dana)
    assert "You can allow them" in app.test_client().sign_in(world.dana).get(PAGE).text


@pytest.mark.parametrize("who", ["dana", "ada", "sven", "uma", "vera", "olga", "nina"])
def test_ACC_6_everyone_has_their_own_page(app, world, who):
    client = app.test_client().sign_in(getattr(world, who))
    assert client.get(PAGE).status_code == 200 and client.part(PAGE).status_code == 200
    assert client.send(PAGE, **ticks("all", {("mine", "mail")})).status_code == 303
    assert Wishes.of(getattr(world, who)).general == {("mine", "mail")} and Wishes.of(world.maya).general == DEFAULT


def test_ACC_6_a_test_says_where_it_goes(app, world, maya, bell, monkeypatch):
    bell.rung.clear()
    maya.send(f"{PAGE}/tests", way="mail")
    assert "There is no mail server: the test for maya@harbor.example becomes a file in the folder “mail”" in maya.get(PAGE).text
    assert bell.rung == [("try_notification", (world.maya.id, "mail"))]
    monkeypatch.setitem(app.config, "MAIL_SERVER", "mail.example")
    maya.send(f"{PAGE}/tests", way="mail")
    html = maya.get(PAGE).text
    assert "A test goes to maya@harbor.example." in html and "no mail server" not in html
    assert maya.send(f"{PAGE}/tests", way="push").status_code == 422
    assert maya.send(f"{PAGE}/tests", way="pigeon").status_code == 400


def test_ACC_6_a_teammates_browser_does_not_exist(world, maya):
    with transaction():
        session = LoginSession.find(LoginSession.start(world.theo, ip="127.0.0.1", user_agent="x"))
        row = PushSubscription.add(world.theo, endpoint="https://push.example/theo", session=session, **KEYS)
    assert "data-push-off" not in maya.get(PAGE).text and maya.send(f"{PAGE}/browsers/{row.id}/remove").status_code == 404
    assert len(PushSubscription.of(world.theo)) == 1


def test_ACC_6_a_browser_is_added_listed_and_removed(world, maya):
    key = maya.send(f"{PAGE}/key").json["key"]
    assert len(webpush.unb64(key)) == 65 and maya.send(f"{PAGE}/key").json["key"] == key
    assert maya.send(f"{PAGE}/browsers", endpoint="https://push.example/x", **KEYS).status_code == 303
    html = maya.get(PAGE).text
    assert "This one" in html and "push.example" not in html and "data-push-off" in html
    row_id = db.session.scalars(sa.select(PushSubscription.id)).one()
    assert maya.send(f"{PAGE}/tests", way="push").status_code == 303
    assert maya.send(f"{PAGE}/browsers/{row_id}/remove").status_code == 303 and PushSubscription.of(world.maya) == []
    assert maya.send(f"{PAGE}/browsers/{row_id}/remove").status_code == 404
    kinds = db.session.scalars(sa.select(Event.kind).where(Event.kind.like("notification.%")).order_by(Event.id)).all()
    assert kinds == ["notification.browser_added", "notification.browser_removed"]


@pytest.mark.parametrize("fields", [{}, {"endpoint": "http://push.example/x"}, {"p256dh": "x"}, {"auth": "x" * 5000}, {"endpoint": "https://[::1"}])
def test_ACC_6_nonsense_of_a_browser_is_a_sentence(world, maya, fields):
    answer = maya.send(f"{PAGE}/browsers", **({"endpoint": "https://push.example/x", **KEYS, **fields} if fields else {}))
    assert answer.status_code == 422 and "no usable address" in answer.text


def test_ACC_6_at_most_twenty_browsers(world, maya):
    with transaction():
        session = LoginSession.find(LoginSession.start(world.maya, ip="127.0.0.1", user_agent="x"))
        for i in range(20):
            PushSubscription.add(world.maya, endpoint=f"https://push.example/{i}", session=session, **KEYS)
    answer = maya.send(f"{PAGE}/browsers", endpoint="https://push.example/more", **KEYS)
    assert answer.status_code == 422 and "Remove one first" in answer.text


def test_ACC_6_the_service_worker_serves_the_whole_product(client):
    answer = client.get("/sw.js")
    assert answer.status_code == 200 and answer.mimetype == "text/javascript" and answer.headers["Service-Worker-Allowed"] == "/"
    assert b"showNotification" in answer.data


def test_S09_hostile_names_are_inert_on_the_page(app, world, maya):
    with transaction():
        world.front.name = "<img src=x onerror=alert(1)>"
        world.dana.name = "<b>Dana"
        Notification.allow(world.maya, False, by=world.dana)
    html = maya.get(PAGE).text
    assert "<img src=x" not in html and "&lt;b&gt;Dana can allow" in html


def test_ACC_6_the_cost_does_not_grow_with_inboxes(world, maya):
    def cost():
        found = []
        sa.event.listen(db.engine, "before_cursor_execute", listener := lambda *a: found.append(a[2]))
        assert maya.get(PAGE).status_code == 200
        sa.event.remove(db.engine, "before_cursor_execute", listener)
        return len(found)

    cost()
    before = cost()
    with transaction():
        for i in range(5):
            inbox = world.inbox(world.team, f"More {i}", f"+1415555012{i}", world.dana, "teal")
            inbox.add_member(world.maya, by=world.dana)
        wishing.choose(world.maya, DEFAULT, {world.front: DEFAULT}, previews=False, by=world.maya)
    assert cost() == before


@pytest.mark.parametrize("token", ["x", "x" * 43, "..", "WyJhIiwibWFpbCJd.abc"])
def test_ACC_6_only_our_own_links_turn_anything_off(client, token):
    assert client.get(f"/notifications/unsubscribe/{token}").status_code == 404
    assert client.post(f"/notifications/unsubscribe/{token}").status_code == 404


def test_ACC_6_the_link_also_works_by_hand(app, world, client):
    key = app.config["SECRET_KEY"]
    path = f"/notifications/unsubscribe/{unsubscribing.sign(key, world.maya.public_id, 'mail')}"
    assert "maya@harbor.example will get no more notifications by e-mail" in client.get(path).text
    assert "You are unsubscribed" in client.send(path).text and not Wishes.of(world.maya).anything("mail")
    for wrong in (unsubscribing.sign(key, world.maya.public_id, "pigeon"), unsubscribing.sign(key, "nobody", "mail"), unsubscribing.sign("other" * 8, world.theo.public_id, "mail")):
        assert client.post(f"/notifications/unsubscribe/{wrong}").status_code == 404
    assert Wishes.of(world.theo).anything("mail")
