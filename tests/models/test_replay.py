"""Replaying a carrier's requests: a rehearsal leaves no trace and rings for nobody; what is known changes nothing; what differs is said."""

from __future__ import annotations

import hashlib
import itertools
import random
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from inbox import channels, clock
from inbox.channels.base import Unreadable
from inbox.channels.twilio import Twilio
from inbox.models import Carrier, Consent, Conversation, Dispatch, Event, Message, Refused, Replay, WebhookEvent, db, transaction
from inbox.models import replay as replays
from inbox.models.base import Model
from inbox.models.rights import Denied
from inbox.sandbox.wire import signature
from jobs import replay_events as job
from jobs import sweeps
from jobs.apply_webhook import apply_webhook
from tests.conftest import SID, TOKEN, Bell
from tests.world import World

_sids = itertools.count(1)
NOTED = {"replay", "event"}  # what a replay writes about itself


class NoLock:
    """A Redis lock that is always free."""

    def acquire(self, **_: Any) -> bool:
        return True

    def extend(self, *_: Any, **__: Any) -> None: ...

    def release(self) -> None: ...


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "BREATH", 0)
    client = type("Client", (), {"lock": lambda *_, **__: NoLock()})()
    monkeypatch.setattr(job, "redis", type("Handle", (), {"client": client}))


class Phone:
    """Customers and the carrier, through the front door."""

    def __init__(self, world: World, client: Any, bell: Bell) -> None:
        self.world, self.client, self.bell = world, client, bell

    def post(self, kind: str, fields: dict[str, str], query: str = "") -> None:
        path = f"/hooks/sms/{self.world.carrier.hook_token}/{kind}{query}"
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature(TOKEN, "http://localhost" + path, list(fields.items()))}
        assert self.client.post(path, data=urlencode(fields), headers=headers).status_code in (200, 204)

    def text(self, body: str = "Hello", sender: str = "+14155550134", **extra: str) -> None:
        sid = f"SM{next(_sids):032x}"
        self.post("messages", {"MessageSid": sid, "AccountSid": SID, "From": sender, "To": self.world.front.phone or "", "Body": body, "NumMedia": "0", **extra})

    def receipt(self, message: Message, status: str, **extra: str) -> None:
        sid = message.provider_id or f"SM{message.id:032x}"
        self.post("status", {"MessageSid": sid, "AccountSid": SID, "MessageStatus": status, "From": self.world.front.phone or "", "To": "y", **extra}, f"?ref={message.ref}")

    def call(self, status: str, kind: str = "voice", sender: str = "+14155550177", **extra: str) -> None:
        fields = {"CallSid": "CA" + "7" * 32, "AccountSid": SID, "From": sender, "To": self.world.front.phone or "", "CallStatus": status, **extra}
        self.post(kind, fields)

    def apply(self) -> None:
        """Do the webhooks' own jobs and leave the rest undone."""
        rung, self.bell.rung = self.bell.rung, []
        for name, args in rung:
            if name == "apply_webhook":
                apply_webhook(*args)
        self.bell.rung = []


@pytest.fixture
def phone(world: World, client: Any, bell: Bell) -> Phone:
    return Phone(world, client, bell)


@pytest.fixture
def busy(world: World, phone: Phone) -> Phone:
    """A busy day: texts, pictures, keywords, receipts in any order, calls, nonsense and strangers, spread over hours."""
    draw = random.Random(7)
    people = [f"+1415555{n:04d}" for n in range(140, 146)]
    for turn in range(4):
        for person in people:
            phone.text(draw.choice(["Hi", "Is it ready?", "STOP", "START", "HELP", "🐶 thanks"]), sender=person)
        phone.text("look", sender=people[0], NumMedia="1", MediaUrl0=f"https://api.example.com/2010-04-01/Accounts/{SID}/Media/ME{turn}", MediaContentType0="image/png")
        phone.post("messages", {"AccountSid": SID, "Nonsense": str(turn)})
        phone.text("to nobody", To="+14155559999", sender="+14155550199")
        phone.apply()
        for conversation in db.session.scalars(sa.select(Conversation).where(Conversation.inbox_id == world.front.id).order_by(Conversation.id).limit(3)).all():
            if conversation.archived or conversation.address == people[0]:
                continue
            try:
                message = world.reply(conversation, world.maya)
            except Refused:
                continue
            for status in draw.sample(["sent", "delivered", "undelivered", "failed"], 3):
                phone.receipt(message, status, **({"ErrorCode": "30003"} if status in ("undelivered", "failed") else {}))
        for status in ("ringing", "completed"):
            phone.call(status, CallSid=f"CA{turn:032x}")
        phone.apply()
        clock.shift(3600)
    return phone


