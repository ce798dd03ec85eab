"""TOOL-1 without scripts and as htmx asks for it: managing templates, inserting them into replies, notes and first texts, emoji."""

from __future__ import annotations

import re

import pytest

from inbox import emoji
from inbox.models import Draft, Member, Role, Template, db, transaction
from inbox.models.wording import Wording
from inbox.permissions import Permission

AT = "/settings/templates"
FORM = {"name": "Opening hours", "shortcut": "/Hours", "folder": "Clinic", "body": "Hi {{contact.first_name | there}}, we open at 9.", "scope": "mine"}


def made(by, body="Hello", shortcut="hello", *, shared=True, inboxes=None, name="Hello", folder="", **variants):
    with transaction():
        return Template.create(Wording(name, shortcut, body, folder, variants), by=by, shared=shared, inboxes=inboxes)


def put_in(client, c, template, **fields):
    return client.send(f"/c/{c.public_id}/templates/{template.public_id}", **fields)


# -- managing -----------------------------------------------------------------------------------------------------


def test_TOOL_1_a_member_writes_finds_changes_and_archives_a_template(world, client):
    client.sign_in(world.maya)
    assert "No templates yet" in client.get(AT).text
    assert client.get(f"{AT}/new").status_code == 200
    answer = client.send(AT, **FORM, new_language="es", new_body="Hola {{contact.first_name}}")
    assert answer.status_code == 303
    page = client.get(AT).text
    assert "Opening hours" in page and "/hours" in page and "Clinic" in page and "Spanish" in page and "Only you" in page
    assert "Opening hours" in client.get(f"{AT}?q=open+9").text and "Nothing found" in client.get(f"{AT}?q=zebra").text
    assert "Opening hours" in client.part(f"{AT}?folder=Clinic").text and "<nav" not in client.part(AT).text
    template = db.session.query(Template).one()
    at = f"{AT}/{template.public_id}"
    edit = client.get(at).text
    assert "Hola" in edit and "Hi Rosa, we open at 9." in edit and "Maya Chen" in edit
    changed = {**FORM, "shortcut": "hours", "body": "We open at 8.", "version": str(template.version)}
    assert client.send(at, **changed).status_code == 303
    db.session.refresh(template)
    assert (template.body, template.variants) == ("We open at 8.", {})
    again = client.send(at, **changed)
    assert again.status_code == 409 and "Somebody changed" in again.text and "We open at 8." in again.text
    assert client.send(f"{at}/restore", number="1").status_code == 303
    db.session.refresh(template)
    assert template.body.endswith("we open at 9.") and template.variants == {"es": "Hola {{contact.first_name}}"}
    copy = client.get(f"{AT}/new?copy={template.public_id}").text
    assert 'value="hours-2"' in copy and "Hola" in copy
    assert client.send(f"{at}/archive").status_code == 303
    assert "<b>Opening hours" not in client.get(AT).text and "<b>Opening hours" in client.get(f"{AT}?archived=1").text
    assert client.send(f"{at}/unarchive").status_code == 303 and "Opening hours" in client.get(AT).text


REFUSED = [
    ({"name": ""}, "Give it a name."), ({"shortcut": "two words"}, "letters from a to z"), ({"body": ""}, "Write the text."),
    ({"body": "Hi {{contact.frist_name}}"}, "Did you mean {{contact.first_name}}?"), ({"new_language": "", "new_body": "Hola"}, "Choose a language"),
    ({"new_language": "es", "new_body": "{{nope}}"}, "{{nope}} is not known"), ({"shortcut": "taken"}, "/taken already"),
]


def test_TOOL_1_what_cannot_be_saved_is_said_at_its_field_and_nothing_is_lost(world, client):
    made(world.maya, shortcut="taken", shared=False)
    client.sign_in(world.maya)
    for change, sentence in REFUSED:
        answer = client.send(AT, **{**FORM, **change})
        assert answer.status_code == 422 and sentence in answer.text and 'aria-invalid="true"' in answer.text and "Clinic" in answer.text, change
    assert db.session.query(Template).count() == 1


