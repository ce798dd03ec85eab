"""What every carrier's adapter must do, checked against a running carrier. A new adapter is one more parameter of `provider`."""

from __future__ import annotations

import functools
import itertools
import secrets
import socket
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from inbox import clock
from inbox.channels.base import AccountProblem, Inbound, PermanentFailure, RawRequest, Receipt, Status, TemporaryFailure, Uncertain, Unreadable, merge
from tests.contract.providers import Provider, slowly
from tests.contract.rig import until

TEXTS = {
    "plain": "Hello @ Harbor, 10% off = $5 & more?",
    "gsm": "é ñ Ü ß £ ¥ Ω [ok] {x} ~ ^ | \\ €",
    "emoji": "Grüße 😀👩‍👩‍👧 мир",
    "right to left": "שלום، مرحبا",
    "lines": "one\ntwo ’three’",
}


def ref() -> str:
    return secrets.token_urlsafe(12)


def test_a_text_is_sent_once_word_for_word(provider: Provider) -> None:
    words = f"Your order is ready, {ref()}"
    sent = provider.send(ref(), words)
    assert sent.provider_id and sent.status in (Status.QUEUED, Status.SENDING, Status.SENT) and sent.segments in (1, None)
    until(lambda: provider.arrived(words) == 1)


@pytest.mark.parametrize("name", TEXTS)
def test_every_alphabet_goes_out_unharmed(provider: Provider, name: str) -> None:
    words = f"{TEXTS[name]} {ref()}"
    provider.send(ref(), words)
    until(lambda: provider.arrived(words) == 1)


@pytest.mark.parametrize("letter", ["a", "ж", "😀"])
def test_a_long_text_arrives_whole(provider: Provider, letter: str) -> None:
    words = f"{ref()} " + letter * 230
    sent = provider.send(ref(), words)
    assert sent.segments in (None, 2, 4, 5, 8), sent
    until(lambda: provider.arrived(words) == 1)


@pytest.mark.parametrize("name", TEXTS)
def test_every_alphabet_comes_in_unharmed(provider: Provider, name: str) -> None:
    provider.write(TEXTS[name])
    _, inbound = provider.inbound()
    assert (inbound.text, inbound.sender, inbound.to) == (TEXTS[name], provider.theirs, provider.ours)
    assert inbound.keyword is None and inbound.media == () and len(inbound.provider_id) <= 80 and len(inbound.dedupe) <= 150


def test_receipts_lead_to_delivered_and_name_our_text(provider: Provider) -> None:
    mine = ref()
    sent = provider.send(mine, "Is it there?")
    until(lambda: any(each.status is Status.DELIVERED for each in provider.receipts(mine)))
    told = provider.receipts(mine)
    assert {each.ref for each in told} == {mine} and {each.provider_id for each in told} == {sent.provider_id}
    assert functools.reduce(merge, (each.status for each in told), sent.status) is Status.DELIVERED


def test_receipts_in_any_order_say_the_same(provider: Provider) -> None:
    mine = ref()
    provider.send(mine, "In any order")
    until(lambda: any(each.status is Status.DELIVERED for each in provider.receipts(mine)))
    told = provider.receipts(mine)
    for order in itertools.permutations(told[:4]):
        state = functools.reduce(merge, (each.status for each in order), Status.QUEUED)
        assert state is (Status.DELIVERED if any(each.status is Status.DELIVERED for each in order) else Status.SENT)


def test_a_repeated_request_has_the_same_name_and_another_has_not(provider: Provider) -> None:
    mine = ref()
    provider.send(mine, "Once")
    until(lambda: any(each.status is Status.DELIVERED for each in provider.receipts(mine)))
    names = [[event.dedupe for event in provider.events(raw)] for raw in provider.raw("status", mine)]
    again = [[event.dedupe for event in provider.events(raw)] for raw in provider.raw("status", mine)]
    assert names == again and len({each.status for each in provider.receipts(mine)}) <= len({name for each in names for name in each})
    provider.write("ok")
    first, one = provider.inbound()
    provider.write("ok")
    _, two = provider.inbound()
    (repeated,) = provider.events(first)
    assert repeated.dedupe == one.dedupe, "a retry of the same request"
    assert one.dedupe != two.dedupe and one.provider_id != two.provider_id, "the same words, written twice"


