"""Contacts: the list and its filters, the card with its timeline, new ones, own fields, owners in place - whole, as fragments, and for every kind of member."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Call, Consent, Contact, ContactField, Message, Tag, db, transaction
from inbox.models.contact_list import ContactFilter, about, listed
from inbox.models.timeline import timeline
from tests.access.test_permission_cost import queries


def people(world, n=3):
    """Anna, Bo and Cy, who texted the front desk, the second owned by Maya."""
    made = []
    for i, first in enumerate(["Anna", "Bo", "Cy", "Di", "Ed"][:n]):
        c = world.conversation(f"Hi from {first}", sender=f"+1415555020{i}")
        made.append(world.named(c, first, "Lee", owner=world.maya if i == 1 else None))
    return made


def names(text):
    return re.findall(r"<bdi>([^<]+)</bdi></a>", text)


def test_contacts_are_narrowed_by_the_address(app, world):
    anna, bo, cy = people(world)
    with transaction():
        tag = Tag.create("Refund", by=world.dana)
        talk = anna_talk = db.session.scalars(sa.select(type(world.conversation())).where(sa.text(f"contact_id = {anna.id}"))).one()
        anna_talk.tag(tag, by=world.maya)
        cy.block(by=world.dana)
        Consent.put(world.harbor, world.team.id, bo.phone, opted_out=True, source="text", inbox_id=world.front.id)
        Consent.put(world.harbor, world.team.id, cy.phone, opted_out=True, source="text", inbox_id=world.front.id)
        Consent.put(world.harbor, world.team.id, cy.phone, opted_out=False, source="text", inbox_id=world.front.id)
    client = app.test_client().sign_in(world.maya)
    for query, found in {
        "owner=me": ["Bo Lee"], f"owner={world.maya.public_id}": ["Bo Lee"], f"tag={tag.public_id}": ["Anna Lee"], "blocked=1": ["Cy Lee"], "consent=out": ["Bo Lee"], "consent=in": ["Cy Lee"],
        "q=lee&owner=none&consent=none": ["Anna Lee"], "q=0201": ["Bo Lee"], "q=%28415%29+555-0201": ["Bo Lee"], "q=415+555+02": ["Anna Lee", "Bo Lee", "Cy Lee"], "q=lee+bo": ["Bo Lee"],
        "owner=nobody": [], "tag=x": [], "consent=strange&q=anna": ["Anna Lee"], f"owner={world.nina.public_id}": [],
    }.items():
        for answer in (client.get(f"/contacts?{query}"), client.part(f"/contacts?{query}")):
            assert answer.status_code == 200 and names(answer.text) == found, query
    chips = client.get("/contacts?owner=me&blocked=1&q=b").text
    assert 'aria-label="Remove filter: Contact owner Me"' in chips and 'href="/contacts?q=b&amp;blocked=1"' in chips
    text = client.get("/contacts").text
    assert text.count("Opted out") >= 1 and "Said yes" not in text.split("Cy Lee")[1].split("</tr>")[0], "blocked says more"
    assert talk.public_id


def test_contacts_are_found_by_address_and_by_words_in_other_letters(app, world):
    anna, _, _ = people(world)
    with transaction():
        anna.edit(by=world.dana, first="Zoë", last="Ångström", email="zoe.a@mail.example", owner=None)
    for words in ("zoe.a@mail.example", "ZOE", "angstr", "zoe mail"):
        assert [c.id for c in listed(world.dana, ContactFilter(words=words))] == [anna.id], words


def test_contacts_page_by_key_and_keep_the_filter(app, world, monkeypatch):
    monkeypatch.setattr("inbox.views.contacts.PAGE", 2)
    people(world, 5)
    client = app.test_client().sign_in(world.maya)
    seen, url = [], "/contacts?q=lee"
    while url:
        text = client.get(url).text
        seen += names(text)
        following = re.search(r'href="(/contacts\?[^"]*after=[^"]+)"', text)
        url = following[1].replace("&amp;", "&") if following else ""
        assert not url or "q=lee" in url
    assert seen == ["Anna Lee", "Bo Lee", "Cy Lee", "Di Lee", "Ed Lee"]


def test_the_list_costs_the_same_however_many_rows(app, world):
    client = app.test_client().sign_in(world.maya)
    people(world, 2)
    client.get("/contacts")
    with queries() as few:
        client.get("/contacts")
    people(world, 5)
    with queries() as many:
        client.get("/contacts")
    assert len(many) <= len(few), (len(few), len(many))


def test_rows_tell_only_what_the_reader_may_know(world):
    c = world.conversation(sender="+14155550210", inbox=world.pharmacy)
    with transaction():
        world.pharmacy.team.consent_scope = "inbox"
        Consent.put(world.harbor, world.team.id, "+14155550210", opted_out=True, source="text", inbox_id=world.pharmacy.id)
    for who, sees in ((world.dana, True), (world.maya, False)):
        row = about(who, [c.contact])[c.contact_id]
        assert (row.consent == "out", row.last is not None) == (sees, sees)
        assert bool(listed(who, ContactFilter(consent="out"))) == sees


def test_the_card_shows_one_timeline_of_what_the_reader_may_see(app, world):
    c = world.conversation(sender="+14155550211")
    hidden = world.conversation("Secret pills", sender="+14155550211", inbox=world.pharmacy)
    with transaction():
        for n in range(3):
            body = Message(account_id=c.account_id, conversation_id=c.id, inbox_id=c.inbox_id, kind="call", body="Missed call", state="received").save()
            at = clock.now() - timedelta(hours=n + 1)
            Call(account_id=c.account_id, inbox_id=c.inbox_id, conversation_id=c.id, message_id=body.id, number=c.address, direction="in", ref=f"r{n}", state="missed", started_at=at, ended_at=at).save()
    client = app.test_client().sign_in(world.maya)
    text = client.get(f"/contacts/{c.contact.public_id}").text
    assert text.count("Missed call") == 3 and "Hi, is the ear cream ready?" in text and "Secret pills" not in text
    assert "Secret pills" in app.test_client().sign_in(world.dana).get(f"/contacts/{c.contact.public_id}").text
    whole, _ = timeline(c.contact, world.dana)
    seen, cursor = [], ""
    while True:
        part, cursor = timeline(c.contact, world.dana, cursor, 2)
        seen += part
        if not cursor:
            break
    assert [e.key for e in seen] == [e.key for e in whole] and len(whole) == 5 and hidden.id in {e.conversation.id for e in whole}
    for bad in ("x", "1.2", "1.2.x", "9" * 30 + ".1.0"):
        assert client.get(f"/contacts/{c.contact.public_id}?after={bad}").status_code == 400


def test_a_new_contact_without_javascript(app, world):
    client = app.test_client().sign_in(world.maya)
    with transaction():
        pet, age = (ContactField.create(name, kind, by=world.dana) for name, kind in (("Pet", "text"), ("Age", "number")))
    page = client.get("/contacts/new").text
    assert f'name="field-{pet.public_id}"' in page and 'type="tel"' in page
    typed = {"phone": "(415) 555-0220", "first": "Bo", "last": "Diaz", "email": "bo@mail.example", "owner": world.theo.public_id, f"field-{pet.public_id}": "Rex"}
    bad = client.send("/contacts", **{**typed, f"field-{age.public_id}": "old"})
    assert bad.status_code == 422 and "is not a number" in bad.text and 'value="Rex"' in bad.text and 'value="old"' in bad.text
    for change, words in (({"phone": "12"}, "not a phone number"), ({"email": "x"}, "not an email address"), ({"owner": world.nina.public_id}, "Choose someone"), ({"first": "x" * 81}, "at most 80")):
        answer = client.send("/contacts", **{**typed, **change})
        assert answer.status_code == 422 and words in answer.text and 'value="Rex"' in answer.text, words
    assert db.session.query(Contact).filter_by(phone="+14155550220").count() == 0
    answer = client.send("/contacts", **{**typed, f"field-{age.public_id}": "1,204"})
    card = client.get(answer.headers["Location"]).text
    assert all(words in card for words in ("Bo Diaz", "bo@mail.example", "Theo Okafor", "Rex", "1204", "(415) 555-0220", "Local time"))
    assert "There is a contact with this number already." in client.send("/contacts", **typed).text
    assert client.send("/contacts", htmx=True, **{**typed, "phone": "(415) 555-0221"}).headers["HX-Redirect"].startswith("/contacts/")


def test_an_unknown_number_is_saved_as_a_contact(app, world):
    c = world.conversation(sender="+14155550222")
    client = app.test_client().sign_in(world.maya)
    assert "Save as contact" in client.get(f"/c/{c.public_id}").text and "Save as contact" in client.get(f"/contacts/{c.contact.public_id}").text
    assert client.send(f"/contacts/{c.contact.public_id}", first="Bo", last="", email="", owner="").status_code == 303
    text = client.get(f"/c/{c.public_id}").text
    assert "Save as contact" not in text and "Bo" in text


def test_fields_of_all_kinds_in_card_and_details(app, world):
    c = world.conversation(sender="+14155550223")
    with transaction():
        fields = {kind: ContactField.create(f"My {kind}", kind, ["Basic", "Full"], by=world.dana) for kind in ("text", "number", "date", "choice", "bool")}
    typed = {"text": "Rex <b>", "number": "7", "date": "2026-03-09", "choice": "Full", "bool": "Yes"}
    client = app.test_client().sign_in(world.maya)
    assert client.send(f"/contacts/{c.contact.public_id}", first="Bo", last="", email="", owner="", **{f"field-{fields[k].public_id}": v for k, v in typed.items()}).status_code == 303
    for url in (f"/contacts/{c.contact.public_id}", f"/c/{c.public_id}"):
        text = client.get(url).text
        assert all(words in text for words in ("My text", "Rex &lt;b&gt;", "Mar 9, 2026", "Full", "Yes")), url
    form = client.get(f"/contacts/{c.contact.public_id}/edit").text
    assert 'value="2026-03-09" type="date"' in form and "<option selected>Full" in form


def test_the_owner_is_changed_where_it_is_shown(app, world):
    contact = world.conversation(sender="+14155550224").contact
    url = f"/contacts/{contact.public_id}/owner"
    client = app.test_client().sign_in(world.maya)
    assert client.part(url).text.lstrip().startswith("<form") and "Owner of" in client.get(url).text
    answer = client.send(url, htmx=True, owner=world.theo.public_id)
    assert answer.status_code == 200 and "Theo Okafor" in answer.text and 'id="contact-owner"' in answer.text
    assert client.send(url, owner="").headers["Location"].endswith(contact.public_id)
    for bad in (world.nina.public_id, world.vera.public_id, "x"):
        answer = client.send(url, htmx=True, owner=bad)
        assert answer.status_code == 422 and 'id="owner-err"' in answer.text
    db.session.expire_all()
    assert contact.owner_id is None


@pytest.mark.parametrize("name", ["vera", "nina", "sven"])
def test_the_ladder_of_contacts(app, world, name):
    """A viewer sees no contacts, another account's are not there, a supervisor may do all of it."""
    contact = world.conversation(sender="+14155550225").contact
    with transaction():
        field = ContactField.create("Pet", by=world.dana)
    who = getattr(world, name)
    client = app.test_client().sign_in(who)
    gets = ["/contacts/new", f"/contacts/{contact.public_id}", f"/contacts/{contact.public_id}/owner", "/settings/contact-fields", f"/settings/contact-fields/{field.public_id}"]
    wanted = {"vera": [403] * 5, "nina": [200, 404, 404, 200, 404], "sven": [200] * 5}[name]
    assert [client.get(url).status_code for url in gets] == wanted
    posts = [("/contacts", {"phone": "x"}), (f"/contacts/{contact.public_id}/owner", {"owner": ""}), (f"/settings/contact-fields/{field.public_id}", {"name": "Pet", "kind": "text"}), (f"/settings/contact-fields/{field.public_id}/place", {"to": "up"}), (f"/settings/contact-fields/{field.public_id}/delete", {})]
    wanted = {"vera": [403] * 5, "nina": [422, 404, 404, 404, 404], "sven": [422, 303, 303, 303, 303]}[name]
    assert [client.send(url, **fields).status_code for url, fields in posts] == wanted


