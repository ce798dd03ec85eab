"""What the conversation screens show: one builder for each piece, used by pages, by htmx answers and by the live socket."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from flask import request
from markupsafe import Markup, escape
from sqlalchemy.orm import joinedload

from inbox import channels, clock
from inbox import phone as phones
from inbox.models import Attachment, Consent, ContactField, Conversation, Draft, Event, Following, Member, Message, ScheduledMessage, TrayItem, db
from inbox.models.conversation import Held, Item
from inbox.models.conversation.reading import SHOWN, drawn
from inbox.models.gate import Answer, Judgement, judge, quiet_now
from inbox.models.member import shown
from inbox.models.undo import files_of
from inbox.permissions import Permission
from inbox.views.counting import Meter, meter
from inbox.views.helpers import clock_time, day, epoch_ms, hand, local, long_time
from inbox.views.lists import ARGS

THREAD = 30
FOLD = 3  # so many events in a row are folded into one line
CLOSE = 10 * 60  # seconds within which two texts of one writer are drawn as one group
_LINK = re.compile(r"https?://[^\s<>\"'`\\^{}|\x00-\x20\u2028\u2029]+", re.IGNORECASE)
_TRAILING = ".,;:!?)]}…’”'\""


def linked(text: str) -> Markup:
    """The text with its http addresses as links; everything else is escaped, nothing else is ever a link."""
    parts: list[Markup] = []
    end = 0
    for match in _LINK.finditer(text):
        address = match.group().rstrip(_TRAILING)
        if address.count("://") < 1 or len(address) <= len("https://"):
            continue
        parts.append(escape(text[end : match.start()]))
        parts.append(Markup('<a href="{0}" target="_blank" rel="noopener noreferrer nofollow">{0}</a>').format(address))
        end = match.start() + len(address)
    parts.append(escape(text[end:]))
    return Markup("").join(parts)


def explain(message: Message, channel: str = "sms") -> str:
    """Why a text did not arrive and what to do, in words."""
    if message.error_code:
        return channels.explain(channel, message.error_code)
    return message.error_text or "The carrier gave no reason."


@dataclass(frozen=True)
class Check:
    """A rule of the send gate in words; `look` is passed, warned, waits, no or skipped."""

    title: str
    look: str
    sentence: str = ""


_CHECKS = {
    "content": "There is something to send", "length": "The length", "media": "The files", "registration": "The carrier registration", "address": "The number",
    "block": "Blocked contacts", "consent": "Opt-outs", "opt_in": "A YES to our texts", "balance": "The balance", "quiet": "Quiet hours", "cap": "The carriers’ daily limit",
}


def checks(message: Message) -> list[Check]:
    """What the gate said about a text when it was last asked."""
    found = []
    for answer in message.verdict:
        sentence = answer.get("sentence", "")
        if answer.get("until") and not answer["exempt"]:
            sentence = f"{sentence} It waits until {long_time(datetime.fromisoformat(answer['until']))}.".strip()
        no = "waits" if answer.get("until") else "no"
        look = "skipped" if answer["exempt"] else no if not answer["passed"] else "warned" if sentence else "passed"
        found.append(Check(_CHECKS.get(answer["rule"], str(answer["rule"]).replace("_", " ").capitalize()), look, sentence))
    return found


def held(message: Message) -> str:
    """Why a text waits and until when, by the reader's clock; empty when it does not."""
    hold = message.hold
    if hold is None:
        return ""
    until = hold["until"]
    when = f"at {clock_time(until)}" if local(until).date() == local(clock.now()).date() else long_time(until)
    if hold["rule"] == "cap":
        return f"today’s limit is used up; goes out {when}"
    why = night(message.conversation)
    return f"{why[:1].lower()}{why[1:].rstrip('.')}; goes out {when}" if why else f"it waits for the end of quiet hours; goes out {when}"


def night(conversation: Conversation) -> str:
    """“It is 9:40 PM for Priya.” while it is too late or too early to text them unasked; else empty."""
    found = quiet_now(conversation, clock.now())
    contact = conversation.contact
    return found.sentence(contact.first_name or contact.name, hand().clock) if found else ""


