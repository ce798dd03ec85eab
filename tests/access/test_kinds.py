"""PERM-6, PERM-7: every route as every kind of member there can be, compared with the table that the roles page shows.

`expected` is worked out here, from `Role.sheets`, `ENTRIES`, the seat and the rows of membership alone; it never asks `Member.can`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask import g
from flask.testing import FlaskClient

from inbox import clock, media
from inbox.models import Attachment, Grant, InboxMember, LoginSession, Member, Message, Refused, Role, Team, db, transaction
from inbox.models.member import digest
from inbox.permissions import DEFAULT_ROLES, ENTRIES, Permission, with_needed
from inbox.views import access
from inbox.views.access import PUBLIC, SIGNED_IN
from tests.access.test_matrix import address, routes, samples

P = Permission
DECIDED = {  # by the model, by what the form asks for: the route lets readers in, and the form of the walk asks for these
    "assignments.edit": P.CONVERSATIONS_TAKE, "assignments.update": P.CONVERSATIONS_TAKE, "drafts.create": P.CONVERSATIONS_REPLY,
    "insertions.keep": P.CONVERSATIONS_REPLY, "insertions.create": P.CONVERSATIONS_REPLY, "readings.create": P.CONVERSATIONS_REPLY,
}


@dataclass
class Kind:
    """A kind of member: what they hold (with the team, None for the whole account), whether they have a seat, and how they stand."""

    name: str
    held: frozenset[Permission]
    team: int | None = None
    seat: bool = False
    standing: str = "active"
    member: Member | None = field(default=None, repr=False)

    def may(self, permission: Permission) -> bool:
        """Whether the gate lets them in, whatever the row."""
        entry = ENTRIES[permission]
        return permission in self.held and (self.team is None or entry.teamed) and (self.seat or not entry.seated)


def kinds(world, *, single: bool = True) -> list[Kind]:
    """The ten default roles with and without a seat, for the whole account and for one team; a custom role for each permission; an empty one; and those who are out."""
    annex = db.session.query(Team).filter_by(account_id=world.harbor.id, name="Annex").one()
    found: list[Kind] = []
    with transaction():
        if single:
            for permission in P:
                if not ENTRIES[permission].owners:
                    Role.create(world.harbor, name=f"Only {permission.value}", permissions={permission}, by=world.dana)
            Role.create(world.harbor, name="Nothing at all", permissions=(), by=world.dana)
        sheets = Role.sheets(world.harbor.id)
        for sheet in sheets:
            held = DEFAULT_ROLES[sheet.key][1] if sheet.default else (with_needed({P(sheet.name.removeprefix("Only "))}) if sheet.name.startswith("Only ") else frozenset())
            assert sheet.permissions == held, "the roles page shows what counts"
            seatable = any(ENTRIES[p].seated for p in held)
            for seat in (True, False) if seatable else (False,):
                found.append(_join(world, Kind(f"{sheet.name}{' with a seat' if seat else ''}", held, seat=seat), sheet))
            if sheet.default and sheet.key != "owner":
                for team in (world.team, annex):
                    found.append(_join(world, Kind(f"{sheet.name} for {team.name}", held, team=team.id, seat=seatable), sheet))
        admin = next(sheet for sheet in sheets if sheet.key == "admin")
        for standing in ("deactivated", "removed"):
            kind = _join(world, Kind(f"{standing} admin", admin.permissions, seat=False, standing=standing), admin)
            found.append(kind)
    return found


def _join(world, kind: Kind, sheet) -> Kind:
    """Somebody of this kind, in the front desk's inbox; rows written by hand, because one account has only one owner."""
    n = db.session.scalar(sa.select(sa.func.count(Member.id))) or 0
    who = Member(
        account_id=world.harbor.id, email=f"k{n}@harbor.example", name=f"K{n} {kind.name}"[:120], password_hash="x", user_id=f"K{n}", seated=kind.seat,
    ).save()
    Grant(member_id=who.id, role=sheet.key, role_id=sheet.row.id if sheet.row else None, team_id=kind.team).save()
    InboxMember(inbox_id=world.front.id, member_id=who.id).save()
    kind.member = who
    return kind


def signed_in(app, who: Member, token: str = "") -> FlaskClient:
    """A plain client of a member: it reads no page, so a walk is quick."""
    client = FlaskClient(app, app.response_class, use_cookies=True)
    if not token:
        with transaction():
            token = LoginSession.start(who, ip="127.0.0.1", user_agent="test")
    with client.session_transaction() as session:
        session["token"], session["_user_id"], session["_fresh"] = token, who.public_id, True
    return client


def ask(app, client: FlaskClient, url: str, method: str) -> int:
    """The status of an answer; a request has a context of its own, as on a real server."""
    with app.app_context():
        status = client.open(url, method=method).status_code
    db.session.rollback()
    db.session.expire_all()
    return status


