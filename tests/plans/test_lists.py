"""No list, filter, sort, count or search reads a large table from one end to the other, or puts many rows in order (CONV-1, CONV-2, CONV-3, CONV-9)."""

from __future__ import annotations

from dataclasses import fields
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from inbox.models import Conversation, Filter, Inbox, Member, Tag, TrayItem, db
from inbox.models.contact_list import CONSENTS, ContactFilter, about, listed
from inbox.models.conversation import VIEWS
from inbox.models.conversation.filtering import STATUSES, choices
from inbox.models.search.finding import find
from tests.plans.judge import report, statements
from tests.plans.seed import Seed, begins

WORK = ("mine", "all")  # the lists across inboxes


def filters(seed: Seed) -> dict[str, dict[str, Any]]:
    """Every filter by itself, with what many, few and no conversations have, and those that are used together."""
    tags = {tag.name: tag.public_id for tag in db.session.query(Tag).filter_by(account_id=seed.world.harbor.id)}
    maya, olga = seed.world.maya.public_id, seed.world.olga.public_id
    shut = [status for status in STATUSES if status]
    return {
        "no filter": {}, "read": {"read": "read"}, "unread": {"read": "unread"}, "of a colleague": {"assignee": maya}, "of one who has none": {"assignee": olga},
        "mine": {"mine": True}, "needs reply": {"needs_reply": True}, "many have the tag": {"tags": (tags["Lab"],)}, "some have the tag": {"tags": (tags["Urgent"],)},
        "few have the tag": {"tags": (tags["Rare"],)}, "none has the tag": {"tags": (tags["Unused"],)}, "two tags": {"tags": (tags["Urgent"], tags["Lab"])},
        "texts": {"channel": "sms"}, "lately": {"since": begins(2)}, "long ago": {"until": begins(30)}, "before everything": {"until": begins(400)},
        "two days": {"since": begins(20), "until": begins(19)}, "longest waiting": {"sort": "waiting"},
        **{status: {"status": status} for status in shut}, **{f"{status} of mine": {"status": status, "mine": True} for status in shut},
        "archived of one who has none": {"status": "archived", "assignee": olga}, "unread of a colleague": {"read": "unread", "assignee": maya},
        "unread with a tag": {"read": "unread", "tags": (tags["Rare"],)}, "waiting of a colleague": {"sort": "waiting", "assignee": olga},
        "waiting with a tag": {"sort": "waiting", "tags": (tags["Rare"],)}, "needs reply, of mine": {"needs_reply": True, "mine": True},
    }


def test_CONV_2_the_walk_below_knows_every_filter(app, seed):
    known = {name for filter in filters(seed).values() for name in filter} | {"view"}
    assert {field.name for field in fields(Filter)} == known, "a filter of the lists is missing in filters()"


def people(seed: Seed) -> list[Member]:
    """Who sees everything, and who is in one inbox."""
    return [db.session.get_one(Member, who.id) for who in (seed.world.dana, seed.world.maya)]


@pytest.mark.parametrize("view", list(VIEWS))
def test_CONV_1_a_list_of_an_inbox_is_read_along_an_index_whatever_its_filter(app, seed, judge, view):
    found: dict[str, list[str]] = {}
    for who in people(seed):
        inbox = db.session.get_one(Inbox, seed.world.front.id)
        for name, filter in filters(seed).items():
            if view in STATUSES and (filter.get("status") or filter.get("sort")):
                continue
            found[f"{name}, {who.name}"] = judge(list(walk(who, inbox, Filter(view=view, **filter))))
    report(found)


@pytest.mark.parametrize("view", WORK)
def test_CONV_1_a_list_across_inboxes_is_read_along_an_index_whatever_its_filter(app, seed, judge, view):
    found: dict[str, list[str]] = {}
    for who in people(seed):
        for name, filter in filters(seed).items():
            found[f"{name}, {who.name}"] = judge(list(walk(who, None, Filter(view=view, **filter))))
    report(found)


def walk(who: Member, inbox: Inbox | None, filter: Filter) -> list[Any]:
    """The first page of a list, the one after it, and whether something is in it, as the socket asks."""
    with statements() as asked:
        rare = next((tag.public_id for tag in choices(who.account_id, filter.tags)[1] if tag.few), "")  # as the views do
        rows = Conversation.listing(who, inbox, filter, rare=rare)
        if rows:
            Conversation.listing(who, inbox, filter, after=rows[-1].cursor, rare=rare)
            Conversation.listing(who, inbox, filter, only=[row.id for row in rows[:20]])
    return asked


def test_CONV_1_the_counts_of_the_navigation_cost_the_same_however_many_there_are(app, seed, judge):
    found = {}
    for who in people(seed):
        with statements() as asked:
            Conversation.counts(who, Inbox.visible_to(who), TrayItem.counting(who))
        found[who.name] = judge(asked)
    report(found)


SEARCHES = (
    "kingfisher", "needlework", "xyzzyx", "kingf", "+1 200 000 1234", "000123", "person 77", "kingfisher in:pharmacy", "needlework from:maya", "from:maya", "from:olga",
    "kingfisher is:unread", "in:pharmacy is:open", "is:open", "is:archived", "is:unread", "is:read", "is:snoozed", "is:spam", "is:needs-reply", "is:unassigned", "is:failed",
    "is:mine", "assignee:theo", "assignee:olga", "assignee:none", "tag:urgent", "tag:lab", "tag:unused", "tag:rare is:open", "has:draft", "has:note", "has:attachment", "has:link",
    "kingfisher before:2020-01-01", "kingfisher after:yesterday", "kingfisher on:today", "is:archived is:failed", "is:open is:failed assignee:olga", "to:person",
)


@pytest.mark.parametrize("typed", SEARCHES)
def test_CONV_9_a_search_finds_its_way_by_indexes(app, seed, judge, typed):
    found = {}
    for who in people(seed):
        with statements() as asked:
            find(who, typed, zone=ZoneInfo("UTC"))
        found[who.name] = judge(asked)
    report(found)


def test_the_contacts_are_read_along_an_index_whatever_their_filter(app, seed, judge):
    tag = {tag.name: tag.public_id for tag in db.session.query(Tag).filter_by(account_id=seed.world.harbor.id)}
    narrowed: dict[str, dict[str, Any]] = {
        "all": {}, "mine": {"owner": "me"}, "nobody's": {"owner": "none"}, "hers": {"owner": seed.world.maya.public_id}, "rare tag": {"tag": tag["Rare"]},
        "usual tag": {"tag": tag["Urgent"]}, "unused tag": {"tag": tag["Unused"]}, "blocked": {"blocked": True}, "words": {"words": "person 77"}, "number": {"words": "2000000"},
        **{f"consent {key}": {"consent": key} for key in CONSENTS}, "blocked and mine": {"blocked": True, "owner": "me"},
    }
    assert {field.name for field in fields(ContactFilter)} == {name for each in narrowed.values() for name in each}
    found = {}
    for who in people(seed):
        for name, each in narrowed.items():
            with statements() as asked:
                rows = listed(who, ContactFilter(**each))
                about(who, rows)
                if rows:
                    listed(who, ContactFilter(**each), after=(rows[-1].name, rows[-1].id))
            found[f"{name}, {who.name}"] = judge(asked)
    report(found)
