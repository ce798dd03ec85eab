"""What every channel adapter speaks: statuses, what comes in, what goes out, and how sending can end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class CallNotice:
    """A phone call; sender is empty when the caller hid the number, duration is in seconds."""

    dedupe: str
    call_sid: str
    sender: str
    to: str
    status: str
    duration: int | None


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
    """The provider has the text; segments is None while the provider does not know yet."""

    provider_id: str
    status: Status
    segments: int | None


class ChannelError(Exception):
    """A provider call that did not end well."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryFailure(ChannelError):
    """Nothing was done: safe to try again, after retry_after seconds when the provider named a time."""

    def __init__(self, reason: str, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.retry_after = retry_after


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
    """One thing wrong with a registration; field is one of our form fields, or None when it is about the whole."""

    field: str | None
    code: str
    message: str


@dataclass(frozen=True)
class RegistrationStatus:
    """Where a registration is, in our words and the provider's."""

    state: RegistrationState
    provider_state: str
    issues: tuple[Issue, ...] = ()


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


@dataclass(frozen=True)
class Capabilities:
    """What the channel can carry; sizes in bytes, text_limit in characters."""

    text_limit: int
    segmented: bool
    media_types: frozenset[str]
    max_media: int
    max_media_bytes: int
    can_initiate: bool
    receipts: frozenset[str]
    handles_optout: bool


class Channel(Protocol):
    """What the rest of the product may ask of an adapter for texts."""

    key: str
    caps: Capabilities

    def verify(self, credentials: Credentials, request: RawRequest, public_url: str) -> bool: ...

    def parse(self, request: RawRequest) -> Sequence[Event]: ...

    def ack(self, kind: str) -> tuple[int, str, bytes]: ...

    def send(self, credentials: Credentials, outgoing: Outgoing) -> Sent: ...

    def find(self, credentials: Credentials, outgoing: Outgoing, since: datetime) -> Sent | None: ...

    def fetch_media(self, credentials: Credentials, url: str) -> tuple[bytes, str]: ...

    def explain(self, code: str | None) -> str: ...
