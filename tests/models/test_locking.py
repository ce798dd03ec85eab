"""LOCK-1..7 at the model: one holder, leases, fences, take-overs, the ledger."""

from __future__ import annotations

import pytest

from inbox import clock
from inbox.models import Denied, Draft, LockLost, NoSeat, Refused, SendRefused, Stale, transaction
from inbox.models.conversation import Lock
from inbox.models.event import Event
from inbox.models.gate import RULES


def kinds(conversation):
    return [e.kind for e in reversed(conversation.lock_ledger())]


def test_LOCK_1_opening_takes_a_free_lock_and_nobody_else_gets_it(world):
    c = world.conversation()
    with transaction():
        held = c.acquire(by=world.maya)
    assert held.holder is world.maya and held.fence == 1
    with transaction():
        assert c.acquire(by=world.theo) is None
    assert c.locked_for(world.theo).holder is world.maya
    assert c.locked_for(world.maya) is None


def test_LOCK_1_taking_it_again_keeps_the_fence(world):
    c = world.conversation()
    with transaction():
        first = c.acquire(by=world.maya)
        again = c.acquire(by=world.maya)
    assert first.fence == again.fence
    assert kinds(c) == ["lock.acquired"]


def test_SEAT_3_without_a_seat_no_lock(world):
    c = world.conversation()
    with pytest.raises(NoSeat), transaction():
        c.acquire(by=world.uma)
    with pytest.raises(Denied), transaction():
        c.acquire(by=world.vera)
    with pytest.raises(Denied), transaction():
        c.acquire(by=world.olga)
    with pytest.raises(Denied), transaction():
        c.acquire(by=world.nina)


def test_LOCK_2_the_lease_dies_without_a_heartbeat_and_the_next_one_rises_the_fence(world):
    c = world.conversation()
    with transaction():
        c.acquire(by=world.maya)
    clock.shift(46)
    assert c.lock_holder() is None
    with transaction():
        held = c.acquire(by=world.theo)
    assert held.fence == 2
    assert kinds(c) == ["lock.acquired", "lock.expired", "lock.acquired"]


def test_LOCK_2_a_heartbeat_keeps_it_and_leaving_frees_it(world):
    c = world.conversation()
    with transaction():
        held = c.acquire(by=world.maya)
    for _ in range(3):
        clock.shift(40)
        with transaction():
            c.renew_lock(by=world.maya, fence=held.fence, active=True)
    with transaction():
        assert c.release(by=world.maya, fence=held.fence)
        assert not c.release(by=world.maya)
    assert c.lock_holder() is None


def test_LOCK_3_idle_minutes_prompt_then_unlock_and_the_draft_stays(world, bell):
    c = world.conversation()
    with transaction():
        held = c.acquire(by=world.maya)
        Draft.put(c, "half a sentence", by=world.maya)
    for _ in range(4):
        clock.shift(44)
        with transaction():
            c.renew_lock(by=world.maya, fence=held.fence, active=False)
    clock.shift(10)
    assert c.id in c.idle_locks()
    with transaction():
        assert c.announce_prompt()
        assert not c.announce_prompt()
    assert c.lock_holder().prompting
    for _ in range(1):
        clock.shift(30)
        with transaction():
            c.renew_lock(by=world.maya, fence=held.fence, active=False)
    clock.shift(30)
    assert c.lock_holder() is None
    with pytest.raises(LockLost), transaction():
        c.renew_lock(by=world.maya, fence=held.fence, active=False)
    with transaction():
        assert c.announce_expiry()
        assert not c.announce_expiry()
    assert Draft.of(c, world.maya).body == "half a sentence"
    assert kinds(c) == ["lock.acquired", "lock.prompted", "lock.expired"]


def test_LOCK_3_yes_keeps_it(world):
    c = world.conversation()
    with transaction():
        held = c.acquire(by=world.maya)
    for _ in range(4):
        clock.shift(44)
        with transaction():
            c.renew_lock(by=world.maya, fence=held.fence, active=False)
    clock.shift(10)
    with transaction():
        c.announce_prompt()
        kept = c.renew_lock(by=world.maya, fence=held.fence, active=True)
    assert not kept.prompting
    assert kinds(c)[-1] == "lock.kept"


def test_LOCK_4_a_send_needs_the_fence(world):
    c = world.conversation()
    with transaction():
        held = c.acquire(by=world.maya)
    clock.shift(46)
    with transaction():
        c.acquire(by=world.theo)
    with pytest.raises(LockLost) as lost, transaction():
        c.reply("Yes", by=world.maya, fence=held.fence, seen=c.last_inbound_id)
    assert "Theo Okafor is replying" in lost.value.sentence
    assert sum(1 for item in c.thread()[0] if item.message) == 1


