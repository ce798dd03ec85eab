"""SECURITY S20-S23, S30, S33, S60, S62: what is in an inbox one may not see shows nowhere - pages, fragments, counters, files, the socket, notifications, the audit log."""

from __future__ import annotations

import json
import re

import pytest
import simple_websocket
import sqlalchemy as sa

from inbox import media
from inbox.models import Attachment, Bundle, Conversation, Draft, Filter, Inbox, LoginSession, Member, Message, Notification, Role, db, transaction
from inbox.models.conversation import VIEWS
from inbox.permissions import Permission
from inbox.views import live
from inbox.views.access import PUBLIC
from tests.access.test_kinds import _picture
from tests.access.test_matrix import routes, samples
from tests.screens.test_live import Server, server  # noqa: F401 - a fixture

P = Permission
BODY = re.compile(r"CANARYBODY|canarybody", re.IGNORECASE)  # messages, notes, drafts, files, previews
CONTACT = re.compile(r"CANARYNAME|canarymail|\(?206\)? ?555.?0166|\+12065550166", re.IGNORECASE)
BOX = re.compile(r"CANARYBOX")
WHO = ["maya", "uma", "vera", "olga", "ada", "setup", "auditor", "nina"]
CONTACT_PAGES = ("/contacts", "/compose/contacts", "/settings/audit")


class Hidden:
    """A conversation in the pharmacy, where only Dana is, full of words that nobody else may read."""

    def __init__(self, app, world) -> None:
        with transaction():
            world.pharmacy.name = "CANARYBOX"
        self.found = world.conversation("CANARYBODY text", sender="+12065550166", inbox=world.pharmacy)
        world.reply(self.found, world.dana, "CANARYBODY reply")
        data = media.safe_image(_picture()).data
        with transaction():
            contact = self.found.contact
            contact.rename("CANARYNAME", "Person")
            contact.email = "canarymail@example.com"
            self.note = self.found.note("CANARYBODY note", by=world.dana)
            Draft.put(self.found, "CANARYBODY draft", by=world.dana)
            self.found.assign_to(world.dana, by=world.dana, expected=None)
            sha = media.store(app.config["MEDIA_ROOT"], data)
            self.file = Attachment(
                account_id=world.harbor.id, message_id=self.note.id, state="stored", filename="CANARYBODY.png", content_type="image/png", sha256=sha, size=len(data)
            ).save()
        world.text("CANARYBODY again", sender="+12065550166", inbox=world.pharmacy)
        self.inbox = world.pharmacy

    def ids(self) -> dict[str, str]:
        return {
            "conversation": self.found.public_id, "message": self.note.public_id, "attachment": self.file.public_id, "contact": self.found.contact.public_id,
            "inbox": self.inbox.public_id,
        }

    def state(self) -> list[object]:
        """The rows of the conversation, to see that nobody changed them."""
        db.session.rollback()
        tables = [(Conversation, Conversation.id == self.found.id), (Message, Message.conversation_id == self.found.id), (Draft, Draft.conversation_id == self.found.id)]
        return [tuple(row) for model, mine in tables for row in db.session.execute(sa.select(*model.__table__.columns).where(mine).order_by(model.id))]


@pytest.fixture
def hidden(app, world) -> Hidden:
    return Hidden(app, world)


def person(world, name: str) -> Member:
    """One of the cast, or somebody with the role Inbox Setup, or one who only reads the audit log."""
    if name not in ("setup", "auditor"):
        return getattr(world, name)
    role = "inbox-setup"
    if name == "auditor":
        with transaction():
            role = Role.create(world.harbor, name="Auditor", permissions={P.AUDIT_EXPORT}, by=world.dana).public_id
    with transaction():
        who = Member.join(world.harbor, email=f"{name}@harbor.example", name=f"{name.title()} Person", password="correct horse battery")
        who.give_role(role, by=world.dana)
    return who


