"""MSG-2 at the model: what customers allow, how far it reaches, which words count, and what a person may record; MSG-1: the blocked contact."""

from __future__ import annotations

import json
import random
from pathlib import Path as File

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from inbox import clock, phone
from inbox.channels.base import Inbound, PermanentFailure
from inbox.channels.twilio import Twilio
from inbox.models import Consent, Contact, Conversation, Dispatch, Draft, Inbox, Message, OptInRequest, Refused, SendRefused, Stopping, db, transaction
from inbox.models.consent import Allowed
from inbox.models.conversation.receiving import OptOutAnswered
from inbox.models.event import Event, Final
from inbox.models.gate import Path, judge
from inbox.models.inbox import check_keywords, check_opt_in_request
from inbox.models.notification import Notice
from tests.models.helpers import anew, failures, person

CUSTOMER, NEW = "+14155550134", "+14155550188"
SETS = json.loads((File(__file__).parents[1] / "data" / "optout_keywords.json").read_text(encoding="utf-8"))


def autos(c):
    anew()
    return [m.body for m in db.session.query(Message).filter_by(conversation_id=c.id, kind="auto").order_by(Message.id)]


def scope(world, value):
    with transaction():
        world.front.set_consent_scope(value, by=world.dana)


def out(inbox, address=CUSTOMER):
    return Allowed.read(inbox, address).opted_out


def by_hand(world, contact, *, opted_out=False, evidence="Signed the paper form at the desk", by=None, **more):
    with transaction():
        return Consent.by_hand(world.front, contact, opted_out=opted_out, evidence=evidence, by=by or world.maya, **{"how": "paper", "on": "2026-03-03", **more})


# -- the history is the state --------------------------------------------------------------------------------------


def test_MSG_2_every_change_is_kept_with_its_evidence_and_final(world):
    c = world.conversation()
    world.text("Stop.")
    world.text("START")
    changes = list(reversed(Consent.changes(world.harbor.id, CUSTOMER)))
    assert [(x.opted_out, x.source, x.evidence, x.scope, x.inbox_id) for x in changes] == [
        (True, "text", "Stop.", "team", world.front.id), (False, "text", "START", "team", world.front.id),
    ]
    assert [db.session.get_one(Message, x.message_id).body for x in changes] == ["Stop.", "START"]
    assert {e.kind for e in db.session.query(Event) if e.kind.startswith("consent.")} == {"consent.opted_out", "consent.opted_in"}
    with pytest.raises(Final), transaction():
        changes[0].evidence = "something else"
        db.session.flush()
    for statement in ("UPDATE consent_change SET opted_out = NOT opted_out", "DELETE FROM consent_change"):
        with pytest.raises(DBAPIError, match="final"), transaction():
            db.session.execute(sa.text(statement))
    anew()
    assert len(Consent.changes(world.harbor.id, CUSTOMER)) == 2 and c.gate("Hi")


@pytest.mark.parametrize(("value", "reached"), [("inbox", {"front"}), ("team", {"front", "pharmacy"}), ("account", {"front", "pharmacy", "waiting"})])
def test_MSG_2_a_stop_reaches_as_far_as_the_team_says_and_never_another_company(world, value, reached):
    scope(world, value)
    world.text("STOP")
    anew()
    assert {name for name in ("front", "pharmacy", "waiting", "reception") if out(getattr(world, name))} == reached
    world.text("START")
    anew()
    assert not any(out(getattr(world, name)) for name in reached)


def test_MSG_2_a_wider_setting_makes_the_next_stop_reach_further(world):
    scope(world, "inbox")
    c = world.conversation("STOP")
    scope(world, "account")
    anew()
    assert not out(world.pharmacy), "what was said keeps its reach"
    world.text("STOP")
    anew()
    assert out(world.pharmacy) and out(world.waiting) and len(autos(c)) == 2


