"""TOOL-6: who may not see numbers and addresses of customers finds them nowhere - pages, fragments, files, pushes, mails - and nothing changes for everybody else."""

from __future__ import annotations

import logging
import re

import pytest
import sqlalchemy as sa

from inbox import clock, logs, mailers
from inbox.models import Bundle, Call, Contact, ContactField, ContactImport, Draft, Event, Member, Message, Role, db, transaction
from inbox.models.conversation import VIEWS
from inbox.models.cover import Cover
from inbox.permissions import DEFAULT_ROLES, OWNERS_ONLY, Permission
from inbox.views.access import PUBLIC
from tests.access.test_matrix import routes, samples
from tests.screens.test_live import Server, server  # noqa: F401 - a fixture

P = Permission
NUMBER, MAIL = "+12065550177", "canary.mail@secret-place.example"
LEAK = re.compile(r"(?:\+|%2B)?1?[\s(.-]*206[\s).-]*555[\s.-]*01?7?7?\d|canary\.?mail|secret-place", re.IGNORECASE)
LISTS = {
    "contacts.index": ["?q=Rosa", "?q=canary", "?q=0177", "?owner=me", "?consent=none"], "search.index": ["?q=Rosa", "?q=canary", "?q=0177", "?q=from:Rosa"],
    "compose.contacts": ["?to=Rosa", "?to=canary", "?to=0177"], "audit.index": ["", "?what=everything"], "print.show": ["?notes=1"],
    "imports.show": ["?effect=create", "?effect=invalid"],
}


@pytest.fixture
def told(app, world):
    """A customer whose number and address stand wherever they can: names, texts, notes, fields, calls, events, an import."""
    c = world.conversation(f"Call me at (206) 555-0177 or {MAIL}", sender=NUMBER)
    unnamed = world.conversation("Hello 206.555.0178", sender="+12065550178")
    world.reply(c, world.dana, f"Is +1 206 555 0177 right? And {MAIL}?")
    with transaction():
        contact = c.contact
        ContactField.learn(world.harbor.id, ["Second mail"])
        contact.edit(by=world.dana, first="Rosa", last="Delgado", email=MAIL, owner=world.maya, fields={"Second mail": f"x.{MAIL}"})
        note = c.note(f"Their number is 12065550177, mail {MAIL}", by=world.dana)
        Draft.put(c, f"I write to {MAIL}", by=world.dana)
        c.assign_to(world.maya, by=world.dana, expected=None)
        Event.record("call.forwarded", account=world.harbor, conversation=c, to=NUMBER)
        found = ContactImport.upload("people.csv", f"Mobile,First name,Email\n{NUMBER},Rosa,{MAIL}\n(206) 555-017,Bo,{MAIL}\n".encode(), by=world.dana)
        found.start_check(["phone", "first_name", "email"], header=True, clear=False, by=world.dana)
        message = Message(account_id=world.harbor.id, conversation_id=c.id, inbox_id=c.inbox_id, kind="call", body="Missed call", state="received", created_at=clock.now()).save()
        Call(account_id=world.harbor.id, inbox_id=c.inbox_id, conversation_id=c.id, message_id=message.id, number=NUMBER, direction="in", ref="r", state="missed", ended_at=clock.now()).save()
    return {"conversation": c, "unnamed": unnamed, "contact": contact, "note": note, "import": found}


def masked(world, *, without=frozenset({P.CONTACTS_PII})) -> Member:
    """Somebody with a seat, in the inbox, who may do everything but see numbers and addresses."""
    with transaction():
        role = Role.create(world.harbor, name="Careful", permissions=frozenset(P) - OWNERS_ONLY - without, by=world.dana)
        who = Member.join(world.harbor, email="carla@harbor.example", name="Carla Careful", password="correct horse battery")
        who.give_role(role.public_id, by=world.dana)
        db.session.refresh(who)
        world.harbor.seat(who, by=world.dana)
        world.front.add_member(who, by=world.dana)
    who.forget_rights()
    return who


