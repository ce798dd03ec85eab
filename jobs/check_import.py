"""The dry run of a contact import: a verdict on every row, nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from inbox.models import ContactImport, Refused, db, transaction
from jobs.run_import import alone

BATCH = 500


def check_import(import_id: int) -> None:
    """Judge every row, with progress; what a try that died has judged stays judged."""
    with alone(import_id) as lease:
        if lease is None:
            return
        found = db.session.get(ContactImport, import_id)
        if found is None or found.state != "checking":
            return
        try:
            _check(found, lease.extend)
        except Refused as refusal:
            with transaction():
                found.fail(refusal.sentence)


def _check(found: ContactImport, extend: Callable[[], None]) -> None:
    total, rows = found.count_rows(), found.file_rows()
    with transaction():
        checker, number = found.checker(), found.done
        found.total = total
    for _ in islice(rows, number):
        pass
    while batch := list(enumerate(islice(rows, BATCH), number + 1)):
        with transaction():
            db.session.refresh(found, ["state"], with_for_update=True)
            if found.state != "checking":
                return
            found.note_verdicts(checker.judge(batch))
        number += len(batch)
        extend()
    with transaction():
        db.session.refresh(found, ["state"], with_for_update=True)
        if found.state == "checking":
            found.finish_check()
