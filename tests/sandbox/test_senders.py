"""Numbers for sale, bought numbers and Messaging Services."""

from __future__ import annotations

import threading

import httpx
import phonenumbers
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException

from inbox.sandbox.numbers import AREA_CODES, stock

from .conftest import ACCOUNT, TOKEN, Sandbox


def test_every_area_code_has_a_stock_of_valid_numbers() -> None:
    assert {"415", "628", "510", "212", "206", "503", "312", "617", "305", "702"} <= set(AREA_CODES)
    for area in AREA_CODES:
        found = [number for number, _ in zip(stock(area), range(60), strict=False)]
        assert len(set(found)) == 60 and len({number[5:8] for number in found}) >= 5, area
        for number in found:
            assert phonenumbers.is_valid_number(phonenumbers.parse(number)), number
    assert list(stock("415"))[:20] == list(stock("415"))[:20]


def test_search_by_area_code_and_pattern(sandbox: Sandbox) -> None:
    local = sandbox.client.available_phone_numbers("US").local
    found = local.list(area_code=415, limit=5)
    assert len(found) == 5 and all(item.phone_number.startswith("+1415") for item in found)
    assert (found[0].locality, found[0].region, found[0].iso_country) == ("San Francisco", "CA", "US")
    assert found[0].capabilities == {"voice": True, "SMS": True, "MMS": True}
    prefix = found[0].phone_number[5:8]
    narrowed = local.list(area_code=415, contains=f"415{prefix}****", page_size=1000)
    assert narrowed and all(item.phone_number.startswith(f"+1415{prefix}") for item in narrowed)
    assert local.list(area_code=415, contains="4155550***") == []
    assert local.list(area_code=999) == []
    assert all(item.phone_number.endswith("42") for item in local.list(area_code=415, contains="42$", page_size=5))
    assert all("2255" in item.phone_number for item in local.list(contains="CALL", page_size=5))
    assert {item.locality for item in local.list(in_region="WA", in_locality="Seattle", limit=3)} == {"Seattle"}
    for contains in ("1", "a?b", "**"):
        with pytest.raises(TwilioException, match="21451"):
            local.list(contains=contains)
    toll_free = sandbox.client.available_phone_numbers("US").toll_free.list(area_code=888, limit=3)
    assert all(item.phone_number.startswith("+1888") for item in toll_free)
    with pytest.raises(TwilioException, match="404"):
        sandbox.client.available_phone_numbers("US").mobile.list(limit=1)


def test_buy_change_list_and_release(sandbox: Sandbox) -> None:
    offer = sandbox.client.available_phone_numbers("US").local.list(area_code=510, limit=1)[0]
    bought = sandbox.buy(offer.phone_number, friendly_name="Front desk")
    assert bought.sid.startswith("PN") and bought.sms_url.endswith("/sms") and bought.friendly_name == "Front desk"
    assert offer.phone_number not in [
        item.phone_number for item in sandbox.client.available_phone_numbers("US").local.list(area_code=510)]
    for number, code in ((offer.phone_number, 21422), ("+19995551234", 21422), ("12", 21421)):
        with pytest.raises(TwilioRestException) as refused:
            sandbox.buy(number)
        assert refused.value.code == code
    assert bought.update(voice_url="").voice_url == ""
    assert bought.fetch().sms_url.endswith("/sms")
    assert [item.sid for item in sandbox.client.incoming_phone_numbers.list(phone_number=offer.phone_number)] == [bought.sid]
    assert bought.delete()
    assert sandbox.client.incoming_phone_numbers.list() == []
    assert sandbox.buy(offer.phone_number).sid != bought.sid
    by_area = sandbox.client.incoming_phone_numbers.create(area_code="206")
    assert by_area.phone_number.startswith("+1206")


def test_sixteen_buyers_of_one_number_have_one_winner(sandbox: Sandbox) -> None:
    won: list[str] = []
    lost: list[int] = []
    gate = threading.Barrier(16)

    def buy() -> None:
        gate.wait()
        answer = httpx_post(sandbox, "/IncomingPhoneNumbers.json", {"PhoneNumber": "+14156662233"})
        if answer[0] == 201:
            won.append(answer[1]["sid"])
        else:
            lost.append(answer[1]["code"])

    threads = [threading.Thread(target=buy) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1 and lost == [21422] * 15
    assert len(sandbox.client.incoming_phone_numbers.list()) == 1


def httpx_post(sandbox: Sandbox, path: str, form: dict[str, str]) -> tuple[int, dict[str, object]]:
    answer = httpx.post(f"{sandbox.url}/2010-04-01/Accounts/{ACCOUNT}{path}", data=form, auth=(ACCOUNT, TOKEN),
                        trust_env=False, timeout=30)
    return answer.status_code, answer.json()


def test_services_hold_each_number_once(sandbox: Sandbox) -> None:
    services = sandbox.client.messaging.v1.services
    number = sandbox.buy()
    one, two = services.create("One", usecase="discussion", sticky_sender=False), services.create("Two")
    assert (one.sticky_sender, one.usecase, one.inbound_request_url) == (False, "discussion", None)
    added = services(one.sid).phone_numbers.create(number.sid)
    assert (added.sid, added.phone_number, added.service_sid) == (number.sid, "+14156662233", one.sid)
    for service, code in ((one, 21710), (two, 21712)):
        with pytest.raises(TwilioRestException) as refused:
            services(service.sid).phone_numbers.create(number.sid)
        assert (refused.value.status, refused.value.code) == (409, code)
    assert [item.sid for item in services(one.sid).phone_numbers.list()] == [number.sid]
    assert services(one.sid).phone_numbers(number.sid).fetch().phone_number == "+14156662233"
    assert services(one.sid).phone_numbers(number.sid).delete()
    assert services(two.sid).phone_numbers.create(number.sid).service_sid == two.sid
    assert services(one.sid).update(friendly_name="Uno").friendly_name == "Uno"
    assert [item.friendly_name for item in services.list(page_size=1)] == ["Two", "Uno"]
    assert services(two.sid).delete()
    assert services(one.sid).phone_numbers.create(number.sid)
    for name, fields in (("", {}), ("x" * 65, {}), ("Three", {"usecase": "chat"}), ("Four", {"status_callback": "x"})):
        with pytest.raises(TwilioRestException):
            services.create(name, **fields)


def test_v1_lists_carry_meta(sandbox: Sandbox) -> None:
    for name in ("One", "Two", "Three"):
        sandbox.client.messaging.v1.services.create(name)
    page = sandbox.plain("/v1/Services", PageSize=2).json()
    assert page["meta"]["key"] == "services" and len(page["services"]) == 2
    assert page["meta"]["next_page_url"].startswith(sandbox.url)
    assert sandbox.plain("/v1/Services", PageSize=2, Page=1).json()["meta"]["next_page_url"] is None
    assert page["services"][0]["date_created"].endswith("Z")