@pytest.mark.parametrize("seed", range(4))
def test_MSG_2_the_newest_change_that_reaches_an_inbox_decides_whatever_happens(world, seed):
    """200 random changes: after each, the inboxes it reaches say what it says, the others what they said before."""
    dice = random.Random(seed)
    inboxes = {i.id: i for i in (world.front, world.pharmacy, world.waiting)}
    with transaction():
        Contact.at(world.harbor.id, CUSTOMER)
    said = dict.fromkeys(inboxes)
    for _ in range(200):
        inbox, value, opted_out = dice.choice(list(inboxes.values())), dice.choice(["inbox", "team", "account"]), dice.random() < 0.5
        reached = {i.id for i in inboxes.values() if value == "account" or i.id == inbox.id or (value == "team" and i.team_id == inbox.team_id)}
        with transaction():
            inbox.team.consent_scope = value
            changed = Consent.put(world.harbor, inbox.team_id, CUSTOMER, opted_out=opted_out, source="text", inbox_id=inbox.id)
        assert changed or {said[i] for i in reached} == {opted_out}, "only what all of them say already is no change"
        said |= dict.fromkeys(reached, opted_out)
        for i in inboxes.values():
            change = Consent.of(i.team_id, CUSTOMER, i.id)
            assert (change.opted_out if change else None) == said[i.id] and out(i) == bool(said[i.id])
        with transaction():
            assert not Consent.put(world.harbor, inbox.team_id, CUSTOMER, opted_out=opted_out, source="text", inbox_id=inbox.id)
    history = Consent.changes(world.harbor.id, CUSTOMER, limit=500)
    for i in inboxes.values():
        newest = next(c for c in history if c.reaches(i))
        assert newest.opted_out == said[i.id]


def test_MSG_2_the_gate_asks_once_and_by_an_index(world):
    world.text("STOP")
    anew()
    inbox = db.session.get_one(Inbox, world.front.id)
    seen = []
    listen = lambda conn, cursor, statement, parameters, context, many: seen.append((statement, parameters))  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        Allowed.read(inbox, CUSTOMER)
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)
    assert len(seen) == 1
    if db.engine.dialect.name == "sqlite":
        plan = " ".join(row[-1] for row in db.session.connection().exec_driver_sql("EXPLAIN QUERY PLAN " + seen[0][0], seen[0][1]))
        assert "ix_consent_change_decides" in plan and "SCAN consent_" not in plan, plan


# -- which words count ---------------------------------------------------------------------------------------------


def test_MSG_2_every_must_and_should_is_right_and_no_real_text_opts_out():
    for case in SETS["positives"]:
        if case["level"] in ("must", "should"):
            assert phone.keyword(case["text"]) == case["expect"].upper(), case
        else:
            assert phone.keyword(case["text"]) == "STOP" or phone.maybe_opt_out(case["text"]), case
    assert not [case for case in SETS["negatives"] if phone.keyword(case["text"])]
    asked = [case["text"] for case in SETS["negatives"] if phone.maybe_opt_out(case["text"])]
    assert len(SETS["negatives"]) == 97 and asked == ["Stop knowing me so well!"]


@pytest.mark.parametrize("text", ["Please stop texting me", "no mas", "No más!", "stop it", "remove me", "do not text me", "unsubscribe me", "no more messages pls", "Opt me out: opt out now"])
def test_MSG_2_a_short_text_that_may_be_an_opt_out_is_asked_about(world, text):
    message = world.text(text)
    anew()
    assert message.opt_out == "asked" and not out(world.front) and autos(message.conversation) == []


@pytest.mark.parametrize("text", ["", "Cancel my appointment", "don't stop", "I'll stop by later", "the next stop please", "STOP", "HELP", "yes", "please stop sending me these offers every single day"])
def test_MSG_2_nobody_is_asked_about_anything_else(world, text):
    message = world.text(text)
    anew()
    assert message.opt_out == ""


def test_MSG_2_an_inboxs_own_words_count_beside_the_carriers(world):
    with transaction():
        world.front.stop_words, world.front.start_words, world.front.help_words = "Basta, Leave me be", "Vuelvo", "Ayuda"
    c = world.conversation("¡Basta!")
    assert out(world.front) and "unsubscribed" in autos(c)[0]
    world.text("VUELVO")
    anew()
    assert not out(world.front)
    world.text("leave me be.")
    anew()
    assert out(world.front)
    world.text("ayuda")
    assert "our team will answer" in autos(c)[-1]
    world.text("Basta", inbox=world.reception)
    anew()
    assert not out(world.reception), "another inbox has its own"


@pytest.mark.parametrize(("words", "field"), [
    (("stop", "", ""), "stop_words"), (("", "st op", ""), "start_words"), (("", "", "x" * 21), "help_words"), (("🛑", "", ""), "stop_words"),
    (("bye, BYE", "", ""), "stop_words"), (("bye", "bye!", ""), "start_words"), (("a,b,c,d,e,f,g,h,i,j,k", "", ""), "stop_words"),
])
def test_MSG_2_own_words_stay_within_the_carriers_rules(words, field):
    with pytest.raises(Refused) as refused:
        check_keywords(*words)
    assert refused.value.field == field


