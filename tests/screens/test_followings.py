"""Followers, help, mentions, what is new and the page to print, as pages and as fragments."""

from __future__ import annotations

import pytest

from inbox import clock
from inbox.models import Draft, Following, Message, db, transaction
from tests.world import World


def text(answer) -> str:
    return answer.get_data(as_text=True)


@pytest.mark.parametrize("htmx", [False, True])
def test_ASG_3_follow_and_unfollow(world: World, client, htmx: bool) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    assert ">Follow</button>" in text(client.get(at))
    answer = client.send(f"{at}/following", htmx=htmx)
    assert answer.status_code == (200 if htmx else 303)
    page = text(answer if htmx else client.get(at))
    assert ">Unfollow</button>" in page and "Followers" in page and "You follow this now." in page
    client.send(f"{at}/following", member=world.theo.public_id)
    assert Following.of(conversation) == [world.maya, world.theo]
    client.send(f"{at}/following", htmx=htmx, value="end", member=world.theo.public_id)
    client.send(f"{at}/following", htmx=htmx, value="end")
    assert Following.of(conversation) == []
    assert client.send(f"{at}/following", value="maybe").status_code == 400
    assert client.send(f"{at}/following", member=world.olga.public_id).status_code == 422
    assert client.send(f"{at}/following", member=world.nina.public_id).status_code == 404


@pytest.mark.parametrize("htmx", [False, True])
def test_ASG_3_ask_for_help(world: World, client, htmx: bool) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}/help"
    client.sign_in(world.maya)
    form = text(client.part(at) if htmx else client.get(at))
    assert "Theo Okafor" in form and "Olga" not in form and "Nina" not in form and "Maya Chen</option>" not in form
    for fields, words in (({"about": "the dose"}, "Choose a teammate"), ({"to": world.theo.public_id}, "Say what"), ({"to": world.olga.public_id, "about": "the dose"}, "Choose a teammate")):
        refused = client.send(at, htmx=htmx, **fields)
        assert refused.status_code == 422 and words in text(refused) and fields.get("about", "") in text(refused)
    answer = client.send(at, htmx=htmx, to=world.theo.public_id, about="the dose")
    assert answer.status_code == (201 if htmx else 303)
    page = text(client.get(f"/c/{conversation.public_id}"))
    assert "Maya asked " in page and "@Theo Okafor</span> for help: the dose" in page and "Followers" in page
    assert db.session.query(Message).filter_by(kind="note").count() == 1


def test_CONV_4_mentions_are_offered_drawn_and_refused_with_the_text_kept(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    offered = text(client.part(f"{at}/people?q=o"))
    assert 'data-insert="@Theo Okafor"' in offered and "cannot read this inbox" in offered and 'aria-disabled="true"' in offered
    assert client.get(f"{at}/people?q=o").status_code == 303
    with transaction():
        twin = world.member(world.harbor, "Toni Lopez", "viewer", seat=False)
        twin.name = "Theo Lopez"
        world.front.add_member(twin, by=world.dana)
    for htmx in (False, True):
        refused = client.send(f"{at}/notes", htmx=htmx, note="@theo <b>look</b>")
        assert refused.status_code == 422 and "@Theo Lopez or @Theo Okafor" in text(refused)
        assert htmx or "@theo &lt;b&gt;look&lt;/b&gt;" in text(refused)
    written = client.send(f"{at}/notes", htmx=True, note="@theo okafor see https://example.com & @maya <i>")
    assert written.status_code == 201
    client.sign_in(world.theo)
    page = text(client.get(at))
    assert '<span class="pill on">@Theo Okafor</span><span class="vh"> (you)</span>' in page and '<span class="pill">@Maya Chen</span> &lt;i&gt;' in page


@pytest.mark.parametrize("path", ["following", "help"])
def test_ASG_3_the_ladder(world: World, client, path: str) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}/{path}"
    for who, status in ((world.vera, 403), (world.uma, 403), (world.olga, 404), (world.nina, 404)):
        client.sign_in(who)
        assert client.send(at, to=world.theo.public_id, about="x").status_code == status, who.name
    client.sign_in(world.maya)
    assert client.send(f"/c/nonsense/{path}").status_code == 404
    assert Following.of(conversation) == []


