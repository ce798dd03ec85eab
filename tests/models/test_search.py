"""CONV-9 at the model: one interface, two engines, the same finds; only what the member may read; pages, filters, cost and hostile queries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox import clock
from inbox.models import Conversation, Draft, Message, RecentSearch, SearchMark, Tag, Tagging, db, search, transaction
from inbox.models.conversation import Filter
from inbox.models.search import browsing, engine
from inbox.models.search.finding import BUDGET, PAGE, find
from inbox.models.search.marking import piece, spans
from inbox.models.search.query import read
from inbox.models.search.terms import Every, Phrase, word
from inbox.models.search.words import of_contact, of_text, split
from tests.models.helpers import HOSTILE, anew, person
from tests.models.test_listing import fill, statements

LA = ZoneInfo("America/Los_Angeles")


def names(found):
    return [hit.name for hit in found.hits]


def bodies(member, typed, **kwargs):
    """The texts that were found, newest first."""
    hits = find(member, typed, zone=LA, **kwargs).hits
    return [db.session.get_one(Message, hit.message_id).body for hit in hits]


def say(world, *texts, start=1000, inbox=None):
    """Each text from a customer of its own."""
    return [world.text(text, sender=f"+1415555{start + i}", inbox=inbox) for i, text in enumerate(texts)]


# -- what is found: one table for both databases --------------------------------------------------------------------

FINDS = [
    ("Is the ear cream ready?", ["ear cream", "CREAM", '"ear cream"', "cream ear", "rea", "ready", "is the ear cream read"], ['"cream ear"', "eary", "cream -ready", "ice"]),
    ("Don’t forget Bella’s pills", ["don't", "dont", "bellas", "Bella's pills", "forg"], ["don ", "bella pills -forget"]),
    ("Grüße aus der Weißstraße 5", ["grusse", "GRÜSSE", "gruße", "weissstrasse", "Weißstraße 5", "weiß"], ["strasse", "grüss gott"]),
    ("İstanbul’da ılık bir gün, ISPARTA", ["istanbulda", "İSTANBUL", "ilik", "ılık", "ısparta", "isparta", "IsPaRtA", "gun", "GÜN"], ["istambul"]),
    ("السَّلامُ عَلَيْكُم، أريد موعدًا غدًا", ["السلام", "اريد", "أريد", "موعدا", "الســـلام عليكم", "غدا"], ["سلم"]),
    ("我们明天下午三点来接小狗可以吗", ["明天", "小狗", "下午三点", "狗", "吗", "我", '"来接小狗"', "三点来"], ["天明", "小猫", "狗小", '"明天三点"']),
    ("犬の予約を月曜日にお願いします。ガーデン", ["予約", "月曜日", "ガーデン", "ｶﾞｰﾃﾞﾝ", "お願い"], ["火曜日"]),
    ("내일 오전에 예약하고 싶어요", ["예약", "내일", "오전", "싶어요"], ["오후"]),
    ("พรุ่งนี้ว่างไหมคะ", ["พรุ่งนี้", "ว่าง", "ไหมคะ"], ["เมื่อวาน"]),
    ("Call me at (415) 555-0199 or +44 20 7946 0958 please", ["4155550199", "415-555-0199", "+1 415 555 0199", "(415) 555-0199", "020 7946 0958", "+442079460958", "555-0199"], ["4155550198", "9990199"]),
    ("Ｆｕｌｌ ｗｉｄｔｈ １２３", ["full width", "123"], ["fullwidth"]),
    ("naïve café résumé Æsir øre Łódź", ["naive", "CAFE", "cafe\u0301", "resume", "aesir", "ore", "lodz"], ["caff"]),
    ("Приём в понедельник, ёж", ["прием", "ПРИЁМ", "понедел", "еж"], ["вторник"]),
    ("שָׁלוֹם, אפשר לקבוע תור?", ["שלום", "תור"], ["שלומות"]),
    ("मुझे कल का समय चाहिए", ["समय", "मुझे कल", "चाहिए"], ["समयक"]),
    ("Thanks ❤️👍 see you", ["❤", "👍", "❤️ see"], ["😀"]),
    ("抱歉，消费价格没有符合您要求的，推荐您去人均消费68元的讲礼驴肉馆用餐。", ["驴肉馆", "讲礼驴肉馆用餐", "人均消费68元", "用餐"], ["驴杂汤", "餐用"]),  # CrossWOZ, Apache-2.0
    ("ضحّاك الخرافي", ["ضحاك", "الخرافي", "ضحّاك الخرافى"], ["الخراف "]),
    ("NEAR the AND gate OR not", ["near", "AND", "or NOT", "not", '"near the and"'], ["NEAR(gate the)"]),
    ("order #A-1234/56 costs 1,250.00", ["A-1234", "1234/56", "#a", "1,250.00", "1250.00 -x" if False else "1,250"], ["b-1234", "1234-57"]),
]


def test_CONV_9_both_databases_find_the_same_words(world):
    say(world, *[text for text, _, _ in FINDS])
    for text, found, missed in FINDS:
        for typed in found:
            assert text in bodies(world.maya, typed), (text, typed, read(typed))
        for typed in missed:
            assert text not in bodies(world.maya, typed), (text, typed, read(typed))
    assert bodies(world.maya, "zzzz") == []


def test_CONV_9_the_last_word_may_be_begun_unless_a_blank_ends_it(world):
    say(world, "refunded yesterday")
    assert bodies(world.maya, "refun") == ["refunded yesterday"]
    assert bodies(world.maya, "refun ") == []
    assert bodies(world.maya, '"refun') == [] and bodies(world.maya, "refun yesterday") == []
    assert bodies(world.maya, "r") == [], "a single letter is a word"


def test_CONV_9_texts_both_ways_and_notes_are_indexed_as_they_are_written(world):
    c = world.conversation("A giraffe came in")
    world.reply(c, world.maya, "We treat every giraffe")
    with transaction():
        c.note("the giraffe bites", by=world.theo)
    assert len(find(world.maya, "giraffe", zone=LA).hits) == 1
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Message).where(Message.kind != "call")) == len(engine.find("message_words", word(f"§i{world.front.id}")))
    (hit,) = find(world.maya, "giraffe", zone=LA).hits
    assert hit.note and hit.by == "Theo" and hit.parts == [("the ", False), ("giraffe", True), (" bites", False)]
    assert bodies(world.maya, "treat") == ["We treat every giraffe"]


def test_CONV_9_what_is_taken_back_is_not_found(world):
    with pytest.raises(RuntimeError), transaction():
        world.conversation("phantom")
        raise RuntimeError
    anew()
    assert bodies(world.maya, "phantom") == []


# -- people -----------------------------------------------------------------------------------------------------------


def test_CONV_9_people_are_found_by_name_mail_and_any_end_of_their_number(world):
    c = world.conversation("hello there", sender="+14155550134")
    world.named(c, "Zoë", "O’Brien")
    with transaction():
        c.contact.edit(by=world.dana, first="Zoë", last="O’Brien", email="zoe.ob@mail.example", owner=None)
    other = world.conversation("Guten Tag", sender="+442079460958")
    for typed in ("zoe", "obrien", "O'Brien Zoe", "zoe.ob@mail.example", "0134", "5550134", "(415) 555-0134", "+1 415 555 0134", "14155550134", "zo"):
        assert [hit.public_id for hit in find(world.maya, typed, zone=LA).people] == [c.public_id], typed
    for typed in ("020 7946 0958", "+44 20 7946 0958", "0958"):
        assert [hit.public_id for hit in find(world.maya, typed, zone=LA).people] == [other.public_id], typed
    assert find(world.maya, "134", zone=LA).people == [] and find(world.maya, "zoe mail -x", zone=LA).people == []
    with transaction():
        c.contact.rename("Ada", "Lovelace")
    assert find(world.maya, "zoe obrien", zone=LA).people == [] and len(find(world.maya, "lovelace", zone=LA).people) == 1
    (hit,) = find(world.maya, "lovel", zone=LA).people
    assert hit.title == [("Ada ", False), ("Lovelace", True)]


# -- who may see what ---------------------------------------------------------------------------------------------------


def test_S20_nobody_finds_what_they_may_not_open(world):
    say(world, "quartz at the front", inbox=world.front)
    world.text("quartz in the pharmacy", sender="+14155557777", inbox=world.pharmacy)
    world.text("quartz up north", sender="+14155557778", inbox=world.reception)
    for who, wanted in (
        (world.maya, ["quartz at the front"]), (world.vera, ["quartz at the front"]), (world.olga, []), (world.nina, ["quartz up north"]),
        (world.dana, ["quartz in the pharmacy", "quartz at the front"]),
    ):
        assert bodies(who, "quartz") == wanted, who.name
        assert bodies(who, "quartz in:Pharmacy") == (["quartz in the pharmacy"] if who is world.dana else []), who.name
        assert len(find(who, "is:open", zone=LA).hits) == len(wanted), who.name
    assert find(world.maya, "5557777", zone=LA).people == [] and len(find(world.dana, "5557777", zone=LA).people) == 1
    assert "Pharmacy" not in " ".join(find(world.maya, "in:nowhere x", zone=LA).query.problems)


def test_CONV_9_people_need_the_permission_to_see_contacts(world):
    c = world.conversation("hello", sender="+14155550134")
    world.named(c, "Bea", "Lo")
    assert find(world.maya, "bea", zone=LA).people
    from inbox.permissions import Permission

    keep = type(world.maya).can
    type(world.maya).can = lambda self, permission, on=None: False if permission is Permission.CONTACTS_VIEW else keep(self, permission, on)
    try:
        found = find(world.maya, "bea", zone=LA)
        assert found.people == [] and find(world.maya, "from:bea", zone=LA).hits == [] and find(world.maya, "0134", zone=LA).people == []
        assert len(find(world.maya, "hello", zone=LA).hits) == 1
    finally:
        type(world.maya).can = keep


# -- operators ----------------------------------------------------------------------------------------------------------


def test_CONV_9_operators_say_who_where_and_how(world):
    c = world.conversation("please refund me", sender="+14155550134")
    world.named(c, "Bea", "Lo")
    d = world.conversation("refund for the cat, see https://shop.example/x", sender="+14155550135")
    world.named(d, "Bob", "Ray")
    world.reply(c, world.theo, "The refund is on its way")
    with transaction():
        c.note("refund checked with finance", by=world.maya)
        c.assign_to(world.theo, by=world.theo, expected=None)
        tag = Tag(account_id=world.harbor.id, name="Very Urgent", key="very urgent").save()
        Tagging(conversation_id=c.id, tag_id=tag.id).save()
    whose = {hit_id: hit_id for hit_id in (c.id, d.id)}
    assert len(whose) == 2

    def ids(typed, who=world.maya):
        found = find(who, typed, zone=LA)
        assert not found.query.problems, found.query.problems
        return {hit.conversation_id for hit in found.hits}

    assert ids("refund") == {c.id, d.id}
    assert bodies(world.maya, "refund from:bea") == ["please refund me"] == bodies(world.maya, 'from:"Bea Lo" refund')
    assert bodies(world.maya, "refund from:theo") == ["The refund is on its way"] == bodies(world.theo, "refund from:me")
    assert bodies(world.maya, "refund to:bea") == ["The refund is on its way"] == bodies(world.maya, "refund to:0134")
    assert bodies(world.maya, "from:bob") == ["refund for the cat, see https://shop.example/x"] == bodies(world.maya, "has:link")
    assert bodies(world.maya, "has:note") == ["refund checked with finance"]
    assert ids('tag:"very urgent"') == {c.id} and ids('refund tag:"Very Urgent"') == {c.id}
    assert ids("assignee:theo") == {c.id} == ids("refund assignee:Theo") and ids("is:mine", world.theo) == {c.id} and ids("is:unassigned") == {d.id} == ids("assignee:none")
    assert ids("is:unread") == {d.id} == ids("refund is:unread") == ids("is:needs-reply") and ids('in:"front desk" is:open') == {c.id, d.id}
    with transaction():
        d.archive(by=world.maya)
    assert ids("is:archived") == {d.id} == ids("refund is:archived") and ids("refund is:open") == {c.id}
    today = clock.now().astimezone(LA).date()
    assert ids("refund on:today") == {c.id, d.id} == ids(f"refund after:{today - timedelta(days=1)}") == ids(f"on:{today}")
    assert ids("refund before:today") == set() == ids("after:today refund") and ids("is:snoozed") == set() == ids("is:spam refund") == ids("is:failed")
    clock.shift(3 * 86400)
    world.text("refund again", sender="+14155550135")
    assert bodies(world.maya, "refund on:today") == ["refund again"] and bodies(world.maya, "refund before:today is:open from:bea") == ["please refund me"]
    assert set(bodies(world.maya, f"refund before:{today + timedelta(days=1)}")) == {"refund checked with finance", "refund for the cat, see https://shop.example/x"}


def test_CONV_9_needs_reply_means_in_a_search_what_it_means_in_a_list(world):
    talks = [m.conversation for m in say(world, "asked", "answered", "noted", "junk", "put away")]
    world.reply(talks[1], world.theo, "Here it is")
    with transaction():
        talks[2].note("I will look", by=world.maya)
        talks[3].mark_spam(by=world.maya)
        talks[4].archive(by=world.maya)
    listed = {row.id for row in Conversation.listing(world.maya, world.front, Filter(needs_reply=True))}
    assert {hit.conversation_id for hit in find(world.maya, "is:needs-reply", zone=LA).hits} == listed == {talks[0].id, talks[2].id}
    assert bodies(world.maya, "is:needs-reply asked") == ["asked"] and bodies(world.maya, "is:needs-reply answered") == []


def test_CONV_9_filters_alone_look_only_so_far_and_say_so(world, monkeypatch):
    monkeypatch.setattr(browsing, "WALK", 15)
    talks = [m.conversation for m in say(world, *[f"hello {i}" for i in range(50)])]
    with transaction():
        talks[0].failed = talks[48].failed = talks[1].failed = True
        talks[2].tag(Tag(account_id=world.harbor.id, name="vip", key="vip").save(), by=world.maya)
        talks[3].archive(by=world.maya)
        talks[4].assign_to(world.theo, by=world.theo, expected=None)
    first = find(world.maya, "is:failed", zone=LA)
    assert [h.conversation_id for h in first.hits] == [talks[48].id] and first.more and first.until is not None
    assert [h.conversation_id for h in pages(world.maya, "is:failed")] == [talks[48].id, talks[1].id, talks[0].id], "and the rest is further back"
    for typed, id in (("tag:vip", talks[2].id), ("assignee:theo", talks[4].id), ("tag:vip is:open", talks[2].id)):
        found = find(world.maya, typed, zone=LA)
        assert [h.conversation_id for h in found.hits] == [id] and not found.more, "what has few conversations is looked at whole"
    monkeypatch.setattr(browsing, "FEW", 0)
    assert [h.conversation_id for h in pages(world.maya, "tag:vip")] == [talks[2].id]
    assert {h.conversation_id for h in pages(world.maya, "is:read")} | {h.conversation_id for h in pages(world.maya, "is:unread")} == {t.id for t in talks}


def test_CONV_9_many_inboxes_are_walked_together(world, monkeypatch):
    talks = [m.conversation for m in say(world, *[f"hello {i}" for i in range(30)])]
    other = world.text("elsewhere", sender="+14155552001", inbox=world.pharmacy).conversation
    monkeypatch.setattr(browsing, "BOXES", 0)
    monkeypatch.setattr(browsing, "WALK", 7)
    assert [h.conversation_id for h in pages(world.maya, "is:open")] == [t.id for t in reversed(talks)], "and nothing of inboxes one does not read"
    assert [h.conversation_id for h in pages(world.dana, "is:open")] == [other.id, *(t.id for t in reversed(talks))]


def test_CONV_9_drafts_are_ones_own(world):
    c = world.conversation("hello")
    with transaction():
        Draft(account_id=c.account_id, conversation_id=c.id, author_id=world.maya.id, body="half a reply").save()
    assert len(find(world.maya, "has:draft", zone=LA).hits) == 1 and find(world.theo, "has:draft", zone=LA).hits == []


SAID = [
    ("fro:bea", "There is no filter “fro:”. Did you mean “from:bea”?"), ("is:opne", "“is:opne” does not exist. Did you mean “open”?"),
    ("has:links2", "“has:links2” does not exist."), ("in:Frontdesk", "You have no inbox called “Frontdesk”."), ("tag:nope", "There is no tag “nope”."),
    ("assignee:Mayo", "Nobody here is called “Mayo”. Did you mean “Maya Chen”?"), ("from:zzz", "Nobody called “zzz” has written here."),
    ("before:soon", "“soon” is not a day."), ("on:2026-02-31", "“2026-02-31” is not a day."), ("-is:open x", "A minus leaves out words, not filters"),
    ("in:\"\" x", "needs something after the colon"), ("x" * 500, "Only the first 400 characters"), ("a b " * 20, "Only the first 24 words"),
]


def test_CONV_9_what_is_not_understood_is_said_in_a_sentence(world):
    world.conversation("hello")
    for typed, said in SAID:
        found = find(world.maya, typed, zone=LA)
        assert any(said in problem for problem in found.query.problems), (typed, found.query.problems)


def test_CONV_9_addresses_and_times_are_words_not_filters(world):
    say(world, "see https://shop.example/cart at 10:30")
    for typed in ("https://shop.example/cart", "10:30", "shop.example"):
        assert bodies(world.maya, typed), typed
        assert not read(typed).problems


def test_CONV_9_a_filter_comes_off_and_the_rest_stays():
    query = read('cream from:"Bea Lo" is:unread -dog "ear drops"')
    assert [query.less(o) for o in query.operators] == ['cream is:unread -dog "ear drops"', 'cream from:"Bea Lo" -dog "ear drops"']
    assert query.without == [Phrase(("dog",))] and query.terms == [Phrase(("cream",)), Phrase(("ear", "drops"))]


# -- pages ---------------------------------------------------------------------------------------------------------------


def pages(member, typed):
    found, after = [], ""
    for _ in range(200):
        page = find(member, typed, after=after, zone=LA)
        found += page.hits
        if not page.more:
            return found
        after = page.more
    raise AssertionError("it never ends")


def test_CONV_9_pages_show_every_conversation_once_newest_hit_first(world):
    talks = [m.conversation for m in say(world, *[f"topaz number {i}" for i in range(47)])]
    for i in (3, 10, 11, 30, 46):
        world.text(f"topaz again {i}", sender=f"+1415555{1000 + i}")
    found = pages(world.maya, "topaz")
    assert sorted(h.conversation_id for h in found) == sorted(t.id for t in talks)
    assert [h.message_id for h in found] == sorted((h.message_id for h in found), reverse=True)
    assert all(h.message_id == max(engine.find("message_words", Every((word("topaz"), word(f"§v{h.conversation_id}"))))) for h in found)
    assert len(find(world.maya, "topaz", zone=LA).hits) == PAGE
    everything = pages(world.maya, "is:open")
    assert sorted(h.conversation_id for h in everything) == sorted(t.id for t in talks) and len({h.conversation_id for h in everything}) == 47


def test_CONV_9_a_cursor_that_is_not_ours_is_refused(world):
    world.conversation("topaz")
    for typed in ("topaz", "is:open"):
        for cursor in ("x", "-1", "0", "9" * 30, "1.x", ".", "1.2.3"):
            with pytest.raises((ValueError, OverflowError)):
                find(world.maya, typed, after=cursor, zone=LA)


def seed(world, inbox, n, body, start=0):
    """Messages in bulk, indexed as the job does it."""
    rows = fill(world, inbox, n, seed=start + 7)
    ids = list(rows)
    with transaction():
        at = datetime(2026, 3, 1, tzinfo=UTC)
        db.session.execute(sa.insert(Message), [
            {"public_id": f"q{start}-{i}", "ref": f"q{start}-{i}", "account_id": inbox.account_id, "conversation_id": ids[i % len(ids)], "inbox_id": inbox.id, "kind": "in",
             "body": body(i), "state": "received", "verdict": [], "created_at": at, "provider_id": f"SMq{start}-{i}"}
            for i in range(n)
        ])
    return ids


def test_CONV_9_one_page_looks_at_a_bounded_number_of_texts_and_says_how_far_back(world):
    seed(world, world.front, BUDGET + 700, lambda i: "common words")
    while search.catch_up():
        pass
    with transaction():
        first = db.session.scalar(sa.select(sa.func.min(Message.conversation_id)))
        db.session.execute(sa.update(Conversation).where(Conversation.id != first).values(assignee_id=None))
        db.session.execute(sa.update(Conversation).where(Conversation.id == first).values(assignee_id=world.theo.id))
    found = find(world.maya, "common assignee:theo", zone=LA)
    assert found.hits == [] and found.more and found.until is not None
    assert [h.conversation_id for h in pages(world.maya, "common assignee:theo")] == [first]


# -- what was there before -----------------------------------------------------------------------------------------------------


def test_CONV_9_what_was_there_before_the_index_is_put_in_by_a_job_that_may_stop_anywhere(world, bell):
    seed(world, world.front, 1200, lambda i: f"ancient text {i}")
    late = world.conversation("a modern text", sender="+14155559999")
    assert bodies(world.maya, "ancient") == [] and search.unfinished()
    assert search.catch_up() and search.catch_up()
    anew()
    assert search.unfinished() and bodies(world.maya, "ancient text 3 ") == ["ancient text 3"]
    from jobs.index_messages import index_messages
    from jobs.sweeps import sweep_search

    bell.rung.clear()
    index_messages()
    assert not search.unfinished() and not search.catch_up()
    assert len(engine.find("message_words", word("ancient"), limit=5000)) == 1200 and len(engine.find("message_words", word("modern"), limit=50)) == 1
    assert {m.name: m.reached >= m.until for m in db.session.scalars(sa.select(SearchMark))} == {"messages": True, "contacts": True}
    with transaction():
        db.session.execute(sa.delete(SearchMark))
    index_messages()
    assert len(engine.find("message_words", word("ancient"), limit=5000)) == 1200, "twice is once"
    assert find(world.maya, "5559999", zone=LA).people[0].public_id == late.public_id
    assert sweep_search.__doc__


# -- cost ------------------------------------------------------------------------------------------------------------------------


def plan(statement, **params):
    prefix = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
    return "\n".join(str(row) for row in db.session.execute(sa.text(prefix + statement), params))


def test_CONV_9_rare_and_common_words_use_the_index_and_never_sort_all_hits(world):
    seed(world, world.front, 4000, lambda i: f"everywhere word{i % 2000}" + (" needle" if i == 77 else ""))
    while search.catch_up():
        pass
    if db.engine.dialect.name == "sqlite":
        for typed in ("everywhere", "needle"):
            found = plan("SELECT rowid FROM message_words WHERE message_words MATCH :q AND rowid < 99999 AND rowid > 0 ORDER BY rowid DESC LIMIT 100", q=f'"{typed}"')
            assert "VIRTUAL TABLE INDEX" in found and "TEMP B-TREE" not in found, found
    else:
        db.session.commit()
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE message_words")
        for typed, wanted, never in (("everywhere", "pk_message_words", "Sort"), ("needle", "ix_message_words_words", "Seq Scan")):
            statement = f"SELECT id FROM message_words WHERE words @@ CAST('{typed}' AS tsquery) AND id < 99999 AND id > 0 ORDER BY id DESC LIMIT 100"
            found = plan(statement)
            assert wanted in found and never not in found, found
    assert len(bodies(world.maya, "needle")) == 1 and len(find(world.maya, "everywhere", zone=LA).hits) == PAGE


def test_CONV_9_a_search_takes_few_queries(world):
    seed(world, world.front, 300, lambda i: "everywhere" + (" needle" if i == 7 else ""))
    while search.catch_up():
        pass
    for typed in ("everywhere", "needle", "everywhere -needle", "is:open", "from:maya", "everywhere is:unread tag:x"):
        db.session.commit()
        count = []
        listen = lambda *a: count.append(a[2])  # noqa: E731
        sa.event.listen(db.engine, "before_cursor_execute", listen)
        try:
            find(world.maya, typed, zone=LA)
        finally:
            sa.event.remove(db.engine, "before_cursor_execute", listen)
        assert len(count) <= 16, (typed, count)


SHAPES = ("needle ", "everywhere", "needle in:front", "everywhere from:maya is:open", "from:person", "person", "5551", "+1 415 555 1000", "tag:x", "is:unread in:front", "is:failed")


@pytest.mark.parametrize("typed", SHAPES)
def test_CONV_9_no_search_walks_through_an_inbox_or_an_account(world, typed):
    """Rows are looked up by their keys or along an index that ends with the page, as the size of an account has no end."""
    seed(world, world.front, 300, lambda i: "everywhere" + (" needle" if i == 7 else ""))
    c = world.conversation("needle everywhere", sender="+14155551000")
    world.named(c, "Person", "One")
    world.reply(c, world.maya, "everywhere")
    with transaction():
        c.tag(Tag(account_id=world.harbor.id, name="x", key="x").save(), by=world.maya)
    while search.catch_up():
        pass
    with statements() as seen:
        find(world.maya, typed, zone=LA)
    if db.engine.dialect.name != "sqlite":
        return  # PostgreSQL chooses by its statistics: tests/bench/search.py
    steps = [str(row[3]) for statement, asked in seen for row in db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", asked)]
    tables = ("conversation", "message", "contact", "contact_1")
    reached = [step for step in steps if step.startswith(("SCAN", "SEARCH")) and step.split()[1] in tables]
    allowed = ("INTEGER PRIMARY KEY", "ix_conversation_contact_id", "ix_conversation_open", "ix_conversation_archived")
    assert reached and all(any(index in step for index in allowed) for step in reached), reached


# -- hostile -----------------------------------------------------------------------------------------------------------------------

NASTY = ["NEAR(a b)", "a NEAR/2 b", "*", "a*", "^a", '"', '""', '"a', 'a"', "(", ")", "a AND", "OR", "NOT a", "words:a", "{a b}: c", "a\x00b", "\x00", "'; DROP TABLE message_words; --",
         "a' | 'b", "a & !b", "<->", "a:*", "\\", "\\'", "§i1", "§v1 -§", "x" * 10_000, "a " * 5000, "-", "--", "-\"", "from:", ":", "::", "is:", "\ud800", "\U0010ffff", "﷽ ℀ ①", "%", "_", "+", "+1", "1" * 300]


def test_CONV_9_hostile_queries_are_words_like_any_other(world):
    world.conversation("plain text")
    for typed in [*NASTY, *HOSTILE[:80]]:
        found = find(world.maya, typed, zone=LA)
        assert len(found.hits) <= PAGE
    assert bodies(world.dana, f"§i{world.front.id}") == [] == bodies(world.nina, f"§i{world.front.id}")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.one_of(st.text(max_size=60), st.lists(st.sampled_from([*NASTY[:30], "a", "plain", "text", '"', "is:", "from:", "on:", "-", " ", "明天", "0134"]), max_size=12).map("".join)))
def test_CONV_9_nothing_that_can_be_typed_raises(world, typed):
    if not db.session.scalar(sa.select(Message.id).limit(1)):
        world.conversation("plain text 明天")
    found = find(world.maya, typed, zone=LA)
    for hit in found.hits:
        assert "".join(text for text, _ in hit.parts).strip("…") in "plain text 明天"
    db.session.rollback()


@settings(max_examples=80, deadline=None)
@given(text=st.text(max_size=80))
def test_CONV_9_every_word_of_a_text_stands_where_it_says(text):
    words = split(text)
    assert all(0 <= w.start < w.end <= len(text) and w.text and " " not in w.text and "§" not in w.text and '"' not in w.text for w in words)
    assert all(a.start <= b.start for a, b in zip(words, words[1:], strict=False))
    assert "".join(t for t, _ in piece(text, [Phrase((w.text,)) for w in words], 10_000)) == " ".join(text.split())
    assert all(w == w.lower() or not w.isascii() for w in of_text(text))


# -- marks ---------------------------------------------------------------------------------------------------------------------------


def test_CONV_9_marks_stand_on_the_original_letters():
    assert piece("Die Weißstraße ist GRÜN", [Phrase(("weissstrasse",)), Phrase(("gru",), prefix=True)]) == [("Die ", False), ("Weißstraße", True), (" ist ", False), ("GRÜN", True)]
    assert spans("我们明天来", [Phrase(("明天",))]) == [(2, 4)]
    assert spans("call (415) 555-0199 now", read("4155550199").shown) == [(5, 19)]
    long = "word " * 100 + "needle in here " + "tail " * 100
    parts = piece(long, [Phrase(("needle",))])
    assert parts[0] == ("…", False) and ("needle", True) in parts and parts[-1] == ("…", False) and sum(len(t) for t, _ in parts) < 170
    assert piece("<b>bold</b>", [Phrase(("bold",))]) == [("<b>", False), ("bold", True), ("</b>", False)]


def test_CONV_9_words_of_a_contact_have_every_end_of_its_number():
    words = of_contact("Bea Lo", "+14155550134", "bea@x.example")
    assert {"bea", "lo", "x", "example", "14155550134", "4155550134", "0134"} <= set(words) and "134" not in words


# -- recent -----------------------------------------------------------------------------------------------------------------------------


def test_CONV_9_the_last_eight_searches_are_kept_for_their_member_alone(world):
    for i in range(11):
        clock.shift(1)
        with transaction():
            RecentSearch.keep(world.maya, f"search {i}")
    with transaction():
        clock.shift(1)
        RecentSearch.keep(world.maya, "search 5")
        RecentSearch.keep(world.maya, "  \x00 ")
    assert RecentSearch.of(world.maya) == ["search 5", *[f"search {i}" for i in (10, 9, 8, 7, 6, 4, 3)]] and RecentSearch.of(world.theo) == []
    with transaction():
        RecentSearch.forget(world.theo)
    assert len(RecentSearch.of(world.maya)) == 8
    with transaction():
        RecentSearch.forget(world.maya)
    assert RecentSearch.of(world.maya) == []


def test_CONV_9_threads_that_write_at_once_are_all_found(world, app, together):
    c, maya = world.conversation("start").id, world.maya.id

    def write(i):
        with transaction():
            db.session.get_one(Conversation, c).note(f"parallel {i}", by=person(maya))
        return True

    assert together(write, 6, app) == [True] * 6
    anew()
    assert len(engine.find("message_words", word("parallel"))) == 6
