"""MSG-5 under kill -9: replies go in through the real pages, everything dies again and again, and the handsets are counted."""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import sqlalchemy as sa

from inbox.sandbox.wire import signature
from tests.faults.people import TIMEOUT, Agent, Customers, Text, replies
from tests.faults.system import Stopped, System, wait_until

AGENTS = 6
QUIET = 240.0  # seconds for everything to come to an end: leases, looks at the carrier's list one after the other, a busy machine
ON_THE_WAY = "SELECT count(*) FROM dispatch WHERE state IN ('queued', 'sending', 'checking')"
# A carrier in trouble: slow, failing before or after it took a text, hanging up, late with its list, silent about deliveries; all as the real one may be.
TROUBLE: tuple[dict[str, Any], ...] = (
    {"kind": "500", "match": "POST ", "probability": 0.03},
    {"kind": "500_after", "match": "Messages.json", "probability": 0.03},
    {"kind": "timeout", "match": "Messages.json", "probability": 0.06, "seconds": 0.2},
    {"kind": "timeout", "match": "Messages.json", "count": 2, "seconds": 17, "probability": 0.02},
    {"kind": "latency", "match": "Messages.json", "probability": 0.05, "seconds": 1.5},
    {"kind": "drop", "match": "POST ", "probability": 0.03, "count": 2},
    {"kind": "list_lag", "match": "GET ", "probability": 0.5, "seconds": 8},
    {"kind": "missing_receipt", "probability": 0.15},
    {"kind": "duplicate_webhook", "probability": 0.05},
    {"kind": "out_of_order", "probability": 0.05},
)
HICCUPS: tuple[dict[str, Any], ...] = tuple(fault for fault in TROUBLE if fault["kind"] in ("latency", "duplicate_webhook", "out_of_order")) + (
    {"kind": "timeout", "match": "Messages.json", "probability": 0.1, "seconds": 0.2},
)
WEIGHTS = {"worker-1": 5, "worker-2": 5, "web": 4, "scheduler": 2, "valkey": 2, "wipe": 2, "database": 5}


