"""Who uses the system during a run: agents who reply over HTTP as a browser does, and customers who text in through the carrier."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from html import unescape
from secrets import token_urlsafe

import httpx

HTMX = {"HX-Request": "true"}
TIMEOUT = httpx.Timeout(12.0, connect=2.0)


def hidden(html: str, name: str) -> str:
    """The value of a hidden field, or "" when the page has none of that name."""
    found = re.search(rf'name="{name}"[^>]*?value="([^"]*)"', html)
    return unescape(found.group(1)) if found else ""


@dataclass(frozen=True)
class Text:
    """A reply as its writer meant it; `nonce` is what makes a repeated press of Send harmless."""

    conversation: str
    phone: str
    body: str
    nonce: str


class Agent(threading.Thread):
    """Works through a list of replies: lock, send, and the same form again when no answer came."""

    def __init__(self, url: str, email: str, password: str, todo: list[Text], over: threading.Event) -> None:
        super().__init__(name=email, daemon=True)
        self.todo, self.over = todo, over
        self.accepted: list[Text] = []
        self.refused: list[tuple[Text, str]] = []
        self.unanswered: list[Text] = []
        self.posts = 0
        self.open: dict[str, dict[str, str]] = {}  # the pages this person has open: conversation -> what its form holds
        self.html = httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False)
        page = self.html.get("/sign-in").text
        answer = self.html.post("/sign-in", data={"csrf_token": hidden(page, "csrf_token"), "email": email, "password": password})
        if answer.status_code != 303:
            raise AssertionError(f"{email} could not sign in: {answer.status_code}")

    def run(self) -> None:
        for text in self.todo:
            if not self.over.is_set():
                self.send(text)

    def send(self, text: Text) -> None:
        """Write one reply and press Send until somebody says yes or no."""
        tries = 0
        while not self.over.is_set():
            try:
                if self._open(text.conversation) and self._press_send(text):
                    return
            except httpx.HTTPError:
                pass
            tries += 1
            self.over.wait(min(1.0, 0.1 * tries))
        self.unanswered.append(text)

    def _open(self, conversation: str) -> bool:
        """Look at the conversation unless its page is open already, and take the lock or keep it."""
        if conversation not in self.open:
            page = self.html.get(f"/c/{conversation}")
            if page.status_code != 200:
                return False
            self.open[conversation] = {name: hidden(page.text, name) for name in ("csrf_token", "seen")}
        form = self.open[conversation]
        lock = self.html.post(f"/c/{conversation}/lock", data={"csrf_token": form["csrf_token"]}, headers=HTMX)
        form["fence"] = hidden(lock.text, "fence")
        return lock.status_code == 200

    def _press_send(self, text: Text) -> bool:
        """Post the form; whether there was an answer that settles it."""
        self.posts += 1
        answer = self.html.post(f"/c/{text.conversation}/messages", data={**self.open[text.conversation], "body": text.body, "nonce": text.nonce}, headers=HTMX)
        if answer.status_code == 201:
            self.open[text.conversation]["seen"] = hidden(answer.text, "seen")
            self.accepted.append(text)
        elif answer.status_code == 409:  # the lock lapsed, or the customer wrote meanwhile: look again
            del self.open[text.conversation]
        elif answer.status_code < 500:
            self.refused.append((text, f"{answer.status_code}: {' '.join(re.sub('<[^>]+>', ' ', answer.text).split())[:200]}"))
        return answer.status_code < 500 and answer.status_code != 409


class Customers(threading.Thread):
    """Texts in now and then; the carrier posts them as signed webhooks and repeats them by its own rules."""

    def __init__(self, carrier: str, number: str, phones: list[str], count: int, over: threading.Event) -> None:
        super().__init__(name="customers", daemon=True)
        self.carrier, self.number, self.phones, self.count, self.over = carrier, number, phones, count, over
        self.written: dict[str, str] = {}  # the carrier's id -> the words

    def run(self) -> None:
        for place in range(self.count):
            if self.over.wait(0.7):
                return
            self.write(self.phones[place % len(self.phones)], f"Question {place}")

    def write(self, phone: str, body: str) -> None:
        try:
            answer = httpx.post(f"{self.carrier}/__sim/inbound", json={"from": phone, "to": self.number, "body": body}, timeout=30, trust_env=False)
            self.written[answer.raise_for_status().json()["sid"]] = body
        except httpx.HTTPError:
            pass


def replies(conversations: dict[str, str], count: int) -> list[Text]:
    """That many replies over the conversations (phone -> public id), in rounds; every fourth has words that were said before."""
    phones = list(conversations)
    usual = ("ok", "Thank you!", "On our way")
    texts = []
    for place in range(count):
        phone, turn = phones[place % len(phones)], place // len(phones)
        body = usual[turn % len(usual)] if turn % 2 and place % 2 else f"Your order {place} is ready."
        texts.append(Text(conversations[phone], phone, body, token_urlsafe(18)))
    return texts
