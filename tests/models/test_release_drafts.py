"""REG-3, REG-4: replies written while the carriers decide leave by themselves on the approval, once, or stay with the reason."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import RegistrationStatus
from inbox.models import Draft, Inbox, Message, Notice, SendRefused, Stale, db, transaction
from inbox.models import release as releases
from inbox.models.inbox import InboxMember
from jobs.release_drafts import release_drafts
from jobs.sweeps import sweep_registrations
from tests.models.helpers import anew, conversation, person, rows


@pytest.fixture
def waiting(world):
    """A conversation of the inbox that waits, with Dana and Ada in it."""
    registration = world.waiting_registration
    with transaction():
        registration.state, registration.round = "in_review", 1
        InboxMember(inbox_id=world.waiting.id, member_id=world.ada.id).save()
    for who in world.people:
        who.forget_inboxes()
    return world.conversation(inbox=world.waiting)


def wait(c, who, body="Yes, it is ready.", **more):
    with transaction():
        releases.wait(c, body, by=who, seen=more.pop("seen", c.last_inbound_id), **more)


def approve(world):
    world.waiting_registration._advance(RegistrationStatus("approved", "campaign verified"))
    anew()


def texts(c):
    anew()
    return [(m.author_id, m.body) for m in db.session.scalars(sa.select(Message).where(Message.conversation_id == c.id, Message.kind == "out").order_by(Message.id))]


def drafts(c):
    anew()
    return {d.author_id: d for d in db.session.scalars(sa.select(Draft).where(Draft.conversation_id == c.id))}


def test_REG_3_nothing_leaves_before_the_approval_and_everything_after(world, waiting, bell):
    wait(waiting, world.dana)
    registration = world.waiting_registration
    for state in ("draft", "submitted", "in_review", "rejected", "suspended", "expired"):
        with transaction():
            registration.state = state
        release_drafts(registration.id)
        releases.release(drafts(waiting)[world.dana.id].id)
        assert texts(waiting) == [] and drafts(waiting)[world.dana.id].release, state
        assert world.waiting not in Inbox.visible_to(world.dana) and world.waiting not in Inbox.sendable_by(world.dana)
    with transaction():
        registration.state = "in_review"
    bell.rung.clear()
    approve(world)
    assert ("release_drafts", (registration.id,)) in bell.rung
    release_drafts(registration.id)
    assert texts(waiting) == [(world.dana.id, "Yes, it is ready.")] and drafts(waiting) == {}
    message = db.session.scalars(sa.select(Message).where(Message.kind == "out")).one()
    assert message.path == "scheduled" and waiting.lock_holder() is None, "nobody presses Send now: quiet hours hold it like any such text"
    assert all(answer["passed"] or answer.get("until") for answer in message.verdict)


def test_REG_4_each_author_once_and_again_changes_nothing(world, waiting, bell):
    other = world.conversation(inbox=world.waiting, sender="+14155550135")
    wait(waiting, world.dana)
    wait(other, world.ada, "Come by any time.")
    approve(world)
    for _ in range(3):
        release_drafts(world.waiting_registration.id)
    assert texts(waiting) == [(world.dana.id, "Yes, it is ready.")] and texts(other) == [(world.ada.id, "Come by any time.")]


def test_REG_4_two_jobs_at_once_release_once(world, waiting, app, together):
    other = world.conversation(inbox=world.waiting, sender="+14155550135")
    wait(waiting, world.dana)
    wait(other, world.ada)
    approve(world)
    registration_id = world.waiting_registration.id
    assert together(lambda _: release_drafts(registration_id), 6, app) == [None] * 6
    assert len(texts(waiting)) == 1 and len(texts(other)) == 1 and drafts(waiting) == {} and drafts(other) == {}


def test_REG_4_typing_while_it_leaves_either_stops_it_or_comes_after(world, waiting, app, together):
    wait(waiting, world.dana)
    approve(world)
    registration_id, id, dana = world.waiting_registration.id, waiting.id, world.dana.id

    def race(i):
        if i % 2:
            release_drafts(registration_id)
            return
        with transaction():
            Draft.put(conversation(id), "No, wait", by=person(dana))

    assert together(race, 4, app) == [None] * 4
    left = drafts(waiting)[dana]
    assert left.body == "No, wait" and not left.release and texts(waiting) in ([], [(dana, "Yes, it is ready.")])


def test_REG_4_nobody_is_answered_twice(world, waiting, bell):
    wait(waiting, world.dana)
    clock.shift(1)
    wait(waiting, world.ada, "It is ready since noon.")
    approve(world)
    release_drafts(world.waiting_registration.id)
    assert texts(waiting) == [(world.dana.id, "Yes, it is ready.")]
    kept = drafts(waiting)[world.ada.id]
    assert not kept.release and kept.body == "It is ready since noon." and kept.released_why == "Dana Whitfield has answered meanwhile."
    assert [(n.kind, n.member_id) for n in db.session.scalars(sa.select(Notice).where(Notice.kind == "failed"))] == [("failed", world.ada.id)]


def held(world, c):
    with transaction():
        assert c.acquire(by=world.ada)


def gone(world, c):
    with transaction():
        db.session.execute(sa.delete(InboxMember).where(InboxMember.inbox_id == world.waiting.id, InboxMember.member_id == world.dana.id))
        for grant in world.dana.grants:
            grant.role = "viewer"


def stopped(world, c):
    world.text("STOP", inbox=world.waiting)


def wrote(world, c):
    world.text("Hello?", inbox=world.waiting)


@pytest.mark.parametrize(
    ("obstacle", "why"), [(held, "Ada Admin is replying now."), (gone, "not"), (stopped, "STOP"), (wrote, "1 new text since you started. Review, then send.")]
)
def test_REG_4_what_may_not_leave_stays_with_the_reason(world, waiting, bell, obstacle, why):
    wait(waiting, world.dana)
    obstacle(world, waiting)
    approve(world)
    before = rows("draft", "event", "notice")
    release_drafts(world.waiting_registration.id)
    kept = drafts(waiting)[world.dana.id]
    assert texts(waiting) == [] and kept.body == "Yes, it is ready." and not kept.release and why in kept.released_why
    assert rows("draft", "event", "notice") == before, "nothing else was written"
    assert db.session.query(Notice).filter_by(kind="failed", member_id=world.dana.id).count() == 1
    release_drafts(world.waiting_registration.id)
    assert texts(waiting) == [] and db.session.query(Notice).filter_by(kind="failed").count() == 1
    with transaction():
        Draft.put(waiting, "Something else", by=world.ada)
    if obstacle is not gone:
        with transaction():
            Draft.put(waiting, "Yes, it is ready!", by=world.dana)
        assert drafts(waiting)[world.dana.id].released_why == "", "typing again answers it"


def test_REG_4_the_author_in_the_conversation_keeps_their_lock(world, waiting):
    wait(waiting, world.dana)
    with transaction():
        mine = waiting.acquire(by=world.dana)
    approve(world)
    release_drafts(world.waiting_registration.id)
    assert len(texts(waiting)) == 1 and waiting.lock_holder().fence == mine.fence


def test_REG_3_only_the_registration_may_stand_in_the_way_when_it_is_asked(world, waiting):
    for body in ("", " \n", "x" * 1601):
        with pytest.raises(SendRefused):
            wait(waiting, world.dana, body)
    seen = waiting.last_inbound_id
    world.text("Hello?", inbox=world.waiting)
    anew()
    with pytest.raises(Stale):
        wait(waiting, world.dana, seen=seen)
    wait(waiting, world.dana, seen=seen, anyway=True)
    assert drafts(waiting)[world.dana.id].seen == waiting.last_inbound_id > seen
    with transaction():
        Draft.keep(waiting, by=world.dana)
    world.text("STOP", inbox=world.waiting)
    anew()
    with pytest.raises(SendRefused):
        wait(waiting, world.dana)
    with pytest.raises(releases.Approved):
        wait(world.conversation(sender="+14155550136"), world.dana)
    assert not drafts(waiting)[world.dana.id].release


def test_REG_3_a_text_handed_on_does_not_leave_in_another_name(world, waiting):
    wait(waiting, world.dana)
    wait(waiting, world.ada, "Mine.")
    with transaction():
        drafts_ = {d.author_id: d for d in db.session.scalars(sa.select(Draft))}
        drafts_[world.dana.id].leave(world.dana, to=world.ada)
    assert [(d.author_id, d.release) for d in drafts(waiting).values()] == [(world.ada.id, False)]
    approve(world)
    release_drafts(world.waiting_registration.id)
    assert texts(waiting) == []


def test_REG_4_a_lost_ring_is_found_by_the_sweeper(world, waiting, bell):
    wait(waiting, world.dana)
    sweep_registrations()
    assert not [job for job, _ in bell.rung if job == "release_drafts"]
    approve(world)
    bell.rung.clear()
    sweep_registrations()
    assert bell.rung.count(("release_drafts", (world.waiting_registration.id,))) == 1
    bell.work()
    bell.rung.clear()
    sweep_registrations()
    assert not [job for job, _ in bell.rung if job == "release_drafts"] and len(texts(waiting)) == 1
