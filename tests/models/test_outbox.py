"""MSG-5 at the model: the outbox claims once, keeps order, and believes receipts in whatever order they come (L05, L07, L23)."""

from __future__ import annotations

import itertools

import pytest

from inbox import clock
from inbox.channels.base import RANK, Receipt, Status
from inbox.models import Attachment, Conversation, Denied, Dispatch, Message, NoSeat, ReceiptRow, Refused, SendAttempt, SendRefused, db, transaction
from inbox.models.event import Event
from inbox.models.message import GIVE_UP
from tests.models.helpers import anew, failures, person, rows


@pytest.fixture
def queue(world):
    """Queue replies of Maya in a conversation; returns their outbox rows."""

    def put(*bodies, sender="+14155550134"):
        c = world.conversation(sender=sender)
        with transaction():
            fence = c.acquire(by=world.maya).fence
            return [Dispatch.of(c.reply(b, by=world.maya, fence=fence, seen=c.last_inbound_id, anyway=True)) for b in bodies]

    return put


def claimed(dispatch):
    with transaction():
        return dispatch.claim_it()


def receipt(message, status, *, known=True, ref=False, code=None, dedupe=None):
    sid = message.provider_id or "SMX"
    return Receipt(
        dedupe=dedupe or f"{sid}:{status}", provider_id=sid if known else "SM-nobody", ref=message.ref if ref else None, status=Status(status), error_code=code,
        error_text=f"Problem {code}" if code else None, occurred_at=None,
    )


def take(message, status, **kwargs):
    with transaction():
        return ReceiptRow.take(message.account_id, receipt(message, status, **kwargs))


def sent(dispatch, sid="SMX", status="queued"):
    claim = claimed(dispatch)
    with transaction():
        dispatch.accepted(claim, sid, status, 1)
    return dispatch.message


# -- claiming -----------------------------------------------------------------------------------------------------


def test_16_threads_claim_one_row_and_one_gets_it(world, app, queue, together):
    (dispatch,) = queue("Hi")

    def grab(_):
        with transaction():
            return db.session.get(Dispatch, dispatch.id).claim_it()

    results = together(grab, 16, app)
    assert not failures(results) and len([r for r in results if r]) == 1, results
    anew()
    assert (dispatch.state, dispatch.attempt) == ("sending", 1)
    attempt = db.session.query(SendAttempt).one()
    assert attempt.claim == dispatch.claim and attempt.ended_at is None


def test_L23_a_conversations_texts_leave_in_order(world, bell, queue):
    first, second, third = queue("1", "2", "3")
    (other,) = queue("elsewhere", sender="+14155550135")
    assert claimed(third) is None and claimed(second) is None
    claim = claimed(first)
    assert claim and claimed(second) is None and claimed(other)
    bell.rung.clear()
    with transaction():
        first.accepted(claim, "SM1", "queued", 1)
    assert bell.rung == [("send_message", (second.id,))]
    claim = claimed(second)
    with transaction():
        second.later(claim, "Too many requests.", "20429", 30)
    assert claimed(second) is None and claimed(third) is None, "the third waits for the second's next try"
    clock.shift(31)
    assert claimed(third) is None
    claim = claimed(second)
    with transaction():
        second.refused(claim, "Not a number.", "21211")
    assert claimed(third)


def test_L23_an_uncertain_text_holds_nobody_up(world, bell, queue):
    first, second = queue("1", "2")
    claim = claimed(first)
    bell.rung.clear()
    with transaction():
        first.unknown(claim, "Nobody can tell.")
    assert bell.rung == [("send_message", (second.id,))] and claimed(second)


def test_L23_bursts_by_many_workers_arrive_in_order(world, app, queue, together):
    ids = [d.id for n in range(3) for d in queue(*"abcde", sender=f"+141555502{n:02}")]
    out = []

    def work(_):
        for _ in range(40):
            for id in reversed(ids):
                with transaction():
                    dispatch = db.session.get(Dispatch, id)
                    claim = dispatch.claim_it()
                if claim:
                    out.append((dispatch.conversation_id, id))
                    with transaction():
                        dispatch.accepted(claim, f"SM{id}", "sent", 1)
            if len(out) == len(ids):
                return True
        return False

    results = together(work, 4, app)
    assert not failures(results), results
    assert len(out) == len(set(out)) == len(ids)
    for conversation in {c for c, _ in out}:
        mine = [id for c, id in out if c == conversation]
        assert mine == sorted(mine)


