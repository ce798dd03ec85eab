"""MSG-1: the carriers' cap of a day is never exceeded, whoever sends at the same moment."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from inbox import clock
from inbox.models import Dispatch, Registration, UsageDay, db, transaction
from inbox.models.gate import Path, judge
from inbox.models.usage import nearly_full, next_day, today
from tests.models.helpers import failures


def capped(world, cap):
    with transaction():
        registration = Registration.of_team(world.team.id)
        registration.limits = {"daily_cap": cap}
        world.front.quiet = "off"
    return registration


def test_MSG_1_32_threads_never_go_over_the_cap(app, world, together):
    registration_id = capped(world, 50).id
    db.session.commit()

    def take(number):
        taken = 0
        for _ in range(5):
            with transaction():
                taken += 2 if UsageDay.take(registration_id, 2, 50) else 0
        return taken

    results = together(take, 32, app)
    assert not failures(results) and sum(results) == 50 == UsageDay.used(registration_id)
    with transaction():
        assert not UsageDay.take(registration_id, 1, 50)
        assert UsageDay.take(registration_id, 1, 51), "a greater cap is a greater cap"


def test_MSG_1_a_text_larger_than_the_cap_takes_nothing(world):
    registration = capped(world, 3)
    with transaction():
        assert not UsageDay.take(registration.id, 4, 3)
    assert UsageDay.used(registration.id) == 0


@pytest.mark.one_database
def test_MSG_1_the_carriers_day_begins_at_midnight_pacific_whatever_the_clocks_do(app):
    for at, day, until in [
        (datetime(2026, 11, 22, 7, 59, tzinfo=UTC), date(2026, 11, 21), datetime(2026, 11, 22, 8, tzinfo=UTC)),
        (datetime(2026, 11, 22, 8, 0, tzinfo=UTC), date(2026, 11, 22), datetime(2026, 11, 23, 8, tzinfo=UTC)),
        (datetime(2026, 3, 8, 9, 0, tzinfo=UTC), date(2026, 3, 8), datetime(2026, 3, 9, 7, tzinfo=UTC)),  # 23 hours
        (datetime(2026, 11, 1, 7, 0, tzinfo=UTC), date(2026, 11, 1), datetime(2026, 11, 2, 8, tzinfo=UTC)),  # 25 hours
    ]:
        assert (today(at), next_day(at)) == (day, until)


def test_MSG_1_over_the_cap_everything_waits_for_the_next_day(world):
    registration = capped(world, 5)
    c = world.conversation()
    assert judge(c, "Hi").until is None
    with transaction():
        UsageDay.take(registration.id, 5, 5)
    for path in Path:
        judgement = judge(c, "Hi", path=path)
        assert judgement.until == next_day() and judgement.refusal is None, path
    sentence = next(a.sentence for a in judgement.answers if a.rule == "cap")
    assert sentence == "Today’s limit of 5 segments is used up. It goes out after midnight Pacific time."
    held = world.reply(c, world.maya)
    assert Dispatch.of(held).held_until == next_day() and held.hold["rule"] == "cap"
    clock.shift((next_day() - clock.now()).total_seconds() + 1)
    assert judge(c, "Hi").until is None, "a new day"


def test_MSG_1_without_a_cap_nothing_is_counted_or_asked(world):
    assert judge(world.conversation(), "Hi").until is None
    registration = Registration.of_team(world.team.id)
    assert nearly_full(registration) is None and UsageDay.used(registration.id) == 0


def test_MSG_1_four_fifths_of_the_cap_are_told(world):
    registration = capped(world, 100)
    with transaction():
        UsageDay.take(registration.id, 79, 100)
    assert nearly_full(registration) is None
    with transaction():
        UsageDay.take(registration.id, 1, 100)
    assert nearly_full(registration) == (80, 100)
    with transaction():
        UsageDay.fill(registration.id, 100)
        UsageDay.fill(registration.id, 90)
    assert UsageDay.used(registration.id) == 100, "the carrier's word only ever raises it"
