"""CONV-8, MSG-1, LOCK-4, SEAT-5: a scheduled text leaves once at its moment, or says why not; nothing of it is ever lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import (
    Attachment,
    Conversation,
    Denied,
    Dispatch,
    Draft,
    Event,
    Holdings,
    LockLost,
    Message,
    Notice,
    Refused,
    ScheduledMessage,
    SendRefused,
    Stale,
    db,
    transaction,
)
from inbox.models.handover import Handover, imagined
from inbox.models.message import KEEP_UNSENT
from inbox.models.scheduled_message import Changed, choices
from inbox.models.scheduled_sending import drop_answered, drop_stopped, due, leave, lost
from jobs.send_message import send_message
from jobs.send_scheduled import send_scheduled
from tests.models.helpers import anew, failures, person, rows
from tests.models.test_listing import plan, statements
from tests.models.test_undo import Still

WORDS = "See you at nine."
LA = ZoneInfo("America/Los_Angeles")


@pytest.fixture
def still(monkeypatch, world):
    """Noon in Los Angeles on a Wednesday."""
    monkeypatch.setattr(clock, "datetime", Still)
    monkeypatch.setattr(Still, "at", datetime(2026, 11, 18, 20, tzinfo=UTC))
    return Still


def later(world, c, body=WORDS, by=None, hours=2.0, **more):
    with transaction():
        return ScheduledMessage.schedule(c, body, by=by or world.maya, at=clock.now() + timedelta(hours=hours), seen=more.pop("seen", c.last_inbound_id), **more)


def pass_time(still, hours=2.0):
    still.at += timedelta(hours=hours)
    return send_scheduled()


def sent(c):
    anew()
    return [(m.body, m.author_id, m.path) for m in db.session.scalars(sa.select(Message).where(Message.conversation_id == c.id, Message.kind == "out").order_by(Message.id))]


def state(row):
    anew()
    return row.state


def told(kind="scheduled"):
    anew()
    return db.session.scalars(sa.select(Notice.member_id).where(Notice.kind == kind)).all()


def file_of(world, name="a.png"):
    return Attachment(account_id=world.harbor.id, member_id=world.maya.id, state="stored", content_type="image/png", filename=name, size=9).save()


# -- the moments offered ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-18T10:00", {"today": "2026-11-18T17:00", "tomorrow": "2026-11-19T09:00", "monday": "2026-11-23T09:00"}),
        ("2026-11-18T16:45", {"tomorrow": "2026-11-19T09:00", "monday": "2026-11-23T09:00"}),
        ("2026-11-22T10:00", {"today": "2026-11-22T17:00", "tomorrow": "2026-11-23T09:00"}),
        ("2026-10-31T20:00", {"tomorrow": "2026-11-01T09:00", "monday": "2026-11-02T09:00"}),
    ],
)
def test_CONV_8_the_moments_offered_are_on_the_writers_clock(now, expected):
    found = choices(datetime.fromisoformat(now).replace(tzinfo=LA), LA)
    assert {key: at.astimezone(LA).isoformat()[:16] for key, at in found.items()} == expected


# -- made and left ---------------------------------------------------------------------------------------------------------


def test_CONV_8_it_leaves_once_at_its_moment_without_a_lock(world, still, bell):
    c = world.conversation()
    row = later(world, c)
    assert pass_time(still, 1.99) == 0 and sent(c) == []
    assert pass_time(still, 0.02) == 1 and pass_time(still, 0) == 0
    assert sent(c) == [(WORDS, world.maya.id, "scheduled")] and state(row) == "sent"
    message = db.session.get_one(Message, row.message_id)
    assert ("send_message", (Dispatch.of(message).id,)) in bell.rung and Dispatch.of(message).lane == "auto" and message.undo_until is None
    assert c.lock_holder() is None and c.owed_since is None and not c.unread
    assert not leave(row.id) and len(sent(c)) == 1


def test_LOCK_4_somebody_elses_lock_neither_stops_it_nor_is_lost(world, still):
    c = world.conversation()
    row = later(world, c)
    still.at += timedelta(hours=2)
    with transaction():
        held = c.acquire(by=world.theo)
        Draft.put(c, "I am typing", by=world.theo)
        Draft.put(c, "mine too", by=world.maya)
    assert send_scheduled() == 1 and state(row) == "sent"
    assert c.lock_holder().fence == held.fence and Draft.of(c, world.theo).body == "I am typing" and Draft.of(c, world.maya).body == "mine too"


def test_CONV_8_what_is_scheduled_is_no_draft_any_more_and_a_repeated_post_is_harmless(world, still):
    c = world.conversation()
    with transaction():
        Draft.put(c, WORDS, by=world.maya)
    one, two = later(world, c, nonce="n"), later(world, c, nonce="n")
    assert one.id == two.id and Draft.of(c, world.maya) is None and len(ScheduledMessage.of(c)) == 1


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(seconds=-1), timedelta(days=367)])
def test_CONV_8_the_past_and_more_than_a_year_are_refused(world, still, offset):
    c = world.conversation()
    with pytest.raises(Refused) as refused:
        later(world, c, hours=offset.total_seconds() / 3600)
    assert refused.value.field == "at" and ScheduledMessage.of(c) == []


def test_MSG_1_what_could_never_leave_is_refused_at_once(world, still):
    c = world.conversation()
    for body, error in (("", SendRefused), ("x" * 1601, SendRefused), ("Hi {{contact.first_name}}", SendRefused)):
        with pytest.raises(error):
            later(world, c, body)
    with pytest.raises(Stale):
        later(world, c, seen=0)
    for who in (world.vera, world.uma, world.olga, world.nina):
        with pytest.raises(Refused):
            later(world, c, by=who)
    with transaction():
        c.acquire(by=world.theo)
    with pytest.raises(LockLost, match="Theo"):
        later(world, c)
    world.text("STOP", sender=c.address)
    with pytest.raises(Refused):
        later(world, c, by=world.theo)
    anew()
    assert ScheduledMessage.of(c) == []


def test_CONV_8_a_first_text_waits_in_archived_and_says_how_to_opt_out(world, still):
    with transaction():
        row = ScheduledMessage.compose(world.front, "+14155550177", WORDS, by=world.maya, at=clock.now() + timedelta(hours=1))
    assert row.conversation.archived and sent(row.conversation) == []
    assert pass_time(still, 1) == 1
    assert sent(row.conversation)[0][0] == f"{WORDS}\nReply STOP to opt out." or not world.front.append_opt_out
    assert row.conversation.archived, "it stays there until they answer"


# -- files -----------------------------------------------------------------------------------------------------------------


def test_CONV_8_it_keeps_its_files_for_as_long_as_it_waits(world, still):
    c = world.conversation()
    with transaction():
        files = [file_of(world, "a.png"), file_of(world, "b.png")]
    row = later(world, c, hours=100, uploads=files)
    with pytest.raises(Refused, match="scheduled"):
        later(world, c, uploads=[files[0]])
    still.at += KEEP_UNSENT + timedelta(hours=2)
    with transaction():
        Attachment.forget_unsent()
    anew()
    assert [f.filename for f in row.files] == ["a.png", "b.png"]
    assert pass_time(still, 75) == 1
    assert [f.filename for f in db.session.get_one(Message, row.message_id).attachments] == ["a.png", "b.png"]


def test_CONV_8_canceled_it_is_a_draft_with_its_files_again(world, still):
    c = world.conversation()
    with transaction():
        upload = file_of(world)
        Draft.put(c, "typed since", by=world.maya)
    row = later(world, c, uploads=[upload])
    with transaction():
        Draft.put(c, "typed since", by=world.maya)
        row.cancel(by=world.maya)
    draft = Draft.of(c, world.maya)
    assert draft.body == f"{WORDS}\ntyped since" and draft.files == [upload.public_id] and state(row) == "canceled"
    with pytest.raises(Changed), transaction():
        row.cancel(by=world.maya)
    assert pass_time(still, 3) == 0 and sent(c) == []


# -- the customer, and the rules ----------------------------------------------------------------------------------------------


def test_CONV_8_an_answer_drops_it_says_so_and_tells_its_author(world, still, bell):
    c = world.conversation()
    row = later(world, c)
    world.text("Or is ten better?", sender=c.address)
    assert state(row) == "dropped" and row.why == "They wrote first." and told() == [world.maya.id]
    assert [d.kind for d in db.session.scalars(sa.select(Event).where(Event.conversation_id == c.id, Event.kind == "message.dropped"))] == ["message.dropped"]
    assert {"what": "scheduled", "account": c.account_id, "inbox": c.inbox_id, "conversation": c.id} in bell.facts
    assert pass_time(still, 3) == 0 and sent(c) == [] and ScheduledMessage.of(c) == [row], "its words are still there"
    with transaction():
        row.dismiss(by=world.maya)
    assert ScheduledMessage.of(c) == []


def test_CONV_8_without_the_tick_it_leaves_all_the_same_and_answers_nothing(world, still):
    c = world.conversation()
    with transaction():
        c.mark_read(by=world.maya)
    row = later(world, c, unanswered=False)
    world.text("What are your hours?", sender=c.address)
    assert pass_time(still) == 1 and state(row) == "sent"
    assert c.unread and c.owed_since is not None, "their question is still open"


def test_CONV_8_an_answer_in_a_newer_conversation_counts_too(world, still):
    c = world.conversation()
    with transaction():
        world.front.reopen = False
        c.archive(by=world.maya)
    row = later(world, c)
    assert world.text("Hello again", sender=c.address).conversation_id != c.id
    assert state(row) == "dropped"


def test_CONV_8_archived_stays_archived_and_snoozed_stays_snoozed(world, still):
    for number, put_away in (("+14155550161", lambda c: c.archive(by=world.maya)), ("+14155550162", lambda c: c.snooze(clock.now() + timedelta(days=3), by=world.maya))):
        c = world.conversation(sender=number)
        later(world, c)
        with transaction():
            put_away(c)
        before = c.snoozed_until
        assert pass_time(still) == 1 and c.archived and c.snoozed_until == before and len(sent(c)) == 1


def test_MSG_1_STOP_drops_all_that_is_scheduled_for_them(world, still):
    c, other = world.conversation(), world.conversation(sender="+14155550166")
    mine = [later(world, c), later(world, c, "Another", unanswered=False)]
    theirs = later(world, other)
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
    world.maya.forget_inboxes()
    elsewhere = later(world, world.conversation(sender=c.address, inbox=world.pharmacy))
    world.text("STOP", sender=c.address)
    assert [state(row) for row in (*mine, elsewhere, theirs)] == ["dropped", "dropped", "dropped", "waiting"]
    assert mine[1].why == "They want no more texts."


def test_MSG_1_quiet_hours_put_it_off_until_the_morning_and_an_answer_meanwhile_still_counts(world, still):
    c = world.conversation()
    row = later(world, c, hours=10)  # ten in the evening where they are
    assert pass_time(still, 10) == 0 and state(row) == "waiting"
    assert row.due_at.astimezone(LA).isoformat()[:16] == "2026-11-19T08:00" and row.planned_at < row.due_at and sent(c) == []
    assert pass_time(still, 10) == 1 and len(sent(c)) == 1
    second = later(world, c, hours=14)
    assert pass_time(still, 14) == 0
    world.text("Good morning", sender=c.address)
    assert state(second) == "dropped"


def unregister(world, c):
    c.inbox.registration.state = "suspended"


def block(world, c):
    c.contact.blocked_at = clock.now()


def revoke(world, c):
    c.inbox.account.id  # noqa: B018 - the rows are read before
    world.maya.deactivated_at = clock.now()


@pytest.mark.parametrize(("ends", "why"), [(unregister, "not registered"), (block, "blocked"), (revoke, "may no longer reply")])
def test_MSG_1_what_may_not_leave_is_held_with_the_reason_and_somebody_told(world, still, ends, why):
    c = world.conversation()
    with transaction():
        c.assign_to(world.theo, by=world.dana, expected=None)
    row = later(world, c)
    with transaction():
        ends(world, c)
    assert pass_time(still) == 0 and state(row) == "held" and why in row.why and sent(c) == []
    assert told() == [world.theo.id if ends is revoke else world.maya.id]
    assert pass_time(still) == 0 and ScheduledMessage.of(c) == [row], "until a person decides"


def test_MSG_1_a_text_that_is_much_too_late_asks_first(world, still):
    c = world.conversation()
    row = later(world, c)
    assert pass_time(still, 24) == 0 and state(row) == "held" and "moment passed" in row.why


def test_CONV_8_one_that_cannot_be_sent_does_not_stop_the_next(world, still, monkeypatch):
    c = world.conversation()
    first, second = later(world, c, "Broken"), later(world, c, "Whole", hours=2.1)
    reply = Conversation.reply
    monkeypatch.setattr(Conversation, "reply", lambda self, body, **more: 1 / 0 if body == "Broken" else reply(self, body, **more))
    assert pass_time(still, 2.5) == 1 and state(second) == "sent"
    assert state(first) == "waiting" and first.due_at > clock.now() and sent(c) == [("Whole", world.maya.id, "scheduled")]


# -- a person decides ----------------------------------------------------------------------------------------------------------


def test_CONV_8_changed_it_waits_for_its_new_moment(world, still):
    c = world.conversation()
    row = later(world, c)
    version = row.version
    with transaction():
        row.change("Ten is fine.", by=world.maya, at=clock.now() + timedelta(hours=4), unanswered=True, version=version)
    with pytest.raises(Changed), transaction():
        row.change("Eleven", by=world.maya, at=clock.now() + timedelta(hours=4), unanswered=True, version=version)
    assert pass_time(still, 3) == 0 and pass_time(still, 1) == 1 and sent(c)[0][0] == "Ten is fine."
    dropped = later(world, c)
    world.text("Hm", sender=c.address)
    anew()
    with transaction():
        dropped.change("Then at ten.", by=world.maya, at=clock.now() + timedelta(hours=1), unanswered=True, version=dropped.version)
    assert pass_time(still, 1) == 1, "scheduled again after their answer"


def test_CONV_8_send_now_is_a_reply_of_who_presses_it(world, still):
    c = world.conversation()
    row = later(world, c)
    with transaction():
        c.acquire(by=world.theo)
    with pytest.raises(LockLost), transaction():
        row.send_now(by=world.dana, seen=c.last_inbound_id)
    assert state(row) == "waiting"
    with transaction():
        c.release(by=world.theo)
        row.send_now(by=world.dana, seen=c.last_inbound_id)
    assert sent(c) == [(WORDS, world.dana.id, "reply")] and state(row) == "sent" and c.lock_holder() is None
    with pytest.raises(Changed), transaction():
        row.send_now(by=world.dana, seen=c.last_inbound_id)
    kept = later(world, c, unanswered=False)
    world.text("Wait", sender=c.address)
    with pytest.raises(Stale), transaction():
        kept.send_now(by=world.maya, seen=0)
    assert state(kept) == "waiting"


def test_CONV_8_only_its_author_and_who_may_take_over_decide(world, still):
    c = world.conversation()
    row = later(world, c)
    for who in (world.theo, world.vera, world.uma, world.olga, world.nina):
        with pytest.raises(Refused), transaction():
            row.cancel(by=who)
    with pytest.raises(Denied), transaction():
        row.change("x", by=world.theo, at=clock.now() + timedelta(hours=1), unanswered=True, version=row.version)
    assert state(row) == "waiting"
    with transaction():
        row.cancel(by=world.dana)
    assert (Draft.of(c, world.dana).body, Draft.of(c, world.dana).from_name) == (WORDS, "Maya Chen")


def test_CONV_8_lists_are_ones_own_or_everyones_and_paged(world, still):
    c = world.conversation()
    mine = [later(world, c, f"{n}", hours=5 - n).id for n in range(4)][::-1]
    theirs = later(world, c, by=world.theo, hours=6).id
    assert [r.id for r in ScheduledMessage.listing(world.maya)] == mine
    first = ScheduledMessage.listing(world.dana, everyone=True, limit=2)
    rest = ScheduledMessage.listing(world.dana, everyone=True, after=(first[-1].due_at, first[-1].id))
    assert [r.id for r in (*first, *rest)] == [*mine, theirs]
    assert ScheduledMessage.listing(world.nina, everyone=True) == ScheduledMessage.listing(world.olga, everyone=True) == []


# -- the end of its author's access ------------------------------------------------------------------------------------------------


def test_SEAT_5_it_goes_to_the_heir_or_is_a_draft_for_who_comes_next(world, still):
    c = world.conversation()
    row = later(world, c)
    assert Holdings.of(world.maya).scheduled == 1
    assert "1 scheduled text" in Handover.of(world.maya, imagined(world.maya, ended=True), reader=world.dana).words
    with transaction():
        world.maya.deactivate(by=world.dana, to=world.theo)
    assert state(row) == "waiting" and row.author_id == world.theo.id
    with transaction():
        world.front.remove_member(world.theo, by=world.dana)
    assert state(row) == "canceled"
    draft = Draft.of(c, world.ada)
    assert (draft.body, draft.author_id, draft.from_name) == (WORDS, None, "Theo Okafor")
    assert pass_time(still) == 0 and sent(c) == []


def test_SEAT_5_files_of_nobody_stay_with_their_text(world, still):
    c = world.conversation()
    with transaction():
        upload = file_of(world)
    row = later(world, c, uploads=[upload])
    with transaction():
        world.harbor.unseat(world.maya, by=world.dana)
    assert state(row) == "dropped" and row.files == [upload] and row.may_be_decided_by(world.theo)
    with transaction():
        row.cancel(by=world.theo)
    assert Draft.of(c, world.theo).files == [upload.public_id] and upload.member_id == world.theo.id


# -- races -------------------------------------------------------------------------------------------------------------------------


def many(world, n, **more):
    made = []
    for i in range(n):
        c = world.conversation(sender=f"+1415555{5100 + i}")
        made.append((later(world, c, f"<{i}>", hours=more.get("hours", 2)).id, c.id))
    return made


def count(conversation_id):
    return db.session.scalar(sa.select(sa.func.count(Message.id)).where(Message.conversation_id == conversation_id, Message.kind == "out"))


def test_CONV_8_many_sweepers_send_each_once(world, still, app, together):
    made = many(world, 8)
    still.at += timedelta(hours=2)
    results = together(lambda i: send_scheduled(), 4, app)
    assert not failures(results), results
    anew()
    assert sum(results) == 8 and [count(c) for _, c in made] == [1] * 8 and due() == []


def race(app, together, made, other):
    """One side lets each text leave while the other does something to it; what the other side won, by id."""
    gate, won = threading.Barrier(2), []

    def side(i):
        for row_id, conversation_id in made:
            gate.wait(60)
            if i:
                leave(row_id)
            elif other(row_id, conversation_id):
                won.append(row_id)
            db.session.remove()

    results = together(side, 2, app)
    assert not failures(results), results
    anew()
    return won


def test_CONV_8_cancel_and_send_never_both_win(world, still, app, together):
    made, maya = many(world, 12), world.maya.id
    still.at += timedelta(hours=2)

    def cancel(row_id, _):
        try:
            with transaction():
                db.session.get_one(ScheduledMessage, row_id).cancel(by=person(maya))
        except Changed:
            return False
        return True

    won = race(app, together, made, cancel)
    for row_id, c in made:
        canceled = row_id in won
        assert db.session.get_one(ScheduledMessage, row_id).state == ("canceled" if canceled else "sent") and count(c) == (not canceled)
        draft = db.session.scalar(sa.select(Draft.body).where(Draft.conversation_id == c))
        assert bool(draft) == canceled


@pytest.mark.parametrize("text", ["Wait!", "STOP"])
def test_CONV_8_what_comes_in_and_send_never_both_win(world, still, app, together, text):
    made = many(world, 10)
    still.at += timedelta(hours=2)
    addresses = {c.id: c.address for c in db.session.scalars(sa.select(Conversation))}

    def inbound(row_id, conversation_id):
        world.text(text, sender=addresses[conversation_id])
        return db.session.get_one(ScheduledMessage, row_id, populate_existing=True).state == "dropped"

    won = race(app, together, made, inbound)
    for row_id, c in made:
        assert db.session.get_one(ScheduledMessage, row_id).state == ("dropped" if row_id in won else "sent") and count(c) == (row_id not in won)
        came = db.session.scalar(sa.select(sa.func.max(Message.id)).where(Message.conversation_id == c, Message.kind == "in"))
        out = db.session.scalar(sa.select(Message.id).where(Message.conversation_id == c, Message.kind == "out"))
        assert out is None or out < came, "never after their answer"


def test_SEAT_5_the_end_of_access_and_send_never_both_win(world, still, app, together):
    made, maya, dana = many(world, 6), world.maya.id, world.dana.id
    still.at += timedelta(hours=2)
    gate = threading.Barrier(2)

    def side(i):
        gate.wait(60)
        if i:
            return send_scheduled()
        with transaction():
            person(maya).deactivate(by=person(dana))
        return 0

    results = together(side, 2, app)
    assert not failures(results), results
    anew()
    states = [db.session.get_one(ScheduledMessage, row).state for row, _ in made]
    assert set(states) <= {"sent", "canceled", "held"} and [count(c) for _, c in made] == [s == "sent" for s in states]


def test_CONV_8_killed_between_claim_and_send_it_leaves_at_the_next_sweep(world, still, monkeypatch):
    c = world.conversation()
    row = later(world, c)
    still.at += timedelta(hours=2)

    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    before = rows()
    with monkeypatch.context() as dying:
        dying.setattr(Conversation, "reply", die)
        with pytest.raises(Killed):
            leave(row.id)
    db.session.rollback()
    assert rows() == before and state(row) == "waiting" and sent(c) == []
    assert send_scheduled() == 1 and len(sent(c)) == 1


def test_CONV_8_the_carrier_gets_it_once(world, still, bell, monkeypatch):
    from inbox.channels.base import Sent, Status
    from inbox.channels.twilio import Twilio

    texts = []
    monkeypatch.setattr(Twilio, "send", lambda adapter, credentials, outgoing: texts.append(outgoing.text) or Sent(f"SM{outgoing.ref}"[:34], Status.QUEUED, 1))
    row = later(world, world.conversation())
    pass_time(still)
    box = Dispatch.of(db.session.get_one(Message, row.message_id)).id
    for _ in range(3):
        send_message(box)
    assert texts == [WORDS]


# -- cost --------------------------------------------------------------------------------------------------------------------------


def filled(world, n):
    """Many texts in many conversations, most of them over."""
    with transaction():
        talks = [world.conversation(sender=f"+1415556{i:04}").id for i in range(30)]
        now = clock.now()
        db.session.execute(
            sa.insert(ScheduledMessage),
            [
                {
                    "account_id": world.harbor.id, "conversation_id": talks[i % 30], "author_id": world.theo.id if i % 3 else world.maya.id, "body": f"{i}", "planned_at": now,
                    "due_at": now + timedelta(minutes=i), "unanswered": True, "seen": 0, "state": "sent" if i % 40 else "waiting", "why": "", "version": 0, "created_at": now,
                    "public_id": f"s{i}",
                }
                for i in range(n)
            ],
        )
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")
    return talks


def test_CONV_8_no_look_at_them_reads_those_that_are_over(world, database):
    talks = filled(world, 6000)
    anew()
    c, who = db.session.get(Conversation, talks[0]), world.dana
    _ = who.readable_inbox_ids, c.inbox_id, c.account_id, c.address
    with statements() as seen:
        due()
        ScheduledMessage.of(c)
        first = ScheduledMessage.listing(who, everyone=True)
        ScheduledMessage.listing(who, everyone=True, after=(first[-1].due_at, first[-1].id))
        ScheduledMessage.listing(world.maya)
        drop_answered(c)
        drop_stopped(c.account_id, c.address)
        lost(world.theo)
    asked = [(words, values) for words, values in seen if "scheduled_message" in words and words.startswith(("SELECT", "UPDATE"))]
    steps = [line for words, values in asked for line in plan(words, values, database)]
    bad = [line for line in steps if line.startswith("SCAN scheduled_message") and "INDEX" not in line or "Seq Scan on scheduled_message" in line]
    assert len(asked) >= 8 and not bad, bad
    db.session.rollback()


def test_CONV_8_a_longer_list_costs_no_more_statements(world):
    filled(world, 2000)
    counted = []
    for limit in (2, 40):
        anew()
        who = world.dana
        _ = who.readable_inbox_ids
        with statements() as seen:
            [(r.author.name, r.conversation.contact.name, r.conversation.inbox.name, r.files) for r in ScheduledMessage.listing(who, everyone=True, limit=limit)]
        counted.append(len(seen))
    assert counted[0] == counted[1] <= 4