def test_a_receipt_may_come_before_the_send_returns(provider: Provider) -> None:
    mine = ref()
    provider.proxy.hold(lambda: until(lambda: provider.raw("status", mine)))
    sent = provider.send(mine, "Faster than the answer")
    early = provider.receipts(mine)[0]
    assert early.ref == mine and early.provider_id == sent.provider_id


def test_too_many_texts_means_later_and_nothing_left(provider: Provider) -> None:
    words = f"Busy {ref()}"
    provider.busy()
    with pytest.raises(TemporaryFailure) as caught:
        provider.send(ref(), words)
    assert caught.value.retry_after == 7 and caught.value.code and provider.adapter.explain(caught.value.code).endswith(".")
    assert provider.arrived(words) == 0
    provider.send(ref(), words)
    until(lambda: provider.arrived(words) == 1)


def test_a_carrier_that_is_not_available_means_later(provider: Provider) -> None:
    provider.ill()
    with pytest.raises(TemporaryFailure):
        provider.send(ref(), "Ill")


@pytest.mark.parametrize("status", [500, 502, 504])
def test_an_error_from_between_may_have_sent_it(provider: Provider, status: int) -> None:
    provider.proxy.say(status, b"<html>Bad gateway</html>", Content_Type="text/html")
    with pytest.raises(Uncertain):
        provider.send(ref(), "Between")


@pytest.mark.parametrize("status", [500, 502])
def test_an_error_after_it_was_accepted_is_uncertain_and_settled(provider: Provider, status: int) -> None:
    mine, words, since = ref(), f"Lost answer {ref()}", clock.now()
    provider.proxy.lose(status)
    started = provider.outgoing(mine, words)
    with pytest.raises(Uncertain):
        provider.adapter.send(provider.credentials, started)
    until(lambda: provider.arrived(words) == 1)
    found = provider.adapter.find(provider.credentials, started, since)
    assert (found is not None) == provider.adapter.caps.lookup
    assert provider.receipts(mine)[0].ref == mine and provider.arrived(words) == 1


def test_what_never_reached_the_carrier_is_not_found_there(provider: Provider) -> None:
    words, since = f"Never arrived {ref()}", clock.now()
    provider.proxy.say(502, b"<html>Bad gateway</html>", Content_Type="text/html")
    started = provider.outgoing(ref(), words)
    with pytest.raises(Uncertain):
        provider.adapter.send(provider.credentials, started)
    assert provider.adapter.find(provider.credentials, started, since) is None and provider.arrived(words) == 0


def test_too_many_texts_without_a_time_means_later_all_the_same(provider: Provider) -> None:
    for answer in (b"", b"<html>Slow down</html>"):
        provider.proxy.say(429, answer, Content_Type="text/html")
        with pytest.raises(TemporaryFailure) as caught:
            provider.send(ref(), "Busy")
        assert caught.value.retry_after is None and caught.value.code


@pytest.mark.parametrize("wait", ["soon", "-5", "", "٣"])
def test_a_time_that_is_none_is_not_believed(provider: Provider, wait: str) -> None:
    provider.proxy.say(503, b"Temporal failure", Content_Type="text/plain", Retry_After=wait.encode().decode("latin-1"))
    with pytest.raises(TemporaryFailure) as caught:
        provider.send(ref(), "Busy")
    assert caught.value.retry_after is None


