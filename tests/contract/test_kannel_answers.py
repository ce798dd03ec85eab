"""What a real Kannel answers, and what becomes of outcomes that only a network has: the words other tests rely on are checked here."""

from __future__ import annotations

import functools
import secrets
from dataclasses import replace

import httpx
import pytest

from inbox.channels.base import AccountProblem, PermanentFailure, RawRequest, Status, merge
from inbox.channels.kannel import Kannel, sign
from tests.contract.providers import HOOK_KEY, HOOKS, Collector, KannelProvider
from tests.contract.rig import Rig, until

KANNEL = {"no receiver": (400, b"Missing receiver(s) number(s), rejected"), "wrong password": (403, b"Authorization failed for sendsms")}
FAR = "+12065550134"  # goes to the moody network


@pytest.fixture
def kannel(rig: Rig, collector: Collector):
    collector.requests.clear()
    collector.listener = None
    rig.moody.taken.clear()
    rig.moody.status = 202
    made = KannelProvider(rig, collector)
    yield made
    made.proxy.close()


@pytest.mark.parametrize(("password", "case"), [("right", "no receiver"), ("wrong", "wrong password")])
def test_the_words_of_kannel_are_these(rig: Rig, password: str, case: str) -> None:
    headers = {"X-Kannel-Username": rig.user, "X-Kannel-Password": rig.password if password == "right" else "no", "Content-Type": "text/plain; charset=UTF-8"}
    answer = httpx.post(rig.send_url, headers=headers, content=b"", trust_env=False)
    assert (answer.status_code, answer.content) == KANNEL[case]


def test_the_self_test_sends_nothing_and_names_the_field(kannel: KannelProvider) -> None:
    before = len(kannel.rig.phones())
    adapter = kannel.adapter
    assert adapter.check(kannel.credentials) is None
    assert adapter.check(kannel.broken(auth_token="wrong")).field == "auth_token"
    assert adapter.check(kannel.broken(account_sid="nobody")).field == "auth_token"
    assert adapter.check(kannel.broken(api_base=kannel.proxy.base + "/nope")).field == "api_base"
    assert adapter.check(kannel.broken(api_base="http://127.0.0.1:9/x", trusted_origins=("http://127.0.0.1:9",))).code == "unreachable"
    assert adapter.check(kannel.broken(trusted_origins=())).field == "api_base"
    assert len(kannel.rig.phones()) == before


OUTCOMES = [([1], Status.DELIVERED, None), ([2], Status.UNDELIVERED, "smpp:failed"), ([4], Status.SENT, None), ([4, 2], Status.UNDELIVERED, "smpp:failed"), ([4, 1], Status.DELIVERED, None)]


@pytest.mark.parametrize(("reports", "end", "code"), OUTCOMES)
def test_what_the_network_reports_becomes_our_state(kannel: KannelProvider, reports: list[int], end: Status, code: str | None) -> None:
    mine = secrets.token_urlsafe(12)
    kannel.send(mine, "Far away", to=FAR)
    taken = until(lambda: kannel.rig.moody.taken)[0]
    assert taken["to"] == FAR and taken["text"] == "Far away" and taken["from"] == kannel.ours
    until(lambda: any(each.status is Status.SENT for each in kannel.receipts(mine)))
    for report in reports:
        kannel.rig.report(taken, report)
        until(lambda report=report: any(f"type={report}&" in raw.url for raw in kannel.raw("status", mine)))
    told = kannel.receipts(mine)
    assert functools.reduce(merge, (each.status for each in told), Status.QUEUED) is end
    assert told[-1].error_code == code and (not code or kannel.adapter.explain(code).endswith("."))


def test_a_text_the_network_refuses_never_left(kannel: KannelProvider) -> None:
    kannel.rig.moody.status = 400
    mine = secrets.token_urlsafe(12)
    kannel.send(mine, "No", to=FAR)
    until(lambda: any(each.status is Status.FAILED for each in kannel.receipts(mine)))
    (told,) = [each for each in kannel.receipts(mine) if each.status is Status.FAILED]
    assert told.error_code == "smpp:rejected" and told.ref == mine