def hashes() -> dict[str, str]:
    """A hash of the rows of every table."""
    db.session.rollback()
    found = {}
    for table in Model.metadata.sorted_tables:
        digest = hashlib.sha256()
        for row in db.session.execute(sa.select(*[c for c in table.columns if c.name not in ("seen_at", "last_seen_at")]).order_by(*table.primary_key.columns)):
            digest.update(repr(row).encode())
        found[table.name] = digest.hexdigest()
    db.session.rollback()
    return found


def changed(before: dict[str, str]) -> set[str]:
    return {name for name, digest in hashes().items() if digest != before[name]}


def replay(world: World, *, carrier: Carrier | None = None, since: float = -24, until: float = 1, **choice: str) -> Replay:
    """Rehearse what came between these hours from now."""
    with transaction():
        made = Replay.start(
            carrier or world.carrier, since=clock.now() + timedelta(hours=since), until=clock.now() + timedelta(hours=until), by=world.dana, **choice
        )
    apart(world, job.replay_events, made.id)
    return fresh(made)


def apart(world: World, work: Any, *args: Any) -> Any:
    """Do it with a database session of its own, as a worker does."""
    db.session.rollback()
    with world.app.app_context():
        return work(*args)


def fresh(row: Replay) -> Replay:
    db.session.expire_all()
    return db.session.get_one(Replay, row.id)


def run(row: Replay, world: World) -> Replay:
    with transaction():
        db.session.get_one(Replay, row.id).run(by=world.dana)
    apart(world, job.replay_events, row.id)
    return fresh(row)


def count(model: Any, *where: Any) -> int:
    return db.session.scalar(sa.select(sa.func.count(model.id)).where(*where)) or 0


def test_API_2_replaying_any_range_of_a_busy_day_changes_nothing(world: World, busy: Phone, bell: Bell) -> None:
    """The property: whatever range, kind or number is chosen, rehearsed and run, every table keeps its rows, byte for byte."""
    draw = random.Random(11)
    assert count(Message) > 30 and count(WebhookEvent) > 60
    before, tried = hashes(), 0
    bell.rung.clear()
    bell.facts.clear()
    for _ in range(8):
        start = -draw.uniform(0, 5)
        choice = {"kind": draw.choice(["", "", "messages", "status", "voice"]), "number": draw.choice(["", world.front.phone or ""])}
        try:
            row = replay(world, since=start, until=start + draw.uniform(0.5, 5), **choice)
        except Refused:
            continue
        assert row.state == "checked" and row.counts == {} and row.done == row.total, (row.state, row.counts, row.differences, row.problem)
        row = run(row, world)
        assert row.state == "done" and row.counts == {} and row.summary == [], (row.counts, row.differences)
        tried += 1
    whole = run(replay(world), world)
    assert whole.total == count(WebhookEvent) and whole.counts == {}
    assert tried >= 3 and changed(before) <= NOTED
    assert {name for name, _ in bell.rung} <= {"replay_events"} and not bell.facts


def test_API_2_a_rehearsal_leaves_no_trace_and_rings_for_nobody(world: World, phone: Phone, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, phone)
    before = hashes()
    bell.rung.clear()
    bell.facts.clear()
    row = replay(world)
    assert row.state == "checked" and row.counts == {"text": 2, "conversation": 1, "contact": 1, "readable": 2}
    assert row.summary == ["2 texts would be added", "1 conversation would be opened", "1 contact would be made", "2 requests with a problem would be put right"]
    assert changed(before) == {"replay"}
    assert [name for name, _ in bell.rung] == ["replay_events"] and not bell.facts


def garble(monkeypatch: pytest.MonkeyPatch, phone: Phone) -> None:
    """Two texts came while the parser had a fault; it has none any more."""
    with monkeypatch.context() as fault:

        def broken(self: Twilio, request: Any) -> list[Any]:
            raise Unreadable("The request names no message and no call.")

        fault.setattr(Twilio, "parse", broken)
        phone.text("The first one")
        phone.text("The second one")
        phone.apply()
    assert count(Message) == 0 and count(WebhookEvent, WebhookEvent.problem.is_not(None)) == 2