def test_CONV_4_what_is_new_to_me_begins_with_a_line(world: World, client) -> None:
    conversation = world.conversation("First")
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.vera)
    page = text(client.get(at))
    assert 'id="unread"' not in page and '"value": "seen"' in page
    assert client.send(f"{at}/reading", htmx=True, value="seen", message=conversation.last_message_id).status_code == 204
    assert client.send(f"{at}/reading", value="read").status_code == 403
    db.session.expire_all()
    assert conversation.unread, "viewers' eyes do not count"
    assert '"value": "seen"' not in text(client.get(at)) or conversation.unread
    world.text("Second")
    page = text(client.get(at))
    assert page.index("First</p>") < page.index('id="unread"') < page.index('bub">Second')
    assert 'id="unread"' not in text(client.sign_in(world.maya).get(at))
    for n in range(40):
        clock.shift(1)
        world.text(f"More {n}")
    page = text(client.sign_in(world.vera).get(at))
    assert 'id="unread"' not in page and "Go to the first new one" in page


def test_CONV_4_three_changes_in_a_row_are_one_line(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.dana)

    def assign(*people) -> None:
        for who in people:
            clock.shift(1)
            with transaction():
                conversation.assign_to(who, by=world.dana, expected=conversation.assignee_id)

    assign(world.maya, world.theo)
    assert 'class="evts"' not in text(client.get(at))
    assign(world.maya, world.theo)
    page = text(client.get(at))
    assert page.count('class="evts"') == 1 and "<summary>4 changes</summary>" in page and page.count('class="evt"') == 4
    world.text("Between")
    assign(world.maya)
    assert text(client.get(at)).count('class="evt"') == 5 and "4 changes" in text(client.get(at))


def test_CONV_4_a_page_to_print(world: World, client) -> None:
    conversation = world.conversation("<script>alert(1)</script> hi")
    world.reply(conversation, world.maya, "Come by any time")
    with transaction():
        conversation.note("@theo secret", by=world.maya)
    at = f"/c/{conversation.public_id}/print"
    client.sign_in(world.vera)
    page = text(client.get(at))
    assert "<script" not in page and "&lt;script&gt;" in page and "Come by any time" in page and "Maya Chen" in page and "Queued" in page and "secret" not in page
    assert "Times are in America/Los Angeles, UTC-0" in page
    assert "secret" in text(client.get(f"{at}?notes=1")) and "next 500" not in page
    for who, status in ((world.olga, 404), (world.nina, 404)):
        assert client.sign_in(who).get(at).status_code == status
    client.sign_in(world.dana)
    assert client.get(f"{at}?after=nonsense").status_code == 200 and "Nothing was written" in text(client.get(f"{at}?after=999999"))


@pytest.mark.parametrize("htmx", [False, True])
def test_CONV_7_a_teammates_draft_is_shown_and_can_be_gone_on_with(world: World, client, htmx: bool) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    with transaction():
        Draft.put(conversation, "Dear <Rosa>, your cream", by=world.theo)
        Draft.put(conversation, "a note of mine", by=world.theo, kind="note")
    page = text(client.sign_in(world.maya).get(at))
    assert "Theo Okafor has a draft" in page and "Dear &lt;Rosa&gt;, your cream" in page and "a note of mine" not in page
    assert 'class="draft-from begun' in page
    for who in (world.theo, world.vera):
        assert 'class="draft-from begun' not in text(client.sign_in(who).get(at))
    client.sign_in(world.maya)
    answer = client.send(f"{at}/draft/copy", htmx=htmx, **{"from": world.theo.public_id, "body": "Hello."})
    assert answer.status_code == (204 if htmx else 303)
    mine = Draft.of(conversation, world.maya)
    assert mine and mine.body == "Hello.\nDear <Rosa>, your cream" and mine.from_name == "Theo Okafor"
    theirs = Draft.of(conversation, world.theo)
    assert theirs and theirs.body == "Dear <Rosa>, your cream"
    assert client.send(f"{at}/draft/copy", **{"from": world.nina.public_id}).status_code == 404
    assert client.send(f"{at}/draft/copy").status_code == 404
    for who, status in ((world.vera, 403), (world.olga, 404)):
        assert client.sign_in(who).send(f"{at}/draft/copy", **{"from": world.theo.public_id}).status_code == status
