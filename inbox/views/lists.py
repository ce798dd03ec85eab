"""What the left pane shows: which list, its filters in words and addresses, and one page of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flask import abort, url_for

from inbox import channels
from inbox.models import Conversation, Filter, Inbox, Member
from inbox.models.conversation import VIEWS, Row
from inbox.models.conversation.filtering import STATUSES, Choice, choices, day
from inbox.models.conversation.listing import PAGE, parse_cursor
from inbox.permissions import Permission
from inbox.views.helpers import navigation

AT_WORK = "work"  # stands for an inbox's id in addresses and on the socket: all inboxes of the reader
WORK = {"mine": "My work", "all": "All work"}
CHANNELS = {"sms": "Text"}
ARGS = ("in", "view", "read", "assignee", "mine", "reply", "tag", "channel", "status", "from", "to", "sort")  # what a list's address may carry
TAGS = 8  # that one filter may ask for


@dataclass(frozen=True)
class Chip:
    """A filter in words, with the list's address without it."""

    label: str
    value: str
    url: str


@dataclass
class ListPane:
    """The left pane: an inbox or, without one, all of the reader's, a view with its filters, and one page of rows."""

    inbox: Inbox | None
    filter: Filter
    rows: list[Row]
    after: str = ""  # the cursor this page began after
    problem: str = ""
    everyone: list[Choice] = field(default_factory=list)
    tags: list[Choice] = field(default_factory=list)

    @property
    def people(self) -> list[Choice]:
        """Who can be chosen in the filter."""
        return [m for m in self.everyone if m.active]

    @property
    def title(self) -> str:
        return VIEWS[self.filter.view] if self.inbox else WORK[self.filter.view]

    @property
    def where(self) -> str:
        return self.inbox.name if self.inbox else "All inboxes"

    @property
    def key(self) -> str:
        """How the page names this place to the socket."""
        return self.inbox.public_id if self.inbox else AT_WORK

    @property
    def plain(self) -> Filter:
        """The view without any filter."""
        return Filter(view=self.filter.view)

    @property
    def unread(self) -> int:
        """How many of the view are unread, where the navigation counts that."""
        if self.inbox is None:
            return int(navigation()["mine"]) if self.filter.view == "mine" else 0
        return int(navigation()["counts"].get(self.inbox.id, {}).get(self.filter.view, 0)) if self.filter.view in ("mine", "unassigned") else 0

    def url(self, filter: Filter | None = None, after: str = "", sync: bool = False) -> str:
        """The address of this list, with other filters or from a place in it."""
        args: dict[str, Any] = (self.filter if filter is None else filter).args()
        if after:
            args["after"] = after
        return list_url(self.inbox, self.filter.view, sync=sync, **args)

    @property
    def args(self) -> dict[str, str]:
        """What a conversation's address carries so that the list stays as it is."""
        return list_args(self.inbox is None, self.filter)

    @property
    def more(self) -> str:
        """The cursor of the next page, empty at the end."""
        return self.rows[-1].cursor if len(self.rows) >= PAGE else ""

    @property
    def save_url(self) -> str:
        """Where to save the list under a name; empty without a filter."""
        return url_for("saved_views.new", **new_view_args(self.inbox, self.filter)) if self.filter.args() else ""

    @property
    def has_status(self) -> bool:
        """Whether the view can be asked for other than open conversations."""
        return self.filter.view not in STATUSES

    @property
    def channels(self) -> dict[str, str]:
        """What can be chosen; one channel alone is no choice."""
        return {key: CHANNELS.get(key, key.capitalize()) for key in sorted(channels.KEYS)} if len(channels.KEYS) > 1 or self.filter.channel else {}

    @cached_property
    def chips(self) -> list[Chip]:
        """Every filter that is on, in the order of the form."""
        f, people, tags = self.filter, {m.public_id: m.name for m in self.everyone}, {t.public_id: t.name for t in self.tags}
        words = [
            ("read", "", f.read.capitalize()), ("mine", "", "Assigned to me" if f.mine else ""), ("assignee", "Assigned to", people.get(f.assignee, "")),
            ("needs_reply", "", "Needs reply" if f.needs_reply else ""), ("status", "", STATUSES[f.status] if f.status else ""),
            ("channel", "Channel", CHANNELS.get(f.channel, f.channel.capitalize())), ("since", "From", f.since), ("until", "To", f.until),
            ("sort", "", "Longest waiting first" if f.sort else ""),
        ]
        found = [Chip(label, value, self.url(f.without(name))) for name, label, value in words if value]
        return found + [Chip("Tag", tags.get(tag, ""), self.url(f.without("tags", tag))) for tag in f.tags]


