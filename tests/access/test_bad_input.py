"""Bad input, everywhere: a sentence, 4xx, nothing changed, never a traceback."""

from __future__ import annotations

import pytest

from inbox.models import db
from tests.access.test_matrix import address, call, routes, samples, snapshot

ODD = ["%00", "..%2f..", "%F0%9F%90%B6", "0", "-1", "x" * 500, "%27%20OR%201=1--", "<script>", "%E2%80%AE"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_ids_in_addresses_are_not_found(app, world, odd):
    client = app.test_client().sign_in(world.dana)
    for rule, method in routes(app):
        if not rule.arguments:
            continue
        url = rule.rule
        for argument in rule.arguments:
            url = url.replace(f"<path:{argument}>", odd).replace(f"<int:{argument}>", "1").replace(f"<{argument}>", odd)
        answer = call(client, url, method)
        assert 300 <= answer.status_code < 500, f"{method} {url}: {answer.status_code}"
        assert b"Traceback" not in answer.data


@pytest.mark.parametrize("value", ["", "\x00", "nonsense", "-1", "9" * 40, "🐶" * 3000, "<img src=x onerror=alert(1)>", "' OR 1=1 --", "\u202e\ud800".encode("utf-8", "replace").decode()])
def test_nonsense_in_every_field_of_every_form_changes_nothing_or_is_kept_as_text(app, world, value):
    sample = samples(world)
    client = app.test_client().sign_in(world.dana)
    fields = ["body", "note", "kind", "fence", "seen", "nonce", "anyway", "then", "reason", "to", "inbox", "contact", "first_name", "last_name", "email", "owner", "assignee", "expected", "value", "role", "seat", "successor", "name", "description", "api_code", "team", "hue", "area_code", "prefix", "number", "forward_to", "members", "lock_on", "lock_lease", "lock_heartbeat", "idle_after", "idle_answer", "reopen", "stop_reply", "brand_legal_name", "use_case", "sample_1", "password", "time_zone", "theme", "emails", "inboxes", "active", "account", "country", "words", "read", "after", "since", "page"]
    for rule, method in routes(app):
        if rule.endpoint in ("health.show", "sessions.destroy", "profile.sign_out_everywhere", "profile.revoke_all"):
            continue
        url = address(app, rule, sample, 0)
        if method == "POST":
            answer = client.send(url, **dict.fromkeys(fields, value))
        else:
            answer = client.get(url, query_string=dict.fromkeys(fields, value))
        assert answer.status_code < 500, f"{method} {rule.rule} with {value[:20]!r}: {answer.status_code}"
        assert b"Traceback" not in answer.data
        assert b"<img src=x" not in answer.data, rule.rule
        db.session.rollback()
        if client.get("/settings/profile").status_code == 303:  # something signed us out
            client.sign_in(world.dana)


def test_refused_posts_change_nothing(app, world):
    """As the viewer, who may write nothing at all."""
    sample = samples(world)
    client = app.test_client().sign_in(world.vera)
    before = snapshot()
    from inbox.permissions import Permission
    from inbox.views.access import PUBLIC, SIGNED_IN

    for rule, method in routes(app):
        if method == "POST" and app.view_functions[rule.endpoint].permission not in (PUBLIC, SIGNED_IN):
            refused = app.view_functions[rule.endpoint].permission is not Permission.CONVERSATIONS_VIEW  # a reader's door: what was asked for decides
            status = call(client, address(app, rule, sample, 0), method).status_code
            assert status in (403, 404) if refused else status < 500, f"{rule.rule}: {status}"
    assert snapshot() == before
