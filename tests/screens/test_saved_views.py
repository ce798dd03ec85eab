"""CONV-2 as pages: filters in words, and lists kept under a name."""

from __future__ import annotations

import pytest

from inbox.models import Event, Filter, SavedView, Tag, db, transaction
from inbox.models.saved_view import MOST
from inbox.permissions import Permission
from tests.world import World


def tag(world: World, name: str = "Urgent", account=None) -> Tag:
    with transaction():
        return Tag(account_id=(account or world.harbor).id, name=name, key=name.lower(), hue="red").save()


def keep(world: World, who, inbox, filter: Filter, name: str = "Kept", shared: bool = False) -> SavedView:
    with transaction():
        return SavedView.keep(inbox, filter, name, shared=shared, by=who)


@pytest.mark.parametrize(
    ("query", "chips", "problem"),
    [
        ("reply=1&sort=waiting", ["Needs reply", "Longest waiting first"], ""),
        ("status=archived&from=2026-01-01&to=2026-02-01", ["Archived", "2026-01-01", "2026-02-01"], ""),
        ("channel=sms&read=read", ["Text", "Read"], ""),
        ("status=nonsense", [], "does not exist"),
        ("status=archived&sort=waiting", ["Archived"], "Only open conversations"),
        ("sort=size", [], "does not exist"),
        ("channel=pigeon", [], "no such channel"),
        ("from=yesterday", [], "not a date"),
        ("from=9999-12-31&to=0001-01-01", [], "not a date"),
        ("from=2026-02-01&to=2026-01-01", [], "last day is before the first"),
        ("tag=gone", [], "does not exist any more"),
        ("tag=,,,&tag=", [], ""),
        ("from=2026-W01-1", [], "not a date"),
    ],
)
@pytest.mark.one_database
def test_CONV_2_filters_are_chips_and_bad_ones_a_sentence(world: World, client, query: str, chips: list[str], problem: str) -> None:
    client.sign_in(world.dana)
    for at in (f"/i/{world.front.public_id}/all", "/work/all", "/work/mine"):
        answer = client.get(f"{at}?{query}")
        assert answer.status_code == 200
        for words in chips:
            assert f'<span class="v">{words}</span>' in answer.text, (at, words)
        assert answer.text.count("Remove filter") == len(chips)
        assert ('<p class="callout flat" role="status">' in answer.text) == bool(problem)
        assert problem in answer.text


@pytest.mark.one_database
def test_CONV_2_tags_narrow_a_list_and_show_in_its_rows(world: World, client) -> None:
    urgent, lab, foreign = tag(world), tag(world, "Lab"), tag(world, "CANARY", world.north)
    more = [tag(world, name) for name in ("Old", "Paid")]
    one, two = world.conversation("First", sender="+14155550161"), world.conversation("Second", sender="+14155550162")
    with transaction():
        for each in (urgent, lab, *more):
            one.tag(each, by=world.maya)
        two.tag(lab, by=world.maya)
    client.sign_in(world.maya)
    at = f"/i/{world.front.public_id}/all"
    page = client.get(f"{at}?tag={lab.public_id}").text
    assert "First" in page and "Second" in page and "+2" in page
    page = client.get(f"{at}?tag={lab.public_id}&tag={urgent.public_id}").text
    assert "First" in page and "Second" not in page
    assert f'href="{at}?tag={lab.public_id}"' in page, "each comes off alone"
    assert f"tag={lab.public_id}%2C{urgent.public_id}" in page, "the conversation carries both"
    assert "does not exist any more" in client.get(f"{at}?tag={foreign.public_id}").text and "CANARY" not in client.get(at).text


def test_CONV_2_a_filtered_list_is_saved_opened_and_deleted(world: World, client) -> None:
    client.sign_in(world.maya)
    at = f"/i/{world.front.public_id}/all"
    assert "Save view" not in client.get(at).text
    filtered = client.get(f"{at}?reply=1").text
    assert "Save view" in filtered
    new = f"/settings/views/new?in={world.front.public_id}&view=all&reply=1"
    assert client.get(new).status_code == 200
    wrong = client.send(new, name="   ")
    assert wrong.status_code == 422 and "Give the view a name." in wrong.text
    saved = client.send(new, name="To answer")
    assert saved.status_code == 303 and saved.location.endswith("?reply=1")
    page = client.get(saved.location).text
    assert "To answer" in page.split('id="list"')[0]
    assert page.split("</nav>")[0].count('aria-current="page"') == 1
    kept = db.session.query(SavedView).one().public_id
    assert client.send(f"/settings/views/{kept}", name="x" * 41).status_code == 422
    assert client.send(f"/settings/views/{kept}", name="Answer first").status_code == 303
    assert "Answer first" in client.get("/settings/views").text
    assert client.send(f"/settings/views/{kept}", name="Ours", shared="1").status_code == 403, "agents do not share"
    assert client.send(f"/settings/views/{kept}/deletion").status_code == 303
    assert db.session.query(SavedView).count() == 0
    assert client.send(f"/settings/views/{kept}/deletion").status_code == 404


