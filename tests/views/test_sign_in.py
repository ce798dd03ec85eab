"""First run, signing in and out."""

from __future__ import annotations

import json
import threading

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock
from inbox.extensions import db
from inbox.models import Account, Attempt, Carrier, LoginSession, Member, transaction
from inbox.views import sessions
from inbox.views.sessions import safe_path

from .conftest import PASSWORD, Browser

FIRST = {
    "account_name": "Harbor Vet Clinic", "country": "US", "time_zone": "America/Los_Angeles", "name": "Dana Whitfield", "email": "Dana@HarborVet.test",
    "password": PASSWORD,
}


def test_ACC_1_first_run_makes_the_account_its_owner_and_a_seat_and_signs_in(browser: Browser) -> None:
    assert browser.get("/", 303).endswith("/welcome")
    assert browser.post("/welcome", FIRST, page="/welcome").endswith("/get-started")
    account = db.session.scalars(sa.select(Account)).one()
    owner = db.session.scalars(sa.select(Member)).one()
    assert (account.name, account.seats_paid, account.seats_used, account.time_zone) == ("Harbor Vet Clinic", 1, 1, "America/Los_Angeles")
    assert (owner.email, owner.seated, owner.roles) == ("dana@harborvet.test", True, ["owner"])
    assert Carrier.of(account.id).account_sid
    assert "Welcome, Dana" in browser.get("/get-started")


def test_ACC_1_first_run_is_over_once_an_account_exists(browser: Browser, owner: Member) -> None:
    assert browser.get("/welcome", 303).endswith("/sign-in")
    assert browser.post("/welcome", FIRST, page="/sign-in").endswith("/sign-in")
    assert "Someone finished the setup a moment ago" in browser.get("/sign-in")
    assert db.session.scalar(sa.select(sa.func.count(Account.id))) == 1


def test_ACC_1_of_two_first_runs_at_once_one_wins(app: Flask) -> None:
    browsers = [Browser(app), Browser(app)]
    pages = [browser.get("/welcome") for browser in browsers]
    tokens = [page.split('name="csrf_token" value="')[1].split('"')[0] for page in pages]
    answers: list[str] = []
    gate = threading.Barrier(2)

    def run(number: int) -> None:
        gate.wait()
        with app.app_context():
            send(number)

    def send(number: int) -> None:
        form = {**FIRST, "email": f"owner{number}@harborvet.test", "csrf_token": tokens[number]}
        answers.append(browsers[number].client.post("/welcome", data=form).headers["Location"])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == ["/get-started", "/sign-in"]
    assert db.session.scalar(sa.select(sa.func.count(Account.id))) == 1


def test_first_run_keeps_what_was_typed_and_names_each_mistake(browser: Browser) -> None:
    text = browser.post("/welcome", {**FIRST, "email": "dana", "name": " "}, status=422, page="/welcome")
    assert "Enter an e-mail address, like ana@example.com." in text and "Enter your name" in text and 'value="Harbor Vet Clinic"' in text
    text = browser.post("/welcome", {**FIRST, "password": "password123"}, status=422, page="/welcome")
    assert "among the first that attackers try" in text
    assert not Account.any()


def test_further_accounts_only_when_the_operator_allows_them(app: Flask, browser: Browser, owner: Member) -> None:
    browser.get("/signup", 404)
    app.config["SIGNUP_OPEN"] = True
    assert "60-day trial" in browser.get("/signup")
    browser.post("/signup", {**FIRST, "email": "other@clinic.test", "account_name": "Other"}, page="/signup")
    assert db.session.scalar(sa.select(sa.func.count(Account.id))) == 2


def test_sign_in_says_the_same_for_unknown_and_wrong(browser: Browser, owner: Member) -> None:
    wrong = browser.post("/sign-in", {"email": owner.email, "password": "wrong wrong wrong"}, status=422)
    unknown = browser.post("/sign-in", {"email": "nobody@harborvet.test", "password": "wrong wrong wrong"}, status=422)
    assert sessions.WRONG in wrong and sessions.WRONG in unknown
    assert "Enter your e-mail address and your password." in browser.post("/sign-in", {"email": "", "password": ""}, status=422)


