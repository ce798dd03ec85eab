"""The words all adapters share."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import pytest

from inbox.channels.base import RANK, Credentials, PermanentFailure, RawRequest, Status, merge

ORDER = (Status.QUEUED, Status.SENDING, Status.SENT, Status.DELIVERED, Status.FAILED, Status.UNDELIVERED)


def test_L05_every_order_of_receipts_ends_the_same() -> None:
    orders = list(permutations(ORDER))
    assert len(orders) == 720
    for order in orders:
        for receipts in (order, [status for status in order for _ in (1, 2)], order + order, order + order[::-1]):
            assert reduce(merge, receipts, Status.QUEUED) is Status.DELIVERED


@pytest.mark.parametrize("bad", [Status.FAILED, Status.UNDELIVERED, Status.CANCELED])
def test_without_a_delivery_the_first_failure_stays(bad: Status) -> None:
    for order in permutations((Status.QUEUED, Status.SENDING, Status.SENT, bad)):
        assert reduce(merge, order + order, Status.QUEUED) is bad
    assert merge(bad, Status.DELIVERED) is Status.DELIVERED
    assert merge(Status.DELIVERED, bad) is Status.DELIVERED
    assert merge(Status.READ, bad) is Status.READ
    assert merge(bad, Status.READ) is Status.READ


def test_a_status_never_goes_back() -> None:
    for current in Status:
        for new in Status:
            assert RANK[merge(current, new)] == max(RANK[current], RANK[new])
            assert merge(merge(current, new), new) is merge(current, new)
    assert merge(Status.UNKNOWN, Status.QUEUED) is Status.QUEUED
    assert merge(Status.SENT, Status.UNKNOWN) is Status.SENT


def test_forms_keep_order_repetition_and_empty_values() -> None:
    request = RawRequest("POST", "https://a.b/", {}, b"B=2&A=1&B=&C=%2B1+2&D=%ff")
    assert request.form() == [("B", "2"), ("A", "1"), ("B", ""), ("C", "+1 2"), ("D", "\ufffd")]


def test_the_token_does_not_show() -> None:
    assert "secret" not in repr(Credentials("AC1", "secret", "https://a", "https://b", "https://c"))


def test_failures_read_as_sentences() -> None:
    error = PermanentFailure("The number is gone.", "21422")
    assert (str(error), error.code, error.opted_out, error.field) == ("The number is gone.", "21422", False, None)
