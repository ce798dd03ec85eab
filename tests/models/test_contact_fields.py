"""TOOL-6: the account's own fields of contacts."""

from __future__ import annotations

import pytest

from inbox.models import Contact, ContactField, ContactImport, Denied, Event, Member, Refused, db, transaction


def made(world, name, kind="text", choices=(), by=None):
    with transaction():
        return ContactField.create(name, kind, choices, by=by or world.dana)


def names(world):
    return [field.name for field in ContactField.of(world.harbor.id)]


def kept(world, **fields):
    contact = world.conversation().contact
    with transaction():
        contact.fields = fields
    return contact


def test_TOOL_6_fields_stand_in_the_order_they_were_made_and_moved(world):
    pet, since, plan = made(world, "Pet"), made(world, "Member since", "date"), made(world, "Plan", "choice", ["Basic", "Full", "basic", ""])
    assert names(world) == ["Pet", "Member since", "Plan"] and plan.choices == ["Basic", "Full"]
    with transaction():
        plan.move(-1, by=world.dana)
        pet.move(-1, by=world.dana)
        pet.move(1, by=world.dana)
    db.session.expire_all()
    assert names(world) == ["Plan", "Pet", "Member since"] and ContactField.of(world.north.id) == []
    with transaction():
        since.move(1, by=world.dana)
    assert names(world)[-1] == "Member since"


@pytest.mark.parametrize(("name", "kind", "choices", "field"), [("", "text", [], "name"), ("x" * 81, "text", [], "name"), ("  pÉt ", "text", [], "name"), ("A", "colour", [], "kind"), ("A", "choice", ["one", "ONE"], "choices")])
def test_TOOL_6_what_is_no_field_is_refused_in_a_sentence(world, name, kind, choices, field):
    made(world, "Pet")
    with pytest.raises(Refused) as refused:
        made(world, name, kind, choices)
    assert refused.value.field == field and names(world) == ["Pet"]


def test_TOOL_6_only_who_may_manage_fields(world):
    pet = made(world, "Pet")
    for act in (lambda: made(world, "More", by=world.maya), lambda: pet.edit("X", "text", by=world.maya), lambda: pet.move(1, by=world.vera), lambda: pet.destroy(by=world.maya)):
        with pytest.raises(Denied), transaction():
            act()
    assert names(world) == ["Pet"] and made(world, "Other", by=world.sven).name == "Other"


def test_TOOL_6_two_who_make_one_field_at_once_make_one(app, world, together):
    ids = world.dana.id, world.ada.id

    def make(n):
        with transaction():
            return ContactField.create("Pet" if n else "PET", by=db.session.get_one(Member, ids[n])).name

    found = together(make, 2, app)
    db.session.rollback()
    assert sum(isinstance(one, Refused) for one in found) == 1 and len(names(world)) == 1


def test_TOOL_6_two_imports_that_bring_one_field_at_once_make_one(app, world, together):
    id = world.harbor.id

    def learn(_):
        with transaction():
            ContactField.learn(id, ["Pet", "Breed"])

    assert together(learn, 2, app) == [None, None]
    db.session.rollback()
    assert sorted(names(world)) == ["Breed", "Pet"]


@pytest.mark.parametrize(
    ("kind", "typed", "value"),
    [
        ("number", " 1,234.50 ", "1234.50"), ("number", "3,5", "3.5"), ("number", "-7", "-7"), ("number", "12 kg", None), ("number", "NaN", None), ("number", "1e9", None),
        ("date", "2026-03-09", "2026-03-09"), ("date", "9.3.2026", None), ("date", "2026-02-30", None), ("choice", "FULL", "Full"), ("choice", "Other", None),
        ("bool", "ja", "Yes"), ("bool", "N", "No"), ("bool", "maybe", None), ("text", "  two   words ", "two words"), ("text", "x" * 301, None), ("number", "", ""),
    ],
)
def test_TOOL_6_values_are_judged_by_the_kind(world, kind, typed, value):
    field = made(world, "Field", kind, ["Basic", "Full"])
    contact = kept(world)
    if value is None:
        with pytest.raises(Refused) as refused:
            field.checked(typed)
        assert refused.value.field == "Field"
        return
    with transaction():
        ContactField.put(contact, {"Field": typed})
    db.session.expire_all()
    assert contact.fields == ({"Field": value} if value else {})