def test_a_long_reply_arrives_as_one_text(kannel: KannelProvider) -> None:
    kannel.rig.parts(kannel.theirs, kannel.ours, ["a" * 153, "b" * 153, "end"])
    _, inbound = kannel.inbound()
    assert inbound.text == "a" * 153 + "b" * 153 + "end" and inbound.sender == kannel.theirs


@pytest.mark.parametrize(
    ("status", "words", "code", "kind"),
    [
        (403, b"Authorization failed for sendsms", "smpp:auth", AccountProblem),
        (403, b"Not routable. Do not try again.", "smpp:route", PermanentFailure),
        (400, b"Sender missing and no global set, rejected", "smpp:sender", PermanentFailure),
        (400, b"Number(s) has/have been denied by white- and/or black-lists.", "smpp:number", PermanentFailure),
        (400, b"Charset or body misformed, rejected", "smpp:refused", PermanentFailure),
        (404, b"Unknown request.", "smpp:address", AccountProblem),
        (302, b"", "smpp:address", AccountProblem),
    ],
)
def test_every_no_of_kannel_is_understood(kannel: KannelProvider, status: int, words: bytes, code: str, kind: type[Exception]) -> None:
    kannel.proxy.say(status, words, Location="http://127.0.0.1:1/")
    with pytest.raises(kind) as caught:
        kannel.send("x", "No")
    assert caught.value.code == code and type(caught.value) is kind


@pytest.mark.parametrize(("answer", "code"), [
    ("id:1 sub:001 dlvrd:000 submit date:2611220638 done date:2611220639 stat:EXPIRED err:001 text:Hello", "smpp:EXPIRED"),
    ("id:1 stat:REJECTD err:011", "smpp:REJECTD"), ("stat:NOVELTY err:1", "smpp:failed"), ("", "smpp:failed"), ("stat:" + "A" * 500, "smpp:failed"),
])
def test_the_networks_own_word_is_told(answer: str, code: str) -> None:
    query = httpx.QueryParams({"ref": "r1", "type": "2", "answer": answer})
    (receipt,) = Kannel().parse(RawRequest("GET", f"https://x.example{HOOKS}/status?{query}", {}, b""))
    assert receipt.error_code == code and receipt.error_text.endswith(".")  # type: ignore[union-attr]


def test_without_any_id_the_words_and_the_minute_name_a_reply() -> None:
    def name(at: int, body: bytes = b"ok") -> str:
        url = f"https://x.example{HOOKS}/messages?from=%2B14155550134&to=14155550100&at={at}&coding=0&smsc=s&foreign=&id="
        return Kannel().parse(RawRequest("POST", url, {"content-type": 'text/plain; charset="UTF-8"'}, body))[0].dedupe

    assert name(1795329540) == name(1795329599) != name(1795329600) != name(1795329600, b"no")


def test_a_signature_is_of_one_carrier_one_purpose_and_one_text() -> None:
    made = {sign(key, kind, ref) for key in ("a", "b") for kind in ("messages", "status") for ref in ("", "1", "2")}
    assert len(made) == 12 and all(len(each) == 43 for each in made)
    assert sign(HOOK_KEY, "status", "1") == sign(HOOK_KEY, "status", "1")


@pytest.mark.parametrize(("told", "number"), [("14155550134", "+14155550134"), ("+14155550134", "+14155550134"), ("4155550134", "+14155550134"), ("12345", "12345"), ("BANK", "BANK"), ("447700900123", "+447700900123")])
def test_numbers_come_with_and_without_their_plus(told: str, number: str) -> None:
    url = f"https://x.example{HOOKS}/messages?{httpx.QueryParams({'from': told, 'to': told, 'id': '1'})}"
    inbound = Kannel().parse(RawRequest("POST", url, {}, b"x"))[0]
    assert (inbound.sender, inbound.to) == (number, number)  # type: ignore[union-attr]


def test_the_password_is_in_no_address_and_no_log(kannel: KannelProvider) -> None:
    seen = []
    kannel.proxy.hold(lambda: None)
    kannel.send(secrets.token_urlsafe(8), "Quiet")
    seen = [log.read_text("utf-8", "replace") for log in kannel.rig.folder.glob("*.log")]
    assert not any(f"password={kannel.rig.password}" in text for text in seen)
    assert kannel.rig.password not in repr(replace(kannel.credentials))
