"""Carriers: a gateway is added, tried, changed and removed; an inbox on it needs no registration and still keeps every rule."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import NoResultFound

from inbox.models import Carrier, Dispatch, Event, Grant, Inbox, Member, Team, WebhookEvent, db, transaction
from inbox.models import carrier as carrier_module
from inbox.models.base import Refused
from inbox.permissions import Permission
from tests.contract.test_kannel_answers import KANNEL
from tests.world import World


class Gateway:
    """Answers as a Kannel that only knows inbox/secret; the real one is in tests/contract."""

    def __init__(self) -> None:
        self.answer: tuple[int, bytes] | None = None
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                right = (self.headers["X-Kannel-Username"], self.headers["X-Kannel-Password"]) == ("inbox", "secret")
                status, body = gateway.answer or (KANNEL["no receiver"] if right else KANNEL["wrong password"])
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.url = self.base + "/cgi-bin/sendsms"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    made = Gateway()
    monkeypatch.setattr(carrier_module, "_private", [made.base])
    yield made
    made.server.shutdown()
    made.server.server_close()


def fields(gateway: Gateway, **more: str) -> dict[str, str]:
    return {"name": "Our gateway", "url": gateway.url, "user": "inbox", "password": "secret", "sender": "+14155550177", **more}


def added(world: World, gateway: Gateway, **more: Any) -> Carrier:
    with transaction():
        settings = {"name": "Our gateway", "api_base": gateway.url, "user": "inbox", "password": "secret", "sender": "+14155550177", **more}
        return Carrier.add(world.harbor, "kannel", public_url="http://localhost", by=world.dana, **settings)


def test_a_gateway_is_added_and_its_password_is_never_shown(world: World, client: Any, gateway: Gateway) -> None:
    client.sign_in(world.dana)
    answer = client.send("/settings/carriers", **fields(gateway))
    row = db.session.scalars(sa.select(Carrier).where(Carrier.kind == "kannel")).one()
    assert answer.status_code == 303 and answer.location.endswith(row.public_id)
    assert "secret" not in row.auth_token and row.credentials.auth_token == "secret" and row.account_id == world.harbor.id
    text = client.get(answer.location).get_data(as_text=True)
    assert row.inbound_url.replace("&", "&amp;") in text and "post-url" in text and 'value="secret"' not in text
    assert row.credentials.hook_key not in text and row.credentials.hook_key not in row.inbound_url
    told = db.session.scalars(sa.select(Event).where(Event.kind == "carrier.added")).one()
    assert told.actor_id == world.dana.id and "secret" not in str(told.data) and told.topic == "settings"


def test_a_test_keeps_nothing(world: World, client: Any, gateway: Gateway) -> None:
    client.sign_in(world.dana)
    answer = client.send("/settings/carriers", **fields(gateway, check="1"))
    assert answer.status_code == 200 and b"Nothing was sent" in answer.data
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Carrier).where(Carrier.kind == "kannel")) == 0


WRONG = {
    "bad address": ({"url": "nonsense"}, "url", "full address"),
    "no address": ({"url": ""}, "url", "Enter the send URL"),
    "refused": ({"url": "closed"}, "url", "connection"),
    "private": ({"url": "https://192.168.7.7:13013/cgi-bin/sendsms"}, "url", "TRUSTED_CARRIERS"),
    "clear text": ({"url": "http://sms.example.com/cgi-bin/sendsms"}, "url", "https"),
    "with a password in it": ({"url": "https://a:b@sms.example.com/x"}, "url", "full address"),
    "wrong password": ({"password": "other"}, "password", "does not accept"),
    "wrong user": ({"user": "nobody"}, "password", "does not accept"),
    "no password": ({"password": ""}, "password", "Enter the password"),
    "odd user": ({"user": "two words"}, "user", "without blanks"),
    "odd password": ({"password": "pässwörd"}, "password", "without blanks"),
    "sender": ({"sender": "12"}, "sender", "full phone number"),
    "no sender": ({"sender": ""}, "sender", "Enter the number"),
    "no name": ({"name": ""}, "name", "Give the carrier a name"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.one_database
def test_what_is_wrong_is_said_at_its_field_and_nothing_typed_is_lost(world: World, client: Any, gateway: Gateway, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    change, field, words = WRONG[case]
    if change.get("url") == "closed":
        monkeypatch.setattr(carrier_module, "_private", ["http://127.0.0.1:9"])
        change = {"url": "http://127.0.0.1:9/cgi-bin/sendsms"}
    client.sign_in(world.dana)
    answer = client.send("/settings/carriers", **fields(gateway, **change))
    text = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert f'id="{field}-err"' in text and words in text.partition(f'id="{field}-err"')[2][:400]
    assert 'value="+14155550177"' in text or "sender" in change
    assert "secret" not in text and db.session.scalar(sa.select(sa.func.count()).select_from(Carrier).where(Carrier.kind == "kannel")) == 0


@pytest.mark.one_database
@pytest.mark.parametrize(("answer", "words"), [((503, b"Temporal failure, try again later."), "bearerbox"), ((404, b"Unknown request."), "path"), ((200, b"<html>"), "path"), ((302, b""), "path")])
def test_a_server_that_is_no_kannel_is_told(world: World, client: Any, gateway: Gateway, answer: tuple[int, bytes], words: str) -> None:
    gateway.answer = answer
    client.sign_in(world.dana)
    page = client.send("/settings/carriers", **fields(gateway))
    assert page.status_code == 422 and words in page.get_data(as_text=True).partition('id="url-err"')[2][:400]


def test_changes_are_tried_first_and_the_kept_password_goes_to_its_own_address_only(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway)
    client.sign_in(world.dana)
    url = f"/settings/carriers/{row.public_id}"
    assert client.send(url, **fields(gateway, password="", name="Renamed")).status_code == 303
    db.session.refresh(row)
    assert row.name == "Renamed" and row.credentials.auth_token == "secret"
    other = client.send(url, **fields(gateway, password="", url=gateway.base + "/elsewhere"))
    assert other.status_code == 422 and b"goes to the old address only" in other.data
    assert client.send(url, **fields(gateway, password="wrong")).status_code == 422
    db.session.refresh(row)
    assert row.api_base == gateway.url and row.credentials.auth_token == "secret"
    told = db.session.scalars(sa.select(Event).where(Event.kind == "carrier.changed")).all()
    assert [each.data["after"] for each in told] == [{"name": "Renamed"}]


def test_two_carriers_never_share_a_name(world: World, client: Any, gateway: Gateway) -> None:
    added(world, gateway)
    client.sign_in(world.dana)
    answer = client.send("/settings/carriers", **fields(gateway, name="our GATEWAY"))
    assert answer.status_code == 422 and b"Another carrier is called" in answer.data


def test_it_is_removed_only_when_no_inbox_uses_it(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway)
    with transaction():
        world.pharmacy.use_carrier(row, by=world.dana)
        WebhookEvent(carrier_id=row.id, kind="status", dedupe="x", method="GET", url="u", headers={}, body=b"", applied_at=row.created_at).save()
    client.sign_in(world.dana)
    url = f"/settings/carriers/{row.public_id}/removal"
    assert client.send(url).location.endswith(row.public_id)
    assert b"Pharmacy still uses" in client.get(f"/settings/carriers/{row.public_id}").data
    with transaction():
        world.pharmacy.use_carrier(world.carrier, by=world.dana)
    assert client.send(url).location.endswith("/settings/carriers")
    assert db.session.scalar(sa.select(Carrier.id).where(Carrier.kind == "kannel")) is None
    with pytest.raises(Refused), transaction():
        world.carrier.remove(by=world.dana)


def test_removing_and_choosing_at_once_never_leaves_an_inbox_without_its_carrier(
    world: World, gateway: Gateway, together: Callable[..., list[Any]], app: Any
) -> None:
    for number in range(3):
        row, dana_id, inbox_id, usual = added(world, gateway, name=f"Race {number}").id, world.dana.id, world.pharmacy.id, world.carrier.id
        db.session.commit()

        def act(place: int, row: int = row) -> str:
            with transaction():
                carrier, dana = db.session.get_one(Carrier, row), db.session.get_one(Member, dana_id)
                if place % 2:
                    db.session.get_one(Inbox, inbox_id).use_carrier(carrier, by=dana)
                else:
                    carrier.remove(by=dana)
            return "done"

        results = together(act, 4, app)
        assert all(each == "done" or isinstance(each, Refused | NoResultFound) for each in results), results
        db.session.expire_all()
        inbox, left = db.session.get_one(Inbox, inbox_id), db.session.get(Carrier, row)
        assert inbox.carrier is not None and (left is None) == (inbox.carrier_id != row)
        with transaction():
            inbox.use_carrier(db.session.get_one(Carrier, usual), by=world.dana)


def test_ACC_1_another_accounts_carrier_does_not_exist(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway)
    client.sign_in(world.nina)
    for path in ("", "/inboxes/new"):
        assert client.get(f"/settings/carriers/{row.public_id}{path}").status_code == 404
    for path in ("", "/removal", "/inboxes"):
        assert client.send(f"/settings/carriers/{row.public_id}{path}", **fields(gateway)).status_code == 404
    chosen = client.send(f"/inboxes/{world.reception.public_id}/carrier", carrier=row.public_id)
    assert chosen.status_code == 422
    assert client.get(f"/settings/carriers/{world.carrier.public_id}").status_code == 404
    assert client.get(f"/settings/carriers/{world.north_carrier.public_id}").status_code == 404, "the usual carrier has no settings here"


@pytest.mark.one_database
def test_PERM_4_a_role_for_one_team_does_not_reach_the_accounts_carriers(world: World, client: Any, gateway: Gateway) -> None:
    with transaction():
        Grant(member_id=world.olga.id, role="admin", team_id=world.team.id).save()
    db.session.expire(world.olga)
    world.olga.forget_rights()
    assert Permission.INBOXES_MANAGE in world.olga.permissions
    client.sign_in(world.olga)
    assert client.get("/settings/carriers").status_code == 403
    assert client.send("/settings/carriers", **fields(gateway)).status_code == 403
    client.sign_in(world.maya)
    assert client.get("/settings/carriers").status_code == 403


def test_REG_3_an_inbox_on_a_gateway_texts_at_once(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway)
    annex = db.session.scalars(sa.select(Team).where(Team.name == "Annex")).one()
    client.sign_in(world.dana)
    answer = client.send(f"/settings/carriers/{row.public_id}/inboxes", name="Night line", number="+1 415 555 0177", team=annex.public_id)
    inbox = db.session.scalars(sa.select(Inbox).where(Inbox.name == "Night line")).one()
    assert answer.status_code == 303 and inbox.phone == "+14155550177" and inbox.carrier_id == row.id and inbox.number_sid is None
    assert inbox.registered and not world.waiting.registered, "the team itself is not registered"
    world.dana.forget_inboxes()
    assert inbox in Inbox.visible_to(world.dana)
    assert b"Night line" in client.get(answer.location).data
    text = client.get("/settings/inboxes").get_data(as_text=True)
    assert "Night line" in text
    conversation = world.conversation(inbox=inbox)
    world.reply(conversation, world.dana)


@pytest.mark.parametrize(("change", "field", "words"), [({"name": ""}, "name", "Give the inbox"), ({"number": "12"}, "number", "full phone number"), ({"number": "+14155550100"}, "number", "uses this number"), ({"name": "front desk"}, "name", "already has an inbox")])
def test_a_new_inbox_says_what_is_wrong(world: World, client: Any, gateway: Gateway, change: dict[str, str], field: str, words: str) -> None:
    row = added(world, gateway)
    client.sign_in(world.dana)
    answer = client.send(f"/settings/carriers/{row.public_id}/inboxes", **{"name": "Night line", "number": "+14155550177", "team": world.team.public_id, **change})
    assert answer.status_code == 422 and words in answer.get_data(as_text=True).partition(f'id="{field}-err"')[2][:300]
    bad = client.send(f"/settings/carriers/{row.public_id}/inboxes", name="Night line", number="+14155550177", team="nonsense")
    assert bad.status_code == 422


@pytest.mark.one_database
def test_a_short_code_can_be_an_inbox(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway, sender="12345")
    client.sign_in(world.dana)
    assert client.send(f"/settings/carriers/{row.public_id}/inboxes", name="Short", number="12345", team=world.team.public_id).status_code == 303
    inbox = db.session.scalars(sa.select(Inbox).where(Inbox.name == "Short")).one()
    assert inbox.phone_display == "12345"
    assert client.get("/settings/inboxes").status_code == client.get(f"/inboxes/{inbox.public_id}/settings").status_code == 200
    world.reply(world.conversation(inbox=inbox), world.dana)


def test_an_inbox_moves_to_a_gateway_and_back(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway)
    client.sign_in(world.dana)
    url = f"/inboxes/{world.front.public_id}/carrier"
    assert b"Our gateway" in client.get(url).data
    assert client.send(url, carrier=row.public_id).status_code == 303
    db.session.refresh(world.front)
    assert world.front.carrier_id == row.id
    assert client.send(url, carrier="nonsense").status_code == 422
    assert client.send(url, carrier=world.carrier.public_id).status_code == 303
    db.session.refresh(world.front)
    assert world.front.carrier_id == world.carrier.id and world.front.registered
    kinds = db.session.scalars(sa.select(Event.data).where(Event.kind == "inbox.carrier_changed").order_by(Event.id)).all()
    assert [(each["before"], each["after"]) for each in kinds] == [("Twilio", "Our gateway"), ("Our gateway", "Twilio")]


def test_an_inbox_does_not_move_while_its_carrier_must_be_asked_about_a_text(world: World, gateway: Gateway) -> None:
    row = added(world, gateway)
    dispatch = Dispatch.of(world.reply(world.conversation(), world.maya))
    with transaction():
        dispatch.claim_it()
    with pytest.raises(Refused, match="just leaving"), transaction():
        world.front.use_carrier(row, by=world.dana)
    with transaction():
        dispatch.state = "queued"
        world.front.use_carrier(row, by=world.dana)
    assert world.front.carrier_id == row.id


def test_only_what_the_carrier_can_carry_is_offered(world: World, client: Any, gateway: Gateway) -> None:
    row = added(world, gateway)
    conversation = world.conversation()
    client.sign_in(world.maya)
    assert b'id="files"' in client.get(f"/c/{conversation.public_id}").data
    with transaction():
        world.front.use_carrier(row, by=world.dana)
    assert b'id="files"' not in client.get(f"/c/{conversation.public_id}").data
    client.sign_in(world.dana)
    assert b'type="tel"' not in client.get(f"/inboxes/{world.front.public_id}/settings").data


def test_a_number_of_the_gateway_cannot_move_to_a_carrier_that_never_sold_it(world: World, gateway: Gateway) -> None:
    row = added(world, gateway)
    with transaction():
        inbox = Inbox.create(
            world.team, name="Night", api_code="night", hue="teal", phone="+14155550177", number_sid=None, forward_to=None, description="", by=world.dana, carrier=row
        )
    with pytest.raises(Refused, match="not a number of Twilio"), transaction():
        inbox.use_carrier(world.carrier, by=world.dana)


def test_MSG_1_the_gate_asks_what_the_carrier_can_do(world: World, gateway: Gateway) -> None:
    row = added(world, gateway)
    conversation = world.conversation()
    conversation.gate("See this", media=2)
    with transaction():
        world.front.use_carrier(row, by=world.dana)
    with pytest.raises(Refused, match="plain texts only"):
        conversation.gate("See this", media=1)
    conversation.gate("Words are fine")


@pytest.mark.one_database
def test_the_list_asks_the_same_however_many_carriers_there_are(world: World, client: Any, gateway: Gateway, app: Any) -> None:
    client.sign_in(world.dana)

    def queries() -> int:
        count = 0

        def note(*_: Any) -> None:
            nonlocal count
            count += 1

        sa.event.listen(db.engine, "before_cursor_execute", note)
        assert client.get("/settings/carriers").status_code == 200
        sa.event.remove(db.engine, "before_cursor_execute", note)
        return count

    added(world, gateway)
    client.get("/settings/carriers")
    few = queries()
    for number in range(4):
        added(world, gateway, name=f"Gateway {number}")
    assert queries() == few
