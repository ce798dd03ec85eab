"""The phone simulator, without and with JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import html5lib
import httpx
import pytest
from playwright.sync_api import expect

from .conftest import ROSA, Sandbox

INBOX = "+14156662233"
PAIR = {"phone": ROSA, "number": INBOX}


@pytest.fixture
def page(line: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=line.url, trust_env=False, follow_redirects=True, timeout=20) as made:
        yield made


def test_the_page_is_strict_about_scripts_and_valid(page: httpx.Client) -> None:
    answer = page.get("/", params=PAIR)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert not re.search(r"<style|<script(?! type=\"module\" src=)|\son\w+=|\sstyle=", answer.text)
    html5lib.HTMLParser(strict=True).parse(answer.text)
    for path in re.findall(r'(?:href|src)="(/static/[^"#]+)', answer.text):
        assert page.get(path).status_code == 200, path
    for link in ("Rosa Delgado", "(415) 666-2233", "Delivery outcome", "Webhook log"):
        assert link in answer.text


def test_an_empty_sandbox_says_what_to_do(sandbox: Sandbox) -> None:
    text = httpx.get(sandbox.url, trust_env=False).text
    assert "Create an inbox with a number" in text and "None yet" in text


def test_forms_work_without_a_script(page: httpx.Client, line: Sandbox) -> None:
    said = page.post("/say", data={**PAIR, "body": "Hello <b>there</b>"})
    assert said.status_code == 200 and "Hello &lt;b&gt;there&lt;/b&gt;" in said.text
    for extra in ({"quick": "STOP"}, {"photo": "1"}):
        assert page.post("/say", data={**PAIR, **extra}).status_code == 200
    files = [("pictures", (f"{place}.png", b"\x89PNG", "image/png")) for place in range(3)]
    page.post("/say", data={**PAIR, "body": "Three"}, files=files)
    line.settle()
    bodies = [(hit["Body"], hit["NumMedia"]) for hit in line.receiver.at("/sms")]
    assert sorted(bodies) == [("", "1"), ("Hello <b>there</b>", "0"), ("STOP", "0"), ("Three", "3")]
    picture = re.findall(r'src="(/picture/ME\w+)"', page.get("/", params=PAIR).text)[0]
    assert page.get(picture).headers["content-type"] == "image/png"
    page.post("/ring", data={**PAIR, "outcome": "busy"})
    line.settle()
    assert line.receiver.at("/voice")
    page.post("/outcome", data={**PAIR, "outcome": "filtered"})
    page.post("/time", data={**PAIR, "advance": "3600"})
    page.post("/faults", data={**PAIR, "kind": "429"})
    page.post("/options", data={**PAIR, "review": "fast", "auto_opt_out": "1"})
    state = line.state()
    assert state["phones"][0]["outcome"] == "filtered" and state["faults"][0]["kind"] == "429"
    assert state["settings"]["review"] == "fast" and state["settings"]["auto_opt_out"] is True
    page.post("/faults", data={**PAIR, "clear": "1"})
    assert line.state()["faults"] == []


def test_a_new_phone_gets_a_free_fictional_number(page: httpx.Client, line: Sandbox) -> None:
    shown = page.post("/phones", data={"name": "Ana & Co", "area": "206", "number": INBOX})
    assert "Ana &amp; Co" in shown.text and "(206) 555-0100" in shown.text
    page.post("/phones", data={"name": "Ben", "area": "206"})
    assert line.state()["phones"][-1]["number"] == "+12065550101"


@pytest.mark.parametrize(("path", "data"), [
    ("/say", {"body": "Hi"}), ("/say", {**PAIR, "body": "  "}), ("/say", {**PAIR, "body": "a" * 1601}),
    ("/ring", {**PAIR, "outcome": "x"}), ("/outcome", {"phone": ROSA, "outcome": "x"}), ("/phones", {"name": " "}),
    ("/registration", {"sid": "x", "verdict": "approve"}), ("/time", {"advance": "x"}), ("/faults", {"kind": "x"}),
    ("/options", {"review": "x"}),
])
def test_mistakes_are_answered_in_words(page: httpx.Client, path: str, data: dict[str, str]) -> None:
    answer = page.post(path, data=data)
    assert answer.status_code in (400, 404) and "That did not work" in answer.text
    spoken = page.post(path, data=data, headers={"Accept": "application/json"})
    assert len(spoken.json()["message"]) > 10


def test_files_that_are_no_pictures_are_refused(page: httpx.Client, line: Sandbox) -> None:
    for name, body, kind in (("a.html", b"<script>", "text/html"), ("b.png", b"x" * 5_000_001, "image/png")):
        answer = page.post("/say", data=PAIR, files={"pictures": (name, body, kind)})
        assert answer.status_code in (400, 413) and name in answer.text
    assert line.receiver.hits == []


@pytest.mark.browser
def test_the_thread_is_live_and_typing_is_left_alone(line: Sandbox, browser: Any) -> None:
    with browser.new_context() as context:
        tab: Any = context.new_page()
        problems: list[str] = []
        tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: problems.append(str(error)))
        tab.goto(f"{line.url}/?number=%2B14156662233")
        tab.fill("[data-say] [name=body]", "half typed")
        line.send(ROSA, "Your visit is booked")
        line.advance(5)
        expect(tab.locator(".thread .bub", has_text="Your visit is booked")).to_be_visible()
        assert tab.input_value("[data-say] [name=body]") == "half typed"
        assert tab.evaluate("document.activeElement.name") == "body"
        tab.press("[data-say] [name=body]", "Enter")
        expect(tab.locator(".thread .msg.me", has_text="half typed")).to_be_visible()
        expect(tab.locator("[data-say] [name=body]")).to_have_value("")
        tab.check("[name=outcome][value=slow]")
        expect(tab.locator("#note")).to_be_hidden()
        for width in (390, 800, 1100, 1440):
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert problems == []
    assert line.state()["phones"][0]["outcome"] == "slow"
