"""The one send gate: every path asks it when a text is written, and once more when it leaves (MSG-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from inbox import clock, quiet
from inbox import phone as phones
from inbox.models.base import Refused
from inbox.models.consent import Allowed, OptInRequest
from inbox.models.contact import WITHHELD
from inbox.models.ledger import Standing
from inbox.models.usage import UsageDay, daily_cap, next_day
from inbox.placeholders import left_over

if TYPE_CHECKING:
    from inbox.channels.base import Capabilities
    from inbox.models.conversation.row import ConversationRow
    from inbox.models.inbox import Inbox
    from inbox.models.registration import Registration

MAX_BODY = 1600
MAX_MEDIA = 10


class Path(StrEnum):
    """What makes a text leave; stored with it."""

    REPLY = "reply"
    COMPOSE = "compose"
    API = "api"
    SCHEDULED = "scheduled"
    AUTO = "auto"  # the answer to a keyword
    AWAY = "away"
    FLOW = "flow"
    BULK = "bulk"
    OPT_IN = "opt_in"  # the question whether a new contact wants texts at all

    @property
    def live(self) -> bool:
        """Whether a person presses Send for this one text, now."""
        return self in (Path.REPLY, Path.COMPOSE, Path.OPT_IN)

    @property
    def undoable(self) -> bool:
        """Whether its author gets a moment to take it back before it leaves."""
        return self in (Path.REPLY, Path.COMPOSE)

    @property
    def lane(self) -> str:
        """The queue its texts leave by; a lane never waits for a lower one: send, auto, bulk."""
        return "send" if self.live else "bulk" if self is Path.BULK else "auto"


class SendRefused(Refused):
    """The send gate said no; the sentence is the first failing rule's."""


@dataclass(frozen=True)
class Answer:
    """What one rule says. Not passed is a refusal, or with `until` a wait; a sentence beside a pass is a warning."""

    rule: str
    passed: bool
    sentence: str = ""
    until: datetime | None = None
    exempt: bool = False

    def stored(self) -> dict[str, Any]:
        """The answer as kept with the message: rule, passed, exempt, and sentence and until (ISO 8601) when there are any."""
        more = {"sentence": self.sentence, "until": self.until.isoformat() if self.until else ""}
        return {"rule": self.rule, "passed": self.passed, "exempt": self.exempt, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True)
class Case:
    """What is asked: this text, on this path, now."""

    conversation: ConversationRow
    text: str
    media: int
    path: Path
    at: datetime
    address: str

    @cached_property
    def inbox(self) -> Inbox:
        return self.conversation.inbox

    @cached_property
    def caps(self) -> Capabilities:
        caps: Capabilities = self.inbox.texting.adapter.caps
        return caps

    @cached_property
    def registration(self) -> Registration | None:
        """The team's registration, where one is needed."""
        return self.inbox.registration if self.inbox.needs_registration else None

    @cached_property
    def segments(self) -> int:
        return phones.segments(self.text).segments or 1

    @cached_property
    def allowed(self) -> Allowed:
        return Allowed.read(self.inbox, self.address)


@dataclass(frozen=True)
class Judgement:
    """Every rule's answer."""

    answers: tuple[Answer, ...]

    @property
    def refusal(self) -> Answer | None:
        """The first rule that forbids the text for good."""
        return next((a for a in self.answers if not a.passed and not a.exempt and a.until is None), None)

    @property
    def until(self) -> datetime | None:
        """When the last of the rules that make it wait lets it go; None when it may leave now."""
        return max((a.until for a in self.answers if a.until is not None and not a.exempt), default=None)

    @property
    def warnings(self) -> list[str]:
        """What a person should know before pressing Send all the same."""
        return [a.sentence for a in self.answers if a.passed and a.sentence]

    def require(self) -> Judgement:
        """This judgement; raises SendRefused with the first no."""
        no = self.refusal
        if no is not None:
            raise SendRefused(no.sentence, field="body" if no.rule in ("content", "length", "media") else None)
        return self

    def stored(self) -> list[dict[str, Any]]:
        return [answer.stored() for answer in self.answers]


def judge(
    conversation: ConversationRow, text: str, *, media: int = 0, path: Path = Path.REPLY, exempt: tuple[str, ...] = (), address: str | None = None
) -> Judgement:
    """Ask every rule about a text of `media` files; rules named in `exempt` (a STOP's confirmation) answer but do not decide.

    `address` is where it goes, if to another number of the customer than the conversation's.
    """
    case = Case(conversation, text, media, path, clock.now(), address or conversation.address)
    answers = []
    for rule, ask in RULES:
        passed, sentence, until = ask(case)
        answers.append(Answer(rule, passed, sentence, until, exempt=rule in exempt))
    return Judgement(tuple(answers))


