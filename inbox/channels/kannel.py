"""Texts over SMPP, through a Kannel gateway that speaks it: its smsbox takes texts by HTTP and calls us with receipts and replies.

Written against Kannel 1.4.5. Kannel signs nothing and keeps no list that could be asked, so the addresses it is given carry a
signature of ours, and a text's id is the reference we made. Splitting long texts and joining long replies is
Kannel's work (it may split a surrogate pair between two parts, which phones put together again).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode, urlsplit

from inbox import net, phone
from inbox.channels.base import (
    AccountProblem,
    Capabilities,
    ChannelError,
    Credentials,
    Event,
    Inbound,
    Issue,
    Outgoing,
    PermanentFailure,
    RawRequest,
    Receipt,
    Sent,
    Status,
    TemporaryFailure,
    Uncertain,
    Unreadable,
    fitting,
)

SEND_TIMEOUT = 15.0
CHECK_TIMEOUT = 5.0
DELIVERED, FAILED, BUFFERED, SUBMITTED, REJECTED = "1", "2", "4", "8", "16"
ALL_RECEIPTS = "31"
STATUSES = {
    DELIVERED: Status.DELIVERED,
    FAILED: Status.UNDELIVERED,
    BUFFERED: Status.SENDING,
    SUBMITTED: Status.SENT,
    REJECTED: Status.FAILED,
}
# What the network says of a text it gave up, where it says anything.
STATES = frozenset({"UNDELIV", "EXPIRED", "REJECTD", "DELETED"})
_STATE = re.compile(r"\bstat:([A-Z]{7})\b")
RECEIPT_FIELDS = "type=%d&smsc=%i&at=%T&answer=%A"
INBOUND_FIELDS = "from=%p&to=%P&at=%T&coding=%c&smsc=%i&foreign=%F&id=%I"

WORDS = {
    "smpp:auth": "The gateway refused the user name or the password. An administrator must check the carrier's settings.",
    "smpp:address": "The gateway's address is not the one that takes texts. An administrator must check the carrier's settings.",
    "smpp:busy": "The gateway takes no more texts right now. It is sent again in a moment.",
    "smpp:route": "The gateway has no way to this number. An administrator must check its routes.",
    "smpp:sender": "The gateway does not accept the inbox's number as the sender. An administrator must check it.",
    "smpp:number": "The gateway does not accept the recipient's number. Check the contact's number.",
    "smpp:files": "This inbox sends plain texts only. Remove the files.",
    "smpp:refused": "The gateway refused the text. Ask your administrator.",
    "smpp:failed": "The network could not deliver it. Check the contact's number, or try once more later.",
    "smpp:rejected": "The network refused the text before it left. Ask your administrator.",
    "smpp:UNDELIV": "The network could not deliver it. Check the contact's number, or try once more later.",
    "smpp:EXPIRED": "The phone was off or out of reach for too long. Try once more later.",
    "smpp:REJECTD": "The network refused the text. Reword it, or ask your administrator.",
    "smpp:DELETED": "The network dropped the text. Try once more later.",
}
# The groups of kannel.conf that matter to us; "bearerbox" and the "smsc" of the network come before them.
EXAMPLE = (
    "group = smsbox", "bearerbox-host = localhost", "sendsms-port = {port}", "http-request-retry = 20", "http-queue-delay = 10", "",
    "group = sendsms-user", "username = {user}", "password = the one entered here", "concatenation = true", "max-messages = 20", "",
    "group = sms-service", "keyword = default", "catch-all = true", "max-messages = 0", "omit-empty = true", "accept-x-kannel-headers = false",
    'post-url = "{url}"',
)
# What Kannel writes with a 4xx, by a word of it.
_REFUSALS = (("Authorization", "smpp:auth"), ("routable", "smpp:route"), ("Sender", "smpp:sender"), ("receiver", "smpp:number"), ("Number(s)", "smpp:number"))


def sign(key: str, kind: str, ref: str = "") -> str:
    """The proof that we made an address: for one kind of request, and for one text where ref names it."""
    made = hmac.new(key.encode(), f"{kind}\n{ref}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def inbound_url(credentials: Credentials, hook: str) -> str:
    """The address for `post-url` in kannel.conf; Kannel fills in what follows the percent signs."""
    return f"{hook}?sig={sign(credentials.hook_key, 'messages')}&{INBOUND_FIELDS}"


def _query(url: str) -> dict[str, str]:
    """The fields of an address; one that comes twice counts as empty, so that nothing can be slipped in behind it."""
    fields: dict[str, str] = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True, errors="replace"):
        fields[name] = "" if name in fields else value.replace("\x00", "�")
    return fields


def _number(value: str) -> str:
    """A number as E.164 whether or not it came with its plus; short codes and names stay as they are."""
    value = value.strip()
    digits = value.removeprefix("+")
    if not digits.isascii() or not digits.isdigit() or len(digits) < 9:
        return value
    return phone.normalize(f"+{digits}") or phone.normalize(digits) or value


def _moment(value: str) -> datetime | None:
    """Seconds since 1970 as a time; None for what can't be one."""
    if not value.isascii() or not value.isdigit() or not 0 < len(value) < 12:
        return None
    return datetime.fromtimestamp(int(value), UTC)


