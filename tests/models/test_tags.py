"""TOOL-3: tags of an account and on conversations."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox.models import Conversation, Denied, Event, NoSeat, Refused, Tag, Tagging, db, transaction
from inbox.models.tag import MOST


def made(world, *names):
    with transaction():
        return [Tag.create(name, by=world.dana) for name in names]


def on(conversation):
    db.session.expire_all()
    return [tag.name for tag in conversation.tags]


def kinds(conversation):
    return list(db.session.scalars(sa.select(Event.kind).where(Event.conversation_id == conversation.id, Event.kind.like("conversation.%tagged")).order_by(Event.id)))


def test_TOOL_3_the_same_name_in_another_case_is_the_same_tag(world):
    first, again = made(world, "Refund", "  rEFUND ")
    assert first.id == again.id and first.name == "Refund"
    assert [t.name for t in Tag.of(world.harbor.id)] == ["Refund"] and Tag.of(world.north.id) == []
    assert Tag.named(world.harbor.id, "REFUND").id == first.id and Tag.named(world.north.id, "Refund") is None


def test_TOOL_3_two_who_make_one_tag_at_once_get_the_same(app, world, together):
    ids = (world.dana.id, world.ada.id)

    def make(i):
        from inbox.models import Member

        with transaction():
            return Tag.create("Refund" if i else "REFUND", by=db.session.get(Member, ids[i])).id

    first, second = together(make, 2, app)
    db.session.rollback()
    assert first == second and db.session.query(Event).filter_by(kind="tag.created").count() == 1


@pytest.mark.parametrize("name", ["", "  \n", "x" * 41])
def test_TOOL_3_a_name_must_be_there_and_short(world, name):
    with pytest.raises(Refused) as refused, transaction():
        Tag.create(name, by=world.dana)
    assert refused.value.field == "name"


def test_TOOL_3_who_may_make_and_who_may_put(world):
    [tag] = made(world, "Refund")
    c = world.conversation()
    with pytest.raises(Denied), transaction():
        Tag.create("New", by=world.maya)
    with transaction():
        assert c.tag(tag, by=world.maya)
    for who, why in ((world.vera, Denied), (world.uma, NoSeat), (world.olga, Denied), (world.nina, Denied)):
        with pytest.raises(why), transaction():
            c.untag(tag, by=who)
    assert on(c) == ["Refund"]


def test_TOOL_3_put_and_taken_once_with_an_event_and_a_fact(world, bell):
    [tag] = made(world, "Refund")
    c = world.conversation()
    bell.facts.clear()
    with transaction():
        assert c.tag(tag, by=world.maya) and not c.tag(tag, by=world.theo)
    assert [f["what"] for f in bell.facts] == ["conversation"] and on(c) == ["Refund"]
    with transaction():
        assert c.untag(tag, by=world.theo) and not c.untag(tag, by=world.maya)
    assert on(c) == [] and kinds(c) == ["conversation.tagged", "conversation.untagged"]


def test_TOOL_3_at_most_twenty_on_a_conversation_also_when_two_put_one_at_once(app, world, together):
    tags = [tag.id for tag in made(world, *(f"T{n}" for n in range(MOST + 1)))]
    c = world.conversation()
    with transaction():
        for tag_id in tags[: MOST - 1]:
            c.tag(db.session.get(Tag, tag_id), by=world.maya)
    row, who = c.id, world.maya.id

    def put(i):
        from inbox.models import Member

        with transaction():
            return db.session.get(Conversation, row).tag(db.session.get(Tag, tags[MOST - 1 + i]), by=db.session.get(Member, who))

    results = together(put, 2, app)
    db.session.rollback()
    assert sorted(str(r) for r in results) == [f"A conversation can have {MOST} tags. Take one off first.", "True"]
    assert db.session.query(Tagging).filter_by(conversation_id=row).count() == MOST


def test_ACC_1_a_tag_of_another_account_cannot_be_put(world):
    with transaction():
        theirs = Tag.create("Theirs", by=world.nina)
    c = world.conversation()
    with pytest.raises(Refused), transaction():
        c.tag(theirs, by=world.maya)
    assert on(c) == []


def test_TOOL_3_another_name_must_be_free_and_the_colour_one_of_ours(world):
    refund, vip = made(world, "Refund", "VIP")
    with pytest.raises(Refused) as refused, transaction():
        refund.edit("vip", "red", by=world.dana)
    assert refused.value.field == "name" and "VIP" in refused.value.sentence
    with pytest.raises(Refused), transaction():
        refund.edit("Refund", "mauve", by=world.dana)
    with transaction():
        refund.edit("REFUND", "red", by=world.dana)
    with pytest.raises(Denied), transaction():
        vip.edit("V", "red", by=world.maya)
    db.session.expire_all()
    assert (refund.name, refund.key, refund.hue) == ("REFUND", "refund", "red")


def test_TOOL_3_merging_unites_what_both_were_on(world):
    refund, money = made(world, "Refund", "Money back")
    a, b, c = (world.conversation(sender=f"+1415555021{n}") for n in range(3))
    with transaction():
        a.tag(refund, by=world.maya)
        b.tag(refund, by=world.maya)
        b.tag(money, by=world.maya)
        c.tag(money, by=world.maya)
    assert Tag.use_counts([refund.id, money.id]) == {refund.id: 2, money.id: 2}
    with pytest.raises(Refused), transaction():
        refund.merge_into(refund, by=world.dana)
    with transaction():
        assert refund.merge_into(money, by=world.dana) == 2
    assert [on(x) for x in (a, b, c)] == [["Money back"]] * 3 and money.uses == 3
    assert [t.name for t in Tag.of(world.harbor.id)] == ["Money back"]


def test_TOOL_3_deleting_says_from_how_many_it_went(world):
    [tag] = made(world, "Refund")
    c = world.conversation()
    with transaction():
        c.tag(tag, by=world.maya)
    with pytest.raises(Denied), transaction():
        tag.destroy(by=world.maya)
    with transaction():
        assert tag.destroy(by=world.dana) == 1
    assert on(c) == [] and Tag.of(world.harbor.id) == []
    assert db.session.scalars(sa.select(Event.data).where(Event.kind == "tag.deleted")).one()["count"] == 1


def test_TOOL_3_a_tag_deleted_while_it_is_put_leaves_nothing_behind(app, world, together):
    from inbox.models import Member

    [tag] = made(world, "Refund")
    c = world.conversation()
    row, tag_id, maya, dana = c.id, tag.id, world.maya.id, world.dana.id

    def act(i):
        with transaction():
            found = db.session.get(Tag, tag_id)
            if found is None:
                return "gone"
            if i:
                return found.destroy(by=db.session.get(Member, dana))
            return db.session.get(Conversation, row).tag(found, by=db.session.get(Member, maya))

    put, deleted = together(act, 2, app)
    db.session.rollback()
    assert deleted in (0, 1) and (put in (True, "gone") or isinstance(put, Refused)), (put, deleted)
    assert db.session.query(Tagging).count() == 0 and db.session.query(Tag).count() == 0
