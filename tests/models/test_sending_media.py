"""PERM-1, SEAT-3: sending pictures is a permission of its own."""

from __future__ import annotations

import pytest

from inbox.models import Attachment, Denied, Dispatch, Role, db, transaction
from inbox.permissions import Permission


def test_PERM_1_pictures_need_their_own_permission(world):
    c = world.conversation()
    with transaction():
        role = Role.create(world.harbor, name="Words only", permissions=[Permission.MESSAGE], by=world.dana)
        world.theo.set_roles([(role.public_id, None)], by=world.dana)
        held = c.acquire(by=world.theo)

    def picture():
        return Attachment(account_id=world.harbor.id, state="stored", filename="ear.png")

    with pytest.raises(Denied) as denied, transaction():
        c.reply("Here", by=world.theo, fence=held.fence, seen=c.last_inbound_id, uploads=[picture()])
    assert "does not allow you to send pictures and files" in denied.value.sentence
    assert db.session.query(Dispatch).count() == 0
    with transaction():
        c.reply("Here", by=world.theo, fence=held.fence, seen=c.last_inbound_id)
        c.release(by=world.theo)
        held = c.acquire(by=world.maya)
        message = c.reply("A picture", by=world.maya, fence=held.fence, seen=c.last_inbound_id, uploads=[picture()])
    assert [a.filename for a in message.attachments] == ["ear.png"]


def test_PERM_6_the_composer_says_why_there_are_no_pictures(world, client):
    c = world.conversation()
    with transaction():
        role = Role.create(world.harbor, name="Words only", permissions=[Permission.MESSAGE], by=world.dana)
        world.theo.set_roles([(role.public_id, None)], by=world.dana)
    page = client.sign_in(world.theo).get(f"/c/{c.public_id}").text
    assert "Your role Words only does not allow you to send pictures and files." in page
    assert "does not allow you to send pictures" not in client.sign_in(world.maya).get(f"/c/{c.public_id}").text