def test_ACC_8_saving_changing_and_deleting_a_view_is_in_the_audit_log(world: World, client) -> None:
    view = keep(world, world.dana, world.front, Filter("all", needs_reply=True), "To answer")
    for name, shared in (("Answer first", False), ("Answer first", True), ("Answer first", True)):
        with transaction():
            view.change(name, shared=shared, by=world.dana)
    with transaction():
        view.destroy(by=world.dana)
    told = [(e.kind, e.actor_id, e.data) for e in db.session.query(Event).filter(Event.kind.like("view.%")).order_by(Event.id)]
    assert told == [
        ("view.saved", world.dana.id, {"view": "To answer", "shared": False}),
        ("view.changed", world.dana.id, {"view": "To answer", "before": {"name": "To answer"}, "after": {"name": "Answer first"}}),
        ("view.changed", world.dana.id, {"view": "Answer first", "before": {"shared": False}, "after": {"shared": True}}),
        ("view.deleted", world.dana.id, {"view": "Answer first", "shared": True}),
    ], "what changes nothing is no event"
    client.sign_in(world.dana)
    page = client.get("/settings/audit").text
    assert "saved the view To answer" in page and "deleted the saved view Answer first" in page
    assert "changed the name of the saved view To answer from To answer to Answer first" in page


def test_CONV_2_a_teams_view_shows_where_its_list_may_be_opened(world: World, client) -> None:
    keep(world, world.dana, world.front, Filter("all", needs_reply=True), "Front team", shared=True)
    keep(world, world.dana, world.pharmacy, Filter("all", needs_reply=True), "Back team", shared=True)
    keep(world, world.dana, None, Filter("all", read="unread"), "Everything", shared=True)
    keep(world, world.dana, None, Filter("mine", read="unread"), "Everyones own", shared=True)
    own = keep(world, world.dana, world.front, Filter("all", read="unread"), "Only Dana")
    seen = {who.name: {view.name for view in SavedView.visible_to(who)} for who in (world.dana, world.maya, world.sven, world.olga, world.nina)}
    assert seen["Dana Whitfield"] == {"Front team", "Back team", "Everything", "Everyones own", "Only Dana"}
    assert seen["Maya Chen"] == {"Front team", "Everyones own"}
    assert seen["Sven Super"] == {"Front team", "Back team", "Everything", "Everyones own"}
    assert seen["Olga Outside"] == {"Everyones own"} and seen["Nina North"] == set()
    client.sign_in(world.maya)
    page = client.get("/settings/views").text
    assert "Front team" in page and "Back team" not in page
    for path in ("", "/place", "/deletion"):
        assert client.send(f"/settings/views/{own.public_id}{path}", name="Mine now", to="up").status_code == 404


def test_CONV_2_views_keep_their_order_and_number(world: World, client) -> None:
    views = [keep(world, world.maya, world.front, Filter("all", read="unread"), f"View {n}") for n in range(MOST)]
    client.sign_in(world.maya)
    answer = client.send(f"/settings/views/new?in={world.front.public_id}&view=all&read=unread", name="One more")
    assert answer.status_code == 422 and "Delete one first" in answer.text
    client.send(f"/settings/views/{views[2].public_id}/place", to="up")
    client.send(f"/settings/views/{views[0].public_id}/place", to="up")
    assert [view.name for view in SavedView.visible_to(world.maya)][:4] == ["View 0", "View 2", "View 1", "View 3"]


def test_CONV_2_fifty_is_the_most_even_at_once(app, world: World, together) -> None:
    for n in range(MOST - 1):
        keep(world, world.maya, world.front, Filter("all", read="unread"), f"View {n}")
    maya, front = world.maya.id, world.front.id
    db.session.remove()

    def add(n: int) -> None:
        from inbox.models import Inbox, Member

        with transaction():
            SavedView.keep(db.session.get(Inbox, front), Filter("all", read="read"), f"Race {n}", by=db.session.get(Member, maya))

    together(add, 4, app)
    assert db.session.query(SavedView).filter_by(member_id=maya).count() == MOST


@pytest.mark.one_database
def test_CONV_2_a_view_whose_tag_or_person_is_gone_says_so_and_opens(world: World, client) -> None:
    gone = tag(world)
    keep(world, world.maya, world.front, Filter("all", needs_reply=True, tags=(gone.public_id,), assignee=world.theo.public_id))
    with transaction():
        db.session.delete(gone)
        world.theo.removed_at = world.theo.created_at
    client.sign_in(world.maya)
    (view,) = SavedView.visible_to(world.maya)
    page = client.get(f"/i/{world.front.public_id}/all", query_string=view.args)
    assert page.status_code == 200 and "tag does not exist any more" in page.text and "not in this account" in page.text and "Needs reply" in page.text


@pytest.mark.one_database
@pytest.mark.parametrize("query", ["", "in=nonsense&view=all", "in=work&view=others", "in=work&view=all", "in={pharmacy}&view=all", "in={front}&view=nonsense"])
def test_CONV_2_no_view_of_a_list_one_may_not_open(world: World, client, query: str) -> None:
    client.sign_in(world.maya)
    at = "/settings/views/new?reply=1&" + query.format(front=world.front.public_id, pharmacy=world.pharmacy.public_id)
    assert client.get(at).status_code == client.send(at, name="x").status_code == 404
    assert Permission.VIEWS_SHARE not in world.maya.permissions
