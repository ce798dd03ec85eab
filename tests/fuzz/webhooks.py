"""Sends mutated requests to every hook of one account, applies what was stored, and looks whether anything happened that must not.

What must hold: no 5xx and no exception; a row only for a request that is signed for this very address and meant for this account, and then one;
nothing of the other account touched; applying never raises, and what can't be read is kept with its reason.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import re
import traceback
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote_to_bytes

import sqlalchemy as sa
from flask import Flask

from inbox.channels.base import Credentials, RawRequest, Unreadable
from inbox.models import Account, Carrier, Inbox, Message, WebhookEvent, db, transaction
from inbox.models.base import Base
from inbox.models.secret import encrypt
from jobs.apply_webhook import apply_webhook
from tests.fuzz.mutations import Draft, mutate
from tests.fuzz.payloads import FORM, MADE, TEXT, WORDS, Payload, form, recorded
from tests.world import World

LIMIT = 1_000_000  # bytes of a body
BATCH = 100  # requests between two looks at the other account
SENDERS = ("+14155550134", "+14155550135", "+442079460123", "12345", "BANK")


@dataclass
class Wire:
    """A request as it goes over the wire; `url` is what its carrier signed."""

    method: str
    path: bytes
    query: bytes
    content_type: str
    headers: dict[str, str]
    body: bytes
    length: int | None  # None: chunked
    why: str = ""

    @property
    def shown(self) -> str:
        return self.path.decode("utf-8", "replace")

    @property
    def url(self) -> str:
        return f"http://localhost{self.shown}" + (f"?{self.query.decode('latin-1')}" if self.query else "")

    @property
    def kind(self) -> str:
        return self.shown.rpartition("/")[2]

    @property
    def is_form(self) -> bool:
        return self.content_type.partition(";")[0].strip().lower() == FORM

    def form(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)

    def environ(self) -> dict[str, Any]:
        made = {
            "REQUEST_METHOD": self.method, "SCRIPT_NAME": "", "PATH_INFO": self.path.decode("latin-1"), "QUERY_STRING": self.query.decode("latin-1"), "SERVER_NAME": "localhost",
            "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost", "REMOTE_ADDR": "192.0.2.1", "CONTENT_TYPE": self.content_type, "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body), "wsgi.errors": io.StringIO(), "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": True, "wsgi.run_once": False,
        }
        made |= {f"HTTP_{name.upper().replace('-', '_')}": value.encode("utf-8", "replace").decode("latin-1") if ord(max(value, default=" ")) > 255 else value for name, value in self.headers.items()}
        if self.length is None:
            return made | {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
        return made | {"CONTENT_LENGTH": str(self.length)}


@dataclass
class Target:
    """One carrier of an account and what a request to it may name."""

    account_id: int
    carrier_id: int
    adapter: Any
    token: str
    credentials: Credentials
    number: str
    ref: str  # of a text that was sent


@dataclass
class Report:
    """What was sent, what came of it, and what must not have."""

    sent: int = 0
    stored: int = 0
    applied: int = 0
    problems: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.sent, self.stored, self.applied, self.problems = self.sent + other.sent, self.stored + other.stored, self.applied + other.applied, self.problems + other.problems
        self.statuses.update(other.statuses)
        self.findings += other.findings


# -- who may be believed: worked out here once more, and not asked of the adapters --------------------------------


def _digest(settings: str) -> str | None:
    told = re.search(r"(?:^|,)\s*algorithm\s*=\s*([^,]*)", settings)
    name = told[1].strip().upper() if told else ""
    return {"": "sha1", "HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}.get(name)


def twilio_signature(wire: Wire, key: str, url: str = "") -> str:
    """What Twilio would put into X-Twilio-Signature for this request."""
    values: dict[str, set[str]] = {}
    for name, value in wire.form() if wire.is_form else ():
        values.setdefault(name, set()).add(value)
    text = (url or wire.url) + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    digest = _digest(wire.headers.get("X-Twilio-Webhooks-Signature-Settings", "")) or "sha1"
    return base64.b64encode(hmac.new(key.encode(), text.encode("utf-8", "replace"), digest).digest()).decode()


def kannel_signature(key: str, kind: str, ref: str) -> str:
    made = hmac.new(key.encode(), f"{kind}\n{ref}".encode(), "sha256").digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def _single(query: bytes) -> dict[str, str]:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace")
    counts = Counter(name for name, _ in pairs)
    return {name: value.replace("\x00", "\ufffd") if counts[name] == 1 else "" for name, value in pairs}


def signed(wire: Wire, target: Target) -> bool:
    """Whether this request proves that it comes from the target's carrier."""
    if target.adapter.kind == "kannel":
        fields = _single(wire.query)
        proof = kannel_signature(target.credentials.hook_key, wire.kind, fields.get("ref", ""))
        return fields.get("sig", "") == proof and (wire.kind != "status" or bool(fields.get("ref")))
    if _digest(wire.headers.get("X-Twilio-Webhooks-Signature-Settings", "")) is None:
        return False
    if wire.body and not wire.is_form:
        named = (parse_qs(wire.query.decode("latin-1")).get("bodySHA256") or [""])[0].lower()
        if named != hashlib.sha256(wire.body).hexdigest():
            return False
    given = wire.headers.get("X-Twilio-Signature", "").strip()
    return given in (twilio_signature(wire, target.credentials.auth_token), twilio_signature(wire, target.credentials.auth_token, wire.url.replace("localhost", "localhost:80", 1)))


