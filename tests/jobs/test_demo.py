"""The demo never touches an account that is not its own."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
import sqlalchemy as sa
from flask import Flask

from inbox import demo, phone
from inbox.models import Account, Member, db, transaction
from tests.world import World

pytestmark = pytest.mark.one_database


def test_an_account_of_somebody_else_is_left_alone(world: World, tmp_path: Path) -> None:
    world.app.config["DEMO_FILE"] = tmp_path / "demo.json"
    with pytest.raises(click.ClickException, match="There is an account already"):
        demo.build(lambda line: None)
    assert db.session.scalar(sa.select(sa.func.count(Account.id))) == 2


def test_a_finished_demo_is_not_made_twice(app: Flask, tmp_path: Path) -> None:
    app.config["DEMO_FILE"] = tmp_path / "demo.json"
    app.config["DEMO_FILE"].write_text("[]")
    with transaction():
        Account.open(name="Harbor Vet Clinic", owner_name="Dana Whitfield", email=demo.OWNER, password=demo.PASSWORD)
    said: list[str] = []
    demo.build(said.append)
    assert said == ["The demo account exists already."] and db.session.scalar(sa.select(sa.func.count(Member.id))) == 1


def test_parts_that_do_not_run_are_named(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app.config["DEMO_FILE"] = tmp_path / "demo.json"
    monkeypatch.setattr(demo.heartbeat, "alive", lambda part: 0)
    monkeypatch.setattr(demo.time, "monotonic", iter(range(0, 1000, 40)).__next__)
    with pytest.raises(click.ClickException, match="the workers and the scheduler"):
        demo.build(lambda line: None)
    assert not app.config["DEMO_FILE"].exists() and not Account.any()


def test_the_scripts_are_playable() -> None:
    scripts = demo._scripts()
    assert len(scripts) >= 40 and len({script.phone for script in scripts}) == len(scripts)
    assert {script.inbox for script in scripts} == {name for name, _, _ in demo.INBOXES}
    for script in scripts:
        assert phone.valid(script.phone) and script.turns and script.turns[0]["from"] == "customer"
        assert all(phone.keyword(turn["text"]) is None for turn in script.turns if turn["from"] == "customer")
    assert demo.DATA.stat().st_size < 300_000


def test_pictures_are_the_same_every_time() -> None:
    assert demo._card("The label", 3) == demo._card("The label", 3)
