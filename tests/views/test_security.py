"""The ladder of the page “Sign-in & security”: it works, is one's own, refuses in sentences, and needs no JavaScript."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox.models import Attempt, LoginSession, Passkey, db, transaction
from inbox.models.attempt import mailbox
from tests.world import PASSWORD

WHERE = "/settings/security"


@pytest.fixture
def app(suite_app):
    """The suite's app, not the one of this folder."""
    return suite_app


@pytest.mark.parametrize("who", ["dana", "maya", "vera", "uma"])
def test_everybody_has_the_page_whatever_their_role(app, world, who):
    client = app.test_client().sign_in(getattr(world, who))
    page = client.get(WHERE).text
    for words in ("Password", "Authenticator app", "Add a passkey", "E-mail address", "Signed-in browsers", "This one", "Sign out everywhere"):
        assert words in page
    assert client.get("/settings/profile").text.count("Change password") == 0


def test_ACC_7_browsers_are_listed_and_ended_one_by_one(app, world):
    other, client = app.test_client().sign_in(world.maya), app.test_client().sign_in(world.maya)
    theirs = app.test_client().sign_in(world.theo)
    rows = db.session.scalars(sa.select(LoginSession.id).order_by(LoginSession.id)).all()
    page = client.get(WHERE).text
    assert page.count("/revoke") == 1 and f"/sessions/{rows[0]}/revoke" in page
    for foreign in (rows[2], 10**6):
        assert client.send(f"{WHERE}/sessions/{foreign}/revoke").status_code == 404
    assert client.send(f"{WHERE}/sessions/{rows[0]}/revoke").status_code == 303
    assert other.get(WHERE).status_code == 303 and theirs.get(WHERE).status_code == 200


def test_queries_do_not_grow_with_browsers_and_passkeys(app, world):
    client = app.test_client().sign_in(world.maya)

    def count():
        seen = []
        sa.event.listen(db.engine, "before_cursor_execute", listener := lambda *a: seen.append(a[2]))
        assert client.get(WHERE).status_code == 200
        sa.event.remove(db.engine, "before_cursor_execute", listener)
        return len(seen)

    with transaction():
        Passkey.add(world.maya, credential="k", public_key=b"x", sign_count=0, name="Key")
    client.get(WHERE)
    few = count()
    with transaction():
        for i in range(15):
            LoginSession.start(world.maya, ip="127.0.0.1", user_agent="Firefox/1 Linux")
            Passkey.add(world.maya, credential=f"k{i}", public_key=b"x", sign_count=0, name=f"Key {i}")
    client.get(WHERE)
    assert count() == few


def test_passkeys_are_renamed_and_removed_by_their_person_only(app, world):
    with transaction():
        mine, _ = Passkey.add(world.maya, credential="a", public_key=b"x", sign_count=0, name="Work laptop")
        theirs, _ = Passkey.add(world.theo, credential="b", public_key=b"x", sign_count=0, name="CANARY key")
    client = app.test_client().sign_in(world.maya)
    assert "Work laptop" in client.get(WHERE).text and "CANARY" not in client.get(WHERE).text
    edit = f"{WHERE}/passkeys/{mine.public_id}"
    assert 'value="Work laptop"' in client.get(edit).text
    answer = client.send(edit, name=" ")
    assert answer.status_code == 422 and "Give it a name." in answer.text
    assert client.send(edit, name=" Blue <b>  key ").status_code == 303 and "Blue &lt;b&gt; key" in client.get(WHERE).text
    for path in (f"{WHERE}/passkeys/{theirs.public_id}", f"{WHERE}/passkeys/nope"):
        assert client.get(path).status_code == 404 and client.send(path, name="x").status_code == 404 and client.send(path + "/removal").status_code == 404
    assert client.send(edit + "/removal").status_code == 303 and [key.name for key in Passkey.of(world.theo)] == ["CANARY key"] and Passkey.of(world.maya) == []


@pytest.mark.parametrize("passkey", ["", "null", "[]", "{}", '{"id": 5}', '{"id": "x", "response": {}}', "x" * 30_000, '{"a":' * 3000])
def test_nonsense_is_no_passkey_anywhere(app, world, passkey):
    client, guest = app.test_client().sign_in(world.maya), app.test_client()
    ticket = client.send(f"{WHERE}/passkeys/challenge", purpose="register").json["ticket"]
    answer = client.send(f"{WHERE}/passkeys", name="Laptop", passkey=passkey, ticket=ticket)
    assert answer.status_code == 422 and 'value="Laptop"' in answer.text and Passkey.of(world.maya) == []
    ticket = guest.send("/sign-in/passkey/challenge", purpose="sign-in").json["ticket"]
    assert guest.send("/sign-in/passkey", passkey=passkey, ticket=ticket).location == "/sign-in"
    assert guest.get(WHERE).status_code == 303 and "not accepted" in guest.get("/sign-in").text