def acceptable(wire: Wire, target: Target) -> bool:
    """Whether it must be stored: signed, for a hook of this carrier, of a fair size, and for this account."""
    if wire.method not in target.adapter.hooks.get(wire.kind, ()) or wire.shown != f"/hooks/sms/{target.token}/{wire.kind}":
        return False
    if len(wire.body) > LIMIT or (wire.length or 0) > LIMIT or b"%00" in wire.query or (wire.length or 0) > len(wire.body):
        return False
    meant = target.adapter.kind == "kannel" or all(value == target.credentials.account_sid for name, value in wire.form() if name == "AccountSid")
    return meant and signed(wire, target)


# -- making requests ----------------------------------------------------------------------------------------------


class Maker:
    """Makes the requests of a run: the same seed, the same requests."""

    def __init__(self, target: Target, victim: Target, payloads: list[Payload], chance: Random) -> None:
        self.target, self.victim, self.payloads, self.chance = target, victim, payloads, chance

    def next(self) -> Wire:
        return self._kannel() if self.target.adapter.kind == "kannel" else self._twilio()

    def _twilio(self) -> Wire:
        chance, target = self.chance, self.target
        payload = chance.choice(self.payloads if chance.random() < 0.4 else MADE)
        named = dict(payload.fields)
        kind = "events" if payload.content_type != FORM else ("voice" if "CallSid" in named and "DialCallStatus" not in named else "dial") if "CallSid" in named else "status" if "MessageStatus" in named else "messages"
        fields = [*named.items()] if payload.fields else None
        if fields is not None and chance.random() < 0.85:  # at home here
            local = {"AccountSid": target.credentials.account_sid, "To": chance.choice((target.number, target.number, target.number, self.victim.number))}
            local |= {name: f"{prefix}{chance.randrange(10**6):032x}" for name, prefix in (("MessageSid", "SM"), ("SmsSid", "SM"), ("CallSid", "CA")) if name in named}
            local |= {"From": chance.choice(SENDERS)} if "From" in named else {}
            fields = [(name, local.pop(name, value)) for name, value in fields] + [*local.items()]
        query = [("ref", chance.choice((target.ref, target.ref, self.victim.ref, "nobody")))] if kind == "status" else []
        draft = Draft(kind, "POST", payload.content_type, fields, payload.body, query)
        before = self._wire(draft)
        mutate(draft, chance)
        wire = self._wire(draft)
        if wire.body and not wire.is_form and chance.random() < 0.8:
            wire.query += (b"&" if wire.query else b"") + b"bodySHA256=" + hashlib.sha256(wire.body).hexdigest().encode()
        self._sign_twilio(wire, before)
        return wire

    def _sign_twilio(self, wire: Wire, before: Wire) -> None:
        chance, key, other = self.chance, self.target.credentials.auth_token, self.victim.credentials.auth_token
        wire.why = chance.choices(("good", "with port", "stale", "spoilt", "none", "another's", "no key", "garbage"), (66, 4, 8, 6, 5, 7, 2, 2))[0]
        made = twilio_signature(wire, key)
        given = {
            "good": made, "with port": twilio_signature(wire, key, wire.url.replace("localhost", "localhost:80", 1)), "stale": twilio_signature(before, key), "spoilt": made[:-3] + made[-3:].swapcase()[::-1],
            "none": "", "another's": twilio_signature(wire, other), "no key": twilio_signature(wire, ""), "garbage": chance.choice(("\xff" * 28, "A" * 10_000, " ", "=", made + made)),
        }[wire.why]
        if given:
            wire.headers["X-Twilio-Signature"] = given

    def _kannel(self) -> Wire:
        chance, target = self.chance, self.target
        kind = chance.choice(("messages", "messages", "status"))
        query = {
            "messages": [("from", chance.choice(SENDERS)), ("to", target.number), ("at", "1795329540"), ("coding", chance.choice("012")), ("smsc", "phones"), ("foreign", ""), ("id", f"{chance.randrange(10**6):x}")],
            "status": [("ref", chance.choice((target.ref, self.victim.ref, f"r{chance.randrange(1000)}"))), ("type", chance.choice(("1", "2", "4", "8", "16", "3"))), ("smsc", "phones"), ("at", "1795329540"), ("answer", "stat:EXPIRED err:001")],
        }[kind]
        payload = chance.choice(self.payloads)
        foreign = kind == "messages" and chance.random() < 0.2
        draft = Draft(kind, "POST" if kind == "messages" else "GET", payload.content_type if foreign else TEXT, None, payload.body if foreign else chance.choice(WORDS), query)
        if kind == "status":
            draft.body, draft.content_type = b"", ""
        before = dict(query).get("ref", "")
        mutate(draft, chance)
        wire = self._wire(draft)
        wire.why = chance.choices(("good", "stale", "for another purpose", "spoilt", "none", "another's", "twice", "no key"), (66, 8, 6, 5, 5, 6, 2, 2))[0]
        key, ref = target.credentials.hook_key, _single(wire.query).get("ref", "")
        made = kannel_signature(key, wire.kind, ref)
        given = {
            "good": made, "stale": kannel_signature(key, kind, before), "for another purpose": kannel_signature(key, "status" if wire.kind == "messages" else "messages", ref), "spoilt": made[::-1], "none": "",
            "another's": kannel_signature(self.victim.credentials.hook_key, wire.kind, ref), "twice": f"{made}&sig={made}", "no key": kannel_signature("", wire.kind, ref),
        }[wire.why]
        if given:
            wire.query += f"{'&' if wire.query else ''}sig={given}".encode()
        return wire

    def _wire(self, draft: Draft) -> Wire:
        draft.encode(self.chance)
        token = self.target.token
        path = unquote_to_bytes(quote(f"/hooks/sms/{token}/{draft.kind}", safe="/%"))
        length = self.chance.choices((len(draft.body), None, len(draft.body) + 7), (95, 4, 1))[0]
        return Wire(draft.method, path, draft.raw_query, draft.content_type, dict(draft.headers), draft.body, length)