def test_TOOL_6_renaming_touches_no_contact_and_old_names_go_on_working(world):
    contact = kept(world, Pet="Milo")
    with transaction():
        ContactField.learn(world.harbor.id, ["Pet"])
    field = ContactField.of(world.harbor.id)[0]
    with transaction():
        field.edit("Animal", "text", by=world.dana)
    db.session.expire_all()
    assert contact.fields == {"Pet": "Milo"} and ContactField.shown_of(contact) == [("Animal", "Milo")]
    assert ContactField.keys_for(world.harbor.id, ["animal", "PET", "New"]) == ["Pet", "Pet", "New"]
    with transaction():
        ContactField.learn(world.harbor.id, ["Pet", "New"])
    assert names(world) == ["Animal", "New"]
    kinds = [e.kind for e in db.session.query(Event).filter(Event.kind.like("contact_field%")).order_by(Event.id)]
    assert kinds == ["contact_field.changed"]


def test_TOOL_6_a_deleted_field_comes_back_with_what_contacts_had(world):
    contact = kept(world, Pet="Milo")
    field = made(world, "Pet")
    assert ContactField.uses(world.harbor.id, [field]) == ({field.id: 1}, True)
    with transaction():
        field.destroy(by=world.dana)
    db.session.expire_all()
    assert ContactField.shown_of(contact) == [] and contact.fields == {"Pet": "Milo"}
    made(world, "Pet")
    assert ContactField.shown_of(contact) == [("Pet", "Milo")]


def test_TOOL_6_what_does_not_fit_a_new_kind_stays_until_somebody_changes_it(world):
    contact = kept(world, Weight="about ten")
    field = made(world, "Weight")
    with transaction():
        field.edit("Weight", "number", by=world.dana)
        contact.edit(by=world.dana, first="Rosa", last="", email=None, owner=None, fields={"Weight": "about ten"})
    assert contact.fields == {"Weight": "about ten"}
    with pytest.raises(Refused), transaction():
        contact.edit(by=world.dana, first="Rosa", last="", email=None, owner=None, fields={"Weight": "about nine"})
    db.session.expire_all()
    assert contact.fields == {"Weight": "about ten"}


def test_TOOL_6_dates_are_shown_as_the_reader_writes_them(world):
    field = made(world, "Since", "date")
    assert field.shown("2026-03-09") == "Mar 9, 2026" and "2026" in field.shown("2026-03-09", "de") and field.shown("soon") == "soon"


def test_contact_made_by_hand_once(app, world, together):
    ids = world.dana.id, world.maya.id

    def make(n):
        with transaction():
            return Contact.create(by=db.session.get_one(Member, ids[n]), first=f"Bo{n}", last="", phone="(415) 555-0163", email="", owner=None).name

    found = together(make, 2, app)
    db.session.rollback()
    assert sum(isinstance(one, Refused) and one.field == "phone" for one in found) == 1
    assert db.session.query(Contact).filter_by(phone="+14155550163").one().name.startswith("Bo")


def test_contact_made_by_hand_needs_a_number_and_the_permission(world):
    for by, phone, error in ((world.dana, "12", Refused), (world.vera, "(415) 555-0163", Denied)):
        with pytest.raises(error), transaction():
            Contact.create(by=by, first="Bo", last="", phone=phone, email="", owner=None)
    assert db.session.query(Contact).filter_by(phone="+14155550163").count() == 0


def test_DATA_1_imports_fill_fields_by_their_kind_and_bring_new_ones(world, bell):
    made(world, "Weight", "number")
    with transaction():
        found = ContactImport.upload("pets.csv", b'Mobile,WEIGHT,Breed\n+14155550250,"1,204",Pug\n+14155550251,heavy,Pug\n', by=world.dana)
        found.start_check(["phone", "field", "field"], header=True, clear=False, by=world.dana)
    bell.work()
    db.session.expire_all()
    [bad] = found.rows_with(["invalid"])
    assert bad.number == 2 and bad.problem == "Weight: “heavy” is not a number."
    with transaction():
        found.run(by=world.dana)
    bell.work()
    db.session.expire_all()
    assert db.session.query(Contact).filter_by(phone="+14155550250").one().fields == {"Weight": "1204", "Breed": "Pug"} and names(world) == ["Weight", "Breed"]
