"""Mentions, followers, asking for help, and what each member has seen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Bundle, Following, Mention, Message, Notice, Refused, db, transaction
from inbox.models.conversation.reading import LastRead
from inbox.models.mention import choices
from tests.models.helpers import anew, failures
from tests.world import World


def note(conversation, by, body: str) -> Message:
    with transaction():
        return conversation.note(body, by=by)


def named(message: Message) -> list[tuple[str, str]]:
    found = db.session.scalars(sa.select(Mention).where(Mention.message_id == message.id).order_by(Mention.position)).unique()
    return [(m.member.name, message.body[m.position : m.position + m.length]) for m in found]


@pytest.mark.parametrize(
    ("body", "who"),
    [
        ("@maya can you look?", [("Maya Chen", "@maya")]), ("@Maya Chen, please", [("Maya Chen", "@Maya Chen")]), ('ask @"theo okafor" or @MAYA.', [("Theo Okafor", '@"theo okafor"'), ("Maya Chen", "@MAYA")]),
        ("@Theo’s idea", [("Theo Okafor", "@Theo")]), ("(@theo)", [("Theo Okafor", "@theo")]), ("write to a@maya.com or rosa@maya", []), ("@nobody @ @@ @\"\" @,", []), ("@mayas", []), ("no sign", []),
    ],
)
def test_CONV_4_a_note_names_people_by_first_or_full_name(world: World, body: str, who: list[tuple[str, str]]) -> None:
    conversation = world.conversation()
    assert named(note(conversation, world.dana, body)) == who


def test_CONV_4_a_mention_stays_with_the_person_when_the_name_changes(world: World) -> None:
    conversation = world.conversation()
    message = note(conversation, world.dana, "@maya look")
    with transaction():
        world.maya.name = "Maja Lind"
    anew()
    assert named(message) == [("Maja Lind", "@maya")]


def test_CONV_4_a_name_of_several_people_is_asked_about_and_nothing_is_written(world: World) -> None:
    conversation = world.conversation()
    with transaction():
        twin = world.member(world.harbor, "Mona Lopez", "viewer", seat=False)
        twin.name = "Maya Lopez"
        world.front.add_member(twin, by=world.dana)
    with pytest.raises(Refused, match="@Maya Chen or @Maya Lopez"):
        note(conversation, world.dana, "@maya look")
    assert named(note(conversation, world.dana, "@maya lopez look")) == [("Maya Lopez", "@maya lopez")]
    with transaction():
        twin.name = "Maya Chen"
    with pytest.raises(Refused, match=f"@{twin.user_id}"):
        note(conversation, world.dana, "@Maya Chen look")
    assert named(note(conversation, world.dana, f"@{twin.user_id} look")) == [("Maya Chen", f"@{twin.user_id}")]
    assert db.session.query(Message).filter_by(kind="note").count() == 2


def test_CONV_4_somebody_who_cannot_read_here_is_not_named(world: World) -> None:
    conversation = world.conversation()
    with pytest.raises(Refused, match="Olga Outside cannot read this inbox"):
        note(conversation, world.dana, "@olga look")
    offered = {c.member.name: c.reads for c in choices(conversation, "o")}
    assert offered == {"Olga Outside": False, "Theo Okafor": True}
    assert [c.reads for c in choices(conversation, "")] == sorted((c.reads for c in choices(conversation, "")), reverse=True)
    assert "Nina North" not in {c.member.name for c in choices(conversation, "n")}


def test_CONV_4_a_mention_tells_each_person_once_and_not_the_writer(world: World, bell) -> None:
    conversation = world.conversation()
    note(conversation, world.maya, "@theo and @theo and @maya and @vera")
    told = db.session.execute(sa.select(Notice.kind, Notice.member_id).where(Notice.kind == "mentioned")).all()
    assert sorted(told) == sorted([("mentioned", world.theo.id), ("mentioned", world.vera.id)])
    bell.work()
    clock.shift(61)
    with transaction():
        bundle = Bundle.take(world.vera.id, "mail")
    assert bundle and "Maya Chen mentioned you in a note" in bundle.lines[0].news
    with transaction():
        conversation.seen_by(world.theo)
        bundle = Bundle.take(world.theo.id, "mail")
    assert bundle is None or "mentioned" not in bundle.lines[0].news


def test_ASG_3_asking_for_help_adds_a_follower_and_a_note_and_leaves_the_assignee(world: World) -> None:
    conversation = world.conversation()
    with transaction():
        conversation.assign_to(world.maya, by=world.maya, expected=None)
        message = Following.ask_for_help(conversation, world.theo, "the dosage\nfor cats", by=world.maya)
    assert message.body == "Maya asked @Theo Okafor for help: the dosage for cats" and named(message) == [("Theo Okafor", "@Theo Okafor")]
    assert conversation.assignee_id == world.maya.id and Following.of(conversation) == [world.theo]
    for to, about, words in ((world.maya, "x", "somebody else"), (world.theo, "  ", "Say what"), (world.olga, "x", "cannot read"), (world.nina, "x", "cannot read"), (world.theo, "x" * 1001, "at most")):
        with pytest.raises(Refused, match=words), transaction():
            Following.ask_for_help(conversation, to, about, by=world.maya)
    assert db.session.query(Message).filter_by(kind="note").count() == 1


def test_ASG_3_followers_hear_of_texts_and_notes_until_they_have_seen_them(world: World, bell) -> None:
    conversation = world.conversation()
    with transaction():
        conversation.assign_to(world.maya, by=world.maya, expected=None)
        Following.add(conversation, world.theo, by=world.theo)
    bell.work()
    clock.shift(61)
    with transaction():
        Bundle.take(world.theo.id, "mail")
    world.text("One more thing")
    note(conversation, world.maya, "He is upset")
    bell.work()
    clock.shift(61)
    with transaction():
        conversation.mark_read(by=world.maya)  # somebody else has read it, the follower has not
        bundle = Bundle.take(world.theo.id, "mail")
    assert bundle and bundle.lines[0].news == "Maya Chen wrote a note. New text"
    world.text("And another")
    bell.work()
    clock.shift(61)
    with transaction():
        conversation.seen_by(world.theo)
        assert Bundle.take(world.theo.id, "mail") is None


def test_ASG_3_following_ends_with_access(world: World) -> None:
    here, there = world.conversation(), world.conversation(sender="+14155550178", inbox=world.pharmacy)
    with transaction():
        assert Following.add(here, world.theo, by=world.maya) and not Following.add(here, world.theo, by=world.maya)
        Following.add(here, world.maya, by=world.maya)
        Following.add(there, world.dana, by=world.dana)
        world.front.remove_member(world.theo, by=world.dana)
    assert Following.of(here) == [world.maya] and Following.of(there) == [world.dana]
    assert list(db.session.scalars(Following.ids_of(world.maya))) == [here.id]


def test_ASG_3_following_twice_at_once_is_one_row(app, world: World, together) -> None:
    conversation = world.conversation()
    ids = conversation.id, world.theo.id

    def follow(_: int) -> bool:
        from tests.models.helpers import conversation as again
        from tests.models.helpers import person

        with transaction():
            return Following.add(again(ids[0]), person(ids[1]), by=person(ids[1]))

    db.session.rollback()
    results = together(follow, 4, app)
    assert not failures(results) and sorted(results) == [False, False, False, True]


def test_CONV_4_what_a_member_has_seen_never_moves_back(world: World) -> None:
    conversation = world.conversation()
    first = conversation.last_message_id
    assert conversation.last_read(world.maya) is None and conversation.first_unread(world.maya) is None
    with transaction():
        conversation.seen_by(world.maya)
    second = world.text("Hello?").id
    assert conversation.last_read(world.maya) == first and conversation.first_unread(world.maya) == second
    with transaction():
        conversation.seen_by(world.maya, second)
        conversation.seen_by(world.maya, first)
        conversation.seen_by(world.maya, 10**6)
    assert conversation.last_read(world.maya) == second and conversation.first_unread(world.maya) is None
    note(conversation, world.maya, "Mine")
    assert conversation.first_unread(world.maya) is None
    theirs = note(conversation, world.theo, "Theirs")
    assert conversation.first_unread(world.maya) == theirs.id and conversation.first_unread(world.theo) is None
    assert db.session.query(LastRead).count() == 1