# -- the lock strip -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strip:
    """The lock as one reader sees it. `state`: free, mine, idle, theirs, taken, expired, waiting (for the carriers), blocked or viewer."""

    state: str
    fence: int = 0
    holder: Member | None = None
    held: Held | None = None
    why: str = ""
    at: datetime | None = None
    may_reply: bool = True
    may_take_over: bool = False
    waits: bool = False
    auto: bool = False
    beat: int = 15
    hold: int = 240
    on: str = "open"
    leaves: bool = False  # their draft leaves by itself on the approval
    night: str = ""  # what to know before pressing Send: the customer's hour, or that today's limit is used up

    @property
    def now(self) -> int:
        """The server's time for the page, so that a wrong clock in a browser does no harm."""
        return epoch_ms(clock.now())

    @property
    def until(self) -> int:
        return epoch_ms(self.held.dies_at) if self.held else 0

    @property
    def prompt(self) -> int:
        return epoch_ms(self.held.prompt_at) if self.held else 0

    @property
    def writable(self) -> bool:
        """Whether the reply field takes text."""
        return self.state in ("free", "mine", "idle", "waiting")


def strip(conversation: Conversation, who: Member, *, fence: int = 0, auto: bool = False, leaves: bool | None = None) -> Strip:
    """The lock for this reader; `fence` is what their page held, 0 when nothing, `leaves` whether their draft leaves by itself, when that is known."""
    inbox, held = conversation.inbox, conversation.lock_holder()
    verdict = who.can(Permission.CONVERSATIONS_REPLY, on=conversation)
    base: dict[str, Any] = {"beat": inbox.lock_heartbeat, "hold": inbox.idle_after + inbox.idle_answer, "on": inbox.lock_on}
    if not verdict:
        if held:
            return Strip("theirs", holder=held.holder, held=held, may_reply=False, why=verdict.why, **base)
        return Strip("viewer", why=verdict.why, may_reply=False, **base)
    judgement = judge(conversation, "x")
    why = forbidden(judgement)
    if why and [answer.rule for answer in why] != ["registration"]:
        return Strip("blocked", why=why[0].sentence, **base)
    leaves = Draft.waits(conversation, who) if leaves is None else leaves
    if why:
        return Strip("waiting", leaves=leaves, **base)
    if leaves:  # approved a moment ago: the job is on its way
        return Strip("waiting", leaves=True, **base)
    base["night"] = _before_sending(conversation, judgement)
    if held and held.holder.id == who.id:
        return Strip("idle" if held.prompting else "mine", fence=held.fence, holder=who, held=held, **base)
    lost = _loss(conversation, who) if fence else None
    if held:
        takes = bool(who.can(Permission.CONVERSATIONS_TAKEOVER, on=conversation))
        if lost and lost.kind == "lock.taken_over":
            return Strip("taken", fence=fence, holder=held.holder, held=held, at=lost.at, may_take_over=takes, **base)
        return Strip("theirs", holder=held.holder, held=held, may_take_over=takes, waits=conversation.waits(who), **base)
    if fence and (lost is None or lost.kind == "lock.expired"):
        return Strip("expired", fence=fence, why=lost.data.get("why", "idle") if lost else "idle", **base)
    return Strip("free", auto=auto and inbox.lock_on == "open", **base)


def forbidden(judgement: Judgement) -> list[Answer]:
    """Why no text at all may go out now, the first reason first; empty when it may."""
    return [answer for answer in judgement.answers if not answer.passed and not answer.exempt and answer.until is None]


def _before_sending(conversation: Conversation, judgement: Judgement) -> str:
    """What a person should know before they press Send all the same."""
    waits = next((answer.sentence for answer in judgement.answers if answer.until), "")
    return waits or (night(conversation) if judgement.warnings else "")