def test_TOOL_1_the_team_s_templates_are_changed_with_the_permission_only(world, client):
    team = made(world.dana, "Team text")
    theirs = made(world.theo, "Theo text", "theo", shared=False)
    far = made(world.nina, "Far", "far")
    pharmacy = made(world.dana, "Pills", "pills", inboxes=[world.pharmacy])
    client.sign_in(world.maya)
    at = f"{AT}/{team.public_id}"
    page = client.get(at).text
    assert "Team text" in page and 'name="body"' not in page and "Duplicate" in page
    for path in (at, f"{at}/archive", f"{at}/unarchive", f"{at}/restore"):
        assert client.send(path, **FORM, number="1").status_code == 403
    assert client.send(AT, **{**FORM, "scope": "team"}).status_code == 403
    for hidden in (theirs, far, pharmacy):
        at = f"{AT}/{hidden.public_id}"
        assert client.get(at).status_code == 404 and all(client.send(path, **FORM).status_code == 404 for path in (at, f"{at}/archive", f"{at}/restore"))
        assert client.get(f"{AT}/new?copy={hidden.public_id}").status_code == 404
    client.sign_in(world.sven)
    assert client.send(AT, **{**FORM, "scope": "team"}).status_code == 303
    client.sign_in(world.olga)
    assert "Opening hours" in client.get(AT).text and "Pills" not in client.get(AT).text
    with transaction():
        role = Role.create(world.harbor, name="Nothing", permissions=(), by=world.dana).public_id
        nobody = Member.join(world.harbor, email="n@harbor.example", name="No Body", password="correct horse battery")
        nobody.give_role(role, by=world.dana)
    client.sign_in(nobody)
    assert "Team text" not in client.get(AT).text and client.get(f"{AT}/{team.public_id}").status_code == 404


def test_TOOL_1_a_manager_keeps_inboxes_they_cannot_see(world, client):
    with transaction():
        role = Role.create(world.harbor, name="Writer", permissions={Permission.TEMPLATES_MANAGE}, by=world.dana).public_id
        writer = Member.join(world.harbor, email="w@harbor.example", name="Wri Ter", password="correct horse battery")
        writer.give_role(role, by=world.dana)
    template = made(world.dana, "Pills", "pills", inboxes=[world.pharmacy])
    client.sign_in(writer)
    page = client.get(AT).text
    assert "Pills" in page and "Pharmacy" not in page and "another inbox" in page
    assert client.send(f"{AT}/{template.public_id}", **{**FORM, "scope": "team"}, version=str(template.version)).status_code == 303
    assert [inbox.name for inbox in Template.inboxes_of([template.id])[template.id]] == ["Pharmacy"]


def test_TOOL_1_the_preview_fills_counts_and_keeps_nothing(world, client):
    client.sign_in(world.maya)
    part = client.send(f"{AT}/preview", htmx=True, body="Hi {{contact.name}}, {{ask: which day}}? {{contact.frist_name}} 🐾", new_language="es", new_body="Hola").text
    assert "Hi Rosa Delgado, [Which day]?" in part and "Unicode, because of" in part and "Did you mean {{contact.first_name}}?" in part and "In Spanish" in part
    whole = client.send(f"{AT}/preview", **FORM)
    assert whole.status_code == 200 and "Hi Rosa, we open at 9." in whole.text and db.session.query(Template).count() == 0


def test_TOOL_1_many_templates_page_and_cost_no_query_each(world, client):
    with transaction():
        for n in range(130):
            Template.create(Wording(f"T{n:03}", f"t{n}", "x", "ABC"[n % 3]), by=world.dana, shared=True)
    client.sign_in(world.maya)
    first = client.get(AT).text
    more = re.search(r'href="([^"]*after=[^"]*)"', first)
    assert more
    rest = client.get(more[1].replace("&amp;", "&")).text
    assert len(set(re.findall(r">T\d{3}<", first)) | set(re.findall(r">T\d{3}<", rest))) == 130


# -- inserting ----------------------------------------------------------------------------------------------------