@pytest.fixture
def no_tokens(app):
    """Posts without a CSRF token: S57 has its own walk."""
    app.config["WTF_CSRF_ENABLED"] = False
    yield
    app.config["WTF_CSRF_ENABLED"] = True


@pytest.mark.one_database
def test_PERM_7_every_route_as_every_kind_of_member_there_can_be(app, world):
    """The gate in front of every view, asked directly: thousands of pairs. That every request passes it is what tests/access/test_matrix.py walks."""
    everyone = kinds(world)
    with transaction():
        for kind in everyone:
            if kind.standing != "active":
                kind.member.deactivate(by=world.dana) if kind.standing == "deactivated" else kind.member.remove(by=world.dana)
    assert access._check_access in app.before_request_funcs[None]
    sample, walked = samples(world), []
    for rule, method in routes(app):
        permission = getattr(app.view_functions[rule.endpoint], "permission", None)
        assert permission is not None, f"{rule.endpoint} declares no permission"
        if permission != PUBLIC:
            walked.append((app.test_request_context(address(app, rule, sample, 0), method=method), f"{method} {rule.rule}", permission))
    wrong = []
    for kind in everyone:
        for context, where, permission in walked:
            with context:
                g._login_user, g.login_session = kind.member, SimpleNamespace(token_digest=digest(""), renewal_due=False, setup_due=False, seen_at=clock.now(), member=kind.member)
                status = _gate()
            expected = (204 if permission == SIGNED_IN else 403) if kind.standing != "active" else 204 if permission == SIGNED_IN or kind.may(permission) else 403
            if status != expected:
                wrong.append(f"{kind.name}: {where} needs {permission}: {status}, not {expected}")
    assert not wrong, wrong[:10]
    assert len(everyone) > 75 and len(walked) > 100


def _gate() -> int:
    try:
        answer = access._check_access()
    except Refused as refused:
        return refused.status
    return 204 if answer is None else answer.status_code


def test_PERM_7_whose_access_ended_is_signed_out_and_nobody_signs_in_again(app, world, no_tokens):
    with transaction():
        tokens = {who.id: LoginSession.start(who, ip="", user_agent="") for who in (world.maya, world.theo)}
        world.maya.deactivate(by=world.dana)
        world.theo.remove(by=world.dana)
    sample = samples_of_the_gate(app)
    for who in (world.maya, world.theo):
        client = signed_in(app, who, tokens[who.id])
        for url, method in sample:
            assert ask(app, client, url, method) == 303, (who.name, method, url)


def samples_of_the_gate(app) -> list[tuple[str, str]]:
    """Every address without a row in it that needs a sign-in."""
    return [(rule.rule, method) for rule, method in routes(app) if not rule.arguments and rule.endpoint != "live.socket" and app.view_functions[rule.endpoint].permission != PUBLIC]


# -- the rows behind the routes: role AND seat AND membership, for the team the row belongs to -------------------------

ROWED = {"conversation", "message", "attachment", "held", "inbox", "registration"}
ABOUT_FIELD = "?field=brand_legal_name"
BY_ROW = [  # role, held for: whole account, its team, another team; seat; in the inbox
    ("agent", "whole", True, True), ("agent", "its", True, True), ("agent", "other", True, True), ("agent", "whole", True, False), ("agent", "whole", False, True),
    ("agent", "its", True, False), ("supervisor", "whole", True, False), ("supervisor", "its", True, False), ("supervisor", "other", True, False),
    ("supervisor", "other", True, True), ("supervisor", "whole", False, False), ("viewer", "whole", False, True), ("viewer", "whole", False, False), ("viewer", "other", False, True),
    ("inbox-setup", "whole", False, False), ("inbox-setup", "its", False, False), ("inbox-setup", "other", False, False), ("admin", "whole", True, False),
    ("admin", "its", True, False), ("admin", "other", True, True), ("admin", "its", True, True),
]


def _expected(permission: Permission, role: str, held_for: str, seat: bool, inside: bool) -> bool:
    entry, held = ENTRIES[permission], DEFAULT_ROLES[role][1]
    here = permission in held and (held_for == "whole" or (held_for == "its" and entry.teamed))
    member = inside or (P.CONVERSATIONS_ALL in held and held_for != "other")
    return here and (seat or not entry.seated) and (member or not entry.inboxed)


def _stored(app, world, state: str = "stored") -> str:
    """The public id of a picture that is really there."""
    data = media.safe_image(_picture()).data
    with transaction():
        message = db.session.scalars(sa.select(Message).where(Message.inbox_id == world.front.id).limit(1)).one()
        sha = media.store(app.config["MEDIA_ROOT"], data)
        return Attachment(account_id=world.harbor.id, message_id=message.id, state=state, filename="a.png", content_type="image/png", sha256=sha, size=len(data)).save().public_id