def test_contact_fields_in_the_settings(app, world):
    client = app.test_client().sign_in(world.dana)
    assert "No fields yet" in client.get("/settings/contact-fields").text
    assert client.send("/settings/contact-fields", name="Pet’s name", kind="text").status_code == 303
    assert client.send("/settings/contact-fields", name="Plan", kind="choice", choices="Basic\r\nFull\r\n").status_code == 303
    for typed, words in (({"name": "", "kind": "text"}, "Give the field a name."), ({"name": "PLAN", "kind": "text"}, "There is a field Plan already."), ({"name": "A", "kind": "choice", "choices": "one"}, "two to 50 choices"), ({"name": "A", "kind": "x"}, "Choose a kind")):
        answer = client.send("/settings/contact-fields", **typed)
        assert answer.status_code == 422 and words in answer.text
    text = client.get("/settings/contact-fields").text
    assert "{{contact.pet_s_name}}" in text and "Basic, Full" in text
    first, second = ContactField.of(world.harbor.id)
    moved = client.send(f"/settings/contact-fields/{second.public_id}/place", htmx=True, to="up")
    assert moved.status_code == 200 and moved.text.index("Plan") < moved.text.index("Pet’s name")
    answer = client.send(f"/settings/contact-fields/{first.public_id}", name="Plan", kind="text")
    assert answer.status_code == 422 and "There is a field Plan already." in answer.text
    assert client.send(f"/settings/contact-fields/{first.public_id}", name="Animal", kind="text").status_code == 303
    assert client.send(f"/settings/contact-fields/{second.public_id}/delete").status_code == 303
    db.session.expire_all()
    assert [f.name for f in ContactField.of(world.harbor.id)] == ["Animal"]
    assert "Animal" in client.get("/settings/audit").text


def test_who_is_of_one_team_alone_makes_no_contact_for_all(app, world):
    with transaction():
        world.theo.set_roles([("agent", world.team.id)], by=world.dana)
    client = app.test_client().sign_in(world.theo)
    answer = client.send("/contacts", phone="(415) 555-0230", first="", last="", email="", owner="")
    assert answer.status_code == 403 and db.session.query(Contact).filter_by(phone="+14155550230").count() == 0
