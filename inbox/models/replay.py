"""Applying a carrier's requests of the past once more: first rehearsed and taken back, then for good; what is known already changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock
from inbox.channels.base import CallNotice, RawRequest, Receipt, Unreadable
from inbox.extensions import undone
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id, transaction
from inbox.models.call import Call
from inbox.models.carrier import Carrier, WebhookEvent
from inbox.models.consent import Consent
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.message import Message, ReceiptRow

MOST = 5_000  # requests in one replay
BATCH = 25  # requests in one transaction: SQLite's one writer is held meanwhile
HOLD = 0.5  # seconds after which a transaction that explains differences ends early, for the same reason
ONCE = frozenset({"conversation", "contact", "consent", "answer"})  # happens once for an address, which a rehearsal that takes every batch back can't see by itself
SHOWN = 200  # differences kept with their details; the counts hold all
MOVING = ("checking", "running")
KINDS = {
    "messages": "Texts", "status": "Receipts", "voice": "Calls", "dial": "Forwarded calls", "recording": "Voicemail", "call": "News of calls", "events": "Registration news",
}
TRACKED: tuple[type[Model], ...] = (Message, Conversation, Contact, ReceiptRow, Consent)

Apply = Callable[[WebhookEvent], None]
Difference = dict[str, Any]
Rows = dict[tuple[str, int], dict[str, Any]]

# what differs -> one of them, several; what would be done, what was done with one and with several
WORDS: dict[str, tuple[str, str, str, str, str]] = {
    "text": ("text", "texts", "be added", "was added", "were added"),
    "answer": ("automatic answer", "automatic answers", "be sent", "was sent", "were sent"),
    "conversation": ("conversation", "conversations", "be opened", "was opened", "were opened"),
    "contact": ("contact", "contacts", "be made", "was made", "were made"),
    "receipt": ("receipt", "receipts", "be recorded", "was recorded", "were recorded"),
    "state": ("sent text", "sent texts", "show another state", "shows another state", "show another state"),
    "call": ("call", "calls", "be recorded", "was recorded", "were recorded"),
    "moved": ("call", "calls", "show another state", "shows another state", "show another state"),
    "consent": ("person", "people", "be opted out", "was opted out", "were opted out"),
    "applied": ("request that still waits", "requests that still wait", "be applied", "was applied", "were applied"),
    "readable": ("request with a problem", "requests with a problem", "be put right", "was put right", "were put right"),
    "unreadable": ("request that was fine", "requests that were fine", "show a problem", "shows a problem", "show a problem"),
    "reason": ("request", "requests", "show another problem", "shows another problem", "show another problem"),
    "broken": ("request", "requests", "fail", "failed", "failed"),
    "other": ("request", "requests", "change other records", "changed other records", "changed other records"),
}


class Replay(Model):
    """One range of a carrier's requests. States: checking (the rehearsal), checked, running, done, failed, canceled."""

    __tablename__ = "replay"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    carrier_id: Mapped[int] = mapped_column(sa.ForeignKey("carrier.id"), index=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    kind: Mapped[str] = mapped_column(sa.String(20), default="")  # empty: every kind
    number: Mapped[str] = mapped_column(sa.String(20), default="")  # only requests that name it; empty: all
    since: Mapped[datetime] = mapped_column(Moment)
    until: Mapped[datetime] = mapped_column(Moment)  # the first moment after the range
    state: Mapped[str] = mapped_column(sa.String(10), default="checking")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    first_id: Mapped[int] = mapped_column(default=0)
    last_id: Mapped[int] = mapped_column(default=0)  # what came later is not part of it
    reached_id: Mapped[int] = mapped_column(default=0)
    carried: Mapped[list[list[Any]]] = mapped_column(sa.JSON, default=list)  # what a rehearsal has counted of ONCE: kind, inbox, address
    counts: Mapped[dict[str, int]] = mapped_column(sa.JSON, default=dict)
    differences: Mapped[list[Difference]] = mapped_column(sa.JSON, default=list)
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    created_at: Mapped[datetime] = now_column()
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    account: Mapped[Account] = relationship()
    carrier: Mapped[Carrier] = relationship()
    member: Mapped[Member] = relationship()

    __table_args__ = (
        sa.Index("ix_replay_account_id", "account_id", "id"),
        sa.Index("ix_replay_moving", "id", sqlite_where=sa.text("state IN ('checking','running')"), postgresql_where=sa.text("state IN ('checking','running')")),
    )

    # -- by a person ------------------------------------------------------------------------------------------

    @staticmethod
    def start(carrier: Carrier, *, since: datetime, until: datetime, kind: str = "", number: str = "", by: Member) -> Replay:
        """Rehearse the requests that came from `since` to before `until`; Refused at the field that is wrong."""
        Carrier.require(by)
        if kind and kind not in carrier.adapter.hooks:
            raise Refused("Choose a kind from the list.", field="kind")
        if until <= since:
            raise Refused("Choose a day that is not before the first one.", field="until")
        db.session.execute(sa.select(Carrier.id).where(Carrier.id == carrier.id).with_for_update())  # two people at once start one
        if db.session.scalar(sa.select(Replay.id).where(Replay.carrier_id == carrier.id, Replay.state.in_(MOVING)).limit(1)):
            raise Refused("A replay of this carrier is still going on. Wait until it has ended, or cancel it.")
        found = _range(carrier, kind, since, until).with_only_columns(WebhookEvent.id).limit(MOST + 1).subquery()
        first, last, total = db.session.execute(sa.select(sa.func.min(found.c.id), sa.func.max(found.c.id), sa.func.count())).one()
        if not total:
            raise Refused(f"{carrier.label} sent nothing of that kind in this time.", field="since")
        if total > MOST:
            raise Refused(f"More than {MOST:,} requests came in this time. Choose fewer days or one kind.", field="since")
        made = Replay(
            account_id=carrier.account_id, carrier_id=carrier.id, member_id=by.id, kind=kind, number=number[:20], since=since, until=until, total=total,
            first_id=first, last_id=last, reached_id=0,
        ).save()
        background.enqueue("replay_events", made.id, on="mail")
        return made

    def run(self, *, by: Member) -> None:
        """Apply for good what the rehearsal went through."""
        Carrier.require(by)
        db.session.refresh(self, with_for_update=True)
        if self.state != "checked":
            raise Refused("Only a replay that was tried first can be started, and only once.")
        self.state, self.done, self.reached_id, self.counts, self.differences, self.carried = "running", 0, 0, {}, [], []
        Event.record(
            "replay.started", account=self.account_id, by=by, name=self.carrier.label, count=self.total, since=self.since.isoformat(), until=self.until.isoformat(),
        )
        background.enqueue("replay_events", self.id, on="mail")

    def cancel(self, *, by: Member) -> None:
        """Stop after the requests at hand; what was applied stays."""
        Carrier.require(by)
        db.session.refresh(self, with_for_update=True)
        if self.state not in (*MOVING, "checked"):
            raise Refused("This replay has ended already.")
        if self.state == "running":
            Event.record("replay.canceled", account=self.account_id, by=by, name=self.carrier.label, count=self.done)
        self.state, self.finished_at = "canceled", clock.now()

    @staticmethod
    def of(account_id: int) -> list[Replay]:
        """The newest replays of an account."""
        query = sa.select(Replay).options(sa.orm.joinedload(Replay.carrier), sa.orm.joinedload(Replay.member)).where(Replay.account_id == account_id)
        return list(db.session.scalars(query.order_by(Replay.id.desc()).limit(20)))

    @staticmethod
    def going_on() -> list[int]:
        """Replays that a worker must go on with."""
        return list(db.session.scalars(sa.select(Replay.id).where(sa.text("replay.state IN ('checking','running')")).limit(50)))

    @property
    def moving(self) -> bool:
        return self.state in MOVING

    @property
    def percent(self) -> int:
        return min(100, self.done * 100 // self.total) if self.total else 0

    @property
    def summary(self) -> list[str]:
        """What differs, one phrase for each kind of difference; empty when nothing does."""
        past = self.state not in ("checking", "checked")
        return [_phrase(what, n, past) for what in WORDS if (n := self.counts.get(what, 0))]

    # -- by a worker ------------------------------------------------------------------------------------------

    @staticmethod
    def step(replay_id: int, apply: Apply) -> bool:
        """Go through the next requests in one transaction; False when this replay has nothing more to do.

        A rehearsal takes everything back, so it rings for nobody and publishes nothing.
        """
        with transaction():
            _isolate()
            row = db.session.get(Replay, replay_id, with_for_update=True)
            if row is None or not row.moving:
                return False
            ids, number = row._next(), row.number
            if row.state == "checking":
                with undone():
                    gone, found = _gone_through(ids, number, apply)
            else:
                gone, found = _gone_through(ids, number, apply)
            db.session.get_one(Replay, replay_id)._note(gone, found)
        return bool(ids)

    @staticmethod
    def fail(replay_id: int, sentence: str) -> None:
        """Give up; what was applied so far stays."""
        with transaction():
            row = db.session.get(Replay, replay_id, with_for_update=True)
            if row is not None and row.moving:
                row.state, row.problem, row.finished_at = "failed", sentence[:300], clock.now()

    def _next(self) -> list[int]:
        query = _range(self.carrier, self.kind, self.since, self.until).with_only_columns(WebhookEvent.id)
        after = max(self.reached_id, self.first_id - 1)
        return list(db.session.scalars(query.where(WebhookEvent.id > after, WebhookEvent.id <= self.last_id).order_by(WebhookEvent.id).limit(BATCH)))

    def _note(self, ids: list[int], found: list[Difference]) -> None:
        """Keep how far it is and what differed; the end of the requests is the end of the rehearsal or of the replay."""
        if ids:
            self.done, self.reached_id = self.done + len(ids), ids[-1]
            if self.state == "checking":
                found = self._uncounted(found)
            counts = dict(self.counts)
            for each in found:
                counts[each["what"]] = counts.get(each["what"], 0) + 1
            self.counts, self.differences = counts, [*self.differences, *found][:SHOWN]
        elif self.state == "checking":
            self.state, self.carried = "checked", []
        else:
            self.state, self.finished_at = "done", clock.now()
            Event.record("replay.finished", account=self.account_id, by=None, name=self.carrier.label, count=self.done, changes=sum(self.counts.values()))

    def _uncounted(self, found: list[Difference]) -> list[Difference]:
        seen = {tuple(key) for key in self.carried}
        keys = [(each["what"], each.get("inbox"), each.get("address")) for each in found]
        self.carried = [*self.carried, *(list(key) for key in dict.fromkeys(keys) if key[0] in ONCE and key not in seen)]
        return [each for each, key in zip(found, keys, strict=True) if key not in seen]


def _phrase(what: str, n: int, past: bool) -> str:
    one, several, would, was, were = WORDS[what]
    return f"{n:,} {one if n == 1 else several} " + ((was if n == 1 else were) if past else f"would {would}")


def _range(carrier: Carrier, kind: str, since: datetime, until: datetime) -> sa.Select[Any]:
    """A carrier's requests of a time; the kinds are named so that one index answers both."""
    kinds = [kind] if kind else sorted(carrier.adapter.hooks)
    return sa.select(WebhookEvent).where(
        WebhookEvent.carrier_id == carrier.id, WebhookEvent.kind.in_(kinds), WebhookEvent.received_at >= since, WebhookEvent.received_at < until
    )


def _isolate() -> None:
    """See nothing of what others commit meanwhile, so that every difference is ours; SQLite's only writer needs nothing."""
    if db.session.get_bind().dialect.name == "postgresql":
        db.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _written() -> int:
    """A count that grows with every row written in this transaction, whatever its table: two equal counts mean that nothing was."""
    db.session.flush()
    if db.session.get_bind().dialect.name == "sqlite":
        return int(db.session.execute(sa.text("SELECT total_changes()")).scalar_one())
    if db.session.execute(sa.text("SHOW track_counts")).scalar() != "on":
        raise RuntimeError("PostgreSQL must have track_counts on.")
    return int(db.session.execute(sa.text("SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_user_tables")).scalar_one())


def _events(ids: list[int]) -> Sequence[WebhookEvent]:
    """These requests in the order they came, locked: their own jobs wait meanwhile."""
    return db.session.scalars(sa.select(WebhookEvent).where(WebhookEvent.id.in_(ids)).order_by(WebhookEvent.id).with_for_update()).all()


def _gone_through(ids: list[int], number: str, apply: Apply) -> tuple[list[int], list[Difference]]:
    """Apply the requests that name the number, or as many as fit into one transaction; those gone through, and what differs."""
    named = [row.id for row in _events(ids) if _names(row, number)] if number else ids
    if not _changes(named, apply):
        return ids, []
    found: list[Difference] = []
    began = time.monotonic()
    for place, event_id in enumerate(ids):
        if event_id in named and _changes([event_id], apply):
            found += _explained(event_id, apply)
        if time.monotonic() - began > HOLD:
            return ids[: place + 1], found
    return ids, found


def _names(row: WebhookEvent, number: str) -> bool:
    return number.lstrip("+").encode() in unquote_to_bytes(row.url) + b"\n" + unquote_to_bytes(row.body)


def _changes(ids: list[int], apply: Apply) -> bool:
    """Whether these requests write a single row; nothing of it stays."""
    before = _written()
    try:
        with undone():
            for row in _events(ids):
                apply(row)
            return _written() != before
    except DBAPIError:
        raise
    except Exception:
        return True


def _explained(event_id: int, apply: Apply) -> list[Difference]:
    """Apply a request that changes something, and say what."""
    row = db.session.get_one(WebhookEvent, event_id)
    told = {"received": row.received_at.isoformat(), "kind": row.kind}
    was_applied, was_wrong = row.applied_at is not None, row.problem
    marks, before = _marks(), _picture(row)
    try:
        with db.session.begin_nested():
            apply(row)
    except DBAPIError:
        raise
    except Exception as error:
        return [{"what": "broken", "detail": type(error).__name__, **told}]
    db.session.flush()
    db.session.expire_all()
    found = _differences(marks, before, _picture(row))
    if not was_applied:
        found.append({"what": "applied"})
    elif was_wrong and not row.problem:
        found.append({"what": "readable", "detail": was_wrong})
    elif not was_wrong and row.problem:
        found.append({"what": "unreadable", "detail": row.problem})
    elif was_wrong != row.problem:
        found.append({"what": "reason", "detail": row.problem})
    return [{**each, **told} for each in found or [{"what": "other"}]]


def _marks() -> dict[type[Model], int]:
    """The highest id of every tracked table: rows above it are new."""
    highest = sa.select(*(sa.select(sa.func.coalesce(sa.func.max(model.id), 0)).scalar_subquery() for model in TRACKED))
    return dict(zip(TRACKED, db.session.execute(highest).one(), strict=True))


def _picture(row: WebhookEvent) -> Rows:
    """The rows a request can be about that may be there already, as they are now: the texts of its receipts, its calls."""
    carrier = row.carrier
    rows: Rows = {}
    try:
        events = carrier.adapter.parse(RawRequest(method=row.method, url=row.url, headers=row.headers, body=row.body))
    except Unreadable:
        events = []
    for event in events:
        if isinstance(event, Receipt):
            message = ReceiptRow._about(carrier.account_id, event)
            rows |= _as_rows([message] if message else [])
        elif isinstance(event, CallNotice):
            rows |= _as_rows(db.session.scalars(sa.select(Call).where(Call.account_id == carrier.account_id, Call.provider_id == event.call_sid)))
    return rows


def _as_rows(found: Any) -> Rows:
    return {(row.__tablename__, row.id): {column.key: getattr(row, column.key) for column in row.__table__.columns} for row in found}


def _differences(marks: dict[type[Model], int], before: Rows, after: Rows) -> list[Difference]:
    """What is new and what changed, leaving out what only follows from it."""
    fresh = {model: db.session.scalars(sa.select(model).where(model.id > mark).order_by(model.id).limit(50)).all() for model, mark in marks.items()}
    found: list[Difference] = []
    for message in fresh[Message]:
        assert isinstance(message, Message)  # noqa: S101 - for the type
        what = {"in": "text", "call": "call"}.get(message.kind, "answer")
        found.append({"what": what, "inbox": message.inbox_id, "address": message.peer})
    found += [{"what": "conversation", "inbox": row.inbox_id, "address": row.address} for row in fresh[Conversation] if isinstance(row, Conversation)]
    found += [{"what": "contact", "address": row.phone} for row in fresh[Contact] if isinstance(row, Contact)]
    found += [{"what": "receipt"} for _ in fresh[ReceiptRow]]
    found += [{"what": "consent", "inbox": row.inbox_id, "address": row.address} for row in fresh[Consent] if isinstance(row, Consent) and row.opted_out]
    for key, now in after.items():
        then = before.get(key)
        if then and then["state"] != now["state"]:
            found.append({"what": "state" if key[0] == "message" else "moved", "inbox": now["inbox_id"], "before": then["state"], "after": now["state"]})
    return found