def read_filter(view: str, args: Any, who: Member, everyone: list[Choice] | None = None, tags: list[Choice] | None = None) -> tuple[Filter, str]:
    """The filter an address asks for; what we do not know is left out, and the sentence says so."""
    problems: list[str] = []

    def check(name: str, known: Any, sentence: str) -> str:
        value = str(args.get(name) or "")
        if value and value not in known:
            problems.append(sentence)
            return ""
        return value

    unknown = "That filter does not exist, so it is not applied."
    if everyone is None or tags is None:
        everyone, tags = choices(who.account_id) if args.get("assignee") or args.get("tag") else ([], [])
    people = (m.public_id for m in everyone)
    status = check("status", STATUSES if view not in STATUSES else (), unknown)
    shut = view in STATUSES or status
    filter = Filter(
        view=view, read=check("read", ("read", "unread"), unknown), mine=args.get("mine") == "1", needs_reply=args.get("reply") == "1",
        assignee=check("assignee", tuple(people), "That person is not in this account, so the filter is not applied."),
        tags=_tags(args, tags, problems), channel=check("channel", channels.KEYS, "There is no such channel, so the filter is not applied."),
        status=status, since=_day(args, "from", problems), until=_day(args, "to", problems),
        sort=check("sort", () if shut else ("waiting",), "Only open conversations are sorted by who waits longest." if shut else unknown),
    )
    if filter.since and filter.until and filter.since > filter.until:
        problems.append("The last day is before the first, so the days are not applied.")
        filter = filter.but(since="", until="")
    return filter, " ".join(dict.fromkeys(problems))


def _tags(args: Any, tags: list[Choice], problems: list[str]) -> tuple[str, ...]:
    """The public ids of the tags an address names, once each, as one argument or as many."""
    asked = _asked(args)
    if not asked:
        return ()
    known = {tag.public_id for tag in tags}
    if not known.issuperset(asked):
        problems.append("That tag does not exist any more, so it is not applied.")
    if len(asked) > TAGS:
        problems.append(f"Only the first {TAGS} tags are applied.")
    return tuple(id for id in asked if id in known)[:TAGS]


def _asked(args: Any) -> tuple[str, ...]:
    """The public ids of tags in an address, known or not."""
    texts = args.getlist("tag") if hasattr(args, "getlist") else [args.get("tag") or ""]
    return tuple(dict.fromkeys(id for text in texts for id in str(text).split(",") if id))


def _day(args: Any, name: str, problems: list[str]) -> str:
    text = str(args.get(name) or "")
    try:
        return day(text).isoformat() if text else ""
    except ValueError:
        problems.append("That is not a date, so it is not applied.")
        return ""


def list_args(work: bool, filter: Filter) -> dict[str, str]:
    """The list in the address of one of its conversations."""
    return {**({"in": AT_WORK} if work else {}), "view": filter.view, **filter.args()}


def new_view_args(inbox: Inbox | None, filter: Filter) -> dict[str, Any]:
    """The list in the address of the page that saves it under a name."""
    return {"in": inbox.public_id if inbox else AT_WORK, "view": filter.view, **filter.args()}


def list_url(inbox: Inbox | None, view: str, *, sync: bool = False, **args: Any) -> str:
    """The address of a list: of an inbox, or of all of the reader's."""
    if inbox is None:
        return url_for(f"work.{'sync_' if sync else ''}{view}", **args)
    return url_for("conversations.sync_list" if sync else "conversations.index", inbox=inbox.public_id, view=view, **args)


def works(who: Member, view: str) -> bool:
    """Whether this member has such a list across inboxes: everyone their own work, all work those who manage every conversation."""
    return view == "mine" or (view == "all" and bool(who.can(Permission.CONVERSATIONS_ALL)))


def list_pane(who: Member, inbox: Inbox | None, view: str, args: Any, *, after: str = "") -> ListPane:
    """The list of a view, of all the reader's inboxes when none is named; a cursor we did not make is a 400 with a sentence."""
    if view not in VIEWS or (inbox is None and not works(who, view)):
        abort(404)
    everyone, tags = choices(who.account_id, _asked(args))
    filter, problem = read_filter(view, args, who, everyone, tags)
    if after:
        try:
            parse_cursor(after)
        except (ValueError, OverflowError):
            abort(400, "That is not a place in this list. Start again at the top.")
    rare = next((tag.public_id for tag in tags if tag.few and tag.public_id in filter.tags), "")
    rows = Conversation.listing(who, inbox, filter, after=after, rare=rare)
    return ListPane(inbox, filter, rows, after, problem, everyone, tags)


def marks(pane: ListPane) -> dict[str, Any]:
    """Where the navigation marks the reader to be."""
    return {**({"at_inbox": pane.inbox} if pane.inbox else {"at_work": True}), "at_list": pane.url()}


def home_view(conversation: Conversation, who: Member) -> str:
    """The view a conversation belongs to when the address does not say where the reader came from."""
    if conversation.archived:
        return "spam" if conversation.spam else "snoozed" if conversation.snoozed else "archived"
    if conversation.assignee_id is None:
        return "unassigned"
    return "mine" if conversation.assignee_id == who.id else "others"
