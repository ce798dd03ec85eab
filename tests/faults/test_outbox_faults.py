"""MSG-5 with real processes: a short version of `python -m tests.faults outbox` for every day."""

from __future__ import annotations

import pytest

from tests.faults.outbox import HICCUPS, Report, Run
from tests.run import Missing, postgres_programs

pytestmark = pytest.mark.slow


def played(database: str, messages: int, plan: list[str], seed: int) -> Report:
    if database == "postgresql":
        try:
            postgres_programs(None)
        except Missing as missing:
            pytest.skip(str(missing))
    return Run(database, messages=messages, kills=len(plan), seed=seed, faults=HICCUPS, plan=plan).go()


def test_MSG_5_kill_9_anywhere_loses_nothing_and_doubles_nothing(database: str) -> None:
    report = played(database, 60, ["worker-1", "database", "web", "scheduler", "wipe"], seed=5)
    assert report.passed, report
    assert (report.accepted, report.kills, report.db_kills, report.redis_wipes) == (60, 5, 1, 1)


@pytest.mark.one_database
def test_MSG_5_redis_wiped_mid_flight_loses_nothing(database: str) -> None:
    report = played(database, 40, ["wipe", "wipe", "wipe"], seed=6)
    assert report.passed and report.redis_wipes == 3, report
    assert (report.lost, report.doubled, report.uncertain) == (0, 0, 0)