def test_a_lease_that_is_over_is_looked_at_before_anything_is_sent(world, queue):
    (dispatch,) = queue("Hi")
    first = claimed(dispatch)
    assert claimed(dispatch) is None
    clock.shift(34)
    assert claimed(dispatch) is None
    clock.shift(2)
    second = claimed(dispatch)
    assert second and second != first and (dispatch.state, dispatch.attempt) == ("checking", 2)
    assert [a.claim for a in db.session.query(SendAttempt).order_by(SendAttempt.id)] == [first, second]
    with transaction():  # the first worker wakes up: it has nothing to say any more
        dispatch.accepted(first, "SMLATE", "queued", 1)
        dispatch.refused(first, "no", "1")
        dispatch.later(first, "busy", None, 1)
        dispatch.unknown(first, "who knows")
        dispatch.look_again(first, 1)
    anew()
    assert (dispatch.state, dispatch.claim, dispatch.message.state, dispatch.message.provider_id) == ("checking", second, "queued", None)
    with transaction():
        dispatch.accepted(second, "SM1", "queued", 2)
    assert (dispatch.state, dispatch.message.state, dispatch.message.segments) == ("sent", "sending", 2)


# -- how a try can end --------------------------------------------------------------------------------------------


def test_accepted_says_so_and_keeps_the_carriers_id(world, queue):
    message = sent(*queue("Hi"), sid="SM9", status="sent")
    assert (message.state, message.provider_id) == ("sent", "SM9")
    attempt = db.session.query(SendAttempt).populate_existing().one()
    assert (attempt.outcome, attempt.detail) == ("accepted", "SM9") and attempt.ended_at


def test_refused_says_why_and_marks_the_conversation(world, queue):
    (dispatch,) = queue("Hi")
    claim = claimed(dispatch)
    with transaction():
        dispatch.refused(claim, "This number can’t get texts." + "!" * 500, "30006")
    message = dispatch.message
    assert (dispatch.state, message.state, message.error_code, len(message.error_text)) == ("failed", "failed", "30006", 400)
    assert message.conversation.failed and claimed(dispatch) is None


def test_later_backs_off_and_gives_up_after_some_tries(world, queue):
    (dispatch,) = queue("Hi")
    waits = []
    for n in range(1, GIVE_UP + 1):
        claim = claimed(dispatch)
        assert claim, n
        with transaction():
            dispatch.later(claim, "The carrier is busy.", "20429", None)
        if n < GIVE_UP:
            assert (dispatch.state, dispatch.message.state) == ("queued", "queued")
            waits.append((dispatch.next_at - clock.now()).total_seconds())
            assert claimed(dispatch) is None
            clock.shift(301)
    assert all(min(300, 2**n) * 0.4 < wait <= min(300, 2**n) for n, wait in enumerate(waits, 1)), waits
    assert dispatch.state == dispatch.message.state == "failed"
    assert dispatch.message.error_text == f"The carrier is busy. We tried {GIVE_UP} times."


def test_look_again_waits_and_stays_ambiguous(world, queue):
    (dispatch,) = queue("Hi")
    claim = claimed(dispatch)
    with transaction():
        dispatch.look_again(claim, 4)
    assert dispatch.state == "checking" and claimed(dispatch) is None
    clock.shift(5)
    again = claimed(dispatch)
    assert again and dispatch.state == "checking"
    with transaction():
        dispatch.unknown(again, "It may have gone out.")
    assert dispatch.state == dispatch.message.state == "uncertain" and dispatch.message.conversation.failed
    clock.shift(100)
    assert claimed(dispatch) is None and dispatch.id not in Dispatch.due()


# -- receipts -----------------------------------------------------------------------------------------------------


def test_L05_receipts_in_every_order_end_in_the_same_state(world, queue):
    statuses = ("queued", "sending", "sent", "delivered", "failed", "undelivered")
    (dispatch,) = queue("Hi")
    message = sent(dispatch)
    for order in itertools.permutations(statuses, 4):
        with transaction():
            message.state, message.error_code = "queued", None
            for status in order:
                message.take_receipt(receipt(message, status, code="30003" if status == "undelivered" else None))
        best = max(RANK[Status(s)] for s in order)
        allowed = {s for s in order if RANK[Status(s)] == best}
        assert message.state == ("delivered" if "delivered" in order else next(s for s in order if s in allowed)), order
        assert message.error_code == ("30003" if "undelivered" in order else None), "an error is never erased"


