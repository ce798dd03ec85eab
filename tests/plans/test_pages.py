"""No page reads a large table from one end to the other: every address that can be read is opened in a full database, and what it asks is judged."""

from __future__ import annotations

import pytest
from flask import Flask

from inbox.models import Contact, Conversation, Event, Tag, db
from inbox.models.conversation import VIEWS
from tests.plans.judge import report, statements
from tests.plans.seed import FIRST, SIZE, begins

# Arguments of addresses that name what is not in this database; their pages ask for one row by its key.
ELSEWHERE = {"token", "payment", "replay", "passkey", "held", "registration", "bulk", "scheduled", "template", "attachment", "field", "step", "account", "found", "picture", "other"}
SKIPPED = {"static", "provider_sign_in.start", "health.show", "personal.show", "assets.show"}


def addresses(app: Flask, named: dict[str, str]) -> dict[str, list[str]]:
    """Every address that can be read, by endpoint, with the arguments filled in."""
    found: dict[str, list[str]] = {}
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.endpoint in SKIPPED or rule.endpoint.startswith("hooks") or "websocket" in str(rule.websocket and "websocket"):
            continue
        unknown = rule.arguments - named.keys() - {"view"}
        if unknown:
            assert unknown <= ELSEWHERE, f"{rule}: name a row of the seed for {unknown}, or say that it is elsewhere"
            continue
        views = [*VIEWS] if "view" in rule.arguments else [""]
        with app.test_request_context():
            for view in views:
                from flask import url_for

                found.setdefault(rule.endpoint, []).append(url_for(rule.endpoint, **{a: named[a] for a in rule.arguments if a != "view"}, **({"view": view} if view else {})))
    return found


# Addresses with arguments that ask for something else than the page without them.
MORE = {
    "audit.index": ["?what=everything", "?what=access", "?what=role.changed", "?who={dana}", "?about={maya}", "?since={day}", "?origin=127.0.0.1"],
    "palette.index": ["?q=person", "?q=needlework", "?q=front"],
    "search.index": ["?q=kingfisher", "?q=needlework+in:front", "?q=is:unread"],
    "contacts.index": ["?q=person", "?owner=me", "?consent=out"],
    "compose.contacts": ["?q=person", "?to=person"],
        "work.mine": ["?reply=1", "?sort=waiting"],
    "conversations.sync": ["?since={message}&event={event}"],
    "conversations.older": ["?before={message}"],
    "conversations.newer": ["?after={message}"],
    "billing.index": ["?kind=text"],
    "bulk.matches": ["?in={inbox}&view=all", "?in={inbox}&view=archived"],
    "tray.index": ["?all=1"],
}


@pytest.mark.parametrize("who", ["dana", "maya"])
def test_no_page_walks_a_large_table(app, seed, judge, client, who):
    world = seed.world
    talk = db.session.get_one(Conversation, FIRST + SIZE // 40 * 20 + 1)
    contact = db.session.get_one(Contact, talk.contact_id)
    tag = db.session.query(Tag).filter_by(name="Urgent").one()
    named = {
        "inbox": world.front.public_id, "conversation": talk.public_id, "contact": contact.public_id, "person": world.theo.public_id, "tag": tag.public_id,
        "carrier": world.carrier.public_id, "role": "agent", "message": f"m{2 * (talk.id - FIRST)}",
    }
    event = db.session.query(Event.id).filter(Event.conversation_id == talk.id).order_by(Event.id).first()[0]
    words = {
        "dana": world.dana.public_id, "maya": world.maya.public_id, "day": begins(10), "message": talk.last_message_id, "event": event, "inbox": world.front.public_id,
    }
    client.sign_in(getattr(world, who))
    found: dict[str, list[str]] = {}
    statuses: dict[str, int] = {}
    for endpoint, urls in addresses(app, named).items():
        for url in [*urls, *(urls[0] + more.format(**words) for more in MORE.get(endpoint, ()))]:
            with statements() as asked:
                answer = client.get(url)
            statuses[url] = answer.status_code
            found[f"{who} {url}"] = judge(asked)
    broken = {url: status for url, status in statuses.items() if status >= 500}
    assert not broken and sum(status == 200 for status in statuses.values()) > (60 if who == "dana" else 30), (broken, statuses)
    report(found)


def test_MORE_names_pages_that_exist(app):
    assert set(MORE) <= {rule.endpoint for rule in app.url_map.iter_rules()}
