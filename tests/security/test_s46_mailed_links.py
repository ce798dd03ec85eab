"""S41, S42, S45, S46: links by mail work once, end, tell nobody who is here, and leave no trace of their token."""

from __future__ import annotations

import re
from statistics import median
from time import thread_time

import pytest
import sqlalchemy as sa

from inbox import clock, mailers
from inbox.models import Event, Invitation, LoginSession, MailedLink, Member, db, transaction
from inbox.models import member as member_module
from tests.security.factors import set_up_app
from tests.world import PASSWORD

NEW = "another quiet river"
JUNK = ("null", "%20", "%20%20", "None", "undefined", "x" * 43, "x" * 3000, "%ff", "[]", "0")


@pytest.fixture
def post(monkeypatch):
    """The mails that left."""
    sent = []
    monkeypatch.setattr(mailers, "deliver", sent.append)
    return sent


def ask(client, bell, email):
    answer = client.send("/password/forgot", email=email)
    bell.work()
    return answer


def link_in(mail):
    found = re.search(r"http://localhost(/[^\s]+)", mail.body)
    assert found
    return found.group(1)


def test_ACC_7_a_forgotten_password_is_replaced_by_a_link(app, world, client, bell, post):
    other = app.test_client().sign_in(world.maya)
    assert "Forgot your password?" in client.get("/sign-in").text
    assert ask(client, bell, " Maya@Harbor.example ").location == "/password/forgot?sent=1"
    assert "on its way" in client.get("/password/forgot?sent=1").text
    assert post[0].recipients == ["maya@harbor.example"] and post[0].subject == "Choose a new password" and "Maya Chen" in post[0].html
    link = link_in(post[0])
    landed = client.get(link)
    assert landed.status_code == 303 and landed.location == "/password/reset" and landed.headers["Referrer-Policy"] == "no-referrer"
    page = client.get("/password/reset")
    assert page.headers["Referrer-Policy"] == "no-referrer" and 'value="maya@harbor.example" readonly' in page.text and link.rpartition("/")[2] not in page.text
    assert not re.search(r'(src|href)="(https?:)?//', page.text), "nothing of third parties"
    assert "Use at least 10 characters." in client.send("/password/reset", password="short").text
    assert client.send("/password/reset", password=NEW).location == "/sign-in"
    assert client.get("/settings/security").status_code == 303, "a reset signs nobody in"
    assert other.get("/settings/security").status_code == 303, "and ends every session"
    assert client.send("/sign-in", email="maya@harbor.example", password=NEW).location == "/"
    assert "member.password_reset" in db.session.scalars(sa.select(Event.kind)).all()


def test_S46_the_token_is_kept_nowhere(app, world, client, bell, post):
    ask(client, bell, "maya@harbor.example")
    token = link_in(post[0]).rpartition("/")[2]
    row = db.session.scalars(sa.select(MailedLink)).one()
    assert len(token) >= 43 and row.token_digest == member_module.digest(token)
    everything = str(db.session.execute(sa.select(MailedLink.__table__)).all()) + str(db.session.execute(sa.select(Event.__table__)).all()) + str(bell.rung)
    assert token not in everything


def test_S41_a_link_works_once_and_in_time(app, world, bell, post):
    first, second = app.test_client(), app.test_client()
    ask(first, bell, "maya@harbor.example")
    link = link_in(post[0])
    first.get(link)
    second.get(link)
    clock.shift(3600 - 2)
    assert first.get("/password/reset").status_code == 200
    clock.shift(4)
    assert first.get("/password/reset").status_code == 404 and second.get(link).status_code == 404
    clock.reset()
    assert first.get(link).status_code == 303 and first.send("/password/reset", password=NEW).status_code == 303
    assert second.send("/password/reset", password="yet another river").status_code == 404 and second.get(link).status_code == 404
    assert Member.authenticate("maya@harbor.example", NEW)


def test_S41_of_two_uses_at_once_one_wins(app, world, together):
    with transaction():
        link = MailedLink.ask_reset("maya@harbor.example").id

    def use(i):
        with transaction():
            db.session.get(MailedLink, link).set_password(f"{NEW} {i}")
        return True

    assert [result for result in together(use, 4, app) if result is True] == [True]