def test_every_receipt_is_kept_once(world, queue):
    message = sent(*queue("Hi"))
    assert take(message, "sent") and not take(message, "sent") and take(message, "delivered") and not take(message, "sent")
    assert message.state == "delivered" and db.session.query(ReceiptRow).count() == 2
    assert take(message, "sent", dedupe="per-segment-2"), "a different receipt of the same status is another row"
    anew()
    assert message.state == "delivered"


def test_16_threads_with_the_same_receipt_apply_it_once(world, app, queue, together, bell):
    message = sent(*queue("Hi"))
    item = receipt(message, "delivered")
    account = message.account_id

    def deliver(_):
        with transaction():
            return ReceiptRow.take(account, item)

    results = together(deliver, 16, app)
    assert not failures(results) and results.count(True) == 1, results


def test_a_receipt_before_the_answer_is_applied_when_the_answer_comes(world, queue):
    (dispatch,) = queue("Hi")
    claim = claimed(dispatch)
    message = dispatch.message
    assert take(message, "delivered")
    assert take(message, "sent")
    assert message.state == "queued" and db.session.query(ReceiptRow).filter_by(message_id=None).count() == 2
    with transaction():
        dispatch.accepted(claim, "SMX", "queued", 1)
    assert message.state == "delivered" and db.session.query(ReceiptRow).populate_existing().filter_by(message_id=message.id).count() == 2


def test_a_receipt_with_our_reference_needs_no_answer(world, queue):
    (dispatch,) = queue("Hi")
    claim = claimed(dispatch)
    message = dispatch.message
    assert take(message, "delivered", ref=True)
    assert message.state == "delivered"
    with transaction():
        dispatch.accepted(claim, "SMX", "queued", 1)
    assert message.state == "delivered" and dispatch.state == "sent" and message.provider_id == "SMX"


@pytest.mark.parametrize("status", ["sent", "delivered", "read", "undelivered", "failed"])
def test_a_receipt_settles_an_uncertain_text(world, queue, status):
    (dispatch,) = queue("Hi")
    claim = claimed(dispatch)
    with transaction():
        dispatch.unknown(claim, "Nobody can tell.")
    message = dispatch.message
    take(message, status, ref=True)
    anew()
    assert message.state == status
    assert dispatch.state == "sent" and message.provider_id == "SMX"
    assert message.conversation.failed == (status in ("failed", "undelivered"))
    assert db.session.query(Event).filter_by(kind="message.known").count() == 1
    if status in ("sent", "delivered", "read"):
        with pytest.raises(Refused), transaction():
            message.try_again(by=world.maya)
    with pytest.raises(Refused), transaction():
        message.mark_sent(by=world.maya)


@pytest.mark.parametrize("end", ["unknown", "look_again"])
def test_a_receipt_while_the_carrier_is_asked_is_not_forgotten(world, queue, end):
    (dispatch,) = queue("Hi")
    claimed(dispatch)
    clock.shift(61)
    claim = claimed(dispatch)
    assert dispatch.state == "checking"
    message = dispatch.message
    take(message, "delivered", ref=True)
    with transaction():
        dispatch.unknown(claim, "Nobody can tell.") if end == "unknown" else dispatch.look_again(claim, 1)
    anew()
    assert message.state == "delivered" and dispatch.state == "sent"
    clock.shift(100)
    assert claimed(dispatch) is None


def test_a_receipt_for_another_companys_text_changes_nothing(world, queue):
    message = sent(*queue("Hi"))
    with transaction():
        assert ReceiptRow.take(world.north.id, receipt(message, "failed", ref=True))
    anew()
    assert message.state == "sending"


def test_a_receipt_never_touches_what_a_customer_wrote(world):
    message = world.text("Hi", sid="SMX")
    take(message, "failed")
    anew()
    assert message.state == "received"


# -- the sweeper --------------------------------------------------------------------------------------------------


def test_the_sweeper_finds_what_the_queue_lost_and_does_not_flood_it(world, queue):
    (dispatch,) = queue("Hi")
    assert Dispatch.due() == []
    clock.shift(4)
    with transaction():
        assert Dispatch.due() == [dispatch.id]
    with transaction():
        assert Dispatch.due() == []
    clock.shift(11)
    with transaction():
        assert Dispatch.due() == [dispatch.id]
    claim = claimed(dispatch)
    clock.shift(30)
    assert Dispatch.due() == [], "a worker has it"
    clock.shift(34)
    with transaction():
        assert Dispatch.due() == [dispatch.id], "the worker's lease is over"
    with transaction():
        dispatch.accepted(claim, "SM1", "sent", 1)
    clock.shift(100)
    assert Dispatch.due() == []


# -- a person decides ---------------------------------------------------------------------------------------------


