"""MSG-1, MSG-2, LOCK-4, CONV-5, CONV-7, SEAT-3 and REG-3 at the model: what may be written, by whom, and what leaves nothing behind."""

from __future__ import annotations

import pytest

from inbox import clock
from inbox.models import (
    Attachment,
    Consent,
    Conversation,
    Denied,
    Dispatch,
    Draft,
    Inbox,
    LockLost,
    Message,
    NoSeat,
    NotRegistered,
    Refused,
    SendRefused,
    Stale,
    db,
    transaction,
)
from inbox.models.event import Event
from inbox.models.gate import RULES
from inbox.models.registration import NEXT
from tests.models.helpers import HOSTILE, anew, conversation, failures, kept, person, rows

CUSTOMER = "+14155550134"


def holding(c, who):
    with transaction():
        held = c.acquire(by=who)
    assert held is not None
    return held.fence


def autos(c):
    anew()
    return [m.body for m in db.session.query(Message).filter_by(conversation_id=c.id, kind="auto").order_by(Message.id)]


# -- replies ------------------------------------------------------------------------------------------------------


def test_MSG_1_a_reply_is_message_outbox_row_event_and_verdict_in_one(world, bell):
    c = world.conversation()
    before = rows()
    fence = holding(c, world.maya)
    with transaction():
        Draft.put(c, "Yes, come", by=world.maya)
    bell.rung.clear()
    with transaction():
        message = c.reply("Yes, come by.", by=world.maya, fence=fence, seen=c.last_inbound_id)
        assert not bell.rung, "nothing is rung for before the commit"
    dispatch = Dispatch.of(message)
    assert (message.kind, message.state, message.author_id, dispatch.state) == ("out", "queued", world.maya.id, "queued")
    assert all(answer["passed"] for answer in message.verdict) and [answer["rule"] for answer in message.verdict] == [rule for rule, _ in RULES]
    assert bell.rung == [("send_message", (dispatch.id,))]
    after = rows()
    changed = {table: after[table] - before[table] for table in after if after[table] != before[table]}
    assert changed == {"message": 1, "dispatch": 1, "event": 2}
    assert Draft.of(c, world.maya) is None
    assert (c.preview, c.preview_by_id, c.unread, c.last_message_id) == ("Yes, come by.", world.maya.id, False, message.id)


def test_LOCK_4_a_reply_needs_the_lock_and_the_newest_text(world):
    c = world.conversation()
    seen = c.last_inbound_id
    before = rows()
    with pytest.raises(LockLost), transaction():
        c.reply("Yes", by=world.maya, fence=0, seen=seen)
    with pytest.raises(LockLost), transaction():
        c.reply("Yes", by=world.maya, fence=1, seen=seen)
    assert rows() == before
    fence = holding(c, world.maya)
    world.text("one more")
    world.text("and another")
    before = rows()
    with pytest.raises(Stale) as stale, transaction():
        c.reply("Yes", by=world.maya, fence=fence, seen=seen)
    assert stale.value.newer == 2 and stale.value.sentence == "2 new texts since you started. Review, then send."
    assert rows() == before
    with pytest.raises(LockLost), transaction():
        c.reply("Yes", by=world.theo, fence=fence, seen=seen, anyway=True)
    with transaction():
        assert c.reply("Yes", by=world.maya, fence=fence, seen=seen, anyway=True).state == "queued"


def test_LOCK_4_a_lost_lock_is_said_before_a_new_text(world):
    c = world.conversation()
    seen = c.last_inbound_id
    fence = holding(c, world.maya)
    clock.shift(46)
    world.text("hello?")
    with pytest.raises(LockLost), transaction():
        c.reply("Yes", by=world.maya, fence=fence, seen=seen)


def test_SEAT_3_who_may_not_write_writes_nothing(world):
    c = world.conversation()
    before = rows()
    for who, refusal in ((world.uma, NoSeat), (world.vera, Denied), (world.olga, Denied), (world.nina, Denied)):
        with pytest.raises(refusal), transaction():
            c.reply("Yes", by=who, fence=1, seen=c.last_inbound_id)
        with pytest.raises(refusal), transaction():
            c.note("Looks fine", by=who)
        with pytest.raises(refusal), transaction():
            Conversation.compose(world.front, "(415) 555-0188", "Hi", by=who)
        with pytest.raises(refusal), transaction():
            Draft.put(c, "Hi", by=who)
    assert rows() == before