def test_challenges_differ_are_bound_to_this_site_and_work_once(app, world):
    from inbox.models import Challenge

    client = app.test_client().sign_in(world.maya)
    made = [client.send(f"{WHERE}/passkeys/challenge", purpose="register").json for _ in range(2)]
    assert made[0]["options"]["challenge"] != made[1]["options"]["challenge"] and made[0]["options"]["rp"]["id"] == "localhost"
    assert made[0]["options"]["user"]["name"] == world.maya.email
    with transaction():
        assert Challenge.take(made[0]["ticket"], "confirm", world.maya) is None and Challenge.take(made[0]["ticket"], "register", world.theo) is None
        assert Challenge.take(made[0]["ticket"], "register", None) is None
        assert len(Challenge.take(made[0]["ticket"], "register", world.maya)) == 32
        assert Challenge.take(made[0]["ticket"], "register", world.maya) is None, "once"
    sign_in = client.send("/sign-in/passkey/challenge", purpose="sign-in").json["options"]
    assert sign_in.get("allowCredentials") in (None, []) and sign_in["userVerification"] == "required", "nobody learns whose passkeys there are"


@pytest.mark.parametrize("where", ["/settings/single-sign-on"])
def test_the_account_s_sign_in_is_managed_by_those_who_may(app, world, where):
    assert app.test_client().sign_in(world.dana).get(where).status_code == 200
    assert app.test_client().sign_in(world.ada).get(where).status_code == 200
    for who in (world.maya, world.sven, world.vera):
        client = app.test_client().sign_in(who)
        assert client.get(where).status_code == 403 and client.send(where).status_code == 403 and client.send(where + "/second-factor", wanted="1").status_code == 403
    answer = app.test_client().sign_in(world.dana).send(where, issuer="nonsense", client_id="", domains="x.example")
    assert answer.status_code == 422 and "Enter the issuer" in answer.text and "Enter the client ID." in answer.text and 'value="nonsense"' in answer.text


# -- limits -------------------------------------------------------------------------------------------------------


def test_S42_the_limit_of_sign_ins_counts_mailboxes_and_networks_not_spellings(app, world):
    spellings = ["maya@harbor.example", "MAYA@harbor.example", "m.aya@harbor.example", "maya+1@harbor.example", "ｍaya@harbor.example"]
    for i, email in enumerate(spellings):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"2001:db8:0:{i}::{i}"
        assert client.send("/sign-in", email=email, password="wrong wrong wrong").status_code == 422
    stranger = app.test_client()
    stranger.environ_base["REMOTE_ADDR"] = "203.0.113.77"
    answer = stranger.send("/sign-in", email="maya@harbor.example", password=PASSWORD)
    assert answer.status_code == 429 and "Retry-After" in answer.headers and 'value="maya@harbor.example"' in answer.text
    for headers in ({"X-Forwarded-For": "198.51.100.1"}, {"X-Real-IP": "198.51.100.1"}, {"Forwarded": "for=198.51.100.1"}, {"CF-Connecting-IP": "127.0.0.1"}):
        token = stranger.csrf()
        assert stranger.post("/sign-in", data={"csrf_token": token, "email": "maya@harbor.example", "password": PASSWORD}, headers=headers).status_code == 429


def test_S42_the_real_person_is_not_locked_out_by_strangers(app, world):
    app.test_client().sign_in(world.maya)
    stranger = app.test_client()
    stranger.environ_base["REMOTE_ADDR"] = "203.0.113.77"
    for _ in range(8):
        stranger.send("/sign-in", email="maya@harbor.example", password="wrong wrong wrong")
    assert stranger.send("/sign-in", email="maya@harbor.example", password=PASSWORD).status_code == 429
    assert app.test_client().send("/sign-in", email="maya@harbor.example", password=PASSWORD).status_code == 303


def test_S42_guesses_at_once_share_one_counter(app, world, together):
    def guess(_):
        with transaction():
            return Attempt.slowly("sign-in", "maya@harbor.example", "")

    assert sum(together(guess, 12, app)) == 5


def test_mailboxes_behind_spellings():
    assert {mailbox(text) for text in ("Ana.Lu+x@Example.COM", "analu@example.com", "a.n.a.l.u@example.com")} == {"analu@example.com"}
    assert mailbox("nonsense") == "nonsense@" or mailbox("nonsense").endswith("nonsense")