def test_TOOL_1_the_list_and_the_text_for_htmx(world, client):
    c = world.conversation("What are your opening hours?")
    world.named(c, "Rosa", "Delgado")
    hours = made(world.dana, "Hi {{contact.first_name}}, our opening hours are 9 to 5.\nSee you!", "hours", name="Opening hours")
    made(world.dana, "Bye", "bye", name="Bye")
    client.sign_in(world.maya)
    part = client.part(f"/c/{c.public_id}/templates").text
    assert part.count('role="option"') == 2 and "Suggested" in part and part.index("Opening hours") < part.index("Bye") and "Hi Rosa" in part
    assert client.part(f"/c/{c.public_id}/templates?q=by").text.count('role="option"') == 1
    assert "No template has these words." in client.part(f"/c/{c.public_id}/templates?q=zebra").text
    answer = client.send(f"/c/{c.public_id}/templates/{hours.public_id}", htmx=True)
    assert answer.status_code == 200 and 'data-text="Hi Rosa, our opening hours are 9 to 5.\nSee you!"' in answer.text
    assert Draft.of(c, world.maya) is None and Template.used([hours.id]) == {hours.id: 1}


@pytest.mark.parametrize("kind", ["reply", "note"])
def test_TOOL_1_what_is_missing_is_asked_for_and_then_inserted(world, client, kind):
    c = world.conversation()
    template = made(world.dana, "Hi {{contact.first_name}}, see you {{ask: which day}}.", name="Visit")
    client.sign_in(world.maya)
    for htmx in (True, False):
        asked = put_in(client, c, template, htmx=htmx, kind=kind)
        assert asked.status_code == 200 and "Which day" in asked.text and "Their first name" in asked.text
        half = put_in(client, c, template, htmx=htmx, kind=kind, asked="1", **{"ask:which day": "Monday"})
        assert half.status_code == 422 and "still missing" in half.text and 'value="Monday"' in half.text
    assert Template.used([template.id]) == {}
    done = {"kind": kind, "asked": "1", "ask:which day": "Monday {{contact.name}}", "contact.first_name": "<b>"}
    assert 'data-text="Hi &lt;b&gt;, see you Monday {contact.name}."' in put_in(client, c, template, htmx=True, **done).text
    with transaction():
        Draft.put(c, "Typed before", by=world.maya, kind=kind)
    answer = put_in(client, c, template, **done)
    assert answer.status_code == 303 and answer.location.startswith(f"/c/{c.public_id}")
    db.session.expire_all()
    assert Draft.of(c, world.maya, kind).body == "Typed before\nHi <b>, see you Monday {contact.name}."


def test_TOOL_1_without_scripts_what_was_typed_is_kept_on_the_way_to_the_templates(world, client):
    c = world.conversation()
    made(world.dana, "Hi {{contact.first_name | there}}", "hi", name="Greeting")
    client.sign_in(world.maya)
    assert f'formaction="/c/{c.public_id}/templates"' in client.get(f"/c/{c.public_id}").text
    answer = client.send(f"/c/{c.public_id}/templates", body="So far", note="For us", kind="reply")
    assert answer.status_code == 303
    page = client.get(answer.location).text
    assert "Hi there" in page and "Put into the reply" in page
    db.session.expire_all()
    assert (Draft.of(c, world.maya).body, Draft.of(c, world.maya, "note").body) == ("So far", "For us")
    assert "No template found" in client.get(f"/c/{c.public_id}/templates?q=zebra").text


