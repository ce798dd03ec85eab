"""SEAT-1: each month's seats are booked once, whoever rings and how often; what is not covered pauses sending and is told to who can help."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Account, LedgerEntry, SendRefused, Standing, db, transaction
from inbox.models.event import Event
from inbox.models.money import DOLLAR
from jobs.renew_seats import renew_seats, sweep_seats
from jobs.schedule import tasks
from jobs.send_mail import _emails
from tests.models.helpers import anew, failures

MONTH = 7 * 15 * DOLLAR  # Harbor has eight seats, one is free


@pytest.fixture
def over(world):
    """Harbor, whose trial ended an hour ago."""
    with transaction():
        world.harbor.trial_ends_at = clock.now() - timedelta(hours=1)
    return world


def booked():
    db.session.rollback()
    return db.session.scalars(sa.select(LedgerEntry.amount).where(LedgerEntry.kind == "seats").order_by(LedgerEntry.id)).all()


def funds(world, amount):
    with transaction():
        LedgerEntry.book(world.harbor.id, "top-up", amount, reference="funds")


def test_the_scheduler_looks_for_months_that_began():
    assert sweep_seats in [task.run for task in tasks()]


def test_SEAT_1_nothing_is_booked_in_the_trial_nor_for_free_seats(world, bell):
    sweep_seats()
    renew_seats(world.harbor.id)
    renew_seats(world.north.id)
    renew_seats(10**6)
    assert bell.rung == [] and booked() == []


def test_SEAT_1_each_month_is_booked_once(over, bell):
    funds(over, 1_000 * DOLLAR)
    for _ in range(3):
        sweep_seats()
        bell.work()
        renew_seats(over.harbor.id)
    assert booked() == [-MONTH]
    clock.shift(32 * 86400)
    for _ in range(2):
        sweep_seats()
        bell.work()
    assert booked() == [-MONTH, -MONTH] and Standing.of(over.harbor.id).balance == 1_000 * DOLLAR - 2 * MONTH
    assert len(db.session.scalars(sa.select(Event).where(Event.kind == "seats.renewed")).all()) == 2
    assert not any(name == "send_mail" for name, _ in bell.rung)


def test_SEAT_1_jobs_that_meet_book_once(over, app, together):
    harbor = over.harbor.id
    assert not failures(together(lambda _: renew_seats(harbor), 8, app))
    assert booked() == [-MONTH]


def test_SEAT_1_months_nobody_looked_at_are_not_made_up_for(over, bell):
    renew_seats(over.harbor.id)
    clock.shift(100 * 86400)
    sweep_seats()
    bell.work()
    sweep_seats()
    assert booked() == [-MONTH, -MONTH] and not bell.rung


def test_ACC_2_an_uncovered_month_keeps_the_seats_pauses_sending_and_is_told_to_who_can_add_funds(over, bell, app):
    funds(over, 100 * DOLLAR)
    c = over.conversation()
    bell.rung.clear()
    renew_seats(over.harbor.id)
    entry = db.session.scalars(sa.select(LedgerEntry).where(LedgerEntry.kind == "seats")).one()
    assert entry.balance == 100 * DOLLAR - MONTH and ("send_mail", ("balance", entry.id)) in bell.rung
    anew()
    assert (over.harbor.seats_paid, over.harbor.seats_used) == (8, 6) and over.maya.seated
    with pytest.raises(SendRefused, match="balance is empty"), transaction():
        held = c.acquire(by=over.maya)
        c.reply("Hi", by=over.maya, fence=held.fence, seen=c.last_inbound_id)
    with app.test_request_context():
        mails = _emails("balance", entry.id)
    assert sorted(mail.recipients[0] for mail in mails) == ["ada@harbor.example", "dana@harbor.example"]
    assert "7 seats until" in mails[0].body and "$105.00" in mails[0].body and "−$5.00" in mails[0].body and "/settings/billing/payments/new" in mails[0].body
    assert "Harbor Vet" in mails[0].subject and "−$5.00" in mails[0].html
    with app.test_request_context():
        assert _emails("balance", 10**6) == []


def test_SEAT_1_one_broken_account_does_not_stop_the_others(over, bell, monkeypatch):
    with transaction():
        over.north.trial_ends_at = clock.now() - timedelta(hours=1)
        over.north.seats_paid = 3
    sweep_seats()
    assert sorted(args[0] for name, args in bell.rung if name == "renew_seats") == sorted([over.harbor.id, over.north.id])
    assert db.session.get(Account, over.north.id).seats_paid == 3
