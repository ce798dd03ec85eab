"""What every channel adapter speaks: statuses, what comes in, what goes out, and how sending can end."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypedDict
from urllib.parse import parse_qsl

Keyword = Literal["STOP", "START", "HELP"]
RegistrationState = Literal["submitted", "in_review", "approved", "rejected", "suspended", "expired"]


class Status(StrEnum):
    """Where an outgoing text is."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"  # never left the provider
    UNDELIVERED = "undelivered"  # the carrier or the phone refused it
    CANCELED = "canceled"
    SCHEDULED = "scheduled"
    UNKNOWN = "unknown"  # it may or may not have been sent


RANK: Mapping[Status, int] = MappingProxyType(
    {
        Status.SCHEDULED: 0,
        Status.UNKNOWN: 0,
        Status.QUEUED: 1,
        Status.SENDING: 2,
        Status.SENT: 3,
        Status.DELIVERED: 5,
        Status.UNDELIVERED: 5,
        Status.FAILED: 5,
        Status.CANCELED: 5,
        Status.READ: 6,
    }
)


def merge(current: Status, new: Status) -> Status:
    """The status after a receipt, in whatever order receipts arrive: upwards only, and delivered beats any failure."""
    if RANK[new] > RANK[current]:
        return new
    if RANK[new] == RANK[current] and new is Status.DELIVERED:
        return new
    return current


@dataclass(frozen=True)
class RawRequest:
    """A provider's request as it came; header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes

    def form(self) -> list[tuple[str, str]]:
        """The form fields in order, repeated and empty ones included."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)


@dataclass(frozen=True)
class Media:
    """A file a message came with, still at the provider."""

    url: str
    content_type: str
    filename: str | None = None


@dataclass(frozen=True)
class Inbound:
    """A text from a customer; dedupe is the same for every repetition of it."""

    dedupe: str
    provider_id: str
    sender: str
    to: str
    text: str
    media: tuple[Media, ...]
    occurred_at: datetime | None
    keyword: Keyword | None
    raw: dict[str, Any]
    answered: bool = False  # the provider has answered the keyword itself


@dataclass(frozen=True)
class Receipt:
    """News about a text we sent; ref is our own id when the callback address carried it."""

    dedupe: str
    provider_id: str
    ref: str | None
    status: Status
    error_code: str | None
    error_text: str | None
    occurred_at: datetime | None


@dataclass(frozen=True)
class RegistrationNotice:
    """A carrier decision about a brand or a campaign: a reason to ask for its state now."""

    dedupe: str
    ref_sid: str
    kind: Literal["brand", "campaign"]
    status: str


@dataclass(frozen=True)
class Recording:
    """What a caller said after the tone, still at the provider; seconds of sound."""

    sid: str
    url: str
    seconds: int


@dataclass(frozen=True)
class CallNotice:
    """News about a phone call; sender is empty when the caller hid the number, duration is in seconds.

    `forward` says that it is about the number the call was put through to, not about the call itself. sender and to are both empty where the provider
    does not repeat them. ref is our own id when the callback address carried it.
    """

    dedupe: str
    call_sid: str
    sender: str
    to: str
    status: str
    duration: int | None
    forward: bool = False
    recording: Recording | None = None
    outgoing: bool = False
    ref: str | None = None


@dataclass(frozen=True)
class Ring:
    """A call to place: the phone of a member rings, and whoever answers is put through to `to`, who sees `sender`; both rings are in seconds."""

    ref: str
    sender: str
    agent: str
    to: str
    seconds: int
    dial_url: str
    status_url: str


Event = Inbound | Receipt | RegistrationNotice | CallNotice


@dataclass(frozen=True)
class Outgoing:
    """A text to send; ref is ours and survives every retry."""

    ref: str
    sender: str
    to: str
    text: str
    media_urls: tuple[str, ...]
    status_callback: str


@dataclass(frozen=True)
class Sent:
    """The provider has the text; segments and price (millionths of a dollar) are None while the provider does not know yet."""

    provider_id: str
    status: Status
    segments: int | None
    price: int | None = None


