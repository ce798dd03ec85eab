"""Access is looked at when it is used, not when it was promised: invitations, drafts left behind, roles read before a lock, what was archived."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox.models import Conversation, Denied, Grant, Invitation, Refused, Role, Team, db, transaction
from inbox.models.draft import Draft
from inbox.permissions import Permission
from tests.models.helpers import anew
from tests.world import PASSWORD

P = Permission


def invite(world, by, **kwargs):
    with transaction():
        return Invitation.send(world.harbor, "new@harbor.example", by=by, **kwargs)


def accept(invitation):
    with transaction():
        return invitation.accept(name="New Person", password=PASSWORD)


def change(who, role, by):
    with transaction():
        who.change_role(role, by=by)


def role(world, name, permissions):
    with transaction():
        return Role.create(world.harbor, name=name, permissions=permissions, by=world.dana)


# -- invitations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["demoted", "deactivated", "role gone"])
def test_ACC_3_an_invitation_ends_with_the_rights_of_who_sent_it(world, end):
    custom = role(world, "Helpers", {P.CONVERSATIONS_VIEW})
    invitation = invite(world, world.ada, role=custom.public_id if end == "role gone" else "agent")
    with transaction():
        if end == "demoted":
            world.ada.change_role("viewer", by=world.dana)
        elif end == "deactivated":
            world.ada.deactivate(by=world.dana)
        else:
            db.session.execute(sa.delete(Role).where(Role.id == custom.id))
    anew()
    with pytest.raises(Refused) as refused:
        accept(invitation)
    assert refused.value.sentence == "This invitation has ended. Ask for a new one."
    anew()
    assert invitation.state == "pending" and invitation.token


def test_ACC_3_seat_and_inboxes_are_those_the_sender_may_still_give(world):
    inviter = role(world, "Inviter", {P.MEMBERS_INVITE, P.INBOXES_MEMBERS, *Role.sheet_of(world.harbor.id, "agent").permissions})
    invitation = invite(world, world.ada, role="agent", seat=True, inbox_ids=[world.front.id])
    with transaction():
        world.ada.change_role(inviter.public_id, by=world.dana)
        world.front.remove_member(world.ada, by=world.dana)
    member = accept(invitation)
    assert member.roles == ["agent"] and not member.seated and not member.inbox_ids


def test_ACC_3_who_resends_an_invitation_answers_for_it(world):
    inviter = role(world, "Inviter", {P.MEMBERS_INVITE})
    invitation = invite(world, world.ada, role="agent", seat=True, inbox_ids=[world.front.id])
    change(world.theo, inviter.public_id, world.dana)
    with pytest.raises(Denied), transaction():
        invitation.resend(by=world.theo)
    anew()
    assert invitation.invited_by_id == world.ada.id
    with transaction():
        world.ada.deactivate(by=world.dana)
        invitation.resend(by=world.dana)
    member = accept(invitation)
    assert member.seated and member.inbox_ids == {world.front.id}


# -- drafts -----------------------------------------------------------------------------------------------------------


def test_SEAT_5_drafts_left_to_nobody_become_one(world):
    c = world.conversation()
    with transaction():
        for who in (world.maya, world.theo):
            Draft.put(c, f"half of {who.name}", by=who)
            Draft.put(c, f"note of {who.name}", by=who, kind="note")
    for who in (world.maya, world.theo):
        with transaction():
            who.deactivate(by=world.dana)
    left = db.session.scalars(sa.select(Draft).where(Draft.conversation_id == c.id).order_by(Draft.kind)).all()
    assert [(d.author_id, d.kind, d.body, d.from_name) for d in left] == [
        (None, "note", "note of Maya Chen\nnote of Theo Okafor", "Theo Okafor"), (None, "reply", "half of Maya Chen\nhalf of Theo Okafor", "Theo Okafor"),
    ]
    with transaction():
        Draft.put(c, f"{left[1].body} and more", by=world.dana)
    assert db.session.scalar(sa.select(sa.func.count(Draft.id)).where(Draft.kind == "reply")) == 1


@pytest.mark.parametrize("departed", [False, True])
def test_CONV_5_composing_keeps_what_is_half_typed_in_the_conversation(world, departed):
    c = world.conversation()
    with transaction():
        Draft.put(c, "half a sentence", by=world.theo if departed else world.maya)
        if departed:
            world.theo.deactivate(by=world.dana)
    with transaction():
        Conversation.compose(world.front, c.address, "Hello", by=world.maya)
    assert Draft.of(c, world.maya).body == "half a sentence"


# -- roles of single teams --------------------------------------------------------------------------------------------


def both(world, who, *places):
    """Give exactly these (role, team) to somebody, by hand."""
    with transaction():
        db.session.execute(sa.delete(Grant).where(Grant.member_id == who.id))
        for key, team in places:
            Grant(member_id=who.id, role=key, role_id=getattr(Role.sheet_of(world.harbor.id, key).row, "id", None), team_id=team).save()
    anew()


def test_PERM_5_what_is_held_for_one_team_does_not_cover_another(world):
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    ender = role(world, "Ender", {P.MEMBERS_END})
    both(world, world.theo, (ender.public_id, None), ("agent", annex.id))
    assert world.theo.permissions >= world.vera.permissions
    assert not world.theo.covers(world.vera) and not world.theo.covers(world.maya)
    both(world, world.vera, ("viewer", annex.id))
    assert world.theo.covers(world.vera) and world.dana.covers(world.theo)
    both(world, world.maya, ("agent", world.team.id))
    with pytest.raises(Denied), transaction():
        world.maya.deactivate(by=world.theo)
    with transaction():
        world.vera.deactivate(by=world.theo)
        world.maya.deactivate(by=world.dana)
    with pytest.raises(Denied), transaction():
        world.maya.reactivate(by=world.theo)


def test_PERM_6_a_right_held_for_a_team_is_told_as_held(world):
    both(world, world.vera, ("viewer", world.team.id))
    verdict = world.vera.can(P.CONVERSATIONS_VIEW)
    assert verdict and all(step.met for step in verdict.steps())


# -- what is archived -------------------------------------------------------------------------------------------------


def test_SEAT_5_archived_conversations_move_silently(world):
    from inbox.models import Event

    talks = [world.conversation(sender=f"+1415555020{n}") for n in range(3)]
    with transaction():
        for c in talks:
            c.assign_to(world.maya, by=world.maya, expected=None)
        for c in talks[1:]:
            c.archive(by=world.maya)
    versions = [c.version for c in talks]
    before = db.session.scalar(sa.select(sa.func.count(Event.id)).where(Event.kind == "conversation.assigned"))
    with transaction():
        world.maya.deactivate(by=world.dana, to=world.theo)
    assert [c.assignee_id for c in talks] == [world.theo.id] * 3
    assert all(c.version > version for c, version in list(zip(talks, versions, strict=True))[1:])
    assert db.session.scalar(sa.select(sa.func.count(Event.id)).where(Event.kind == "conversation.assigned")) == before + 1
    with transaction():
        world.theo.deactivate(by=world.dana)
    assert [c.assignee_id for c in talks] == [None] * 3


# -- roles read before a lock -----------------------------------------------------------------------------------------


def test_PERM_5_a_role_read_before_the_lock_counts_as_it_is_after_it(world):
    helper = role(world, "Helper", {P.ROLES_ASSIGN, *Role.sheet_of(world.harbor.id, "agent").permissions})
    change(world.theo, helper.public_id, world.dana)
    held = helper.permissions
    assert P.ROLES_ASSIGN in held and world.theo.can(P.ROLES_ASSIGN)
    db.session.execute(sa.update(Role).where(Role.id == helper.id).values(ids=[]).execution_options(synchronize_session=False))
    assert helper.permissions == held, "read before"
    with pytest.raises(Denied):
        world.vera.change_role("agent", by=world.theo)
    assert not helper.permissions
    db.session.rollback()


# -- which permission a thing takes -----------------------------------------------------------------------------------


def seated(world, name, permissions):
    """Somebody with just these permissions and a seat, in the front desk's inbox."""
    made = role(world, name, permissions)
    with transaction():
        who = world.member(world.harbor, name, "agent", seat=True)
        who.change_role(made.public_id, by=world.dana)
        world.front.add_member(who, by=world.dana)
    anew()
    return who


