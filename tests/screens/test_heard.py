"""ACC-6 and LOCK-5 on the socket: the bell, the sound and what is free again reach only the member they are for, as that member may see it."""

from __future__ import annotations

import json

import pytest

from inbox.models import Role, TrayItem, db, transaction
from inbox.models import wish as wishing
from inbox.permissions import Permission
from inbox.views import heard
from inbox.views.live import Shown
from tests.models.test_notification import fanned, give
from tests.screens.test_live import server  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("bell")


def opened(server, member):  # noqa: F811
    page = server.page(member)
    page.show()
    return page


def told(page, key):
    """The frames for scripts that carry this key, among everything told within a moment."""
    page.told += page.quiet(1.0)
    found = [json.loads(text) for text in page.told if text.startswith("{")]
    return [frame for frame in found if key in frame]


def test_ACC_6_the_bell_rings_for_its_member_alone(world, server, bell):  # noqa: F811
    c = world.conversation()
    world.named(c, "Rosa", "Diaz")
    fanned(bell)
    theo, maya = opened(server, world.theo), opened(server, world.maya)
    bell.facts.clear()
    give(world, c, world.theo, world.ada)
    fanned(bell)
    server.tell(bell)
    (news,) = told(theo, "tray")
    assert news["tray"] == {"words": "Ada Admin assigned Rosa Diaz to you", "conversation": c.public_id}
    assert any('id="bell"' in text and 'class="count hot">1<' in text for text in theo.told)
    assert not told(maya, "tray") and not any('hx-target="#bell"' in text for text in maya.told)


def test_TOOL_6_news_hide_a_number_from_who_may_not_see_it(app, world, bell):
    with transaction():
        Role.create(world.harbor, name="Shy agent", permissions={Permission.MESSAGE, Permission.CONVERSATIONS_TAKE}, by=world.dana)
        shy = next(sheet for sheet in Role.sheets(world.harbor.id) if sheet.name == "Shy agent")
        world.theo.set_roles([(shy.key, None)], by=world.dana)
    c = world.conversation(sender="+14155550191")
    fanned(bell)
    give(world, c, world.theo, world.ada)
    fanned(bell)
    world.theo.forget_inboxes()
    item = TrayItem.of(world.theo)[0]
    with app.test_request_context():
        frames = heard.frames(world.theo, [{"what": "tray", "only": world.theo.id, "item": item.id}], Shown())
    news = json.loads(frames[-1])["tray"]["words"]
    assert news.startswith("Ada Admin assigned (415)") and "0191" not in "".join(frames) and not world.theo.sees_personal


@pytest.mark.parametrize(("scope", "mine", "rings"), [("off", True, False), ("mine", True, True), ("mine", False, False), ("inbox", False, True)])
def test_ACC_6_a_new_text_is_heard_in_the_chosen_scope(world, server, bell, scope, mine, rings):  # noqa: F811
    c = world.conversation()
    if mine:
        give(world, c, world.maya, world.ada)
    with transaction():
        wishing.choose_sound(world.maya, scope, 30)
    maya, olga = opened(server, world.maya), opened(server, world.olga)
    bell.facts.clear()
    world.text("One more")
    server.tell(bell)
    sounds = told(maya, "sound")
    assert bool(sounds) is rings and not told(olga, "sound")
    if rings:
        assert sounds[0]["with"] == "sound" and sounds[0]["sound"]["volume"] == 30 and sounds[0]["sound"]["in"] == [c.public_id]
        assert sounds[0]["sound"]["file"].endswith("/chime.wav")


def test_LOCK_5_who_waits_is_told_by_name_of_what_is_free(world, server, bell):  # noqa: F811
    c = world.conversation()
    world.named(c, "Rosa", "Diaz")
    with transaction():
        c.acquire(by=world.maya)
        c.wait_for_lock(by=world.theo)
    theo, ada = opened(server, world.theo), opened(server, world.ada)
    bell.facts.clear()
    with transaction():
        c.release(by=world.maya)
    server.tell(bell)
    (news,) = told(theo, "free")
    assert news["free"] == {"name": "Rosa Diaz", "url": f"/c/{c.public_id}", "tag": c.public_id}
    assert not told(ada, "free")
    db.session.rollback()