def looked_at(who: Member, url: str, text: str) -> list[str]:
    """What this member reads there and may not."""
    found = [m.group() for m in BODY.finditer(text)]
    knows_contacts = P.CONTACTS_VIEW in who.permissions and url.startswith(CONTACT_PAGES)
    if not knows_contacts:
        found += [m.group() for m in CONTACT.finditer(text)]
    if not who.permissions & {P.INBOXES_MANAGE, P.AUDIT_VIEW}:
        found += [m.group() for m in BOX.finditer(text)]
    return [f"{url}: {word}" for word in found]


@pytest.mark.one_database
@pytest.mark.parametrize("name", WHO)
def test_S20_nothing_of_a_hidden_inbox_is_on_any_page(app, world, hidden, name):
    """Every page, whole and as a fragment, with every filter, with one's own ids and with guessed ones."""
    who = person(world, name)
    sample = samples(world)
    client = app.test_client().sign_in(who)
    own = {key: value[1 if name == "nina" else 0] for key, value in sample.items()}
    queries = ["", f"?assignee={world.dana.public_id}", "?read=unread", "?reply=1", "?mine=1", "?q=NARYNAM", "?q=5550166", "?to=NARYNAM", "?to=5550166", "?what=everything"]
    wrong = []
    for rule, method in routes(app):
        if method != "GET" or rule.endpoint == "live.socket" or set(rule.arguments) - set(own):
            continue
        permission = app.view_functions[rule.endpoint].permission
        if permission == PUBLIC or (permission in tuple(P) and not who.can(permission)):
            continue  # the gate has its own walk
        lists = rule.endpoint in ("conversations.index", "conversations.sync_list", "contacts.index", "search.index", "compose.contacts", "audit.index", "members.index")
        for ids in (own, {**own, **hidden.ids()}):
            url = app.url_map.bind("localhost").build(rule.endpoint, {a: ids[a] for a in rule.arguments})
            for query in queries if lists and ids is own else [""]:
                for answer in (client.get(url + query), client.part(url + query)):
                    assert answer.status_code < 500, url + query
                    wrong += looked_at(who, url, answer.text)
    for view in VIEWS:
        url = f"/i/{world.front.public_id}/{view}"
        wrong += looked_at(who, url, client.get(url).text) + looked_at(who, url, client.part(url).text)
    assert not wrong, wrong[:10]


@pytest.mark.parametrize("name", ["maya", "ada", "nina"])
def test_S21_guessed_ids_in_addresses_and_bodies_change_nothing_and_tell_nothing(app, world, hidden, name):
    """S21, S22, S23, S30: every post with the hidden conversation's ids in its address, and every post of one's own with them in every field."""
    who = person(world, name)
    sample = samples(world)
    before = hidden.state()
    client = app.test_client().sign_in(who)
    own = {key: value[1 if name == "nina" else 0] for key, value in sample.items()}
    rowed = {"conversation", "message", "attachment"}
    foreign = world.nina if name != "nina" else world.maya
    fields = {
        **dict.fromkeys(("inbox", "inboxes", "inbox_id"), hidden.inbox.public_id), **dict.fromkeys(("conversation", "conversation_id"), hidden.found.public_id),
        **dict.fromkeys(("message", "message_id", "from_message", "attachment", "attachments", "attachment_id"), hidden.note.public_id),
        **dict.fromkeys(("to", "expected", "owner", "assignee", "member", "successor", "people", "author_id", "person"), foreign.public_id),
        **dict.fromkeys(("contact", "contact_id"), hidden.found.contact.public_id), "body": "hello", "note": "hello", "account_id": "1", "account": "1",
    }
    for rule, method in routes(app):
        permission = app.view_functions[rule.endpoint].permission
        if method != "POST" or permission == PUBLIC or set(rule.arguments) - set(own) or rule.endpoint.startswith(("sessions.", "security.", "profile.", "endings.", "ownership.")):
            continue
        if rowed & set(rule.arguments):
            url = app.url_map.bind("localhost").build(rule.endpoint, {a: {**own, **hidden.ids()}[a] for a in rule.arguments})
            answer = client.send(url, **fields)
            assert answer.status_code in (403, 404), f"{url}: {answer.status_code}"
            assert not BODY.search(answer.text)
        url = app.url_map.bind("localhost").build(rule.endpoint, {a: own[a] for a in rule.arguments})
        answer = client.send(url, **fields)
        assert answer.status_code < 500, url
        assert not BODY.search(answer.text), url
    assert hidden.state() == before
    db.session.expire_all()
    people = {m.id for m in db.session.scalars(sa.select(Member).where(Member.account_id == foreign.account_id))}
    mine = db.session.scalars(sa.select(Conversation).where(Conversation.account_id == who.account_id))
    assert not any(c.assignee_id in people or c.contact.owner_id in people for c in mine), "somebody of another account was given something"