def walk(app, world, who, told, bell):
    """Every address a GET can have, whole and as a fragment: (address, text)."""
    bell.work()
    sample = samples(world)
    client = app.test_client().sign_in(who)
    own = {key: value[0] for key, value in sample.items()}
    c = told["conversation"]
    special = {"conversation": c.public_id, "contact": c.contact.public_id, "message": told["note"].public_id, "found": told["import"].public_id, "person": world.maya.public_id, "member": world.maya.public_id}
    for rule, method in routes(app):
        if method != "GET" or rule.endpoint == "live.socket" or set(rule.arguments) - set(own) or app.view_functions[rule.endpoint].permission == PUBLIC:
            continue
        for ids in (special, {**special, "conversation": told["unnamed"].public_id, "contact": told["unnamed"].contact.public_id})[: 2 if {"conversation", "contact"} & set(rule.arguments) else 1]:
            url = app.url_map.bind("localhost").build(rule.endpoint, {a: {**own, **ids}[a] for a in rule.arguments})
            for query in LISTS.get(rule.endpoint, [""]):
                for answer in (client.get(url + query), client.part(url + query)):
                    assert answer.status_code < 500, url + query
                    yield url + query, answer.text
    for view in VIEWS:
        url = f"/i/{world.front.public_id}/{view}"
        yield url, client.get(url).text
        yield url, client.part(url).text


def own_words(url: str, text: str) -> str:
    """The page without what its reader typed into the address."""
    return text.replace("q=canary", "").replace('value="canary"', "").replace("“canary”", "").replace("canary – Search", "").replace("&#34;canary&#34;", "") if "=canary" in url else text


@pytest.mark.one_database
def test_TOOL_6_numbers_and_addresses_are_nowhere_for_who_may_not_see_them(app, world, told, bell):
    who = masked(world)
    wrong = []
    for url, text in walk(app, world, who, told, bell):
        wrong += [f"{url}: …{text[max(0, m.start() - 60):m.end() + 20]!r}" for m in LEAK.finditer(own_words(url, text))]
    assert not wrong, (len(wrong), wrong[:8])


@pytest.mark.one_database
def test_TOOL_6_nothing_changes_for_the_default_roles(app, world, told):
    assert all(P.CONTACTS_PII in held for _, held in DEFAULT_ROLES.values())
    c = told["conversation"]
    for who in (world.dana, world.ada, world.maya, world.vera):
        assert who.sees_personal and Cover.over(who) is None
        text = app.test_client().sign_in(who).get(f"/c/{c.public_id}").text
        assert "(206) 555-0177" in text and MAIL in text


def test_TOOL_6_what_is_shown_instead(app, world, told):
    who = masked(world)
    client = app.test_client().sign_in(who)
    c, unnamed = told["conversation"], told["unnamed"]
    text = client.get(f"/c/{c.public_id}").text
    assert "Rosa Delgado" in text and "(206) •••-••77" in text and "c•••@•••.example" in text
    assert "(206) •••-••78" in client.get(f"/contacts/{unnamed.contact.public_id}").text
    assert "(415) 555-0100" in client.get(f"/c/{c.public_id}/print").text, "the inbox's own number is no secret"
    assert "maya@harbor.example" in client.get("/settings/members").text, "nor is a colleague's address"
    form = client.get(f"/contacts/{c.contact.public_id}/edit").text
    assert 'name="email"' not in form and 'value="Rosa"' in form
    assert client.send(f"/contacts/{c.contact.public_id}", first="Rosa", last="Lee", owner=world.maya.public_id).status_code == 303
    db.session.expire_all()
    assert (c.contact.name, c.contact.email) == ("Rosa Lee", MAIL), "saving does not lose what is hidden"


def test_TOOL_6_nobody_is_found_by_what_is_hidden(app, world, told):
    client = app.test_client().sign_in(masked(world))
    for words in ("2065550177", "(206) 555-0177", "0177", "canary.mail", "secret-place", MAIL, "5550178"):
        for url in ("/contacts", "/search"):
            text = client.get(url, query_string={"q": words}).text
            assert "Rosa" not in text and not any(row.public_id in text for row in (told["contact"], told["conversation"], told["unnamed"], told["unnamed"].contact)), (url, words)
        assert "Rosa" not in client.part(f"/compose/contacts?to={words.replace('+', '%2B')}").text, words
    for url in ("/contacts?q=rosa+del", "/search?q=rosa", "/compose/contacts?to=rosa"):
        assert "Rosa Delgado" in client.part(url).text, url
    dana = app.test_client().sign_in(world.dana)
    for words in ("2065550177", "(206) 555-0177", "+1 206-555-0177", "0177", "canary", MAIL, "rosa", "DELGADO"):
        assert "Rosa Delgado" in dana.part("/contacts?" + "q=" + words.replace("+", "%2B").replace(" ", "+")).text, words


