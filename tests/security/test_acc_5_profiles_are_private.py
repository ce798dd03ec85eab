"""ACC-5: nobody opens another's profile, by any path; name and picture are all that is shown of it."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa
from PIL import Image

from inbox.models import Event, Member, db, transaction
from tests.access.test_matrix import address, routes, samples

PHONE = "+15035550188"
SIGNATURE, BLOCK = "PLANTEDsuffix", "PLANTEDblock <b>of words</b>"
ZONE, LANGUAGE = "NZ-CHAT", "eo-PLANTED"  # neither is offered by any list, so wherever they show they came from the row
SHA, SMALL = "5ec2e7" + "a" * 58, "5ec2e7" + "b" * 58
SECRETS = [text.encode() for text in ("PLANTED", ZONE, SHA[:12], SMALL[:12], PHONE, "555-0188")]


def plant(world, who):
    """A profile with marks in every private field, changed through the product, so that events tell of it."""
    with transaction():
        who.edit_profile({"phone": PHONE, "text_signature": SIGNATURE, "email_signature": BLOCK, "time_zone": ZONE, "language": LANGUAGE}, by=who)
        who.set_picture(SHA, SMALL, by=who)
        world.front.sign_texts = False
    return who.picture_id


@pytest.mark.one_database
@pytest.mark.parametrize("reader", ["dana", "ada", "theo"])
def test_ACC_5_no_page_fragment_or_file_tells_of_anothers_profile(app, world, reader):
    sample = samples(world)
    picture = plant(world, world.maya)
    with transaction():  # she is on every list there is: assigned, author, owner of a contact
        conversation = db.session.scalar(sa.select(type(world.conversation())).where(sa.text("public_id = :id")).params(id=sample["conversation"][0]))
        conversation.assignee_id = world.maya.id
        conversation.contact.owner_id = world.maya.id
    client = app.test_client().sign_in(getattr(world, reader))
    sample |= {"member": (world.maya.public_id,) * 2, "person": (world.maya.public_id,) * 2, "picture": (picture, picture)}
    seen = 0
    for rule, method in routes(app):
        if method != "GET" or set(rule.arguments) - set(sample):  # tests/access insists on samples
            continue
        for query, headers in ((f"?member={world.maya.public_id}&person={world.maya.public_id}&id={world.maya.id}", {}), ("", {"HX-Request": "true"})):
            answer = client.get(address(app, rule, sample, 0) + query, headers=headers)
            data = answer.get_data()
            seen += answer.status_code == 200 and b"Maya Chen" in data
            for secret in SECRETS:
                assert secret not in data, f"{reader} {rule.rule}{query}: {secret!r}"
                assert secret.decode() not in str(answer.headers), f"{reader} {rule.rule}: header {secret!r}"
    assert seen > 5 if reader in ("dana", "ada") else seen, "the walk met her on the pages"
    own = app.test_client().sign_in(world.maya).get("/settings/profile").get_data(as_text=True)
    assert SIGNATURE in own and "PLANTEDblock" in own, "and she herself finds them"


def test_ACC_5_the_audit_log_and_its_file_name_fields_only(app, world):
    plant(world, world.maya)
    told = db.session.scalars(sa.select(Event).where(Event.kind == "member.profile_changed").order_by(Event.id)).all()
    assert [e.data["fields"] for e in told] == [["email_signature", "language", "phone", "text_signature", "time_zone"], ["picture"]]
    assert all(mark not in str(e.data) for e in told for mark in (SIGNATURE, "of words", ZONE, LANGUAGE, SHA))
    client = app.test_client().sign_in(world.dana)
    for path in ("/settings/audit", "/settings/audit?kind=member.profile_changed", "/settings/audit.csv", "/settings/audit/export"):
        answer = client.get(path)
        assert not any(secret in answer.data for secret in SECRETS), path


def test_ACC_5_there_is_no_address_of_anothers_profile(app, world):
    plant(world, world.maya)
    rules = [rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("profile.")]
    assert rules and not any("<" in rule for rule in rules), "the profile's addresses take no id"
    client = app.test_client().sign_in(world.dana)
    for query in ("", f"?member={world.maya.public_id}", f"?id={world.maya.id}", f"?person={world.maya.public_id}"):
        page = client.get("/settings/profile" + query).get_data(as_text=True)
        assert 'value="Dana Whitfield"' in page and SIGNATURE not in page
    for tail in ("", "/profile", "/picture", "/signature", "/edit"):
        answer = client.get(f"/settings/profile/{world.maya.public_id}{tail}")
        assert answer.status_code == 404


def test_ACC_5_a_picture_shows_where_the_name_does_and_its_hash_nowhere(app, world):
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "#a42").save(out, "PNG")
    maya = app.test_client().sign_in(world.maya)
    assert maya.send("/settings/profile/picture", picture=(io.BytesIO(out.getvalue()), "x.png")).status_code == 303
    c = world.conversation()
    with transaction():
        c.assignee_id = world.maya.id
    me = db.session.get(Member, world.maya.id)
    theo = app.test_client().sign_in(world.theo)
    page = theo.get(f"/i/{world.front.public_id}/others").get_data(as_text=True)
    assert f'<img class="av xs" src="/pictures/{me.picture_id}/small" alt="Assigned to Maya Chen">' in page and me.picture_sha256[:12] not in page
    answer = theo.get(f"/pictures/{me.picture_id}/small")
    assert answer.status_code == 200 and me.picture_sha256 not in str(answer.headers) and me.picture_small_sha256 not in str(answer.headers)
    assert theo.get(f"/pictures/{me.picture_id}", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert app.test_client().sign_in(world.nina).get(f"/pictures/{me.picture_id}").status_code == 404


def queries(function):
    count = 0

    def note(*_):
        nonlocal count
        count += 1

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        function()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
    return count


def test_pictures_cost_a_list_no_query(app, world):
    theo = app.test_client().sign_in(world.theo)
    path = f"/i/{world.front.public_id}/others"

    def fill(n):
        for i in range(n):
            c = world.conversation(sender=f"+1415555{2000 + i}")
            with transaction():
                c.assignee_id = world.maya.id

    fill(2)
    theo.get(path)
    few = queries(lambda: theo.get(path))
    plant(world, world.maya)
    fill(20)
    assert queries(lambda: theo.get(path)) == few
    assert theo.get(path).get_data(as_text=True).count(f"/pictures/{world.maya.picture_id}/small") >= 20