def test_API_2_what_a_mended_parser_can_read_is_applied_once_and_explained(world: World, phone: Phone, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, phone)
    clock.shift(7200)
    row = run(replay(world), world)
    assert row.state == "done" and row.summary[0] == "2 texts were added" and row.summary[-1] == "2 requests with a problem were put right"
    assert {each["inbox"] for each in row.differences if each["what"] == "text"} == {world.front.id}
    texts = db.session.scalars(sa.select(Message).order_by(Message.id)).all()
    assert [text.body for text in texts] == ["The first one", "The second one"]
    assert all(text.occurred_at and text.occurred_at < clock.now() - timedelta(hours=1) for text in texts), "it shows when it came"
    assert count(WebhookEvent, WebhookEvent.problem.is_not(None)) == 0
    assert any(fact["what"] == "message" for fact in bell.facts), "open pages hear of it"
    assert run(replay(world), world).counts == {}, "the second time nothing changes"
    kinds = list(db.session.scalars(sa.select(Event.kind).where(Event.kind.like("replay.%")).order_by(Event.id)))
    assert kinds == ["replay.started", "replay.finished"] * 2


def test_MSG_2_an_old_stop_counts_an_old_start_does_not_and_neither_overrules_what_came_later(world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(Twilio, "parse", lambda self, request: (_ for _ in ()).throw(Unreadable("x")))
        phone.text("STOP", sender="+14155550141")
        phone.text("START", sender="+14155550142")
        phone.text("STOP", sender="+14155550143")
        phone.text("HELP", sender="+14155550144")
        phone.apply()
    clock.shift(3600)
    for body, sender in (("STOP", "+14155550142"), ("STOP", "+14155550143"), ("START", "+14155550143")):
        phone.text(body, sender=sender)
        phone.apply()
    sent = count(Dispatch)
    row = run(replay(world), world)
    assert row.counts["text"] == 4 and row.counts["consent"] == 1 and row.counts["answer"] == 1
    out = {sender: Consent.of(world.front.team_id, sender, world.front.id) for sender in (f"+1415555014{n}" for n in range(1, 5))}
    assert [bool(each and each.opted_out) for each in out.values()] == [True, True, False, False]
    assert count(Dispatch) == sent + 1, "only the STOP is confirmed"


def test_API_2_a_number_that_moved_to_another_inbox_brings_no_text_twice(world: World, phone: Phone) -> None:
    phone.text("Hello")
    phone.apply()
    with transaction():
        number, world.front.phone = world.front.phone, None
        db.session.flush()
        world.pharmacy.phone = number
    assert replay(world).counts == {}


def test_API_2_requests_that_still_wait_are_applied_too(world: World, phone: Phone) -> None:
    phone.text("Not yet")
    row = run(replay(world), world)
    assert row.counts == {"text": 1, "conversation": 1, "contact": 1, "applied": 1} and count(WebhookEvent, WebhookEvent.applied_at.is_(None)) == 0


def test_API_2_one_request_that_breaks_does_not_stop_the_others(world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, phone)
    real = Conversation.receive

    def receive(inbox: Any, inbound: Any, **how: Any) -> Any:
        if inbound.text == "The first one":
            raise ZeroDivisionError
        return real(inbox, inbound, **how)

    monkeypatch.setattr(Conversation, "receive", staticmethod(receive))
    row = run(replay(world), world)
    assert row.state == "done" and row.counts["broken"] == 1 and row.counts["text"] == 1 and count(Message) == 1


def test_API_2_what_builds_on_what_would_change_counts_right_over_batches(world: World, phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    garble(monkeypatch, phone)
    monkeypatch.setattr(replays, "BATCH", 1)
    row = replay(world)
    assert row.counts == {"text": 2, "conversation": 1, "contact": 1, "readable": 2}, "one conversation, although each text came in a batch of its own"


def test_API_2_a_replay_goes_on_after_its_worker_died_and_stops_when_canceled(world: World, busy: Phone, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    with transaction():
        row = Replay.start(world.carrier, since=clock.now() - timedelta(hours=9), until=clock.now(), by=world.dana)
    assert apart(world, Replay.step, row.id, job.apply_again), "one batch, then the worker dies"
    assert 0 < fresh(row).done < row.total
    bell.rung.clear()
    monkeypatch.setattr(sweeps, "crowded", lambda queue: False)
    sweeps.sweep_replays()
    apart(world, bell.work)
    assert fresh(row).state == "checked"
    with transaction():
        fresh(row).run(by=world.dana)
    assert apart(world, Replay.step, row.id, job.apply_again)
    with transaction():
        fresh(row).cancel(by=world.dana)
    assert not apart(world, Replay.step, row.id, job.apply_again) and fresh(row).state == "canceled"
    with pytest.raises(Refused), transaction():
        fresh(row).run(by=world.dana)


def test_API_2_a_long_replay_takes_turns_in_the_queue(world: World, busy: Phone, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "TURN", 0.0)
    bell.rung.clear()
    row = replay(world)
    assert row.moving and row.done == 0 and [name for name, _ in bell.rung] == ["replay_events"] * 2, "its own start, and its next turn"


def test_API_2_the_range_is_bounded_and_belongs_to_whoever_manages_all_inboxes(world: World, busy: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    now = clock.now()
    for who in (world.maya, world.vera):
        with pytest.raises(Denied), transaction():
            Replay.start(world.carrier, since=now - timedelta(days=1), until=now, by=who)
    refused = [
        ({"since": now - timedelta(days=9), "until": now - timedelta(days=8)}, "nothing"), ({"since": now, "until": now - timedelta(days=1)}, "before"),
        ({"since": now - timedelta(days=1), "until": now, "kind": "secrets"}, "kind"),
    ]
    for choice, word in refused:
        with pytest.raises(Refused, match=word), transaction():
            Replay.start(world.carrier, by=world.dana, **choice)  # type: ignore[arg-type]
    monkeypatch.setattr(replays, "MOST", 3)
    with pytest.raises(Refused, match="More than"), transaction():
        Replay.start(world.carrier, since=now - timedelta(days=1), until=now, by=world.dana)
    monkeypatch.undo()
    with transaction():
        Replay.start(world.carrier, since=now - timedelta(days=1), until=now, by=world.dana)
    with pytest.raises(Refused, match="going on"), transaction():
        Replay.start(world.carrier, since=now - timedelta(days=1), until=now, by=world.dana)


def test_API_2_a_gateway_s_requests_replay_alike(world: World, client: Any, phone: Phone) -> None:
    with transaction():
        gateway = Carrier.add(
            world.harbor, channels.gateway().kind, name="SMPP", api_base="https://sms.example.com/send", user="u", password="p", sender="+14155550188",
            public_url="http://localhost", by=world.dana,
        )
        world.front.carrier = gateway
    address = gateway.inbound_url.replace("http://localhost", "").replace("%p", "%2B14155550134").replace("%P", "%2B14155550100")
    for n in range(3):
        at = address.replace("%T", "1790000000").replace("%c", "0").replace("%i", "x").replace("%F", f"id{n}").replace("%I", f"id{n}")
        assert client.post(at, data=f"Text {n}".encode(), headers={"Content-Type": "text/plain; charset=utf-8"}).status_code == 200
    phone.apply()
    assert count(Message) == 3
    before = hashes()
    assert run(replay(world, carrier=gateway), world).counts == {} and changed(before) <= NOTED


def test_the_queries_of_a_replay_use_their_indexes(world: World, busy: Phone) -> None:
    query = replays._range(world.carrier, "", clock.now() - timedelta(days=1), clock.now()).with_only_columns(WebhookEvent.id).limit(5001)
    words = query.compile(db.engine, compile_kwargs={"literal_binds": True})
    if db.engine.dialect.name == "sqlite":
        plan = " ".join(str(row) for row in db.session.execute(sa.text(f"EXPLAIN QUERY PLAN {words}")))
        assert "ix_webhook_event_range" in plan or "received_at>?" in plan, plan
    else:
        db.session.execute(sa.text("SET LOCAL enable_seqscan = off"))
        plan = " ".join(str(row) for row in db.session.execute(sa.text(f"EXPLAIN {words}")))
        assert "ix_webhook_event" in plan, plan
