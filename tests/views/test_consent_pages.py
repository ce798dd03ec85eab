"""MSG-2 and MSG-1 on the pages: the history, the question about a text, new consent by hand, the block, and an inbox's settings; on both databases."""

# ruff: noqa: F811 - fixtures of another folder are named like arguments
from __future__ import annotations

import pytest

from inbox.models import Consent, Contact, Conversation, Draft, Event, Grant, Inbox, Message, Team, db, transaction
from inbox.models.consent import Allowed
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once

CUSTOMER = "+14155550134"


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


@pytest.fixture
def theo(app, world):
    return app.test_client().sign_in(world.theo)


@pytest.fixture
def vera(app, world):
    return app.test_client().sign_in(world.vera)


@pytest.fixture
def dana(app, world):
    return app.test_client().sign_in(world.dana)


def talk(conversation):
    return f"/c/{conversation.public_id}"


def card(contact, tail=""):
    return f"/contacts/{contact.public_id}{tail}"


def opted_out(inbox):
    db.session.rollback()
    db.session.expire_all()
    return Allowed.read(db.session.get_one(Inbox, inbox.id), CUSTOMER).opted_out


GOOD = {"wants": "in", "how": "paper", "on": "2026-03-03", "evidence": "Signed the intake form, box 4"}


# -- the history -----------------------------------------------------------------------------------------------------


def test_MSG_2_the_history_quotes_the_text_in_the_pane_and_on_the_contacts_page(world, maya):
    c = world.conversation()
    world.text("Stop.")
    for page in (maya.get(talk(c)).text, maya.get(card(c.contact)).text):
        assert "No more texts" in page and "by text" in page and ">Stop.</q>" in page and "Opted out" in page
    world.text("START")
    page = maya.get(card(c.contact)).text
    assert page.index(">START</q>") < page.index(">Stop.</q>") and "Opted out" not in page


def test_MSG_2_words_from_an_inbox_closed_to_the_reader_are_not_quoted(world, maya, dana):
    c = world.conversation()
    world.text("STOP", inbox=world.pharmacy)
    for page in (maya.get(talk(c)).text, maya.get(card(c.contact)).text):
        assert "No more texts" in page and "STOP</q>" not in page and "Pharmacy" not in page
    assert "STOP</q>" in dana.get(card(c.contact)).text
    with transaction():
        world.front.set_consent_scope("inbox", by=world.dana)
    other = world.conversation(sender="+14155550135")
    world.text("STOP", sender="+14155550135", inbox=world.pharmacy)
    assert "No more texts" not in maya.get(card(other.contact)).text
    assert "Opted out of Pharmacy" in dana.get(card(other.contact)).text


def test_MSG_2_a_hostile_text_is_quoted_as_it_is(world, maya):
    c = world.conversation()
    with transaction():
        Consent.put(c.account_id, world.team.id, CUSTOMER, opted_out=True, source="text", evidence="<img src=x onerror=alert(1)>", inbox_id=world.front.id)
    assert "&lt;img src=x" in maya.get(card(c.contact)).text


# -- the question about a text ----------------------------------------------------------------------------------------


def test_MSG_2_the_agent_is_asked_and_answers_once(world, maya, theo, vera, bell):
    message = world.text("please stop texting me")
    c = message.conversation
    url = f"/messages/{message.public_id}/opt-out"
    assert "want no more texts?" in maya.get(talk(c)).text and "want no more texts?" not in vera.get(talk(c)).text
    assert vera.send(url, out="yes").status_code == 403
    assert maya.send(url, out="perhaps", htmx=True).status_code == 422 and not opted_out(world.front)
    bell.facts.clear()
    answer = maya.send(url, out="yes", htmx=True)
    assert answer.status_code == 200 and f'id="m-{message.id}"' in answer.text and "want no more texts?" not in answer.text and "wants no more texts" in answer.text
    assert {"message", "conversation"} <= {fact["what"] for fact in bell.facts}, "other open pages hear of it"
    assert opted_out(world.front)
    late = theo.send(url, out="no", htmx=True)
    assert late.status_code == 409 and "want no more texts?" not in late.text and opted_out(world.front)
    assert "noted that the customer wants no more texts" in theo.get(talk(c)).text


def test_MSG_2_the_answer_works_without_javascript(world, maya):
    message = world.text("Stop it, you two")
    answer = maya.send(f"/messages/{message.public_id}/opt-out", out="no")
    assert answer.status_code == 303 and answer.location.startswith(talk(message.conversation))
    page = maya.get(answer.location).text
    assert "found that this was no opt-out" in page and "want no more texts?" not in page
    assert "answered this already" in maya.get(maya.send(f"/messages/{message.public_id}/opt-out", out="yes").location).text