def test_an_answer_in_no_known_words_may_have_sent_it(provider: Provider) -> None:
    provider.proxy.say(200, b"<html>Welcome</html>", Content_Type="text/html")
    with pytest.raises(Uncertain):
        provider.send(ref(), "Unknown words")


def test_no_connection_means_later(provider: Provider) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        parts = urlsplit(provider.credentials.api_base)
        base = f"http://127.0.0.1:{free.getsockname()[1]}"
    credentials = provider.broken(api_base=base + parts.path, trusted_origins=(base,))
    with pytest.raises(TemporaryFailure):
        provider.adapter.send(credentials, provider.outgoing(ref(), "Nobody there"))


def test_a_private_address_is_refused_unless_the_operator_allows_it(provider: Provider) -> None:
    with pytest.raises(PermanentFailure, match="private network"):
        provider.adapter.send(provider.broken(trusted_origins=()), provider.outgoing(ref(), "Inside"))


def test_a_timeout_after_it_was_accepted_is_uncertain_and_never_sent_twice(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider.module, "SEND_TIMEOUT", 1.5)
    mine, words = ref(), f"Slow {ref()}"
    provider.proxy.hold(slowly(3))
    started = provider.outgoing(mine, words)
    since = clock.now()
    with pytest.raises(Uncertain):
        provider.adapter.send(provider.credentials, started)
    until(lambda: provider.arrived(words) == 1)
    found = provider.adapter.find(provider.credentials, started, since)
    assert (found is not None) == provider.adapter.caps.lookup, "it can be looked up, or the adapter says that it can't"
    assert provider.receipts(mine)[0].ref == mine, "a receipt settles it either way"
    assert provider.arrived(words) == 1


def test_wrong_credentials_are_the_accounts_problem(provider: Provider) -> None:
    with pytest.raises(AccountProblem) as caught:
        provider.adapter.send(provider.broken(auth_token="wrong"), provider.outgoing(ref(), "No"))
    assert "wrong" not in str(caught.value) and provider.adapter.explain(caught.value.code).endswith(".")


def test_a_number_that_is_none_is_refused_for_good(provider: Provider) -> None:
    with pytest.raises(PermanentFailure) as caught:
        provider.send(ref(), "To nobody", to="nonsense")
    assert not isinstance(caught.value, AccountProblem)


def test_files_go_along_or_are_refused_as_declared(provider: Provider) -> None:
    files = (f"{provider.collector.base}/picture.png",)
    if provider.adapter.caps.max_media:
        assert provider.send(ref(), "See this", media_urls=files).provider_id
        provider.write("And this", media=[{"kind": "photo"}])
        _, inbound = provider.inbound()
        assert len(inbound.media) == 1
        keys = provider.broken(api_base=provider.credentials.messaging_base)  # files come straight from the carrier
        content, kind = provider.adapter.fetch_media(keys, inbound.media[0].url)
        assert content and kind.startswith("image/") and kind == inbound.media[0].content_type
        with pytest.raises(PermanentFailure):
            provider.adapter.fetch_media(keys, inbound.media[0].url + "0")
    else:
        calls = provider.proxy.calls
        with pytest.raises(PermanentFailure):
            provider.send(ref(), "See this", media_urls=files)
        assert provider.proxy.calls == calls, "half of it is not sent"
        with pytest.raises(PermanentFailure):
            provider.adapter.fetch_media(provider.credentials, files[0])


def test_the_same_request_sent_again_is_one_event(provider: Provider) -> None:
    provider.write(f"Twice {ref()}")
    raw, inbound = provider.inbound()
    kept = {inbound.dedupe}
    for again in (raw, replace(raw, headers={**raw.headers, "i-twilio-idempotency-token": "another", "user-agent": "another"})):
        kept |= {event.dedupe for event in provider.events(again)}
    assert len(kept) == 1


def test_stop_is_seen_in_any_spelling(provider: Provider) -> None:
    provider.write("Stop.")
    _, inbound = provider.inbound()
    assert inbound.keyword == "STOP"


