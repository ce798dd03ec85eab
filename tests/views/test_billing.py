"""Plan & balance, Add funds, the ledger and Add-ons as pages (ACC-2, SEAT-1, SEAT-2)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import clock
from inbox.extensions import db
from inbox.models import Account, LedgerEntry, LoginSession, Member, Payment, Standing, Subscription, Wallet, transaction
from inbox.models.money import DOLLAR

from .conftest import PASSWORD, Browser, add_member


@pytest.fixture
def dana(app: Flask, owner: Member) -> Browser:
    return Browser(app).sign_in(owner.email)


@pytest.fixture
def other(app: Flask, owner: Member) -> Iterator[Member]:
    """Nina, who owns another account with a payment of its own."""
    with transaction():
        _, nina = Account.open(name="CANARY Dental", owner_name="Nina North", email="nina@north.test", password=PASSWORD)
    return nina


def funds(owner: Member, amount: int, reference: str = "funds", kind: str = "top-up", **about: Any) -> None:
    with transaction():
        LedgerEntry.book(owner.account_id, kind, amount, reference=reference, **about)


def end_trial(owner: Member) -> None:
    with transaction():
        owner.account.trial_ends_at = clock.now() - timedelta(days=3)


def balance(owner: Member) -> int:
    db.session.expire_all()
    return Standing.of(owner.account_id).balance


def payment() -> Payment:
    db.session.expire_all()
    return db.session.scalars(sa.select(Payment).order_by(Payment.id.desc())).first()  # type: ignore[return-value]


NEW, CREATE = "/settings/billing/payments/new", "/settings/billing/payments"


def nonce(page: str) -> str:
    return re.search(r'name="nonce" value="([^"]+)"', page).group(1)  # type: ignore[union-attr]


def start(browser: Browser, amount: str = "50.00", note: str = "Transfer 17") -> Payment:
    browser.post(CREATE, {"amount": amount, "note": note, "nonce": nonce(browser.get(NEW))}, page=NEW)
    return payment()


# -- the strip over the settings -----------------------------------------------------------------------------------


def test_ACC_2_the_top_of_the_settings_shows_plan_days_balance_and_add_funds(dana: Browser, owner: Member) -> None:
    funds(owner, 12_345_600)
    for page in ("/settings/billing", "/settings/add-ons", "/settings/members", "/settings/inboxes"):
        strip = dana.get(page).split('<aside class="money-strip')[1].split("</aside>")[0]
        assert "Free trial" in strip and "59 days left" in strip and "$12.3456" in strip and f'href="{NEW}"' in strip and "paused" not in strip
    end_trial(owner)
    funds(owner, -12_345_600, "texts", "texts")
    strip = dana.get("/settings/billing").split('<aside class="money-strip')[1].split("</aside>")[0]
    assert "Standard plan" in strip and "$0.00" in strip and "Sending is paused" in strip and strip.startswith(" low")


def test_ACC_2_those_who_may_not_see_the_money_do_not(app: Flask, owner: Member) -> None:
    add_member(owner, "Sue Setup", "inbox-setup")
    sue = Browser(app).sign_in("sue@harborvet.test")
    assert "money-strip" not in sue.get("/settings/members")
    for page in ("/settings/billing", NEW, "/settings/billing/ledger.csv", "/settings/add-ons"):
        sue.get(page, 403)
    sue.post(CREATE, {"amount": "5", "note": "x", "nonce": "n"}, status=403, page="/settings/members")
    sue.post("/settings/add-ons", {"seats": "9", "seen": "3", "quote": "0", "nonce": "n"}, status=403, page="/settings/members")
    assert payment() is None and owner.account.seats_paid == 3


def test_ACC_2_the_strip_asks_once(app: Flask, dana: Browser, owner: Member) -> None:
    dana.get("/settings/billing")
    seen: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", hook := lambda *a: seen.append(a[2]))
    try:
        dana.get("/settings/inboxes")
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hook)
    assert len([s for s in seen if "wallet" in s]) == 1


# -- funds ---------------------------------------------------------------------------------------------------------


def test_ACC_2_funds_are_written_down_confirmed_and_booked(dana: Browser, owner: Member) -> None:
    row = start(dana, "$1,250.50")
    assert (row.state, row.amount, row.note, balance(owner)) == ("pending", 1_250_500_000, "Transfer 17", 0)
    page = dana.get(f"{CREATE}/{row.public_id}")
    assert "Confirm $1,250.50" in page and "Transfer 17" in page and "Not confirmed" in page
    assert "Look and confirm" in dana.get("/settings/billing")
    assert dana.post(f"{CREATE}/{row.public_id}/confirmation") == "/settings/billing"
    text = dana.get("/settings/billing")
    assert balance(owner) == 1_250_500_000 and "$1,250.50 added to the balance." in text and "+$1,250.50" in text and "Look and confirm" not in text
    assert "Confirmed" in dana.get(f"{CREATE}/{row.public_id}") and "Dana Whitfield" in text


def test_ACC_2_the_same_posts_five_times_book_once(dana: Browser, owner: Member) -> None:
    form = {"amount": "50", "note": "Transfer 17", "nonce": nonce(dana.get(NEW))}
    places = {dana.post(CREATE, form, page=NEW) for _ in range(5)}
    assert len(places) == 1 and db.session.scalar(sa.select(sa.func.count(Payment.id))) == 1
    for _ in range(5):
        dana.post(f"{CREATE}/{payment().public_id}/confirmation")
    assert balance(owner) == 50 * DOLLAR and "was confirmed before" in dana.get("/settings/billing")
    assert dana.post(f"{CREATE}/{payment().public_id}/cancellation") == "/settings/billing" and balance(owner) == 50 * DOLLAR


def test_ACC_2_a_cancelled_payment_books_nothing(dana: Browser, owner: Member) -> None:
    row = start(dana)
    dana.post(f"{CREATE}/{row.public_id}/cancellation")
    assert payment().state == "failed" and "Nothing was booked" in dana.get("/settings/billing")
    assert dana.post(f"{CREATE}/{row.public_id}/confirmation") == f"{CREATE}/{row.public_id}" and balance(owner) == 0
    assert "Dana Whitfield cancelled it." in dana.get(f"{CREATE}/{row.public_id}")


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"amount": "fifty", "note": "Transfer"}, "Enter an amount in dollars"), ({"amount": "", "note": "Transfer"}, "Enter an amount"), ({"amount": "0.50", "note": "Transfer"}, "between $1.00 and"),
        ({"amount": "100000.01", "note": "Transfer"}, "between $1.00 and"), ({"amount": "5.001", "note": "Transfer"}, "Enter an amount in dollars"), ({"amount": "5", "note": ""}, "Say how the money came"),
        ({"amount": "5", "note": "x" * 121}, "at most 120"), ({"amount": "9" * 50, "note": "Transfer"}, "shorter amount"), ({"amount": "-5", "note": "Transfer"}, "Enter an amount in dollars"),
        ({"amount": "5", "note": "Transfer", "nonce": "x" * 41}, ""), ({"amount": "5", "note": "Transfer", "nonce": ""}, "Reload the page"),
    ],
)
def test_ACC_2_what_cannot_be_booked_is_said_at_the_field_and_kept(dana: Browser, owner: Member, form: dict[str, str], words: str) -> None:
    text = dana.post(CREATE, {"nonce": "n", **form}, status=422, page=NEW)
    assert words in text and (not form["amount"] or f'value="{form["amount"]}"' in text)
    assert payment() is None


def test_ACC_1_other_accounts_payments_do_not_exist(dana: Browser, owner: Member, other: Member) -> None:
    with transaction():
        theirs = Payment.start(other.account, 5 * DOLLAR, note="CANARY", nonce="n", by=other)
        LedgerEntry.book(other.account_id, "top-up", 7 * DOLLAR, reference="x", note="CANARY")
    for id in (theirs.public_id, "x" * 14, "0", "%20"):
        assert "CANARY" not in dana.get(f"{CREATE}/{id}", 404)
        for verb in ("confirmation", "cancellation"):
            dana.post(f"{CREATE}/{id}/{verb}", status=404, page=NEW)
    assert payment().state == "pending" and "CANARY" not in dana.get("/settings/billing") + dana.get("/settings/billing/ledger.csv")
    assert start(dana).nonce != "n" and balance(owner) == 0


def test_S44_spending_asks_who_it_is_after_a_while(dana: Browser, owner: Member) -> None:
    row = start(dana)
    with transaction():
        db.session.execute(sa.update(LoginSession).values(confirmed_at=clock.now() - timedelta(hours=2)))
    for path, form in (
        (f"{CREATE}/{row.public_id}/confirmation", {}), (f"{CREATE}/{row.public_id}/cancellation", {}), (CREATE, {"amount": "7", "note": "y", "nonce": "m"}),
        ("/settings/add-ons", {"seats": "5", "seen": "3", "quote": "0", "nonce": "s"}),
    ):
        assert "password" in dana.post(path, form, status=403, page=NEW).lower()
    db.session.expire_all()
    assert payment().state == "pending" and owner.account.seats_paid == 3 and balance(owner) == 0
    dana.post(f"{CREATE}/{row.public_id}/confirmation", {"confirm_password": PASSWORD}, page=NEW)
    assert balance(owner) == 50 * DOLLAR


# -- the ledger ----------------------------------------------------------------------------------------------------


def test_ACC_2_the_ledger_pages_by_key_and_filters(dana: Browser, owner: Member) -> None:
    with transaction():
        for n in range(60):
            LedgerEntry.book(owner.account_id, "texts" if n % 2 else "top-up", -8_300 if n % 2 else DOLLAR, reference=str(n), note=f"entry {n:02}")
    first = dana.get("/settings/billing")
    assert "entry 59" in first and "entry 10" in first and "entry 09" not in first
    older = re.search(r'href="(/settings/billing\?before=\d+)"', first).group(1)  # type: ignore[union-attr]
    with transaction():
        LedgerEntry.book(owner.account_id, "texts", -1, reference="new", note="newer meanwhile")
    second = dana.get(older)
    assert "entry 09" in second and "entry 00" in second and "entry 10" not in second and "Newest" in second
    texts = dana.get("/settings/billing?kind=texts")
    assert "entry 59" in texts and "entry 58" not in texts and "−$0.0083" in texts
    fragment = dana.client.get("/settings/billing?kind=top-up", headers={"HX-Request": "true"}).text
    assert fragment.lstrip().startswith("<section") and "entry 58" in fragment and "entry 59" not in fragment


@pytest.mark.parametrize("query", ["?kind=nonsense", "?before=abc", "?before=-1", "?before=99999999999999999999", "?before=٣", "?before=0", "?kind=seats&before=1"])
def test_odd_addresses_of_the_ledger_are_harmless(dana: Browser, query: str) -> None:
    assert "Ledger" in dana.get(f"/settings/billing{query}")


def test_the_ledger_costs_the_same_for_one_and_for_fifty_entries(dana: Browser, owner: Member) -> None:
    def queries() -> int:
        seen: list[str] = []
        sa.event.listen(db.engine, "before_cursor_execute", hook := lambda *a: seen.append(a[2]))
        try:
            dana.get("/settings/billing")
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", hook)
        return len(seen)

    funds(owner, DOLLAR, by=owner)
    dana.get("/settings/billing")
    one = queries()
    with transaction():
        for n in range(49):
            LedgerEntry.book(owner.account_id, "texts", -8_300, reference=str(n), by=owner)
    assert queries() == one


def test_ACC_2_the_file_holds_every_entry_exactly_and_no_formula(dana: Browser, owner: Member) -> None:
    funds(owner, 20 * DOLLAR, by=owner, note='=HYPERLINK("x")')
    funds(owner, -8_300, "t", "texts", note="Text, 1 segment")
    response = dana.client.get("/settings/billing/ledger.csv")
    rows = list(csv.reader(io.StringIO(response.text)))
    assert response.mimetype == "text/csv" and "ledger.csv" in response.headers["Content-Disposition"]
    assert [row[1:] for row in rows[1:]] == [
        ["Texts", "Text, 1 segment", "", "-0.0083", "19.9917", "t"], ["Funds added", "'=HYPERLINK(\"x\")", "Dana Whitfield", "20.00", "20.00", "funds"]
    ]
    assert len(list(csv.reader(io.StringIO(dana.get("/settings/billing/ledger.csv?kind=texts"))))) == 2
    with transaction():
        for n in range(1_100):
            LedgerEntry.book(owner.account_id, "texts", -1, reference=f"n{n}")
    assert dana.get("/settings/billing/ledger.csv").count("\r\n") == 1_103


# -- add-ons -------------------------------------------------------------------------------------------------------

ADDONS = "/settings/add-ons"


def change(browser: Browser, seats: int, status: int = 303, **form: object) -> str:
    page = browser.get(f"{ADDONS}?seats={seats}")
    shown = dict(re.findall(r'name="(seats|seen|quote|nonce)" value="([^"]*)"', page))
    return browser.post(ADDONS, {**shown, "seats": seats, **form}, status=status, page=ADDONS)


def test_SEAT_1_seats_are_added_and_given_back_free_in_the_trial(dana: Browser, owner: Member) -> None:
    page = dana.get(ADDONS)
    assert "<b>1</b> of 3 used" in page and "2 available" in page and "Free until" in page and ">Team</a>" in page and 'aria-current="page">Add-ons</a>' in page
    preview = dana.get(f"{ADDONS}?seats=5")
    assert "2 seats: 3" in preview and "Nothing: seats are free until" in preview and "<b>$60.00</b> a month" in preview and "Add 2 seats" in preview
    change(dana, 5)
    text = dana.get(ADDONS)
    assert "2 seats added." in text and "<b>1</b> of 5 used" in text and balance(owner) == 0
    change(dana, 1)
    assert "4 seats given back." in dana.get(ADDONS) and owner.account.seats_paid == 1


def test_SEAT_1_after_the_trial_the_price_is_shown_and_booked(dana: Browser, owner: Member) -> None:
    end_trial(owner)
    funds(owner, 100 * DOLLAR)
    with transaction():
        Subscription(owner.account).renew()
    assert balance(owner) == 70 * DOLLAR
    preview = dana.get(f"{ADDONS}?seats=4")
    price = int(re.search(r'name="quote" value="(\d+)"', preview).group(1))  # type: ignore[union-attr]
    assert 10 * DOLLAR < price < 15 * DOLLAR and f"<b>${price // DOLLAR}." in preview
    change(dana, 4)
    assert balance(owner) == 70 * DOLLAR - price and "−$" in dana.get("/settings/billing?kind=seats")
    change(dana, 2)
    assert balance(owner) == 70 * DOLLAR - price and owner.account.seats_paid == 2


def test_SEAT_1_the_same_form_five_times_buys_once(dana: Browser, owner: Member) -> None:
    for _ in range(5):
        dana.post(ADDONS, {"seats": "5", "seen": "3", "quote": "0", "nonce": "same"}, page=ADDONS)
    db.session.expire_all()
    assert owner.account.seats_paid == 5 and db.session.scalar(sa.select(sa.func.count(LedgerEntry.id))) == 1


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"seats": "0"}, 422, "One seat is in use"), ({"seats": "1001"}, 422, "at most 1,000"), ({"seats": "many"}, 422, "Not a valid integer"), ({"seats": ""}, 422, "how many seats"),
        ({"seats": "-4"}, 422, "how many seats"), ({"seats": "9" * 30}, 422, "how many seats"), ({"seen": "7"}, 409, "there are 3 now"), ({"quote": "x"}, 422, "Not a valid integer"),
        ({"nonce": ""}, 422, "Reload the page"), ({"nonce": "x" * 50}, 422, "longer than"),
    ],
)
def test_SEAT_1_what_cannot_be_is_said(dana: Browser, owner: Member, form: dict[str, str], status: int, words: str) -> None:
    assert words in dana.post(ADDONS, {"seats": "5", "seen": "3", "quote": "0", "nonce": "n", **form}, status=status, page=ADDONS)
    db.session.expire_all()
    assert owner.account.seats_paid == 3


def test_SEAT_1_what_the_balance_does_not_cover_is_refused_with_the_way_on(dana: Browser, owner: Member) -> None:
    end_trial(owner)
    assert "Add funds</a> first" in dana.get(f"{ADDONS}?seats=9") and 'name="quote"' not in dana.get(f"{ADDONS}?seats=9")
    text = dana.post(ADDONS, {"seats": "9", "seen": "3", "quote": "999999999", "nonce": "n"}, status=422, page=ADDONS)
    assert "Add funds first." in text and 'value="9"' in text and balance(owner) == 0 and owner.account.seats_paid == 3
    assert db.session.scalar(sa.select(sa.func.count(Wallet.id))) == 0


@pytest.mark.parametrize("query", ["?seats=x", "?seats=-1", "?seats=99999999999", "?seats=٣", "?step=more", "?seats=3&step=fewer", "?seats=0&step=fewer", "?seats=999999"])
def test_odd_numbers_of_seats_are_harmless(dana: Browser, query: str) -> None:
    assert "Seats in total" in dana.get(f"{ADDONS}{query}")


def test_SEAT_2_the_preview_comes_as_a_fragment(dana: Browser) -> None:
    text = dana.client.get(f"{ADDONS}?seats=4", headers={"HX-Request": "true"}).text
    assert text.strip().startswith('<div class="seats-preview" id="preview"') and "Add 1 seat" in text
    assert "Add 1 seat" in dana.get(f"{ADDONS}?seats=3&step=more") and "Give back 1 seat" in dana.get(f"{ADDONS}?seats=3&step=fewer")


def test_PERM_who_sees_the_seats_but_may_not_buy_reads_why(app: Flask, owner: Member, monkeypatch: pytest.MonkeyPatch) -> None:
    from inbox.permissions import DEFAULT_ROLES, Permission

    name, held = DEFAULT_ROLES["inbox-setup"]
    monkeypatch.setitem(DEFAULT_ROLES, "inbox-setup", (name, held | {Permission.SEATS_VIEW, Permission.BILLING_VIEW, Permission.MEMBERS_VIEW}))
    add_member(owner, "Sue Setup", "inbox-setup")
    sue = Browser(app).sign_in("sue@harborvet.test")
    text = sue.get(f"{ADDONS}?seats=9")
    assert "does not allow you to buy seats and add funds" in text and 'name="quote"' not in text and "Add funds</a>" not in text
    assert "does not allow you" in sue.get("/settings/billing")
    sue.post(ADDONS, {"seats": "9", "seen": "3", "quote": "0", "nonce": "n"}, status=403, page=ADDONS)