def _loss(conversation: Conversation, who: Member) -> Event | None:
    """The ledger's last word about a lock of this member: released, expired or taken over."""
    for event in conversation.lock_ledger(20):
        if event.kind == "lock.taken_over" and event.data.get("from_id") == who.id:
            return event
        if event.kind == "lock.released" and event.actor_id == who.id:
            return event
        if event.kind == "lock.expired" and event.data.get("holder_id") == who.id:
            return event
        if event.kind in ("lock.acquired", "lock.taken_over") and event.actor_id == who.id:
            return None
    return None


# -- the conversation -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Drawn:
    """A thing of the thread, ready to draw: `day` is set where a new day begins, `cont` joins it to the one above."""

    item: Item
    key: int
    day: str = ""
    day_id: str = ""
    day_key: int = 0
    cont: bool = False
    marked: bool = False  # what the address asked for
    first_new: bool = False  # where what the reader has not seen begins

    @property
    def message(self) -> Message | None:
        return self.item.message

    @property
    def event(self) -> Event | None:
        return self.item.event


def draw(items: list[Item], before: Item | None = None) -> list[Drawn]:
    """Put day lines between days and join what one writer sent in one go."""
    made = []
    for item in items:
        key = epoch_ms(item.at)
        today = local(item.at)
        fresh = before is None or local(before.at).date() != today.date()
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
        made.append(
            Drawn(
                item, key, day=day(item.at) if fresh else "", day_id=f"d-{today:%Y%m%d}", day_key=epoch_ms(midnight),
                cont=not fresh and before is not None and _joined(before, item),
            )
        )
        before = item
    return made


def _joined(above: Item, item: Item) -> bool:
    a, b = above.message, item.message
    if a is None or b is None or {"note", "call"} & {a.kind, b.kind}:
        return False
    return a.kind == b.kind and a.author_id == b.author_id and (item.at - above.at).total_seconds() < CLOSE


def message_item(message: Message) -> Item:
    return Item(message.created_at, message=message)


def one(message: Message) -> list[Drawn]:
    """A single message as it stands in its thread."""
    before = db.session.scalar(
        sa.select(Message).where(Message.conversation_id == message.conversation_id, Message.id < message.id).order_by(Message.id.desc()).limit(1)
    )
    return draw([message_item(message)], message_item(before) if before else None)


def message_with_author(message_id: int) -> Message | None:
    """A message with what drawing it needs."""
    query = sa.select(Message).options(*drawn()).where(Message.id == message_id)
    return db.session.scalars(query.execution_options(populate_existing=True)).unique().one_or_none()


def tail(conversation: Conversation, after_message: int, after_event: int) -> list[Drawn]:
    """What a page that has seen everything up to these ids has missed, oldest first."""
    messages = conversation.messages_after(after_message)
    events = db.session.scalars(
        sa.select(Event)
        .options(shown(Event.actor))
        .where(Event.conversation_id == conversation.id, Event.id > after_event, Event.kind.in_(SHOWN))
        .order_by(Event.id)
        .limit(50)
    ).unique()
    items = sorted([message_item(m) for m in messages] + [Item(e.at, event=e) for e in events], key=lambda i: (i.at, i.message.id if i.message else 0))
    if not items:
        return []
    above = db.session.scalar(
        sa.select(Message).where(Message.conversation_id == conversation.id, Message.id <= after_message).order_by(Message.id.desc()).limit(1)
    )
    return draw(items, message_item(above) if above else None)


def last_event(conversation: Conversation) -> int:
    return db.session.scalar(sa.select(sa.func.max(Event.id)).where(Event.conversation_id == conversation.id, Event.kind.in_(SHOWN))) or 0