def _requests(provider: Provider) -> list[RawRequest]:
    """A real receipt and a real text."""
    mine = ref()
    provider.send(mine, "Signed")
    provider.write("Signed, too")
    return [until(lambda: provider.raw("status", mine))[0], provider.inbound()[0]]


def test_only_what_the_carrier_signed_is_believed(provider: Provider) -> None:
    for raw in _requests(provider):
        adapter, keys = provider.adapter, provider.credentials
        assert adapter.verify(keys, raw, raw.url) and adapter.meant_for(keys, raw)
        bare = replace(raw, headers={k: v for k, v in raw.headers.items() if "signature" not in k}, url=raw.url.replace("sig=", "gis="))
        assert not adapter.verify(keys, bare, bare.url), "no signature"
        assert not adapter.verify(provider.broken(auth_token="other", hook_key="other"), raw, raw.url), "another account's"
        assert not adapter.verify(provider.broken(auth_token="", hook_key=""), raw, raw.url), "no key"
        forged = replace(raw, headers={**raw.headers, "x-twilio-signature": "A" * 28}, url=raw.url.replace("sig=", "sig=A"))
        assert not adapter.verify(keys, forged, forged.url), "a guess"
        changed = replace(raw, body=raw.body + b"&Body=other")
        assert adapter.verify(keys, changed, changed.url) == (adapter.kind == "kannel"), "other words: Kannel signs the address alone, which is as secret as a password"
        moved = raw.url.replace("/status", "/messages") if "/status" in raw.url else raw.url.replace("/messages", "/status")
        assert not adapter.verify(keys, replace(raw, url=moved), moved), "for another purpose"
        if "ref=" in raw.url:
            other = raw.url.replace("ref=", "ref=x")
            assert not adapter.verify(keys, replace(raw, url=other), other), "about another text"
        twice = raw.url + ("&" if "?" in raw.url else "?") + "ref=x&sig=x"
        assert not adapter.verify(keys, replace(raw, url=twice), twice), "something slipped in behind"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00nonsense", b"a=1&b=2", b"{}", b"\x00"])
@pytest.mark.parametrize("query", ["", "?ref=", "?ref=x", "?type=1", "?from=%00&at=99999999999999&coding=2", "?ref=a&ref=b&type=1"])
def test_nonsense_is_unreadable_or_harmless(provider: Provider, body: bytes, query: str) -> None:
    raw = RawRequest("POST", f"{provider.collector.base}/hooks/sms/contract/messages{query}", {"content-type": "application/x-www-form-urlencoded"}, body)
    try:
        events = provider.adapter.parse(raw)
    except Unreadable as error:
        assert error.reason.endswith(".")
        return
    for event in events:
        assert isinstance(event, Inbound | Receipt) and event.dedupe and "\x00" not in repr(event)


def test_the_answer_to_a_text_never_becomes_a_text(provider: Provider) -> None:
    for kind in provider.adapter.hooks:
        status, content_type, body = provider.adapter.ack(kind)
        assert status in (200, 204) and content_type and body.replace(b'<?xml version="1.0" encoding="UTF-8"?><Response/>', b"") == b""


def test_the_declaration_is_complete(provider: Provider) -> None:
    adapter = provider.adapter
    assert adapter.key == "sms" and adapter.kind and adapter.label and {"messages", "status"} <= set(adapter.hooks)
    assert adapter.caps.text_limit >= 1600 and "delivered" in adapter.caps.receipts
    assert (adapter.price("+14155550134", 1, 0) > 0) == adapter.caps.charged
    assert adapter.caps.numbers == hasattr(adapter, "search_numbers") and adapter.caps.needs_registration == hasattr(adapter, "submit_brand")
    assert adapter.explain("nonsense").endswith(".") and adapter.explain(None).endswith(".")
    assert "secret" not in repr(provider.broken(auth_token="secret", hook_key="secret"))