def test_MSG_2_the_question_must_name_its_answers():
    check_opt_in_request("")
    check_opt_in_request("Reply YES or STOP")
    with pytest.raises(Refused):
        check_opt_in_request("Do you want texts?")


# -- a person decides ----------------------------------------------------------------------------------------------


def test_MSG_2_the_question_is_answered_once_and_everybody_sees_it(world, bell):
    message = world.text("please stop texting me")
    c = message.conversation
    bell.facts.clear()
    with transaction():
        c.answer_opt_out(message, True, by=world.maya)
    assert {f["what"] for f in bell.facts} >= {"message", "conversation"}
    change = Consent.of(world.team.id, CUSTOMER)
    assert (change.opted_out, change.source, change.evidence, change.by_id, change.message_id) == (True, "hand", "please stop texting me", world.maya.id, message.id)
    with pytest.raises(OptOutAnswered), transaction():
        c.answer_opt_out(message, False, by=world.theo)
    anew()
    assert message.opt_out == "yes" and out(world.front)
    with pytest.raises(SendRefused) as refused:
        c.gate("Hi")
    assert "wants no more texts" in refused.value.sentence
    assert [e.actor_id for e in db.session.query(Event).filter_by(kind="contact.opted_out")] == [world.maya.id]


def test_MSG_2_a_plain_stop_answers_the_question(world, bell):
    message = world.text("please stop texting me")
    bell.facts.clear()
    world.text("STOP")
    anew()
    assert message.opt_out == "yes" and message.id in [f.get("message") for f in bell.facts]


def test_MSG_2_not_an_opt_out_changes_nothing_but_is_noted(world):
    message = world.text("Stop it, you two")
    with transaction():
        message.conversation.answer_opt_out(message, False, by=world.maya)
    anew()
    assert message.opt_out == "no" and not out(world.front) and message.conversation.gate("Hi")
    assert db.session.query(Event).filter_by(kind="contact.kept").count() == 1
    other = world.text("thanks")
    with pytest.raises(Refused), transaction():
        other.conversation.answer_opt_out(other, True, by=world.maya)
    with pytest.raises(Refused), transaction():
        message.conversation.answer_opt_out(message, True, by=world.vera)


def test_MSG_2_two_answers_at_once_count_once(world, app, together):
    message = world.text("please stop texting me")
    ids = message.id, world.maya.id, world.theo.id

    def answer(i):
        with transaction():
            found = db.session.get_one(Message, ids[0])
            found.conversation.answer_opt_out(found, bool(i % 2), by=person(ids[1 + i % 2]))

    results = together(answer, 8, app)
    assert len([r for r in failures(results) if isinstance(r, OptOutAnswered)]) == 7, results
    anew()
    assert db.session.query(Event).filter(Event.kind.in_(("contact.kept", "contact.opted_out"))).count() == 1
    assert out(world.front) == (message.opt_out == "yes")


def test_MSG_2_nobody_opts_a_customer_in_without_new_evidence(world):
    contact = world.conversation("STOP").contact
    for wrong in ({"evidence": "ok"}, {"evidence": " " * 40}, {"how": "telepathy"}, {"on": ""}, {"on": "2126-01-01"}, {"on": "<x>"}, {"evidence": "x" * 501}):
        with pytest.raises(Refused) as refused:
            by_hand(world, contact, **wrong)
        assert refused.value.field in wrong
    with pytest.raises(Refused):
        by_hand(world, contact, by=world.vera)
    anew()
    assert out(world.front)
    assert by_hand(world, contact)
    anew()
    change = Consent.of(world.team.id, CUSTOMER)
    assert (change.source, change.by_id, change.evidence) == ("hand", world.maya.id, "On paper, 2026-03-03: Signed the paper form at the desk")
    assert not out(world.front) and not by_hand(world, contact), "the same again is no change"


def test_MSG_2_what_the_provider_blocks_only_start_opens(world, monkeypatch):
    from jobs.send_message import send_message

    c = world.conversation()
    message = world.reply(c, world.maya)

    def refuse(adapter, credentials, outgoing):
        raise PermanentFailure("This number opted out.", "21610", opted_out=True)

    monkeypatch.setattr(Twilio, "send", refuse)
    dispatch_id = Dispatch.of(message).id
    db.session.rollback()
    send_message(dispatch_id)
    anew()
    change = Consent.of(world.team.id, CUSTOMER)
    assert (change.source, change.message_id, change.inbox_id) == ("provider", message.id, world.front.id)
    with pytest.raises(SendRefused, match="Only a START"):
        c.gate("Hi")
    with pytest.raises(Refused, match="Only a START"):
        by_hand(world, c.contact)
    world.text("STOP")
    with pytest.raises(Refused, match="Only a START"):
        by_hand(world, c.contact)
    world.text("START")
    anew()
    assert not out(world.front)
    by_hand(world, c.contact, opted_out=True)
    assert by_hand(world, c.contact), "no block is left"