@dataclass
class ConversationPane:
    """The middle and the right pane: a thread, its lock, its composer and the person."""

    conversation: Conversation
    strip: Strip
    thread: list[Drawn]
    older: int | None
    seen: int
    last_event: int
    reply: Draft | None
    note: Draft | None
    may_note: bool
    past: list[Conversation]
    ledger: list[Event]
    consents: list[tuple[Consent, bool]]
    nonce: str
    meter: Meter
    body: str = ""
    note_body: str = ""
    refusal: str = ""
    stale: bool = False
    kind: str = "reply"
    uploads: list[Attachment] = field(default_factory=list)  # put up for a reply that was refused or came back
    newer: int | None = None  # the last message shown, when the thread goes on after it
    last: int = 0  # the conversation's newest message then, which live news start after
    last_key: int = 0
    followers: list[Member] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)  # the contact's own, as people read them
    begun: list[Draft] = field(default_factory=list)  # by teammates, not sent
    scheduled: list[ScheduledMessage] = field(default_factory=list)
    behind: bool = False  # the reader, or nobody yet, has seen the newest here
    unread_above: int | None = None  # the first new message, when it is further up

    @property
    def name(self) -> str:
        return self.conversation.contact.name

    @property
    def first_name(self) -> str:
        contact = self.conversation.contact
        return contact.first_name or contact.name

    @property
    def consent(self) -> Consent | None:
        """The change that decides here."""
        return self.consents[0][0] if self.consents else None

    @property
    def last_message(self) -> int:
        return max((d.message.id for d in self.thread if d.message), default=0)

    @property
    def local_time(self) -> str:
        """The customer's own time, when their number leaves no doubt about it."""
        return customer_time(self.conversation.address)


def conversation_pane(conversation: Conversation, who: Member, *, before: int | None = None, auto: bool = True, fence: int = 0, at: str = "") -> ConversationPane:
    """Everything the conversation screen shows, read in one go; `at` names a message to open around."""
    from secrets import token_urlsafe

    around = conversation.message_at(at) if at else None
    part = conversation.stretch(before=before, around=around, limit=THREAD)
    seen = conversation.last_inbound_id if part.newer is None else max((i.message.id for i in part.items if i.message and i.message.kind == "in"), default=0)
    last, last_at = conversation.newest_message() if part.newer else (0, clock.now())
    read = conversation.last_read(who)
    fresh = conversation.first_unread(who, read) if read is not None else None
    ids = [i.message.id for i in part.items if i.message]
    drafts = Draft.around(conversation, who)
    reply, note = drafts.reply, drafts.note
    found = strip(conversation, who, auto=auto, fence=fence, leaves=drafts.leaves)
    return ConversationPane(
        conversation, found, mark(draw(part.items), around, fresh), part.older, seen, last_event(conversation), reply, note,
        may_note=bool(who.can(Permission.CONVERSATIONS_NOTE, on=conversation)),
        past=past(conversation, who), ledger=conversation.lock_ledger(12), consents=consents_of(conversation, who),
        nonce=token_urlsafe(18),
        meter=meter(conversation.inbox.texting.adapter, conversation.address, ending=conversation.text_ending(who), plain=conversation.inbox.plain_texts),
        body=reply.body if reply else "", note_body=note.body if note else "",
        kind="note" if found.state == "blocked" else "reply",
        uploads=files_of(reply, who),
        refusal=f"This did not leave by itself. {reply.released_why}" if reply and reply.released_why else "",
        newer=part.newer, last=last, last_key=epoch_ms(last_at), followers=Following.of(conversation),
        fields=ContactField.shown_of(conversation.contact, who.language) if who.can(Permission.CONTACTS_VIEW) else [],
        begun=drafts.others if found.may_reply else [], scheduled=ScheduledMessage.of(conversation),
        behind=bool(ids) and ((read or 0) < ids[-1] or conversation.unread or TrayItem.waits_in(conversation, who)),
        unread_above=fresh if fresh and ids and fresh < ids[0] and around is None else None,
    )


def mark(thread: list[Drawn], message_id: int | None, first_new: int | None) -> list[Drawn]:
    """The same thread with one message marked, and the one where what is new begins."""
    special = {message_id, first_new} - {None}
    return [replace(d, marked=d.message.id == message_id, first_new=d.message.id == first_new) if d.message and d.message.id in special else d for d in thread]


