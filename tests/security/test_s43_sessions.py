"""S40, S43, S44, S51, S62: sessions are rows that can be ended, get new tokens when rights change, and are asked again before changes that matter."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa
from flask.sessions import SecureCookieSessionInterface

from inbox import clock
from inbox.models import Event, LoginSession, Member, db, transaction
from inbox.models.member import digest
from tests.security.factors import code_of, set_up_app
from tests.world import PASSWORD

WHERE = "/settings/security"
NEW = "another quiet river"


def token_of(client):
    with client.session_transaction() as session:
        return session.get("token")


def copied(app, client):
    """Somebody who copied the cookie."""
    thief = app.test_client()
    thief.set_cookie("session", client.get_cookie("session").value)
    return thief


def stale(*members):
    """Their sessions were confirmed too long ago."""
    with transaction():
        db.session.execute(sa.update(LoginSession).where(LoginSession.member_id.in_([m.id for m in members])).values(confirmed_at=clock.now() - sa_minutes(16)))


def sa_minutes(n):
    from datetime import timedelta

    return timedelta(minutes=n)


def fields_of(page):
    """The hidden fields of the page that asks."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


# -- S40: the signed cookie alone proves nothing ------------------------------------------------------------------


def test_S40_the_secret_key_alone_signs_nobody_in(app, world):
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    app.test_client().sign_in(world.dana)
    row = db.session.scalars(sa.select(LoginSession)).one()
    for forged in (
        {"_user_id": world.dana.public_id, "_fresh": True}, {"_user_id": world.dana.public_id, "token": ""}, {"_user_id": world.dana.public_id, "token": "x" * 43},
        {"_user_id": world.dana.public_id, "token": row.token_digest}, {"_user_id": world.dana.public_id, "token": str(row.id)},
        {"pending": {"member": world.dana.public_id, "at": int(clock.now().timestamp()), "mark": "x" * 16, "next": "", "provider": True}},
    ):
        client = app.test_client()
        client.set_cookie("session", serializer.dumps(forged))
        assert client.get(WHERE).status_code == 303, forged
        assert client.get("/sign-in/code").status_code == 303
    mine = app.test_client().sign_in(world.maya)
    client = app.test_client()
    client.set_cookie("session", serializer.dumps({"_user_id": world.dana.public_id, "token": token_of(mine)}))
    assert client.get(WHERE).status_code == 303, "a session is its own member's only"


def test_S40_tokens_are_long_random_and_kept_as_digests(app, world):
    tokens = set()
    for _ in range(50):
        with transaction():
            tokens.add(LoginSession.start(world.maya, ip="", user_agent=""))
    assert len(tokens) == 50 and all(len(token) >= 43 for token in tokens)
    kept = set(db.session.scalars(sa.select(LoginSession.token_digest)))
    assert kept == {digest(token) for token in tokens}


# -- S43: new tokens ----------------------------------------------------------------------------------------------


def test_S43_signing_in_changes_the_session_with_and_without_a_code(app, world):
    set_up_app(world.theo)
    for member in (world.maya, world.theo):
        client = app.test_client()
        with client.session_transaction() as session:
            session["token"], session["planted"] = "planted", "planted"
        planted = copied(app, client)
        client.send("/sign-in", email=member.email, password=PASSWORD)
        if member is world.theo:
            half = copied(app, client)
            assert token_of(client) is None
            client.send("/sign-in/code", code=code_of(world.theo))
            assert half.get(WHERE).status_code == 303, "the half-way cookie is no way in"
        assert client.get(WHERE).status_code == 200 and planted.get(WHERE).status_code == 303
        with client.session_transaction() as session:
            assert "planted" not in session and session["token"] != "planted"


def test_S43_a_change_of_rights_gives_every_browser_a_new_token(app, world):
    one, two = app.test_client().sign_in(world.maya), app.test_client().sign_in(world.maya)
    other = app.test_client().sign_in(world.theo)
    before, others = token_of(one), token_of(other)
    with transaction():
        LoginSession.rotate_all(world.maya)
    thief = copied(app, one)
    assert one.get(WHERE).status_code == 200 and token_of(one) != before
    assert two.get(WHERE).status_code == 200
    assert other.get(WHERE).status_code == 200 and token_of(other) == others
    assert thief.get(WHERE).status_code == 200, "a page that is loading may finish"
    assert token_of(thief) == before, "but gets no new token"
    assert thief.send("/settings/profile", name="Mallory").location.startswith("/sign-in"), "and writes nothing"
    clock.shift(11)
    assert thief.get(WHERE).status_code == 303 and one.get(WHERE).status_code == 200
    with transaction():
        LoginSession.rotate_all(world.maya)
    assert thief.get(WHERE).status_code == 303


