"""Do a bulk change, or take one back, batch after batch, each one transaction."""

from __future__ import annotations

from inbox import background
from inbox.extensions import redis
from inbox.models import Bulk, db, transaction

LONG = 500  # a queue with so much in it needs no more ringing


def run_bulk(bulk_id: int) -> None:
    """Go on until nothing is left. Two workers at it do no harm: each batch begins where the row says that the last one ended."""
    while True:
        with transaction():
            found = db.session.get(Bulk, bulk_id)
            if found is None or not found.step():
                return


def sweep_bulk() -> None:
    """Changes whose job was lost or whose worker died go on where they were; once an hour what is old is forgotten."""
    waiting = Bulk.going_on()
    db.session.commit()
    if waiting and background.queue("bulk").count <= LONG:
        for bulk_id in waiting:
            background.enqueue("run_bulk", bulk_id, on="bulk")
    if redis.client.set("inbox:sweep:bulk", 1, nx=True, ex=3600):
        with transaction():
            Bulk.forget_old()
