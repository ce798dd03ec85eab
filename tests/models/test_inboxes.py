"""BOX-2..4 and REG-3 at the model: making an inbox, who is in it, and where it shows."""

from __future__ import annotations

import pytest

from inbox import clock
from inbox.models import Conversation, Denied, Inbox, InboxDraft, InboxMember, NotRegistered, Refused, Team, db, transaction
from inbox.models.inbox import suggest_api_code
from inbox.models.registration import NEXT
from tests.models.helpers import anew, rows

GOOD = {"name": "Grooming", "api_code": "grooming", "hue": "lime", "phone": "+14155550177", "number_sid": "PN1", "forward_to": None, "description": " For the salon "}


def create(world, by=None, team=None, **changes):
    with transaction():
        return Inbox.create(team or world.team, by=by or world.dana, **{**GOOD, **changes})


def test_BOX_2_the_creator_is_its_first_member(world, bell):
    inbox = create(world, by=world.ada)
    assert inbox.members == [world.ada] and (inbox.name, inbox.description, inbox.account_id) == ("Grooming", "For the salon", world.harbor.id)
    assert inbox.id in world.ada.inbox_ids
    assert {"what": "navigation", "account": world.harbor.id} in bell.facts


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "Give the inbox a name"), ("name", "  \n ", "Give the inbox a name"), ("name", "x" * 61, "at most 60"),
        ("name", "front  desk", "already has an inbox called"), ("name", "FRONT DESK", "already has"),
        ("api_code", "ab", "3 to 32"), ("api_code", "Front", "3 to 32"), ("api_code", "a b c", "3 to 32"), ("api_code", "x" * 33, "3 to 32"),
        ("api_code", "front-desk", "Another inbox"), ("api_code", "abc\n", "3 to 32"), ("hue", "mauve", "one of the colors"), ("hue", "", "one of the colors"),
    ],
)
def test_BOX_2_each_mistake_is_said_at_its_field(world, field, value, words):
    before = rows()
    with pytest.raises(Refused) as refused:
        create(world, **{field: value})
    assert refused.value.field == field and words in refused.value.sentence and rows() == before


def test_BOX_3_names_are_unique_in_a_team_and_codes_in_an_account(world):
    with transaction():
        annex = Team(account_id=world.harbor.id, name="Second").save()
    assert create(world, team=annex, name="Front Desk").name == "Front Desk"
    with pytest.raises(Refused) as refused:
        create(world, team=annex, name="Else", phone="+14155550178")
    assert refused.value.field == "api_code"
    with transaction():
        Inbox.create(world.reception.team, by=world.nina, **{**GOOD, "phone": "+12065550177"})


def test_BOX_1_only_who_may_creates(world):
    before = rows()
    for who in (world.maya, world.sven, world.vera, world.uma):
        with pytest.raises(Denied):
            create(world, by=who)
    assert rows() == before


def test_BOX_2_the_wizard_keeps_what_was_typed_per_member(world):
    with transaction():
        draft = InboxDraft.start(world.ada)
        draft.put(name="Groo", hue="lime")
    with transaction():
        InboxDraft.start(world.ada).put(name="Grooming")
        InboxDraft.start(world.dana).put(name="Mine")
    anew()
    assert InboxDraft.of(world.ada).data == {"name": "Grooming", "hue": "lime"}
    with transaction():
        InboxDraft.of(world.ada).discard()
    assert InboxDraft.of(world.ada) is None and InboxDraft.of(world.dana).data == {"name": "Mine"}
    assert suggest_api_code("Ünï çode!!") != suggest_api_code("Ünï çode!!") and suggest_api_code("犬").startswith("inbox-")


