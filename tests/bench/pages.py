"""What pages cost on a seeded database: lists, opening, replying, locking, searching, navigation."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from inbox.models import Conversation, Inbox, db
from inbox.models.message import Dispatch
from tests.bench.seeding import Seeded
from tests.bench.stack import HTMX, Client, Figure, Stack

AGENT = "maya@harbor.example"
BUDGETS = {"list": 14, "open": 9, "reply": 12, "lock acquire": 4, "lock heartbeat": 4, "lock release": 4, "search": 89, "nav": 0}
ROWS = 400  # conversations that take turns


class Bench:
    """An agent at work on one seeded database."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.made = stack, stack.made
        self.client, self.floor = Client(stack.port), Client(stack.floor_port)
        self.client.sign_in(AGENT)
        self.inbox, self.inbox_id, self.ids = places(self.made)
        self.words = itertools.count()

    def figure(self, name: str) -> Figure:
        return Figure(name, self.stack.database, self.made.size, budget=BUDGETS.get(name, 0))

    def get(self, path: str, headers: dict[str, str] | None = None) -> bytes:
        status, body = self.client.ask("GET", path, headers=headers)
        assert status == 200, (path, status, body[:300])
        return body

    def post(self, path: str, data: dict[str, Any], expected: int) -> bytes:
        status, body = self.client.ask("POST", path, data, HTMX)
        assert status == expected, (path, status, body[:300])
        return body

    def base(self, path: str) -> Callable[[int], Any]:
        return lambda n: self.floor.ask("GET", path.format(id=self.ids[n % ROWS][0]))

    def list(self) -> list[Figure]:
        """A page of all open conversations, with the navigation and its counts."""
        return [self.stack.measure(self.figure("list"), lambda n: self.get(f"/i/{self.inbox}/all"), floor=self.base(f"/list?inbox={self.inbox_id}"))]

    def nav(self) -> list[Figure]:
        """A page that is hardly more than the navigation with its counts."""
        return [self.stack.measure(self.figure("nav"), lambda n: self.get("/scheduled"))]

    def open(self) -> list[Figure]:
        """A conversation as it is swapped in."""
        return [self.stack.measure(self.figure("open"), lambda n: self.get(f"/c/{self.ids[n % ROWS][0]}?view=all", HTMX), floor=self.base("/open?id={id}"))]

    def search(self) -> list[Figure]:
        """A rare word in the bodies of all texts."""
        return [self.stack.measure(self.figure("search"), lambda n: self.get("/search?q=needlework"), each=12)]

    def lock(self) -> list[Figure]:
        """Taking, keeping and giving back, each apart."""
        acquire, beat, release = (self.figure(f"lock {name}") for name in ("acquire", "heartbeat", "release"))
        turn = itertools.count()
        for _ in range(7):
            some = [self.ids[next(turn) % ROWS][0] for _ in range(30)]
            once = {"rounds": 1, "each": len(some), "warm": 0}
            self.stack.measure(acquire, lambda n, some=some: self.post(f"/c/{some[n]}/lock", {}, 200), floor=self.base("/write?id={id}"), **once)
            fence = {id: self.fence(id) for id in some}
            self.stack.measure(beat, lambda n, some=some, fence=fence: self.post(f"/c/{some[n]}/lock/renewal", {"fence": fence[some[n]], "active": 1}, 200), **once)
            self.stack.measure(release, lambda n, some=some, fence=fence: self.post(f"/c/{some[n]}/lock/release", {"fence": fence[some[n]]}, 200), **once)
        return [acquire, beat, release]

    def fence(self, public_id: str) -> int:
        with self.made.app.app_context():
            query = sa.text("SELECT fence FROM conversation_lock WHERE conversation_id = (SELECT id FROM conversation WHERE public_id = :id)")
            found = db.session.execute(query, {"id": public_id}).scalar()
            db.session.remove()
            return int(found or 0)

    def reply(self) -> list[Figure]:
        """A reply with everything that belongs to it, but for the carrier's answer."""
        figure = self.figure("reply")
        ids = itertools.cycle(self.ids)
        for _ in range(7):
            some = list(itertools.islice(ids, 36))
            for id, _ in some:
                self.post(f"/c/{id}/lock", {}, 200)
            held = [(id, seen, self.fence(id)) for id, seen in some]

            def send(n: int, held: Any = held) -> None:
                id, seen, fence = held[n]
                self.post(f"/c/{id}/messages", {"body": f"Yes, it is ready. {next(self.words)}", "fence": fence, "seen": seen, "nonce": f"bench-{id}-{next(self.words)}"}, 201)

            self.stack.measure(figure, send, rounds=1, each=30)
            for id, _, fence in held:
                self.client.ask("POST", f"/c/{id}/lock/release", {"fence": fence}, HTMX)
        self.settle()
        return [figure]

    def settle(self) -> None:
        """Nothing of this is left to be sent."""
        with self.made.app.app_context():
            db.session.execute(sa.update(Dispatch).where(Dispatch.state == "queued").values(state="sent"))
            db.session.commit()
            db.session.remove()


def places(made: Seeded) -> tuple[str, int, list[tuple[str, int]]]:
    """An inbox, and open conversations of it with the newest text of each."""
    with made.app.app_context():
        inbox = db.session.scalars(sa.select(Inbox).where(Inbox.name == "Front Desk")).one()
        query = sa.select(Conversation.public_id, Conversation.last_inbound_id).where(Conversation.inbox_id == inbox.id, Conversation.archived_at.is_(None))
        ids = [(id, seen) for id, seen in db.session.execute(query.order_by(Conversation.last_activity_at.desc()).limit(ROWS))]
        found = inbox.public_id, inbox.id, ids * (ROWS // len(ids) + 1)
        db.session.remove()
        return found