def test_ASG_1_giving_to_others_does_not_take_the_permission_to_take(app, world):
    c = world.conversation()
    giver = seated(world, "Gil Giver", {P.CONVERSATIONS_ASSIGN})
    if giver.can(P.CONVERSATIONS_TAKE):
        pytest.skip("Assigning contains taking.")
    client = app.test_client().sign_in(giver)
    url = f"/c/{c.public_id}/assignment"
    assert url.encode() in client.get(f"/c/{c.public_id}").data
    assert client.get(url).status_code == 200
    assert client.post(url, data={"csrf_token": client.csrf(), "to": world.maya.public_id, "expected": ""}).status_code == 303
    anew()
    assert c.assignee_id == world.maya.id


def test_ASG_1_who_may_neither_take_nor_give_is_refused(app, world):
    c = world.conversation()
    url = f"/c/{c.public_id}/assignment"
    for who in (world.vera, world.uma):
        client = app.test_client().sign_in(who)
        assert client.get(url).status_code == 403
        for to in ("", who.public_id, world.maya.public_id):
            assert client.post(url, data={"csrf_token": client.csrf(), "to": to, "expected": ""}).status_code == 403
    anew()
    assert c.assignee_id is None


def test_CONV_7_a_draft_takes_the_permission_of_its_kind(app, world):
    c = world.conversation()
    writer = seated(world, "Rita Replies", {P.CONVERSATIONS_REPLY})
    assert not writer.can(P.CONVERSATIONS_NOTE)
    client, url = app.test_client().sign_in(writer), f"/c/{c.public_id}/draft"
    assert client.post(url, data={"csrf_token": client.csrf(), "kind": "reply", "body": "half"}).status_code in (204, 303)
    assert client.post(url, data={"csrf_token": client.csrf(), "kind": "note", "body": "half"}).status_code == 403
    viewer = app.test_client().sign_in(world.vera)
    assert viewer.post(url, data={"csrf_token": viewer.csrf(), "kind": "reply", "body": "half"}).status_code == 403
    anew()
    assert Draft.of(c, writer).body == "half"