# -- the attack ---------------------------------------------------------------------------------------------------


class Attack:
    """A chunk of requests to one account's carriers, with the other account looking on. `rung` is what the app enqueues: (job, arguments)."""

    def __init__(self, app: Flask, rung: Callable[[], list[tuple[str, tuple[Any, ...]]]], seed: str, *, payloads: list[Payload] | None = None, swapped: bool = False) -> None:
        self.app, self.rung, self.chance, self.report = app, rung, Random(seed), Report()
        with app.app_context():
            mine, theirs = cast(World(app), app)
            if swapped:
                mine, theirs = theirs, mine
            self.makers = [Maker(one, other, payloads or recorded(), self.chance) for one, other in zip(mine, theirs, strict=True)]
            self.victim = theirs[0].account_id
            self.untouched = fingerprint(self.victim)
            self.newest = newest()
            db.session.remove()
        self.rung().clear()
        self.accepted: deque[tuple[Wire, Maker]] = deque(maxlen=300)
        self.waiting: list[int] = []

    def run(self, count: int) -> Report:
        for i in range(count):
            self._one()
            if i % BATCH == BATCH - 1:
                self._look()
            if len(self.report.findings) >= 20:
                break
        self._look()
        return self.report

    def _one(self) -> None:
        chance, again = self.chance, None
        draw = chance.random()
        if self.accepted and draw < 0.09:
            again, maker = chance.choice(self.accepted)
            wire = again
            if draw < 0.03:  # what was signed for one account, brought to the other
                wire = Wire(**{**vars(again), "path": again.path.replace(maker.target.token.encode(), maker.victim.token.encode()), "why": "the other's address"})
        else:
            maker = chance.choice(self.makers)
            wire = maker.next()
        must = wire.why != "the other's address" and acceptable(wire, maker.target)
        before = self.newest
        try:
            status = self._send(wire)
        except Exception:
            self._found(wire, traceback.format_exc(limit=-4))
            return
        self.report.sent += 1
        self.report.statuses[status] += 1
        made = [args[0] for job, args in self.rung() if job == "apply_webhook"]
        self.rung().clear()
        with self.app.app_context():
            self.newest = newest()
            carriers = db.session.scalars(sa.select(WebhookEvent.carrier_id).where(WebhookEvent.id > before)).all()
        if status >= 500:
            self._found(wire, f"answered {status}")
        if list(carriers) != [maker.target.carrier_id] * len(made):
            self._found(wire, f"stored for {carriers}, rang for {made}")
        if must and not 200 <= status < 300:
            self._found(wire, f"was right and got {status}")
        if made and (not must or again is not None or len(made) > 1):
            self._found(wire, f"stored {len(made)} times with {status}" + (", again" if again else ""))
        if not must and status < 400 and wire.method != "OPTIONS":
            self._found(wire, f"was wrong and got {status}")
        if must and again is None:
            self.accepted.append((wire, maker))
        self.report.stored += len(made)
        self.waiting += made
        if chance.random() < 0.9:
            self._apply(wire)

    def _send(self, wire: Wire) -> int:
        got: list[int] = []

        def start(status: str, headers: Any, error: Any = None) -> Any:
            got.append(int(status[:3]))

        answer = self.app.wsgi_app(wire.environ(), start)
        b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        return got[-1]

    def _apply(self, wire: Wire | None = None) -> None:
        """Apply what waits, in any order, some of it twice."""
        ids, self.waiting = self.waiting, []
        self.chance.shuffle(ids)
        for event_id in ids:
            for _ in range(self.chance.choices((1, 2), (9, 1))[0]):
                try:
                    with self.app.app_context():
                        apply_webhook(event_id)
                    self.report.applied += 1
                except Exception:
                    self._found(wire, f"event {event_id} can't be applied: {traceback.format_exc(limit=-4)}")
        self.rung().clear()

    def _look(self) -> None:
        """Everything is applied, the unreadable has its reason, and the other account is as it was."""
        self._apply()
        with self.app.app_context():
            rows = db.session.scalars(sa.select(WebhookEvent).order_by(WebhookEvent.id.desc()).limit(BATCH)).all()
            for row in rows:
                if row.applied_at is None and not row.problem:  # one that is early waits, and says for what
                    self._found(None, f"event {row.id} was not applied")
                try:
                    row.carrier.adapter.parse(RawRequest(method=row.method, url=row.url, headers=row.headers, body=row.body))
                except Unreadable as error:
                    if row.problem != error.reason:
                        self._found(None, f"event {row.id} is unreadable ({error.reason}) and says {row.problem}")
            self.report.problems = db.session.scalar(sa.select(sa.func.count()).select_from(WebhookEvent).where(WebhookEvent.problem.is_not(None))) or 0
            if fingerprint(self.victim) != self.untouched:
                self._found(None, "something of the other account was touched")
                self.untouched = fingerprint(self.victim)

    def _found(self, wire: Wire | None, what: str) -> None:
        shown = f"{wire.method} {wire.url[:300]} {wire.content_type} {str(wire.headers)[:300]} {wire.body[:400]!r} ({len(wire.body)} bytes, {wire.length}, signature: {wire.why})" if wire else ""
        self.report.findings.append(f"#{self.report.sent}: {what}\n{shown}")