@pytest.mark.parametrize("body", ["", "  \n\t ", "\x00\x01\x7f", "x" * 1601, "\ud800"])
def test_MSG_1_a_refused_reply_leaves_nothing_and_keeps_the_draft(world, body):
    c = world.conversation()
    fence = holding(c, world.maya)
    with transaction():
        Draft.put(c, "what I typed", by=world.maya)
    before = rows()
    version = c.version
    with pytest.raises(SendRefused) as refused, transaction():
        c.reply(body, by=world.maya, fence=fence, seen=c.last_inbound_id)
    assert refused.value.field == "body" and refused.value.status == 422
    assert rows() == before
    anew()
    assert c.version == version and Draft.of(c, world.maya).body == "what I typed"


def test_MSG_1_media_alone_is_a_text_and_eleven_are_too_many(world):
    c = world.conversation()
    fence = holding(c, world.maya)
    uploads = [Attachment(account_id=c.account_id, content_type="image/png", filename=f"{i}.png", state="stored") for i in range(11)]
    before = rows()
    with pytest.raises(SendRefused), transaction():
        c.reply("", by=world.maya, fence=fence, seen=c.last_inbound_id, uploads=uploads)
    assert rows() == before
    with transaction():
        message = c.reply("", by=world.maya, fence=fence, seen=c.last_inbound_id, uploads=uploads[:2])
    anew()
    assert [a.filename for a in message.attachments] == ["0.png", "1.png"]


def test_MSG_1_the_signature_counts_into_the_length(world):
    c = world.conversation()
    with transaction():
        world.front.sign_texts = True
    fence = holding(c, world.maya)
    with pytest.raises(SendRefused), transaction():
        c.reply("x" * 1600, by=world.maya, fence=fence, seen=c.last_inbound_id)
    with transaction():
        assert c.reply("Sure", by=world.maya, fence=fence, seen=c.last_inbound_id).body == "Sure - Maya"


def test_every_hostile_text_is_stored_and_given_back_as_it_was(world):
    c = world.conversation()
    fence = holding(c, world.maya)
    expected = {}
    for text in HOSTILE:
        wanted = kept(text)
        if not wanted or len(wanted) > 1600:
            with pytest.raises(SendRefused):
                c.gate(text)
            continue
        with transaction():
            expected[c.reply(text, by=world.maya, fence=fence, seen=c.last_inbound_id).id] = wanted
            expected[c.note(text, by=world.maya).id] = wanted
    anew()
    db.session.expunge_all()
    stored = {m.id: m.body for m in db.session.query(Message).filter(Message.id.in_(list(expected)))}
    assert len(expected) > 1500 and stored == expected


def test_every_hostile_text_is_a_harmless_draft(world):
    c = world.conversation()
    for text in [*HOSTILE, "\ud800 half a pair", "\x00"]:
        with transaction():
            Draft.put(c, text, by=world.maya)
        draft = Draft.of(c, world.maya)
        clean = text.replace("\r\n", "\n").replace("\x00", "").replace("\ud800", "")
        assert (draft.body if draft else "") == (clean if clean.strip() else "")


# -- the same post twice ------------------------------------------------------------------------------------------


def test_L03_the_same_post_five_times_is_one_text(world, app, together):
    c = world.conversation()
    fence, seen = holding(c, world.maya), c.last_inbound_id
    who, id = world.maya.id, c.id

    def post(_):
        with transaction():
            return conversation(id).reply("Once, please", by=person(who), fence=fence, seen=seen, nonce="n" * 32).id

    results = together(post, 5, app)
    assert not failures(results), results
    assert len(set(results)) == 1
    anew()
    assert db.session.query(Message).filter_by(kind="out").count() == 1 and db.session.query(Dispatch).count() == 1