def test_S41_other_purposes_members_and_nothing_at_all_match_no_link(app, world, client, bell, post):
    with transaction():
        MailedLink.ask_reset("nobody@harbor.example")  # a row without token and member
        MailedLink.ask_reset("maya@harbor.example")
        MailedLink.ask_address(world.theo, "new@harbor.example")
        Invitation.send(world.harbor, "zoe@harbor.example", by=world.dana)
    assert MailedLink.find("", "password") is None
    for junk in JUNK:
        for path in ("/password/reset/", "/address/", "/invitations/"):
            assert client.get(path + junk).status_code == 404, (path, junk)
    for path in ("/password/reset", "/address", "/join"):
        assert client.get(path).status_code == 404 and client.send(path, password=NEW, name="x").status_code == 404
    bell.work()
    reset, address, join = (next(link_in(m) for m in post if part in m.body) for part in ("/password/reset/", "/address/", "/invitations/"))
    for link, others in ((reset, ("/address/", "/invitations/")), (address, ("/password/reset/", "/invitations/")), (join, ("/password/reset/", "/address/"))):
        token = link.rpartition("/")[2]
        for other in others:
            assert client.get(other + token).status_code == 404
        client.get(link)
        for path in {"/password/reset", "/address", "/join"} - {"/join" if link == join else link.rpartition("/")[0]}:
            assert client.get(path).status_code == 404
            client.get(link)
        assert client.get(link[:-1]).status_code == 404


def test_S41_links_end_with_a_new_password_and_with_the_member(app, world, client, bell, post):
    ask(client, bell, "maya@harbor.example")
    app.test_client().sign_in(world.maya).send("/settings/security/password", password=NEW)
    assert client.get(link_in(post[0])).status_code == 404
    ask(client, bell, "theo@harbor.example")
    with transaction():
        world.theo.deactivated_at = clock.now()
    assert client.get(link_in(post[1])).status_code == 404


def test_S42_asking_tells_nobody_who_is_here(app, world, bell, post, monkeypatch):
    with transaction():
        world.olga.deactivated_at = clock.now()
    bodies, heads, statements = set(), set(), []
    for email in ("maya@harbor.example", "nobody@harbor.example", "olga@harbor.example"):
        count = []
        sa.event.listen(db.engine, "before_cursor_execute", listener := lambda *a, count=count: count.append(re.sub(r"\s+", " ", a[2])[:30]))
        client = app.test_client()
        answer = client.send("/password/forgot", email=email)
        sa.event.remove(db.engine, "before_cursor_execute", listener)
        statements.append(count)
        bodies.add(re.sub(r"X-CSRFToken.*?}", "", answer.text + client.get(answer.location).text))
        heads.add((answer.status_code, answer.location, tuple(sorted(k for k, _ in answer.headers))))
    assert len(bodies) == len(heads) == 1
    assert statements[0] == statements[1] == statements[2], "the same work for each"
    assert len(bell.rung) == 3
    bell.work()
    assert [mail.recipients for mail in post] == [["maya@harbor.example"]]


def test_S42_signing_in_costs_the_same_for_known_unknown_and_ended(app, world, monkeypatch):
    with transaction():
        world.olga.deactivated_at = clock.now()
    checks = []
    verify = member_module._hasher.verify

    class Counting:
        def verify(self, hashed, password):
            checks.append(hashed[:8])
            return verify(hashed, password)

    monkeypatch.setattr(member_module, "_hasher", Counting())
    monkeypatch.setattr(member_module, "_DECOY", world.maya.password_hash)  # the tests' hashes are cheap, so is the decoy's
    times, bodies = {}, set()
    for email, password in (("maya@harbor.example", "wrong wrong wrong"), ("nobody@harbor.example", PASSWORD), ("olga@harbor.example", PASSWORD)):
        times[email] = []
        for i in range(12):
            clock.shift(901)
            client = app.test_client()
            token, before = client.csrf(), len(checks)
            began = thread_time()
            answer = client.post("/sign-in", data={"csrf_token": token, "email": email, "password": password})
            times[email].append(thread_time() - began)
            assert answer.status_code == 422 and len(checks) == before + 1, "one look at a hash, whoever it is"
            bodies.add(re.sub(r"X-CSRFToken.*?}|name=\"csrf_token\" value=\"[^\"]+\"", "", answer.text.replace(email, "")))
    middles = [median(values) for values in times.values()]
    assert len(bodies) == 1 and max(middles) < 2 * min(middles), middles


