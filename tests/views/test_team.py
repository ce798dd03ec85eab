"""Team manager and the page of a person: SEAT-2, SEAT-4, SEAT-5, PERM-3, PERM-5, ACC-5; each page up and down the ladder, on both databases."""

# ruff: noqa: F811 - fixtures of another folder are named like arguments
from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Conversation, Draft, Event, Grant, LoginSession, Member, Role, Team, db, transaction
from inbox.permissions import Permission
from tests.conftest import app  # noqa: F401 - both databases, with the migrated schema
from tests.screens.conftest import own_context  # noqa: F401 - several people at once

LIST = "/settings/members"


def at(person, tail=""):
    return f"{LIST}/{person.public_id}{tail}"


@pytest.fixture
def ada(app, world):
    return app.test_client().sign_in(world.ada)


@pytest.fixture
def dana(app, world):
    return app.test_client().sign_in(world.dana)


def row(text, person):
    """The line of one person in the list."""
    return text.split(f'id="person-{person.public_id}"')[1].split("</tr>")[0]


def give(member, role, team=None):
    with transaction():
        Grant(member_id=member.id, role=role if isinstance(role, str) else role.public_id, role_id=None if isinstance(role, str) else role.id, team_id=team.id if team else None).save()
        db.session.expire(member)


def custom(world, name, *permissions):
    with transaction():
        return Role.create(world.harbor, name=name, permissions=permissions, by=world.dana)


def only(member, role):
    """Make the role the only one held."""
    with transaction():
        db.session.execute(sa.delete(Grant).where(Grant.member_id == member.id))
        db.session.expire(member)
    give(member, role)


def assigned(world, member, n=1, **kwargs):
    made = [world.conversation(sender=f"+1415556{world.harbor.id}{len(member.name):02}{i}", **kwargs) for i in range(n)]
    with transaction():
        for one in made:
            one.assign_to(member, by=member, expected=None)
    return made


# -- the list ------------------------------------------------------------------------------------------------------


def test_SEAT_2_the_list_shows_roles_seats_and_what_each_holds(world, ada):
    assigned(world, world.maya, 3)
    text = ada.get(LIST).text
    assert "6 of 8" in text and re.search(r'class="n team-open">3<', row(text, world.maya))
    assert 'aria-checked="true"' in row(text, world.maya) and "Agent" in row(text, world.maya)
    assert 'aria-checked="false"' in row(text, world.uma) and "disabled" not in row(text, world.uma)
    assert "disabled" in row(text, world.vera) and "Viewer only allows looking, so a seat would be wasted." in row(text, world.vera)
    assert "nina@north" not in text and "CANARY" not in text


def test_SEAT_4_people_with_only_custom_roles_are_marked(world, ada):
    desk = custom(world, "Desk lead", Permission.MESSAGE)
    only(world.theo, desk)
    give(world.sven, desk)
    text = ada.get(LIST).text
    assert "No default role" in row(text, world.theo) and "Desk lead" in row(text, world.theo)
    assert "No default role" not in row(text, world.sven) and "Desk lead" in row(text, world.sven) and "Supervisor" in row(text, world.sven)
    with transaction():
        db.session.execute(sa.delete(Grant).where(Grant.member_id == world.olga.id))
    line = row(ada.get(LIST).text, world.olga)
    assert "No role" in line and "No default role" not in line


def test_PERM_3_a_role_for_one_team_names_the_team(world, ada):
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    give(world.vera, "agent", annex)
    assert "Agent (Annex)" in row(ada.get(LIST).text, world.vera) and "Agent (Annex)" in ada.get(at(world.vera)).text


