"""MSG-1: one gate, every path, a stored verdict; a wait holds a text without holding up the ones after it."""

from __future__ import annotations

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path as File

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Dispatch, Message, SendRefused, db, transaction
from inbox.models import gate as the_gate
from inbox.models.gate import Path, judge

TOMORROW = timedelta(hours=10)
NOON, LATE = datetime(2026, 11, 20, 20, 0, tzinfo=UTC), datetime(2026, 11, 21, 5, 40, tzinfo=UTC)  # Friday in San Francisco: 12:00 and 21:40
ROOT = File(__file__).parent.parent.parent


def no_quiet_hours(world):
    with transaction():
        world.front.quiet = "off"


def at(moment):
    """Move the clock to a moment."""
    clock.shift((moment - clock.now()).total_seconds())


@pytest.fixture
def night(world, monkeypatch):
    """A rule that makes every text no person pressed Send for wait ten hours; returns the moment it ends, and `over` ends it."""
    until = clock.now() + TOMORROW
    no_quiet_hours(world)

    def ask(case):
        waits = not case.path.live and case.at < until
        return not waits, "It is 21:40 at the contact" if waits else "", until if waits else None

    monkeypatch.setattr(the_gate, "RULES", (*the_gate.RULES, ("night", ask)))
    return until


def test_MSG_1_every_message_keeps_the_verdict_and_its_path(world):
    c = world.conversation()
    message = world.reply(c, world.maya)
    assert message.path == "reply"
    assert {a["rule"] for a in message.verdict} >= {rule for rule, _ in the_gate.RULES}
    assert all(a["passed"] for a in message.verdict)
    with transaction():
        composed = c.compose(world.front, "+14155550177", "Hello", by=world.maya)
    assert composed.path == "compose"


@pytest.mark.parametrize("path", [p for p in Path if not p.live])
def test_MSG_1_a_wait_holds_every_automatic_path_and_nothing_after_it(world, night, path):
    c = world.conversation()
    with transaction():
        held = c.answer_automatically("We open at eight.", path=path)
    dispatch = Dispatch.of(held)
    assert dispatch.held_until == night and dispatch.claim_it() is None
    assert held.hold["until"] == night and held.hold["sentence"] == "It is 21:40 at the contact"
    live = world.reply(c, world.maya)
    assert Dispatch.of(live).held_until is None
    with transaction():
        assert Dispatch.of(live).claim_it(), "a person's reply does not wait with it"


def test_MSG_1_a_refusal_beats_a_wait(world, night):
    c = world.conversation("STOP")
    assert judge(c, "Hi", path=Path.BULK).refusal.rule == "consent"
    with transaction():
        assert c.answer_automatically("Hi", path=Path.BULK) is None
    with pytest.raises(SendRefused):
        c.gate("Hi", path=Path.BULK)


def test_MSG_1_the_job_asks_again_and_puts_off_what_may_not_leave_now(world, monkeypatch, night):
    from jobs.send_message import send_message

    monkeypatch.setattr(the_gate, "RULES", the_gate.RULES[:-1])
    c = world.conversation()
    with transaction():
        message = c.answer_automatically("We open at eight.", path=Path.AWAY)
    monkeypatch.undo()
    until = clock.now() + TOMORROW
    monkeypatch.setattr(the_gate, "RULES", (*the_gate.RULES, ("night", lambda case: (False, "It is night at the contact", until))))
    dispatch_id = Dispatch.of(message).id
    db.session.rollback()
    send_message(dispatch_id)
    dispatch = db.session.get_one(Dispatch, dispatch_id)
    assert (dispatch.state, dispatch.attempt, dispatch.held_until) == ("queued", 0, until)
    assert dispatch.message.state == "queued" and dispatch.message.hold["sentence"] == "It is night at the contact"


# -- quiet hours ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", list(Path))
def test_MSG_1_quiet_hours_hold_what_nobody_presses_send_for_now(world, path):
    at(LATE)
    c = world.conversation()
    world.named(c, "Priya")
    judgement = judge(c, "Hi", path=path)
    answer = next(a for a in judgement.answers if a.rule == "quiet")
    if path is Path.AUTO:
        assert answer.passed and not answer.sentence, "a confirmation goes at once"
    else:
        assert answer.sentence == "It is 21:40 for Priya."
        assert answer.passed == path.live and (answer.until is None) == path.live
    assert (judgement.until is None) == (path.live or path is Path.AUTO) and judgement.refusal is None
    if path.live:
        assert judgement.warnings == ["It is 21:40 for Priya."]
    else:
        assert judgement.until in (None, datetime(2026, 11, 21, 16, 0, tzinfo=UTC))
    at(NOON)
    assert judge(c, "Hi", path=path).until is None and not judge(c, "Hi", path=path).warnings