def test_MSG_2_nobody_answers_for_a_text_of_another_company_or_inbox(world, maya):
    for inbox in (world.reception, world.pharmacy):
        message = world.text("please stop texting me", inbox=inbox)
        assert maya.send(f"/messages/{message.public_id}/opt-out", out="yes").status_code == 404


# -- new consent by hand ----------------------------------------------------------------------------------------------


def test_MSG_2_new_consent_needs_how_when_and_evidence(world, maya):
    contact = world.conversation("STOP").contact
    assert card(contact, "/consent?wants=in") in maya.get(card(contact)).text
    form = maya.get(card(contact, "/consent")).text
    assert 'value="2026-' in form or 'type="date"' in form
    good = {"inbox": world.front.public_id, **GOOD}
    for field, value, says in (
        ("evidence", "ok", "at least 10 characters"), ("how", "dream", "Choose how they told you"), ("on", "someday", "Choose the day"), ("on", "2126-01-01", "not in the future"),
        ("inbox", world.pharmacy.public_id, "Choose which inbox"), ("wants", "", "Choose what they want"),
    ):
        answer = maya.send(card(contact, "/consent"), **{**good, field: value})
        assert answer.status_code == 422 and says in answer.text, field
        assert field == "evidence" or "Signed the intake form, box 4" in answer.text, "what was typed stays"
    assert opted_out(world.front)
    assert maya.send(card(contact, "/consent"), **good).status_code == 303
    assert not opted_out(world.front)
    page = maya.get(card(contact)).text
    assert "noted by Maya Chen" in page and "On paper, 2026-03-03: Signed the intake form, box 4" in page


def test_MSG_2_a_customer_can_be_opted_out_by_hand(world, maya):
    c = world.conversation()
    maya.send(card(c.contact, "/consent"), **{**GOOD, "inbox": world.front.public_id, "wants": "out", "how": "phone", "evidence": "Called and asked for it"})
    assert opted_out(world.front) and "wants no more texts" in maya.get(talk(c)).text


def test_MSG_2_the_providers_block_is_not_cleared_by_hand(world, maya):
    c = world.conversation()
    with transaction():
        Consent.put(c.account_id, world.team.id, CUSTOMER, opted_out=True, source="provider", evidence="21610", inbox_id=world.front.id)
    answer = maya.send(card(c.contact, "/consent"), inbox=world.front.public_id, **GOOD)
    assert answer.status_code == 422 and "Only a START" in answer.text and opted_out(world.front)


def test_MSG_2_who_may_not_edit_contacts_records_nothing(world, vera):
    contact = world.conversation("STOP").contact
    assert vera.get(card(contact, "/consent")).status_code == 403
    assert vera.send(card(contact, "/consent"), inbox=world.front.public_id, **GOOD).status_code == 403 and opted_out(world.front)


def test_MSG_2_consent_is_recorded_only_for_teams_whose_contacts_one_may_edit(world, maya):
    c = world.conversation("STOP")
    with transaction():
        annex = Team(account_id=world.harbor.id, name="Night").save()
        world.approve(annex)
        night = world.inbox(annex, "Night Desk", "+14155550155", world.dana, "red")
        night.add_member(world.maya, by=world.dana)
        world.maya.grants[0].team_id = world.team.id
        Grant(member_id=world.maya.id, role="viewer").save()
    db.session.refresh(world.maya)
    page = maya.get(card(c.contact, "/consent")).text
    assert f'value="{world.front.public_id}"' in page and f'value="{night.public_id}"' not in page
    answer = maya.send(card(c.contact, "/consent"), inbox=night.public_id, **GOOD)
    assert answer.status_code == 422 and "Choose which inbox" in answer.text and opted_out(world.front)


def test_MSG_2_nobody_is_told_that_texts_are_allowed_without_an_inbox_to_ask(world, dana):
    c = world.conversation("STOP")
    with transaction():
        world.approve(world.team).state = "suspended"
    page = dana.get(card(c.contact)).text
    assert "Allowed" not in page and "texts are allowed" not in page and "inboxes you are not in" in page


# -- block -------------------------------------------------------------------------------------------------------------