def test_the_list_is_searched_and_sorted(world, ada):
    with transaction():
        world.vera.last_seen_at = clock.now()
    text = ada.get(LIST + "?sort=active").text
    order = re.findall(r'<tr id="person-([^"]+)"', text)
    assert order[0] in (world.vera.public_id, world.ada.public_id) and set(order[:2]) == {world.vera.public_id, world.ada.public_id} or order[0] == world.vera.public_id
    names = [re.search(r"<b>([^<]+)", row(ada.get(LIST).text, p)).group(1) for p in (world.ada, world.dana, world.maya)]
    assert names == sorted(names)
    for words, found in (("maya", [world.maya]), ("CHEN maya", [world.maya]), ("supervisor", [world.sven]), ("harbor.example vera", [world.vera])):
        assert re.findall(r'<tr id="person-([^"]+)"', ada.get(LIST, query_string={"q": words}).text) == [p.public_id for p in found]
    nobody = ada.get(LIST, query_string={"q": "<script>%_"}).text
    assert "Nobody found" in nobody and "<script>%" not in nobody
    part = ada.part(LIST + "?q=maya")
    assert part.text.lstrip().startswith('<section id="team"')
    for junk in ("sort=nonsense", "q=" + "x" * 5000, "sort=%ff", "q=%F0%9F"):
        assert ada.get(f"{LIST}?{junk}").status_code == 200


