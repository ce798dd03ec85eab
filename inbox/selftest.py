"""Trying a carrier from the outside: whether it takes our credentials, whether its calls would reach us, whether its numbers call us."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from inbox import net
from inbox.channels.base import ChannelError, Credentials, NumberAddresses, RawRequest

TIMEOUT = 5.0  # seconds for the call of our own address


@dataclass(frozen=True)
class Finding:
    """What a check showed, in a sentence; field is the setting at fault, as adapters name it."""

    well: bool
    sentence: str
    field: str | None = None
    details: tuple[dict[str, Any], ...] = ()


def proof(key: str, request: bytes) -> str:
    """What only a server with our key can answer to a request."""
    return hmac.new(key.encode(), b"self-test\n" + request, hashlib.sha256).hexdigest()


def credentials(adapter: Any, given: Credentials) -> Finding:
    """Ask the carrier whether it takes them."""
    began = time.monotonic()
    issue = adapter.check(given)
    if issue is None:
        return Finding(True, f"{adapter.label} accepts the credentials. It answered in {_ms(began)} ms.")
    return Finding(False, issue.message, issue.field)


def webhook(adapter: Any, given: Credentials, hook: str, *, key: str, public_url: str) -> Finding:
    """Call our own public address the way the carrier does, with a signature it would make; `public_url` is the present setting."""
    request = adapter.probe(given, hook, secrets.token_urlsafe(12))
    began = time.monotonic()
    try:
        answer = net.request(request.method, request.url, headers=request.headers, data=request.body, timeout=TIMEOUT, allow_private=[net.origin(hook)])
    except net.NetError as error:
        return Finding(False, _unreachable(error, hook), "public_url")
    if answer.status == 200 and hmac.compare_digest(answer.body.strip(), proof(key, _signed(request)).encode()):
        if net.origin(hook) != net.origin(public_url):
            return Finding(False, f"Carriers still call {net.origin(hook)}, which works, but the server’s PUBLIC_URL is {net.origin(public_url)} by now.", "public_url")
        return Finding(True, f"A signed request came in through {net.origin(hook)} and was accepted, in {_ms(began)} ms.")
    return Finding(False, _answered(answer, hook), "public_url")


def _signed(request: RawRequest) -> bytes:
    return request.body + request.url.encode()


def _ms(began: float) -> int:
    return max(1, round((time.monotonic() - began) * 1000))


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(found) < 12:
        found.append(cause)
        cause = cause.__cause__ or cause.__context__
    return found


def _unreachable(error: net.NetError, hook: str) -> str:
    """Why nothing answered at the public address, and where to look."""
    host, causes = urlsplit(hook).hostname or "", _causes(error)
    certificate = next((each for each in causes if isinstance(each, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return f"The certificate of {host} is not valid: {certificate.verify_message}. Carriers refuse to call it. Renew it, with the whole chain."
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return f"{host} does not speak TLS at this port. Check the proxy in front of the server, and PUBLIC_URL."
    if any(isinstance(each, ConnectionRefusedError) for each in causes):
        return f"Nothing listens at {net.origin(hook)}: the connection was refused. Check that the proxy runs, and the port in PUBLIC_URL."
    if isinstance(error, net.Refused):
        return f"{hook.partition('/hooks/')[0]} is no address that can be called. {error} Check PUBLIC_URL."
    if isinstance(error, net.ConnectFailed) and "can't be found" in str(error):
        return f"The name {host} can’t be found. Check its DNS entry, and PUBLIC_URL."
    if isinstance(error, net.ConnectFailed):
        return f"No connection to {net.origin(hook)} within {TIMEOUT:.0f} seconds. A firewall may be in between, or the server can’t reach its own public address."
    return f"{net.origin(hook)} took the request and gave no complete answer within {TIMEOUT:.0f} seconds. Check the proxy in front of the server."


def _answered(answer: net.Response, hook: str) -> str:
    """What another answer than ours means."""
    place = net.origin(hook)
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "")
        there = urlsplit(target).netloc or "another address"
        return f"{place} redirects to {there}, which carriers do not follow with what they post. Set PUBLIC_URL to the address it ends at."
    sentences = {
        400: f"The server at {place} does not answer to that host name. PUBLIC_URL must be the address it is reached by.",
        401: f"{place} asks for a password before the request reaches us. Let /hooks/ through at the proxy.",
        403: f"The signature was refused at {place}: the request arrived at another address than it was sent to, or at another server. The proxy must keep path and query.",
        404: f"The server at {place} does not know this carrier: PUBLIC_URL leads to another server, or the proxy hides /hooks/.",
        405: f"{place} does not take posted requests at /hooks/. Check the proxy.",
        413: f"The proxy at {place} takes no requests of this size.",
        429: f"{place} answers that there are too many requests. Check the limits of the proxy.",
    }
    if answer.status in sentences:
        return sentences[answer.status]
    if answer.status >= 500:
        return f"{place} answers with status {answer.status}: the proxy can’t reach the server, or it fails."
    return f"Another server answers at {place} (status {answer.status}). Check PUBLIC_URL and the proxy."


def numbers(adapter: Any, given: Credentials, wanted: Mapping[str, int], hooks: Mapping[str, str]) -> Finding:
    """Compare what the carrier's numbers call with `hooks` (messages, voice, status); `wanted` is number -> inbox id."""
    try:
        listed = {each.e164: each for each in adapter.number_addresses(given)}
    except ChannelError as error:
        return Finding(False, error.reason)
    found = {inbox_id: listed.get(e164) for e164, inbox_id in wanted.items()}
    details = [{"inbox": inbox_id, "wrong": wrong, "sid": each.sid if each else ""} for inbox_id, each in found.items() if (wrong := _wrong(each, hooks))]
    if not wanted:
        return Finding(True, "No inbox has a number of this carrier yet.")
    if not details:
        return Finding(True, "The number calls this server." if len(wanted) == 1 else f"All {len(wanted)} numbers call this server.")
    sentence = f"{len(details)} of {len(wanted)} numbers {'does' if len(details) == 1 else 'do'} not call this server as {'it' if len(details) == 1 else 'they'} should."
    return Finding(False, sentence, None, tuple(details))


def _wrong(found: NumberAddresses | None, hooks: Mapping[str, str]) -> list[str]:
    """What is not as it should be with one number, in phrases."""
    if found is None:
        return ["The carrier account does not have this number."]
    pairs: tuple[tuple[str, str, str], ...] = (
        ("Texts go", found.sms_url, hooks["messages"]), ("Calls go", found.voice_url, hooks["voice"]), ("News of calls goes", found.status_url, hooks["status"]),
    )
    return [f"{what} {_where(is_url, should)}." for what, is_url, should in pairs if is_url != should]


def _where(found: str, should: str) -> str:
    """To where instead, without the secret part of any address."""
    if not found:
        return "nowhere"
    try:
        there, here = urlsplit(found).netloc, urlsplit(should).netloc
    except ValueError:
        return "to an address that can’t be read"
    return "to another address of this server" if there == here else f"to {there[:80]}"