def test_S42_the_limit_of_mails_counts_mailboxes_not_spellings(app, world, bell, post):
    for i, email in enumerate(["maya@harbor.example", "MAYA@harbor.example", "m.a.y.a@harbor.example", "maya+x@harbor.example", "ｍaya@harbor.example", "maya@harbor.example"]):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"203.0.113.{i}"
        assert ask(client, bell, email).location == "/password/forgot?sent=1", "the answer never tells"
    assert db.session.scalar(sa.select(sa.func.count(MailedLink.id))) == 3
    clock.shift(3601)
    ask(app.test_client(), bell, "maya@harbor.example")
    assert post[-1].recipients == ["maya@harbor.example"]


def test_S45_links_begin_with_the_configured_address(app, world, bell, post, monkeypatch):
    client = app.test_client()
    token = client.csrf()
    for headers in ({"Host": "evil.example"}, {"Host": "localhost.evil.example"}):
        assert client.post("/password/forgot", data={"csrf_token": token, "email": "maya@harbor.example"}, headers=headers).status_code in (400, 419)
    client.post("/password/forgot", data={"csrf_token": token, "email": "maya@harbor.example"}, headers={"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"})
    bell.work()
    assert "evil" not in post[0].body + post[0].html and "http://localhost/password/reset/" in post[0].body


def test_S48_a_reset_does_not_skip_the_second_factor(app, world, client, bell, post):
    set_up_app(world.maya)
    ask(client, bell, "maya@harbor.example")
    client.get(link_in(post[0]))
    client.send("/password/reset", password=NEW)
    assert client.send("/sign-in", email="maya@harbor.example", password=NEW).location == "/sign-in/code"
    assert client.get("/settings/security").status_code == 303


# -- another address ----------------------------------------------------------------------------------------------


def test_ACC_7_another_address_counts_once_its_link_is_opened(app, world, bell, post):
    client = app.test_client().sign_in(world.maya)
    assert client.send("/settings/security/address", email="New@harbor.example").status_code == 303
    assert "Open the link in the mail to <b>new@harbor.example</b>" in client.get("/settings/security").text
    bell.work()
    assert post[0].recipients == ["new@harbor.example"]
    assert client.get(link_in(post[0])).location == "/address"
    assert db.session.scalar(sa.select(Member.email).where(Member.id == world.maya.id)) == "maya@harbor.example", "reading changes nothing"
    assert "Use new@harbor.example" in client.get("/address").text
    assert client.send("/address").location == "/settings/security"
    bell.work()
    assert post[1].recipients == ["maya@harbor.example"] and "new@harbor.example" in post[1].body
    assert client.get("/settings/security").status_code == 200 and client.send("/address").status_code == 404
    assert Member.authenticate("new@harbor.example", PASSWORD) and not Member.authenticate("maya@harbor.example", PASSWORD)
    assert "member.address_changed" in db.session.scalars(sa.select(Event.kind)).all()


@pytest.mark.parametrize("taken", ["theo@harbor.example", "ＴＨＥＯ@harbor.example", "THEO@HARBOR.EXAMPLE"])
def test_S49_nobody_takes_an_address_that_looks_like_anothers(app, world, taken):
    client = app.test_client().sign_in(world.maya)
    answer = client.send("/settings/security/address", email=taken)
    assert answer.status_code == 422 and db.session.scalar(sa.select(sa.func.count(MailedLink.id))) == 0


def test_an_address_that_was_taken_meanwhile_is_refused(app, world, bell, post):
    client = app.test_client().sign_in(world.maya)
    client.send("/settings/security/address", email="new@harbor.example")
    bell.work()
    client.get(link_in(post[0]))
    with transaction():
        world.theo.email = "new@harbor.example"
    answer = client.send("/address")
    assert answer.status_code == 422 and "Someone already signs in" in answer.text
    assert Member.authenticate("maya@harbor.example", PASSWORD) and LoginSession.living(world.maya)


@pytest.mark.parametrize("bad", ["", "nonsense", "a@b", "maya@harbor.example", "x@y.example\r\nBcc: z@z.example"])
def test_bad_addresses_are_refused_with_what_was_typed(app, world, bad, bell):
    client = app.test_client().sign_in(world.maya)
    answer = client.send("/settings/security/address", email=bad)
    assert answer.status_code == 422 and not bell.rung