@pytest.mark.parametrize("state", sorted(NEXT))
@pytest.mark.parametrize("joined", [True, False])
def test_REG_3_until_approved_it_is_nowhere_and_takes_no_members(world, state, joined):
    with transaction():
        world.waiting_registration.state = state
        world.waiting.joined_at = clock.now() if joined else None
    ready = state == "approved" and joined
    for who in world.people:
        who.forget_inboxes()
        sees = ready and who in (world.dana, world.sven)
        assert (world.waiting in Inbox.visible_to(who)) == sees
        assert (world.waiting in Inbox.sendable_by(who)) == sees
    assert world.waiting.registered == ready
    if ready:
        world.waiting.require_registered()
        return
    before = rows()
    with pytest.raises(NotRegistered) as refused, transaction():
        world.waiting.add_member(world.maya, by=world.dana)
    assert "once carriers approve" in refused.value.sentence
    with pytest.raises(NotRegistered), transaction():
        world.waiting.set_members([world.dana, world.maya], by=world.dana)
    with pytest.raises(NotRegistered):
        create(world, team=world.waiting.team, members=[world.maya])
    with pytest.raises(NotRegistered) as refused:
        world.waiting.require_registered()
    assert "nothing can leave" in refused.value.sentence
    assert rows() == before
    assert create(world, team=world.waiting.team).members == [world.dana]


def test_BOX_3_it_shows_where_people_are_in_it_and_nowhere_else(world):
    names = {who.name.split()[0]: [i.name for i in Inbox.visible_to(who)] for who in world.people}
    both = ["Front Desk", "Pharmacy"]
    assert names == {
        "Dana": both, "Ada": ["Front Desk"], "Maya": ["Front Desk"], "Theo": ["Front Desk"], "Sven": both, "Uma": ["Front Desk"], "Vera": ["Front Desk"], "Olga": [],
        "Nina": ["CANARY Reception"],
    }
    send = {who.name.split()[0]: [i.name for i in Inbox.sendable_by(who)] for who in world.people}
    assert send == {**names, "Uma": [], "Vera": []}
    assert [m.name for m in world.front.assignable()] == ["Ada Admin", "Dana Whitfield", "Maya Chen", "Sven Super", "Theo Okafor"]


def test_BOX_4_ticking_people_makes_it_exactly_so(world, bell):
    c = world.conversation()
    with transaction():
        c.assign_to(world.maya, by=world.maya, expected=None)
    with transaction():
        world.front.set_members([world.dana, world.olga, world.theo], by=world.ada)
    anew()
    assert {m.name for m in world.front.members} == {"Dana Whitfield", "Olga Outside", "Theo Okafor"}
    assert c.assignee is None and world.olga.inbox_ids == {world.front.id} and world.maya.inbox_ids == frozenset()
    assert db.session.scalars(Conversation.scope(world.olga)).all() == [c]
    before = rows("event")
    for people, by, refusal in (([world.nina], world.dana, Refused), ([world.dana], world.maya, Denied), ([world.dana], world.vera, Denied)):
        with pytest.raises(refusal), transaction():
            world.front.set_members(people, by=by)
    assert rows("event") == before


def test_BOX_4_adding_the_same_person_at_once_adds_them_once(world, app, together):
    inbox, olga, dana = world.front.id, world.olga.id, world.dana.id

    def add(_):
        from tests.models.helpers import person

        with transaction():
            db.session.get(Inbox, inbox).add_member(person(olga), by=person(dana))

    results = together(add, 8, app)
    assert results == [None] * 8, results
    anew()
    assert db.session.query(InboxMember).filter_by(inbox_id=inbox, member_id=olga).count() == 1


@pytest.mark.parametrize(
    ("field", "value"), [("lock_lease", 19), ("lock_lease", 601), ("lock_heartbeat", 4), ("lock_heartbeat", 23), ("idle_after", 0), ("idle_answer", 6000), ("lock_on", "never")]
)
def test_LOCK_timings_stay_sane(world, field, value):
    before = rows()
    with pytest.raises(Refused) as refused, transaction():
        world.front.configure_lock(by=world.ada, **{field: value})
    assert refused.value.field == field and rows() == before
    with transaction():
        world.front.configure_lock(by=world.ada, lock_lease=60, lock_heartbeat=20, lock_on="typing")
    with pytest.raises(Denied), transaction():
        world.front.configure_lock(by=world.maya, lock_lease=60)
    anew()
    assert (world.front.lock_lease, world.front.lock_heartbeat, world.front.lock_on, world.front.idle_after) == (60, 20, "typing", 180)