class ChannelError(Exception):
    """A provider call that did not end well."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryFailure(ChannelError):
    """Nothing was done: safe to try again, after retry_after seconds when the provider named a time, or `tomorrow` when the day's limit is used up."""

    def __init__(self, reason: str, code: str | None = None, retry_after: float | None = None, tomorrow: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_after = retry_after
        self.tomorrow = tomorrow


class Doubtful(TemporaryFailure):
    """The provider says it failed, but by a fault of its own that may have come too late: look it up, then try again."""


class PermanentFailure(ChannelError):
    """Refused, and a repetition would be refused again."""

    def __init__(
        self,
        reason: str,
        code: str | None = None,
        opted_out: bool = False,
        issues: tuple[Issue, ...] = (),
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.opted_out = opted_out
        self.issues = issues
        self.field = issues[0].field if issues else None


class AccountProblem(PermanentFailure):
    """The provider account itself is refused or not set up: everything else through it would fail too."""


class Uncertain(ChannelError):
    """The provider may have done it: look it up before doing it again."""


class NumberTaken(PermanentFailure):
    """Somebody else got the number first."""


class Unreadable(ChannelError):
    """A provider's request that can't be understood."""


LONGEST = {"sender": 40, "provider_id": 80, "call_sid": 80, "ref": 40, "error_code": 20}  # characters of a real number or id


def fitting(events: list[Event]) -> list[Event]:
    """The events as they are; Unreadable when a number or an id is longer than any real one, which no column could hold."""
    for event in events:
        for name, longest in LONGEST.items():
            if len(getattr(event, name, None) or "") > longest:
                raise Unreadable(f"The request’s {name.replace('_', ' ')} is too long to be a real one.")
    return events


@dataclass(frozen=True)
class AvailableNumber:
    """A number that can be bought; monthly_cents is in US cents."""

    e164: str
    locality: str
    region: str
    sms: bool
    mms: bool
    voice: bool
    monthly_cents: int


@dataclass(frozen=True)
class OwnedNumber:
    """A number of ours at the provider."""

    sid: str
    e164: str


@dataclass(frozen=True)
class NumberAddresses:
    """Which addresses a number of ours calls at the provider; empty ones are not set."""

    sid: str
    e164: str
    sms_url: str
    voice_url: str
    status_url: str


class BrandForm(TypedDict, total=False):
    """The business behind the texts, in our field names."""

    brand_legal_name: str
    brand_ein: str
    brand_type: str
    brand_vertical: str
    brand_website: str
    brand_address_street: str
    brand_address_city: str
    brand_address_region: str
    brand_address_postal: str
    brand_country: str
    contact_first_name: str
    contact_last_name: str
    contact_email: str
    contact_phone: str
    contact_title: str


class CampaignForm(TypedDict, total=False):
    """What the texts are for, in our field names."""

    use_case: str
    description: str
    message_flow: str
    sample_1: str
    sample_2: str
    sample_3: str
    sample_4: str
    sample_5: str
    has_embedded_links: bool
    has_embedded_phone: bool
    opt_in_message: str
    opt_out_message: str
    help_message: str
    opt_in_keywords: str
    opt_out_keywords: str
    help_keywords: str
    privacy_url: str
    terms_url: str


@dataclass(frozen=True)
class Issue:
    """One thing wrong with a registration; field is one of our form fields, or None when it is about the whole, change what to do about it."""

    field: str | None
    code: str
    message: str
    change: str = ""

    @property
    def words(self) -> str:
        return f"{self.message} {self.change}".strip()


@dataclass(frozen=True)
class RegistrationStatus:
    """Where a registration is, in our words and the provider's.

    `limits` is what an approved campaign may send, empty while nobody knows: mps (float, segments a second over all carriers), daily_cap (int,
    segments a day, or None for no cap), score (int of 100 or None) and tier (str). `done` names what the carriers accepted: profile, brand, campaign.
    """

    state: RegistrationState
    provider_state: str
    issues: tuple[Issue, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    done: frozenset[str] = frozenset()


# Every id made at the provider on the way to a brand, by step, so that a broken submission can go on; "brand" is last.
BrandRef = dict[str, str]


@dataclass(frozen=True)
class UseCase:
    """A purpose the carriers know."""

    code: str
    name: str
    description: str
    needs_review: bool = False


@dataclass(frozen=True)
class Credentials:
    """How to reach the provider; trusted_origins are addresses allowed although they are private (the test carrier)."""

    account_sid: str
    auth_token: str = field(repr=False)
    api_base: str
    messaging_base: str
    trusthub_base: str
    trusted_origins: tuple[str, ...] = ()
    hook_key: str = field(default="", repr=False)  # signs the addresses we hand out, where the provider signs nothing itself


@dataclass(frozen=True)
class Capabilities:
    """What the channel can carry; sizes in bytes, text_limit in characters. What is not declared is what a full-service carrier does."""

    text_limit: int
    segmented: bool
    media_types: frozenset[str]
    max_media: int
    max_media_bytes: int
    can_initiate: bool
    receipts: frozenset[str]
    handles_optout: bool
    needs_registration: bool = True  # nothing may leave before the carriers approved the team (REG-3)
    numbers: bool = True  # numbers are searched, bought and given back there
    calls: bool = True  # a number can ring
    charged: bool = True  # a text costs something of the balance
    lookup: bool = True  # can tell whether a text that got no answer went out
    max_file_bytes: int = 0  # of a file that is no picture
    max_total_bytes: int = 0  # of all files of a text together


class Channel(Protocol):
    """What the rest of the product may ask of an adapter for texts; hooks are the kinds of requests it takes and by which methods."""

    key: str
    kind: str
    label: str
    caps: Capabilities
    hooks: Mapping[str, frozenset[str]]

    def meant_for(self, credentials: Credentials, request: RawRequest) -> bool: ...

    def knows(self, code: str) -> bool: ...

    def verify(self, credentials: Credentials, request: RawRequest, public_url: str) -> bool: ...

    def parse(self, request: RawRequest) -> Sequence[Event]: ...

    def ack(self, kind: str) -> tuple[int, str, bytes]: ...

    def check(self, credentials: Credentials) -> Issue | None: ...

    def probe(self, credentials: Credentials, hook: str, nonce: str) -> RawRequest: ...

    def price(self, to: str, segments: int, files: int) -> int: ...

    def send(self, credentials: Credentials, outgoing: Outgoing) -> Sent: ...

    def find(self, credentials: Credentials, outgoing: Outgoing, since: datetime, known: Collection[str] = ()) -> Sent | None: ...

    def fetch_media(self, credentials: Credentials, url: str) -> tuple[bytes, str]: ...

    def explain(self, code: str | None) -> str: ...


class Gateway(Channel, Protocol):
    """What an account brings itself: it must be told where to call us."""

    def inbound_url(self, credentials: Credentials, hook: str) -> str: ...

    def example(self, credentials: Credentials, hook: str) -> str: ...