@pytest.mark.parametrize("name", ["dana", "ada", "maya", "sven", "vera", "olga", "nina"])
def test_S33_counters_equal_a_recount_over_what_is_visible(world, hidden, name):
    for n in range(5):
        c = world.conversation(f"text {n}", sender=f"+1415555770{n}", inbox=world.front if n % 2 else world.pharmacy)
        with transaction():
            if n in (1, 2):
                c.assign_to(world.maya if n == 1 else world.dana, by=world.dana, expected=None)
            if n == 3:
                c.archive(by=world.dana)
            if n == 1:
                c.mark_read(by=world.dana)
    who = getattr(world, name)
    visible = list(db.session.scalars(Conversation.scope(who)))
    inboxes = Inbox.visible_to(who)
    counted = Conversation.counts(who, inboxes)
    assert {c.inbox_id for c in visible} <= {i.id for i in inboxes}
    for inbox in inboxes:
        here = [c for c in visible if c.inbox_id == inbox.id and not c.archived]
        mine, free = [c for c in here if c.assignee_id == who.id], [c for c in here if c.assignee_id is None]
        others = [c for c in here if c.assignee_id not in (None, who.id)]
        assert counted[inbox.id] == {"mine": sum(c.unread for c in mine), "unassigned": sum(c.unread for c in free), "others": len(others)}
        for view, rows in {"mine": mine, "unassigned": free, "others": others, "all": here}.items():
            assert {r.id for r in Conversation.listing(who, inbox, Filter(view=view))} == {c.id for c in rows}


@pytest.mark.one_database
@pytest.mark.parametrize("name", ["ada", "auditor"])
def test_S20_the_audit_log_and_its_file_name_no_hidden_conversation(app, world, hidden, name):
    who = person(world, name)
    client = app.test_client().sign_in(who)
    page = client.get("/settings/audit?what=everything").text
    file = client.send("/settings/audit.csv", what="everything")
    assert file.status_code == 200 and "onversation" in file.text
    for text in (page, file.text):
        assert not BODY.search(text) and "conversation with CANARYNAME" not in text
        if name == "auditor":
            assert not CONTACT.search(text)


def test_S20_only_who_may_see_it_is_told(world, hidden, bell):
    world.text("CANARYBODY once more", sender="+12065550166", inbox=world.pharmacy)
    bell.work()
    told = set(db.session.scalars(sa.select(Notification.member_id).where(Notification.conversation_id == hidden.found.id)))
    assert told and told <= {world.dana.id, world.sven.id}
    with transaction():
        world.sven.change_role("agent", by=world.dana)  # no longer sees every inbox
        db.session.execute(sa.update(Notification).values(due_at=sa.literal_column("created_at")))
    with transaction():
        bundle = Bundle.take(world.sven.id, "mail")
    assert bundle is None or "CANARY" not in repr(bundle.__dict__)
    left = db.session.scalars(sa.select(Notification.state).where(Notification.member_id == world.sven.id, Notification.conversation_id == hidden.found.id, Notification.way == "mail"))
    assert "waiting" not in list(left)


