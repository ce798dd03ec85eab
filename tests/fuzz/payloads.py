"""Requests as providers really send them: the recorded ones, and the kinds that the records lack."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

FORM, JSON, TEXT = "application/x-www-form-urlencoded", "application/json", 'text/plain; charset="UTF-8"'
RECORDED = Path(__file__).parents[1] / "data" / "twilio_webhooks"


@dataclass(frozen=True)
class Payload:
    """A body with its content type; `fields` when it is a form."""

    content_type: str
    body: bytes = b""
    fields: tuple[tuple[str, str], ...] = ()


def read(path: Path) -> Payload:
    """One recorded request, whatever provider it is of."""
    request: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("request", {})
    kind = request.get("content_type") or JSON
    if kind.startswith(FORM) and isinstance(request.get("body_parsed"), dict):
        fields = tuple((str(name), str(value)) for name, value in request["body_parsed"].items())
        return Payload(FORM, urlencode(fields).encode(), fields)
    if "body_base64" in request:
        return Payload(kind, base64.b64decode(request["body_base64"]))
    body = request["body_raw"] if "body_raw" in request else json.dumps(request.get("body_parsed"))
    return Payload(kind, str(body).encode())


def recorded(*folders: Path) -> list[Payload]:
    """Every recorded request in the folders, in the order of their names."""
    return [read(path) for folder in folders or (RECORDED,) for path in sorted(folder.rglob("*.json"))]


def form(**fields: str) -> Payload:
    pairs = tuple(fields.items())
    return Payload(FORM, urlencode(pairs).encode(), pairs)


def notice(topic: str, **data: str) -> Payload:
    event = {"specversion": "1.0", "type": f"com.twilio.messaging.compliance.{topic}", "id": "EZ" + "1" * 32, "time": "2026-11-22T09:00:00.000Z", "data": data}
    return Payload(JSON, json.dumps([event]).encode())


MADE = (
    form(MessageSid="SM1", From="+14155550134", Body="Is my order ready?", NumMedia="0"),
    form(MessageSid="SM1", From="+14155550135", Body="Grüße 😀 мир ’שלום", NumMedia="1", MediaUrl0="https://api.example.com/1", MediaContentType0="image/png"),
    form(MessageSid="SM1", From="+14155550134", Body="STOP", OptOutType="STOP"),
    form(MessageSid="SM1", From="+14155550134", Body="start"),
    form(MessageSid="SM1", MessageStatus="sent"),
    form(MessageSid="SM1", MessageStatus="delivered"),
    form(MessageSid="SM1", MessageStatus="undelivered", ErrorCode="30003"),
    form(CallSid="CA1", From="+14155550134", CallStatus="ringing", Direction="inbound"),
    form(CallSid="CA1", From="+14155550134", CallStatus="completed", DialCallStatus="no-answer", DialCallDuration="12"),
    notice("brand-registration.brand-failure", brandsid="BN" + "1" * 32, brandstatus="FAILED"),
    notice("campaign-registration.campaign-approved", campaignsid="CM1", messagingservicesid="MG" + "1" * 32, campaignregistrationstatus="VERIFIED"),
)
# What a customer writes over SMPP is the whole body.
WORDS = (b"Is my order ready?", "Grüße 😀".encode(), "мир".encode("utf-16-be"), b"STOP", b"", b"a=1&b=2")
