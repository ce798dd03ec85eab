"""Texts out and in, through the official SDK."""

from __future__ import annotations

import datetime as dt
import re
from email.utils import parsedate_to_datetime

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException

from .conftest import ACCOUNT, ROSA, TOKEN, Sandbox, signed, until


def test_credentials_are_checked(sandbox: Sandbox) -> None:
    assert sandbox.client.api.v2010.accounts(ACCOUNT).fetch().status == "active"
    for auth in (None, (ACCOUNT, "wrong"), ("AC" + "2" * 32, TOKEN)):
        for path in (f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", "/v1/Services", "/v1/Policies"):
            answer = httpx.get(sandbox.url + path, auth=auth, trust_env=False)
            assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    other = httpx.get(f"{sandbox.url}/2010-04-01/Accounts/AC{'2' * 32}.json", auth=(ACCOUNT, TOKEN), trust_env=False)
    assert other.status_code == 401


def test_a_text_walks_to_delivered_with_signed_receipts(line: Sandbox) -> None:
    sent = line.send(ROSA, "Ready at 10?")
    assert re.fullmatch(r"SM[0-9a-f]{32}", sent.sid)
    assert (sent.status, sent.num_segments, sent.direction) == ("queued", "1", "outbound-api")
    assert line.receiver.hits == []
    line.advance(0.1)
    assert line.client.messages(sent.sid).fetch().status == "sending"
    line.advance(0.4)
    assert line.client.messages(sent.sid).fetch().status == "sent"
    line.advance(2)
    assert line.client.messages(sent.sid).fetch().status == "delivered"
    assert line.receiver.statuses(sent.sid) == ["sending", "sent", "delivered"]
    assert all(signed(hit) for hit in line.receiver.hits)
    hit = line.receiver.hits[-1]
    assert (hit["From"], hit["To"], hit["AccountSid"], hit["SmsStatus"]) == (
        "+14156662233", ROSA, ACCOUNT, "delivered")
    assert len({entry.headers["I-Twilio-Idempotency-Token"] for entry in line.receiver.hits}) == 3


def test_the_2010_dates_are_rfc_2822(line: Sandbox) -> None:
    sent = line.send(ROSA)
    raw = line.plain(f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{sent.sid}.json").json()
    assert parsedate_to_datetime(raw["date_created"]).tzinfo is not None
    assert raw["uri"].endswith(".json") and raw["price"] is None and raw["error_code"] is None


@pytest.mark.parametrize(("fields", "code"), [
    ({"To": ""}, 21604), ({"To": "12"}, 21211), ({"To": "+10005550101"}, 21211), ({"Body": ""}, 21602),
    ({"Body": "a" * 1601}, 21617), ({"From": ""}, 21603), ({"From": "abc"}, 21212), ({"From": "+14156669999"}, 21606),
    ({"MediaUrl": ["http://a.b/c"] * 11}, 21623), ({"MediaUrl": ["nonsense"]}, 21620),
    ({"StatusCallback": "http://my_host/x"}, 21609), ({"MessagingServiceSid": "MG" + "0" * 32, "From": ""}, 21705),
    ({"To": "+14155550165"}, 21614), ({"ValidityPeriod": "40000"}, 20001),
    ({"ScheduleType": "fixed", "SendAt": "2030-01-01T00:00:00Z"}, 35118),
])
def test_bad_requests_are_refused_with_the_documented_code(line: Sandbox, fields: dict[str, object], code: int) -> None:
    form = {"To": ROSA, "From": "+14156662233", "Body": "Hi", **fields}
    answer = httpx.post(f"{line.url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json", data=form, auth=(ACCOUNT, TOKEN),
                        trust_env=False)
    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (400, code, 400)
    assert body["message"] and body["more_info"].endswith(str(code))
    assert line.state()["counts"].get("message") is None


def test_segments_are_counted_like_the_carrier_does(line: Sandbox) -> None:
    for text, count in (("a" * 160, "1"), ("a" * 161, "2"), ("€" * 81, "2"), ("a" * 152 + "€" + "a" * 152, "3"),
                        ("😀" * 35, "1"), ("😀" * 36, "2"), ("п" * 71, "2")):
        assert line.send(ROSA, text).num_segments == count


def test_a_service_answers_accepted_with_no_segments_and_keeps_its_sender(line: Sandbox) -> None:
    service = line.client.messaging.v1.services.create("Front desk", status_callback=line.receiver.base + "/service")
    with pytest.raises(TwilioRestException) as refused:
        line.send(ROSA, from_=None, messaging_service_sid=service.sid)
    assert refused.value.code == 21703
    number = line.client.incoming_phone_numbers.list()[0]
    line.client.messaging.v1.services(service.sid).phone_numbers.create(number.sid)
    sent = line.client.messages.create(to=ROSA, body="Hi", messaging_service_sid=service.sid)
    assert (sent.status, sent.num_segments, sent.from_) == ("accepted", "0", None)
    line.advance(5)
    done = line.client.messages(sent.sid).fetch()
    assert (done.status, done.num_segments, done.from_) == ("delivered", "1", "+14156662233")
    assert [hit["MessageStatus"] for hit in line.receiver.at("/service")] == [
        "queued", "sending", "sent", "delivered"]
    assert line.receiver.at("/service")[0]["MessagingServiceSid"] == service.sid


def test_a_scheduled_text_waits_and_can_be_canceled(line: Sandbox) -> None:
    service = line.client.messaging.v1.services.create("Front desk")
    line.client.messaging.v1.services(service.sid).phone_numbers.create(line.client.incoming_phone_numbers.list()[0].sid)
    now = dt.datetime.fromtimestamp(line.state()["clock"]["now"], dt.UTC)

    def schedule(minutes: int) -> str:
        made = line.client.messages.create(to=ROSA, body="Later", messaging_service_sid=service.sid,
                                           schedule_type="fixed", send_at=now + dt.timedelta(minutes=minutes))
        assert made.status == "scheduled"
        return str(made.sid)

    with pytest.raises(TwilioRestException) as refused:
        schedule(5)
    assert refused.value.code == 35114
    first, second = schedule(20), schedule(20)
    assert line.client.messages(first).update(status="canceled").status == "canceled"
    line.advance(3600)
    assert line.client.messages(first).fetch().status == "canceled"
    assert line.client.messages(second).fetch().status == "delivered"


def test_lists_filter_and_page(line: Sandbox) -> None:
    for place in range(7):
        line.send(ROSA, f"Number {place}")
    line.send("+14155550102")
    line.advance(5)
    assert len(line.client.messages.list(to=ROSA, page_size=3)) == 7
    assert [text.body for text in line.client.messages.list(to=ROSA, page_size=3)][:2] == ["Number 6", "Number 5"]
    now = dt.datetime.fromtimestamp(line.state()["clock"]["now"], dt.UTC)
    assert len(line.client.messages.list(date_sent_after=now - dt.timedelta(hours=1))) == 8
    assert line.client.messages.list(date_sent_before=now - dt.timedelta(hours=1)) == []
    assert line.client.messages.list(from_="+14155550102") == []
    page = line.plain(f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", PageSize=3, To=ROSA).json()
    assert page["page_size"] == 3 and "To=%2B14155550101" in page["next_page_uri"]
    assert page["previous_page_uri"] is None


def test_a_text_can_be_redacted_and_deleted_once_it_is_out(line: Sandbox) -> None:
    sent = line.send(ROSA, "Secret")
    with pytest.raises(TwilioRestException):
        line.client.messages(sent.sid).delete()
    line.advance(5)
    assert line.client.messages(sent.sid).update(body="").body == ""
    assert line.client.messages(sent.sid).delete()
    with pytest.raises(TwilioRestException) as gone:
        line.client.messages(sent.sid).fetch()
    assert (gone.value.status, gone.value.code) == (404, 20404)


def test_pictures_go_out_and_are_kept(line: Sandbox) -> None:
    line.receiver.files["/cat.png"] = (200, "image/png", b"\x89PNG cat")
    sent = line.send(ROSA, media_url=[line.receiver.base + "/cat.png"])
    assert sent.sid.startswith("MM") and sent.num_media == "1"
    line.advance(5)
    media = line.client.messages(sent.sid).media.list()
    assert [item.content_type for item in media] == ["image/png"]
    answer = line.plain(media[0].uri.removesuffix(".json"))
    assert answer.content == b"\x89PNG cat"
    assert httpx.get(line.url + media[0].uri.removesuffix(".json"), trust_env=False).status_code == 401
    assert media[0].delete()


@pytest.mark.parametrize(("path", "code"), [("/none.png", 21620), ("/huge.png", 11751)])
def test_pictures_that_cannot_be_fetched_fail_the_text(line: Sandbox, path: str, code: int) -> None:
    line.receiver.files["/huge.png"] = (200, "image/png", b"x" * 5_000_001)
    sent = line.send(ROSA, media_url=[line.receiver.base + path])
    line.advance(5)
    failed = line.client.messages(sent.sid).fetch()
    assert (failed.status, failed.error_code) == ("failed", code)


def test_an_inbound_text_arrives_signed_with_all_its_parameters(line: Sandbox) -> None:
    made = line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "body": "Hi 😀", "media": [{}, {}]})
    line.settle()
    (hit,) = line.receiver.at("/sms")
    assert signed(hit)
    assert hit["MessageSid"] == hit["SmsSid"] == hit["SmsMessageSid"] == made["sid"]
    assert made["sid"].startswith("MM")
    assert (hit["From"], hit["To"], hit["Body"], hit["NumMedia"], hit["NumSegments"], hit["SmsStatus"]) == (
        ROSA, "+14156662233", "Hi 😀", "2", "1", "received")
    assert (hit["FromCity"], hit["FromState"], hit["ToCountry"]) == ("SAN FRANCISCO", "CA", "US")
    assert "OptOutType" not in hit.params
    for place in range(2):
        assert hit[f"MediaContentType{place}"] == "image/png"
        url = hit[f"MediaUrl{place}"]
        assert httpx.get(url, auth=(ACCOUNT, TOKEN), trust_env=False).content.startswith(b"\x89PNG")
        assert httpx.get(url, trust_env=False).status_code == 401
    stored = line.client.messages(made["sid"]).fetch()
    assert (stored.direction, stored.status, stored.body) == ("inbound", "received", "Hi 😀")


def test_media_may_redirect_to_storage_that_wants_no_credentials(line: Sandbox) -> None:
    line.sim("settings", media_redirect=True)
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "media": [{}]})
    line.settle()
    url = line.receiver.at("/sms")[0]["MediaUrl0"]
    answer = httpx.get(url, auth=(ACCOUNT, TOKEN), trust_env=False)
    assert answer.status_code == 307 and "/storage/ME" in answer.headers["location"]
    assert httpx.get(answer.headers["location"], trust_env=False).content.startswith(b"\x89PNG")