def folded(thread: list[Drawn]) -> list[list[Drawn]]:
    """The thread in runs: three and more events in a row of one day are one run, everything else stands alone."""
    runs: list[list[Drawn]] = []
    for d in thread:
        if runs and d.event and not d.day and runs[-1][-1].event:
            runs[-1].append(d)
        else:
            runs.append([d])
    return [part for run in runs for part in ([run] if len(run) >= FOLD else [[d] for d in run])]


def noted(message: Message, who: Member) -> Markup:
    """The words of a note, its links, and whom it names by what they are called today."""
    parts, end = [], 0
    for mention in message.mentions:
        if mention.position < end:
            continue
        mine = mention.member_id == who.id
        parts.append(linked(message.body[end : mention.position]))
        parts.append(Markup('<span class="pill{}">@{}</span>').format(" on" if mine else "", mention.member.name))
        if mine:
            parts.append(Markup('<span class="vh"> (you)</span>'))
        end = mention.position + mention.length
    return Markup("").join([*parts, linked(message.body[end:])])


def past(conversation: Conversation, who: Member, limit: int = 5) -> list[Conversation]:
    """Other conversations with the same person, in inboxes this member may see."""
    return list(
        db.session.scalars(
            Conversation.scope(who)
            .options(joinedload(Conversation.inbox), shown(Conversation.assignee))
            .where(Conversation.contact_id == conversation.contact_id, Conversation.id != conversation.id)
            .order_by(Conversation.last_activity_at.desc())
            .limit(limit)
        )
    )


def consents_of(conversation: Conversation, who: Member) -> list[tuple[Consent, bool]]:
    """What the customer said that counts in this conversation, newest first, and whether its evidence may be read: not that of inboxes closed to this member."""
    changes = Consent.changes(conversation.account_id, conversation.address)
    readable = {None, conversation.inbox_id, *who.readable_inbox_ids} if changes else set()
    return [(change, change.inbox_id in readable) for change in changes if change.reaches(conversation.inbox)]


def customer_time(address: str) -> str:
    """9:44 AM, Los Angeles; empty when the number may be in zones with different times."""
    names = phones.time_zones(address)
    times = set()
    for name in names:
        try:
            times.add(hand().clock(clock.now().astimezone(ZoneInfo(name))))
        except (ZoneInfoNotFoundError, ValueError):
            continue
    if len(times) != 1:
        return ""
    place = names[0].rpartition("/")[2].replace("_", " ") if len(names) == 1 else ""
    return f"{times.pop()}, {place}" if place else times.pop()


def page_args() -> dict[str, str]:
    """The list's arguments in the current address."""
    return {name: ",".join(request.args.getlist(name)) if name == "tag" else request.args[name] for name in ARGS if request.args.get(name)}


