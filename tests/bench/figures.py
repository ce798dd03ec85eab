"""Prints the figures of the README and the release notes: `.venv/bin/python -m tests.bench.figures [cpu] [weight] [lock] [webhook] [--json]`.

cpu: ms of CPU per request in the web process; weight: bytes and requests of a cold first load; lock: click in one browser to strip in another;
webhook: ms of CPU per inbound text in every process, on both databases (`--json` is for these).
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from inbox.extensions import db
from inbox.models import Conversation, Inbox, Member, transaction
from tests.bench.webhook import measure
from tests.browser.conftest import House, Person
from tests.conftest import FLAGS, chromium
from tests.pages import CheckedClient


def percentile(values: list[float], p: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * p))]


def house() -> House:
    """A running system with the cast and 400 conversations of ten texts each."""
    running = House(Path(tempfile.mkdtemp(prefix="figures-")) / "data")
    world = running.cast = running.world()  # type: ignore[attr-defined]
    with running.app.app_context():
        box = db.session.get(Inbox, world.front.id)
        for i in range(400):
            for n in range(3):
                world.text(f"Message {n} of customer {i}: is my order ready, and can I pick it up today?", sender=f"+1415555{1000 + i}", inbox=box)
        db.session.remove()
    return running


def cpu(running: House) -> None:
    """CPU of one request, in process, without the network."""
    app = running.app
    app.test_client_class = None
    with app.app_context():
        maya = db.session.query(Member).filter_by(name="Maya Chen").one()
        inbox = db.session.query(Inbox).filter_by(name="Front Desk").one()
        conversations = db.session.query(Conversation).filter_by(inbox_id=inbox.id).limit(60).all()
        client = CheckedClient.sign_in(CheckedClient(app, use_cookies=True), maya)
        client.open = lambda *a, **k: super(CheckedClient, client).open(*a, **k)  # type: ignore[method-assign]
        rest = iter(conversations)

        def measure(name: str, request: Callable[[], Any], n: int = 40) -> None:
            request()
            spent = []
            for _ in range(n):
                start = time.process_time()
                request()
                spent.append((time.process_time() - start) * 1000)
            print(f"{name:8} {statistics.median(spent):6.1f} ms CPU (p95 {percentile(spent, 0.95):.1f})")

        measure("list", lambda: client.get(f"/i/{inbox.public_id}/all"))
        measure("open", lambda: client.get(f"/c/{conversations[0].public_id}", headers={"HX-Request": "true"}))
        token = client.csrf()

        def reply() -> None:
            conversation = next(rest)
            db.session.add(conversation)
            with transaction():
                held = conversation.acquire(by=maya)
            assert held
            answer = client.post(
                f"/c/{conversation.public_id}/messages",
                data={"csrf_token": token, "body": "Yes, it is ready.", "fence": held.fence, "seen": conversation.last_inbound_id},
                headers={"HX-Request": "true"},
            )
            assert answer.status_code == 201, answer.data[:300]

        measure("reply", reply, 30)
        size = len(gzip.compress(client.get(f"/c/{conversations[0].public_id}", headers={"HX-Request": "true"}).data))
        print(f"opening a conversation by htmx: {size} bytes gzip")


def weight(running: House) -> None:
    """A cold first load of the inbox page."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        person = Person(browser.new_context(viewport={"width": 1440, "height": 900}), running, running.cast.maya)  # type: ignore[attr-defined]
        state = person.context.storage_state()
        context = browser.new_context(storage_state=state, viewport={"width": 1440, "height": 900})
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        received: list[float] = []
        session.on("Network.loadingFinished", lambda e: received.append(e["encodedDataLength"]))
        page.goto(f"{running.url}/i/{running.cast.front.public_id}/all")  # type: ignore[attr-defined]
        page.wait_for_load_state("networkidle")
        nodes = page.evaluate("document.querySelectorAll('*').length")
        print(f"first load: {sum(received) / 1000:.1f} kB on the wire, {len(received)} requests, {nodes} DOM nodes")
        browser.close()


def lock(running: House, times: int = 100) -> None:
    """From the click in browser A to the strip in browser B."""
    cast = running.cast  # type: ignore[attr-defined]
    with running.app.app_context():
        inbox = db.session.query(Inbox).filter_by(name="Front Desk").one()
        conversation = db.session.query(Conversation).filter_by(inbox_id=inbox.id).order_by(Conversation.id.desc()).first()
        assert conversation
        path = f"/c/{conversation.public_id}"
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        for name, blocked in (("websocket", False), ("plain HTTP", True)):
            watcher = Person(browser.new_context(), running, cast.theo)
            actor = Person(browser.new_context(), running, cast.maya)
            if blocked:
                watcher.page.route_web_socket("**/live**", lambda ws: ws.close())
            actor.open(path)
            actor.page.locator('#lock[data-state="mine"]').wait_for()
            watcher.open(path)
            watcher.page.locator('#lock[data-state="theirs"]').wait_for()
            spent = []
            for _ in range(times if not blocked else 20):
                actor.page.get_by_role("button", name="Release").first.click()
                watcher.page.locator('#lock[data-state="free"], #lock[data-state="mine"]').wait_for(state="attached")
                button = actor.page.locator("#lock button").first
                button.wait_for()
                start = time.perf_counter()
                button.click()
                watcher.page.locator('#lock[data-state="theirs"]').wait_for()
                spent.append((time.perf_counter() - start) * 1000)
            print(f"lock by {name}: p50 {percentile(spent, 0.5):.0f} ms, p99 {percentile(spent, 0.99):.0f} ms over {len(spent)}")
            watcher.context.close()
            actor.context.close()
        browser.close()


def webhook(as_json: bool) -> None:
    """What one inbound text costs."""
    for database in ("sqlite", "postgresql"):
        figures = measure(database)
        print(json.dumps(figures) if as_json else "\n".join(f"{name}: {value}" for name, value in figures.items()), flush=True)


if __name__ == "__main__":
    wanted = [name for name in sys.argv[1:] if name != "--json"] or ["cpu", "weight", "lock", "webhook"]
    if "webhook" in wanted:
        webhook("--json" in sys.argv)
    pages = [name for name in wanted if name != "webhook"]
    running = house() if pages else None
    try:
        for name in pages:
            {"cpu": cpu, "weight": weight, "lock": lock}[name](running)
    finally:
        if running:
            running.stop()