def test_L03_a_repeated_post_is_answered_even_when_the_lock_has_gone(world):
    c = world.conversation()
    fence = holding(c, world.maya)
    with transaction():
        first = c.reply("Once", by=world.maya, fence=fence, seen=c.last_inbound_id, nonce="again")
    with transaction():
        c.release(by=world.maya)
    world.text("thanks")
    with transaction():
        assert c.reply("Once", by=world.maya, fence=fence, seen=0, nonce="again").id == first.id


def test_L03_the_same_note_five_times_is_one_note(world, app, together):
    c = world.conversation()
    who, id = world.maya.id, c.id

    def post(_):
        with transaction():
            return conversation(id).note("Allergic to penicillin", by=person(who), nonce="x" * 400).id

    results = together(post, 5, app)
    assert not failures(results) and len(set(results)) == 1, results


def test_L03_the_same_compose_five_times_is_one_text_in_one_conversation(world, app, together):
    inbox, who = world.front.id, world.maya.id

    def post(_):
        with transaction():
            return Conversation.compose(db.session.get(Inbox, inbox), "(415) 555-0188", "Your order is here", by=person(who), nonce="compose-1").id

    results = together(post, 5, app)
    assert not failures(results) and len(set(results)) == 1, results
    anew()
    assert db.session.query(Conversation).filter_by(address="+14155550188").count() == 1


def test_replies_takeovers_and_composes_at_once_never_wait_for_each_other_in_a_ring(world, app, together):
    c = world.conversation()
    fence = holding(c, world.maya)
    ids = (c.id, world.front.id, world.maya.id, world.dana.id)

    def move(i):
        maya = person(ids[2])
        with transaction():
            if i % 3 == 0:
                return Conversation.compose(db.session.get(Inbox, ids[1]), CUSTOMER, f"text {i}", by=maya).id
            if i % 3 == 1:
                return conversation(ids[0]).acquire(by=maya).fence
            return conversation(ids[0]).reply(f"text {i}", by=maya, fence=fence, seen=0, anyway=True).id

    results = together(move, 12, app)
    assert all(isinstance(r, LockLost) for r in failures(results)), results


# -- notes --------------------------------------------------------------------------------------------------------


def test_a_note_needs_no_lock_leaves_nothing_and_does_not_move_the_conversation(world):
    c = world.conversation()
    holding(c, world.theo)
    at, preview = c.last_activity_at, c.preview
    with transaction():
        Draft.put(c, "Check the chart", by=world.maya, kind="note")
        note = c.note("Check the chart", by=world.maya)
    assert (note.kind, note.state) == ("note", "note")
    assert db.session.query(Dispatch).count() == 0
    assert (c.last_activity_at, c.preview) == (at, preview)
    assert Draft.of(c, world.maya, "note") is None
    before = rows()
    for body in ("", " \n", "x" * 5001):
        with pytest.raises(Refused) as refused, transaction():
            c.note(body, by=world.maya)
        assert refused.value.field == "body"
    assert rows() == before


def test_CONV_7_drafts_are_one_per_author_and_kind_and_survive_everything(world):
    c = world.conversation()
    with transaction():
        Draft.put(c, "a", by=world.maya)
        Draft.put(c, "ab", by=world.maya)
        Draft.put(c, "note", by=world.maya, kind="note")
        Draft.put(c, "theirs", by=world.theo)
    world.reply(c, world.ada)
    with transaction():
        c.archive(by=world.ada)
    world.text("again")
    anew()
    assert (Draft.of(c, world.maya).body, Draft.of(c, world.maya, "note").body, Draft.of(c, world.theo).body) == ("ab", "note", "theirs")
    for body, kind in (("x" * 20_001, "reply"), ("x", "poem")):
        with pytest.raises(Refused), transaction():
            Draft.put(c, body, by=world.maya, kind=kind)
    with transaction():
        Draft.put(c, "  ", by=world.maya)
    assert Draft.of(c, world.maya) is None


# -- compose ------------------------------------------------------------------------------------------------------