# -- the rest ---------------------------------------------------------------------------------------------------------


def test_CONV_2_more_inboxes_than_one_query_may_have_parts(world, monkeypatch):
    from inbox.models.conversation import listing

    world.conversation()
    both = [world.front, world.pharmacy]
    one = Conversation.counts(world.maya, both)
    monkeypatch.setattr(listing, "INBOXES", 1)
    assert Conversation.counts(world.maya, both) == one and one[world.front.id]["unassigned"] == 1 and len(one) == 2
    monkeypatch.undo()
    made = [type(world.front)(id=10_000 + n) for n in range(250)]
    counts = Conversation.counts(world.maya, [world.front, *made])
    assert len(counts) == 251 and counts[world.front.id] == one[world.front.id]


def test_PERM_6_the_page_of_a_member_names_only_inboxes_the_reader_knows(app, world):
    viewer = seated(world, "Mia Members", {P.MEMBERS_VIEW, P.CONVERSATIONS_REPLY})
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
    page = app.test_client().sign_in(viewer).get(f"/settings/members/{world.maya.public_id}").data.decode()
    assert "Front Desk" in page and "Pharmacy" not in page and "And 1 more that you are not in." in page
    assert "Pharmacy" in app.test_client().sign_in(world.dana).get(f"/settings/members/{world.maya.public_id}").data.decode()


def test_LOCK_4_a_reply_without_a_fence_takes_the_free_lock(app, world):
    c = world.conversation()
    client = app.test_client().sign_in(world.maya)
    answer = client.post(f"/c/{c.public_id}/messages", data={"csrf_token": client.csrf(), "body": "Yes", "fence": "", "seen": str(c.last_inbound_id)})
    assert answer.status_code == 303
    anew()
    assert c.preview == "Yes"


def test_a_refused_owner_leaves_the_contact_as_it_was(world):
    contact = world.named(world.conversation(), "Rosa")
    with pytest.raises(Refused):
        contact.edit(by=world.dana, first="Other", last="", email=None, owner=world.vera)
    assert contact.first_name == "Rosa"


def test_a_form_posted_again_with_another_amount_is_refused(world):
    from inbox.models import Payment

    def start(amount, note="Transfer 1"):
        with transaction():
            return Payment.start(world.harbor, amount, note=note, nonce="one", by=world.dana)

    first = start(5_000_000)
    assert start(5_000_000).id == first.id
    for again in (lambda: start(6_000_000), lambda: start(5_000_000, "Transfer 2")):
        with pytest.raises(Refused) as refused:
            again()
        assert refused.value.sentence == "This form was posted before with another amount. Reload the page."
        anew()
