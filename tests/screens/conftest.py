"""A token is made in a context of its own, as on a real server."""

from __future__ import annotations

import pytest

from tests.pages import CheckedClient


@pytest.fixture(autouse=True)
def own_context(monkeypatch: pytest.MonkeyPatch) -> None:
    csrf = CheckedClient.csrf

    def alone(self: CheckedClient) -> str:
        with self.application.app_context():
            return csrf(self)

    monkeypatch.setattr(CheckedClient, "csrf", alone)
