"""The product as an app of its own: what browsers are told about it, and which answers a device may keep."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
from PIL import Image

from inbox import assets, clock
from inbox.models import LoginSession, transaction

pytestmark = pytest.mark.one_database


@pytest.fixture
def maya(app, world):
    return app.test_client().sign_in(world.maya)


def test_the_manifest_names_icons_that_are_there_and_shortcuts_that_open(client, maya):
    answer = client.get("/manifest.webmanifest")
    told = answer.json
    assert answer.mimetype == "application/manifest+json" and told["display"] == "standalone" and told["start_url"] == "/"
    assert {icon["purpose"] for icon in told["icons"]} == {"any", "maskable"}
    for icon in told["icons"]:
        file = client.get(icon["src"])
        assert file.status_code == 200 and file.mimetype == icon["type"]
        if icon["type"] == "image/png":
            assert "x".join(map(str, Image.open(io.BytesIO(file.data)).size)) == icon["sizes"]
    assert [shortcut["name"] for shortcut in told["shortcuts"]] == ["Compose", "My work"]
    assert all(maya.get(shortcut["url"]).status_code == 200 for shortcut in told["shortcuts"])


def test_every_page_links_it(client, maya):
    for answer in (client.get("/sign-in"), maya.get("/work/mine"), maya.get("/settings/profile")):
        assert '<link rel="manifest" href="/manifest.webmanifest">' in answer.text and 'name="theme-color"' in answer.text
        assert "worker-src 'self'" in answer.headers["Content-Security-Policy"] and "manifest-src 'self'" in answer.headers["Content-Security-Policy"]


def test_the_worker_keeps_the_files_of_today(client):
    text = client.get("/sw.js").text
    for path in re.findall(r'"(/static/[^"]+)"', text):
        assert client.get(path).status_code == 200, path
    assert len(re.findall(r'"(/static/[^"]+)"', text)) == len(assets.SHELL)


def test_the_offline_page_is_nobodys(maya, world):
    text = maya.get("/offline").text
    assert "You are offline" in text and world.maya.name not in text and "Harbor" not in text and "socket" not in text


def test_only_whole_lists_may_be_kept_and_only_as_long_as_the_session_lives(maya, world):
    here = f"/i/{world.front.public_id}/all"
    for path in (here, f"{here}?read=unread", "/work/mine"):
        mark, until = maya.get(path).headers["X-Kept"].split()
        assert len(mark) == 16 and int(until) / 1000 <= clock.now().timestamp() + 86_401
    conversation = world.conversation()
    for path in (f"/c/{conversation.public_id}", "/settings/profile", "/search?q=x", f"{here}/sync", "/contacts"):
        assert "X-Kept" not in maya.get(path).headers, path
    assert "X-Kept" not in maya.get(here, headers={"HX-Request": "true"}).headers
    with transaction():
        row = LoginSession.living(world.maya)[0]
        row.created_at = clock.now() - timedelta(days=29, hours=23)
    assert int(maya.get(here).headers["X-Kept"].split()[1]) / 1000 < clock.now().timestamp() + 3700


def test_each_session_has_a_mark_of_its_own(app, world):
    marks = {app.test_client().sign_in(who).get("/work/mine").headers["X-Kept"].split()[0] for who in (world.maya, world.maya, world.theo)}
    assert len(marks) == 3