def test_a_service_decides_where_its_inbound_texts_go(line: Sandbox) -> None:
    services = line.client.messaging.v1.services
    number = line.client.incoming_phone_numbers.list()[0]
    service = services.create("Front desk")
    services(service.sid).phone_numbers.create(number.sid)
    say = {"from": ROSA, "to": "+14156662233", "body": "Hello"}
    line.sim("inbound", **say)
    line.settle()
    assert line.receiver.hits == [] and "no InboundRequestUrl" in line.log("message.received")[0]["answer"]
    services(service.sid).update(inbound_request_url=line.receiver.base + "/pool")
    line.sim("inbound", **say)
    line.settle()
    assert line.receiver.at("/pool")[0]["MessagingServiceSid"] == service.sid
    services(service.sid).update(use_inbound_webhook_on_number=True)
    line.sim("inbound", **say)
    line.settle()
    assert len(line.receiver.at("/sms")) == 1


def test_twiml_in_the_answer_is_sent_as_a_reply(line: Sandbox) -> None:
    line.receiver.answer("/sms", 200, "<Response><Message>Thanks, we will call</Message></Response>")
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "body": "Call me"})
    line.settle()
    line.advance(3)
    (reply,) = line.client.messages.list(to=ROSA)
    assert (reply.body, reply.direction, reply.status) == ("Thanks, we will call", "outbound-reply", "delivered")


