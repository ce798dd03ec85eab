"""CONV-8: conversations and contacts are merged into one and come apart again as if nothing had been."""

from __future__ import annotations

import itertools
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inbox import clock
from inbox.models import Busy, Contact, Conversation, Denied, Dispatch, Draft, Event, Following, Inbox, Message, Model, Refused, Tag, db, transaction
from inbox.models.consent import Allowed, Consent
from inbox.models.conversation.reading import LastRead
from inbox.models.conversation.replying import MergedAway
from inbox.models.merging.parting import part_conversations
from inbox.models.merging.people import alike, merge_contacts, part_contacts, preview
from inbox.models.merging.tables import JOINS, MOVES, OF_CONTACTS, STAYS, UNITES, referring
from inbox.models.merging.talks import merge_conversations
from inbox.models.search.finding import find
from tests.models.helpers import anew, failures, person

_phones = itertools.count(5200)
UTC = ZoneInfo("UTC")
LEFT_OUT = {"event", "merging", "merging_part", "merging_item"}  # what tells of the merge itself
RISING = {"conversation": {"version"}, "conversation_lock": {"fence"}}  # only ever count up


def number() -> str:
    return f"+1415555{next(_phones)}"


def merged(world, into, *others, by=None):
    with transaction():
        return merge_conversations(into, others, by=by or world.dana)


def parted(world, merging, by=None):
    with transaction():
        return part_conversations(merging, by=by or world.dana)


def united(world, into, other, by=None, **options):
    with transaction():
        return merge_contacts(into, other, by=by or world.dana, **options)[0]


def severed(world, merging, by=None):
    with transaction():
        return part_contacts(merging, by=by or world.dana)


def said(conversation):
    return [item.message.body for item in conversation.thread()[0] if item.message and item.message.kind != "auto"]


def left(message):
    with transaction():
        db.session.execute(sa.update(Dispatch).where(Dispatch.message_id == message.id).values(state="sent"))
        message.state = "delivered"


@pytest.fixture
def two(world):
    """Two conversations of one person, who has two numbers."""
    one, other = world.conversation("First", sender=number()), world.conversation("Second", sender=number())
    united(world, one.contact, other.contact)
    return one, other


# -- conversations -------------------------------------------------------------------------------------------------------


def test_CONV_8_every_table_of_a_conversation_or_contact_is_decided_about():
    assert set(referring("conversation")) <= {*MOVES, *UNITES, *JOINS, *STAYS}, "say in models/merging/tables.py what a merge does with it"
    assert set(referring("contact")) <= set(OF_CONTACTS), "say in models/merging/tables.py what a merge does with it"


def test_CONV_8_messages_interleave_and_what_comes_later_lands_in_the_survivor(world, two):
    one, other = two
    world.text("Third", sender=one.address)
    made = merged(world, one, other)
    assert said(one) == ["First", "Second", "Third"] and other.merged_into_id == one.id and other.archived
    assert world.text("Fourth", sender=other.address).conversation_id == one.id and one.preview == "Fourth"
    reply = world.reply(one, world.maya)
    assert reply.peer == one.address
    left(reply)
    parted(world, made)
    assert said(one) == ["First", "Third", reply.body] and said(other) == ["Second", "Fourth"]
    assert (other.preview, other.unread, other.archived, other.owed_since is not None) == ("Fourth", True, False, True)
    assert world.text("Fifth", sender=other.address).conversation_id == other.id
    kinds = db.session.scalars(sa.select(Event.kind).where(Event.conversation_id == one.id, Event.topic == "deletion").order_by(Event.id)).all()
    assert kinds == ["conversation.merged", "conversation.unmerged"]


def test_CONV_8_tags_followers_drafts_and_reading_go_along_and_come_back(world, two):
    one, other = two
    with transaction():
        red, blue = Tag.create("Red", by=world.dana), Tag.create("Blue", by=world.dana)
        one.tag(red, by=world.maya)
        other.tag(red, by=world.maya)
        other.tag(blue, by=world.maya)
        Following.add(other, world.theo, by=world.maya)
        Draft.put(one, "Half of", by=world.maya)
        Draft.put(other, "a thought", by=world.maya)
        Draft.put(other, "Theo’s", by=world.theo)
        one.seen_by(world.maya)
        other.seen_by(world.maya)
    made = merged(world, one, other)
    assert [t.name for t in one.tags] == ["Blue", "Red"] and world.theo in Following.of(one)
    assert Draft.of(one, world.maya).body == "Half of\na thought" and Draft.of(one, world.theo).body == "Theo’s"
    assert one.first_unread(world.maya) is None
    parted(world, made)
    assert [t.name for t in one.tags] == ["Red"] and [t.name for t in other.tags] == ["Blue", "Red"]
    assert (Draft.of(one, world.maya).body, Draft.of(other, world.maya).body, Draft.of(other, world.theo).body) == ("Half of", "a thought", "Theo’s")
    assert Draft.of(one, world.theo) is None and world.theo not in Following.of(one) and world.theo in Following.of(other)


