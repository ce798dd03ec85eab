"""The part that serves sockets alone, and the web part that serves them too: real processes, told of what others did, and leaving with a word."""

from __future__ import annotations

import signal

import pytest

from tests.bench import live

RESTART = b"\x88\x02\x03\xf4"  # a close frame with 1012


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_pages_are_told_and_called_back_when_the_process_stops(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MEMBERS", 4)
    with live.running(kind) as (stack, house):
        crowd = live.Crowd()
        stack.callback(crowd.close)
        crowd.open(house.sockets_at, house.browsers(12), house.environ["PUBLIC_URL"])
        crowd.say(live.show(house, True), b'"shown"')
        crowd.expect(b"Is it ready at last?")
        house.world.text("Is it ready at last?")
        assert crowd.read(seconds=20), f"{len(crowd.seen)} of 12 were told"
        crowd.drain()
        crowd.expect(RESTART)
        house.processes["live" if kind == "postgresql" else "web"].send_signal(signal.SIGTERM)
        assert crowd.read(lambda: len(crowd.seen) == 12, seconds=20), f"{len(crowd.seen)} of 12 were called back"
