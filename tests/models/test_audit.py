"""ACC-8 at the model: events are final, say who, what, about whom and from where, and each filter reads an index."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import joinedload

from inbox import clock, origin
from inbox.models import Event, db, transaction
from inbox.models.audit import EVERYTHING, SYSTEM, Audit, AuditFilter, kinds
from inbox.models.audit_words import SENTENCES, Names
from inbox.models.event import ACTIVITY, NOUNS, TOPICS, Final, topic_of

ROOT = Path(__file__).parents[2]


def record(world, kind, by=None, account=None, **data):
    with transaction():
        return Event.record(kind, account=account or world.harbor, by=by, **data)


def line_of(event, reader):
    query = sa.select(Event).options(joinedload(Event.actor)).where(Event.id == event.id).execution_options(populate_existing=True)
    return Audit.read(db.session.scalars(query), reader)[0]


def told(event, reader):
    line = line_of(event, reader)
    return f"{line.who} {line.did}"


def newest(world, filter=None, **kwargs):
    return Audit.page(world.harbor.id, filter or AuditFilter(), **kwargs)[0]


@pytest.mark.parametrize("what", ["update", "delete"])
def test_ACC_8_the_database_refuses_to_change_an_event(world, what):
    event = record(world, "seat.given", by=world.dana, member=world.maya.id)
    statement = sa.text("update event set kind = 'x.y' where id = :id" if what == "update" else "delete from event where id = :id")
    with pytest.raises(sa.exc.DBAPIError, match="Events are final"), transaction():
        db.session.execute(statement, {"id": event.id})
    with pytest.raises(sa.exc.DBAPIError, match="Events are final"), transaction():
        db.session.execute((sa.update(Event).values(kind="x.y") if what == "update" else sa.delete(Event)).where(Event.id == event.id))
    assert db.session.get(Event, event.id).kind == "seat.given"


def test_ACC_8_neither_does_the_model_change_one(world):
    event = record(world, "seat.given", by=world.dana, member=world.maya.id)
    with pytest.raises(Final), transaction():
        db.session.get(Event, event.id).kind = "x.y"
    with pytest.raises(Final), transaction():
        db.session.delete(db.session.get(Event, event.id))
    assert db.session.scalar(sa.select(Event.kind).where(Event.id == event.id)) == "seat.given"


def test_ACC_8_tables_made_from_the_models_refuse_too(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path}/made.db")
    Event.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql("pragma foreign_keys=off")
        connection.exec_driver_sql("insert into event (account_id, kind, topic, origin, data, at) values (1, 'a.b', 'access', '', '{}', '2026-01-01')")
    for statement in ("update event set kind = 'x'", "delete from event"):
        with pytest.raises(sa.exc.IntegrityError, match="final"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_ACC_8_an_event_knows_its_topic_whom_it_is_about_and_from_where(world):
    with origin.coming_from("203.0.113.7"):
        event = record(world, "seat.given", by=world.dana, member=world.maya.id, name="Maya Chen")
    assert (event.topic, event.about_id, event.origin, event.actor_id) == ("access", world.maya.id, "203.0.113.7", world.dana.id)
    assert record(world, "inbox.changed").origin == origin.COMMAND_LINE
    with origin.coming_from(origin.JOB):
        assert record(world, "registration.moved", member=True).about_id is None
    assert record(world, "seat.given", member="odd").about_id is None


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("role.given", "access"), ("seat.taken", "access"), ("invitation.sent", "access"), ("member.deactivated", "access"), ("inbox.member_added", "access"),
        ("money.added", "money"), ("payment.failed", "money"), ("inbox.changed", "settings"), ("registration.moved", "settings"), ("account.opened", "settings"),
        ("notification.changed", "settings"), ("role.deleted", "deletion"), ("contact.deleted", "deletion"), ("conversation.erased", "deletion"),
        ("conversation.assigned", ACTIVITY), ("lock.taken_over", ACTIVITY), ("contact.edited", ACTIVITY), ("message.sent", ACTIVITY), ("brand_new.thing", "settings"),
    ],
)
def test_ACC_8_every_kind_has_a_topic(kind, topic):
    assert topic_of(kind) == topic and topic in (*TOPICS, ACTIVITY)


def recorded():
    """Every kind the code records, wherever it does."""
    found = set()
    for path in [*ROOT.glob("inbox/**/*.py"), *ROOT.glob("jobs/*.py")]:
        for call in re.finditer(r"Event\.record\(\s*((?:[^,()]|\([^()]*\))*),", path.read_text()):
            found |= set(re.findall(r'"([a-z_]+\.[a-z_]+)"', call[1]))
    return found


def test_ACC_8_every_recorded_kind_has_a_sentence():
    found = recorded()
    assert len(found) > 30
    missing = sorted(found - set(SENTENCES))
    assert missing == [], "give these a sentence in inbox/models/audit_words.py"
    assert all(len(kind) <= 60 for kind in SENTENCES)


def test_ACC_8_the_filter_offers_every_kind_once():
    offered = [kind for pairs in kinds().values() for kind, _ in pairs]
    assert sorted(offered) == sorted(SENTENCES) and set(kinds()) <= {*TOPICS, ACTIVITY}
    assert all(not (a & b) for i, a in enumerate(NOUNS.values()) for b in list(NOUNS.values())[i + 1 :])


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("role.given", {"role": "supervisor"}, "gave Maya Chen the role Supervisor"),
        ("role.changed", {"before": ["agent"], "after": "supervisor"}, "changed the role of Maya Chen from Agent to Supervisor"),
        ("seat.taken", {}, "took Maya Chen’s seat away"),
        ("brand_new.thing", {}, "did: brand new thing (Maya Chen)"),
    ],
)
def test_ACC_8_sentences_say_who_did_what_to_whom(world, kind, data, words):
    event = record(world, kind, by=world.dana, member=world.maya.id, name="Maya Chen", **data)
    assert told(event, world.ada) == f"Dana Whitfield {words}"


def test_ACC_8_one_changed_setting_is_told_from_and_to(world):
    with transaction():
        world.front.configure_lock(by=world.dana, lock_lease=60)
    event = newest(world)[0]
    assert told(event, world.ada) == "Dana Whitfield changed the lock’s lease of Front Desk from 45 s to 60 s"
    with transaction():
        world.front.configure_lock(by=world.dana, idle_after=200, idle_answer=70)
    line = Audit.read(newest(world)[:1], world.ada)[0]
    assert line.did == "changed 2 settings of Front Desk" and [(c.label, c.before, c.after) for c in line.changes] == [("Idle time", "180 s", "200 s"), ("Time to answer", "60 s", "70 s")]
    assert line.details == "Idle time: 180 s -> 200 s; Time to answer: 60 s -> 70 s"


def test_ACC_8_every_sentence_can_be_said_of_nothing_and_of_nonsense(world):
    junk = {"before": {"a": [1, {"b": None}]}, "after": 3, "member": [], "to": "x", "role": {"x": 1}, "name": None, "contact": "1", "team": 10**6, "rows": [[]]}
    for kind in sorted(SENTENCES):
        for data in ({}, junk):
            text = told(record(world, kind, **data), world.ada)
            assert text and "{" not in text and "\n" not in text, kind


def test_ACC_5_a_change_of_ones_own_profile_names_only_that(world):
    secrets = {"signature": "SECRET-SIG", "phone": "+14155550999", "email": "x@secret.example", "display_name": "SECRET-NAME", "picture": "SECRET.png"}
    for kind in ("profile.changed", "member.profile_changed", "collaborator.changed", "notification.changed", "security.factor_added", "session.ended"):
        event = record(world, kind, by=world.maya, member=world.maya.id, before=secrets, after=dict.fromkeys(secrets, "SECRET-NEW"), **secrets)
        line = line_of(event, world.dana)
        assert "SECRET" not in f"{line.did} {line.details}" and "secret.example" not in f"{line.did} {line.details}" and "0999" not in line.details
        assert "Maya Chen" in line.who and not line.changes
    event = record(world, "brand_new.thing", by=world.maya, before=secrets, after=dict.fromkeys(secrets, "SECRET-NEW"))
    assert "SECRET" not in line_of(event, world.dana).details


def test_PERM_6_a_conversation_is_named_only_to_whom_it_is_open(world):
    conversation = world.conversation()
    world.named(conversation, "Rosa", "Diaz")
    with transaction():
        conversation.assign_to(world.maya, by=world.dana, expected=conversation.assignee_id)
    event = newest(world, AuditFilter(what="conversation.assigned"))[0]
    assert told(event, world.maya) == "Dana Whitfield assigned the conversation with Rosa Diaz to Maya Chen"
    assert told(event, world.olga) == "Dana Whitfield assigned a conversation to Maya Chen"
    line = line_of(event, world.olga)
    assert "Rosa" not in f"{line.did}{line.details}{line.who}" and not line.changes
    taken = record(world, "lock.taken_over", by=world.sven, conversation=conversation, from_id=world.maya.id, from_name="Maya Chen", reason="Rosa is angry")
    assert "Rosa" in line_of(taken, world.maya).details
    assert "Rosa" not in line_of(taken, world.olga).details + told(taken, world.olga)


def test_ACC_8_the_log_leaves_daily_work_out_unless_asked(world):
    world.conversation()
    seen = {e.topic for e in newest(world, limit=500)}
    assert ACTIVITY not in seen and "access" in seen
    assert ACTIVITY in {e.topic for e in newest(world, AuditFilter(what=EVERYTHING), limit=500)}
    assert {e.topic for e in newest(world, AuditFilter(what=ACTIVITY))} == {ACTIVITY}
    assert {e.kind for e in newest(world, AuditFilter(what="conversation.opened"))} == {"conversation.opened"}


def test_ACC_8_filters(world):
    with origin.coming_from("203.0.113.7"):
        one = record(world, "seat.given", by=world.ada, member=world.maya.id)
    two = record(world, "registration.moved")
    clock.shift(3 * 86400)
    three = record(world, "role.given", by=world.ada, member=world.theo.id)
    cut = clock.now() - timedelta(days=1)
    assert newest(world, AuditFilter(actor=world.ada.id))[:2] == [three, one]
    assert newest(world, AuditFilter(actor=SYSTEM))[0] == two
    assert newest(world, AuditFilter(about=world.maya.id))[0] == one
    assert newest(world, AuditFilter(origin="203.0.113.7")) == [one]
    assert newest(world, AuditFilter(since=cut)) == [three]
    assert three not in newest(world, AuditFilter(until=cut)) and newest(world, AuditFilter(until=cut))[0] == two
    assert newest(world, AuditFilter(what="access", actor=world.ada.id, about=world.theo.id, since=cut)) == [three]


def test_ACC_8_paging_by_key_shows_every_event_once(world):
    for n in range(23):
        record(world, "seat.given" if n % 2 else "seat.taken", by=world.dana, member=world.maya.id)
    whole = [e.id for e in newest(world, limit=500)]
    seen, before = [], None
    while True:
        rows, more = Audit.page(world.harbor.id, AuditFilter(), before, limit=7)
        seen += [e.id for e in rows]
        if more is None:
            break
        before = more
    assert seen == whole and len(whole) == len(set(whole))


def test_ACC_1_accounts_do_not_meet(world):
    theirs = record(world, "seat.given", by=world.nina, account=world.north, member=world.nina.id, name="CANARY")
    assert theirs not in newest(world, AuditFilter(what=EVERYTHING), limit=500)
    with pytest.raises(LookupError):
        Audit.page(world.harbor.id, AuditFilter(), theirs.id)
    assert "CANARY" not in told(theirs, world.dana) and "Nina" not in told(theirs, world.dana).removeprefix("Nina North")


FILTERS = {
    "ix_event_audit": {}, "ix_event_account": {"what": EVERYTHING}, "ix_event_audit_topic": {"what": "money"}, "ix_event_kind": {"what": "lock.taken_over"},
    "ix_event_audit_actor": {"actor": 3}, "ix_event_actor": {"what": EVERYTHING, "actor": 3}, "ix_event_audit_about": {"about": 4},
    "ix_event_about": {"what": EVERYTHING, "about": 4}, "ix_event_audit_origin": {"origin": "203.0.113.7"}, "ix_event_origin": {"what": EVERYTHING, "origin": "203.0.113.7"},
}


def fill(world, n):
    """Many events in one statement: mostly daily work, as in real life."""
    people, start = [world.dana.id, world.ada.id, world.maya.id, world.theo.id, None], clock.now() - timedelta(days=30)
    rows = [
        {
            "account_id": world.harbor.id, "actor_id": people[i % 5], "about_id": people[(i + 1) % 5], "kind": "message.sent" if i % 10 else ("seat.given", "money.added")[i % 3 == 0],
            "origin": f"198.51.100.{i % 200}", "data": {}, "at": start + timedelta(seconds=i),
        }
        for i in range(n)
    ]
    with transaction():
        db.session.execute(sa.insert(Event), rows)
    db.session.execute(sa.text("analyze event"))
    db.session.commit()


def plan(query):
    text = str(query.compile(db.engine, compile_kwargs={"literal_binds": True}))
    if db.engine.dialect.name == "sqlite":
        return "\n".join(row[3] for row in db.session.execute(sa.text("explain query plan " + text.replace(":", "\\:"))))
    db.session.execute(sa.text("set local enable_seqscan = off"))
    db.session.execute(sa.text("set local enable_bitmapscan = off"))
    return "\n".join(row[0] for row in db.session.execute(sa.text("explain " + text.replace(":", "\\:"))))


def test_ACC_8_each_filter_is_served_by_an_index_in_order(world):
    fill(world, 3000)
    old = clock.now() - timedelta(days=29, hours=23)
    for name, shape in FILTERS.items():
        for before in (None, (old, 50)):
            text = plan(Audit.query(world.harbor.id, AuditFilter(**shape), before))
            assert "SCAN event" not in text and "Seq Scan on event" not in text, (name, text)
            assert "TEMP B-TREE" not in text and "Sort" not in text, (name, text)
            assert re.search(r"ix_event_\w+", text), (name, text)
    if db.engine.dialect.name == "sqlite":  # its planner has no statistics to differ by
        for name, shape in FILTERS.items():
            assert re.search(rf"{name}\b", plan(Audit.query(world.harbor.id, AuditFilter(**shape)))), name
    dated = plan(Audit.query(world.harbor.id, AuditFilter(since=old, until=old + timedelta(hours=1))))
    assert re.search("at>|at >=", dated) and "Sort" not in dated, dated


def test_ACC_8_ten_thousand_events_cost_as_many_queries_as_ten(world):
    counts = []
    for n in (10, 10_000):
        fill(world, n)
        Audit.read(newest(world), world.dana)
        seen = []
        listener = lambda *args: seen.append(args[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listener)
        rows, _ = Audit.page(world.harbor.id, AuditFilter(what=EVERYTHING))
        assert Audit.read(rows, world.dana)
        sa.event.remove(db.engine, "before_cursor_execute", listener)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 10


def test_S103_names_say_nothing_on_a_second_line():
    names = Names({}, {}, {}, {}, {}, {})
    for evil in ("a\r\nforged", "a\u2028forged", "a\x1b[31mforged", "a\u202eforged", "a\x00forged", "\ufeffforged"):
        said = names.say("name", evil)
        assert not set(said) & set("\r\n\u2028\u2029\x1b\x00\u202e\ufeff") and "forged" in said
    assert len(names.say("name", "x" * 5000)) == 200
