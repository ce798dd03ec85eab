"""S25: posting every column of a member changes what the form declares and nothing else."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from inbox.forms.people import ProfileForm
from inbox.models import Grant, Member, db

DECLARED = {"name", "phone", "text_signature", "email_signature", "time_zone", "language", "theme", "shortcuts", "undo_seconds"}
VALID = {
    "name": "Changed Name", "phone": "+14155550155", "text_signature": "Changed", "email_signature": "Changed", "time_zone": "Asia/Tokyo", "language": "ja", "theme": "dark", "shortcuts": "",
    "undo_seconds": "20",
}
LIVE = {"last_seen_at"}  # noting presence is no change


def row(member_id):
    db.session.rollback()
    return dict(db.session.execute(sa.select(*Member.__table__.columns).where(Member.id == member_id)).mappings().one())


def hostile(world):
    """Every column, each with a value that would do harm if it were taken."""
    more = {
        "id": world.theo.id, "public_id": "stolen", "account_id": world.north.id, "email": "evil@example.com", "password_hash": "x", "user_id": "U9", "hue": "red", "seated": "y",
        "deactivated_at": "2030-01-01", "removed_at": "2030-01-01", "created_at": "2000-01-01", "last_seen_at": "2000-01-01", "picture_id": "stolen", "picture_sha256": "a" * 64,
        "picture_small_sha256": "a" * 64, "role": "owner", "roles": "owner", "grants": "owner", "permissions": "account.manage", "is_owner": "1", "member": world.theo.public_id,
        "person": world.theo.public_id, "by": world.dana.public_id,
    }
    return {**{column.name: "1" for column in Member.__table__.columns}, **more, **VALID}


def test_S25_the_form_declares_exactly_these_fields(app):
    with app.test_request_context():
        assert set(ProfileForm(formdata=None)._fields) - {"csrf_token"} == DECLARED


@pytest.mark.parametrize("who", ["dana", "ada", "maya", "uma", "vera"])
def test_S25_the_profile_form_takes_declared_fields_only(app, world, who):
    me = getattr(world, who)
    before = {person.id: row(person.id) for person in world.people}
    roles = set(db.session.execute(sa.select(Grant.member_id, Grant.role)))
    client = app.test_client().sign_in(me)
    for path in ("/settings/profile/preview", "/settings/profile/picture/remove", "/settings/profile", f"/settings/profile?id={world.theo.id}&member={world.theo.public_id}"):
        assert client.send(path, **hostile(world)).status_code in (200, 303)
    after = {person.id: row(person.id) for person in world.people}
    changed = {name for name, value in after[me.id].items() if before[me.id][name] != value} - LIVE
    assert changed == DECLARED, changed ^ DECLARED
    assert (after[me.id]["name"], after[me.id]["language"], after[me.id]["shortcuts"]) == ("Changed Name", "ja", False)
    assert {id: value for id, value in after.items() if id != me.id} == {id: value for id, value in before.items() if id != me.id}
    assert set(db.session.execute(sa.select(Grant.member_id, Grant.role))) == roles


def test_S25_a_picture_upload_takes_the_picture_only(app, world):
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64)).save(out, "PNG")
    before = row(world.maya.id)
    client = app.test_client().sign_in(world.maya)
    answer = client.send("/settings/profile/picture", **hostile(world), picture=(io.BytesIO(out.getvalue()), "x.png"))
    assert answer.status_code == 303
    after = row(world.maya.id)
    assert {name for name in after if before[name] != after[name]} - LIVE == {"picture_id", "picture_sha256", "picture_small_sha256"}
    assert after["picture_id"] != "stolen" and after["picture_sha256"] != "a" * 64