def test_S43_an_old_token_is_never_renewed(app, world):
    client = app.test_client().sign_in(world.maya)
    with transaction():
        LoginSession.rotate_all(world.maya)
    thief = copied(app, client)
    client.get(WHERE)
    with transaction():
        LoginSession.rotate_all(world.maya)
    before = token_of(thief)
    thief.get(WHERE)
    assert token_of(thief) == before and client.get(WHERE).status_code == 200
    clock.shift(11)
    assert thief.get(WHERE).status_code == 303 and client.get(WHERE).status_code == 200


def test_S43_of_requests_at_once_one_renews(app, world, together):
    with transaction():
        token = LoginSession.start(world.maya, ip="", user_agent="")
        LoginSession.rotate_all(world.maya)

    def renew(_):
        row = LoginSession.find(token, reading=True)
        with transaction():
            return row.renew() if digest(token) == row.token_digest else None

    made = [result for result in together(renew, 6, app) if isinstance(result, str)]
    assert len(made) == 1 and LoginSession.find(made[0]) and LoginSession.find(token) is None and LoginSession.find(token, reading=True)


def test_S62_a_socket_keeps_its_session_through_a_new_token_and_not_through_its_end(app, world):
    client = app.test_client().sign_in(world.maya)
    row = db.session.scalars(sa.select(LoginSession)).one()
    with transaction():
        row.renew()
    assert LoginSession.of_socket(row.id)
    assert client.get(WHERE, environ_overrides={"HTTP_INBOX.LOGIN_SESSION": str(row.id)}).status_code == 200, "within the grace of a moment"
    clock.shift(11)
    assert client.get(WHERE, headers={"inbox.login_session": str(row.id), "Inbox-Login-Session": str(row.id)}).status_code == 303, "no header stands in for a token"
    with transaction():
        row.revoke()
    assert LoginSession.of_socket(row.id) is None


# -- S44: asked again ---------------------------------------------------------------------------------------------

CHANGES = [
    ("/settings/security/password", {"password": NEW}), ("/settings/security/address", {"email": "new@harbor.example"}), ("/settings/security/app", {}),
    ("/settings/security/app/removal", {}), ("/settings/security/recovery-codes", {}), ("/settings/security/passkeys", {"name": "Laptop", "passkey": "{}", "ticket": "t"}),
    ("/settings/security/app/confirmation", {"code": "000000"}),
]


@pytest.mark.parametrize(("path", "fields"), CHANGES)
def test_S44_changes_that_matter_ask_who_it_is_and_lose_nothing(app, world, path, fields, bell):
    client = app.test_client().sign_in(world.maya)
    stale(world.maya)
    before = db.session.scalar(sa.select(sa.func.count(Event.id)))
    answer = client.send(path, **fields)
    assert answer.status_code == 403 and "Confirm that it is you" in answer.text and f'action="{path}"' in answer.text
    carried = fields_of(answer.text)
    assert {name: carried[name] for name in fields} == {k: v.replace("{}", "{}") for k, v in fields.items()}
    for wrong in ({"confirm_password": "wrong wrong wrong"}, {"confirm_password": ""}, {"confirm_code": "000000"}, {"confirm_passkey": "{}", "confirm_ticket": "x"}):
        again = client.send(path, **fields, **wrong)
        assert again.status_code == 403 and 'role="alert"' in again.text and {**fields, **fields_of(again.text)}.items() >= fields.items()
    assert db.session.scalar(sa.select(sa.func.count(Event.id))) == before, "nothing happened"
    token = token_of(client)
    done = client.send(path, **fields, confirm_password=PASSWORD)
    assert done.status_code != 403 and "Confirm that it is you" not in done.text
    assert token_of(client) != token, "confirming gives a new token (S43)"