Says = tuple[bool, str, datetime | None]


def _says(passed: bool, otherwise: str) -> Says:
    return passed, "" if passed else otherwise, None


def _content(case: Case) -> Says:
    unfilled = "" if case.path in (Path.AUTO, Path.OPT_IN) else left_over(case.text)
    if unfilled:
        return _says(False, f"{unfilled} is not filled in. Write what should stand there.")
    return _says(bool(case.text) or case.media > 0, "Write something first.")


def _length(case: Case) -> Says:
    return _says(len(case.text) <= MAX_BODY, f"A text can have at most {MAX_BODY:,} characters; this one has {len(case.text):,}.")


def _media(case: Case) -> Says:
    files = min(MAX_MEDIA, case.caps.max_media)
    return _says(case.media <= files, f"A text can carry at most {files} files." if files else f"{case.inbox.name} sends plain texts only, without files.")


def _registration(case: Case) -> Says:
    registered = not case.inbox.needs_registration or (case.registration is not None and case.registration.state == "approved" and case.registration.covers(case.inbox))
    return _says(
        registered, f"{case.inbox.name} is not registered with the carriers yet, so nothing can leave it. Admins get an e-mail when it is approved."
    )


def _address(case: Case) -> Says:
    inbox, address = case.inbox, case.address
    if address == WITHHELD:
        return _says(False, "This caller hid their number, so there is nobody to text.")
    return _says(inbox.phone is not None and address != inbox.phone, "This conversation has no number to answer to.")


def _consent(case: Case) -> Says:
    return _says(not case.allowed.opted_out, case.allowed.why_not(case.conversation.contact.name))


def _opt_in(case: Case) -> Says:
    missing = OptInRequest.missing(case.inbox, case.address, case.allowed)
    name = case.conversation.contact.name
    sentences = {
        "": "", "ask": f"{case.inbox.name} asks new contacts for a YES first. Start with Compose, which asks {name}.",
        "wait": f"We asked {name} whether they want texts from us. You can text them once they reply YES.",
    }
    return _says(not missing, sentences[missing])


def _block(case: Case) -> Says:
    contact = case.conversation.contact
    return _says(not contact.blocked, f"{contact.name} is blocked. Unblock the contact to send texts again.")


def _balance(case: Case) -> Says:
    money = Standing.of(case.conversation.account_id)
    return _says(money.may_send or not case.caps.charged, money.why_not())


def quiet_now(conversation: ConversationRow, at: datetime) -> quiet.Quiet | None:
    """The quiet hours that reign where the contact is, by the inbox's setting; None when there are none at that moment."""
    inbox, contact = conversation.inbox, conversation.contact
    if inbox.quiet == "off":
        return None
    zone, postal = quiet.hints(contact.fields or {})
    usual = inbox.account.time_zone
    return quiet.look(quiet.place(conversation.address, zone, postal, usual), at, mode=inbox.quiet, own=(inbox.quiet_opens, inbox.quiet_closes), usual=usual)


def _quiet(case: Case) -> Says:
    """A person may decide to write at night, and the answer to a keyword must go at once; everything else waits for the morning."""
    if case.path is Path.AUTO:
        return True, "", None
    found = quiet_now(case.conversation, case.at)
    if found is None:
        return True, "", None
    contact = case.conversation.contact
    return case.path.live, found.sentence(contact.first_name or contact.name), None if case.path.live else found.until


def _cap(case: Case) -> Says:
    """Everything waits once the carriers' limit of the day is used up; what is left is taken for good when a text leaves."""
    cap = daily_cap(case.registration)
    if case.registration is None or cap is None or UsageDay.used(case.registration.id) + case.segments <= cap:
        return True, "", None
    return False, capped(cap), next_day(case.at)


def capped(cap: int) -> str:
    """Why a text waits for the next day."""
    return f"Today’s limit of {cap:,} segments is used up. It goes out after midnight Pacific time."


# In the order people should hear of them.
RULES: tuple[tuple[str, Callable[[Case], Says]], ...] = (
    ("content", _content),
    ("length", _length),
    ("media", _media),
    ("registration", _registration),
    ("address", _address),
    ("block", _block),
    ("consent", _consent),
    ("opt_in", _opt_in),
    ("balance", _balance),
    ("quiet", _quiet),
    ("cap", _cap),
)