def test_LOCK_4_when_the_customer_wrote_meanwhile_the_send_is_held_and_one_key_sends(world):
    c = world.conversation()
    seen = c.last_inbound_id
    with transaction():
        held = c.acquire(by=world.maya)
    world.text("And the drops?")
    with pytest.raises(Stale) as stale, transaction():
        c.reply("Yes", by=world.maya, fence=held.fence, seen=seen)
    assert stale.value.sentence.startswith("1 new text")
    with transaction():
        message = c.reply("Yes", by=world.maya, fence=held.fence, seen=seen, anyway=True)
    assert message.state == "queued"


def test_LOCK_5_take_over_asks_a_reason_and_hands_over_the_draft(world, bell):
    c = world.conversation()
    with transaction():
        old = c.acquire(by=world.maya)
        Draft.put(c, "Dear customer", by=world.maya)
    with pytest.raises(Refused), transaction():
        c.take_over(by=world.ada, reason="  ")
    with pytest.raises(Denied), transaction():
        c.take_over(by=world.theo, reason="hurry")
    with transaction():
        held = c.take_over(by=world.ada, reason="Maya is at lunch")
    assert held.holder is world.ada and held.fence > old.fence
    draft = Draft.of(c, world.ada)
    assert (draft.body, draft.from_name) == ("Dear customer", "Maya Chen")
    assert Draft.of(c, world.maya).body == "Dear customer"
    with pytest.raises(LockLost), transaction():
        c.reply("too late", by=world.maya, fence=old.fence, seen=c.last_inbound_id)
    assert any(f.get("taken_from") == world.maya.id for f in bell.facts)


def test_LOCK_5_whoever_waits_is_told(world, bell):
    c = world.conversation()
    with transaction():
        c.acquire(by=world.maya)
        c.wait_for_lock(by=world.theo)
    assert c.waits(world.theo)
    with transaction():
        c.release(by=world.maya)
    assert bell.facts[-1]["waiting"] == [world.theo.id]
    assert not c.waits(world.theo)


def test_LOCK_6_the_ledger_has_no_overlapping_holdings(world):
    c = world.conversation()
    for who in (world.maya, world.theo, world.maya):
        with transaction():
            c.acquire(by=who)
        clock.shift(50)
    with transaction():
        c.announce_expiry()
    holder = None
    for event in reversed(c.lock_ledger()):
        if event.kind == "lock.acquired":
            assert holder is None
            holder = event.actor_id
        elif event.kind in ("lock.expired", "lock.released"):
            holder = None
    assert holder is None


def test_race_32_threads_open_one_conversation_one_holds_it(world, app, together):
    c = world.conversation()
    people = [world.maya.id, world.theo.id, world.ada.id, world.dana.id]

    def grab(i):
        from inbox.models import Conversation, Member, db

        with transaction():
            held = db.session.get(Conversation, c.id).acquire(by=db.session.get(Member, people[i % 4]))
        return held.holder.id if held else None

    results = together(grab, 32, app)
    winners = {r for r in results if r is not None}
    assert not [r for r in results if isinstance(r, Exception)], results
    assert len(winners) == 1
    from inbox.models import db

    db.session.rollback()
    db.session.expire_all()
    assert db.session.get(Lock, c.id).fence == 1
    assert db.session.query(Event).filter_by(kind="lock.acquired").count() == 1


def test_race_reply_against_a_lost_lock_never_sends_twice(world, app, together):
    """Half of the threads steal an expired lock while the others send with the old fence."""
    from inbox.models import Conversation, Member, Message, db

    c = world.conversation()
    with transaction():
        held = c.acquire(by=world.maya)
    clock.shift(46)
    seen = c.last_inbound_id

    def move(i):
        conversation = db.session.get(Conversation, c.id)
        who = db.session.get(Member, (world.maya.id, world.theo.id)[i % 2])
        with transaction():
            if i % 2:
                return "took" if conversation.acquire(by=who) else "busy"
            try:
                conversation.reply(f"text {i}", by=who, fence=held.fence, seen=seen)
            except LockLost:
                return "lost"
            return "sent"

    results = together(move, 16, app)
    assert results.count("sent") == 0, results
    db.session.rollback()
    db.session.expire_all()
    assert db.session.query(Message).filter_by(kind="out").count() == 0


def test_MSG_1_the_gate_answers_with_every_rule(world):
    c = world.conversation()
    verdict = c.gate("Hello")
    assert [v["rule"] for v in verdict] == [rule for rule, _ in RULES] and {"block", "consent", "opt_in"} <= {v["rule"] for v in verdict}
    for body in ("", "   \n", "\x00", "x" * 1601):
        with pytest.raises(SendRefused):
            c.gate(body)