def _picture() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(out, "PNG")
    return out.getvalue()


def test_PERM_6_a_row_needs_the_role_for_its_team_and_the_seat_and_the_inbox(app, world, no_tokens):
    """Every route with a conversation, inbox or registration in its address, for every way to hold or miss one of the three conditions."""
    sample = samples(world)
    sample["attachment"], sample["held"] = (_stored(app, world), ""), (_stored(app, world, "held"), "")
    annex = db.session.query(Team).filter_by(account_id=world.harbor.id, name="Annex").one()
    with transaction():
        registration = world.front.registration
        registration.provider_state = ""
    sample["registration"] = (registration.public_id, "")
    without = ("drafts.copy", "undo.create", "undo.anyway")  # nothing is there to go on with or to take back: 404 for everybody; tests/screens and tests/views have them
    rows = [(r, m) for r, m in routes(app) if ROWED & set(r.arguments) and r.endpoint not in without and "carrier" not in r.arguments and isinstance(app.view_functions[r.endpoint].permission, P)]
    assert len(rows) > 25  # carriers belong to no team: they are managed for the whole account
    wrong = []
    for number, (role, held_for, seat, inside) in enumerate(BY_ROW):
        team = {"whole": None, "its": world.team.id, "other": annex.id}[held_for]
        with transaction():
            who = Member(account_id=world.harbor.id, email=f"r{number}@harbor.example", name=f"R{number} Row", password_hash="x", user_id=f"R{number}", seated=seat).save()
            Grant(member_id=who.id, role=role, team_id=team).save()
            if inside:
                InboxMember(inbox_id=world.front.id, member_id=who.id).save()
        client = signed_in(app, who)
        for rule, method in rows:
            url = address(app, rule, sample, 0) + (ABOUT_FIELD if rule.endpoint == "registrations.check_field" else "?before=5" if rule.endpoint == "conversations.older" else "")
            status = ask(app, client, url, method)
            permission = DECIDED.get(rule.endpoint, app.view_functions[rule.endpoint].permission)
            allowed = status not in (403, 404)
            if status >= 500 or allowed != _expected(permission, role, held_for, seat, inside):
                wrong.append(f"{role} held for {held_for}, seat {seat}, inside {inside}: {method} {rule.rule} ({permission}): {status}")
    assert not wrong, wrong[:15]


def test_PERM_3_what_is_held_for_a_team_shows_only_that_team(app, world):
    """Lists and choices: inboxes to set up, teams for a new inbox, contacts and inboxes to write from."""
    annex = db.session.query(Team).filter_by(account_id=world.harbor.id, name="Annex").one()
    here = world.conversation("CANARY text")
    with transaction():
        here.contact.rename("Rosa", "CANARY")
        people = {}
        for number, role in enumerate(("inbox-setup", "agent", "admin")):
            people[role] = who = Member(account_id=world.harbor.id, email=f"t{number}@harbor.example", name=f"T{number} Team", password_hash="x", user_id=f"T{number}", seated=role != "inbox-setup").save()
            Grant(member_id=who.id, role=role, team_id=annex.id).save()
            InboxMember(inbox_id=world.front.id, member_id=who.id).save()
    setup = app.test_client().sign_in(people["inbox-setup"])
    page = setup.get("/settings/inboxes").text
    assert "Billing" in page and "Front Desk" not in page and "Pharmacy" not in page
    assert "Front Desk" not in setup.get("/get-started").text
    wizard = setup.get("/inboxes/new/details").text
    assert f'value="{world.team.public_id}"' not in wizard
    setup.send("/inboxes/new/details", name="Sneaky", team=world.team.public_id, hue="blue", api_code="sneaky", action="exit")
    assert f'value="{world.team.public_id}"' not in setup.get("/inboxes/new/details").text
    for role in ("agent", "admin"):
        client = app.test_client().sign_in(people[role])
        for url in ("/contacts", "/contacts?q=Rosa", "/compose/contacts?to=Rosa", "/", "/get-started", "/compose"):
            answer = client.get(url, follow_redirects=True)
            assert "CANARY" not in answer.text and "Front Desk" not in answer.text, (role, url)
        for url in (f"/contacts/{here.contact.public_id}", f"/contacts/{here.contact.public_id}/edit"):
            assert client.get(url).status_code == 404
        assert client.send(f"/contacts/{here.contact.public_id}", first="X", last="Y").status_code == 404
        answer = client.send("/compose", inbox=world.front.public_id, to="+14155550199", body="Hello")
        assert answer.status_code == 422 and db.session.query(Message).filter_by(body="Hello").count() == 0
