"""ACC-7 in a real browser: passkeys are added, sign in, stand as the second step, and confirm a change (Chromium's virtual authenticator)."""

from __future__ import annotations

import sqlalchemy as sa
from playwright.sync_api import Page, expect

from inbox.extensions import db
from inbox.models import LoginSession, Member, Passkey, transaction
from tests.world import PASSWORD


def authenticator(page: Page):
    """A key like that of a phone or laptop, which checks its person."""
    cdp = page.context.new_cdp_session(page)
    cdp.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True, "automaticPresenceSimulation": True}
    made = cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return cdp, made["authenticatorId"]


def add_passkey(page: Page, name: str) -> None:
    page.get_by_label("Name of the passkey").fill(name)
    page.get_by_role("button", name="Add a passkey").click()


def sign_out(page: Page) -> None:
    page.context.clear_cookies()


def sign_in(page: Page, house, email: str) -> None:
    page.goto(house.url + "/sign-in")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


def rows(house, email: str) -> list[Passkey]:
    with house.app.app_context():
        return list(db.session.scalars(sa.select(Passkey).join(Member).where(Member.email == email).order_by(Passkey.id)))


def test_ACC_7_passkeys_from_adding_to_removing(lived_in, person):
    email = "olga@harbor.example"
    olga = person(lived_in, lived_in.cast.olga)
    page = olga.open("/settings/security")
    cdp, key = authenticator(page)
    olga.check_accessible()
    add_passkey(page, "Work laptop")
    expect(page.get_by_role("heading", name="Your passkey is added")).to_be_visible()
    expect(page.locator(".codes li")).to_have_count(10)
    recovery = page.locator(".codes li").first.inner_text()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("Work laptop", exact=True).first).to_be_visible()
    add_passkey(page, "Again")
    expect(page.get_by_text("This device has a passkey for your account already.")).to_be_visible()
    sign_out(page)
    page.goto(lived_in.url + "/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("Olga Outside").first).to_be_attached()
    assert rows(lived_in, email)[0].sign_count > 0 and rows(lived_in, email)[0].used_at
    # as the second step
    sign_out(page)
    sign_in(page, lived_in, email)
    expect(page.get_by_role("heading", name="One more step")).to_be_visible()
    olga.check_accessible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Olga Outside").first).to_be_attached()
    # as the confirmation of a change that was typed already
    with lived_in.app.app_context(), transaction():
        db.session.execute(sa.update(LoginSession).values(confirmed_at=None))
    page.goto(lived_in.url + "/settings/security")
    page.get_by_role("textbox", name="E-mail").fill("olga.new@harbor.example")
    page.get_by_role("button", name="Send the link").click()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    olga.check_accessible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_text("Open the link in the mail to olga.new@harbor.example within an hour.")).to_be_visible()
    # a key that does not check its person is no way in alone
    cdp.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": False})
    sign_out(page)
    page.goto(lived_in.url + "/sign-in")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("It was cancelled or took too long. Try again.")).to_be_visible()
    # the phone is lost: a recovery code
    sign_in(page, lived_in, email)
    page.get_by_role("link", name="Phone lost? Use a recovery code").click()
    page.get_by_label("Code").fill(recovery)
    page.get_by_role("button", name="Sign in").click()
    page.goto(lived_in.url + "/settings/security")
    page.get_by_role("button", name="Remove Work laptop").click()
    expect(page.get_by_text("Off", exact=True)).to_be_visible()
    assert rows(lived_in, email) == []


def test_S44_an_htmx_request_is_asked_in_place_of_the_page(lived_in, person):
    vera = person(lived_in, lived_in.cast.vera)
    page = vera.open("/settings/security")
    with lived_in.app.app_context(), transaction():
        db.session.execute(sa.update(LoginSession).values(confirmed_at=None))
    form = page.locator("form[action='/settings/security/password']")
    form.evaluate("f => { f.setAttribute('hx-post', f.getAttribute('action')); htmx.process(f); }")
    form.get_by_label("New password").fill("another quiet river")
    form.get_by_role("button").click()
    expect(page.get_by_role("heading", name="Confirm that it is you")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("The password is changed.")).to_be_visible()
    with lived_in.app.app_context(), transaction():
        vera_now = db.session.get(Member, lived_in.cast.vera.id)
        assert Member.authenticate(vera_now.email, "another quiet river")
        vera_now.set_password(PASSWORD)