def _text(request: RawRequest, coding: str) -> str:
    """The words of a reply: UTF-16BE for coding 2, else what the content type says; bytes that are no text become readable marks."""
    declared = request.headers.get("content-type", "").lower()
    if coding == "2" or "utf-16be" in declared:
        words = request.body.decode("utf-16-be", "replace")
    else:
        try:
            words = request.body.decode("utf-8")
        except UnicodeDecodeError:
            words = request.body.decode("latin-1")
    return words.replace("\x00", "�")


def _code(kind: str, answer: str) -> str | None:
    """Our name for why a text was given up; Kannel passes the network's own receipt on where it has one."""
    if kind not in (FAILED, REJECTED):
        return None
    told = _STATE.search(answer)
    return f"smpp:{told[1]}" if told and told[1] in STATES else {FAILED: "smpp:failed", REJECTED: "smpp:rejected"}[kind]


def _coding(text: str) -> str:
    return "2" if phone.segments(text).encoding == "UCS-2" else "0"


def _failure(response: net.Response) -> ChannelError:
    """What an answer means that is not Kannel's yes."""
    words = response.body[:200].decode("utf-8", "replace").strip()
    wait = response.headers.get("retry-after", "").strip()
    if response.status in (429, 503) or "Temporal failure" in words:
        return TemporaryFailure(WORDS["smpp:busy"], "smpp:busy", float(wait) if wait.isascii() and wait.isdigit() else None)
    if response.status >= 500 or response.status < 300:
        return Uncertain(f"The gateway answered with status {response.status}, and not in words that can be read.")
    code = next((name for word, name in _REFUSALS if word in words), "smpp:auth" if response.status in (401, 403, 407) else "smpp:refused")
    if response.status < 400 or response.status in (404, 405):
        code = "smpp:address"
    return (AccountProblem if code in ("smpp:auth", "smpp:address") else PermanentFailure)(WORDS[code], code)


