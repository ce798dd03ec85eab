"""The conversation screens without scripts and as htmx asks for them: lists, locks, replies, notes, assignment, archive."""

from __future__ import annotations

import gzip
import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from inbox import clock
from inbox.models import Attachment, Conversation, Draft, Message, db, transaction
from inbox.models.conversation import VIEWS
from inbox.views.screens import linked
from tests.world import World

STATIC = Path(__file__).parents[2] / "inbox" / "static"


def value(html: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', html)
    assert found, f"no {name} in the page"
    return found.group(1)


def state(html: str) -> str:
    found = re.search(r'id="lock" data-state="(\w+)"', html)
    assert found, "no lock strip"
    return found.group(1)


def picture(color: str = "red") -> io.BytesIO:
    out = io.BytesIO()
    Image.new("RGB", (900, 600), color).save(out, "PNG")
    out.seek(0)
    return out


@pytest.mark.parametrize("view", list(VIEWS))
def test_CONV_1_every_view_opens_empty_and_full(world: World, client, view: str) -> None:
    client.sign_in(world.maya)
    at = f"/i/{world.front.public_id}/{view}"
    assert client.get(at).status_code == 200
    conversation = world.conversation("Hello there")
    page = client.get(at).get_data(as_text=True)
    assert ("Hello there" in page) == (view in ("unassigned", "all"))
    assert client.get(f"{at}/sync", headers={"HX-Request": "true"}).status_code == 200
    assert client.get(f"/c/{conversation.public_id}?view={view}").status_code == 200


@pytest.mark.parametrize("query", ["read=unread", "read=read&mine=1", "reply=1", "assignee=nobody", "read=maybe", "mine=1&read=unread&reply=1"])
def test_CONV_2_filters_are_chips_and_unknown_ones_are_said(world: World, client, query: str) -> None:
    client.sign_in(world.maya)
    page = client.get(f"/i/{world.front.public_id}/all?{query}").get_data(as_text=True)
    if query in ("assignee=nobody", "read=maybe"):
        assert "not applied" in page
    else:
        assert "Remove filter" in page


@pytest.mark.parametrize("cursor", ["x", "1.2.3", "9" * 400 + ".1", "-1.5", "1." + "9" * 30, "٣.٣"])
def test_CONV_3_a_cursor_we_did_not_make_is_a_sentence(world: World, client, cursor: str) -> None:
    client.sign_in(world.maya)
    response = client.get(f"/i/{world.front.public_id}/all", query_string={"after": cursor})
    assert response.status_code in (200, 400)


def test_CONV_3_the_list_pages_by_key(world: World, client) -> None:
    for n in range(45):
        world.text(f"Number {n}", sender=f"+1415555{1000 + n}")
    client.sign_in(world.maya)
    first = client.get(f"/i/{world.front.public_id}/all").get_data(as_text=True)
    more = re.search(r'id="more"><a[^>]*href="([^"]*)"', first)
    assert more
    address = more.group(1).replace("&amp;", "&")
    rest = client.get(address).get_data(as_text=True)
    part = client.part(address).get_data(as_text=True)
    shown = set(re.findall(r"Number \d+", first)) | set(re.findall(r"Number \d+", rest))
    assert len(shown) == 45
    assert 'id="row-' in part
    assert "<nav" not in part


def test_opening_writes_nothing_and_offers_the_lock(world: World, client) -> None:
    conversation = world.conversation()
    client.sign_in(world.maya)
    page = client.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    assert state(page) == "free"
    assert 'hx-trigger="load"' in page
    db.session.expire_all()
    assert conversation.lock_holder() is None
    assert conversation.unread


def test_LOCK_7_reading_locking_and_replying_work_as_forms(world: World, client, bell) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    client.get(at)
    kept = client.send(f"{at}/lock", body="Typed before the lock", note="")
    assert kept.status_code == 303
    page = client.get(at).get_data(as_text=True)
    assert state(page) == "mine"
    assert "Typed before the lock" in page
    sent = client.send(f"{at}/messages", body="Yes, come by.", fence=value(page, "fence"), seen=value(page, "seen"), nonce=value(page, "nonce"))
    assert sent.status_code == 303
    assert "Yes, come by." in client.get(at).get_data(as_text=True)
    again = client.send(f"{at}/messages", body="Yes, come by.", fence=value(page, "fence"), seen=value(page, "seen"), nonce=value(page, "nonce"))
    assert again.status_code == 303
    assert db.session.query(Message).filter_by(kind="out").count() == 1
    assert client.send(f"{at}/lock/release", fence=value(page, "fence")).status_code == 303
    assert state(client.get(at).get_data(as_text=True)) == "free"


def test_LOCK_4_a_lost_lock_keeps_the_text_with_and_without_scripts(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    with transaction():
        mine = conversation.acquire(by=world.maya)
        conversation.take_over(by=world.ada, reason="Lunch")
    client.sign_in(world.maya)
    for htmx in (False, True):
        answer = client.send(f"{at}/messages", htmx=htmx, body="My long answer", fence=mine.fence, seen=conversation.last_inbound_id)
        text = answer.get_data(as_text=True)
        assert answer.status_code == 409
        assert state(text) == "taken"
        assert htmx or "My long answer" in text
    assert db.session.query(Message).filter_by(kind="out").count() == 0


def test_LOCK_4_a_new_text_holds_the_send_until_it_was_seen(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    seen = conversation.last_inbound_id
    with transaction():
        held = conversation.acquire(by=world.maya)
    world.text("Wait, I meant the other one")
    client.sign_in(world.maya)
    answer = client.send(f"{at}/messages", htmx=True, body="Done", fence=held.fence, seen=seen)
    assert answer.status_code == 409
    assert "1 new text since you started" in answer.get_data(as_text=True)
    assert "Wait, I meant the other one" in answer.get_data(as_text=True)
    page = client.send(f"{at}/messages", body="Done", fence=held.fence, seen=seen)
    assert page.status_code == 409
    assert "Done</textarea>" in page.get_data(as_text=True)
    sent = client.send(f"{at}/messages", htmx=True, body="Done", fence=held.fence, seen=seen, anyway="1")
    assert sent.status_code == 201


def test_the_seven_states_of_the_strip(world: World, client, app) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    assert state(client.send(f"{at}/lock", htmx=True).get_data(as_text=True)) == "mine"
    fence = conversation.lock_holder().fence
    other = app.test_client()
    other.sign_in(world.theo)
    theirs = other.get(at).get_data(as_text=True)
    assert state(theirs) == "theirs"
    assert "Maya Chen is replying" in theirs
    assert re.search(r'<textarea[^>]*id="body"[^>]*readonly', theirs)
    assert other.send(f"{at}/lock", htmx=True).status_code == 409
    assert "We’ll tell you" in other.send(f"{at}/lock/wait", htmx=True).get_data(as_text=True)
    clock.shift(conversation.inbox.idle_after + 1)
    beat = client.send(f"{at}/lock/renewal", htmx=True, fence=fence, active="0")
    assert beat.status_code == 409
    assert state(beat.get_data(as_text=True)) == "expired"
    assert state(client.part(f"{at}/sync?lock={fence}").get_data(as_text=True)) == "expired"
    assert state(other.part(f"{at}/sync").get_data(as_text=True)) == "free"
    assert state(client.send(f"{at}/lock", htmx=True).get_data(as_text=True)) == "mine"
    boss = app.test_client()
    boss.sign_in(world.ada)
    client.send(f"{at}/draft", body="Half a sentence", kind="reply")
    assert "Say why" in boss.send(f"{at}/lock/takeover", reason=" ").get_data(as_text=True)
    assert boss.send(f"{at}/lock/takeover", reason="Shift ends").status_code == 303
    page = boss.get(at).get_data(as_text=True)
    assert "Draft from Maya Chen" in page
    assert "Half a sentence</textarea>" in page
    assert state(client.part(f"{at}/sync?lock={fence + 1}").get_data(as_text=True)) == "taken"
    viewer = app.test_client()
    viewer.sign_in(world.vera)
    assert "Ada Admin is replying" in viewer.get(at).get_data(as_text=True)
    assert viewer.send(f"{at}/lock").status_code == 403


def test_an_opted_out_customer_can_only_be_noted_about(world: World, client) -> None:
    conversation = world.conversation()
    world.named(conversation, "Rosa", "Delgado")
    world.text("STOP")
    client.sign_in(world.maya)
    page = client.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    assert state(page) == "blocked"
    assert "replied STOP" in page
    assert client.send(f"/c/{conversation.public_id}/messages", htmx=True, body="Hello", seen=999).status_code == 422
    assert client.send(f"/c/{conversation.public_id}/notes", htmx=True, note="They opted out").status_code == 201


def test_notes_need_no_lock_and_texts_of_both_kinds_stay_apart(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    with transaction():
        conversation.acquire(by=world.theo)
    client.sign_in(world.maya)
    client.send(f"{at}/draft", body="A reply", kind="reply")
    assert client.send(f"{at}/notes", note="Same ear as in June", body="A reply").status_code == 303
    page = client.get(at).get_data(as_text=True)
    assert "only your team sees this" in page
    assert "A reply</textarea>" in page
    assert client.send(f"{at}/notes", note="   ").status_code == 422


def test_a_late_draft_does_not_come_back_after_sending(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    client.send(f"{at}/messages", htmx=True, body="Sent", seen=conversation.last_inbound_id, nonce="n1")
    assert client.send(f"{at}/draft", htmx=True, body="Sent", kind="reply", nonce="n1").status_code == 204
    assert Draft.of(conversation, world.maya) is None
    assert client.send(f"{at}/draft", htmx=True, body="x" * 30_000, kind="reply").status_code == 422


def test_ASG_2_of_two_takers_the_second_is_told_who(world: World, client, app) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}/assignment"
    client.sign_in(world.maya)
    assert "Theo Okafor" in client.part(at).get_data(as_text=True)
    assert "Olga" not in client.get(at).get_data(as_text=True)
    assert client.send(at, htmx=True, to=world.maya.public_id, expected="").status_code == 200
    late = app.test_client()
    late.sign_in(world.theo)
    answer = late.send(at, htmx=True, to=world.theo.public_id, expected="")
    assert answer.status_code == 409
    assert "Maya Chen has this conversation now" in answer.get_data(as_text=True)
    assert late.send(at, to=world.uma.public_id, expected=world.maya.public_id).status_code == 422
    assert late.send(at, to="", expected=world.maya.public_id).status_code == 303


def test_archive_undo_and_unread(world: World, client) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    assert "Undo" in client.send(f"{at}/archival", htmx=True).get_data(as_text=True)
    assert state(client.get(f"{at}?view=archived").get_data(as_text=True)) == "free"
    assert client.send(f"{at}/archival/undo", htmx=True).status_code == 200
    assert client.send(f"{at}/reading", htmx=True, value="unread").status_code == 200
    assert client.send(f"{at}/reading", value="read").status_code == 303
    assert client.send(f"{at}/reading", value="maybe").status_code == 400
    assert client.send(f"{at}/archival?view=all").headers["Location"].endswith("/all")


def test_CONV_5_compose_asks_which_inbox_and_keeps_everything(world: World, client) -> None:
    client.sign_in(world.dana)
    page = client.get("/compose").get_data(as_text=True)
    assert "Choose an inbox" in page
    refused = client.send("/compose", to="(415) 555-0188", body="Hello from us", nonce="c1")
    assert refused.status_code == 422
    assert "Hello from us" in refused.get_data(as_text=True)
    assert client.send("/compose", inbox=world.front.public_id, to="nonsense", body="Hello", nonce="c1").status_code == 422
    for _ in range(2):
        sent = client.send("/compose", inbox=world.front.public_id, to="(415) 555-0188", body="Hello from us", nonce="c2")
        assert sent.status_code == 303
    assert db.session.query(Message).filter_by(kind="out").count() == 1
    assert "Hello from us" in client.get(f"/i/{world.front.public_id}/archived").get_data(as_text=True)
    world.named(world.conversation(), "Rosa", "Delgado")
    assert "Rosa Delgado" in client.part("/compose/contacts?to=rosa").get_data(as_text=True)
    assert client.send("/compose", inbox=world.front.public_id, to="rosa delgado", body="Hello Rosa", nonce="c3").status_code == 303


def test_MSG_4_pictures_go_out_and_are_served_safely(world: World, client, app) -> None:
    conversation = world.conversation()
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    seen = conversation.last_inbound_id
    bad = client.post(f"{at}/messages", data={"csrf_token": client.csrf(), "body": "x", "seen": seen, "media": (io.BytesIO(b"<svg onload=alert(1)>"), "x.svg")})
    assert bad.status_code == 422
    assert "can’t be sent" in bad.get_data(as_text=True)
    files = [(picture(), "..\\one.png"), (picture("blue"), "two.png")]
    good = client.post(f"{at}/messages", data={"csrf_token": client.csrf(), "body": "", "seen": seen, "media": files}, headers={"HX-Request": "true"})
    assert good.status_code == 201
    files = db.session.query(Attachment).all()
    assert [f.state for f in files] == ["stored", "stored"]
    shown = client.get(f"/media/{files[0].public_id}")
    assert shown.mimetype == "image/png"
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get(f"/media/{files[0].public_id}/thumb").status_code == 200
    outside = app.test_client()
    outside.sign_in(world.nina)
    assert outside.get(f"/media/{files[0].public_id}").status_code == 404


def test_message_states_are_words_with_a_way_on(world: World, client) -> None:
    conversation = world.conversation()
    message = world.reply(conversation, world.maya)
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.maya)
    for state_, words in (("sent", "Sent"), ("delivered", "Delivered"), ("undelivered", "Not delivered:"), ("uncertain", "May have been sent")):
        with transaction():
            db.session.get_one(Message, message.id)._state(state_, code="30003" if state_ == "undelivered" else None)
        page = client.get(at).get_data(as_text=True)
        assert words in page
    assert client.send(f"/messages/{message.public_id}/sent", htmx=True).status_code == 200
    assert client.send(f"/messages/{message.public_id}/retry", htmx=True).status_code == 422


def test_PERM_6_a_foreign_id_is_a_404_everywhere(world: World, client) -> None:
    conversation = world.conversation(inbox=world.reception, sender="+12065550177")
    message = db.session.query(Message).filter_by(conversation_id=conversation.id).one()
    client.sign_in(world.maya)
    at = f"/c/{conversation.public_id}"
    for path in (at, f"{at}/older?before=1", f"{at}/sync", f"{at}/assignment", f"/i/{world.reception.public_id}/all", f"/i/{world.waiting.public_id}/all"):
        assert client.get(path).status_code == 404, path
    for path in ("lock", "lock/renewal", "lock/release", "lock/wait", "messages", "notes", "draft", "assignment", "archival", "archival/undo", "reading"):
        assert client.send(f"{at}/{path}").status_code == 404, path
    assert client.send(f"/messages/{message.public_id}/retry").status_code == 404
    assert "CANARY" not in client.get(f"/i/{world.front.public_id}/all").get_data(as_text=True)


def test_opening_by_htmx_is_small(world: World, client) -> None:
    conversation = world.conversation()
    for n in range(25):
        world.text(f"Text number {n} of a usual length, with a question about the ear drops and the appointment.")
    client.sign_in(world.maya)
    answer = client.part(f"/c/{conversation.public_id}?view=all")
    assert answer.status_code == 200
    assert len(gzip.compress(answer.get_data(), 9)) <= 6 * 1024


def test_older_messages_come_a_page_at_a_time(world: World, client) -> None:
    conversation = world.conversation("Text 0")
    for n in range(1, 40):
        world.text(f"Text {n}.")
    client.sign_in(world.maya)
    page = client.get(f"/c/{conversation.public_id}").get_data(as_text=True)
    assert "Text 0<" not in page
    older = re.search(r'id="older"[^>]*><a[^>]*href="([^"]*)"', page)
    assert older
    assert "Text 0<" in client.part(older.group(1).replace("&amp;", "&")).get_data(as_text=True)
    assert "Text 0<" in client.get(older.group(1).replace("&amp;", "&")).get_data(as_text=True)


VECTORS = Path(__file__).parents[1] / "data" / "html_xss"
HOSTILE = [
    "<script>alert(1)</script>", "https://example.com/\"onmouseover=alert(1)", "javascript:alert(1)", "http://a<b>c", "<img src=x onerror=alert(1)>", "HTTPS://EXAMPLE.COM/x?a=1&b=<i>",
    "data:text/html,<script>1</script>", "https://", "http://x\u202egnp.exe", "{{ 7*7 }}", "</textarea><script>1</script>", "&lt;b&gt; https://e.com/&lt;", "https://e.com/'><svg/onload=1>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_links_are_the_only_markup_a_text_can_have(text: str) -> None:
    import html5lib

    tree = html5lib.HTMLParser().parseFragment(str(linked(text)))
    assert "".join(tree.itertext()) == text
    for element in tree.iter():
        if element.tag == "DOCUMENT_FRAGMENT" or not isinstance(element.tag, str):
            continue
        assert element.tag.rpartition("}")[2] == "a"
        assert element.get("href").lower().startswith(("http://", "https://"))
        assert set(element.attrib) == {"href", "target", "rel"}
        assert element.get("rel") == "noopener noreferrer nofollow"


def test_hostile_texts_go_through_every_field_as_text(world: World, client) -> None:
    conversation = world.conversation(HOSTILE[0])
    at = f"/c/{conversation.public_id}"
    client.sign_in(world.ada)
    for n, text in enumerate(HOSTILE):
        client.send(f"{at}/notes", htmx=True, note=text, nonce=f"a{n}")
        client.send(f"{at}/messages", htmx=True, body=text, nonce=f"b{n}", seen=conversation.last_inbound_id)
        client.send(f"{at}/draft", body=text, kind="reply")
        assert client.get(at).status_code == 200
        client.send("/compose", to=text, body=text, inbox=text)
    page = client.get(at).get_data(as_text=True)
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_the_stylesheet_names_the_font_that_the_page_preloads(client) -> None:
    import hashlib

    for name in ("inter.woff2", "inter-latin.woff2"):
        digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
        assert f'url("../{digest}/{name}")' in (STATIC / "app.css").read_text()


def test_the_counter_of_the_page_and_of_the_server_agree() -> None:
    source = (STATIC / "counter.js").read_text()
    found = re.search(r'new Set\("((?:[^"\\]|\\.)*)"\)', source)
    assert found
    letters = set(json.loads('"' + found.group(1) + '"'))
    from inbox import phone

    assert letters == set(phone._GSM_BASIC)


def test_conversations_are_counted_and_scoped(world: World) -> None:
    world.conversation()
    assert Conversation.counts(world.maya, [world.front])[world.front.id]["unassigned"] == 1
