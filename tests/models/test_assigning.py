"""ASG-1 and ASG-2 at the model: taking, handing on, giving back; of two takers one wins and the other hears who did."""

from __future__ import annotations

import pytest

from inbox.models import Denied, NoSeat, Refused, TakenAlready, db, transaction
from inbox.models.event import Event
from tests.models.helpers import anew, conversation, failures, person, rows


def assign(c, to, by, expected=None):
    with transaction():
        c.assign_to(to, by=by, expected=expected)


def test_ASG_1_take_hand_on_give_back(world, bell):
    c = world.conversation()
    bell.facts.clear()
    assign(c, world.maya, world.maya)
    assert c.assignee is world.maya and [f["what"] for f in bell.facts] == ["conversation"]
    assign(c, world.theo, world.maya, expected=world.maya)
    assign(c, world.ada, world.dana, expected=world.theo.id)
    assign(c, None, world.theo, expected=world.ada)
    assert c.assignee is None
    events = [(e.kind, e.data["to"], e.data["before"], e.actor_id) for e in db.session.query(Event).filter(Event.kind.like("conversation.%assigned")).order_by(Event.id)]
    maya, theo, ada, dana = (p.id for p in (world.maya, world.theo, world.ada, world.dana))
    assert events == [
        ("conversation.assigned", maya, None, maya), ("conversation.assigned", theo, maya, maya), ("conversation.assigned", ada, theo, dana),
        ("conversation.unassigned", None, ada, theo),
    ]


def test_ASG_1_any_member_sees_it_whoever_it_is_assigned_to(world):
    from inbox.models import Conversation

    c = world.conversation()
    assign(c, world.theo, world.theo)
    for who in (world.maya, world.uma, world.vera, world.sven, world.dana):
        assert c in db.session.scalars(Conversation.scope(who)).all()
    for who in (world.olga, world.nina):
        assert db.session.scalars(Conversation.scope(who)).all() == []


def test_SEAT_3_nobody_who_cannot_answer_is_assigned(world):
    c = world.conversation()
    before = rows()
    for who, why in ((world.uma, "they have no seat"), (world.vera, "role Viewer does not allow"), (world.olga, "is not in this inbox"), (world.nina, "not in this inbox")):
        with pytest.raises(Refused) as refused:
            assign(c, who, world.maya)
        assert refused.value.field == "assignee" and why in refused.value.sentence and refused.value.sentence.startswith(f"{who.name} can’t be assigned")
    for who, refusal in ((world.uma, NoSeat), (world.vera, Denied), (world.olga, Denied), (world.nina, Denied)):
        with pytest.raises(refusal):
            assign(c, who, who)
        with pytest.raises(refusal):
            assign(c, world.maya, who)
    assert rows() == before and c.assignee is None


def test_ASG_2_who_is_late_is_told_who_has_it(world):
    c = world.conversation()
    assign(c, world.theo, world.theo)
    with pytest.raises(TakenAlready) as taken:
        assign(c, world.maya, world.maya)
    assert taken.value.sentence == "Theo Okafor has this conversation now." and taken.value.status == 409
    assign(c, world.theo, world.theo)  # wanting what is so already is no quarrel
    assign(c, None, world.theo, expected=world.theo)
    with pytest.raises(TakenAlready) as taken:
        assign(c, world.maya, world.ada, expected=world.theo)
    assert taken.value.sentence == "It was given back a moment ago."
    assert c.assignee is None


def test_ASG_2_of_16_takers_one_wins_and_the_others_hear_who(world, app, together):
    c = world.conversation()
    ids = [p.id for p in (world.maya, world.theo, world.ada, world.dana)]

    def take(i):
        me = person(ids[i % 4])
        try:
            with transaction():
                conversation(c.id).assign_to(me, by=me, expected=None)
            return me.name
        except TakenAlready as taken:
            return taken

    results = together(take, 16, app)
    anew()
    winner = c.assignee.name
    assert {r for r in results if isinstance(r, str)} == {winner}
    lost = [r for r in results if not isinstance(r, str)]
    assert len(lost) == 12 and {r.sentence for r in lost} == {f"{winner} has this conversation now."}
    assert db.session.query(Event).filter_by(kind="conversation.assigned").count() == 1


def test_SEAT_5_assigning_while_the_seat_goes_never_leaves_it_with_someone_who_cannot_answer(world, app, together):
    ids = [world.conversation(sender=f"+141555502{n:02}").id for n in range(8)]
    theo, ada, dana = world.theo.id, world.ada.id, world.dana.id

    def move(i):
        if i == 3:
            with transaction():
                person(theo).account.unseat(person(theo), by=person(dana))
            return
        with transaction():
            conversation(ids[i]).assign_to(person(theo), by=person(ada), expected=None)

    for _ in range(4):
        results = together(move, 8, app)
        assert all(isinstance(r, Refused) for r in failures(results)), results
        anew()
        assert [conversation(i).assignee_id for i in ids] == [None] * 8
        with transaction():
            world.harbor.seat(world.theo, by=world.dana)