def test_TOOL_1_the_ladder_of_inserting(world, client):
    c, far = world.conversation(), world.conversation(sender="+12065550134", inbox=world.reception)
    template, theirs, pills = made(world.dana), made(world.nina), made(world.dana, shortcut="pills", inboxes=[world.pharmacy])
    client.sign_in(world.vera)
    assert client.get(f"/c/{c.public_id}/templates").status_code == 200 and "Put into" not in client.get(f"/c/{c.public_id}/templates").text
    for kind in ("reply", "note"):
        assert put_in(client, c, template, kind=kind).status_code == 403 and client.send(f"/c/{c.public_id}/templates", kind=kind, body="x", note="x").status_code == 403
    client.sign_in(world.uma)
    assert put_in(client, c, template).status_code == 403
    client.sign_in(world.olga)
    assert client.get(f"/c/{c.public_id}/templates").status_code == 404 and put_in(client, c, template).status_code == 404
    client.sign_in(world.maya)
    assert client.get(f"/c/{far.public_id}/templates").status_code == 404 and put_in(client, far, template).status_code == 404
    for wrong in (theirs, pills):
        assert put_in(client, c, wrong).status_code == 404
    with transaction():
        template.archive(by=world.dana)
    assert put_in(client, c, template).status_code == 404
    assert client.send(f"/c/{c.public_id}/templates/nope").status_code == 404


def test_TOOL_1_templates_for_a_first_text(world, client):
    c = world.conversation()
    world.named(c, "Rosa", "Delgado")
    template = made(world.dana, "Hi {{contact.first_name}}", "hi", name="Greeting")
    client.sign_in(world.maya)
    assert "Hi Rosa" in client.part("/compose/templates?to=%2B14155550134").text
    assert "Asks for their first name" in client.part("/compose/templates?to=%2B14155550199").text
    to, held = f"/compose/templates/{template.public_id}", {"to": "+1 415 555 0134", "body": "Typed", "nonce": "n1"}
    assert 'data-text="Hi Rosa"' in client.send(to, htmx=True, to="Rosa Delgado").text
    page = client.send("/compose/templates", **held)
    assert page.status_code == 200 and "Put into the message" in page.text and 'value="Typed"' in page.text
    back = client.send(to, **held)
    assert "Typed\nHi Rosa" in back.text and "+1 415 555 0134" in back.text
    assert "Typed" in client.send("/compose/templates", **held, back="1").text
    asked = client.send(to, to="", body="Typed")
    assert "Their first name" in asked.text and 'value="Typed"' in asked.text
    assert "Typed\nHi Ann" in client.send(to, body="Typed", asked="1", **{"contact.first_name": "Ann"}).text
    assert client.send("/compose/templates/nope").status_code == 404
    client.sign_in(world.dana)  # in two inboxes
    assert "Choose which inbox" in client.part("/compose/templates").text and client.send(to, htmx=True).status_code == 422
    assert client.part(f"/compose/templates?inbox={world.front.public_id}").text.count('role="option"') == 1
    client.sign_in(world.vera)
    for answer in (client.part("/compose/templates"), client.send("/compose/templates"), client.send(to)):
        assert answer.status_code == 403


def test_TOOL_1_a_reply_with_a_placeholder_is_refused_and_kept(world, client):
    c = world.conversation()
    client.sign_in(world.maya)
    for htmx in (True, False):
        answer = client.send(f"/c/{c.public_id}/messages", htmx=htmx, body="Hi {{contact.first_name}}", seen=str(c.last_inbound_id))
        assert answer.status_code == 422 and "{{contact.first_name}} is not filled in" in answer.text
    assert "Hi {{contact.first_name}}</textarea>" in answer.text


# -- emoji ----------------------------------------------------------------------------------------------------------


def test_TOOL_1_emoji_are_found_by_the_beginning_of_a_word(world, client):
    client.sign_in(world.vera)
    part = client.part("/emoji?q=thu").text
    assert part.count('role="option"') == 2 and 'data-text="👍"' in part
    assert client.part("/emoji").text.count('role="option"') == emoji.ALL and client.get("/emoji?q=heart").status_code == 200
    assert "No emoji is called that." in client.part("/emoji?q=%25").text


def test_TOOL_1_every_emoji_has_a_name_and_none_comes_twice():
    found = emoji.every()
    assert 140 <= len(found) <= 180 and len({one.char for one in found}) == len(found) and len({one.name for one in found}) == len(found)
    assert all(one.name and not one.char.isascii() and not any(c.isspace() for c in one.char) for one in found)
    assert [one.name for one in emoji.find("thumbs_d")] == ["thumbs down"] and len(emoji.find("heart")) == emoji.OFFERED
