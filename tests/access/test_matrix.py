"""PERM-7: every route declares its permission, and every route answers every kind of member as the permission table says."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.extensions import db
from inbox.models import (
    Attachment,
    Bulk,
    Contact,
    ContactField,
    ContactImport,
    Draft,
    Filter,
    InboxDraft,
    Invitation,
    Merging,
    Passkey,
    Payment,
    Registration,
    Replay,
    Role,
    SavedView,
    ScheduledMessage,
    Tag,
    Template,
    transaction,
)
from inbox.models.base import Model
from inbox.models.bulk_change import Order
from inbox.models.wording import Wording
from inbox.permissions import SEATED, Permission
from inbox.views.access import PUBLIC, SIGNED_IN

NO_VIEW = {"static", "live.live"}  # files with a public address; the socket is walked in tests/live
METHODS = {"HEAD", "OPTIONS"}
CANARY = b"CANARY"


def routes(app):
    return [(r, m) for r in app.url_map.iter_rules() for m in sorted((r.methods or set()) - METHODS) if r.endpoint not in NO_VIEW]


def samples(world):
    """One row of each account for every variable of every URL: name -> (ours, theirs)."""
    with transaction():
        ours = world.conversation()
        theirs = world.conversation("CANARY text", sender="+12065550134", inbox=world.reception)
        theirs.contact.rename("CANARY", "Person")
        Draft.put(theirs, "CANARY draft", by=world.nina)
        messages = [world.reply(c, who) for c, who in ((ours, world.maya), (theirs, world.nina))]
        attachments = [
            Attachment(account_id=m.account_id, message_id=m.id, state="refused", filename="CANARY.png" if i else "a.png").save() for i, m in enumerate(messages)
        ]
        held = [Attachment(account_id=m.account_id, message_id=m.id, state="held", problem="CANARY" if i else "a program").save() for i, m in enumerate(messages)]
        invitations = [Invitation.send(a, f"{n}-CANARY@example.com", by=by) for a, by, n in ((world.harbor, world.dana, "o"), (world.north, world.nina, "t"))]
        registrations = [world.waiting_registration, db.session.scalars(sa.select(Registration).where(Registration.account_id == world.north.id)).one()]
        imports = [
            ContactImport.upload(name, b"Mobile,First name\n+14155550134,Rosa\n", by=who)
            for who, name in ((world.dana, "ours.csv"), (world.nina, "CANARY.csv"))
        ]
        payments = [Payment.start(who.account, 5_000_000, note=note, nonce="n", by=who) for who, note in ((world.dana, "ours"), (world.nina, "CANARY"))]
        roles = [Role.create(who.account, name=name, permissions={Permission.CONVERSATIONS_VIEW}, by=who) for who, name in ((world.dana, "Ours"), (world.nina, "CANARY role"))]
        for who in world.people:
            InboxDraft.start(who)
        saved = [SavedView.keep(box, Filter(needs_reply=True), name, by=who) for who, box, name in ((world.dana, world.front, "Ours"), (world.nina, world.reception, "CANARY view"))]
        passkeys = [Passkey.add(who, credential=f"CANARY-{who.id}", public_key=b"x", sign_count=0, name="CANARY key")[0] for who in (world.dana, world.nina)]
        replays = [Replay(account_id=w.account_id, carrier_id=c.id, member_id=w.id, since=w.created_at, until=w.created_at, state="checked").save() for w, c in ((world.dana, world.carrier), (world.nina, world.north_carrier))]
        templates = [Template.create(Wording(name, name.lower(), f"{name} text"), by=who, shared=True) for who, name in ((world.dana, "Ours"), (world.nina, "CANARY"))]
        tags = [Tag.create(name, by=who) for who, name in ((world.dana, "Ours"), (world.nina, "CANARY tag"))]
        later = [ScheduledMessage.schedule(c, f"{who.name} later CANARY" if who is world.nina else "later", by=who, at=clock.now() + timedelta(days=2), seen=c.last_inbound_id) for who, c in ((world.dana, ours), (world.nina, theirs))]
        fields = [ContactField.create(name, by=who) for name, who in (("Ours", world.dana), ("CANARY field", world.nina))]
        merges = [Merging(account_id=w.account_id, conversation_id=c.id, by_id=w.id, undone_at=clock.now()).save() for w, c in ((world.dana, ours), (world.nina, theirs))]
        alike = Contact.at(world.harbor.id, "+14155550177")
        bulks = [Bulk.start(Order("read"), by=who, chosen=[c.public_id]) for who, c in ((world.dana, ours), (world.nina, theirs))]
    pair = lambda a, b: (a.public_id, b.public_id)  # noqa: E731
    return {
        "conversation": pair(ours, theirs), "inbox": pair(world.front, world.reception), "message": pair(*messages), "attachment": pair(*attachments), "held": pair(*held),
        "contact": pair(ours.contact, theirs.contact), "member": pair(world.theo, world.nina), "person": pair(world.theo, world.nina), "invitation": pair(*invitations),
        "registration": pair(*registrations), "import_": pair(*imports), "run": pair(*imports), "found": pair(*imports), "contact_import": pair(*imports), "view": ("all", "all"), "step": ("details", "details"), "picture": ("x", "x"), "token": ("x" * 43, "x" * 43),
        "role": pair(*roles), "saved": pair(*saved), "template": pair(*templates), "carrier": pair(world.carrier, world.north_carrier), "passkey": pair(*passkeys), "payment": pair(*payments), "tag": pair(*tags), "field": pair(*fields), "scheduled": pair(*later), "bulk": pair(*bulks), "merging": pair(*merges), "other": pair(alike, theirs.contact), "replay": pair(*replays), "account": pair(world.harbor, world.north), "kind": ("messages", "messages"), "session": (1, 10**6), "row_id": (10**6, 10**6), "version": ("0", "0"), "path": ("x", "x"), "sig": ("x", "x"), "ref": ("x", "x"), "number": (1, 1),
    }


def address(app, rule, sample, side):
    missing = set(rule.arguments) - set(sample)
    assert not missing, f"{rule.endpoint}: no sample rows for {missing}"
    adapter = app.url_map.bind("localhost")
    return adapter.build(rule.endpoint, {a: sample[a][side] for a in rule.arguments}, method=None)


def call(client, url, method, **headers):
    data = {"csrf_token": client.csrf()} if method == "POST" else None
    return client.open(url, method=method, data=data, headers=headers)


def test_PERM_7_every_route_declares_a_permission(app):
    for rule in app.url_map.iter_rules():
        if rule.endpoint == "static":
            continue
        declared = getattr(app.view_functions[rule.endpoint], "permission", None)
        assert declared in (PUBLIC, SIGNED_IN) or isinstance(declared, Permission), f"{rule.endpoint} declares {declared!r}"


@pytest.mark.parametrize("who", ["dana", "ada", "maya", "sven", "uma", "vera", "olga"])
def test_PERM_7_every_route_as_every_kind_of_member(app, world, who):
    sample = samples(world)
    member = getattr(world, who)
    client = app.test_client().sign_in(member)
    for rule, method in routes(app):
        permission = app.view_functions[rule.endpoint].permission
        if permission in (PUBLIC, SIGNED_IN) or rule.endpoint == "sessions.destroy":
            continue
        answer = call(client, address(app, rule, sample, 0), method)
        where = f"{who} {method} {rule.rule}: {answer.status_code}"
        assert answer.status_code < 500, where
        if permission not in member.permissions or (permission in SEATED and not member.seated):
            assert answer.status_code == 403, where
        else:
            assert answer.status_code != 401, where
        assert CANARY not in answer.data.replace(b"o-canary", b"").replace(b"CANARY.csv", b"").replace(b"CANARY.png", b""), where


@pytest.mark.parametrize("who", ["dana", "maya"])
def test_ACC_1_other_accounts_rows_do_not_exist(app, world, who):
    sample = samples(world)
    client = app.test_client().sign_in(getattr(world, who))
    ids = {"field", "scheduled", "saved", "bulk", "tag", "template", "replay", "payment", "conversation", "inbox", "message", "attachment", "held", "contact", "member", "person", "invitation", "registration", "import_", "run", "found", "contact_import", "role", "carrier", "passkey"}
    for rule, method in routes(app):
        permission = app.view_functions[rule.endpoint].permission
        if not ids & set(rule.arguments) or permission == PUBLIC:
            continue
        answer = call(client, address(app, rule, sample, 1), method)
        assert answer.status_code in (403, 404), f"{who} {method} {rule.rule}: {answer.status_code}"
        assert CANARY not in answer.data, f"{method} {rule.rule}"


def test_PERM_7_signed_out_reaches_nothing(app, world):
    sample = samples(world)
    client = app.test_client()
    for rule, method in routes(app):
        if app.view_functions[rule.endpoint].permission == PUBLIC:
            continue
        answer = call(client, address(app, rule, sample, 0), method)
        assert answer.status_code == 303 and "/sign-in" in answer.location, f"{method} {rule.rule}: {answer.status_code}"
        partial = call(client, address(app, rule, sample, 0), method, **{"HX-Request": "true"})
        assert partial.status_code == 401 and "/sign-in" in partial.headers["HX-Redirect"]


def test_S57_every_post_needs_the_token(app, world):
    sample = samples(world)
    client = app.test_client().sign_in(world.dana)
    for rule, method in routes(app):
        if method == "GET" or rule.rule.startswith("/hooks/"):
            continue
        answer = client.open(address(app, rule, sample, 0), method=method, data={"csrf_token": "nonsense"})
        assert answer.status_code in (419, 404), f"{method} {rule.rule}: {answer.status_code}"


def snapshot():
    """A hash of every row of every table, but for what merely notes presence."""
    db.session.rollback()
    digest = hashlib.sha256()
    for table in Model.metadata.sorted_tables:
        columns = [c for c in table.columns if c.name not in ("seen_at", "last_seen_at")]
        for row in db.session.execute(sa.select(*columns).order_by(*table.primary_key.columns)):
            digest.update(repr(row).encode())
    db.session.rollback()
    return digest.hexdigest()


@pytest.mark.parametrize("who", ["dana", "maya", "vera"])
def test_S58_a_get_changes_nothing(app, world, who):
    sample = samples(world)
    client = app.test_client().sign_in(getattr(world, who))
    before = snapshot()
    for rule, method in routes(app):
        if method == "GET":
            client.get(address(app, rule, sample, 0))
            client.part(address(app, rule, sample, 0))
    assert snapshot() == before


@pytest.mark.one_database
def test_S07_the_same_policy_on_every_answer(app, world):
    sample = samples(world)
    client = app.test_client().sign_in(world.dana)
    policies = set()
    for rule, method in routes(app):
        for headers in ({}, {"HX-Request": "true"}):
            answer = client.open(address(app, rule, sample, 0), method=method, headers=headers)
            if "sandbox" not in answer.headers["Content-Security-Policy"]:
                policies.add(answer.headers["Content-Security-Policy"])
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert "no-store" in answer.headers["Cache-Control"] or "private" in answer.headers["Cache-Control"], rule.rule
    assert client.get("/nowhere").headers["Content-Security-Policy"] in policies
    assert len(policies) == 1


@pytest.mark.one_database
@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "evil.example:80"])
def test_S45_other_host_names_are_refused(app, world, host):
    assert app.test_client().get("/sign-in", headers={"Host": host}).status_code == 400