def fail(dispatch, how="refused"):
    claim = claimed(dispatch)
    with transaction():
        dispatch.refused(claim, "Unreachable.", "30003") if how == "refused" else dispatch.unknown(claim, "Nobody can tell.")
    return dispatch.message


@pytest.mark.parametrize("how", ["refused", "unknown"])
def test_try_again_sends_the_same_text_once_more(world, bell, queue, how):
    (dispatch,) = queue("Hi")
    message = fail(dispatch, how)
    ref = message.ref
    bell.rung.clear()
    with transaction():
        message.try_again(by=world.theo)
    assert bell.rung == [("send_message", (dispatch.id,))]
    assert (message.state, message.provider_id, message.error_code, dispatch.state, dispatch.attempt) == ("queued", None, None, "queued", 0)
    assert message.ref != ref and not message.conversation.failed
    with pytest.raises(Refused), transaction():
        message.try_again(by=world.theo)
    message = sent(dispatch, "SM2", "sent")
    assert message.state == "sent" and db.session.query(Message).filter_by(kind="out").count() == 1
    assert db.session.query(Event).filter_by(kind="message.tried_again").one().actor_id == world.theo.id


def test_try_again_after_the_carrier_could_not_deliver(world, queue):
    (dispatch,) = queue("Hi")
    message = sent(dispatch)
    take(message, "undelivered", code="30003")
    with transaction():
        message.try_again(by=world.maya)
    take(message, "failed", known=False, dedupe="old")
    anew()
    assert message.state == "queued" and claimed(dispatch)


def test_try_again_of_a_picture_without_words(world):
    c = world.conversation()
    with transaction():
        fence = c.acquire(by=world.maya).fence
        message = c.reply("", by=world.maya, fence=fence, seen=c.last_inbound_id, uploads=[Attachment(account_id=c.account_id, content_type="image/png", state="stored")])
    anew()
    fail(Dispatch.of(message))
    with transaction():
        message.try_again(by=world.maya)
    assert message.state == "queued"


def test_two_people_try_again_at_once_and_it_leaves_once(world, app, queue, together):
    (dispatch,) = queue("Hi")
    message = fail(dispatch)
    ids = [world.maya.id, world.theo.id]

    def again(i):
        with transaction():
            db.session.get(Message, message.id).try_again(by=person(ids[i % 2]))

    results = together(again, 8, app)
    assert results.count(None) == 1 and all(isinstance(r, Refused) for r in failures(results)), results


def test_try_again_and_mark_sent_ask_for_the_right_and_the_state(world, queue):
    (dispatch,) = queue("Hi")
    message = dispatch.message
    with pytest.raises(Refused), transaction():
        message.try_again(by=world.maya)
    with pytest.raises(Refused), transaction():
        message.mark_sent(by=world.maya)
    fail(dispatch, "unknown")
    before = rows()
    for who, refusal in ((world.uma, NoSeat), (world.vera, Denied), (world.olga, Denied), (world.nina, Denied)):
        for act in ("try_again", "mark_sent"):
            with pytest.raises(refusal), transaction():
                getattr(message, act)(by=who)
    assert rows() == before
    with transaction():
        message.mark_sent(by=world.maya)
    anew()
    assert message.state == "sent" and dispatch.state == "sent" and not message.conversation.failed
    with pytest.raises(Refused), transaction():
        message.try_again(by=world.maya)


def test_a_newer_failure_keeps_the_mark_when_an_older_text_is_mended(world, queue):
    first, second = queue("1", "2")
    older = fail(first)
    newer = fail(second)
    with transaction():
        older.try_again(by=world.maya)
    anew()
    assert newer.conversation.failed
    with transaction():
        newer.try_again(by=world.maya)
    anew()
    assert not newer.conversation.failed


def test_MSG_2_stop_between_queue_and_claim_stops_the_text(world, queue):
    (dispatch,) = queue("Hi")
    world.text("STOP")
    anew()
    with transaction():
        claim = dispatch.claim_it()
        with pytest.raises(SendRefused) as refused:
            dispatch.message.conversation.gate(dispatch.message.body, exempt=tuple(dispatch.exempt))
        dispatch.refused(claim, refused.value.sentence, None)
    confirmation = db.session.query(Dispatch).join(Message).filter(Message.kind == "auto").one()
    assert dispatch.message.state == "failed" and claimed(confirmation), "the confirmation is not held up"
    conversation = db.session.get(Conversation, dispatch.conversation_id)
    assert conversation.gate("bye", exempt=tuple(confirmation.exempt))
