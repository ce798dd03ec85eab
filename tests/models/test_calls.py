"""CH-3: a call is one row that only moves forward, whatever the order of its notices; calling out happens once."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.channels.base import CallNotice, Recording
from inbox.models import Attachment, Call, Contact, Conversation, Event, Inbox, Member, Message, Notice, Refused, db, transaction
from inbox.models.call import RANK
from inbox.models.contact import WITHHELD
from tests.conftest import Bell
from tests.world import World

ROSA, AGENT = "+14155550134", "+16285550171"
RECORDING = Recording("RE1", "https://api.example/RE1", 32)


def notice(world: World, status: str, *, sid: str = "CA1", sender: str = ROSA, **more: Any) -> CallNotice:
    return CallNotice(f"{sid}:{status}", sid, sender, world.front.phone or "", status, more.pop("duration", None), **more)


def ringing(world: World, **more: Any) -> CallNotice:
    return notice(world, "ringing", **more)


def forwarded(world: World, status: str, **more: Any) -> CallNotice:
    return notice(world, status, forward=True, **more)


def recorded(world: World) -> CallNotice:
    return CallNotice("CA1:recording:RE1", "CA1", "", "", "completed", None, recording=RECORDING)


def take(world: World, *notices: CallNotice) -> Call:
    for each in notices:
        with transaction():
            Call.take(world.harbor.id, each)
    db.session.expire_all()
    return db.session.scalars(sa.select(Call)).one()


def place(world: World, conversation: Conversation, *, by: Member | None = None, phone: str = AGENT, nonce: str = "n1") -> Call:
    with transaction():
        return Call.place(conversation, by=by or world.maya, phone=phone, nonce=nonce)


# -- coming in ----------------------------------------------------------------------------------------------------


def test_CH_3_a_call_is_a_row_of_its_conversation_from_the_first_ring(world: World, bell: Bell) -> None:
    conversation = world.named(world.conversation(), "Rosa").id
    call = take(world, ringing(world))
    assert (call.direction, call.state, call.number, call.live, call.conversation_id) == ("in", "ringing", ROSA, True, conversation)
    assert call.message.kind == "call" and call.conversation.preview == "Incoming call"
    assert {"message", "conversation"} <= {fact["what"] for fact in bell.facts}


def test_CH_3_missed_and_voicemail_make_it_unread_and_tell_people(world: World) -> None:
    with transaction():
        conversation = world.conversation()
        conversation.archive(by=world.maya)
    call = take(world, ringing(world), forwarded(world, "no-answer"))
    assert (call.state, call.conversation.preview, call.conversation.unread, call.conversation.archived) == ("missed", "Missed call", True, False)
    call = take(world, recorded(world), notice(world, "completed", duration=50))
    assert (call.state, call.conversation.preview, call.conversation.preview_kind, call.live) == ("voicemail", "Voicemail 0:32", "in", False)
    attachment = db.session.scalars(sa.select(Attachment).where(Attachment.message_id == call.message_id)).one()
    assert (attachment.source_url, attachment.state) == (RECORDING.url, "pending")
    assert [n.message_id for n in db.session.scalars(sa.select(Notice).order_by(Notice.id))][-2:] == [call.message_id] * 2


def test_CH_3_a_call_somebody_took_is_not_unread(world: World) -> None:
    call = take(world, ringing(world), forwarded(world, "in-progress"))
    assert (call.state, call.message.body, call.live, call.conversation.unread) == ("answered", "On the phone", True, False)
    call = take(world, forwarded(world, "completed", duration=192), notice(world, "completed", duration=200))
    assert (call.seconds, call.message.body, call.conversation.preview, call.conversation.unread) == (192, "Call 3:12", "Call 3:12", False)
    assert [e.kind for e in db.session.scalars(sa.select(Event).where(Event.kind.like("call.%")))] == ["call.answered"]


STORIES = {
    "answered": ("ringing", "forward in-progress", "forward completed", "completed"),
    "voicemail": ("ringing", "forward no-answer", "completed", "recording"),
    "missed": ("ringing", "forward busy", "completed"),
    "hung up": ("ringing", "canceled"),
}


def told(world: World, step: str) -> CallNotice:
    if step == "recording":
        return recorded(world)
    forward, _, status = step.rpartition(" ")
    return notice(world, status, forward=bool(forward), duration=17 if step == "forward completed" else None)


@pytest.mark.parametrize("story", STORIES)
def test_CH_3_any_order_and_any_repetition_end_the_same(world: World, story: str) -> None:
    steps = STORIES[story]
    dice = random.Random(story)  # noqa: S311 - repeatable
    orders = list(itertools.permutations(steps))
    ends, last = set(), None
    for number, order in enumerate(dice.sample(orders, min(12, len(orders)))):
        told_twice = [step for step in order for _ in range(dice.choice((1, 1, 2)))] + [dice.choice(steps)]
        call = None
        for step in [*told_twice, *order]:  # what came too early comes again
            each = told(world, step)
            with transaction():
                before = call.state if call else "ringing"
                call = Call.take(world.harbor.id, CallNotice(**{**each.__dict__, "call_sid": f"CA{number}"})) or call
                assert call is None or RANK[call.state] >= RANK[before]
        assert call is not None
        ends.add((call.state, call.seconds, call.recording_id, call.ended_at is not None, call.words))
        last = call
    assert len(ends) == 1 and last is not None, ends
    assert last.state == {"hung up": "missed"}.get(story, story)
    assert db.session.scalar(sa.select(sa.func.count(Call.id))) == min(12, len(orders))
    assert db.session.scalar(sa.select(sa.func.count(Attachment.id))) == (min(12, len(orders)) if story == "voicemail" else 0)


def test_CH_3_news_of_a_call_nobody_knows_yet_begins_nothing(world: World) -> None:
    for early in (recorded(world), CallNotice("x", "CA1", "", "", "in-progress", None, forward=True), notice(world, "completed", ref="nobody"), notice(world, "completed", outgoing=True)):
        with transaction():
            assert Call.take(world.harbor.id, early) is None
    assert db.session.scalar(sa.select(sa.func.count(Call.id))) == 0


def test_CH_3_callers_who_hide_their_number_are_not_lost(world: World) -> None:
    call = take(world, ringing(world, sender=""), notice(world, "completed", sender=""))
    assert (call.number, call.conversation.contact.name, call.conversation.unread) == (WITHHELD, "Unknown caller", True)
    with pytest.raises(Refused, match="hid their number"):
        place(world, call.conversation)
    with pytest.raises(Refused):
        call.conversation.gate("Hello")
    with transaction():
        Call.take(world.harbor.id, ringing(world, sid="CA2", sender=""))
    assert db.session.scalar(sa.select(sa.func.count(Contact.id)).where(Contact.phone == WITHHELD)) == 1
    assert len({c.conversation_id for c in db.session.scalars(sa.select(Call))}) == 1


def test_MSG_1_a_blocked_contacts_call_is_kept_and_reaches_nobody(world: World) -> None:
    conversation = world.conversation()
    with transaction():
        conversation.unread = False
        conversation.contact.blocked_at = clock.now()
    told = db.session.scalar(sa.select(sa.func.count(Notice.id)))
    call = take(world, ringing(world), notice(world, "busy"))
    assert (call.state, call.conversation.unread) == ("missed", False)
    assert db.session.scalar(sa.select(sa.func.count(Notice.id))) == told
    with pytest.raises(Refused, match="is blocked"):
        place(world, call.conversation)


def test_MSG_1_a_blocked_contacts_call_opens_no_conversation(world: World) -> None:
    with transaction():
        Contact.at(world.harbor.id, ROSA).blocked_at = clock.now()
    assert take(world, ringing(world), notice(world, "busy")).conversation.archived


def test_CH_3_a_form_that_wrote_a_note_places_no_call(world: World) -> None:
    conversation = world.conversation()
    with transaction():
        conversation.note("Call her at five", by=world.maya, nonce="n7")
    with pytest.raises(Refused, match="used before"):
        place(world, conversation, nonce="n7")


def test_S97_another_accounts_call_is_not_touched(world: World) -> None:
    take(world, ringing(world))
    with transaction():
        assert Call.take(world.north.id, forwarded(world, "completed")) is None
    assert db.session.scalars(sa.select(Call)).one().state == "ringing"


def test_CH_3_notices_at_once_are_one_row(world: World, together: Any) -> None:
    notices, account = [ringing(world), forwarded(world, "no-answer"), notice(world, "completed"), recorded(world)], world.harbor.id
    db.session.commit()

    def apply(number: int) -> None:
        with transaction():
            Call.take(account, notices[number % 4])

    results = together(apply, 8, world.app)
    assert not [r for r in results if isinstance(r, Exception)], results
    call = take(world, recorded(world))
    assert call.state == "voicemail" and db.session.scalar(sa.select(sa.func.count(Message.id)).where(Message.kind == "call")) == 1
    assert db.session.scalar(sa.select(sa.func.count(Attachment.id))) == 1


def test_CH_3_a_later_text_keeps_its_place_in_the_list(world: World) -> None:
    take(world, ringing(world))
    world.text("I will text instead")
    call = take(world, notice(world, "completed"))
    assert call.state == "missed" and call.conversation.preview == "I will text instead" and call.conversation.unread


def test_CH_3_an_end_the_carrier_never_told_is_settled(world: World) -> None:
    call = take(world, ringing(world))
    assert Call.forgotten() == []
    clock.shift(601)
    assert Call.forgotten() == [call.id]
    with transaction():
        call.settle()
    assert call.state == "missed" and call.conversation.unread and Call.forgotten() == []


# -- calling out --------------------------------------------------------------------------------------------------


def test_CH_3_calling_out_rings_the_members_own_phone(world: World, bell: Bell) -> None:
    conversation = world.conversation()
    call = place(world, conversation, phone="(628) 555-0171")
    assert ("place_call", (call.id,)) in bell.rung
    assert (call.direction, call.state, call.agent_number, call.number, call.message.author_id) == ("out", "ringing", AGENT, ROSA, world.maya.id)
    assert db.session.get_one(Member, world.maya.id).phone == AGENT
    with transaction():
        ring = call.claim()
    assert ring is not None and (ring.agent, ring.to, ring.sender) == (AGENT, ROSA, world.front.phone)
    assert call.ref in ring.dial_url and call.ref in ring.status_url and world.carrier.hook_token in ring.dial_url
    with transaction():
        assert call.claim() is None, "once"


def test_CH_3_the_same_form_twice_is_one_call_and_two_at_a_time_are_refused(world: World, together: Any) -> None:
    conversation = world.conversation()
    first = place(world, conversation)
    assert place(world, conversation).id == first.id
    with pytest.raises(Refused, match="You are calling"):
        place(world, conversation, nonce="n2")
    with pytest.raises(Refused, match="Maya Chen is calling"):
        place(world, conversation, by=world.theo, nonce="n3")
    with pytest.raises(Refused, match="You are calling"):
        place(world, world.conversation(sender="+14155550136"), nonce="n4")
    with transaction():
        first.fail("Stop.")
    other, maya = world.conversation(sender="+14155550135").id, world.maya.id
    db.session.commit()

    def press(number: int) -> int:
        with transaction():
            return Call.place(db.session.get_one(Conversation, other), by=db.session.get_one(Member, maya), phone=AGENT, nonce="same" if number % 2 else "").id

    results = together(press, 8, world.app)
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count(Call.id)).where(Call.conversation_id == other)) == 1, results
    assert all(isinstance(result, int | Refused) for result in results), results


@pytest.mark.parametrize(
    ("phone", "sentence"),
    [("12", "with its area code"), ("", "with its area code"), ("+14155550100", "inbox’s own number"), (ROSA, "customer’s number")],
)
def test_CH_3_a_wrong_phone_is_refused_at_its_field(world: World, phone: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as refused:
        place(world, world.conversation(), phone=phone)
    assert refused.value.field == "phone"


def test_CH_3_who_may_not_reply_may_not_call(world: World) -> None:
    conversation = world.conversation()
    for who in (world.uma, world.vera, world.olga):
        with pytest.raises(Refused):
            place(world, conversation, by=who)
    with transaction():
        db.session.get_one(Inbox, world.front.id).joined_at = None
        world.team_state = world.front.registration
        world.front.registration.state = "submitted"  # type: ignore[union-attr]
    with pytest.raises(Refused, match="not registered"):
        place(world, conversation)


OUT = {
    ("in-progress", "forward in-progress", "forward completed", "completed"): ("answered", "Call 0:17"),
    ("in-progress", "forward no-answer", "completed"): ("missed", "No answer"),
    ("no-answer",): ("canceled", "Call ended before anybody answered"),
    ("in-progress", "completed"): ("canceled", "Call ended before anybody answered"),
    ("failed",): ("failed", "Call failed"),
}


@pytest.mark.parametrize("steps", OUT)
def test_CH_3_a_call_out_ends_the_same_in_any_order(world: World, steps: tuple[str, ...]) -> None:
    ends = set()
    for number, order in enumerate(itertools.permutations(steps)):
        call = place(world, world.conversation(sender=f"+1415555{3000 + number}"), nonce=f"n{number}")
        for step in order * 2:
            each = told(world, step)
            with transaction():
                assert Call.take(world.harbor.id, CallNotice(**{**each.__dict__, "call_sid": f"CA{number}", "ref": call.ref, "outgoing": not each.forward}))
        db.session.refresh(call)
        ends.add((call.state, call.words))
        assert call.ended_at is not None and call.provider_id == f"CA{number}" and not call.conversation.archived
    assert ends == {OUT[steps]}


def test_CH_3_a_call_that_was_never_placed_is_tried_briefly_then_told(world: World, bell: Bell) -> None:
    call = place(world, world.conversation())
    bell.rung.clear()
    clock.shift(5)
    assert Call.forgotten() == [call.id]
    with transaction():
        call.settle()
    assert bell.rung == [("place_call", (call.id,))]
    clock.shift(60)
    with transaction():
        call.settle()
        assert call.claim() is None
    assert (call.state, call.problem) == ("failed", "It could not be placed in time. Try once more.")