def test_sign_in_and_out_with_a_session_that_ends_on_the_server(app: Flask, owner: Member) -> None:
    browser = Browser(app).sign_in("DANA@harborvet.test ")
    browser.get("/get-started")
    cookie = browser.client.get_cookie("session")
    response = browser.client.post("/sign-out", data={"csrf_token": _token(browser)})
    assert response.status_code == 303 and response.headers["Clear-Site-Data"] == '"cache", "storage"'
    thief = app.test_client()
    assert cookie is not None
    thief.set_cookie("session", cookie.value)
    assert thief.get("/get-started").status_code == 303
    assert browser.client.get("/sign-out").status_code == 405


def _token(browser: Browser) -> str:
    return browser.get("/get-started").split('name="csrf_token" value="')[1].split('"')[0]


def test_sign_in_changes_the_session_and_ends_the_one_before(app: Flask, owner: Member) -> None:
    browser = Browser(app)
    with browser.client.session_transaction() as before:
        before["token"] = "planted"
        before["other"] = "planted"
    browser.sign_in(owner.email)
    with browser.client.session_transaction() as after:
        assert after["token"] != "planted" and "other" not in after
        first = after["token"]
    with app.test_request_context():
        assert LoginSession.find(first)


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/%09/evil.example", "https://evil.example", "javascript:alert(1)", "///evil.example",
     "/%0d%0aLocation:evil", "/%5cevil.example", " //evil", "/\n/evil", "http:/evil", "evil", "/sign-out", "", "/\u0001//evil", "/@evil\u2025"],
)
def test_S50_next_is_only_ever_a_path_of_ours(target: str, app: Flask, owner: Member) -> None:
    assert safe_path(target) is None
    browser = Browser(app)
    assert browser.post("/sign-in", {"email": owner.email, "password": PASSWORD, "next": target}) == "/"


def test_sign_in_goes_back_to_where_the_person_wanted(app: Flask, owner: Member) -> None:
    browser = Browser(app)
    where = browser.get("/settings/profile?x=1", 303)
    assert where == "/sign-in?next=/settings/profile?x%3D1"
    assert 'value="/settings/profile?x=1"' in browser.get(where)
    assert browser.post("/sign-in", {"email": owner.email, "password": PASSWORD, "next": "/settings/profile?x=1"}) == "/settings/profile?x=1"


def test_guessing_slows_down_strangers_but_not_the_person(app: Flask, owner: Member) -> None:
    Browser(app).sign_in(owner.email)
    stranger = Browser(app)
    stranger.client.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    for _ in range(5):
        stranger.post("/sign-in", {"email": owner.email, "password": "wrong wrong wrong"}, status=422)
    text = stranger.post("/sign-in", {"email": owner.email.upper(), "password": PASSWORD}, status=429)
    assert "Too many tries for this address. Wait 2 seconds" in text
    Browser(app).sign_in(owner.email)


def test_waits_grow_and_stay_short(app: Flask) -> None:
    key, waits = ("sign-in", "dana@harborvet.test", ""), []
    for _ in range(12):
        clock.shift(60)
        with transaction():
            assert Attempt.slowly(*key)
        waits.append(Attempt.wait(*key))
    clock.shift(28)
    with transaction():
        assert not Attempt.slowly(*key), "a try that comes early does not count"
    clock.shift(2)
    assert Attempt.wait(*key) == 0
    clock.reset()
    assert waits == [0, 0, 0, 0, 2, 4, 8, 16, 30, 30, 30, 30]


def test_demo_lists_its_cast_and_fills_the_form(app: Flask, owner: Member) -> None:
    cast = [{"email": owner.email, "password": PASSWORD, "name": "Dana <b>", "role": "Owner", "other_account": False}]
    app.config["DEMO_FILE"].write_text(json.dumps(cast))
    text = Browser(app).get("/sign-in?as=0")
    assert f'value="{PASSWORD}"' in text and "Dana &lt;b&gt;" in text
    for junk in ("9", "-1", "x", "²", "99999999999999999999"):
        assert f'value="{PASSWORD}"' not in Browser(app).get(f"/sign-in?as={junk}")