@dataclass
class Report:
    """What a run found. `lost` and `doubled` count replies that a handset did not get, or got once too often."""

    database: str
    seed: int
    messages: int = 0
    accepted: int = 0
    posts: int = 0
    refused: int = 0
    unanswered: int = 0
    kills: int = 0
    redis_wipes: int = 0
    db_kills: int = 0
    killed: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    uncertain: int = 0
    uncertain_but_sent: int = 0
    uncertain_shown: int = 0
    failed: int = 0
    stuck: int = 0
    looked_up: int = 0
    without_receipt: int = 0
    inbound: int = 0
    inbound_acknowledged: int = 0
    inbound_lost: int = 0
    inbound_doubled: int = 0
    unapplied: int = 0
    repeats: int = 0
    repeats_kept: int = 0
    seconds: float = 0.0
    problem: str = ""

    @property
    def passed(self) -> bool:
        wrong = self.lost + self.doubled + self.stuck + self.failed + self.refused + self.inbound_lost + self.inbound_doubled + self.unapplied
        return not wrong and not self.problem and self.uncertain_shown == self.uncertain and self.repeats_kept == (1 if self.repeats else 0)

    def asdict(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """A hard limit for the main thread, whatever it waits for."""

    def over(number: int, frame: object) -> None:
        raise Stopped(f"The run took longer than {seconds:.0f} seconds.")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Run:
    """One run on a system of its own."""

    def __init__(self, database: str, *, messages: int, kills: int, seed: int, faults: tuple[dict[str, Any], ...] = TROUBLE, plan: Sequence[str] = ()) -> None:
        self.dice = random.Random(seed)
        self.messages, self.faults = messages, faults
        self.plan = list(plan) or self.dice.choices(list(WEIGHTS), list(WEIGHTS.values()), k=kills)
        self.report = Report(database, seed, messages=messages)
        self.killed: Counter[str] = Counter()
        self.over = threading.Event()
        self.clients = contextlib.ExitStack()
        self.agents: list[Agent] = []
        self.began = time.monotonic()

    def say(self, what: str) -> None:
        """Tell on stderr how far the run is."""
        print(f"{time.monotonic() - self.began:6.1f} s  {what}", file=sys.stderr, flush=True)

    def go(self, limit: float = 600.0, keep: bool = False) -> Report:
        """Play the whole run; everything it started is gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="inbox-faults-")) if keep else None
        with limited(limit), tempfile.TemporaryDirectory(prefix="inbox-faults-", ignore_cleanup_errors=True) as directory:
            self.system = System(folder or Path(directory), self.report.database)
            try:
                self.system.start(AGENTS)
                self._play()
            except Stopped as stopped:
                self.report.problem = f"{stopped} {self.system.tails()}"
            finally:
                self.over.set()
                signal.setitimer(signal.ITIMER_REAL, 0)
                self.clients.close()
                self.system.stop()
        self.report.seconds = round(time.monotonic() - self.began, 1)
        return self.report

    # -- the play --

    def _play(self) -> None:
        system = self.system
        self.control = self.clients.enter_context(httpx.Client(base_url=system.carrier, timeout=30, trust_env=False))
        self.say("the system runs")
        self.control.post("/__sim/settings", json={"require_registration": False, "seed": self.report.seed}).raise_for_status()
        self.engine = sa.create_engine(system.settings.database_url, poolclass=sa.NullPool)
        phones = [f"+1415555{2000 + place}" for place in range(max(6, self.messages // 10))]
        self.customers = Customers(system.carrier, self.system.cast["number"], phones, self.messages // 4, self.over)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda phone: self.customers.write(phone, "Hello, is my order ready?"), phones))
        wait_until(lambda: len(self._conversations()) == len(phones), "the conversations to open")
        self.say("the conversations are open")
        texts = replies(self._conversations(), self.messages)
        for place, email in enumerate(system.cast["emails"]):
            mine = [text for text in texts if phones.index(text.phone) % AGENTS == place]
            self.agents.append(self._agent(email, mine))
        for fault in self.faults:
            self.control.post("/__sim/fault", json=fault).raise_for_status()
        for each in (*self.agents, self.customers):
            each.start()
        self.say("replies begin")
        self._break_things()
        self._repeat_a_webhook()
        self.say("all replies are in")
        self._settle()
        self.say("nothing is on its way any more")
        self._count()

    def _conversations(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(sa.text("SELECT address, public_id FROM conversation ORDER BY id"))}

    @property
    def accepted(self) -> int:
        return sum(len(agent.accepted) for agent in self.agents)

    def _break_things(self) -> None:
        """Kill something each time another share of the replies is in, until all are."""
        step = self.messages / (len(self.plan) + 1)
        while any(agent.is_alive() for agent in self.agents) or self.report.kills < len(self.plan):
            self.system.tend()
            alive = any(agent.is_alive() for agent in self.agents)
            if self.report.kills < len(self.plan) and (self.accepted >= step * (self.report.kills + 1) or not alive):
                self._strike()
            time.sleep(0.05)

    def _strike(self) -> None:
        target = self.plan[self.report.kills]
        pause = self.dice.uniform(0.2, 1.5)
        if target == "database" and self.system.postgres:
            target = self.system.postgres.strike(self.dice)
            self.report.db_kills += 1
        elif target == "database":
            writer = self.system.kill_writer(pause)
            if writer is None:
                return
            target = f"{writer} while it wrote"
            self.report.db_kills += 1
        elif target == "wipe":
            self.system.wipe(pause)
            self.report.redis_wipes += 1
        else:
            if not self.system.parts[target].running:
                return
            self.system.kill(target, pause)
        self.killed[target] += 1
        self.say(f"killed {target} after {self.accepted} replies")
        self.report.kills += 1

    def _repeat_a_webhook(self) -> None:
        """One customer's text, posted ten times at once with one signature: the carrier's retries at their worst."""
        sid = f"SM{self.dice.getrandbits(128):032x}"
        fields = [("MessageSid", sid), ("From", "+14155551999"), ("To", self.system.cast["number"]), ("Body", "Only once"), ("NumMedia", "0"), ("AccountSid", self._account())]
        headers = {"X-Twilio-Signature": signature(self.system.settings.twilio_auth_token, self.system.cast["hook"], fields), "Content-Type": "application/x-www-form-urlencoded"}

        def post(_: int) -> int:
            while True:
                try:
                    return httpx.post(self.system.cast["hook"], content=urlencode(fields), headers=headers, timeout=TIMEOUT, trust_env=False).status_code
                except httpx.HTTPError:
                    time.sleep(0.2)

        with ThreadPoolExecutor(10) as pool:
            self.report.repeats = [*pool.map(post, range(10))].count(200)
        self.repeated = sid

    def _account(self) -> str:
        return self.system.settings.twilio_account_sid

    # -- the end --

    def _settle(self) -> None:
        """Heal everything and wait until nothing is on its way any more."""
        self.over.set()
        self.control.delete("/__sim/fault").raise_for_status()
        for each in (*self.agents, self.customers):
            each.join(30)
        deadline = time.monotonic() + QUIET
        calm = 0
        while calm < 5 and time.monotonic() < deadline:
            self.system.tend()
            calm = calm + 1 if self._quiet() else 0
            time.sleep(0.5)

    def _quiet(self) -> bool:
        try:
            work = self.control.get("/__sim/state").json()["work"]
            return not (work["noted"] or work["busy"] or self._number(ON_THE_WAY) or self._number("SELECT count(*) FROM webhook_event WHERE applied_at IS NULL"))
        except (httpx.HTTPError, sa.exc.SQLAlchemyError):
            return False

    def _number(self, query: str, **values: Any) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(sa.text(query), values).scalar() or 0)

    def _count(self) -> None:
        report = self.report
        accepted = [text for agent in self.agents for text in agent.accepted]
        perhaps = [text for agent in self.agents for text in agent.unanswered]
        report.accepted, report.unanswered, report.posts = len(accepted), len(perhaps), sum(agent.posts for agent in self.agents)
        report.refused = sum(len(agent.refused) for agent in self.agents)
        report.problem = "; ".join(sorted({why for agent in self.agents for _, why in agent.refused}))[:500]
        report.killed = dict(self.killed)
        self._count_texts(accepted, perhaps)
        self._count_inbound()
        report.stuck = self._number(ON_THE_WAY)
        report.unapplied = self._number("SELECT count(*) FROM webhook_event WHERE applied_at IS NULL")
        report.looked_up = self._number("SELECT count(DISTINCT dispatch_id) FROM send_attempt WHERE outcome = 'checking'")
        report.repeats_kept = self._number("SELECT count(*) FROM message WHERE provider_id = :sid", sid=self.repeated)

    def _count_texts(self, accepted: list[Text], perhaps: list[Text]) -> None:
        """Compare, per handset and words, what was accepted with what arrived; what is uncertain may have arrived or not."""
        wanted, more = Counter((t.phone, t.body) for t in accepted), Counter((t.phone, t.body) for t in perhaps)
        arrived: Counter[tuple[str, str]] = Counter()
        for phone in {t.phone for t in (*accepted, *perhaps)}:
            for text in self.control.get(f"/__sim/handset/{phone}").json()["messages"]:
                if text["direction"] == "outbound-api" and text["status"] == "delivered":
                    arrived[phone, text["body"]] += 1
        unsure: Counter[tuple[str, str]] = Counter()
        nonces = {t.nonce for t in accepted}
        query = "SELECT m.id, m.nonce, m.state, m.body, c.address, c.public_id FROM message m JOIN conversation c ON c.id = m.conversation_id WHERE m.kind = 'out'"
        with self.engine.connect() as connection:
            rows = connection.execute(sa.text(query)).all()
        self.report.lost += len(nonces - {row.nonce for row in rows})
        for row in rows:
            if row.state == "uncertain":
                unsure[row.address, row.body] += 1
                self.report.uncertain_shown += self._shown(row.public_id, row.id)
            self.report.without_receipt += row.state in ("queued", "sending", "sent")
            self.report.failed += row.state in ("failed", "undelivered")
        self.report.uncertain = unsure.total()
        for key in wanted | more | arrived:
            least, most = wanted[key] - unsure[key], wanted[key] + more[key]
            self.report.lost += max(0, least - arrived[key])
            self.report.doubled += max(0, arrived[key] - most)
            self.report.uncertain_but_sent += max(0, arrived[key] - least)

    def _shown(self, conversation: str, message: int) -> bool:
        """Whether a person who opens the conversation is told and can decide."""
        page = self.agents[0].html.get(f"/c/{conversation}").text
        article = page.partition(f'id="m-{message}"')[2].partition("</article>")[0]
        return 'data-state="uncertain"' in article and "May have been sent" in article and "Mark as sent" in article

    def _agent(self, email: str, todo: list[Text]) -> Agent:
        agent = Agent(self.system.url, email, self.system.cast["password"], todo, self.over)
        self.clients.callback(agent.html.close)
        return agent

    def _count_inbound(self) -> None:
        """What the carrier got a 200 for must be in its conversation, once."""
        told = self._acknowledged()
        with self.engine.connect() as connection:
            kept = Counter(row[0] for row in connection.execute(sa.text("SELECT provider_id FROM message WHERE kind = 'in'")))
        self.report.inbound = len(self.customers.written)
        self.report.inbound_acknowledged = len(told)
        self.report.inbound_lost = sum(1 for sid in told if not kept[sid])
        self.report.inbound_doubled = sum(1 for number in kept.values() if number > 1)

    def _acknowledged(self) -> set[str]:
        query = "SELECT DISTINCT sid FROM log WHERE event = 'message.received' AND json_extract(data, '$.status') = 200"
        with contextlib.closing(sqlite3.connect(self.system.data / "sandbox.db")) as log:
            return {row[0] for row in log.execute(query)}
