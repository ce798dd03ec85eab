"""MSG-3: texts in plain characters, and the browser counts, changes and prices exactly as the server does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page

from inbox import phone, plain
from inbox.models.conversation.replying import clean_body
from inbox.models.money import dollars

ROOT = Path(__file__).parent.parent
SEGMENTS = json.loads((ROOT / "tests/data/segmentation.json").read_text(encoding="utf-8"))
EVERY = "".join(chr(code) for code in range(0x20000) if not 0xD800 <= code <= 0xDFFF)
TYPED = st.text(st.one_of(st.sampled_from("aé€^{’“–…\u00a0½1 😀👍\u200d\ufe0fп\u0301n\u0303ﬁＡ`\t\n\r"), st.characters(exclude_categories=("Cs",))), max_size=400)
ONCE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("“It’s” — well… ‘ok’ – yes", "\"It's\" - well... 'ok' - yes"),
        ("a\u00a0b\u202fc\u3000d\te", "a b c d e"),
        ("ＨＥＬＬＯ！", "HELLO!"),
        ("ﬁne oﬃce œuvre", "fine office oeuvre"),
        ("½ cup, 1½ cups", "1/2 cup, 1 1/2 cups"),
        ("cafe\u0301 man\u0303ana A\u030angstro\u0308m", "café mañana Ångström"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("`x` ´y´ ″z″ •", "'x' 'y' \"z\" -"),
        ("😀 ‼️ ✳️ ™ 👩\u200d🚀", "😀 ‼️ ✳️ ™ 👩\u200d🚀"),
        ("Привет ç á 你好", "Привет ç á 你好"),
        ("@£$¥èéùìòÇØøÅåΔΩÆæßÉ ÄÖÑÜ§¿äöñüà^{}[]~|€", "@£$¥èéùìòÇØøÅåΔΩÆæßÉ ÄÖÑÜ§¿äöñüà^{}[]~|€"),
        ("", ""),
    ],
)
def test_MSG_3_typographic_characters_become_plain(typed: str, sent: str) -> None:
    assert plain.plain(typed) == sent


def test_MSG_3_only_a_text_that_gets_cheaper_is_changed() -> None:
    assert plain.cheaper("“Yes” – it’s ready") == "\"Yes\" - it's ready"
    for text in ("“Yes” 😀", "Это – “да”", "plain"):
        assert plain.cheaper(text) == text


def test_MSG_3_what_gsm_7_has_and_emoji_are_never_in_the_table(browser: Browser) -> None:
    kept = [char for char in EVERY if phone.segments(char).encoding == "GSM-7"]
    assert len(kept) == 137 and all(plain.plain(char) == char for char in kept)
    changed = [char for char in EVERY if plain.plain(char) != char]
    assert len(changed) > 300 and all(phone.segments(plain.plain(char)).encoding == "GSM-7" for char in changed)
    page = browser.new_page()
    assert page.evaluate("chars => chars.filter(c => /\\p{Emoji}/u.test(c))", changed) == []
    page.close()


@given(TYPED)
def test_MSG_3_plain_is_done_once_and_never_makes_a_text_dearer(text: str) -> None:
    once = plain.plain(text)
    assert plain.plain(once) == once
    assert phone.segments(plain.cheaper(text)).segments <= phone.segments(text).segments or phone.segments(text).encoding == "GSM-7"


# -- the browser's half ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def counter(browser: Browser) -> Any:
    """The page's own script on an empty page."""
    page = browser.new_page()
    source = (ROOT / "inbox/static/counter.js").read_text().replace("export ", "")
    page.evaluate(f"() => {{ {source}\n window.counter = {{ segments, plain, cheaper, clean, dollars }}; }}")
    yield page
    page.close()


def counts(page: Page, texts: list[str]) -> list[list[Any]]:
    return page.evaluate("texts => texts.map(t => counter.segments(t)).map(s => [s.uni ? 'UCS-2' : 'GSM-7', s.n, s.parts, s.room, s.odd])", texts)


def ours(text: str) -> list[Any]:
    found = phone.segments(text)
    return [found.encoding, found.units, found.segments, found.room, list(found.forced_by)]


def test_MSG_3_the_browser_counts_all_known_texts_as_two_calculators_do(counter: Page) -> None:
    found = counts(counter, [case["text"] for case in SEGMENTS])
    assert len(found) > 600
    for case, (encoding, _, parts, _, _) in zip(SEGMENTS, found, strict=True):
        assert (encoding, parts) == (case["encoding"], case["segments"]), case["id"]


@ONCE
@given(texts=st.lists(TYPED, min_size=1, max_size=20))
def test_MSG_3_the_browser_counts_any_text_as_the_server_does(counter: Page, texts: list[str]) -> None:
    assert counts(counter, texts) == [ours(text) for text in texts]
    plainly = counter.evaluate("texts => texts.map(t => [counter.plain(t), counter.cheaper(t), counter.clean(t)])", texts)
    assert plainly == [[plain.plain(text), plain.cheaper(text), clean_body(text)] for text in texts]


def test_MSG_3_browser_and_server_hold_the_same_table(counter: Page) -> None:
    mine = [plain.plain(char) for char in EVERY]
    theirs = counter.evaluate("text => [...text].map(c => counter.plain(c))", EVERY)
    assert [(hex(ord(c)), m, t) for c, m, t in zip(EVERY, mine, theirs, strict=True) if m != t] == []


@ONCE
@given(amounts=st.lists(st.integers(0, 999_999_999), min_size=1, max_size=50))
def test_MSG_3_the_browser_writes_prices_as_the_server_does(counter: Page, amounts: list[int]) -> None:
    assert counter.evaluate("amounts => amounts.map(counter.dollars)", amounts) == [dollars(amount) for amount in amounts]