def test_CONV_5_compose_lands_in_archived_until_the_contact_answers(world):
    with transaction():
        message = Conversation.compose(world.front, "415 555 0188", "Your order is here", by=world.maya)
    c = message.conversation
    assert c.address == "+14155550188" and c.archived and c.inbox_id == world.front.id
    assert c.lock_holder() is None
    with transaction():
        second = Conversation.compose(world.front, "+1 415-555-0188", "And the invoice", by=world.theo)
    assert second.conversation_id == c.id and second.conversation.archived
    answer = world.text("Great", sender="+14155550188")
    anew()
    assert answer.conversation_id == c.id and not c.archived and c.unread


def test_CONV_5_compose_to_an_open_conversation_goes_there(world):
    c = world.conversation()
    with transaction():
        message = Conversation.compose(world.front, CUSTOMER, "Good news", by=world.maya)
    assert message.conversation_id == c.id and not c.archived


def test_CONV_5_compose_waits_for_who_is_replying(world):
    c = world.conversation()
    holding(c, world.theo)
    before = rows()
    with pytest.raises(Refused) as refused, transaction():
        Conversation.compose(world.front, CUSTOMER, "Good news", by=world.maya)
    assert "Theo Okafor is replying" in refused.value.sentence
    assert rows() == before


def test_CONV_5_compose_keeps_the_lock_its_writer_already_had(world):
    c = world.conversation()
    fence = holding(c, world.maya)
    with transaction():
        Conversation.compose(world.front, CUSTOMER, "Good news", by=world.maya)
    assert c.lock_holder().fence == fence


@pytest.mark.parametrize("to", ["", "abc", "12", "+1", "\x00", "+1415555013400000", "415-555-0100", "<script>", "4" * 5000])
def test_compose_to_nonsense_leaves_nothing(world, to):
    before = rows()
    with pytest.raises(Refused) as refused, transaction():
        Conversation.compose(world.front, to, "Hi", by=world.maya)
    assert refused.value.field == "to"
    assert rows() == before


def test_a_refused_compose_leaves_neither_contact_nor_conversation(world):
    before = rows()
    for body in ("", "x" * 1601):
        with pytest.raises(SendRefused), transaction():
            Conversation.compose(world.front, "415 555 0188", body, by=world.maya)
    assert rows() == before


# -- an inbox that is not registered ------------------------------------------------------------------------------


@pytest.mark.parametrize("state", sorted(set(NEXT) - {"approved"}))
def test_REG_3_nothing_leaves_an_unregistered_inbox_by_any_path(world, state):
    with transaction():
        world.waiting_registration.state = state
        world.waiting.joined_at = clock.now()
    c = world.conversation(inbox=world.waiting)
    failed = world.text("still there?", inbox=world.waiting)
    with transaction():
        failed.state, failed.kind, failed.author_id = "failed", "out", world.dana.id
        Dispatch.queue(failed).state = "failed"
    fence = holding(c, world.dana)
    before = rows()
    with pytest.raises(SendRefused) as refused, transaction():
        c.reply("Hi", by=world.dana, fence=fence, seen=failed.id)
    assert "not registered with the carriers yet" in refused.value.sentence
    with pytest.raises(NotRegistered), transaction():
        Conversation.compose(world.waiting, "415 555 0188", "Hi", by=world.dana)
    with pytest.raises(SendRefused), transaction():
        failed.try_again(by=world.dana)
    with transaction():
        assert c.answer_automatically("We are closed") is None
        assert c.answer_automatically("We are closed", exempt=("consent",)) is None
    with pytest.raises(SendRefused):
        c.gate("already queued")
    assert rows() == before
    for word in ("STOP", "HELP", "START"):
        world.text(word, inbox=world.waiting)
    assert autos(c) == []
    assert db.session.query(Message).filter_by(kind="in", inbox_id=world.waiting.id).count() == 4, "inbound is stored"


def test_REG_3_an_approved_team_does_not_speak_for_a_number_that_has_not_joined(world):
    with transaction():
        world.waiting_registration.state = "approved"
    c = world.conversation(inbox=world.waiting)
    with pytest.raises(SendRefused):
        c.gate("Hi")


