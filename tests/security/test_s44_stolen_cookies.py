"""SECURITY S44, S42: a new password ends copies of this browser's cookie, too; people on an IPv6 network they know count as known."""

from __future__ import annotations

from inbox.models import LoginSession, Totp, transaction
from inbox.views.sessions import network_of, place


def test_S44_a_copied_cookie_dies_with_the_old_password(app, world):
    client = app.test_client().sign_in(world.maya)
    thief = app.test_client()
    thief.set_cookie("session", client.get_cookie("session").value)
    assert thief.get("/settings/security").status_code == 200
    assert client.send("/settings/security/password", password="another quiet river").status_code == 303
    assert client.get("/settings/security").status_code == 200, "this browser goes on"
    assert thief.send("/settings/security/address", email="x@evil.example").status_code in (303, 419)
    with transaction():
        for row in LoginSession.living(world.maya):
            row.renewed_at = None  # ten seconds later
    assert thief.get("/settings/security").status_code == 303


def test_S42_a_known_network_is_a_house_of_addresses(app, world):
    assert network_of("2001:db8:1:2::5") == network_of("2001:db8:1:2:ffff::1") != network_of("2001:db8:1:3::5")
    with transaction():
        LoginSession.start(world.maya, ip="2001:db8:1:2::5", user_agent="x")
    for address, known in (("2001:db8:1:2:abcd::9", True), ("2001:db8:9::1", False), ("", False)):
        with app.test_request_context("/sign-in", environ_base={"REMOTE_ADDR": address}):
            assert bool(place(world.maya.email)) is known, address


def test_S48_a_secret_that_was_begun_long_ago_is_made_anew(world, monkeypatch):
    from datetime import timedelta

    with transaction():
        row = Totp.begin(world.maya)
        first = row.secret
        assert Totp.begin(world.maya).secret == first, "a reload shows the same"
        row.created_at -= timedelta(minutes=16)
        assert Totp.begin(world.maya).secret != first