# -- the socket -------------------------------------------------------------------------------------------------------


@pytest.mark.one_database
@pytest.mark.parametrize("name", ["maya", "vera", "ada", "nina"])
def test_S60_no_wish_opens_a_hidden_inbox(world, hidden, server: Server, bell, name):  # noqa: F811
    own = world.conversation(sender="+14155550188")
    both = f"{own.public_id},{hidden.found.public_id}"
    wishes = ["%", "_", "*", "", "../", f"../{hidden.found.public_id}", both, f"{hidden.found.public_id} ", hidden.found.public_id.upper(), str(hidden.found.id), hidden.found.public_id]
    page = server.page(getattr(world, name))
    for wish in wishes:
        bell.facts.clear()
        page.ws.send(json.dumps({"show": {"inbox": wish if wish != both else f"{world.front.public_id},{hidden.inbox.public_id}", "view": "all", "conversation": wish}}))
        page.until('"shown"' if not wish else "can’t open")
        page.ws.send(json.dumps({"show": {"inbox": hidden.inbox.public_id, "view": "all", "conversation": wish}}))
        page.until('"shown"')
        page.quiet(0.1)
        world.text("CANARYBODY live", sender="+12065550166", inbox=world.pharmacy)
        with transaction():
            hidden.found.acquire(by=world.dana)
            hidden.found.release(by=world.dana)
        server.tell(bell)
        for frame in page.quiet(0.25):
            assert not BODY.search(frame) and not CONTACT.search(frame), (wish, frame)
            assert f"row-{hidden.found.id}" not in frame and hidden.found.public_id not in frame and "locks" not in frame, (wish, frame)
            assert name != "nina" or "can’t open" in frame, f"another account's page was told something: {frame}"  # the answer to her own wish may come late


def _lose(world, what: str) -> None:
    with transaction():
        theo = db.session.get_one(Member, world.theo.id)
        if what == "session":
            for row in LoginSession.living(theo):
                row.revoke()
        elif what == "role":
            theo.change_role("analytics", by=world.dana)
        elif what == "inbox":
            world.front.remove_member(theo, by=world.dana)
        elif what == "seat":
            world.harbor.unseat(theo, by=world.dana)
        elif what == "custom role":
            row = db.session.query(Role).filter_by(name="Desk").one()
            row.change({P.MEMBERS_VIEW}, by=world.dana, version=row.version)
        else:
            theo.deactivate(by=world.dana)


@pytest.mark.one_database
@pytest.mark.parametrize("what", ["session", "role", "custom role", "inbox", "seat", "deactivated"])
def test_S62_an_open_page_loses_what_is_taken_within_a_second(world, server: Server, bell, what):  # noqa: F811
    c = world.conversation()
    if what == "custom role":
        with transaction():
            role = Role.create(world.harbor, name="Desk", permissions={P.MESSAGE}, by=world.dana)
            world.theo.change_role(role.public_id, by=world.dana)
    page = server.page(world.theo)
    page.show(inbox=world.front.public_id, view="all", conversation=c.public_id, state="free", now=2**52)
    page.quiet(0.2)
    bell.facts.clear()
    _lose(world, what)
    server.tell(bell)
    closed, heard = False, []
    try:
        heard += page.quiet(0.9)
        world.text("CANARYBODY after it was taken")
        server.tell(bell)
        heard += page.quiet(0.6)
    except simple_websocket.ConnectionClosed as end:
        closed = end.reason == live.SIGNED_OUT
    text = "".join(heard)
    if what == "seat":
        assert "no seat" in text and "CANARYBODY" in text, "looking goes on, answering does not"
        return
    assert "CANARYBODY" not in text
    assert closed == (what in ("session", "deactivated"))
    if not closed:
        assert "can’t open" in text
