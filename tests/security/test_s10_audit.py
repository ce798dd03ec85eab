"""S10: where a change came from is an address that the server itself saw, or one word of ours; never what a header says."""

from __future__ import annotations

import ipaddress

import pytest
import sqlalchemy as sa

from inbox import origin
from inbox.models import Event, db
from inbox.origin import address

PAYLOADS = ["<script>alert(1)</script>", "1.2.3.4, <b>", "203.0.113.7\r\nX: y", "' or 1=1", "fe80::1%<b>", "999.1.1.1", "localhost", "", "1.2.3.4:80", "\u0661.1.1.1"]
HEADERS = ["X-Forwarded-For", "CF-Connecting-IP", "True-Client-IP", "X-Real-IP", "X-Client-IP", "Forwarded", "Client-IP", "X-Cluster-Client-IP"]


@pytest.mark.parametrize("text", PAYLOADS)
def test_S10_what_is_no_address_is_unknown(text):
    assert address(text) == origin.UNKNOWN and address(None) == origin.UNKNOWN


@pytest.mark.parametrize(("text", "kept"), [("203.0.113.7", "203.0.113.7"), ("2001:DB8:0::1", "2001:db8::1"), ("::ffff:203.0.113.7", "203.0.113.7"), ("127.0.0.1", "127.0.0.1")])
def test_S10_an_address_has_one_spelling(text, kept):
    assert address(text) == kept


def invite(client, **kwargs):
    form = {"csrf_token": client.csrf(), "emails": "rosa@example.com", "role": "agent"}
    assert client.post("/settings/members/invitations", data=form, **kwargs).status_code in (200, 303)
    event = db.session.scalars(sa.select(Event).where(Event.kind == "invitation.sent").order_by(Event.id.desc())).first()
    return event.origin


@pytest.mark.parametrize("payload", ["<script>alert(1)</script>", "198.51.100.66"])
def test_S10_headers_do_not_say_where_one_is(app, world, payload):
    client = app.test_client().sign_in(world.dana)
    where = invite(client, headers=dict.fromkeys(HEADERS, payload), environ_overrides={"REMOTE_ADDR": "203.0.113.7"})
    assert where == "203.0.113.7"
    text = client.get("/settings/audit").text
    assert "alert(1)" not in text and "198.51.100.66" not in text and "203.0.113.7" in text


@pytest.mark.parametrize(("seen", "kept"), [("<script>", origin.UNKNOWN), ("fe80::1%<b>", origin.UNKNOWN), ("2001:db8::9", "2001:db8::9")])
def test_S10_even_the_servers_own_word_has_to_be_an_address(app, world, seen, kept):
    client = app.test_client().sign_in(world.dana)
    assert invite(client, environ_overrides={"REMOTE_ADDR": seen}) == kept
    assert kept in (origin.UNKNOWN, str(ipaddress.ip_address(seen)) if kept != origin.UNKNOWN else "")
    assert "<script>" not in client.get("/settings/audit").text.replace("<script src", "").replace("<script type", "")
