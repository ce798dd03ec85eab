"""Signed webhooks out of the carrier, with retries, a fallback address and a log of every attempt."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import httpx

from .carrier import Carrier
from .wire import signature
from .worker import job

TIMEOUT = httpx.Timeout(15.0, connect=5.0)
RETRY_AFTER = (1.0, 4.0, 16.0)
SHOWN = 2000  # characters of an answer kept in the log
Params = list[tuple[str, str]]


def client() -> httpx.Client:
    return httpx.Client(timeout=TIMEOUT, trust_env=False, follow_redirects=True, max_redirects=5)


def notify(
    carrier: Carrier, url: str, params: Params, *, event: str, sid: str, lane: str, at: float | None = None,
    fallback: str = "", then: str = "", then_args: dict[str, Any] | None = None, twice: bool = False,
) -> None:
    """Queue one signed form post; faults of the webhook kind are decided here, once."""
    copies = 2 if twice or carrier.fault("duplicate_webhook", event) else 1
    if carrier.fault("extra_params", event):
        params = [*params, ("SandboxExtra", "unannounced"), ("ChannelBilling", "none")]
    bad = carrier.fault("wrong_signature", event) is not None
    token = str(uuid.uuid4())
    for copy in range(copies):
        carrier.schedule(
            "post", lane, at, url=url, params=params, event=event, sid=sid, queue=lane, token=token, attempt=1,
            fallback=fallback, bad_signature=bad, then=then if copy == 0 else "", then_args=then_args or {},
        )


def send(
    carrier: Carrier, url: str, params: Params, *, event: str, sid: str, token: str = "", attempt: int = 1,
    bad_signature: bool = False, method: str = "POST",
) -> httpx.Response | None:
    """Post once and log what came back; None when nobody answered."""
    target = urlunsplit(urlsplit(url)._replace(fragment=""))
    key = carrier.auth_token + ("-wrong" if bad_signature else "")
    headers = {
        "User-Agent": "TwilioProxy/1.1",
        "X-Twilio-Signature": signature(key, target, params),
        "I-Twilio-Idempotency-Token": token or str(uuid.uuid4()),
        "Accept": "*/*",
    }
    body: dict[str, list[str]] = {}
    for name, value in params:
        body.setdefault(name, []).append(value)
    entry: dict[str, Any] = {"url": target, "params": dict(params), "attempt": attempt,
                             "token": headers["I-Twilio-Idempotency-Token"], "status": None}
    begin = time.monotonic()
    response: httpx.Response | None = None
    try:
        with client() as http:
            response = http.request(method, target, data=body, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        timed_out = isinstance(error, httpx.TimeoutException)
        entry["error"] = 11205 if isinstance(error, httpx.ConnectError) else 11200
        entry["answer"] = "no answer in time" if timed_out else f"{type(error).__name__}: {error}"[:300]
    if response is not None:
        entry["status"] = response.status_code
        entry["answer"] = response.text[:SHOWN]
        if response.status_code >= 400:
            entry["error"] = 11200
    entry["ms"] = round((time.monotonic() - begin) * 1000)
    carrier.log(event, sid, **entry)
    return response


def retries(url: str) -> int:
    """How often to try again: the URL fragment's rc, or the usual number."""
    wanted = dict(parse_qsl(urlsplit(url).fragment)).get("rc", "")
    return min(5, int(wanted)) if wanted.isdigit() else len(RETRY_AFTER)


@job
def post(
    carrier: Carrier, at: float, url: str, params: list[list[str]], event: str, sid: str, queue: str, token: str,
    attempt: int, fallback: str, bad_signature: bool, then: str, then_args: dict[str, Any],
) -> None:
    pairs = [(name, value) for name, value in params]
    slow = carrier.fault("webhook_latency", event)
    if slow:
        carrier.pause(float(slow.get("seconds", 1)))
    response = send(carrier, url, pairs, event=event, sid=sid, token=token, attempt=attempt,
                    bad_signature=bad_signature)
    again: dict[str, Any] = {
        "params": params, "event": event, "sid": sid, "queue": queue, "token": token,
        "bad_signature": bad_signature, "then": then, "then_args": then_args,
    }
    if response is not None and response.status_code < 500:
        if then and response.status_code < 400:
            carrier.schedule(then, queue, at, answer=response.text, content_type=response.headers.get(
                "content-type", ""), **then_args)
    elif attempt <= retries(url):
        wait = RETRY_AFTER[min(attempt, len(RETRY_AFTER)) - 1]
        carrier.schedule("post", queue, at + wait, url=url, attempt=attempt + 1, fallback=fallback, **again)
    elif fallback:
        failed = [["ErrorCode", "11200"], ["ErrorUrl", url]]
        again["params"] = [*params, *failed]
        carrier.schedule("post", queue, at, url=fallback, attempt=1, fallback="", **again)


@job
def post_events(
    carrier: Carrier, at: float, url: str, events: list[dict[str, Any]], sid: str, method: str, attempt: int
) -> None:
    """Post CloudEvents to a sink: the body's hash travels in the signed URL."""
    body = json.dumps(events).encode()
    event = f"event.{events[0]['type'].removeprefix('com.twilio.messaging.compliance.')}"
    joined = url + ("&" if urlsplit(url).query else "?") + "bodySHA256=" + hashlib.sha256(body).hexdigest()
    key = carrier.auth_token + ("-wrong" if carrier.fault("wrong_signature", event) else "")
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature(key, joined)}
    entry: dict[str, Any] = {"url": joined, "params": {"events": len(events)}, "attempt": attempt, "status": None}
    try:
        with client() as http:
            response = http.request(method, joined, content=body, headers=headers)
        entry["status"], entry["answer"] = response.status_code, response.text[:SHOWN]
        failed = response.status_code >= 500
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        entry["answer"], failed = f"{type(error).__name__}: {error}"[:300], True
    carrier.log(event, sid, **entry)
    if failed and attempt <= len(RETRY_AFTER):
        carrier.schedule("post_events", sid, at + RETRY_AFTER[attempt - 1], url=url, events=events, sid=sid,
                         method=method, attempt=attempt + 1)
