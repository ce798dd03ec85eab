"""What the migration to contact cards does with accounts that are there: their fields are kept, and nobody loses sight of numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations

import inbox
from inbox.models import ContactField, Role, db, transaction
from inbox.permissions import Permission

P = Permission


@pytest.fixture
def migration():
    path = Path(inbox.__file__).parent / "migrations/versions/0027_contact_cards.py"
    spec = importlib.util.spec_from_file_location("contact_cards", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(step):
    with db.engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        step()
    db.session.rollback()
    db.session.expire_all()


def test_values_that_are_there_get_their_fields(world, migration):
    with transaction():
        world.conversation().contact.fields = {"Pet’s name": "Milo", "Quote \"me\"": "x", "": "nameless", "k" * 90: "long"}
        world.conversation(sender="+14155550240").contact.fields = {"PET’S NAME": "Rex", "Breed": "Pug"}
        world.conversation(sender="+12065550240", inbox=world.reception).contact.fields = {"Tooth": "9"}
    run(migration._fields_that_are_there)
    mine = ContactField.of(world.harbor.id)
    assert len(mine) == 3 and {field.name.casefold() for field in mine} == {"pet’s name", "quote \"me\"", "breed"} and {field.kind for field in mine} == {"text"}
    assert sorted(field.position for field in mine) == [0, 1, 2] and [field.name for field in ContactField.of(world.north.id)] == ["Tooth"]


def test_custom_roles_that_read_customers_go_on_seeing_numbers(world, migration):
    with transaction():
        reads, contacts, bills = (Role.create(world.harbor, name=p.name, permissions={p}, by=world.dana) for p in (P.CONVERSATIONS_VIEW, P.CONTACTS_VIEW, P.BILLING_VIEW))
    run(migration._nobody_loses_anything)
    run(migration._nobody_loses_anything)
    assert reads.permissions == {P.CONVERSATIONS_VIEW, P.CONTACTS_PII} and contacts.permissions == {P.CONTACTS_VIEW, P.CONTACTS_PII} and bills.permissions == {P.BILLING_VIEW}
    assert reads.ids == sorted(reads.ids)