@pytest.mark.parametrize(("body", "content_type", "code"), [
    ("{}", "application/json", 12300), ("not xml <", "text/xml", 12100),
    ("<!DOCTYPE x [<!ENTITY a 'b'>]><Response/>", "text/xml", 12100),
])
def test_an_answer_that_is_not_twiml_is_noted(line: Sandbox, body: str, content_type: str, code: int) -> None:
    line.receiver.answer("/sms", 200, body, content_type)
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "body": "Hi"})
    line.settle()
    assert [row["error"] for row in line.log("webhook.warning")] == [code]


def test_webhooks_are_tried_again_with_the_same_token_then_fall_back(line: Sandbox) -> None:
    number = line.client.incoming_phone_numbers.list()[0]
    number.update(sms_fallback_url=line.receiver.base + "/fallback")
    line.receiver.answer("/sms", 503)
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "body": "Anyone?"})
    line.settle()
    assert len(line.receiver.at("/sms")) == 1
    line.advance(60)
    tries = line.receiver.at("/sms")
    assert len(tries) == 4
    assert len({hit.headers["I-Twilio-Idempotency-Token"] for hit in tries}) == 1
    (fallback,) = line.receiver.at("/fallback")
    assert fallback["ErrorCode"] == "11200" and fallback["Body"] == "Anyone?"
    assert [row["attempt"] for row in line.log("message.received")] == [1, 4, 3, 2, 1]


