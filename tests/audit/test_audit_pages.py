"""ACC-8 on the page: filters that are the address, pages that are links, an export that is noted; nobody sees more than they may."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import g

from inbox import clock, origin
from inbox.models import Event, Role, db, transaction
from inbox.models.audit import Audit
from inbox.permissions import Permission
from inbox.views.audit import harmless

LOG = "/settings/audit"


def record(world, kind, by=None, account=None, where="203.0.113.7", **data):
    with origin.coming_from(where), transaction():
        return Event.record(kind, account=account or world.harbor, by=by, **data)


def sentences(text):
    return [re.sub(r"<[^>]+>", "", row).strip() for row in re.findall(r'<div class="audit-what">\s*<p>(.*?)</p>', text, re.S)]


def table(answer):
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))


def signed_in(app, who):
    """A browser of its own for that person."""
    g.pop("csrf_token", None)  # of the browser before
    return app.test_client().sign_in(who)


@pytest.fixture
def dana(world, client):
    return client.sign_in(world.dana)


def test_ACC_8_the_log_says_who_what_from_to_when_and_from_where(world, dana):
    with origin.coming_from("203.0.113.7"), transaction():
        world.front.configure_lock(by=world.dana, lock_lease=60, idle_after=240)
    record(world, "role.given", by=world.dana, member=world.maya.id, name="Maya Chen", role="supervisor")
    text = dana.get(LOG).text
    assert sentences(text)[:2] == ["Dana Whitfield gave Maya Chen the role Supervisor", "Dana Whitfield changed 2 settings of Front Desk"]
    assert "203.0.113.7" in text and "45 s" in text and "60 s" in text and 'datetime="' in text


def test_ACC_8_a_change_made_in_a_browser_has_its_address(world, app):
    client = signed_in(app, world.dana)
    with transaction():
        world.front.forward_to = None
    fields = {
        "lock_on": "typing", "idle_after": "180", "idle_answer": "60", "lock_lease": "45", "lock_heartbeat": "15", "reopen": "yes", "stop_reply": "",
        "start_reply": "", "help_reply": "", "description": "", "forward_to": "",
    }
    assert client.post(f"/inboxes/{world.front.public_id}/settings", data={"csrf_token": client.csrf(), **fields}, environ_overrides={"REMOTE_ADDR": "198.51.100.9"}).status_code == 303
    event = db.session.scalars(sa.select(Event).where(Event.kind == "inbox.lock_changed")).one()
    assert event.origin == "198.51.100.9" and event.actor_id == world.dana.id
    assert origin.current() == origin.COMMAND_LINE, "nothing of a request stays behind"


@pytest.mark.parametrize(
    ("query", "shown", "chip"),
    [
        ("what=money", "money added", "Money"), ("what=role.given", "gave Maya Chen the role", "Role given"), ("what=everything", "sent a text", "All activity"),
        ("origin=203.0.113.8", "took Theo Okafor", "203.0.113.8"), ("origin=JOB", "moved the carrier registration", "JOB"), ("who=system", "moved the carrier registration", "Nobody signed in"),
        ("who={ada}", "took Theo Okafor", "Ada Admin"), ("about={maya}", "gave Maya Chen", "Maya Chen"),
    ],
)
def test_ACC_8_filters_are_the_address_and_each_chip_removes_one(world, dana, query, shown, chip):
    record(world, "money.added", by=world.dana)
    record(world, "role.given", by=world.dana, member=world.maya.id, role="supervisor")
    record(world, "seat.taken", by=world.ada, where="203.0.113.8", member=world.theo.id)
    record(world, "registration.moved", where=origin.JOB, team=world.team.id, before="submitted", after="in_review")
    world.reply(world.conversation(), world.maya)
    query = query.format(ada=world.ada.public_id, maya=world.maya.public_id)
    text = dana.get(f"{LOG}?{query}").text
    assert any(shown in sentence for sentence in sentences(text)), sentences(text)
    assert len(sentences(text)) < len(sentences(dana.get(f"{LOG}?what=everything").text)) or "everything" in query
    assert re.search(rf'aria-label="Remove filter: [\w ]+ {re.escape(chip)}"', text)
    both = dana.get(f"{LOG}?{query}&since=2020-01-01").text
    assert f'href="{LOG}?{query}"' in both.replace("&amp;", "&") and f'href="{LOG}?since=2020-01-01"' in both


def test_ACC_8_days_are_the_readers_days(world, dana):
    late = clock.now().replace(hour=6, minute=30)  # the evening before in Los Angeles, where Dana is
    with transaction():
        Event(account_id=world.harbor.id, kind="seat.given", at=late, data={"member": "x", "name": "Somebody Late"}).save()
    here, there = (late - timedelta(days=1)).date(), late.date()
    assert any("Somebody Late" in s for s in sentences(dana.get(f"{LOG}?since={here}&until={here}").text))
    assert not any("Somebody Late" in s for s in sentences(dana.get(f"{LOG}?since={there}&until={there}").text))


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=nonsense", "Enter a day"), ("until=2026-02-30", "Enter a day"), ("since=0001-01-01", "Enter a day"), ("until=9999-12-31", "Enter a day"),
        ("since=2026-05-02&until=2026-05-01", "not before the first one"), ("origin=nonsense", "Enter an IP address"), ("origin=fe80::1%25<b>", "Enter an IP address"),
    ],
)
def test_ACC_8_a_bad_filter_is_said_at_its_field_and_kept(world, dana, query, words):
    answer = dana.get(f"{LOG}?{query}")
    assert answer.status_code == 422 and words in answer.text and "<b>\"" not in answer.text
    assert not sentences(answer.text) and ("nonsense" in answer.text) == ("nonsense" in query)
    fields = dict(pair.split("=", 1) for pair in query.replace("%25", "%").split("&"))
    posted = dana.send("/settings/audit.csv", **fields)
    assert posted.status_code == 422 and words in posted.text


@pytest.mark.parametrize("query", ["what=nonsense", "what=role.nonsense", "who=nobody", "about=nobody", "about=system", "before=x", "before=0", "before=99999999999", "before=-1", "before=٣"])
def test_ACC_8_an_address_that_names_nothing_is_no_page(world, dana, query):
    assert dana.get(f"{LOG}?{query}").status_code == 404


def test_ACC_8_older_pages_are_links_and_keep_the_filter(world, dana):
    for _ in range(120):
        record(world, "seat.given", by=world.ada, member=world.maya.id)
    url, pages, seen = f"{LOG}?who={world.ada.public_id}&what=access", 0, []
    while url:
        text = dana.get(url).text
        seen += re.findall(r'<time datetime="', text)
        link = re.search(r'rel="next" href="([^"]+)"', text)
        url, pages = link[1].replace("&amp;", "&") if link else "", pages + 1
        assert not link or f"who={world.ada.public_id}" in url
    assert pages == 3 and len(seen) >= 120 and "Newest" in text
    first = db.session.scalar(sa.select(sa.func.min(Event.id)).where(Event.account_id == world.harbor.id))
    assert "Nothing older" in dana.get(f"{LOG}?before={first}").text or "Newest" in dana.get(f"{LOG}?before={first}").text


def test_ACC_8_empty_states(world, dana):
    assert "Nothing matches" in dana.get(f"{LOG}?what=money").text


def test_ACC_1_the_log_of_another_account_does_not_exist(world, dana):
    theirs = record(world, "seat.given", by=world.nina, account=world.north, member=world.nina.id, name="CANARY")
    for query in ("", "?what=everything", "?origin=203.0.113.7"):
        assert "CANARY" not in dana.get(LOG + query).text and "Nina" not in dana.get(LOG + query).text
    for query in (f"before={theirs.id}", f"who={world.nina.public_id}", f"about={world.nina.public_id}"):
        assert dana.get(f"{LOG}?{query}").status_code == 404
        name, value = query.split("=")
        if name != "before":
            assert dana.send("/settings/audit.csv", **{name: value}).status_code == 404
    assert "CANARY" not in dana.send("/settings/audit.csv", what="everything").text


def test_ACC_8_the_ladder(app, world):
    for who in (world.maya, world.sven, world.uma, world.vera, world.olga):
        client = signed_in(app, who)
        assert client.get(LOG).status_code == 403 and client.send("/settings/audit.csv").status_code == 403, who.name
    for who in (world.dana, world.ada, world.nina):
        client = signed_in(app, who)
        assert client.get(LOG).status_code == 200 and client.send("/settings/audit.csv").status_code == 200, who.name
        assert client.part(LOG).status_code == 200
    assert app.test_client().get(LOG).status_code == 303
    assert client.get("/settings/audit.csv").status_code == 405, "a GET never writes, and an export is noted"


def reader_without_export(world):
    """Vera with a role that may read the log but not take it away."""
    with transaction():
        role = Role.create(world.harbor, name="Auditor", description="", permissions=[Permission.AUDIT_VIEW], by=world.dana)
        world.vera.change_role(role.public_id, by=world.dana)
    db.session.expire_all()
    return world.vera


def test_ACC_8_reading_is_not_exporting(app, world):
    vera = reader_without_export(world)
    client = signed_in(app, vera)
    text = client.get(LOG).text
    assert "Export CSV" not in text and "does not allow you to export the audit log" in text
    answer = client.send("/settings/audit.csv")
    assert answer.status_code == 403 and "export the audit log" in answer.text
    assert db.session.scalar(sa.select(sa.func.count(Event.id)).where(Event.kind == "audit.exported")) == 0


def test_PERM_6_conversations_stay_unnamed_for_whom_they_are_closed(app, world):
    conversation = world.conversation()
    world.named(conversation, "Rosa", "Diaz")
    with transaction():
        conversation.archive(by=world.maya)
    vera = reader_without_export(world)
    assert any("archived the conversation with Rosa Diaz" in s for s in sentences(signed_in(app, world.dana).get(f"{LOG}?what=everything").text))
    text = signed_in(app, vera).get(f"{LOG}?what=everything").text
    assert "Rosa" not in text and any("archived a conversation" in s for s in sentences(text))


def test_ACC_8_the_export_holds_what_the_filter_shows_and_is_noted(world, dana):
    record(world, "role.given", by=world.dana, member=world.maya.id, role="supervisor")
    with transaction():
        world.front.configure_lock(by=world.ada, lock_lease=60)
    answer = dana.send("/settings/audit.csv", what="access")
    rows = table(answer)
    assert answer.mimetype == "text/csv" and "attachment" in answer.headers["Content-Disposition"]
    assert rows[0][:3] == ["Time (UTC)", "Who", "What happened"] and all(row[5] == "Access" for row in rows[1:])
    assert rows[1][2] == "Dana Whitfield exported the audit log" and rows[2][2] == "Dana Whitfield gave Maya Chen the role Supervisor" and rows[2][6] == "203.0.113.7"
    event = db.session.scalars(sa.select(Event).where(Event.kind == "audit.exported")).one()
    assert event.actor_id == world.dana.id and event.data["filter"] == {"What": "Access"}
    assert any("Lock’s lease: 45 s -> 60 s" in row[3] for row in table(dana.send("/settings/audit.csv")))


def test_ACC_8_the_export_is_read_in_batches(world, dana, monkeypatch):
    monkeypatch.setattr("inbox.models.audit.BATCH", 50)
    now = clock.now()
    with transaction():
        db.session.execute(sa.insert(Event), [{"account_id": world.harbor.id, "kind": "seat.given", "data": {"name": f"P{n}"}, "at": now - timedelta(seconds=n)} for n in range(333)])
    sizes = []
    read = Audit.read
    monkeypatch.setattr(Audit, "read", staticmethod(lambda events, reader: (sizes.append(len(events)), read(events, reader))[1]))
    rows = table(dana.send("/settings/audit.csv", what="seat.given"))
    assert max(sizes) == 50 and len(sizes) >= 7
    numbers = [row[7] for row in rows[1:]]
    assert len(numbers) == len(set(numbers)) >= 333


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", ' "=1', "'=1", "＝1", "\ufeff=1", '=HYPERLINK("http://x")'])
def test_S86_no_cell_of_the_export_is_a_formula(world, dana, evil):
    assert harmless(evil) == f"'{evil}" and harmless(evil).removeprefix("'") == evil and harmless("Maya -1") == "Maya -1"
    with transaction():
        world.maya.name = evil.strip() or "x"
    record(world, "seat.given", by=world.maya, member=world.maya.id)
    record(world, "brand_new.thing", by=world.maya, before={"limit": evil}, after={"limit": evil + "2"})
    for row in table(dana.send("/settings/audit.csv"))[1:]:
        assert not any(cell.lstrip(' "\ufeff\xa0').startswith(("=", "+", "-", "@", "\t", "\r", "＝")) for cell in row), row


def test_ACC_8_the_page_costs_the_same_for_many(world, dana):
    counts = []
    for n in (3, 10_000):
        now = clock.now()
        with transaction():
            rows = [{"account_id": world.harbor.id, "kind": "seat.given", "actor_id": world.ada.id, "about_id": world.maya.id, "data": {"member": world.maya.id}, "at": now} for _ in range(n)]
            db.session.execute(sa.insert(Event), rows)
        dana.get(LOG)
        seen = []
        listener = lambda *args, seen=seen: seen.append(args[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listener)
        assert dana.get(LOG).status_code == 200
        sa.event.remove(db.engine, "before_cursor_execute", listener)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 25, counts


def test_S12_names_are_text_wherever_they_show(world, dana):
    with transaction():
        world.maya.name = "<img src=x onerror=alert(1)>"
        world.front.name = "<script>x</script>"
    record(world, "inbox.member_added", by=world.maya, inbox=world.front.id, member=world.maya.id)
    record(world, "brand_new.<b>", by=world.maya, before={"<i>": "<u>"}, after={"<i>": "<s>"})
    text = dana.get(f"{LOG}?who={world.maya.public_id}").text
    assert "<img" not in text and "<script>x" not in text and "<u>" not in text and "&lt;img" in text