def test_S44_a_page_is_asked_for_and_then_shown(app, world):
    client = app.test_client().sign_in(world.maya)
    client.send("/settings/security/app")
    stale(world.maya)
    asked = client.get("/settings/security/app?x=1")
    assert asked.status_code == 403 and 'action="/confirm"' in asked.text and fields_of(asked.text)["next"] == "/settings/security/app?x=1"
    assert client.send("/confirm", next="/settings/security/app", confirm_password="no").status_code == 403
    assert client.send("/confirm", next="/settings/security/app", confirm_password=PASSWORD).location == "/settings/security/app"
    assert client.get("/settings/security/app").status_code == 200
    for evil in ("//evil.example", "https://evil.example", "/\\evil"):
        assert client.send("/confirm", next=evil).location == "/"


def test_S44_htmx_gets_the_page_in_place_of_the_whole(app, world):
    client = app.test_client().sign_in(world.maya)
    stale(world.maya)
    answer = client.send("/settings/security/password", htmx=True, password=NEW)
    assert answer.status_code == 403 and answer.headers["HX-Retarget"] == "body" and fields_of(answer.text)["password"] == NEW


def test_S44_files_are_never_carried_and_long_texts_are(app, world):
    import io

    client = app.test_client().sign_in(world.maya)
    stale(world.maya)
    text = "line one\nline two <b>\n" * 200
    answer = client.post("/settings/security/password", data={"csrf_token": client.csrf(), "password": NEW, "note": text, "file": (io.BytesIO(b"secret file"), "a.txt")})
    assert "choose the file again" in answer.text and "secret file" not in answer.text and "line two &lt;b&gt;" in answer.text


def test_S44_the_app_or_the_password_confirms_and_guesses_slow_down(app, world):
    set_up_app(world.maya)
    client = app.test_client().sign_in(world.maya)
    stale(world.maya)
    assert client.send("/settings/security/password", password=NEW, confirm_code=code_of(world.maya)).status_code == 303
    other = app.test_client().sign_in(world.theo)
    stale(world.theo)
    statuses = [other.send("/settings/security/password", password=NEW, confirm_password="wrong wrong wrong").status_code for _ in range(7)]
    assert statuses == [403] * 5 + [429] * 2
    assert other.send("/settings/security/password", password=NEW, confirm_password=PASSWORD).status_code == 429
    clock.shift(3)
    assert other.send("/settings/security/password", password=NEW, confirm_password=PASSWORD).status_code == 303


def test_S44_fifteen_minutes_and_not_longer(app, world):
    client = app.test_client().sign_in(world.maya)
    clock.shift(15 * 60 - 2)
    assert client.send("/settings/security/address", email="x").status_code == 422
    clock.shift(4)
    assert client.send("/settings/security/address", email="x").status_code == 403


def test_S44_a_new_password_ends_other_sessions_and_keeps_this_one(app, world):
    client, other = app.test_client().sign_in(world.maya), app.test_client().sign_in(world.maya)
    assert "Use at least 10 characters." in client.send("/settings/security/password", password="short").text
    assert client.send("/settings/security/password", password=NEW).status_code == 303
    assert client.get(WHERE).status_code == 200 and other.get(WHERE).status_code == 303
    assert Member.authenticate(world.maya.email, NEW) and "member.password_changed" in db.session.scalars(sa.select(Event.kind)).all()


# -- S51: the end of a session ------------------------------------------------------------------------------------


def test_S51_a_cookie_from_before_signing_out_is_worth_nothing(app, world):
    client = app.test_client().sign_in(world.maya)
    thief = copied(app, client)
    assert client.get("/sign-out").status_code == 405
    client.send("/sign-out")
    assert thief.get(WHERE).status_code == 303 and thief.get(WHERE, headers={"HX-Request": "true"}).status_code == 401
    one, two = app.test_client().sign_in(world.maya), app.test_client().sign_in(world.maya)
    theo = app.test_client().sign_in(world.theo)
    assert one.send(WHERE + "/sign-out-everywhere").location == "/sign-in"
    assert one.get(WHERE).status_code == 303 and two.get(WHERE).status_code == 303 and theo.get(WHERE).status_code == 200


def test_S62_ending_a_session_is_published_at_once(app, world, bell):
    app.test_client().sign_in(world.maya)
    client = app.test_client().sign_in(world.maya)
    bell.facts.clear()
    first = db.session.scalars(sa.select(LoginSession).order_by(LoginSession.id)).first()
    client.send(f"{WHERE}/sessions/{first.id}/revoke")
    assert any(fact["what"] == "access" and fact.get("member") == world.maya.id for fact in bell.facts)
