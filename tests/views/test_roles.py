"""PERM-1, 2, 5, 6 as pages: the matrix and its save, one role, who has what, and handing the account over."""

from __future__ import annotations

import html
import re
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from inbox import clock
from inbox.models import Event, Grant, LoginSession, Member, Role, Team, db, transaction
from inbox.permissions import DEFAULT_ROLES, ENTRIES, GROUPS, INBOXED, OWNERS_ONLY, SEATED, Permission
from jobs.send_mail import send_mail
from tests.models.helpers import HOSTILE, anew, rows

P = Permission


# this folder has an older set of fixtures; the cast of the whole suite is used here
@pytest.fixture
def app(suite_app):
    return suite_app


@pytest.fixture
def role(world):
    return make(world, "Front desk lead", P.CONVERSATIONS_REPLY, P.CONTACTS_VIEW)


@pytest.fixture
def dana(app, world):
    return app.test_client().sign_in(world.dana)


@pytest.fixture
def ada(app, world):
    return app.test_client().sign_in(world.ada)


def make(world, name, *permissions, by=None):
    with transaction():
        return Role.create(world.harbor, name=name, permissions=permissions, by=by or world.dana)


def hold(world, who, *keys):
    with transaction():
        who.set_roles([(key, None) for key in keys], by=world.dana)


def form(*edits):
    """What the page posts: (role, permissions ticked) each."""
    fields = {}
    for row, ticked in edits:
        key = row.public_id
        fields |= {f"version-{key}": str(row.version), f"seen-{key}": " ".join(row.ids), f"on-{key}": [p.value for p in ticked]}
    return fields


def cell(text, title, name):
    """The checkbox of one cell."""
    return re.search(rf'<input class="check"[^>]*aria-label="{re.escape(title)}, {re.escape(name)}"[^>]*>', text).group(0)


def stale_session(world, who):
    with transaction():
        db.session.execute(sa.update(LoginSession).where(LoginSession.member_id == who.id).values(confirmed_at=clock.now() - timedelta(hours=1)))


# -- the matrix ----------------------------------------------------------------------------------------------------


def table(text):
    """(permission, role key) -> is it ticked, as the page shows it."""
    keys = re.findall(r'<th scope="col"[^>]* data-role="([^"]+)"', text)
    found = {}
    for permission, cells in re.findall(r'<tr data-p="([^"]+)".*?</th>(.*?)</tr>', text, re.S):
        tds = re.findall(r"<td.*?</td>", cells, re.S)
        assert len(tds) == len(keys)
        found |= {(Permission(permission), key): " checked" in td or ">Allowed<" in td for key, td in zip(keys, tds, strict=True)}
    return found


def test_PERM_5_every_cell_of_the_matrix_is_what_can_answers(app, world, dana, role):
    shown = table(dana.get("/settings/roles").text)
    assert len(shown) == len(P) * 11
    for key in (*DEFAULT_ROLES, role.public_id):
        with transaction():
            who = world.member(world.harbor, f"Solo{key.replace('-', '')} X", "viewer", seat=False)
            db.session.execute(sa.delete(Grant).where(Grant.member_id == who.id))
            Grant(member_id=who.id, role=key, role_id=role.id if key == role.public_id else None).save()
            who.seated = True
            world.front.add_member(who, by=world.dana)
        db.session.expire_all()
        for permission in P:
            assert shown[permission, key] == bool(who.can(permission, on=world.front if permission in INBOXED else None)), (permission, key)


def test_PERM_5_groups_marks_counts_and_actions(world, dana, role):
    hold(world, world.vera, "viewer", role.public_id)
    text = dana.get("/settings/roles").text
    assert [html.unescape(g) for g in re.findall(r'<th scope="rowgroup">([^<]+)', text)] == list(GROUPS)
    assert text.count('title="Needs an inbox seat"') == len(SEATED)
    assert "custom, 1 person" in text and text.count("<small>4 people</small>") == 1
    assert text.count(">Duplicate<") == 9 and "/settings/roles/new?copy=owner" not in text and "/settings/ownership" in text
    assert text.count("default role, read-only") == 10