# -- STOP, START, HELP --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["STOP", "stop", " Stop. ", "STOPALL", "Unsubscribe", "cancel", "END", "quit", "REVOKE", "OptOut"])
def test_MSG_2_stop_opts_out_with_one_confirmation(world, word):
    c = world.conversation()
    world.text(word)
    assert len(autos(c)) == 1 and "unsubscribed" in autos(c)[0] and autos(c)[0].startswith("Harbor Vet")
    world.text(word)
    world.text("STOP")
    assert len(autos(c)) == 1
    assert Consent.of(world.team.id, CUSTOMER).opted_out
    assert db.session.query(Event).filter_by(kind="contact.opted_out").count() == 1


def test_MSG_2_stop_blocks_every_path_and_start_opens_them_again(world):
    c = world.conversation()
    fence = holding(c, world.maya)
    with transaction():
        queued = c.reply("Just before", by=world.maya, fence=fence, seen=c.last_inbound_id)
    world.text("STOP")
    anew()
    dispatch = Dispatch.of(queued)
    with transaction():
        claim = dispatch.claim_it()
        assert claim
        with pytest.raises(SendRefused) as refused:
            c.gate(queued.body, exempt=tuple(dispatch.exempt))
        dispatch.refused(claim, refused.value.sentence, None)
    assert queued.state == "failed" and "replied STOP" in queued.error_text
    before = rows()
    with pytest.raises(SendRefused), transaction():
        c.reply("Hi", by=world.maya, fence=fence, seen=0, anyway=True)
    with pytest.raises(SendRefused), transaction():
        Conversation.compose(world.front, CUSTOMER, "Hi", by=world.maya)
    with pytest.raises(SendRefused), transaction():
        queued.try_again(by=world.maya)
    with transaction():
        assert c.answer_automatically("We are closed") is None
    assert rows() == before
    confirmation = db.session.query(Message).filter_by(kind="auto").one()
    assert c.gate(confirmation.body, exempt=tuple(Dispatch.of(confirmation).exempt)), "the confirmation itself may leave"

    world.text("HELP")
    assert len(autos(c)) == 2, "help is answered, opted out or not"
    world.text("START")
    assert "welcome back" in autos(c)[2]
    world.text("START")
    world.text("yes")
    assert len(autos(c)) == 3
    with transaction():
        assert c.reply("Hi", by=world.maya, fence=fence, seen=0, anyway=True).state == "queued"
        queued.try_again(by=world.maya)
    assert queued.state == "queued" and not Consent.of(world.team.id, CUSTOMER).opted_out


def test_MSG_2_stop_counts_for_the_team_not_for_another_company(world):
    c = world.conversation()
    other = world.conversation(inbox=world.pharmacy)
    north = world.conversation(inbox=world.reception)
    world.text("STOP")
    with pytest.raises(SendRefused):
        other.gate("Hi")
    with pytest.raises(SendRefused):
        c.gate("Hi")
    assert north.gate("Hi")


@pytest.mark.parametrize("text", ["please stop by tomorrow", "STOP it, you two", "help me choose", "I want to start again", "yes please", "the end is near"])
def test_MSG_2_a_word_inside_a_sentence_is_no_keyword(world, text):
    c = world.conversation(text)
    assert autos(c) == [] and Consent.of(world.team.id, CUSTOMER) is None


def test_MSG_2_an_inboxs_own_words_are_used(world):
    with transaction():
        world.front.stop_reply, world.front.help_reply = "Bye from the desk {name}", "Call 415 555 0100"
    c = world.conversation("HELP")
    world.text("STOP")
    assert autos(c) == ["Call 415 555 0100", "Bye from the desk {name}"]


def test_MSG_2_two_stops_at_once_are_confirmed_once(world, app, together):
    from inbox.channels.base import Inbound

    c = world.conversation()
    inbox = world.front.id

    def stop(i):
        inbound = Inbound(f"S{i}", f"S{i}", CUSTOMER, "", "STOP", (), None, "STOP", {})
        with transaction():
            return Conversation.receive(db.session.get(Inbox, inbox), inbound).id

    results = together(stop, 8, app)
    assert not failures(results), results
    assert len(autos(c)) == 1