def test_a_fragment_tunes_the_retries_and_stays_out_of_the_signature(line: Sandbox) -> None:
    number = line.client.incoming_phone_numbers.list()[0]
    number.update(sms_url=line.receiver.base + "/tuned#rc=1")
    line.receiver.answer("/tuned", 500)
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "body": "Hi"})
    line.settle()
    line.advance(300)
    assert len(line.receiver.at("/tuned")) == 2
    assert all(signed(hit) for hit in line.receiver.at("/tuned"))


def test_nobody_listening_is_retried_until_somebody_does(line: Sandbox) -> None:
    number = line.client.incoming_phone_numbers.list()[0]
    number.update(sms_url="http://127.0.0.1:9/sms")
    line.sim("inbound", **{"from": ROSA, "to": "+14156662233", "body": "Hi"})
    line.settle()
    (row,) = line.log("message.received")
    assert row["status"] is None and row["error"] == 11205
    assert line.state()["work"]["noted"] == 1


def test_opt_out_handling_is_off_unless_switched_on(line: Sandbox) -> None:
    stop = {"from": ROSA, "to": "+14156662233", "body": " stop "}
    line.sim("inbound", **stop)
    line.settle()
    assert line.send(ROSA).status == "queued"
    line.sim("settings", auto_opt_out=True)
    line.sim("inbound", **stop)
    line.settle()
    line.advance(3)
    assert any("unsubscribed" in text.body for text in line.client.messages.list(to=ROSA))
    with pytest.raises(TwilioRestException) as refused:
        line.send(ROSA)
    assert (refused.value.status, refused.value.code) == (400, 21610)
    line.sim("inbound", **{**stop, "body": "Start"})
    line.settle()
    assert line.send(ROSA).status == "queued"


def test_a_text_between_two_inboxes_arrives(line: Sandbox) -> None:
    line.client.incoming_phone_numbers.create(phone_number="+15106662233", sms_url=line.receiver.base + "/other")
    line.send("+15106662233", "From us to us")
    line.advance(3)
    assert line.receiver.at("/other")[0]["Body"] == "From us to us"


def test_the_clock_runs_faster_when_told(sandbox: Sandbox) -> None:
    sandbox.sim("settings", require_registration=False)
    sandbox.buy()
    sandbox.sim("clock", speed=2000)
    sent = sandbox.send("+14155550157")
    until(lambda: sandbox.client.messages(sent.sid).fetch().status == "delivered", 20)