def test_MSG_1_the_answer_to_stop_goes_at_night(world):
    at(LATE)
    c = world.conversation("STOP")
    answer = db.session.scalars(sa.select(Message).where(Message.conversation_id == c.id, Message.kind == "auto")).one()
    assert Dispatch.of(answer).held_until is None


def test_MSG_1_quiet_hours_go_by_the_contacts_fields_and_the_inboxs_setting(world):
    at(LATE)
    c = world.conversation()
    held = lambda: judge(c, "Hi", path=Path.AWAY).until  # noqa: E731
    assert held()
    with transaction():
        c.contact.fields = {"Time zone": "Pacific/Honolulu"}
    assert held() is None
    with transaction():
        c.contact.fields = {"ZIP": "10001"}
    assert held() == datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
    for mode, opens, closes, wanted in (("own", 480, 1439, None), ("own", 600, 1200, datetime(2026, 11, 21, 18, 0, tzinfo=UTC)), ("off", 480, 1260, None)):
        with transaction():
            c.contact.fields = {}
            world.front.quiet, world.front.quiet_opens, world.front.quiet_closes = mode, opens, closes
        assert held() == wanted, mode


def test_MSG_1_a_number_that_tells_nothing_goes_by_the_accounts_clock(world):
    at(LATE)
    c = world.conversation(sender="+999123456")
    assert judge(c, "Hi", path=Path.AWAY).until == datetime(2026, 11, 21, 16, 0, tzinfo=UTC)


# -- nothing leaves without it ----------------------------------------------------------------------------------------


def calls(path, names):
    """The functions of a file in which something of these names is called."""
    found = []

    def walk(node, inside):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = f"{inside}.{node.name}".strip(".")
        if isinstance(node, ast.Call):
            parts = [node.func.attr] if isinstance(node.func, ast.Attribute) else []
            owner = node.func.value if isinstance(node.func, ast.Attribute) else node.func
            parts.insert(0, owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else "")
            if ".".join(p for p in parts if p) in names:
                found.append(inside)
        for child in ast.iter_child_nodes(node):
            walk(child, inside)

    walk(ast.parse(path.read_text()), "")
    return found


def product_files():
    for path in [*ROOT.glob("inbox/**/*.py"), *ROOT.glob("jobs/*.py")]:
        if not path.is_relative_to(ROOT / "inbox/sandbox") and not path.is_relative_to(ROOT / "inbox/migrations"):
            yield path, path.relative_to(ROOT).as_posix()


@pytest.mark.one_database
def test_MSG_1_only_the_outboxs_job_speaks_to_a_carrier():
    for path, name in product_files():
        where = calls(path, {"adapter.send", "work.adapter.send"})
        assert (not where) or (name, where) == ("jobs/send_message.py", ["_send"]), (name, where)
    job = (ROOT / "jobs/send_message.py").read_text()
    assert job.index("claim_it()") < job.index("not _still_allowed(") < job.index("adapter.send(")


@pytest.mark.one_database
def test_MSG_1_only_one_method_writes_a_text_that_leaves_and_puts_it_in_the_outbox():
    queued = [(name, where) for path, name in product_files() for where in calls(path, {"Dispatch.queue"})]
    assert queued == [("inbox/models/conversation/replying.py", "Replying._write")]
    rows = [(name, where) for path, name in product_files() for where in calls(path, {"Dispatch"})]
    assert rows == [("inbox/models/message.py", "Dispatch.queue")]
    package = ROOT / "inbox/models/conversation"
    wrote = {(path.name, where) for path in package.glob("*.py") for where in calls(path, {"self._write"})}
    assert wrote and all(name == "replying.py" for name, _ in wrote)
    source = (package / "replying.py").read_text()
    for _, where in wrote:
        body = next(ast.get_source_segment(source, n) for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == where.rpartition(".")[2])
        assert body.index("judge(") < body.index("self._write("), f"{where} writes before it asks"
    for path, name in product_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Message":
                kinds = [k.value for k in node.keywords if k.arg == "kind"]
                made = kinds[0].value if kinds and isinstance(kinds[0], ast.Constant) else "any"
                assert made in ("note", "in", "call") or name == "inbox/models/conversation/replying.py", (name, node.lineno)


def test_MSG_1_every_text_of_every_path_keeps_every_rules_answer(world):
    at(LATE)
    c = world.conversation("HELP")
    world.conversation("STOP", sender="+14155550166")
    world.reply(c, world.maya)
    with transaction():
        c.compose(world.front, "+14155550177", "Hello", by=world.maya)
        for path in Path:
            if not path.live:
                assert c.answer_automatically("We open at eight.", path=path)
    texts = db.session.scalars(sa.select(Message).where(Message.kind.in_(("out", "auto")))).all()
    assert {m.path for m in texts} >= {p for p in Path if p is not Path.OPT_IN}
    for message in texts:
        assert [a["rule"] for a in message.verdict] == [rule for rule, _ in the_gate.RULES], message.path
        assert Dispatch.of(message)
