"""CONV-6 at the model: every text lands once, in its conversation, whatever arrives beside it (L01, L02, S27)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inbox import clock
from inbox.channels.base import Inbound, Media
from inbox.models import Attachment, Contact, Conversation, Dispatch, Inbox, Message, db, transaction
from inbox.models.conversation import Lock
from inbox.models.event import Event
from inbox.phone import keyword
from tests.models.helpers import HOSTILE, anew, conversation, failures, kept, person, rows

CUSTOMER = "+14155550134"


def inbound(sid, text="Hello", sender=CUSTOMER, media=()):
    return Inbound(sid, sid, sender, "+14155550100", text, tuple(media), datetime.now(UTC), keyword(text), {})


def take(inbox_id, item):
    with transaction():
        message = Conversation.receive(db.session.get(Inbox, inbox_id), item)
        return message.id if message else None


def test_CONV_6_the_first_text_makes_contact_conversation_and_lock(world, bell):
    before = rows()
    message = world.text("Hi")
    after = rows()
    assert {t: after[t] - before[t] for t in after if after[t] != before[t]} == {"contact": 1, "conversation": 1, "conversation_lock": 1, "message": 1, "event": 1, "notice": 1}
    c = message.conversation
    assert c.unread and c.last_inbound_id == c.last_message_id == message.id and c.preview == "Hi" and not c.archived
    assert c.contact.name == "(415) 555-0134" and not c.contact.named
    assert [f["what"] for f in bell.facts[-2:]] == ["message", "conversation"]


def test_CONV_6_later_texts_join_it_and_every_number_has_its_own(world):
    first = world.text("one")
    assert world.text("two").conversation_id == first.conversation_id
    assert world.text("x", sender="+14155550135").conversation_id != first.conversation_id
    assert world.text("x", inbox=world.pharmacy).conversation_id != first.conversation_id
    assert db.session.query(Contact).filter_by(account_id=world.harbor.id).count() == 2


def test_CONV_6_the_provider_repeats_itself(world, bell):
    first = world.text("one", sid="SM1")
    before = rows()
    facts = len(bell.facts)
    for _ in range(3):
        with transaction():
            assert Conversation.receive(world.front, inbound("SM1", "one")) is None
    assert rows() == before and len(bell.facts) == facts
    with transaction():
        first.conversation.archive(by=world.maya)
        assert Conversation.receive(world.front, inbound("SM1", "one")) is None
    anew()
    assert first.conversation.archived, "a repeated text does not reopen"


def test_CONV_6_an_inbound_text_brings_an_archived_conversation_back(world):
    c = world.conversation()
    with transaction():
        c.archive(by=world.maya)
    assert not c.unread
    assert world.text("me again").conversation_id == c.id
    anew()
    assert not c.archived and c.unread
    assert db.session.query(Event).filter_by(kind="conversation.reopened", conversation_id=c.id).count() == 1


def test_CONV_6_or_starts_anew_when_the_inbox_says_so(world):
    with transaction():
        world.front.reopen = False
    c = world.conversation()
    with transaction():
        c.archive(by=world.maya)
    second = world.text("me again").conversation
    assert second.id != c.id and world.text("and again").conversation_id == second.id
    anew()
    assert c.archived
    from inbox.models import Refused

    with pytest.raises(Refused) as refused, transaction():
        c.unarchive(by=world.maya)
    assert "newer open conversation" in refused.value.sentence
    with transaction():
        second.archive(by=world.maya)
    with transaction():
        c.unarchive(by=world.maya)
    assert not c.archived


def test_ASG_1_the_owner_seeds_the_assignee(world):
    first = world.conversation()
    assert first.assignee is None
    world.named(first, "Bea", "Lo", owner=world.theo)
    elsewhere = world.text("Hi", inbox=world.pharmacy).conversation
    assert elsewhere.assignee is None, "Theo is not in the pharmacy"
    with transaction():
        world.front.reopen = False
        first.archive(by=world.maya)
    assert world.text("Hi").conversation.assignee_id == world.theo.id
    for number, owner in (("+14155550136", world.uma), ("+14155550137", world.vera), ("+14155550138", world.dana)):
        with transaction():
            contact = Contact.at(world.harbor.id, number)
            contact.give_to(owner, by=None, source="import")
        assigned = world.text("Hi", sender=number).conversation.assignee_id
        assert assigned == (world.dana.id if owner is world.dana else None), "only who can reply"


def test_S27_the_same_number_in_another_company_is_another_contact(world):
    mine = world.conversation()
    world.named(mine, "Bea", "Lo", owner=world.maya)
    theirs = world.conversation(inbox=world.reception)
    assert theirs.contact_id != mine.contact_id and theirs.account_id == world.north.id
    assert theirs.assignee_id is None and not theirs.contact.named
    before = (mine.version, mine.last_message_id)
    world.text("for the dentist", inbox=world.reception, sid="SMSAME")
    assert world.text("for the vet", sid="SMSAME").conversation_id == mine.id
    anew()
    assert mine.version == before[0] + 1 and theirs.contact.name == "(415) 555-0134"


def test_media_is_noted_in_order_and_fetched_later(world, bell):
    files = tuple(Media(f"https://api.twilio.com/media/{i}" + "x" * 3000, "image/" + "y" * 300, "n" * 500) for i in range(25))
    message = world.text("", media=files)
    anew()
    assert len(message.attachments) == 20 and [a.position for a in message.attachments] == list(range(20))
    assert message.conversation.preview == "20 files"
    assert [job for job, _ in bell.rung] == ["fetch_media"] * 20 + ["notify_members"]
    assert world.text("", media=files[:1], sender="+14155550135").conversation.preview == "Photo"
    assert world.text("", sender="+14155550136").conversation.preview == ""


def test_every_hostile_text_comes_in_as_it_was(world):
    expected = {}
    for i, text in enumerate(HOSTILE):
        if keyword(text) is None:
            expected[take(world.front.id, inbound(f"SM{i}", text))] = kept(text)
    anew()
    db.session.expunge_all()
    assert {m.id: m.body for m in db.session.query(Message).filter_by(kind="in")} == expected


@pytest.mark.parametrize("text", ["x" * 200_000, "👩‍👩‍👧‍👦" * 5_000, "\u202e\u200b\ufeff", "\x00", "\n" * 9000, "\ud83d lone", "ـ" * 3000])
def test_huge_and_odd_texts_are_stored_and_shown_in_one_line(world, text):
    message = world.text(text)
    anew()
    assert message.body == kept(text)
    assert len(message.conversation.preview) <= 160 and "\n" not in message.conversation.preview


# -- at once ------------------------------------------------------------------------------------------------------


def test_L01_16_threads_with_the_same_text_store_it_once(world, app, together):
    inbox = world.front.id
    results = together(lambda i: take(inbox, inbound("SMSAME")), 16, app)
    assert not failures(results), results
    assert len([r for r in results if r]) == 1
    anew()
    assert db.session.query(Message).count() == db.session.query(Conversation).count() == 1


def test_L01_many_texts_each_repeated_by_several_threads(world, app, together):
    inbox = world.front.id

    def deliver(i):
        return [take(inbox, inbound(f"SM{n}", f"text {n}", sender=f"+141555501{n % 7:02}")) for n in (range(30) if i % 2 else reversed(range(30)))]

    results = together(deliver, 6, app)
    assert not failures(results), results
    anew()
    assert sum(1 for result in results for stored in result if stored) == 30 == db.session.query(Message).count()
    assert db.session.query(Conversation).count() == db.session.query(Contact).filter_by(account_id=world.harbor.id).count() == db.session.query(Lock).count() == 7


def test_L02_eight_pictures_of_one_new_sender_at_once_make_one_conversation_for_each_of_20_senders(world, app, together):
    inbox = world.front.id
    picture = (Media("https://api.twilio.com/media/1", "image/jpeg"),)
    for n in range(20):
        results = together(lambda i, n=n: take(inbox, inbound(f"MM{n}-{i}", "", f"+141555502{n:02}", picture)), 8, app)
        assert not failures(results) and all(results), results
    anew()
    assert db.session.query(Contact).filter_by(account_id=world.harbor.id).count() == 20
    assert db.session.query(Conversation).count() == db.session.query(Lock).count() == 20
    assert db.session.query(Message).count() == db.session.query(Attachment).count() == 160
    for c in db.session.query(Conversation):
        newest = db.session.query(db.func.max(Message.id)).filter_by(conversation_id=c.id).scalar()
        assert c.last_inbound_id == c.last_message_id == newest


def test_texts_archives_and_a_new_start_at_once_leave_one_open_conversation(world, app, together):
    with transaction():
        world.front.reopen = False
    inbox, maya = world.front.id, world.maya.id
    first = world.conversation()

    def move(i):
        if i % 3:
            return take(inbox, inbound(f"SM-{i}", f"text {i}"))
        with transaction():
            open_one = Conversation.open_one(inbox, CUSTOMER)
            if open_one:
                open_one.archive(by=person(maya))
        return None

    results = together(move, 12, app)
    assert not failures(results), results
    anew()
    assert db.session.query(Conversation).filter_by(archived_at=None).count() <= 1
    assert db.session.query(Message).count() == 9
    assert db.session.query(Message).filter_by(conversation_id=first.id).count() >= 1


def test_a_text_in_while_a_reply_goes_out_loses_neither(world, app, together):
    c = world.conversation()
    with transaction():
        fence = c.acquire(by=world.maya).fence
    ids = c.id, world.front.id, world.maya.id

    def move(i):
        if i % 2:
            return take(ids[1], inbound(f"SM-{i}", f"in {i}"))
        with transaction():
            return conversation(ids[0]).reply(f"out {i}", by=person(ids[2]), fence=fence, seen=0, anyway=True).id

    results = together(move, 12, app)
    assert not failures(results) and len(set(results)) == 12, results
    anew()
    newest_in = db.session.query(db.func.max(Message.id)).filter_by(kind="in").scalar()
    assert c.last_inbound_id == newest_in
    assert c.version == 13 and db.session.query(Dispatch).count() == 6
    assert c.last_message_id == db.session.query(db.func.max(Message.id)).scalar()
    assert clock.now() > c.last_activity_at