class Kannel:
    """Texts through a Kannel gateway. Credentials: account_sid is the sendsms user, api_base the whole sendsms address."""

    key = "sms"
    kind = "kannel"
    label = "SMPP, through Kannel"
    hooks: Mapping[str, frozenset[str]] = {"messages": frozenset({"POST"}), "status": frozenset({"GET"})}  # Kannel reports receipts by GET, nothing else
    caps = Capabilities(
        text_limit=1600,
        segmented=True,
        media_types=frozenset(),
        max_media=0,
        max_media_bytes=0,
        can_initiate=True,
        receipts=frozenset({"sent", "delivered", "failed", "undelivered"}),
        handles_optout=False,
        needs_registration=False,
        numbers=False,
        calls=False,
        charged=False,
        lookup=False,
    )

    def verify(self, credentials: Credentials, request: RawRequest, public_url: str) -> bool:
        """Whether the address is one we made: its signature is for this carrier, this kind of request and this text."""
        try:
            fields, kind = _query(public_url), urlsplit(public_url).path.rpartition("/")[2]
        except ValueError:
            return False
        given, ref = fields.get("sig", ""), fields.get("ref", "")
        if not given or not credentials.hook_key or (kind == "status" and not ref):
            return False
        return hmac.compare_digest(sign(credentials.hook_key, kind, ref).encode(), given.encode("utf-8", "replace"))

    def meant_for(self, credentials: Credentials, request: RawRequest) -> bool:
        """Always: the signature is of one carrier's own key."""
        return True

    def parse(self, request: RawRequest) -> list[Event]:
        """A receipt (its address names our text) or a reply (its body is the words); Unreadable when neither makes sense."""
        try:
            fields = _query(request.url)
        except ValueError:
            raise Unreadable("The address can't be read.") from None
        return fitting([self._receipt(fields)] if "ref" in fields else [self._inbound(request, fields)])

    def _receipt(self, fields: dict[str, str]) -> Receipt:
        ref, kind = fields["ref"], fields.get("type", "")
        if not ref or not kind:
            raise Unreadable("The receipt names no text or no outcome.")
        code = _code(kind, fields.get("answer", ""))
        return Receipt(
            dedupe=f"{ref}:{kind[:8]}",
            provider_id=ref,
            ref=ref,
            status=STATUSES.get(kind, Status.UNKNOWN),
            error_code=code,
            error_text=self.explain(code) if code else None,
            occurred_at=_moment(fields.get("at", "")),
        )

    def _inbound(self, request: RawRequest, fields: dict[str, str]) -> Inbound:
        sender = fields.get("from", "").strip()
        if not sender:
            raise Unreadable("The text has no sender.")
        text = _text(request, fields.get("coding", ""))
        name = self._name(fields, text)
        return Inbound(
            dedupe=name,
            provider_id=name,
            sender=_number(sender),
            to=_number(fields.get("to", "")),
            text=text,
            media=(),
            occurred_at=_moment(fields.get("at", "")),
            keyword=phone.keyword(text),
            raw=dict(fields),
        )

    def _name(self, fields: dict[str, str], text: str) -> str:
        """What every repetition of a reply shares: the network's id, else Kannel's, else the words and the minute they came in."""
        at = fields.get("at", "")
        minute = str(int(at) // 60) if at.isascii() and at.isdigit() else at
        told = fields.get("foreign") or fields.get("id") or minute
        parts = (fields.get("smsc", ""), told, fields["from"], fields.get("to", ""), text)
        return f"smpp:{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'replace')).hexdigest()[:40]}"

    def ack(self, kind: str) -> tuple[int, str, bytes]:
        """Nothing: Kannel would send any words of the answer back to the customer."""
        return 200, "text/plain; charset=utf-8", b""

    def price(self, to: str, segments: int, files: int) -> int:
        """Nothing through us: what a text costs is between the operator and the network."""
        return 0

    def send(self, credentials: Credentials, outgoing: Outgoing) -> Sent:
        """Hand a text to the gateway, once; Uncertain means it may be on its way, and only a receipt will tell."""
        if outgoing.media_urls:
            raise PermanentFailure(WORDS["smpp:files"], "smpp:files")
        receipt_url = f"{outgoing.status_callback}&sig={sign(credentials.hook_key, 'status', outgoing.ref)}&{RECEIPT_FIELDS}"
        headers = {
            "X-Kannel-From": outgoing.sender,
            "X-Kannel-To": outgoing.to,
            "X-Kannel-Coding": _coding(outgoing.text),
            "X-Kannel-DLR-Mask": ALL_RECEIPTS,
            "X-Kannel-DLR-Url": receipt_url,
        }
        try:
            response = self._post(credentials, headers, outgoing.text, SEND_TIMEOUT)
        except net.ConnectFailed as error:
            raise TemporaryFailure(f"The gateway can't be reached. {error}") from error
        except net.Unknown as error:
            raise Uncertain(f"The gateway did not confirm it. {error}") from error
        except net.Refused as error:
            raise AccountProblem(f"The gateway's address can't be used. {error}", "smpp:address") from error
        if 200 <= response.status < 300 and response.body.strip()[:2] in (b"0:", b"3:"):
            return Sent(outgoing.ref, Status.QUEUED, phone.segments(outgoing.text).segments)
        raise _failure(response)

    def _post(self, credentials: Credentials, headers: dict[str, str], text: str, timeout: float) -> net.Response:
        """One call of sendsms; user and password go in headers, so that no log of addresses holds them."""
        secret = {"X-Kannel-Username": credentials.account_sid, "X-Kannel-Password": credentials.auth_token, "Content-Type": "text/plain; charset=UTF-8"}
        return net.request(
            "POST", credentials.api_base, headers={**headers, **secret}, data=text.encode("utf-8", "replace"), timeout=timeout,
            allow_private=credentials.trusted_origins,
        )

    def find(self, credentials: Credentials, outgoing: Outgoing, since: datetime, known: Collection[str] = ()) -> Sent | None:
        """None: Kannel keeps no list. A receipt settles it, or a person does."""
        return None

    def check(self, credentials: Credentials) -> Issue | None:
        """What is wrong with the settings, at the field it is wrong in; no text is sent. None when Kannel takes texts from us."""
        try:
            response = self._post(credentials, {"X-Kannel-DLR-Mask": "0"}, "", CHECK_TIMEOUT)
        except net.ConnectFailed as error:
            return Issue("api_base", "unreachable", f"{error} Is Kannel's smsbox running, and is the port its sendsms-port?")
        except net.Unknown as error:
            return Issue("api_base", "silent", f"Something is there, but it does not answer like Kannel. {error}")
        except net.Refused as error:
            return Issue("api_base", "refused", str(error))
        words = response.body[:200].decode("utf-8", "replace")
        if "receiver" in words and response.status in (400, 202):  # it would take a text, if there were somebody to send it to
            return None
        if response.status in (401, 403, 407):
            return Issue("auth_token", "auth", "Kannel does not accept this user name with this password.")
        if response.status == 503:
            return Issue("api_base", "busy", "Kannel answers that it can't take texts right now. Is its bearerbox running?")
        return Issue("api_base", "address", f"A server answers here with status {response.status}, but not as Kannel's sendsms does. Check the path, like /cgi-bin/sendsms.")

    def probe(self, credentials: Credentials, hook: str, nonce: str) -> RawRequest:
        """A harmless request as the gateway would make it, to try our own address with."""
        kind = urlsplit(hook).path.rpartition("/")[2]
        return RawRequest("POST", f"{hook}?{urlencode({'sig': sign(credentials.hook_key, kind), 'nonce': nonce})}", {"content-type": "text/plain; charset=utf-8"}, b"")

    def inbound_url(self, credentials: Credentials, hook: str) -> str:
        """The address for the gateway's own settings."""
        return inbound_url(credentials, hook)

    def example(self, credentials: Credentials, hook: str) -> str:
        """What kannel.conf needs for this carrier, without the password."""
        port = urlsplit(credentials.api_base).port or 13013
        return "\n".join(line.format(port=port, user=credentials.account_sid, url=inbound_url(credentials, hook)) for line in EXAMPLE)

    def fetch_media(self, credentials: Credentials, url: str) -> tuple[bytes, str]:
        """Refused: texts over SMPP carry no files."""
        raise PermanentFailure("This carrier brings no files.")

    def knows(self, code: str) -> bool:
        """Whether a code is one of this carrier's."""
        return code.startswith("smpp:")

    def explain(self, code: str | None) -> str:
        """What an error code means and what to do about it."""
        return WORDS.get(code or "", "The network gave no reason. Try once more later.")

