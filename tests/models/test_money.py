"""ACC-2 and SEAT-1 at the model: the balance is the sum of the ledger, nothing is booked twice, and seats never fall below those in use."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import DBAPIError

from inbox import clock
from inbox.channels import prices
from inbox.channels.base import Receipt, Status
from inbox.models import Account, Changed, Denied, Dispatch, LedgerEntry, NoSeatLeft, NotCovered, Payment, Refused, SendRefused, Standing, Subscription, Wallet, db, transaction
from inbox.models.event import Event
from inbox.models.money import CENT, DOLLAR, dollars, parse, plain
from inbox.models.subscription import PLANS
from inbox.payments.base import Charge, Outcome
from inbox.payments.manual import Manual
from tests.models.helpers import anew, failures, person

US = prices.SEGMENT["US"]


def balance(account):
    """The balance, which must be the sum of the entries and what the last entry says."""
    anew()
    stored = db.session.scalar(sa.select(Wallet.balance).where(Wallet.account_id == account)) or 0
    assert stored == (db.session.scalar(sa.select(sa.func.sum(LedgerEntry.amount)).where(LedgerEntry.account_id == account)) or 0)
    running = 0
    for entry in db.session.scalars(sa.select(LedgerEntry).where(LedgerEntry.account_id == account).order_by(LedgerEntry.id)):
        running += entry.amount
        assert entry.balance == running
    return stored


def book(world, amount, reference, kind="top-up", **kwargs):
    with transaction():
        return LedgerEntry.book(world.harbor.id, kind, amount, reference=reference, **kwargs)


def end_trial(world, days=0):
    with transaction():
        world.harbor.trial_ends_at = clock.now() - timedelta(days=days)


def change(world, wanted, *, nonce="n", quote=10**12, by=None, seen=None):
    with transaction():
        db.session.refresh(world.harbor)
        subscription = Subscription(world.harbor)
        return subscription.change(wanted, seen=world.harbor.seats_paid if seen is None else seen, quote=quote, nonce=nonce, by=by or world.dana)


# -- amounts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("micros", "machine", "people"),
    [
        (0, "0.00", "$0.00"), (8_300, "0.0083", "$0.0083"), (12_340_000, "12.34", "$12.34"), (-8_300, "-0.0083", "−$0.0083"), (1, "0.000001", "$0.000001"),
        (-1_250 * DOLLAR, "-1250.00", "−$1,250.00"), (100_000 * DOLLAR, "100000.00", "$100,000.00"), (500_000, "0.50", "$0.50"),
    ],
)
def test_ACC_2_amounts_are_shown_exactly(micros, machine, people):
    assert (plain(micros), dollars(micros)) == (machine, people)


@given(st.integers(-(10**15), 10**15))
def test_ACC_2_no_amount_is_rounded_on_its_way_to_the_page(micros):
    whole, _, decimals = plain(micros).lstrip("-").partition(".")
    assert int(whole) * DOLLAR + int(decimals.ljust(6, "0")) == abs(micros) and dollars(micros).replace(",", "").lstrip("−$") == plain(micros).lstrip("-")


@pytest.mark.parametrize(("typed", "micros"), [("50", 50 * DOLLAR), ("$1,250.5", 1_250_500_000), (" 0.99 ", 99 * CENT), ("$ 7", 7 * DOLLAR), ("007", 7 * DOLLAR)])
def test_what_people_type(typed, micros):
    assert parse(typed) == micros


@pytest.mark.parametrize("typed", ["", "fifty", "-5", "5.005", "1,25", "1e9", "٥٠", "5 000", "9" * 400, "=1+1", "NaN", ".5", "5."])
def test_what_is_no_amount(typed):
    with pytest.raises(Refused) as refused:
        parse(typed)
    assert refused.value.field == "amount"


# -- the ledger ----------------------------------------------------------------------------------------------------


def test_ACC_2_a_booking_changes_balance_and_ledger_together_and_once(world):
    entry = book(world, 50 * DOLLAR, "a", note="Transfer 17", by=world.dana)
    assert (entry.amount, entry.balance, entry.by_id, entry.note) == (50 * DOLLAR, 50 * DOLLAR, world.dana.id, "Transfer 17")
    assert book(world, 50 * DOLLAR, "a") is None and balance(world.harbor.id) == 50 * DOLLAR
    book(world, -8_300, "b", kind="texts")
    assert balance(world.harbor.id) == 49_991_700 and balance(world.north.id) == 0
    with transaction():
        assert LedgerEntry.book(world.north.id, "top-up", 1, reference="a") is not None, "references are the account's own"


def test_ACC_2_what_must_be_covered_never_goes_below_zero(world):
    book(world, 10 * DOLLAR, "a")
    with pytest.raises(NotCovered) as refused:
        book(world, -10 * DOLLAR - 1, "b", kind="seats", covered=True)
    assert refused.value.sentence == "That costs $10.000001 and the balance is $10.00. Add funds first."
    assert book(world, -10 * DOLLAR, "c", kind="seats", covered=True).balance == 0
    assert book(world, 0, "d", kind="seats", covered=True) is not None and book(world, -5, "e", kind="texts").balance == -5
    assert balance(world.harbor.id) == -5


def test_ACC_2_a_rolled_back_booking_leaves_nothing(world):
    with pytest.raises(ZeroDivisionError), transaction():
        LedgerEntry.book(world.harbor.id, "top-up", DOLLAR, reference="a")
        raise ZeroDivisionError
    assert balance(world.harbor.id) == 0 and not LedgerEntry.booked(world.harbor.id, "a")


@pytest.mark.parametrize("statement", ["UPDATE ledger_entry SET amount = 0", "DELETE FROM ledger_entry"])
def test_ACC_2_entries_are_final_for_the_database_and_for_the_model(world, statement):
    entry = book(world, DOLLAR, "a")
    with pytest.raises(DBAPIError, match="final"), transaction():
        db.session.execute(sa.text(statement))
    with pytest.raises(RuntimeError, match="final"), transaction():
        db.session.get_one(LedgerEntry, entry.id).note = "other"
        db.session.flush()
    with pytest.raises(RuntimeError, match="final"), transaction():
        db.session.delete(db.session.get_one(LedgerEntry, entry.id))
        db.session.flush()
    assert balance(world.harbor.id) == DOLLAR


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(-(10**13), 10**13), st.booleans()), max_size=12))
def test_ACC_2_the_balance_is_always_the_sum_of_the_ledger(world, bookings):
    start, seen = balance(world.harbor.id), {}
    mark = clock.now().isoformat()
    for key, amount, covered in bookings:
        now = start + sum(seen.values())
        try:
            entry = book(world, amount, f"{mark}{key}", covered=covered)
        except NotCovered:
            assert covered and amount < 0 and now + amount < 0 and key not in seen
            continue
        assert (entry is None) == (key in seen)
        seen.setdefault(key, amount)
    assert balance(world.harbor.id) == start + sum(seen.values())


def test_ACC_2_32_threads_book_one_top_up(world, app, together):
    harbor = world.harbor.id

    def press(_):
        with transaction():
            return LedgerEntry.book(harbor, "top-up", 20 * DOLLAR, reference="the one") is not None

    results = together(press, 32, app)
    assert not failures(results) and results.count(True) == 1, results
    assert balance(harbor) == 20 * DOLLAR


def test_ACC_2_many_at_once_keep_the_sum_and_never_overdraw(world, app, together):
    harbor = world.harbor.id
    book(world, 10 * DOLLAR, "start")

    def press(i):
        with transaction():
            LedgerEntry.book(harbor, "seats", -DOLLAR, reference=f"{i}", covered=True)

    results = together(press, 16, app)
    assert len(failures(results)) == 6 and all(isinstance(e, NotCovered) for e in failures(results)), results
    assert balance(harbor) == 0


# -- payments ------------------------------------------------------------------------------------------------------


def pay(world, amount=50 * DOLLAR, nonce="n1", note="Transfer 17"):
    with transaction():
        return Payment.start(world.harbor, amount, note=note, nonce=nonce, by=world.dana)


def settle(payment, world, outcome=None):
    with transaction():
        return payment.settle(outcome or payment.adapter.confirm(payment.charge), by=world.dana)


def test_ACC_2_a_payment_is_pending_until_confirmed_and_then_booked_once(world):
    payment = pay(world)
    assert (payment.state, balance(world.harbor.id)) == ("pending", 0) and Payment.pending(world.harbor.id) == [payment]
    assert pay(world).id == payment.id, "the same form, posted again"
    assert settle(payment, world) and not settle(payment, world) and not settle(payment, world, Outcome("failed", "x"))
    assert payment.state == "confirmed" and payment.settled_at and balance(world.harbor.id) == 50 * DOLLAR and not Payment.pending(world.harbor.id)
    entry = db.session.scalars(sa.select(LedgerEntry)).one()
    assert (entry.kind, entry.payment_id, entry.note, entry.by_id) == ("top-up", payment.id, "Transfer 17", world.dana.id)
    kinds = db.session.scalars(sa.select(Event.kind).where(Event.kind.like("payment.%")).order_by(Event.id)).all()
    assert kinds == ["payment.started", "payment.confirmed"]


def test_ACC_2_a_payment_that_failed_books_nothing(world):
    payment = pay(world)
    with transaction():
        assert payment.cancel(by=world.dana) and not payment.cancel(by=world.dana)
    assert (payment.state, payment.problem) == ("failed", "Dana Whitfield cancelled it.") and not settle(payment, world)
    assert balance(world.harbor.id) == 0 and not settle(pay(world, nonce="n2"), world, Outcome("pending", "x"))


@pytest.mark.parametrize(("amount", "note", "nonce"), [(0, "x", "n"), (-DOLLAR, "x", "n"), (99 * CENT, "x", "n"), (100_001 * DOLLAR, "x", "n"), (DOLLAR, " ", "n"), (DOLLAR, "x", "\x00")])
def test_odd_payments_are_refused(world, amount, note, nonce):
    with pytest.raises(Refused):
        pay(world, amount, nonce, note)
    assert db.session.scalar(sa.select(sa.func.count(Payment.id))) == 0


def test_PERM_only_who_may_spend_can_pay(world):
    payment = pay(world)
    for attempt in (lambda: Payment.start(world.harbor, DOLLAR, note="x", nonce="y", by=world.maya), lambda: payment.cancel(by=world.maya)):
        with pytest.raises(Denied), transaction():
            attempt()


def test_the_manual_provider_takes_no_word_without_proof():
    assert Manual().begin(Charge("r", 1, "USD", "x")).state == "pending"
    assert Manual().confirm(Charge("r", 1, "USD", " ")).state == "failed" and Manual().confirm(Charge("r", 1, "USD", "x")) == Outcome("confirmed", "r")


def test_ACC_2_32_threads_post_and_confirm_one_payment(world, app, together):
    harbor, dana = world.harbor.id, world.dana.id

    def press(_):
        with transaction():
            payment = Payment.start(db.session.get(Account, harbor), 30 * DOLLAR, note="x", nonce="same", by=person(dana))
        outcome = payment.adapter.confirm(payment.charge)
        with transaction():
            return payment.settle(outcome, by=person(dana))

    results = together(press, 32, app)
    assert not failures(results) and results.count(True) == 1, results
    assert balance(harbor) == 30 * DOLLAR and db.session.scalar(sa.select(sa.func.count(Payment.id))) == 1


# -- texts ---------------------------------------------------------------------------------------------------------


def accept(message, sid="SM1", segments=1, price=None, status="queued"):
    with transaction():
        dispatch = Dispatch.of(message)
        claim = dispatch.claim_it()
    with transaction():
        dispatch.accepted(claim, sid, status, segments, price)


def receipt(message, status):
    with transaction():
        db.session.refresh(message, with_for_update=True)
        message.take_receipt(Receipt("d", message.provider_id or "SM1", message.ref, Status(status), None, None, None))


def test_ACC_2_each_segment_costs_what_the_carrier_charges(world):
    accept(world.reply(world.conversation(), world.maya, "x" * 400), segments=3)
    assert balance(world.harbor.id) == -3 * US
    entry = db.session.scalars(sa.select(LedgerEntry)).one()
    assert (entry.kind, entry.note, entry.by_id) == ("texts", "Text, 3 segments", None) and entry.message_id


@pytest.mark.parametrize(
    ("to", "segments", "files", "micros"),
    [("+14155550134", 1, 0, 8_300), ("+14155550134", 3, 0, 24_900), ("+16135550134", 2, 0, 16_600), ("+14155550134", 4, 2, 22_000), ("+442071838750", 2, 1, 200_000), ("", 0, 0, 100_000)],
)
def test_ACC_2_the_price_is_by_country_segments_and_files(to, segments, files, micros):
    assert prices.price(to, segments, files) == micros


@pytest.mark.parametrize(
    ("answer", "micros"),
    [
        ({"price": "-0.00830", "price_unit": "USD"}, 8_300), ({"price": "-0.0224", "price_unit": "usd"}, 22_400), ({"price": None, "price_unit": "USD"}, None), ({}, None),
        ({"price": "-0.01", "price_unit": "EUR"}, None), ({"price": "NaN"}, None), ({"price": "Infinity"}, None), ({"price": "x"}, None), ({"price": "1e99"}, None),
    ],
)
def test_ACC_2_a_price_the_carrier_names_is_read_exactly(answer, micros):
    assert prices.told(answer) == micros


def test_ACC_2_the_carriers_own_price_wins(world):
    accept(world.reply(world.conversation(), world.maya), price=11_800)
    assert balance(world.harbor.id) == -11_800


def test_ACC_2_a_text_refused_before_acceptance_costs_nothing(world):
    message = world.reply(world.conversation(), world.maya)
    with transaction():
        dispatch = Dispatch.of(message)
        claim = dispatch.claim_it()
    with transaction():
        dispatch.refused(claim, "No such number.", "21211")
    assert balance(world.harbor.id) == 0


def test_ACC_2_a_text_that_never_left_the_carrier_is_given_back_and_charged_again_if_it_arrives(world):
    message = world.reply(world.conversation(), world.maya)
    accept(message)
    receipt(message, "sent")
    receipt(message, "failed")
    receipt(message, "failed")
    assert balance(world.harbor.id) == 0
    receipt(message, "delivered")
    receipt(message, "delivered")
    assert balance(world.harbor.id) == -US


def test_ACC_2_a_text_of_unknown_fate_is_charged_when_it_turns_out_to_be_sent(world):
    message = world.reply(world.conversation(), world.maya)
    with transaction():
        dispatch = Dispatch.of(message)
        claim = dispatch.claim_it()
    with transaction():
        dispatch.unknown(claim, "Nobody knows.")
    assert balance(world.harbor.id) == 0
    receipt(message, "delivered")
    receipt(message, "delivered")
    assert balance(world.harbor.id) == -US


def test_ACC_2_a_text_tried_again_is_charged_for_each_time_it_left(world):
    message = world.reply(world.conversation(), world.maya)
    accept(message)
    receipt(message, "undelivered")
    with transaction():
        message.try_again(by=world.maya)
    accept(message, "SM2")
    assert balance(world.harbor.id) == -2 * US


def test_ACC_2_many_workers_with_one_answer_charge_once(world, app, together):
    message = world.reply(world.conversation(), world.maya)
    with transaction():
        dispatch = Dispatch.of(message)
        claim = dispatch.claim_it()
    id = dispatch.id

    def answer(_):
        with transaction():
            db.session.get(Dispatch, id).accepted(claim, "SM1", "queued", 2)

    assert not failures(together(answer, 8, app))
    assert balance(world.harbor.id) == -2 * US


def test_ACC_2_texts_of_many_conversations_at_once_keep_the_sum(world, app, together):
    messages = [world.reply(world.conversation(sender=f"+141555502{n:02}"), world.maya) for n in range(12)]
    ids = [Dispatch.of(m).id for m in messages]

    def send(i):
        with transaction():
            dispatch = db.session.get(Dispatch, ids[i])
            claim = dispatch.claim_it()
        with transaction():
            dispatch.accepted(claim, f"SM{i}", "queued", 1)

    assert not failures(together(send, 12, app))
    assert balance(world.harbor.id) == -12 * US


# -- the gate ------------------------------------------------------------------------------------------------------


def reply(world, c, by=None):
    with transaction():
        held = c.acquire(by=by or world.maya)
        return c.reply("Hi", by=by or world.maya, fence=held.fence, seen=c.last_inbound_id)


def test_ACC_2_sending_is_refused_when_trial_and_money_are_over_and_receiving_goes_on(world):
    c = world.conversation()
    assert {"rule": "balance", "passed": True, "exempt": False} in reply(world, c).verdict
    end_trial(world)
    for amount, reference in ((None, ""), (5 * DOLLAR, "a")):
        if amount:
            book(world, amount, reference)
            reply(world, c)
            book(world, -amount, "b", kind="texts")
        with pytest.raises(SendRefused) as refused:
            reply(world, c)
        assert refused.value.sentence == "Your trial is over and the balance is empty. Ada or Dana can add funds."
    with pytest.raises(SendRefused), transaction():
        type(c).compose(world.front, "+14155550177", "Hello", by=world.maya)
    assert world.text("Still there?").conversation.id == c.id
    book(world, 1, "c")
    reply(world, c)


def test_ACC_2_a_queued_text_is_stopped_when_the_money_ran_out_meanwhile(world, bell):
    message = world.reply(world.conversation(), world.maya)
    end_trial(world)
    bell.work()
    anew()
    assert message.state == "failed" and "balance is empty" in message.error_text and balance(world.harbor.id) == 0


def test_ACC_2_the_gate_asks_for_the_money_in_one_read(world):
    seen = []
    sa.event.listen(db.engine, "before_cursor_execute", hook := lambda *a: seen.append(a[2]))
    try:
        assert Standing.of(world.harbor.id).may_send
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", hook)
    assert len([s for s in seen if s.lstrip().upper().startswith("SELECT")]) == 1


# -- seats ---------------------------------------------------------------------------------------------------------


def test_SEAT_1_an_account_starts_with_the_seat_of_its_plan_and_pays_nothing(world):
    subscription = Subscription(world.north)
    assert (subscription.plan, world.north.seats_paid, subscription.billable(), subscription.monthly()) == (PLANS["trial"], 1, 0, 0)


def test_SEAT_1_in_the_trial_seats_are_free(world):
    subscription = Subscription(world.harbor)
    assert subscription.cost(12) == 0 and subscription.next_booking == world.harbor.trial_ends_at
    assert change(world, 12, quote=0)
    assert world.harbor.seats_paid == 12 and balance(world.harbor.id) == 0 and subscription.monthly() == 11 * 15 * DOLLAR
    assert db.session.scalars(sa.select(LedgerEntry.note)).all() == ["4 seats added, free in the trial"]
    assert db.session.scalars(sa.select(Event.data).where(Event.kind == "seats.changed")).one() == {"before": 8, "after": 12, "cost": 0}


def test_SEAT_1_after_the_trial_seats_are_paid_for_the_rest_of_the_month(world):
    with transaction():
        world.harbor.seats_paid = 8
    end_trial(world)
    book(world, 500 * DOLLAR, "a")
    with transaction():
        Subscription(world.harbor).renew()
    assert balance(world.harbor.id) == (500 - 7 * 15) * DOLLAR
    start, end = Subscription(world.harbor).month()
    clock.shift((end - start).total_seconds() / 2)
    cost = Subscription(world.harbor).cost(10)
    assert 15 * DOLLAR - cost in (0, CENT) and cost % CENT == 0
    change(world, 10)
    left = balance(world.harbor.id)
    assert (500 - 7 * 15) * DOLLAR - left in (15 * DOLLAR, 15 * DOLLAR - CENT) and world.harbor.seats_paid == 10
    change(world, 6, nonce="m", quote=0)
    assert balance(world.harbor.id) == left and world.harbor.seats_paid == 6, "nothing is refunded"


def test_SEAT_1_the_first_paid_seat_is_not_booked_again_by_the_month(world):
    with transaction():
        world.north.trial_ends_at = clock.now() - timedelta(days=5)
        LedgerEntry.book(world.north.id, "top-up", 100 * DOLLAR, reference="a")
    with transaction():
        Subscription(world.north).change(2, seen=1, quote=15 * DOLLAR, nonce="n", by=world.nina)
    paid = 100 * DOLLAR - balance(world.north.id)
    assert 0 < paid < 15 * DOLLAR and world.north.id not in Subscription.due()
    with transaction():
        assert Subscription(world.north).renew() is None
    clock.shift(31 * 86400)
    assert world.north.id in Subscription.due()
    with transaction():
        assert Subscription(world.north).renew().amount == -15 * DOLLAR
    assert world.north.id not in Subscription.due()


def test_SEAT_1_what_the_balance_does_not_cover_is_not_bought(world):
    end_trial(world)
    with transaction():
        world.harbor.seats_paid = world.harbor.seats_used + 1
        LedgerEntry.book(world.harbor.id, "top-up", 200 * DOLLAR, reference="a")
        Subscription(world.harbor).renew()
    before = balance(world.harbor.id)
    with pytest.raises(NotCovered):
        change(world, 500)
    assert balance(world.harbor.id) == before and world.harbor.seats_paid == world.harbor.seats_used + 1 and not LedgerEntry.booked(world.harbor.id, "change:n")


@pytest.mark.parametrize(
    ("wanted", "kwargs", "error", "words"),
    [
        (5, {}, Refused, "6 seats are in use"), (0, {}, Refused, "6 seats are in use"), (-3, {}, Refused, "6 seats are in use"), (1_001, {}, Refused, "at most 1,000 seats"),
        (9, {"seen": 7}, Changed, "there are 8 now"), (9, {"nonce": ""}, Refused, "Reload the page"), (9, {"nonce": "\x00"}, Refused, "Reload the page"),
    ],
)
def test_SEAT_1_seats_that_cannot_be(world, wanted, kwargs, error, words):
    with pytest.raises(error) as refused:
        change(world, wanted, **kwargs)
    assert words in refused.value.sentence and world.harbor.seats_paid == 8 and balance(world.harbor.id) == 0


def test_SEAT_1_a_price_that_rose_is_shown_before_it_is_booked(world):
    end_trial(world)
    book(world, 900 * DOLLAR, "a")
    with pytest.raises(Changed) as changed:
        change(world, 10, quote=0)
    assert "Nothing was booked" in changed.value.sentence and balance(world.harbor.id) == 900 * DOLLAR
    with pytest.raises(Denied):
        change(world, 10, by=world.maya)


def test_SEAT_1_the_plans_free_seat_stays(world):
    with transaction():
        world.north.seats_used = 0
        world.nina.seated = False
    with pytest.raises(Refused, match="nothing to give back"), transaction():
        Subscription(world.north).change(0, seen=1, quote=0, nonce="n", by=world.nina)


def test_SEAT_1_one_form_posted_32_times_buys_once(world, app, together):
    harbor, dana = world.harbor.id, world.dana.id

    def press(_):
        with transaction():
            return Subscription(db.session.get(Account, harbor)).change(10, seen=8, quote=0, nonce="same", by=person(dana))

    results = together(press, 32, app)
    assert not failures(results) and results.count(True) == 1, results
    anew()
    assert world.harbor.seats_paid == 10


def test_SEAT_2_buying_giving_back_and_seating_at_once_break_nothing(world, app, together):
    end_trial(world)
    book(world, 2_000 * DOLLAR, "start")
    harbor, dana, people = world.harbor.id, world.dana.id, [world.maya.id, world.theo.id, world.sven.id, world.olga.id]

    def press(i):
        rng = random.Random(i)
        for n in range(6):
            try:
                with transaction():
                    account, by = db.session.get(Account, harbor), person(dana)
                    what = rng.choice(("buy", "back", "seat", "unseat", "text"))
                    if what == "seat":
                        account.seat(person(rng.choice(people)), by=by)
                    elif what == "unseat":
                        account.unseat(person(rng.choice(people)), by=by)
                    elif what == "text":
                        LedgerEntry.book(harbor, "texts", -US, reference=f"t{i}.{n}")
                    else:
                        step = 1 if what == "buy" else -1
                        Subscription(account).change(account.seats_paid + step, seen=account.seats_paid, quote=10**12, nonce=f"{i}.{n}", by=by)
            except (NoSeatLeft, Refused):
                pass

    results = together(press, 8, app)
    assert not failures(results), results
    balance(harbor)
    seated = db.session.scalar(sa.text("SELECT count(*) FROM member WHERE account_id = :a AND seated").bindparams(a=harbor))
    assert world.harbor.seats_used == seated <= world.harbor.seats_paid


def test_SEAT_1_months_are_counted_from_the_end_of_the_trial(world):
    from datetime import UTC, datetime

    with transaction():
        world.north.trial_ends_at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    now = clock.now()
    start, end = Subscription(world.north).month()
    assert start <= now < end and 27 < (end - start).days < 32
    from inbox.models.subscription import _later

    assert [_later(world.north.trial_ends_at, n).date().isoformat() for n in (0, 1, 2, 11, 12)] == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-12-31", "2027-01-31"]
