"""What our adapter and the carrier in a box say to each other is what Twilio publishes about its API."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from inbox import clock
from inbox.channels.base import Credentials, Outgoing, PermanentFailure, Ring
from inbox.channels.twilio import Twilio
from tests.channels.test_a2p import BRAND, CAMPAIGN
from tests.contract.conftest import ACCOUNT, TOKEN
from tests.contract.providers import FaultProxy
from tests.contract.published import FORM, Call, Published, documents
from tests.contract.rig import until

HOOKS = ("http://127.0.0.1:9/messages", "http://127.0.0.1:9/voice", "http://127.0.0.1:9/status")
WANTED = (
    "POST /2010-04-01/Accounts/{AccountSid}/Messages.json", "GET /2010-04-01/Accounts/{AccountSid}/Messages.json", "GET /2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers.json",
    "POST /2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers.json", "POST /2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}.json",
    "DELETE /2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}.json", "GET /2010-04-01/Accounts/{AccountSid}/AvailablePhoneNumbers/{CountryCode}/Local.json",
    "POST /2010-04-01/Accounts/{AccountSid}/Calls.json", "POST /v1/Services", "POST /v1/Services/{MessagingServiceSid}/Compliance/Usa2p", "POST /v1/a2p/BrandRegistrations",
    "GET /v1/a2p/BrandRegistrations/{Sid}", "POST /v1/CustomerProfiles", "POST /v1/EndUsers", "POST /v1/SupportingDocuments", "POST /v1/TrustProducts",
)


@dataclass
class Line:
    """The adapter's way to the carrier, and who listens in."""

    credentials: Credentials
    published: Published
    base: str


@pytest.fixture
def line(sandbox_base: str) -> Iterator[Line]:
    folder = os.environ.get("TEST_OPENAPI", "")
    if not folder:
        pytest.skip("Twilio's documents are missing: set TEST_OPENAPI to spec/json of a checkout of github.com/twilio/twilio-oai.")
    published = Published(documents(Path(folder)))
    proxy = FaultProxy(sandbox_base)
    proxy.watcher = lambda *said: published.check(Call(*said))
    httpx.post(f"{sandbox_base}/__sim/settings", json={"require_registration": False}, trust_env=False)
    yield Line(Credentials(ACCOUNT, TOKEN, proxy.base, proxy.base, proxy.base, (proxy.base,)), published, sandbox_base)
    proxy.close()


@pytest.mark.nightly
def test_CH_1_every_call_is_one_that_Twilio_publishes(line: Line) -> None:
    twilio, keys = Twilio(), line.credentials
    since = clock.now() - timedelta(minutes=1)
    [offer, *_] = twilio.search_numbers(keys, "415", "")
    twilio.search_numbers(keys, "415", "55")
    twilio.search_numbers(keys, "800")
    ours = twilio.buy_number(keys, offer.e164, *HOOKS)
    twilio.configure_number(keys, ours.sid, *HOOKS)
    assert twilio.owned_number(keys, offer.e164) == ours
    sent = Outgoing("ref1", ours.e164, "+14155550134", "Grüße 😀", (), "https://inbox.example.com/hooks/sms/x/status?ref=ref1")
    twilio.send(keys, sent)
    twilio.send(keys, Outgoing("ref2", ours.e164, "+14155550134", "", ("https://inbox.example.com/a.png",), "https://inbox.example.com/hooks/sms/x/status?ref=ref2"))
    assert twilio.find(keys, sent, since)
    with pytest.raises(PermanentFailure):
        twilio.send(keys, Outgoing("ref3", "+14155559999", "+14155550134", "Not ours", (), "https://x.example/s"))
    twilio.place_call(keys, Ring(ref="call1", agent="+14155550177", sender=ours.e164, to="+14155550134", dial_url="https://x.example/d", status_url="https://x.example/s", seconds=20))
    refs = {"service": twilio.ensure_service(keys, "Published", HOOKS[0], HOOKS[2])}
    twilio.attach_number(keys, refs["service"], ours.sid)
    twilio.subscribe_registration_events(keys, "https://inbox.example.com/hooks/sms/x/events")
    refs |= twilio.submit_brand(keys, {**BRAND, "brand_legal_name": "Mismatch Bakery"}, dict(refs))
    _decided(line, refs, "brand failed")
    refs |= twilio.submit_brand(keys, BRAND, dict(refs))
    _decided(line, refs, "brand approved")
    refs["campaign"] = twilio.submit_campaign(keys, refs["service"], refs["brand"], CAMPAIGN)
    _decided(line, refs, "campaign verified")
    twilio.release_number(keys, ours.sid)
    assert not line.published.problems, "\n".join(dict.fromkeys(line.published.problems))
    assert not set(WANTED) - set(line.published.seen), "never asked for"


def _decided(line: Line, refs: dict[str, str], state: str) -> None:
    def there() -> bool:
        httpx.post(f"{line.base}/__sim/clock", json={"advance": 5}, trust_env=False)
        return Twilio().registration_status(line.credentials, refs).provider_state == state

    until(there)


MINIATURE = {
    "paths": {
        "/v1/Things/{Sid}": {
            "post": {
                "parameters": [{"name": "Sid", "in": "path", "schema": {"type": "string", "pattern": "^TH[0-9]{3}$"}}],
                "requestBody": {"content": {FORM: {"schema": {
                    "properties": {"Name": {"type": "string", "maxLength": 5}, "Count": {"type": "integer"}, "Kind": {"$ref": "#/components/schemas/kind"}, "On": {"type": "boolean"}}, "required": ["Name"],
                }}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {"sid": {"type": "string"}, "made": {"type": "string", "format": "date-time", "nullable": True}}}}}}},
            }
        }
    },
    "components": {"schemas": {"kind": {"type": "string", "enum": ["big", "small"]}}},
}


@pytest.mark.parametrize(("change", "problem"), [
    ({}, ""), ({"target": "/v1/Nothing"}, "no document"), ({"method": "GET"}, "method"), ({"target": "/v1/Things/TH1"}, "not like"), ({"body": b"Count=1"}, "Name is missing"),
    ({"body": b"Name=a&Else=1"}, "Else is unknown"), ({"body": b"Name=abcdef"}, "6 characters"), ({"body": b"Name=a&Count=x"}, "no integer"), ({"body": b"Name=a&Kind=odd"}, "none of"),
    ({"body": b"Name=a&On=yes"}, "no boolean"), ({"body": b"Name=a&Name=b"}, "comes 2 times"), ({"content_type": "text/plain"}, "a body of type"), ({"status": 201}, "none of 200"),
    ({"answer": b'{"sid":1}'}, "no string"), ({"answer": b'{"made":"soon"}'}, "no date-time"), ({"answer": b'{"made":null}'}, ""), ({"answer": b'{"sid":null}'}, "is null"), ({"answer": b'{"new":1}'}, "new is unknown"),
    ({"status": 404, "answer": b'{"code":20404,"message":"No","status":404}'}, ""), ({"status": 404, "answer": b"{}"}, "without its words"),
])
def test_the_check_itself_sees_what_is_wrong(change: dict[str, object], problem: str) -> None:
    call = {"method": "POST", "target": "/v1/Things/TH123", "content_type": FORM, "body": b"Name=a&Count=1&Kind=big&On=true", "status": 200, "answer": b'{"sid":"x"}', **change}
    published = Published([MINIATURE])
    published.check(Call(**call))  # type: ignore[arg-type]
    assert (problem in published.problems[0] and len(published.problems) == 1) if problem else not published.problems, published.problems