def test_CONV_8_what_was_typed_on_stays_once_and_is_never_lost(world, two):
    one, other = two
    with transaction():
        Draft.put(one, "Half of", by=world.maya)
        Draft.put(other, "a thought", by=world.maya)
    made = merged(world, one, other)
    with transaction():
        Draft.put(one, "Half of\na thought, and more", by=world.maya)
    with transaction():
        Draft.put(other, "Typed on the old page", by=world.theo)
    assert Draft.of(one, world.theo).body == "Typed on the old page"
    parted(world, made)
    assert Draft.of(one, world.maya).body == "Half of\na thought, and more" and Draft.of(other, world.maya) is None


def test_CONV_8_the_state_is_that_of_the_most_awake_and_comes_back(world, two):
    one, other = two
    with transaction():
        one.archive(by=world.dana)
        other.assign_to(world.theo, by=world.dana, expected=None)
    made = merged(world, one, other)
    assert not one.archived and one.assignee_id == world.theo.id and one.unread
    parted(world, made)
    assert one.archived and one.assignee_id is None and not other.archived and other.assignee_id == world.theo.id
    with transaction():
        other.snooze(clock.now() + timedelta(days=1), by=world.dana)
    made = merged(world, one, other)
    assert one.archived and one.snoozed_until is not None
    parted(world, made)
    assert one.snoozed_until is None and other.snoozed_until is not None


def test_CONV_8_LOCK_1_nothing_is_merged_over_somebodys_head_or_while_a_text_is_leaving(world, two):
    one, other = two
    with transaction():
        other.acquire(by=world.theo)
    with pytest.raises(Refused, match="Theo Okafor is replying"):
        merged(world, one, other)
    with transaction():
        other.release(by=world.theo)
    message = world.reply(other, world.maya)
    with pytest.raises(Refused, match="has not left yet"):
        merged(world, one, other)
    left(message)
    assert merged(world, one, other).undoable


def test_CONV_8_only_what_belongs_together_is_merged(world, two):
    one, other = two
    stranger, elsewhere = world.conversation(sender=number()), world.conversation(sender=one.address, inbox=world.pharmacy)
    for wrong, why in ((stranger, "different contacts"), (elsewhere, "of one inbox"), (one, "at least one other")):
        with pytest.raises(Refused, match=why):
            merged(world, one, wrong)
    with transaction():
        other.mark_spam(by=world.dana)
    with pytest.raises(Refused, match="spam"):
        merged(world, one, other)
    for who in (world.maya, world.vera, world.uma, world.nina):
        with pytest.raises(Refused) as refused:
            merged(world, one, other, by=who)
        assert refused.value.status == 403


def test_CONV_8_merges_come_apart_the_last_first_once_and_for_thirty_days(world, two, monkeypatch):
    one, other = two
    third = world.conversation("Third", sender=number())
    united(world, one.contact, third.contact)
    first = merged(world, other, third)
    second = merged(world, one, other)
    assert third.merged_into_id == one.id and said(one) == ["First", "Second", "Third"]
    assert world.text("From the third", sender=third.address).conversation_id == one.id
    with pytest.raises(Refused, match="Undo that merge first"):
        parted(world, first)
    parted(world, second)
    assert third.merged_into_id == other.id and said(other) == ["Second", "Third"], "what came from the third stays until it is apart too"
    parted(world, first)
    with pytest.raises(Refused, match="undone already"):
        parted(world, first)
    made = merged(world, one, other)
    later = clock.now() + timedelta(days=31)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.raises(Refused, match="30 days"):
        parted(world, made)