def test_TOOL_6_writing_to_somebody_needs_no_number(app, world, told, bell):
    client = app.test_client().sign_in(masked(world))
    to = f"contact:{told['contact'].public_id}"
    page = client.get(f"/compose?to={to}").text
    assert "Rosa Delgado" in page and "(206) •••-••77" in page and not LEAK.search(page)
    with transaction():
        told["conversation"].archive(by=world.dana)
    answer = client.send("/compose", inbox=world.front.public_id, to=to, body="Your order is here", nonce="n1")
    assert answer.status_code == 303, answer.text[-500:]
    db.session.expire_all()
    last = db.session.scalars(sa.select(Message).order_by(Message.id.desc())).first()
    assert last.body.startswith("Your order is here") and last.conversation.address == NUMBER
    assert client.send("/compose", inbox=world.front.public_id, to="contact:nobody", body="x", nonce="n2").status_code == 422


@pytest.mark.one_database
def test_TOOL_6_the_socket_tells_nothing_hidden(app, world, told, server: Server, bell):  # noqa: F811
    who, c = masked(world), told["conversation"]
    page = server.page(who)
    page.show(inbox=world.front.public_id, view="all", conversation=c.public_id, state="free", now=1)
    bell.facts.clear()
    world.text(f"New: 206-555-0177, {MAIL}", sender=NUMBER)
    world.text("New: 206-555-0178", sender="+12065550178")
    with transaction():
        c.note(f"See {MAIL}", by=world.dana)
        c.acquire(by=world.dana)
    server.tell(bell)
    heard = [*page.told, *page.quiet(1.5)]
    assert any("New:" in frame for frame in heard) and any("•••" in frame for frame in heard)
    assert not [m.group() for frame in heard for m in LEAK.finditer(frame)]


@pytest.mark.parametrize("way", ["mail", "push"])
def test_TOOL_6_mails_and_browser_notifications(app, world, told, bell, way):
    who, c = masked(world), told["conversation"]
    from inbox.models.bundle import Line

    with transaction():
        lines = [Line(c, texts=1, preview=f"Call (206) 555-0177 or {MAIL}"), Line(told["unnamed"], texts=2)]
        wishes = type("W", (), {"previews": True})()
        bundle = Bundle("claim", who, way, wishes, lines)  # type: ignore[arg-type]
        with app.test_request_context():
            said = [str(vars(mailers.notification(bundle)))] if way == "mail" else [str(mailers.push(bundle, line)) for line in lines]
            bundle.lines = lines[1:]
            said += [str(vars(mailers.notification(bundle)))] if way == "mail" else []
    assert "•••" in " ".join(said) and not [m.group() for text in said for m in LEAK.finditer(text)]


def test_TOOL_6_a_role_of_one_team_does_not_uncover_another(world):
    """Seen only by who may see them wherever they read customers: what one team may know is not what the other shows."""
    with transaction():
        role = Role.create(world.harbor, name="Reads", permissions={P.CONVERSATIONS_VIEW, P.CONTACTS_VIEW}, by=world.dana)
        world.olga.set_roles([("agent", world.team.id), (role.public_id, world.waiting.team_id)], by=world.dana)
    db.session.refresh(world.olga)
    world.olga.forget_rights()
    assert not world.olga.sees_personal
    with transaction():
        world.olga.set_roles([("agent", world.team.id)], by=world.dana)
    world.olga.forget_rights()
    assert world.olga.sees_personal


@pytest.mark.one_database
def test_TOOL_6_logs_hold_no_numbers_and_addresses(app, caplog):
    logs.keep_personal_data_out()
    log = logging.getLogger("inbox.try")
    with caplog.at_level(logging.INFO):
        log.info("text to %s from %s, 12 of 345678", NUMBER, MAIL)
        log.info("GET /compose?to=%2B12065550177 200")
        try:
            raise ValueError(f"no such number {NUMBER}")
        except ValueError:
            log.exception("failed")
    text = caplog.text + "".join(record.exc_text or "" for record in caplog.records)
    assert not LEAK.search(text), text
    assert "(206) •••-••77" in text and "345678" in text and "failed" in text


def test_TOOL_6_a_masked_member_cannot_ask_whose_number_it_is(app, world, told):
    client = app.test_client().sign_in(masked(world))
    answer = client.send("/contacts", phone=NUMBER, first="X", last="", email="", owner="")
    assert answer.status_code == 422 and "There is a contact with this number already." in answer.text and "Rosa" not in answer.text
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Contact).where(Contact.phone == NUMBER)) == 1
