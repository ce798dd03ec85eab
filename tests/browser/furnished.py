"""A running system with one of everything in it, for walks over all pages; apart from the house of the stories, which it would crowd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from inbox.extensions import db
from inbox.models.base import Model
from tests.access.test_matrix import address, routes, samples
from tests.browser.conftest import House
from tests.pages import CheckedClient


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    house = House(tmp_path_factory.mktemp("furnished") / "data")
    try:
        house.cast = house.world()  # type: ignore[attr-defined]
        house.pages = _pages(house)  # type: ignore[attr-defined]
        yield house
    finally:
        house.stop()


def _pages(house: House) -> list[str]:
    """The addresses of all whole pages that the owner can open, collected from the routes."""
    with house.app.app_context():
        world = house.cast  # type: ignore[attr-defined]
        for name, value in vars(world).items():
            if isinstance(value, Model):
                setattr(world, name, db.session.get_one(type(value), value.id))
        sample = samples(world)
        db.session.commit()
        urls = [address(house.app, rule, sample, 0) for rule, method in routes(house.app) if method == "GET" and set(rule.arguments) <= set(sample)]
        client = CheckedClient(house.app, use_cookies=True).sign_in(world.dana)
        found = sorted({url for url in urls if _whole(client, url)})
        for value in vars(world).values():
            if isinstance(value, Model):
                db.session.refresh(value)  # the stories use it after this session is gone
                db.session.expunge(value)
        return ["/sign-in", "/offline", *found]


def _whole(client: Any, url: str) -> bool:
    answer = client.get(url)
    return answer.status_code == 200 and answer.mimetype == "text/html" and answer.get_data(as_text=True).lstrip().lower().startswith("<!doctype")