def test_CONV_8_a_page_of_the_merged_one_can_neither_write_nor_pass_for_a_holder(world, two):
    one, other = two
    with transaction():
        fence = other.acquire(by=world.dana).fence
    merged(world, one, other)
    with pytest.raises(MergedAway), transaction():
        other.reply("Too late", by=world.dana, fence=fence, seen=other.last_inbound_id)
    with pytest.raises(MergedAway), transaction():
        other.note("Too late", by=world.dana)
    with transaction():
        assert one.acquire(by=world.dana).fence > fence
    assert not any(row.id == other.id for row in db.session.scalars(Conversation.scope(world.dana)))


def test_CONV_8_CONV_9_search_follows_a_merge_and_its_undo(world, two):
    one, other = two
    world.text("A kangaroo", sender=other.address)

    def homes(words):
        found = find(world.dana, words, zone=UTC)
        return {hit.conversation_id for hit in found.hits + found.people}

    assert homes("kangaroo") == {other.id}
    made = merged(world, one, other)
    assert homes("kangaroo") == {one.id} and homes(f"from:{other.address} kangaroo") == {one.id} and homes(other.address) == {one.id}
    world.text("A wombat", sender=other.address)
    parted(world, made)
    assert homes("kangaroo") == homes("wombat") == {other.id} and homes("first") == {one.id}
    with transaction():
        assert db.session.scalars(sa.select(Contact).where(Contact.phone == other.address)).one().merged_into_id == one.contact_id


# -- merge and undo change nothing -----------------------------------------------------------------------------------------


def snapshot():
    """Every row of every table, but what tells of merges, and what only counts up."""
    db.session.rollback()
    found = {}
    for table in Model.metadata.sorted_tables:
        if table.name not in LEFT_OUT:
            names = [c.name for c in table.columns if c.name not in RISING.get(table.name, ())]
            found[table.name] = sorted(repr(row) for row in db.session.execute(sa.select(*(table.c[n] for n in names))).all())
    return found


ACTS = st.sampled_from(["text", "note", "reply", "draft", "note draft", "tag", "follow", "read", "unread", "assign", "archive", "snooze", "call off", "wait"])
LIVES = st.lists(st.tuples(st.integers(0, 2), ACTS, st.integers(0, 1)), max_size=12)


def live(world, talks, tags, life):
    """What happens in conversations before somebody merges them."""
    for which, act, who in life:
        talk, member = talks[which], (world.maya, world.theo)[who]
        if act == "text":
            world.text(f"Text {which}", sender=talk.address)
        elif act == "reply" and not talk.archived:
            left(world.reply(talk, member))
        with transaction():
            if act == "note":
                talk.note("Only for us", by=member)
            elif act in ("draft", "note draft"):
                Draft.put(talk, f"Typed by {member.name} in {which}", by=member, kind="note" if act == "note draft" else "reply")
            elif act == "tag":
                talk.tag(tags[who], by=member)
            elif act == "follow":
                Following.add(talk, member, by=world.dana)
            elif act == "read":
                talk.seen_by(member)
                talk.mark_read(by=member)
            elif act == "unread":
                talk.mark_unread(by=member)
            elif act == "assign":
                talk.assign_to(member, by=world.dana, expected=talk.assignee_id)
            elif act == "archive":
                talk.archive(by=world.dana)
            elif act == "snooze":
                talk.snooze(clock.now() + timedelta(days=1), by=world.dana)
            elif act == "wait":
                talk.wait_for_lock(by=member)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.reuse, Phase.generate], derandomize=True)
@given(LIVES, st.booleans())
def test_CONV_8_merging_and_undoing_leaves_every_row_as_it_was(world, life, through_contacts):
    talks = [world.conversation(f"Hello {n}", sender=number()) for n in range(3)]
    with transaction():
        tags = [Tag.create(name, by=world.dana) for name in ("Red", "Blue")]
    live(world, talks, tags, life)
    anew()
    into, *others = (talk.contact for talk in talks)
    before = snapshot()
    people = [united(world, into, contact, talks=through_contacts and n == 1) for n, contact in enumerate(others)]
    if not through_contacts:
        joined, whole = snapshot(), merged(world, talks[0], *talks[1:])
        assert {talk.id for talk in talks if talk.merged_into_id is None} == {talks[0].id}
        parted(world, whole)
        assert snapshot() == joined
    for one in reversed(people):
        severed(world, one)
    assert snapshot() == before


# -- contacts --------------------------------------------------------------------------------------------------------------


