"""S48: a code works once, guesses are few however many arrive at once, and nothing skips the second factor."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Event, LoginSession, Member, Passkey, RecoveryCode, SignInPolicy, Totp, db, transaction
from inbox.models.second_factor import CODE_TRIES, STEP, take_code_try
from inbox.views.second_step import OVER, TOO_MANY
from tests.security.factors import code_of, set_up_app
from tests.world import PASSWORD


def half_way(app, member):
    """A browser that gave the password and owes the code."""
    client = app.test_client()
    answer = client.send("/sign-in", email=member.email, password=PASSWORD, next="/settings/profile")
    assert answer.status_code == 303 and answer.location == "/sign-in/code", answer.text
    return client


def signed_in(client):
    return client.get("/settings/security").status_code == 200


def test_S48_the_password_alone_signs_nobody_in(app, world):
    set_up_app(world.maya)
    client = half_way(app, world.maya)
    assert not signed_in(client) and client.get("/").status_code == 303
    with client.session_transaction() as session:
        assert set(session["pending"]) == {"member", "at", "mark", "next", "provider"} and "token" not in session
    page = client.get("/sign-in/code").text
    assert "six digits" in page and "maya@" not in page
    assert "That code is not right" in client.send("/sign-in/code", code="000000").text and not signed_in(client)
    answer = client.send("/sign-in/code", code=code_of(world.maya))
    assert answer.status_code == 303 and answer.location == "/settings/profile" and signed_in(client)


def test_S48_a_code_works_once_and_so_does_its_step(app, world):
    set_up_app(world.maya)
    code = code_of(world.maya)
    assert half_way(app, world.maya).send("/sign-in/code", code=f"{code[:3]} {code[3:]}").status_code == 303
    second = half_way(app, world.maya)
    assert second.send("/sign-in/code", code=code).status_code == 422 and not signed_in(second)
    assert second.send("/sign-in/code", code=code_of(world.maya, -1)).status_code == 422, "an older step is over, too"
    clock.shift(STEP)
    assert second.send("/sign-in/code", code=code_of(world.maya)).status_code == 303 and signed_in(second)


def test_S48_of_two_equal_codes_at_once_one_wins(app, world, together):
    set_up_app(world.maya)
    code = code_of(world.maya)

    def accept(_):
        with transaction():
            return db.session.scalars(sa.select(Totp).where(Totp.member_id == world.maya.id)).one().accept(code)

    maya = world.maya.id  # read before the threads
    assert maya and sorted(together(accept, 8, app)) == [False] * 7 + [True]


def test_S48_a_hundred_guesses_at_once_are_five(app, world, together):
    who = world.maya

    def guess(i):
        with transaction():
            return take_code_try(who, "")

    for batch in range(5):
        answers = together(guess, 20, app)
        assert sum(answers) == (CODE_TRIES if batch == 0 else 0), answers


def test_S48_after_five_wrong_codes_the_right_one_does_not_help(app, world):
    set_up_app(world.maya)
    client = half_way(app, world.maya)
    for _ in range(CODE_TRIES):
        assert client.send("/sign-in/code", code="000000").status_code == 422
    answer = client.send("/sign-in/code", code=code_of(world.maya))
    assert answer.location == "/sign-in" and TOO_MANY in client.get("/sign-in").text and not signed_in(client)
    again = half_way(app, world.maya)
    again.send("/sign-in/code", code=code_of(world.maya))
    assert not signed_in(again), "a new sign-in is no new allowance"
    clock.shift(15 * 60 + 1)
    later = half_way(app, world.maya)
    later.send("/sign-in/code", code=code_of(world.maya))
    assert signed_in(later)


def test_S48_a_recovery_code_works_once_and_is_kept_as_a_digest(app, world):
    codes = set_up_app(world.maya)
    assert len(set(codes)) == 10 and all(re.fullmatch(r"([2-9a-z]{4}-){3}[2-9a-z]{4}", code) for code in codes)
    kept = db.session.scalars(sa.select(RecoveryCode.code_digest)).all()
    assert not {c for c in codes for k in kept if c in k or c.replace("-", "") in k}
    client = half_way(app, world.maya)
    assert "recovery codes you kept" in client.get("/sign-in/code?recovery=1").text
    assert "unknown or was used before" in client.send("/sign-in/code", code="aaaa-bbbb-cccc-dddd", recovery="1").text
    assert client.send("/sign-in/code", code=codes[0].upper().replace("-", " "), recovery="1").status_code == 303 and signed_in(client)
    assert RecoveryCode.left(world.maya) == 9
    assert half_way(app, world.maya).send("/sign-in/code", code=codes[0], recovery="1").status_code == 422
    event = db.session.scalars(sa.select(Event).where(Event.kind == "recovery.used")).one()
    assert event.data["left"] == 9


def test_S48_one_recovery_code_at_once_lets_one_in(app, world, together):
    code = set_up_app(world.maya)[0]
    who = world.maya

    def use(_):
        with transaction():
            return RecoveryCode.use(who, code)

    assert sorted(together(use, 6, app)) == [False] * 5 + [True]


def test_S48_a_half_done_sign_in_ends_by_time_by_a_new_password_and_with_the_member(app, world):
    set_up_app(world.maya)
    late, changed, ended = (half_way(app, world.maya) for _ in range(3))
    clock.shift(601)
    assert late.send("/sign-in/code", code=code_of(world.maya)).location == "/sign-in" and OVER in late.get("/sign-in").text
    clock.reset()
    with transaction():
        world.maya.set_password("another quiet river")
    assert changed.get("/sign-in/code").location == "/sign-in" and not signed_in(changed)
    with transaction():
        world.maya.deactivated_at = clock.now()
    ended.send("/sign-in/code", code=code_of(world.maya))
    assert not signed_in(ended)
    assert app.test_client().get("/sign-in/code").location == "/sign-in"


def test_S48_another_members_code_or_a_forged_pending_do_not_help(app, world):
    set_up_app(world.maya)
    set_up_app(world.theo)
    client = half_way(app, world.maya)
    assert client.send("/sign-in/code", code=code_of(world.theo)).status_code == 422 and not signed_in(client)


def test_S35_the_secret_is_shown_until_the_first_code_and_never_again(app, world):
    client = app.test_client().sign_in(world.maya)
    assert client.get("/settings/security/app").location == "/settings/security"
    assert client.send("/settings/security/app").location == "/settings/security/app"
    page = client.get("/settings/security/app").text
    row = db.session.scalars(sa.select(Totp)).one()
    secret, digits = row.secret, code_of(world.maya)
    assert secret not in row.sealed and "data:image/svg+xml," in page and secret in re.sub(r"\s", "", page.split("key-text")[1])
    assert client.get("/settings/security/app").text.count(secret[:4]) == page.count(secret[:4]), "reading it makes no other secret"
    assert "That code is not right" in client.send("/settings/security/app/confirmation", code="000000").text
    assert not Totp.of(world.maya) and "Enter the code" in client.send("/settings/security/app/confirmation", code=" ").text
    shown = client.send("/settings/security/app/confirmation", code=digits)
    codes = re.findall(r"<li>([2-9a-z-]{19})</li>", shown.text)
    assert len(codes) == 10 and secret not in shown.text
    for path in ("/settings/security", "/settings/profile"):
        text = client.get(path).text
        assert secret not in text and not any(code in text for code in codes)
    assert client.get("/settings/security/app").status_code == 303
    with pytest.raises(RuntimeError):
        _ = db.session.scalars(sa.select(Totp)).one().secret
    assert client.send("/settings/security/app").status_code == 422, "an app in use is not replaced silently"


def test_factors_are_turned_off_and_codes_made_anew_by_oneself_only(app, world):
    codes = set_up_app(world.maya)
    client = app.test_client().sign_in(world.maya)
    new = re.findall(r"<li>([2-9a-z-]{19})</li>", client.send("/settings/security/recovery-codes").text)
    assert len(new) == 10 and not set(new) & set(codes)
    with transaction():
        assert not RecoveryCode.use(world.maya, codes[1]) and RecoveryCode.use(world.maya, new[1])
    assert client.send("/settings/security/app/removal").status_code == 303
    assert Totp.of(world.maya) is None and RecoveryCode.left(world.maya) == 0
    assert client.send("/settings/security/recovery-codes").status_code == 422
    kinds = set(db.session.scalars(sa.select(Event.kind)))
    assert {"factor.added", "factor.removed", "recovery.renewed"} <= kinds
    for event in db.session.scalars(sa.select(Event).where(Event.kind.startswith("factor") | Event.kind.startswith("recovery"))):
        assert not any(code in str(event.data) for code in codes + new)


def test_an_account_that_requires_a_factor_leads_everyone_to_it_first(app, world):
    dana, maya = app.test_client().sign_in(world.dana), app.test_client().sign_in(world.maya)
    assert dana.send("/settings/single-sign-on/second-factor", wanted="1").status_code == 422, "whoever demands it has one"
    set_up_app(world.dana)
    assert dana.send("/settings/single-sign-on/second-factor", wanted="1").status_code == 303 and SignInPolicy.of(world.harbor.id).second_factor
    assert dana.get("/settings/profile").status_code == 200
    for path in ("/settings/profile", "/", f"/i/{world.front.public_id}/all"):
        assert maya.get(path).location == "/settings/security", path
    assert maya.part("/settings/profile").headers["HX-Redirect"] == "/settings/security"
    assert maya.send("/settings/profile", name="x").location == "/settings/security"
    assert "requires a second factor" in maya.get("/settings/security").text
    fresh = app.test_client()
    fresh.send("/sign-in", email=world.theo.email, password=PASSWORD)
    assert fresh.get("/settings/profile").location == "/settings/security"
    north = app.test_client().sign_in(world.nina)
    assert north.get("/settings/profile").status_code == 200, "other accounts decide for themselves"
    maya.send("/settings/security/app")
    maya.send("/settings/security/app/confirmation", code=code_of(world.maya))
    assert maya.get("/settings/profile").status_code == 200
    answer = maya.send("/settings/security/app/removal")
    assert answer.status_code == 422 and "requires a second factor" in answer.text and Totp.of(world.maya)
    with transaction():
        key, _ = Passkey.add(world.maya, credential="k", public_key=b"x", sign_count=0, name="Laptop")
    assert maya.send("/settings/security/app/removal").status_code == 303
    assert maya.send(f"/settings/security/passkeys/{key.public_id}/removal").status_code == 422, "nor the last passkey"
    assert dana.send("/settings/single-sign-on/second-factor").status_code == 303
    assert fresh.get("/settings/profile").status_code == 200


def test_a_copied_passkey_is_noticed_by_its_counter(app, world, together):
    with transaction():
        row, codes = Passkey.add(world.maya, credential="k", public_key=b"x", sign_count=5, name="  ")
        assert row.name == "Passkey" and len(codes) == 10
    passkey = row.id

    def use(count):
        with transaction():
            return db.session.get(Passkey, passkey).used(count)

    assert use(6) and not use(6) and not use(5) and use(7)
    assert sum(together(lambda _: use(9), 5, app)) == 1
    assert isinstance(world.maya, Member) and LoginSession.living(world.maya) == []