def test_MSG_1_a_contact_is_blocked_and_unblocked_from_both_places(world, maya, vera):
    c = world.conversation()
    assert "/block" in maya.get(talk(c)).text and "/block" not in vera.get(talk(c)).text
    assert maya.send(card(c.contact, "/block")).location == card(c.contact)
    page = maya.get(card(c.contact)).text
    assert "Blocked" in page and "/unblock" in page
    assert "is blocked. Unblock the contact" in maya.get(talk(c)).text
    answer = maya.send(card(c.contact, "/unblock"), conversation=c.public_id)
    assert answer.location.startswith(talk(c)) and "unblocked this contact" in maya.get(talk(c)).text
    assert vera.send(card(c.contact, "/block")).status_code == 403
    theirs = world.conversation("hi", sender="+12065550134", inbox=world.reception)
    assert maya.send(card(c.contact, "/block"), conversation=theirs.public_id).status_code == 404
    ours = world.conversation("hi", sender="+14155550177")
    assert maya.send(card(c.contact, "/block"), conversation=ours.public_id).status_code == 404, "a talk with somebody else"
    db.session.expire_all()
    assert not db.session.get_one(Contact, c.contact_id).blocked


# -- an inbox's settings --------------------------------------------------------------------------------------------------

SETTINGS = {
    "lock_on": "open", "idle_after": "180", "idle_answer": "60", "lock_lease": "45", "lock_heartbeat": "15", "reopen": "yes", "stop_reply": "", "start_reply": "",
    "help_reply": "", "description": "", "forward_to": "",
}


def settings(inbox):
    return f"/inboxes/{inbox.public_id}/settings"


def test_MSG_2_an_inboxs_consent_settings_are_saved_and_recorded(world, dana):
    assert 'value="team" checked' in dana.get(settings(world.front)).text
    wanted = {"consent_scope": "account", "stop_words": "Basta,  Leave me be", "start_words": "Vuelvo", "help_words": "", "double_opt_in": "y", "append_opt_out": "y",
              "opt_in_request": "Harbor Vet: YES for texts, STOP for none."}
    assert dana.send(settings(world.front), **SETTINGS, **wanted).status_code == 303
    db.session.expire_all()
    inbox = db.session.get_one(Inbox, world.front.id)
    assert (inbox.team.consent_scope, inbox.stop_words, inbox.start_words, inbox.double_opt_in, inbox.append_opt_out) == ("account", "Basta, Leave me be", "Vuelvo", True, True)
    assert inbox.own_keywords == {"basta": "STOP", "leavemebe": "STOP", "vuelvo": "START"}
    assert {"team.consent_changed", "inbox.changed"} <= {e.kind for e in db.session.query(Event)}
    page = dana.get(settings(world.front)).text
    assert "Leave me be" in page and 'value="account" checked' in page


@pytest.mark.parametrize(("change", "says"), [
    ({"stop_words": "unsubscribe"}, "always counts as STOP"), ({"start_words": "x" * 30}, "A keyword is a short word"), ({"consent_scope": "planet"}, "Choose how far a STOP reaches"),
    ({"stop_words": "a" * 300}, "Use at most 200 characters"), ({"opt_in_request": "Texts?"}, "YES brings texts"),
])
def test_MSG_2_settings_outside_the_carriers_rules_are_refused(world, dana, change, says):
    answer = dana.send(settings(world.front), **{**SETTINGS, "stop_reply": "Bye then", **change})
    assert answer.status_code == 422 and says in answer.text and "Bye then" in answer.text
    db.session.expire_all()
    inbox = db.session.get_one(Inbox, world.front.id)
    assert (inbox.team.consent_scope, inbox.stop_words, inbox.stop_reply, inbox.opt_in_request) == ("team", "", "", "")


def test_MSG_2_who_does_not_manage_inboxes_changes_no_setting(world, maya):
    assert maya.send(settings(world.front), **SETTINGS, consent_scope="account").status_code == 403
    db.session.expire_all()
    assert world.team.consent_scope == "team"


def test_MSG_2_compose_says_that_the_contact_was_asked_first(world, maya):
    with transaction():
        world.front.double_opt_in = True
    answer = maya.send("/compose", inbox=world.front.public_id, to="+14155550188", body="Your glasses are ready.", nonce="n")
    page = maya.get(answer.location).text
    assert "We asked them for a YES first" in page and "Your glasses are ready." in page and "You can text them once they reply YES" in page
    assert "so the customer was asked for a YES" in page
    c = db.session.query(Conversation).filter_by(address="+14155550188").one()
    assert Draft.of(c, world.maya) and db.session.query(Message).filter_by(conversation_id=c.id).count() == 1
