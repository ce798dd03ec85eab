"""What a process remembers of a carrier spares look-ups and is never believed once the row says something else."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa

from inbox.models import Carrier, WebhookEvent, db, transaction
from inbox.models.secret import encrypt
from inbox.sandbox.wire import signature
from tests.access.test_permission_cost import queries
from tests.conftest import TOKEN, Bell
from tests.fuzz.webhooks import kannel_signature
from tests.jobs.test_hooks import Carrier as Caller
from tests.jobs.test_hooks import carrier, count  # noqa: F401
from tests.world import World

NEW = "e" * 32


@pytest.fixture
def caller(carrier: Caller) -> Caller:  # noqa: F811
    """A carrier whose first request was taken, so that its door is known."""
    assert carrier.post("messages", carrier.text()).status_code == 200
    return carrier


def change(world: World, **settings: Any) -> None:
    """Change the row as another process does."""
    with transaction():
        db.session.execute(sa.update(Carrier).where(Carrier.id == world.carrier.id).values(**settings))


def test_a_known_door_costs_one_statement(caller: Caller, bell: Bell) -> None:
    path, text = f"/hooks/sms/{caller.world.carrier.hook_token}/messages", caller.text()
    db.session.commit()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature(TOKEN, "http://localhost" + path, text.items())}
    with queries() as said:
        assert caller.client.post(path, data=urlencode(text), headers=headers).status_code == 200
    said = [statement for statement in said if not statement.startswith("BEGIN")]
    assert [statement.split()[0] for statement in said] == ["INSERT"] and count(WebhookEvent) == 2


def test_S96_a_key_that_was_changed_is_over_at_once(caller: Caller, world: World) -> None:
    change(world, auth_token=encrypt(NEW))
    assert caller.post("messages", caller.text()).status_code == 403 and count(WebhookEvent) == 1
    assert caller.post("messages", caller.text(), key=NEW).status_code == 200 and count(WebhookEvent) == 2
    assert caller.post("messages", caller.text(), key=TOKEN).status_code == 403


def test_S96_the_new_key_is_good_at_once(caller: Caller, world: World) -> None:
    change(world, auth_token=encrypt(NEW))
    assert caller.post("messages", caller.text(), key=NEW).status_code == 200 and count(WebhookEvent) == 2


def test_settings_that_changed_lose_nothing(caller: Caller, world: World) -> None:
    change(world, auth_token=encrypt(TOKEN))  # the same key, written anew
    assert caller.post("messages", caller.text()).status_code == 200 and count(WebhookEvent) == 2


def test_S97_another_account_sid_is_refused_at_once(caller: Caller, world: World) -> None:
    change(world, account_sid="AC" + "8" * 32)
    assert caller.post("messages", caller.text()).status_code == 403
    assert caller.post("messages", {**caller.text(), "AccountSid": "AC" + "8" * 32}).status_code == 200


def test_a_door_that_is_gone_is_gone_at_once(caller: Caller, world: World, bell: Bell) -> None:
    token = world.carrier.hook_token
    change(world, hook_token="another")
    assert caller.post("messages", caller.text(), token=token).status_code == 404
    assert count(WebhookEvent) == 1


def test_a_removed_gateway_takes_nothing(world: World, client: Any) -> None:
    with transaction():
        gateway = Carrier.add(
            world.harbor, "kannel", name="Gateway", api_base="https://sms.example.com/cgi-bin/sendsms", user="inbox", password="secret", sender="+14155550177",
            public_url="http://localhost", by=world.dana,
        )
    url = f"/hooks/sms/{gateway.hook_token}/messages?from=14155550134&to=14155550177&id="
    signed = f"&sig={kannel_signature(gateway.credentials.hook_key, 'messages', '')}"
    assert client.post(f"{url}1{signed}", data=b"Hi").status_code == 200
    with transaction():
        db.session.execute(sa.delete(WebhookEvent))
        db.session.execute(sa.delete(Carrier).where(Carrier.id == gateway.id))
    assert client.post(f"{url}2{signed}", data=b"Hi").status_code == 404 and count(WebhookEvent) == 0


def test_a_repetition_is_answered_and_not_kept(caller: Caller, bell: Bell) -> None:
    text = caller.text()
    bell.rung.clear()
    assert [caller.post("messages", text).status_code for _ in range(3)] == [200] * 3
    assert count(WebhookEvent) == 2 and [job for job, _ in bell.rung] == ["apply_webhook"]