def test_MSG_2_a_provider_block_after_a_stop_is_remembered(world):
    c = world.conversation("STOP")
    with transaction():
        assert Consent.put(c.account_id, world.team.id, CUSTOMER, opted_out=True, source="provider", evidence="21610", inbox_id=world.front.id)
        assert not Consent.put(c.account_id, world.team.id, CUSTOMER, opted_out=True, source="provider", evidence="21610", inbox_id=world.front.id)
    with pytest.raises(Refused, match="Only a START"):
        by_hand(world, c.contact)


def test_MSG_2_an_import_never_takes_an_opt_out_back(world):
    world.text("STOP")
    with transaction():
        assert not Consent.put(world.harbor, world.team.id, CUSTOMER, opted_out=False, source="import", evidence="contacts.csv")
        assert Consent.put(world.harbor, world.team.id, NEW, opted_out=False, source="import", evidence="contacts.csv")
    anew()
    assert out(world.front)


# -- confirmations -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["STOP", "HELP"])
def test_MSG_2_no_answer_of_ours_when_the_provider_has_answered_itself(world, word):
    c = world.conversation()
    with transaction():
        Conversation.receive(world.front, Inbound("S1", "S1", CUSTOMER, "", word, (), None, word, {}, answered=True))
    assert autos(c) == [] and out(world.front) == (word == "STOP")
    assert Twilio.caps.handles_optout


def test_MSG_2_twilio_says_when_it_has_answered():
    from inbox.channels.twilio import _inbound

    fields = {"From": CUSTOMER, "To": "+14155550100", "Body": "Stop"}
    assert not _inbound("SM1", fields).answered and _inbound("SM1", {**fields, "OptOutType": "STOP"}).answered


# -- double opt-in -------------------------------------------------------------------------------------------------


@pytest.fixture
def double(world):
    with transaction():
        world.front.double_opt_in = True
    return world.front


def compose(world, to=NEW, body="Hello, your glasses are ready.", **more):
    with transaction():
        return Conversation.compose(world.front, to, body, by=world.maya, **more)


def test_MSG_2_a_new_contact_is_asked_first_and_texted_after_yes(world, double):
    message = compose(world, nonce="n1")
    c = message.conversation
    assert (message.kind, message.path) == ("auto", "opt_in") and "reply YES" in message.body and "STOP" in message.body
    assert Draft.of(c, world.maya).body == "Hello, your glasses are ready."
    assert compose(world, nonce="n1").id == message.id, "pressed twice"
    for path in (Path.REPLY, Path.COMPOSE, Path.BULK, Path.API, Path.SCHEDULED, Path.FLOW, Path.AWAY):
        refusal = judge(c, "Hi", path=path).refusal
        assert refusal.rule == "opt_in" and "reply YES" in refusal.sentence
    with pytest.raises(SendRefused):
        compose(world)
    world.text("Who is this?", sender=NEW)
    anew()
    with pytest.raises(SendRefused):
        c.gate("It is us")
    world.text("Yes!", sender=NEW)
    anew()
    change = Consent.of(world.team.id, NEW)
    assert (change.source, change.evidence, change.opted_out) == ("double", "Yes!", False) and c.gate("Hi")
    assert "you will get texts from us" in autos(c)[-1] and len(autos(c)) == 2
    world.text("yes", sender=NEW)
    assert len(autos(c)) == 2


def test_MSG_2_stop_instead_of_yes_ends_it(world, double):
    c = compose(world).conversation
    world.text("STOP", sender=NEW)
    anew()
    assert judge(c, "Hi").refusal.rule == "consent"
    world.text("START", sender=NEW)
    anew()
    assert c.gate("Hi")


def test_MSG_2_who_wrote_first_or_agreed_elsewhere_is_not_asked(world, double):
    c = world.conversation()
    assert c.gate("Hi") and compose(world, CUSTOMER).path == "compose"
    with transaction():
        Contact.at(world.harbor.id, NEW)
        Consent.put(world.harbor, world.team.id, NEW, opted_out=False, source="import", evidence="contacts.csv")
    assert compose(world).path == "compose"


def test_MSG_2_other_paths_to_a_new_contact_are_told_to_ask(world, double):
    with transaction():
        c = Conversation.find_or_open(double, Contact.at(world.harbor.id, NEW), NEW, archived=True)
    assert judge(c, "Hi", path=Path.BULK).refusal.rule == "opt_in"


