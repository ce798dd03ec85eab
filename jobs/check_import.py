"""The dry run of a contact import: a verdict on every row, nothing changed."""

from __future__ import annotations

from inbox.models import ContactImport, Refused, db, transaction
from jobs.run_import import alone

BATCH = 1000


def check_import(import_id: int) -> None:
    """Judge every row, with progress; a try that died starts over."""
    with alone(import_id) as lease:
        if lease is None:
            return
        found = db.session.get(ContactImport, import_id)
        if found is None or found.state != "checking":
            return
        try:
            rows = found.file_rows()
        except Refused as refusal:
            with transaction():
                found.fail(refusal.sentence)
            return
        with transaction():
            checker = found.checker()
            found.total, found.done = len(rows), 0
        for start in range(0, len(rows), BATCH):
            verdicts = checker.judge(list(enumerate(rows[start:start + BATCH], start + 1)))
            with transaction():
                if found.state != "checking":
                    return
                found.note_verdicts(verdicts)
            lease.extend()
        with transaction():
            if found.state == "checking":
                found.finish_check()