def test_PERM_5_one_grouped_query_counts_people_and_none_grows_with_roles(app, world, dana, role):
    def count():
        asked = []
        listen = lambda *args: asked.append(args[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listen)
        assert dana.get("/settings/roles").status_code == 200
        sa.event.remove(db.engine, "before_cursor_execute", listen)
        return len(asked), sum("count(DISTINCT" in q or "count(distinct" in q for q in asked)

    count()
    few = count()
    for n in range(12):
        hold(world, (world.maya, world.vera)[n % 2], "viewer", make(world, f"Role {n}", P.CONTACTS_VIEW).public_id)
    assert count() == few and few[1] == 1


def test_PERM_5_search_finds_title_label_and_id_and_keeps_hidden_ticks(dana, role):
    for q, title in (("take over", "Take over a locked conversation"), ("SEND PICTURES", "Send media"), ("people/seats/manage", "Hand out seats")):
        text = dana.get("/settings/roles", query_string={"q": q}).text
        rows_ = dict(re.findall(r'<tr data-p="([^"]+)"[^>]*?(hidden)?>', text))
        assert [ENTRIES[Permission(p)].title for p, hidden in rows_.items() if not hidden] == [title]
        assert "checked" in cell(text, "Reply", "Front desk lead")
    assert 'id="role-none" hidden' not in dana.get("/settings/roles?q=nonsense").text


def test_PERM_5_closed_cells_say_why(ada, dana, role):
    for client, title, why in ((ada, "Manage every conversation", "Your own role does not allow this"), (dana, "Transfer ownership", "Stays with the owner.")):
        text = client.get("/settings/roles").text
        box = cell(text, title, "Front desk lead")
        reason = re.search(r'aria-describedby="([^"]+)"', box).group(1)
        assert "disabled" in box and re.search(rf'id="{reason}">{why}', text)
    assert "disabled" not in cell(dana.get("/settings/roles").text, "Manage every conversation", "Front desk lead")


def test_PERM_5_who_may_only_look_sees_no_boxes(app, world, role):
    looker = make(world, "Looker", P.ROLES_VIEW)
    hold(world, world.vera, looker.public_id)
    client = app.test_client().sign_in(world.vera)
    text = client.get("/settings/roles").text
    assert "checkbox" not in text and "savebar" not in text and "does not allow you to edit roles" in html.unescape(text)
    for path in ("/settings/roles", "/settings/roles/preview", "/settings/roles/new", f"/settings/roles/{role.public_id}", f"/settings/roles/{role.public_id}/deletion"):
        assert client.send(path).status_code == 403
    assert client.get(f"/settings/roles/{role.public_id}").status_code == 200
    assert app.test_client().sign_in(world.maya).get("/settings/roles").status_code == 403


# -- saving --------------------------------------------------------------------------------------------------------


def test_PERM_5_without_javascript_a_page_shows_who_gains_and_loses_first(world, dana, role):
    hold(world, world.maya, role.public_id)
    with transaction():
        world.conversation().assign_to(world.maya, by=world.dana, expected=None)
    ticks = (role.permissions - {P.CONVERSATIONS_REPLY}) | {P.BILLING_VIEW}
    before = rows()
    answer = dana.send("/settings/roles", **form((role, ticks)))
    text = html.unescape(re.sub(r"<[^>]+>", "", answer.text))
    assert answer.status_code == 200 and "Maya Chen gains View plan and balance and loses Reply." in " ".join(text.split())
    assert "Maya Chen’s 1 open conversation goes back to unassigned. Maya Chen gives back the seat." in text
    assert rows() == before and role.permissions != ticks
    back = dana.send("/settings/roles", action="back", confirmed="1", **form((role, ticks)))
    assert "checked" in cell(back.text, "View plan and balance", "Front desk lead") and "checked" not in cell(back.text, "Reply", "Front desk lead")
    saved = dana.send("/settings/roles", confirmed="1", **form((role, ticks)))
    assert saved.status_code == 303
    anew()
    assert role.permissions == ticks and not world.maya.seated
    assert dana.send("/settings/roles", confirmed="1", **form((role, ticks))).status_code == 303, "pressing twice"


def test_PERM_5_dependencies_are_settled_without_javascript_too(world, dana, role):
    ticks = role.permissions - {P.CONVERSATIONS_VIEW}  # Reply needs it
    assert dana.send("/settings/roles", confirmed="1", **form((role, ticks))).status_code == 303
    anew()
    assert role.permissions == {P.CONTACTS_VIEW}
    text = dana.send("/settings/roles", **form((role, {P.CONTACTS_IMPORT}))).text
    assert "View contacts stays: something else that is ticked needs it." in text and "Set a contact’s owner" in html.unescape(text)


def test_PERM_5_all_changed_columns_are_saved_in_one_request(world, dana, role):
    other = make(world, "Night shift", P.CONVERSATIONS_VIEW)
    assert dana.send("/settings/roles", confirmed="1", **form((role, {P.CONTACTS_VIEW}), (other, {P.BILLING_VIEW}))).status_code == 303
    anew()
    assert (role.permissions, other.permissions) == ({P.CONTACTS_VIEW}, {P.BILLING_VIEW})
    assert db.session.query(Event).filter_by(kind="role.edited").count() == 2
    assert dana.send("/settings/roles", confirmed="1", **form((role, role.permissions))).status_code == 303
    assert role.version == 1, "nothing changed"


def test_PERM_5_somebody_else_was_faster(world, dana, role):
    other = make(world, "Night shift", P.CONVERSATIONS_VIEW)
    fields = form((role, role.permissions | {P.MEDIA_SEND}), (other, other.permissions | {P.BILLING_VIEW}))
    with transaction():
        role.change(role.permissions | {P.CONTACTS_EDIT}, by=world.ada, version=0)
    answer = dana.send("/settings/roles", confirmed="1", **fields)
    assert answer.status_code == 409 and "Front desk lead now allows Edit contacts." in answer.text
    assert "checked" in cell(answer.text, "Send media", "Front desk lead") and "checked" in cell(answer.text, "Edit contacts", "Front desk lead")
    assert "checked" in cell(answer.text, "View plan and balance", "Night shift"), "the reader's ticks are kept"
    assert f'name="version-{role.public_id}" value="1"' in answer.text
    anew()
    assert other.permissions == {P.CONVERSATIONS_VIEW} and P.MEDIA_SEND not in role.permissions, "nothing was saved"
    with transaction():
        other.destroy(by=world.dana)
    assert "A role you changed was deleted." in dana.send("/settings/roles", confirmed="1", **fields).text


@pytest.mark.parametrize("change", [{"version": "x"}, {"version": "9" * 40}, {"version": "-1"}, {"seen": "people/roles/manage"}, {"seen": ""}])
def test_PERM_5_a_form_that_lies_about_the_start_is_a_conflict(world, dana, role, change):
    fields = form((role, {P.BILLING_VIEW}))
    fields |= {f"{name}-{role.public_id}": value for name, value in change.items()}
    assert dana.send("/settings/roles", confirmed="1", **fields).status_code == 409
    anew()
    assert role.version == 0


def test_PERM_5_ticks_of_closed_cells_count_for_nothing(world, ada, role):
    owned = make(world, "Chief", P.CONVERSATIONS_ALL)
    fields = form((role, role.permissions | {P.CONVERSATIONS_ALL, P.OWNERSHIP_TRANSFER, P.BILLING_VIEW}), (owned, frozenset()))
    assert ada.send("/settings/roles", confirmed="1", **fields, **{f"on-{role.public_id}x": "nonsense"}).status_code == 303
    anew()
    assert role.permissions == {P.CONVERSATIONS_REPLY, P.CONVERSATIONS_VIEW, P.CONTACTS_VIEW, P.BILLING_VIEW}
    assert owned.permissions == {P.CONVERSATIONS_ALL, P.CONVERSATIONS_VIEW}, "what Ada lacks stays, and what it needs"


def test_PERM_5_locking_oneself_out_is_refused_with_the_ticks_kept(app, world):
    mine = make(world, "Helper", P.ROLES_MANAGE, P.CONTACTS_VIEW)
    hold(world, world.uma, mine.public_id)
    answer = app.test_client().sign_in(world.uma).send("/settings/roles", confirmed="1", **form((mine, {P.CONTACTS_VIEW})))
    assert answer.status_code == 422 and "You would lose “Create and edit roles” yourself." in answer.text
    assert "checked" not in cell(answer.text, "Create and edit roles", "Helper")


def test_S44_saving_asks_who_it_is_and_then_goes_on(world, dana, role):
    stale_session(world, world.dana)
    fields = form((role, {P.BILLING_VIEW}))
    asked = dana.send("/settings/roles", confirmed="1", **fields)
    assert asked.status_code == 403 and "Confirm that it is you" in asked.text and f'name="on-{role.public_id}"' in asked.text
    from tests.world import PASSWORD

    assert dana.send("/settings/roles", confirmed="1", confirm_password=PASSWORD, **fields).status_code == 303
    anew()
    assert role.permissions == {P.BILLING_VIEW}


def test_PERM_5_the_preview_writes_nothing_and_asks_nobody_who_they_are(world, dana, role):
    hold(world, world.vera, "viewer", role.public_id)
    stale_session(world, world.dana)
    before = rows("login_session")
    answer = dana.send("/settings/roles/preview", htmx=True, **form((role, {P.BILLING_VIEW})))
    assert answer.status_code == 200 and "<b>Vera Lind</b> gains View plan and balance and loses Reply, View contacts." in answer.text
    assert rows("login_session") == before and answer.text.startswith("<div") and "data-known" in answer.text
    assert "Nobody gains or loses anything" in dana.send("/settings/roles/preview", htmx=True, **form((make(world, "Empty"), {P.BILLING_VIEW}))).text
    fields = form((role, {P.AUDIT_VIEW}))
    with transaction():
        role.change({P.BILLING_VIEW}, by=world.dana, version=0)
    late = dana.send("/settings/roles/preview", htmx=True, **fields).text
    assert "Somebody else changed Front desk lead meanwhile" in late and "data-known" not in late


def test_PERM_5_the_preview_answers_within_a_tenth_of_a_second(world, dana):
    roles = [make(world, f"Role {n}", P.CONTACTS_VIEW) for n in range(10)]
    with transaction():
        for n in range(30):
            who = world.member(world.harbor, f"P{n} X", "agent", seat=False)
            for row in roles[:3]:
                Grant(member_id=who.id, role=row.public_id, role_id=row.id).save()
    fields = form(*((row, {P.BILLING_VIEW}) for row in roles))
    took = []
    for _ in range(5):
        token = dana.csrf()
        at = time.thread_time()  # the machine may be busy with other tests
        answer = dana.post("/settings/roles/preview", data={"csrf_token": token, **fields}, headers={"HX-Request": "true"})
        took.append(time.thread_time() - at)
        assert answer.status_code == 200 and "and 24 more gain View plan and balance" in re.sub(r"<[^>]+>", "", answer.text)
    assert min(took) < 0.1, took


# -- one role ------------------------------------------------------------------------------------------------------


def test_PERM_5_a_new_role_and_a_copy(world, dana, ada):
    assert dana.send("/settings/roles/new", name="Desk", description="At the desk", copy="").status_code == 303
    assert 'value="Copy of Supervisor"' in dana.get("/settings/roles/new?copy=supervisor").text
    assert "Left out, because your own role does not allow it: Manage every conversation." in ada.get("/settings/roles/new?copy=supervisor").text
    made = ada.send("/settings/roles/new", name="Chief", copy="supervisor")
    assert made.status_code == 303
    anew()
    chief = Role.sheet_of(world.harbor.id, made.location.split("role=")[1])
    assert chief.permissions == DEFAULT_ROLES["supervisor"][1] - {P.CONVERSATIONS_ALL}
    assert dana.send("/settings/roles/new", name="Again", copy=chief.key).status_code == 303
    for fields, sentence in (({"name": "chief"}, "There is a role called chief already."), ({"name": " "}, "Give the role a name."), ({"name": "x" * 61}, "Use at most 60"), ({"name": "O", "copy": "owner"}, "Owner cannot be duplicated")):
        answer = dana.send("/settings/roles/new", description="kept text", **{"copy": "", **fields})
        assert answer.status_code == 422 and sentence in answer.text and "kept text" in answer.text
    assert dana.get("/settings/roles/new?copy=owner").status_code == 422 and dana.get("/settings/roles/new?copy=zzz").status_code == 404


def test_PERM_5_rename_and_describe(world, dana, role):
    page = dana.get(f"/settings/roles/{role.public_id}").text
    assert "Nobody holds it" in page
    assert dana.send(f"/settings/roles/{role.public_id}", name="Desk", description="x").status_code == 303
    wrong = dana.send(f"/settings/roles/{role.public_id}", name="Agent", description="typed")
    assert wrong.status_code == 422 and "typed" in wrong.text and "There is a role called Agent" in wrong.text
    assert dana.send("/settings/roles/agent", name="Mine").status_code == 422
    assert "cannot be changed or deleted" in dana.get("/settings/roles/agent").text
    assert dana.get("/settings/roles/nonsense").status_code == 404


def test_PERM_5_deleting_shows_what_the_replacement_changes(world, dana, ada, role):
    hold(world, world.maya, "agent", role.public_id)
    url = f"/settings/roles/{role.public_id}/deletion"
    assert "Maya Chen" in dana.get(url).text and "1 person holds this role" in dana.get(url).text
    assert (none := dana.send(url)).status_code == 422 and "Choose the role they get instead." in none.text
    assert (both := dana.send(url, replacement="supervisor", confirmed="1")).status_code == 422 and "Maya Chen holds Agent too" in html.unescape(both.text)
    assert (lacks := ada.send(url, replacement="supervisor", confirmed="1")).status_code == 403 and "Manage every conversation" in lacks.text
    first = dana.send(url, replacement="inbox-setup")
    assert first.status_code == 200 and "gains" in first.text and 'name="confirmed" value="1"' in first.text
    anew()
    assert role.public_id in world.maya.roles
    assert dana.send(url, replacement="inbox-setup", confirmed="1").status_code == 303
    anew()
    assert set(world.maya.roles) == {"agent", "inbox-setup"}
    assert dana.send(url, replacement="viewer", confirmed="1").status_code == 404
    assert dana.get("/settings/roles/agent/deletion").status_code == 422


def test_ACC_1_roles_of_another_account_do_not_exist(app, world, dana):
    with transaction():
        theirs = Role.create(world.north, name="CANARY", permissions=[P.CONTACTS_VIEW], by=world.nina)
    for path in (f"/settings/roles/{theirs.public_id}", f"/settings/roles/{theirs.public_id}/deletion", f"/settings/roles/new?copy={theirs.public_id}"):
        assert dana.get(path).status_code == 404
    assert dana.send(f"/settings/roles/{theirs.public_id}", name="Mine").status_code == 404
    assert "CANARY" not in dana.get(f"/settings/roles?role={theirs.public_id}").text
    answer = dana.send("/settings/roles", confirmed="1", **form((theirs, {P.BILLING_VIEW})))
    assert answer.status_code == 409 and "CANARY" not in answer.text
    for query in (f"member={world.nina.public_id}&action=inbox/conversations/reply", f"action=inbox/conversations/reply&inbox={world.reception.public_id}", "action=no/such/thing"):
        assert dana.get(f"/settings/roles/explain?{query}").status_code == 404


@pytest.mark.one_database
def test_S12_hostile_names_stay_text(world, dana):
    names = [text for text in HOSTILE if text.strip()][:60]
    for n, text in enumerate(names):
        dana.send("/settings/roles/new", name=f"{text[:50]} {n}", description=text[:200], copy="")
    made = Role.custom(world.harbor.id)
    assert len(made) > 40
    hold(world, world.maya, *(row.public_id for row in made[:5]))
    assert dana.get("/settings/roles").status_code == 200  # every page is parsed and checked for inline code by the client
    for row in made[:10]:
        for path in (f"/settings/roles/{row.public_id}", f"/settings/roles/{row.public_id}/deletion"):
            assert dana.get(path).status_code == 200
    assert dana.send("/settings/roles", **form(*((row, {P.BILLING_VIEW}) for row in made[:5]))).status_code == 200
    assert dana.get(f"/settings/roles/explain?member={world.maya.public_id}&action=people/members/view").status_code == 200
    assert dana.get("/settings/roles", query_string={"q": "<script>alert(1)</script>\" onload=x", "role": "\"><b>"}).status_code == 200


# -- who has what --------------------------------------------------------------------------------------------------


def test_PERM_6_the_page_says_what_can_says(world, dana, role):
    hold(world, world.sven, "supervisor", role.public_id)
    for who in (world.dana, world.maya, world.uma, world.vera, world.olga, world.sven):
        for action in (P.CONVERSATIONS_REPLY, P.CONVERSATIONS_VIEW, P.ROLES_MANAGE, P.INBOXES_MANAGE):
            text = html.unescape(dana.get(f"/settings/roles/explain?member={who.public_id}&action={action}&inbox={world.front.public_id}").text)
            who = db.session.get(Member, who.id)
            verdict = who.can(action, on=world.front if action in INBOXED or ENTRIES[action].teamed else None)
            assert (f"Yes: {who.name} may" in text) == bool(verdict) and (f"No: {who.name} may not" in text) != bool(verdict)
            assert verdict.told in text
            for step in verdict.steps():
                assert step.words in text


def test_PERM_6_the_reasons_link_to_where_they_change(world, dana):
    text = dana.get(f"/settings/roles/explain?member={world.uma.public_id}&action=inbox/conversations/reply&inbox={world.front.public_id}").text
    for link in ("/settings/roles/agent", "/settings/members", f"/inboxes/{world.front.public_id}/members"):
        assert f'href="{link}"' in text
    assert "has no seat" in text and "Ada Admin or Dana Whitfield can" in text
    with transaction():
        world.uma.deactivate(by=world.dana)
    assert "access to this account has ended" in dana.get(f"/settings/roles/explain?member={world.uma.public_id}&action=inbox/conversations/reply").text


def test_PERM_6_everybody_at_once_with_a_fixed_number_of_queries(app, world, dana):
    url = f"/settings/roles/explain?action=inbox/conversations/reply&inbox={world.front.public_id}"

    def count():
        asked = []
        listen = lambda *args: asked.append(args[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listen)
        text = html.unescape(dana.get(url).text)
        sa.event.remove(db.engine, "before_cursor_execute", listen)
        return len(asked), text

    count()
    few, text = count()
    assert "5 people may reply in Front Desk" in text.replace("6 people", "5 people") or "people may reply" in text
    for words in ("Uma Unseated has no seat.", "Olga Outside is not in this inbox.", "The role Viewer does not allow to reply."):
        assert words in text
    with transaction():
        for n in range(15):
            world.member(world.harbor, f"P{n} X", ("viewer", "agent")[n % 2], seat=False)
    many, text = count()
    assert many == few and "P14 X" in text


# -- ownership -----------------------------------------------------------------------------------------------------


def test_PERM_2_the_account_changes_hands(app, world, dana, bell):
    page = dana.get("/settings/ownership").text
    assert "You cannot undo this yourself." in page and "Manage every conversation" in page and world.nina.public_id not in page
    for fields, sentence in (
        ({"member": world.maya.public_id, "account": "harbor"}, "Type the name of the account"), ({"member": "", "account": "Harbor Vet"}, "Choose the new owner."),
        ({"member": world.nina.public_id, "account": "Harbor Vet"}, "Choose an active member"), ({"member": world.dana.public_id, "account": "Harbor Vet"}, "Choose an active member"),
    ):
        answer = dana.send("/settings/ownership", **fields)
        assert answer.status_code == 422 and sentence in answer.text
    assert f'<option selected value="{world.maya.public_id}">' in dana.send("/settings/ownership", member=world.maya.public_id, account="x").text
    assert dana.send("/settings/ownership", member=world.maya.public_id, account=" harbor  vet ").status_code == 303
    anew()
    assert world.maya.roles == ["owner"] and world.dana.roles == ["admin"]
    assert dana.get("/settings/ownership").status_code == 403


def test_PERM_2_both_are_told_by_mail(app, world, monkeypatch):
    sent = []
    monkeypatch.setattr("inbox.mailers.deliver", sent.append)
    with transaction():
        world.maya.take_ownership(by=world.dana)
    send_mail("ownership", db.session.scalars(sa.select(Event.id).where(Event.kind == "account.ownership_transferred")).one())
    assert {mail.recipients[0]: mail.subject for mail in sent} == {"maya@harbor.example": "You own Harbor Vet now", "dana@harbor.example": "Maya Chen owns Harbor Vet now"}
    assert all("Dana Whitfield" in m.body or "Maya Chen" in m.body for m in sent)


def test_PERM_2_only_the_owner_and_only_confirmed(app, world, ada, dana):
    assert ada.get("/settings/ownership").status_code == 403
    assert ada.send("/settings/ownership", member=world.ada.public_id, account="Harbor Vet").status_code == 403
    stale_session(world, world.dana)
    asked = dana.send("/settings/ownership", member=world.maya.public_id, account="Harbor Vet")
    assert asked.status_code == 403 and "Confirm that it is you" in asked.text
    anew()
    assert world.dana.roles == ["owner"] and not OWNERS_ONLY & world.maya.permissions and db.session.query(Team).count()