def event_words(event: Event, who: Member) -> tuple[str, Markup]:
    """The icon and the sentence of an event line."""
    actor = _who(event.actor, who)
    to = event.data.get("to_name") or ""
    target = Markup("<b>you</b>") if event.data.get("to") == who.id else Markup("<b>{}</b>").format(to)
    kind = event.kind
    if kind == "conversation.assigned":
        if event.actor is None:
            return "route", Markup("Assigned to {}, who owns this contact").format(target)
        if event.actor_id == event.data.get("to"):
            return "user-check", Markup("{} took this conversation").format(actor)
        return "user-check", Markup("{} assigned this to {}").format(actor, target)
    words = {
        "conversation.unassigned": ("circle-dashed", "{} gave this conversation back to Unassigned"),
        "conversation.archived": ("archive", "{} archived this"),
        "conversation.reopened": ("inbox", "{} moved this back to the inbox"),
        "conversation.unsnoozed": ("inbox", "{} ended the snooze"),
        "conversation.spam_marked": ("circle-alert", "{} marked this as spam"),
        "conversation.spam_cleared": ("inbox", "{} took this out of spam"),
        "message.marked_sent": ("check", "{} marked a text as sent"),
        "contact.kept": ("circle-check", "{} found that this was no opt-out"),
        "contact.blocked": ("circle-alert", "{} blocked this contact"),
        "contact.unblocked": ("circle-check", "{} unblocked this contact"),
        "consent.asked": ("info", "{} wrote first, so the customer was asked for a YES"),
    }
    if kind == "conversation.reopened" and event.actor is None:
        return "inbox", Markup("Reopened by a new text")
    if kind in ("message.dropped", "message.schedule_held"):
        whose = "your" if event.data.get("author_id") == who.id else f"{event.data.get('author', '')}’s"
        did = "was dropped" if kind == "message.dropped" else "could not leave"
        return "calendar-clock", Markup("{} scheduled text {}. {}").format(whose[:1].upper() + whose[1:], did, event.data.get("why", ""))
    if kind in ("conversation.merged", "conversation.unmerged"):
        did = "merged {} conversations into this one" if kind == "conversation.merged" else "took {} merged conversations apart"
        return "messages-square", Markup("{} " + did).format(actor, event.data.get("count", 2))  # noqa: S704 - one of two sentences
    if kind in ("conversation.tagged", "conversation.untagged"):
        did = "added" if kind == "conversation.tagged" else "took off"
        return "tag", Markup('{} {} <b>{}</b>').format(actor, did, event.data.get("tag", ""))
    if kind == "conversation.snoozed":
        return "clock", Markup("{} snoozed this until {}").format(actor, long_time(datetime.fromisoformat(event.data["until"])))
    if kind in ("conversation.woken", "conversation.stayed"):
        woken = Markup("Back from its snooze"), Markup("The snooze is over. It stays archived: this contact has a newer conversation")
        return "clock", woken[kind != "conversation.woken"]
    if kind in words:
        icon, sentence = words[kind]
        return icon, Markup(sentence).format(actor)  # noqa: S704 - one of the sentences above
    if kind == "lock.taken_over":
        other = "you" if event.data.get("from_id") == who.id else event.data.get("from_name", "")
        return "hand", Markup("{} took over from <b>{}</b>: {}").format(actor, other, event.data.get("reason", ""))
    if kind == "lock.expired":
        holder = "You were" if event.data.get("holder_id") == who.id else f"{event.data.get('holder', '')} was"
        return "lock-open", Markup("<b>{}</b> released after {}").format(holder, "no input" if event.data.get("why") == "idle" else "the connection was lost")
    if kind == "call.missed":
        return "phone", Markup("Missed call")
    if kind == "call.forwarded":
        return "phone-forwarded", Markup("Call forwarded to {}").format(phones.display(event.data.get("to") or ""))
    if kind == "contact.opted_out":
        return "circle-alert", Markup("{} noted that the customer wants no more texts").format(actor) if event.actor else Markup("The customer replied STOP: no more texts")
    if kind == "contact.opted_in":
        said = "replied YES" if event.data.get("source") == "double" else "texted START"
        by_hand = Markup("{} recorded that the customer wants texts again").format(actor)
        return "circle-check", by_hand if event.actor else Markup("The customer {}: texts are allowed").format(said)
    return "info", escape(kind)


def ledger_words(event: Event, who: Member) -> Markup:
    """One line of the lock history."""
    actor = _who(event.actor, who)
    holder = Markup("<b>{}</b>").format("You" if event.data.get("holder_id") == who.id else event.data.get("holder", "Somebody"))
    return {
        "lock.acquired": Markup("{} started replying").format(actor),
        "lock.released": Markup("{} released it").format(actor),
        "lock.prompted": Markup("Asked whether anyone was still working on this"),
        "lock.kept": Markup("{} kept it").format(actor),
        "lock.expired": Markup("Released from {} after {}").format(holder, "no input" if event.data.get("why") == "idle" else "a lost connection"),
        "lock.taken_over": Markup("{} took over from <b>{}</b>: {}").format(actor, event.data.get("from_name", ""), event.data.get("reason", "")),
    }.get(event.kind, escape(event.kind))


def _who(member: Member | None, who: Member) -> Markup:
    if member is None:
        return Markup("<b>Somebody</b>")
    return Markup("<b>{}</b>").format("You" if member.id == who.id else member.name)