def newest() -> int:
    return db.session.scalar(sa.select(sa.func.max(WebhookEvent.id))) or 0


def fingerprint(account_id: int) -> str:
    """A digest of every row of an account, those of its rows' rows included."""
    owners = {mapper.local_table.name: mapper.local_table for mapper in Base.registry.mappers if "account_id" in mapper.local_table.c}
    found = hashlib.sha256()
    for table in Base.metadata.sorted_tables:
        if table.name == Account.__tablename__:
            rows = sa.select(table).where(table.c.id == account_id)
        elif "account_id" in table.c:
            rows = sa.select(table).where(table.c.account_id == account_id)
        else:
            link = next((key for key in table.foreign_keys if key.column.table.name in owners), None)
            if link is None:
                continue
            owner = owners[link.column.table.name]
            rows = sa.select(table).where(link.parent.in_(sa.select(link.column).where(owner.c.account_id == account_id)))
        found.update("\n".join(sorted(repr(tuple(row)) for row in db.session.execute(rows))).encode("utf-8", "replace"))
    return found.hexdigest()


def cast(world: World, app: Flask) -> tuple[list[Target], list[Target]]:
    """Two accounts with a carrier of each kind, an inbox on each, and a text that left through it."""
    with transaction():
        world.north_carrier.account_sid, world.north_carrier.auth_token = "AC" + "6" * 32, encrypt("f" * 32)
        world.front.forward_to = "+14155550177"
    return (
        [_target(world, world.carrier, world.front), _gateway(world, "+14155550188", harbor=True)],
        [_target(world, world.north_carrier, world.reception), _gateway(world, "+12065550188", harbor=False)],
    )


def _gateway(world: World, number: str, *, harbor: bool) -> Target:
    account, by, team = (world.harbor, world.dana, world.team) if harbor else (world.north, world.nina, world.reception.team)
    with transaction():
        carrier = Carrier.add(
            account, "kannel", name="Gateway", api_base="https://sms.example.com/cgi-bin/sendsms", user="inbox", password="secret", sender=number, public_url="http://localhost", by=by
        )
        inbox = Inbox.create(team, name="Night line", api_code="night", hue="teal", phone=number, number_sid=None, forward_to=None, description="", by=by, carrier=carrier)
    by.forget_inboxes()
    return _target(world, carrier, inbox)


def _target(world: World, carrier: Carrier, inbox: Inbox) -> Target:
    by = world.maya if inbox is world.front else world.dana if inbox.account_id == world.harbor.id else world.nina
    message = world.reply(world.conversation(inbox=inbox), by)
    with transaction():
        db.session.get_one(Message, message.id).provider_id = message.ref if carrier.kind == "kannel" else "SM" + "d" * 32
    return Target(carrier.account_id, carrier.id, carrier.adapter, carrier.hook_token, carrier.credentials, inbox.phone or "", message.ref)


__all__ = ["Attack", "Report", "form"]