def queries(app, client, url):
    count = []
    listen = lambda *a: count.append(a[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        assert client.get(url).status_code == 200
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)
    return len(count)


@pytest.mark.parametrize("page", ["list", "person", "seat", "collaborators"])
def test_the_number_of_queries_does_not_grow_with_the_team(app, world, page):
    client = app.test_client().sign_in(world.dana)
    url = {"list": LIST, "person": at(world.maya), "seat": at(world.maya, "/seat"), "collaborators": "/settings/collaborators"}[page]
    assigned(world, world.maya, 1)
    client.get(url)
    before = queries(app, client, url)
    desk = custom(world, "Desk", Permission.MESSAGE)
    for i in range(12):
        with transaction():
            extra = world.member(world.harbor, f"New{i} Person", "agent", seat=False)
            world.front.add_member(extra, by=world.dana)
        give(extra, desk)
    assert queries(app, client, url) <= before + 1


# -- seats ---------------------------------------------------------------------------------------------------------


def test_SEAT_2_a_switch_gives_a_seat_and_the_list_shows_it(world, ada):
    answer = ada.send(at(world.uma, "/seat"), htmx=True, value="on")
    assert answer.status_code == 200 and "7 of 8" in answer.text and 'aria-checked="true"' in row(answer.text, world.uma) and "Uma Unseated has a seat." in answer.text
    assert ada.send(at(world.uma, "/seat"), value="on").status_code == 303
    assert world.uma.seated and world.harbor.seats_used == 7
    back = ada.send(at(world.uma, "/seat"), value="on", back="person")
    assert back.location == at(world.uma)


def test_SEAT_2_the_second_of_two_admins_reads_that_none_is_left(app, world, ada, dana):
    with transaction():
        world.harbor.seats_paid = 7
    other = world.member(world.harbor, "Zed Zoe", "agent", seat=False)
    db.session.commit()
    assert dana.send(at(world.uma, "/seat"), htmx=True, value="on").status_code == 200
    late = ada.send(at(other, "/seat"), htmx=True, value="on")
    assert late.status_code == 409 and "All 7 seats are used." in late.text and "7 of 7" in late.text and "All seats are used." in row(late.text, other)
    assert "/settings/add-ons" in late.text
    assert ada.send(at(other, "/seat"), value="on").status_code == 303
    assert "All 7 seats are used." in ada.get(LIST).text and not other.seated


def test_SEAT_2_who_could_not_use_a_seat_gets_none(world, ada):
    answer = ada.send(at(world.vera, "/seat"), htmx=True, value="on")
    assert answer.status_code == 422 and "so a seat would be wasted" in answer.text and not world.vera.seated


def test_SEAT_5_the_dialog_shows_what_they_hold_and_who_can_take_it(world, ada):
    here = assigned(world, world.maya, 7)
    with transaction():
        world.pharmacy.add_member(world.maya, by=world.dana)
    there = world.conversation(sender="+14155550888", inbox=world.pharmacy)
    with transaction():
        there.assign_to(world.maya, by=world.maya, expected=None)
        Draft.put(here[0], "half", by=world.maya)
        here[0].acquire(by=world.maya)
        here[0].contact.give_to(world.maya, by=None)
    text = ada.get(at(world.maya, "/seat")).text
    for words in ("8 open conversations", "1 draft", "1 reply being written right now", "1 owned contact", "and 3 more", "Theo Okafor, takes 7 of 8: not in Pharmacy"):
        assert words in text, words
    assert text.count("/c/") == 4 and "In an inbox you are not in" in text, "Ada is not in the pharmacy: the fifth has no link"
    assert "Uma" not in text.split("<select")[1] and "Vera" not in text.split("<select")[1]
    part = ada.part(at(world.maya, "/seat")).text
    assert part.lstrip().startswith("<form") and 'id="ask-h"' in part
    assert world.maya.seated, "looking changes nothing"


def test_SEAT_5_everything_moves_with_the_seat_in_one_go(world, ada):
    [one] = assigned(world, world.maya)
    [elsewhere] = assigned(world, world.maya, inbox=world.front)
    answer = ada.send(at(world.maya, "/seat"), htmx=True, value="off", confirmed="1", successor=world.theo.public_id)
    assert answer.status_code == 200 and 'aria-checked="false"' in row(answer.text, world.maya) and "5 of 8" in answer.text
    assert one.assignee_id == elsewhere.assignee_id == world.theo.id and not world.maya.seated
    assert "seat.taken" in db.session.scalars(sa.select(Event.kind)).all()
    assert ada.get(at(world.maya, "/seat")).location == LIST, "nothing left to take"


@pytest.mark.parametrize("successor", ["forged", "uma", "vera", "maya", "nina"])
def test_SEAT_5_only_somebody_who_can_answer_inherits(world, ada, successor):
    [one] = assigned(world, world.maya)
    key = getattr(world, successor).public_id if hasattr(world, successor) else successor
    for htmx in (False, True):
        answer = ada.send(at(world.maya, "/seat"), htmx=htmx, value="off", confirmed="1", successor=key)
        assert answer.status_code == 422 and "Choose someone with a seat, or nobody." in answer.text
    assert answer.headers["HX-Retarget"] == "#ask"
    assert world.maya.seated and one.assignee_id == world.maya.id


def test_SEAT_5_nothing_is_taken_before_it_was_shown(world, ada):
    assert ada.send(at(world.maya, "/seat"), value="off").location == at(world.maya, "/seat")
    assert ada.send(at(world.maya, "/seat")).location == at(world.maya, "/seat")
    assert world.maya.seated


def test_SEAT_5_a_supervisor_may_look_at_the_team_but_not_at_seats(app, world):
    sven = app.test_client().sign_in(world.sven)
    text = sven.get(LIST).text
    assert "does not allow you to hand out seats" in text and 'role="switch"' not in text and "of 8" not in text and "invite people" in text
    assert sven.get(at(world.maya, "/seat")).status_code == 403
    assert sven.send(at(world.uma, "/seat"), value="on").status_code == 403
    page = sven.get(at(world.maya)).text
    assert "does not allow you to give roles" in page and "<select" not in page and "end someone’s access" in page


# -- the page of a person ------------------------------------------------------------------------------------------


def test_ACC_5_nothing_of_a_profile_is_readable(world, dana):
    """Whatever a profile holds now or later, a colleague's page names only name, address, roles, seat, inboxes and last activity."""
    with transaction():
        LoginSession.start(world.maya, ip="203.0.113.99", user_agent="CANARY Browser")
        for column in sa.inspect(Member).columns:
            if column.key in ("signature", "phone", "pronouns", "title", "language", "locale") and column.type.python_type is str:
                setattr(world.maya, column.key, f"CANARY-{column.key}"[: column.type.length or 50])
        world.maya.time_zone, world.maya.theme, world.maya.user_id = "Asia/Katmandu", "dark", "U-CANARY"
    for url in (at(world.maya), LIST, at(world.maya, "/seat"), at(world.maya, "/deactivation"), at(world.maya, "/removal"), "/settings/collaborators"):
        for text in (dana.get(url).text, dana.part(url).text):
            assert not re.search(r"CANARY|Katmandu|203\.0\.113", text), url
    text = dana.get(at(world.maya)).text
    assert "maya@harbor.example" in text and "Agent" in text and "Front Desk" in text
    assert 'name="signature"' not in text and 'name="time_zone"' not in text


def test_own_roles_are_read_only_with_the_reason(world, ada, dana):
    assert "Someone else has to change your own roles." in ada.get(at(world.ada)).text and "Someone else has to end your own access." in ada.get(at(world.ada)).text
    text = dana.get(at(world.dana)).text
    assert "Ownership moves only by a transfer." in text and "<select" not in text.split('id="roles"')[1].split("</section>")[0]
    assert ada.send(at(world.ada, "/roles"), role="viewer", team="").status_code == 422
    assert ada.send(at(world.dana, "/roles"), role="viewer", team="").status_code == 422
    assert world.ada.roles == ["admin"] and world.dana.roles == ["owner"]


def test_PERM_5_what_would_be_gained_and_lost_is_said_before_saving(world, ada):
    before = db.session.scalar(sa.select(sa.func.count(Event.id)))
    form = {"role": ["agent", "inbox-setup"], "team": ["", ""]}
    for htmx in (True, False):
        answer = ada.send(at(world.maya, "/roles/preview"), htmx=htmx, **form)
        assert answer.status_code == 200 and re.search(r"Gains</b> .*Create shared inboxes", answer.text) and "Not saved yet" in answer.text and "Loses" not in answer.text
    answer = ada.send(at(world.maya, "/roles/preview"), htmx=True, role=["agent"], team=[""], drop="0")
    assert re.search(r"Loses</b> .*Reply", answer.text) and "The seat is given back" in answer.text
    assert world.maya.roles == ["agent"] and db.session.scalar(sa.select(sa.func.count(Event.id))) == before


def save(client, person, roles, teams=None, htmx=False, **fields):
    """Review, then save what was reviewed, as somebody would."""
    teams = teams or [""] * len(roles)
    text = client.send(at(person, "/roles/preview"), role=roles, team=teams).text
    hidden = {name: re.search(f'name="{name}" value="([^"]*)"', text) for name in ("saved", "reviewed")}
    return client.send(at(person, "/roles"), htmx=htmx, role=roles, team=teams, **{k: v.group(1) for k, v in hidden.items() if v}, **fields)


def test_PERM_3_roles_are_added_and_taken_for_the_account_and_for_a_team(world, ada):
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    assert save(ada, world.vera, ["viewer", "agent"], ["", annex.public_id]).status_code == 303
    assert sorted(world.vera.role_names) == ["Agent (Annex)", "Viewer"]
    assert "Saved. Vera Lind is" in ada.get(at(world.vera)).text
    assert save(ada, world.vera, ["viewer"]).status_code == 303 and world.vera.role_names == ["Viewer"]
    event = db.session.scalars(sa.select(Event).where(Event.kind == "role.changed").order_by(Event.id.desc())).first()
    assert event.data["before"] == ["Viewer", "Agent (Annex)"] and event.data["after"] == ["Viewer"] and event.actor_id == world.ada.id


def test_PERM_3_agent_and_supervisor_together_are_refused_with_the_reason(world, dana):
    answer = dana.send(at(world.maya, "/roles/preview"), htmx=True, role=["agent", "supervisor"], team=["", ""])
    assert "Agent and Supervisor cannot be held together: Supervisor already contains Agent." in answer.text and "Review changes" in answer.text
    answer = save(dana, world.maya, ["agent", "supervisor"])
    assert answer.status_code == 422 and "cannot be held together" in answer.text and world.maya.roles == ["agent"]


def test_PERM_5_roles_beyond_ones_own_are_disabled_with_the_reason(world, ada):
    secret = custom(world, "Secret", Permission.CONVERSATIONS_ALL)
    text = ada.get(at(world.maya)).text
    for key in ("supervisor", secret.public_id):
        option = re.search(f'<option value="{key}"[^>]*>[^<]*', text).group(0)
        assert "disabled" in option and "allows things your own role does not" in option
    assert 'value="owner"' not in text
    answer = save(ada, world.maya, ["supervisor"])
    assert answer.status_code == 403 and "You cannot give or take Supervisor" in answer.text and world.maya.roles == ["agent"]
    locked = ada.get(at(world.sven)).text.split('id="roles"')[1]
    assert "Allows things your own role does not." in locked
    assert save(ada, world.sven, ["viewer"]).status_code == 403 and world.sven.roles == ["supervisor"]
    assert save(ada, world.sven, ["supervisor", "inbox-setup"]).status_code == 303 and sorted(world.sven.roles) == ["inbox-setup", "supervisor"]


@pytest.mark.parametrize(("role", "team"), [("nope", ""), ("owner", ""), ("agent", "nope"), ("<script>", "<b>"), ("x" * 3000, "")])
def test_PERM_5_nonsense_in_the_list_of_roles_is_refused(world, ada, role, team):
    for tail in ("/roles", "/roles/preview"):
        answer = ada.send(at(world.maya, tail), role=["agent", role], team=["", team], saved="agent:", reviewed="x", drop="-1")
        assert answer.status_code in (200, 403, 422) and "<script>" not in answer.text
    assert world.maya.roles == ["agent"]
    other = custom(world, "Ours", Permission.MESSAGE)
    with transaction():
        other.account_id = world.north.id
    assert ada.send(at(world.maya, "/roles"), role=[other.public_id], team=[""], saved="agent:", reviewed="x").status_code == 422


def test_what_was_not_reviewed_is_not_saved_and_a_stale_list_says_so(world, ada, dana):
    answer = ada.send(at(world.maya, "/roles"), role=["viewer"], team=[""], saved="agent:")
    assert answer.status_code == 200 and "Loses" in answer.text and world.maya.roles == ["agent"]
    assert save(dana, world.maya, ["front-desk-staff"]).status_code == 303
    late = ada.send(at(world.maya, "/roles"), role=["viewer"], team=[""], saved="agent:", reviewed="viewer:")
    assert late.status_code == 409 and "Somebody else changed" in late.text and world.maya.roles == ["front-desk-staff"]
    assert ada.send(at(world.maya, "/roles"), role=["front-desk-staff"], team=[""], saved="front-desk-staff:").status_code == 303
    assert "Nothing changed." in ada.get(LIST).text


def test_SEAT_5_a_role_that_can_no_longer_answer_hands_on_first(world, ada):
    [one] = assigned(world, world.maya)
    shown = ada.send(at(world.maya, "/roles/preview"), htmx=True, role=["viewer"], team=[""]).text
    assert "1 open conversation" in shown and "Theo Okafor" in shown and "The seat is given back" in shown
    assert save(ada, world.maya, ["viewer"], successor="forged").status_code == 422 and world.maya.roles == ["agent"]
    assert save(ada, world.maya, ["viewer"], successor=world.theo.public_id).status_code == 303
    assert one.assignee_id == world.theo.id and not world.maya.seated and world.maya.roles == ["viewer"]


def test_S44_roles_and_endings_ask_again_who_it_is(app, world, ada):
    with transaction():
        for session in db.session.scalars(sa.select(LoginSession)):
            session.confirmed_at = None
    for tail in ("/roles", "/deactivation", "/removal", "/reactivation"):
        answer = ada.send(at(world.maya, tail), role="viewer", team="", confirmed="1", typed="Maya Chen")
        assert answer.status_code == 403 and "Confirm that it is you" in answer.text, tail
    assert world.maya.active and world.maya.roles == ["agent"]


# -- endings -------------------------------------------------------------------------------------------------------


def test_SEAT_5_deactivating_shows_moves_and_can_be_undone(app, world, ada):
    [one] = assigned(world, world.maya)
    maya = app.test_client().sign_in(world.maya)
    text = ada.get(at(world.maya, "/deactivation")).text
    assert "1 open conversation" in text and "Theo Okafor" in text and "signed out everywhere" in text
    assert ada.send(at(world.maya, "/deactivation")).location == at(world.maya, "/deactivation") and world.maya.active
    assert ada.send(at(world.maya, "/deactivation"), confirmed="1", successor="forged").status_code == 422 and world.maya.active
    assert ada.send(at(world.maya, "/deactivation"), confirmed="1", successor=world.theo.public_id).status_code == 303
    assert not world.maya.active and not world.maya.seated and one.assignee_id == world.theo.id
    assert "/sign-in" in maya.get("/settings/profile").location
    text = ada.get(LIST).text
    assert f'id="person-{world.maya.public_id}"' not in text and "Deactivated" in text and "maya@harbor.example" in text
    assert "Maya Chen is deactivated." in ada.get(at(world.maya)).text
    assert ada.get(at(world.maya, "/deactivation")).status_code == 303
    assert ada.send(at(world.maya, "/seat"), value="on").status_code == 422
    assert ada.send(at(world.maya, "/reactivation")).status_code == 303
    assert world.maya.active and not world.maya.seated and world.maya.roles == ["agent"]


def test_SEAT_5_removing_needs_the_name_and_is_for_good(world, ada):
    [one] = assigned(world, world.maya)
    wrong = ada.send(at(world.maya, "/removal"), confirmed="1", typed="maya")
    assert wrong.status_code == 422 and "Type Maya Chen to confirm." in wrong.text and 'value="maya"' in wrong.text and world.maya.active
    assert ada.send(at(world.maya, "/removal"), confirmed="1", typed=" maya  CHEN ").location == LIST
    assert world.maya.removed_at and one.assignee_id is None
    assert "Maya Chen" not in ada.get(LIST).text.split('id="toasts"')[0]
    for tail in ("", "/seat", "/deactivation", "/removal"):
        assert ada.get(at(world.maya, tail)).status_code == 404
    for tail in ("/seat", "/roles", "/roles/preview", "/deactivation", "/removal", "/reactivation"):
        assert ada.send(at(world.maya, tail)).status_code == 404


def test_PERM_5_nobody_ends_the_owner_themselves_or_somebody_with_more_rights(world, ada, dana):
    for client, person, words in ((ada, world.dana, "The owner cannot leave."), (dana, world.dana, "The owner cannot leave."), (ada, world.ada, "your own access"), (ada, world.sven, "your own role does not")):
        for tail in ("/deactivation", "/removal"):
            assert client.get(at(person, tail)).status_code == 422
            answer = client.send(at(person, tail), confirmed="1", typed=person.name)
            assert answer.status_code == 422 and words in answer.text
        assert person.active


@pytest.mark.parametrize("who", ["maya", "vera", "uma"])
def test_PERM_7_agents_and_viewers_do_not_open_the_team_manager(app, world, who):
    client = app.test_client().sign_in(getattr(world, who))
    for tail in ("", "/seat", "/deactivation", "/removal"):
        assert client.get(at(world.theo, tail)).status_code == 403
    assert client.get(LIST).status_code == 403


def test_ACC_1_people_of_another_account_do_not_exist(world, dana):
    for tail in ("", "/seat", "/deactivation", "/removal"):
        assert dana.get(at(world.nina, tail)).status_code == 404
    for tail in ("/seat", "/roles", "/roles/preview", "/deactivation", "/removal", "/reactivation"):
        assert dana.send(at(world.nina, tail), role="viewer", team="", value="on", confirmed="1", typed="Nina North").status_code == 404
    assert dana.get(f"{LIST}/nonsense").status_code == 404 and dana.get(f"{LIST}/{'x' * 3000}").status_code == 404


def test_conversations_open_for_whoever_took_them(world, ada):
    """Nothing is ever left with somebody who cannot answer it, whatever way their access ends."""
    for tail, fields in (("/seat", {"value": "off", "confirmed": "1"}), ("/deactivation", {"confirmed": "1"}), ("/removal", {"confirmed": "1", "typed": "Theo Okafor"})):
        person = world.maya if tail == "/seat" else world.theo
        if tail == "/removal":
            assert ada.send(at(person, "/reactivation")).status_code == 303
            assert ada.send(at(person, "/seat"), value="on").status_code == 303
        assigned(world, person, 2)
        assert ada.send(at(person, tail), **fields).status_code in (200, 303)
        for one in db.session.scalars(sa.select(Conversation).where(Conversation.assignee_id.is_not(None))):
            assert one.assignee.may_receive(one.inbox)