def test_CONV_8_contacts_become_one_with_the_chosen_values_and_come_apart(world):
    one, other = world.conversation("One", sender=number()), world.conversation("Other", sender=number())
    into, second = one.contact, other.contact
    phones = into.phone, second.phone
    with transaction():
        into.rename("Rosa", "Diaz")
        second.rename("R.", "Diaz")
        second.email, second.external_id, second.fields, into.fields = "rosa@example.com", "K-7", {"Pet": "Rex", "City": "Reno"}, {"Pet": "Max"}
        second.give_to(world.theo, by=None)
    assert [(c.key, c.clash) for c in preview(into, second) if c.mine or c.theirs] == [
        ("name", True), ("phone", True), ("email", False), ("external_id", False), ("owner", False), ("field:Pet", True), ("field:City", False)
    ]
    made = united(world, into, second, theirs={"phone": True, "field:Pet": True})
    assert (into.name, into.phone, into.email, into.external_id, into.owner_id) == ("Rosa Diaz", phones[1], "rosa@example.com", "K-7", world.theo.id)
    assert into.fields == {"Pet": "Rex", "City": "Reno"} and into.numbers() == [phones[1], phones[0]] and other.contact_id == into.id
    assert Contact.at(world.harbor.id, phones[0]).id == Contact.at(world.harbor.id, phones[1]).id == into.id
    assert [c.id for c in Contact.search(world.dana, "Diaz")] == [into.id]
    fresh = world.text("New", sender=phones[1], inbox=world.pharmacy).conversation
    assert fresh.contact_id == into.id
    severed(world, made)
    assert (into.name, into.phone, into.email, into.external_id, into.owner_id, into.fields) == ("Rosa Diaz", phones[0], None, None, None, {"Pet": "Max"})
    assert (second.name, second.phone, second.external_id, second.fields) == ("R. Diaz", phones[1], "K-7", {"Pet": "Rex", "City": "Reno"})
    db.session.expire_all()
    assert other.contact_id == fresh.contact_id == second.id and one.contact_id == into.id, "what came in since stays with its number"


def test_CONV_8_MSG_2_an_opt_out_of_one_number_counts_for_both_and_a_block_too(world):
    one, other = world.conversation("One", sender=number()), world.conversation("STOP", sender=number())
    into, second = one.contact, other.contact
    assert not Allowed.read(world.front, one.address).opted_out
    made = united(world, into, second)
    assert Allowed.read(world.front, one.address).opted_out and Allowed.read(world.front, other.address).opted_out
    with pytest.raises(Refused, match="STOP"):
        world.reply(one, world.maya)
    with transaction():
        Consent.put(world.harbor, world.front.team_id, one.address, opted_out=False, source="import", inbox_id=world.front.id)
    assert Allowed.read(world.front, one.address).opted_out, "a file takes no opt-out back"
    world.text("START", sender=one.address)
    assert not Allowed.read(world.front, one.address).opted_out and Allowed.read(world.front, other.address).opted_out
    severed(world, made)
    assert not Allowed.read(world.front, one.address).opted_out and Allowed.read(world.front, other.address).opted_out
    with transaction():
        second.block(by=world.dana)
    made = united(world, into, second)
    assert into.blocked
    severed(world, made)
    assert not into.blocked and second.blocked


def test_CONV_8_MSG_2_a_stop_from_the_other_number_is_confirmed_there(world, two):
    one, other = two
    merged(world, one, other)
    world.text("STOP", sender=other.address)
    answer = db.session.scalars(sa.select(Message).where(Message.conversation_id == one.id, Message.kind == "auto")).one()
    assert answer.peer == other.address and Allowed.read(world.front, one.address).opted_out


def test_CONV_8_conversations_are_folded_along_and_part_with_the_contacts(world):
    one, other = world.conversation("One", sender=number()), world.conversation("Other", sender=number())
    made = united(world, one.contact, other.contact, talks=True)
    survivor = one if one.merged_into_id is None else other
    assert said(survivor) == ["One", "Other"]
    severed(world, made)
    assert said(one) == ["One"] and said(other) == ["Other"] and one.contact_id != other.contact_id