@pytest.mark.parametrize("state", ["undelivered", "failed", "canceled"])
def test_MSG_2_a_question_that_did_not_arrive_is_asked_again(world, double, state):
    first = compose(world)
    with transaction():
        first.state = state
    again = compose(world)
    assert again.path == "opt_in" and again.id != first.id and OptInRequest.to(double.id, NEW).message_id == again.id


def test_MSG_2_a_question_that_failed_can_be_tried_again(world, double):
    first = compose(world)
    with transaction():
        first.state, Dispatch.of(first).state = "failed", "failed"
    with transaction():
        first.try_again(by=world.maya)
    assert first.state == "queued"


def test_MSG_2_a_first_text_that_may_not_leave_asks_nothing(world, double):
    for body in ("", "x" * 1601):
        with pytest.raises(SendRefused):
            compose(world, body=body)
    assert OptInRequest.to(double.id, NEW) is None


# -- how to opt out, in the first text ---------------------------------------------------------------------------------


def test_MSG_2_the_first_text_of_a_conversation_we_start_says_how_to_opt_out(world):
    with transaction():
        world.front.append_opt_out = True
    body = "x" * 150
    first = compose(world, body=body)
    assert first.body == f"{body}\nReply STOP to opt out." and first.segments == 2
    assert compose(world, body="And this").body == "And this"
    c = world.conversation()
    assert world.reply(c, world.maya, "Yes").body == "Yes"
    assert compose(world, "+14155550189", "Hi. Reply STOP to end.").body == "Hi. Reply STOP to end."
    with pytest.raises(SendRefused):
        compose(world, "+14155550190", "x" * 1590)


# -- block ---------------------------------------------------------------------------------------------------------


def blocked(world, contact, conversation=None):
    with transaction():
        contact.block(by=world.maya, conversation=conversation)


def test_MSG_1_nothing_leaves_to_a_blocked_contact_and_nobody_hears_of_its_texts(world, bell):
    c = world.conversation()
    with transaction():
        c.archive(by=world.maya)
    blocked(world, c.contact, c)
    before, notices = c.last_activity_at, db.session.query(Notice).count()
    bell.rung.clear()
    clock.shift(60)
    message = world.text("let me in")
    anew()
    assert message.conversation_id == c.id and c.archived and not c.unread and c.last_activity_at == before and c.last_inbound_id == message.id
    assert db.session.query(Notice).count() == notices and not [job for job, _ in bell.rung if job == "notify_members"]
    for path in Path:
        assert judge(c, "Hi", path=path, exempt=("consent",)).refusal.rule == "block"
    world.text("HELP")
    world.text("STOP")
    assert autos(c) == [] and out(world.front), "an opt-out counts all the same"
    with transaction():
        c.contact.unblock(by=world.maya)
    world.text("START")
    anew()
    assert not c.archived and c.unread and c.gate("Hi")
    assert [e.kind for e in db.session.query(Event).filter(Event.kind.like("contact.%block%")).order_by(Event.id)] == ["contact.blocked", "contact.unblocked"]


def test_MSG_1_a_blocked_contact_starts_no_conversation_that_anybody_sees(world):
    with transaction():
        world.pharmacy.reopen = False
    c = world.conversation()
    blocked(world, c.contact)
    message = world.text("hello?", inbox=world.pharmacy)
    assert message.conversation.archived and not message.conversation.unread
    again = world.text("hello??", inbox=world.pharmacy)
    assert again.conversation_id == message.conversation_id


def test_MSG_1_a_text_queued_before_the_block_does_not_leave(world, monkeypatch):
    from jobs.send_message import send_message

    c = world.conversation()
    message = world.reply(c, world.maya)
    dispatch_id = Dispatch.of(message).id
    blocked(world, c.contact)
    db.session.rollback()
    monkeypatch.setattr(Twilio, "send", lambda *a: pytest.fail("it left"))
    send_message(dispatch_id)
    anew()
    assert message.state == "failed" and "is blocked" in message.error_text


def test_MSG_2_marks_nobody_reads_are_swept(world):
    with transaction():
        Contact.at(world.harbor.id, CUSTOMER)
        Stopping.mark(world.front, CUSTOMER)
    assert out(world.front) and out(world.pharmacy) and not out(world.reception)
    clock.shift(61)
    assert not out(world.front)
    with transaction():
        Stopping.sweep()
    assert db.session.query(Stopping).count() == 0