def test_CONV_8_likely_duplicates_are_named_with_what_they_share(world):
    rows = [world.conversation(sender=number()).contact for _ in range(4)]
    with transaction():
        for row, (first, last, email) in zip(rows, [("Ana", "Silva", "ana@x.example"), ("ANA", "Silvá", None), ("Bo", "", "ANA@x.example"), ("Ana", "Souza", None)], strict=True):
            row.email = email
            row.rename(first, last)
    assert {(c.id, why) for c, why in alike(rows[0], by=world.dana)} == {(rows[1].id, "Same name, another number"), (rows[2].id, "Same e-mail address")}


def test_CONV_8_contacts_of_others_and_merged_ones_are_refused(world, two):
    one, _ = two
    gone = db.session.scalars(sa.select(Contact).where(Contact.merged_into_id.is_not(None))).one()
    with pytest.raises(Busy):
        united(world, one.contact, gone)
    with pytest.raises(Refused, match="another contact"):
        united(world, one.contact, one.contact)
    for who in (world.maya, world.vera, world.nina):
        with pytest.raises((Denied, Refused)):
            united(world, one.contact, world.conversation(sender=number()).contact, by=who)


# -- races -----------------------------------------------------------------------------------------------------------------


def test_CONV_8_two_who_merge_crosswise_at_once_end_with_one(world, app, together):
    pairs = [(world.conversation("a", sender=number()), world.conversation("b", sender=number())) for _ in range(4)]
    ids = [(a.contact_id, b.contact_id, a.id, b.id) for a, b in pairs]
    dana = world.dana.id

    def cross(i):
        for contacts in ids:
            into, other = (db.session.get(Contact, contacts[i]), db.session.get(Contact, contacts[1 - i]))
            try:
                with transaction():
                    merge_contacts(into, other, by=person(dana), talks=True)
            except Refused:
                pass
            db.session.remove()

    assert not failures(together(cross, 2, app))
    anew()
    for first, second, *talks in ids:
        away = [db.session.get(Contact, id).merged_into_id for id in (first, second)]
        assert away.count(None) == 1, "exactly one of the two stands"
        assert sum(db.session.get(Conversation, id).merged_into_id is None for id in talks) == 1


def test_CONV_8_texts_that_arrive_while_merging_and_undoing_are_all_there_once(world, app, together, two):
    one, other = two
    ids, addresses, dana, front = (one.id, other.id), (one.address, other.address), world.dana.id, world.front.id

    def side(i):
        for n in range(10):
            if i < 2:
                world.text(f"{i}-{n}", sender=addresses[i], inbox=db.session.get(Inbox, front))
            else:
                try:
                    with transaction():
                        made = merge_conversations(db.session.get(Conversation, ids[0]), [db.session.get(Conversation, ids[1])], by=person(dana))
                    with transaction():
                        part_conversations(made, by=person(dana))
                except Refused:
                    break
            db.session.remove()

    assert not failures(together(side, 3, app))
    anew()
    for i, id in enumerate(ids):
        bodies = said(db.session.get(Conversation, id))
        here = [body for body in bodies if "-" in body]
        if db.session.get(Conversation, ids[1]).merged_into_id is None:
            assert sorted(here) == sorted(f"{i}-{n}" for n in range(10))


def test_CONV_8_a_reply_at_the_moment_of_a_merge_is_sent_once_or_kept(world, app, together):
    pairs = []
    for _ in range(4):
        one, other = world.conversation("a", sender=number()), world.conversation("b", sender=number())
        united(world, one.contact, other.contact)
        with transaction():
            pairs.append((one.id, other.id, other.acquire(by=world.dana).fence, other.last_inbound_id))
    dana, told = world.dana.id, []

    def side(i):
        for into, away, fence, seen in pairs:
            try:
                with transaction():
                    talk = db.session.get(Conversation, away)
                    if i:
                        merge_conversations(db.session.get(Conversation, into), [talk], by=person(dana))
                    else:
                        talk.reply(f"for {away}", by=person(dana), fence=fence, seen=seen, nonce=f"n{away}")
                        told.append(away)
            except Refused:
                pass
            db.session.remove()

    assert not failures(together(side, 2, app))
    anew()
    for _, away, *_ in pairs:
        sent = db.session.scalars(sa.select(Message).where(Message.body == f"for {away}")).all()
        assert len(sent) == (away in told) and all(m.peer == db.session.get(Conversation, away).address for m in sent)
    assert not db.session.scalars(sa.select(LastRead).where(LastRead.conversation_id.is_(None))).all()
