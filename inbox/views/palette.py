"""The command palette: everything one can do or open from here, in one list; a page of links and buttons without scripts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, current_app, request, url_for

from inbox.models import Conversation, Inbox, Member, SavedView, jumping
from inbox.models.search.words import fold
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, signed_in
from inbox.views.hypermedia import fragment, is_fragment, page

bp = Blueprint("palette", __name__)
P = Permission
INBOXES = 30
VIEWS = {
    "mine": ("circle-user", "Assigned to me"), "unassigned": ("circle-dashed", "Unassigned"), "others": ("users", "Assigned to others"), "all": ("inbox", "All open"),
    "archived": ("archive", "Archived"), "snoozed": ("clock", "Snoozed"),
}
GO = {"mine": "G I", "unassigned": "G U", "others": "G O", "all": "G A", "archived": "G D", "snoozed": "G S"}
SETTINGS: tuple[tuple[str, str, str, P | None, bool], ...] = (  # endpoint, icon, name, what it needs, whether for the whole account
    ("profile.edit", "circle-user", "Profile", None, False),
    ("collaborators.index", "users", "Collaborators", P.COLLABORATORS_MANAGE, False),
    ("notifications.edit", "bell", "Notification settings", None, False),
    ("templates.index", "zap", "Templates", None, False),
    ("saved_views.index", "star", "Saved views", P.CONVERSATIONS_VIEW, False),
    ("security.index", "lock", "Sign-in & security", None, False),
    ("members.index", "users", "Team manager", P.MEMBERS_VIEW, False),
    ("roles.index", "key-round", "Roles & permissions", P.ROLES_VIEW, False),
    ("inboxes.index", "inbox", "Shared inboxes", P.INBOXES_MANAGE, False),
    ("carriers.index", "route", "Carriers", P.INBOXES_MANAGE, True),
    ("channel_health.index", "activity", "Channel health", P.INBOXES_MANAGE, True),
    ("contacts.index", "users", "Contacts", P.CONTACTS_VIEW, False),
    ("contact_fields.index", "list-filter", "Contact fields", P.CONTACTS_FIELDS, False),
    ("imports.new", "upload", "Import contacts", P.CONTACTS_IMPORT, False),
    ("tags.index", "tag", "Tags", P.TAGS_MANAGE, False),
    ("billing.index", "gauge", "Plan & balance", P.BILLING_VIEW, False),
    ("single_sign_on.edit", "key-round", "Single sign-on", P.SECURITY_MANAGE, False),
    ("audit.index", "history", "Audit log", P.AUDIT_VIEW, False),
)


@dataclass(frozen=True)
class Option:
    """A line: a link, a form that posts, or, with `why`, something the reader may not do. `press` is the key the page itself acts on."""

    label: str
    icon: str
    url: str = ""
    hint: str = ""
    keys: str = ""
    press: str = ""
    post: dict[str, str] | None = None
    why: str = ""
    hue: str = ""

    def rank(self, words: list[str]) -> int:
        """How well it answers what was typed: 0 not at all; more for each word its name, or a word of it, begins with."""
        label, rest = fold(self.label), fold(f"{self.label} {self.hint}")
        points = [3 if label.startswith(w) else 2 if f" {rest}".find(f" {w}") >= 0 else 1 if w in rest else 0 for w in words]
        return sum(points) if all(points) else 0


@dataclass(frozen=True)
class Group:
    """Options under a heading."""

    key: str
    title: str
    options: list[Option] = field(default_factory=list)


@bp.get("/palette")
@signed_in
def index() -> Response:
    """Everything, or what answers `q`; with `part=found` only people and conversations called so."""
    who, typed, asked = member(), request.args.get("q", "").strip()[:80], request.args.get("c", "")
    if request.args.get("part") == "found" and is_fragment():
        return fragment("palette/_groups.html", groups=_kept([_found(who, typed)]))
    here = conversation_or_404(asked) if asked else None
    groups = [*([_actions(who, here)] if here else []), _recent(who, here), _general(who), _places(who), _settings(who)]
    if typed and not is_fragment():
        groups = [_found(who, typed), *_ranked(groups, typed)]
    if is_fragment():
        return fragment("palette/_groups.html", groups=_kept(groups))
    return page("palette/index.html", groups=_kept(groups), q=typed, here=here)


def _kept(groups: list[Group]) -> list[Group]:
    return [group for group in groups if group.options]


def _ranked(groups: list[Group], typed: str) -> list[Group]:
    """What answers, the best first; as the script does it beside the field."""
    words = fold(typed).split()
    found = [Group(g.key, g.title, sorted((o for o in g.options if o.rank(words)), key=lambda o: -o.rank(words))) for g in groups]
    return sorted((g for g in found if g.options), key=lambda g: -g.options[0].rank(words))


# -- what is in it ------------------------------------------------------------------------------------------------------


def _actions(who: Member, here: Conversation) -> Group:
    """What can be done with the open conversation; what the reader may not do says why (PERM-6)."""
    at: dict[str, Any] = {"conversation": here.public_id}
    mine = here.assignee_id == who.id
    expected = here.assignee.public_id if here.assignee else ""
    shut = "spam.undo" if here.spam else "snoozes.undo" if here.snoozed else "archivals.undo" if here.archived else "archivals.create"
    word = {"spam.undo": "Not spam", "snoozes.undo": "Unsnooze", "archivals.undo": "Reopen"}.get(shut, "Archive")
    show, read = url_for("conversations.show", **at), url_for("readings.create", **at)
    held = here.lock_holder()
    offered = [
        (P.CONVERSATIONS_REPLY, Option("Reply", "corner-up-left", f"{show}#body", keys="R", press="r")),
        (P.CONVERSATIONS_NOTE, Option("Write a note", "sticky-note", f"{show}#note", keys="N", press="n")),
        (P.CONVERSATIONS_ARCHIVE, Option(word, "inbox" if here.archived else "archive", url_for(shut, **at), keys="E", press="e", post={})),
        (P.CONVERSATIONS_ASSIGN, Option("Assign…", "user", url_for("assignments.edit", **at), keys="A", press="a")),
        (P.CONVERSATIONS_TAKE, Option("Assign to me", "user-check", url_for("assignments.update", **at), keys="I", press="i", post={"to": who.public_id, "expected": expected})),
        (P.CONVERSATIONS_ARCHIVE, Option("Snooze…", "timer", url_for("snoozes.edit", **at), keys="H", press="h")),
        (P.CONVERSATIONS_NOTE, Option("Tags…", "tag", url_for("taggings.edit", **at), keys="T", press="t")),
        (P.CONVERSATIONS_REPLY, Option("Mark unread", "mail", read, keys="U", press="u", post={"value": "unread"})),
        (P.CONVERSATIONS_REPLY, Option("Mark read", "check", read, keys="Shift U", press="U", post={"value": "read"})),
        (P.CONVERSATIONS_NOTE, Option("Ask for help…", "hand", url_for("followings.new", **at))),
        (P.CONVERSATIONS_VIEW, Option("Print", "file-text", url_for("print.show", **at))),
    ]
    if held and held.holder.id == who.id:
        offered.insert(1, (P.CONVERSATIONS_REPLY, Option("Release", "lock-open", url_for("locks.release", **at), keys="L", press="l", post={})))
    offered = [(needs, o) for needs, o in offered if not (o.press == "i" and mine) and not (o.press == "h" and here.spam)]
    verdicts = {needs: who.can(needs, on=here) for needs in {needs for needs, _ in offered}}
    return Group("actions", here.contact.name, [o if verdicts[n] else Option(o.label, o.icon, keys=o.keys, why=verdicts[n].why) for n, o in offered])


def _recent(who: Member, here: Conversation | None) -> Group:
    return Group("recent", "Recent", [_talk(c) for c in jumping.recent(who, but=here.id if here else 0)])


def _found(who: Member, typed: str) -> Group:
    talks, people = jumping.called(who, typed) if len(typed) > 1 else ([], [])
    contacts = [Option(c.name, "user", url_for("contacts.show", contact=c.public_id), "Contact") for c in people]
    search = Option(f"Search for “{typed}”", "search", url_for("search.index", q=typed), "Texts and notes")
    return Group("found", "People and conversations", [*map(_talk, talks), *contacts, *([search] if typed and who.can(P.CONVERSATIONS_VIEW) else [])])


def _talk(found: Conversation) -> Option:
    return Option(found.contact.name, "message-square-text", url_for("conversations.show", conversation=found.public_id), found.inbox.name, hue=found.inbox.hue)


def _general(who: Member) -> Group:
    options = [
        *([Option("Compose", "square-pen", url_for("compose.new"), keys="C")] if who.can(P.CONVERSATIONS_COMPOSE) else []),
        *([Option("Search", "search", url_for("search.index"), keys="/")] if who.can(P.CONVERSATIONS_VIEW) else []),
        Option("Notifications", "bell", url_for("tray.index")),
        Option("Keyboard shortcuts", "keyboard", url_for("palette.keys"), keys="?", press="?"),
        Option("Sign out", "log-out", url_for("sessions.destroy"), post={}),
    ]
    return Group("general", "Anywhere", options)


def _places(who: Member) -> Group:
    inboxes = Inbox.visible_to(who)[:INBOXES]
    options = [Option("My work", "square-check", url_for("work.mine"), keys="G M")] if inboxes else []
    if inboxes and who.can(P.CONVERSATIONS_ALL):
        options.append(Option("All work", "messages-square", url_for("work.all")))
    at, names = request.args.get("at", ""), {inbox.id: inbox for inbox in inboxes}
    for inbox in inboxes:
        own = inbox.public_id == at or len(inboxes) == 1  # its keys act on this very page
        options += [
            Option(name, icon, url_for("conversations.index", inbox=inbox.public_id, view=view), inbox.name, GO[view] if own else "", hue=inbox.hue)
            for view, (icon, name) in VIEWS.items()
        ]
    for view in SavedView.visible_to(who):
        if view.inbox_id is None:
            options.append(Option(view.name, "star", url_for(f"work.{view.view}", **view.args), "Saved view"))
        elif view.inbox_id in names:
            inbox = names[view.inbox_id]
            options.append(Option(view.name, "star", url_for("conversations.index", inbox=inbox.public_id, view=view.view, **view.args), inbox.name, hue=inbox.hue))
    return Group("places", "Go to", options)


def _settings(who: Member) -> Group:
    shown = [
        Option(name, icon, url_for(endpoint))
        for endpoint, icon, name, needs, whole in SETTINGS
        if endpoint in current_app.view_functions and (needs is None or (needs in who.permissions_everywhere if whole else who.can(needs)))
    ]
    return Group("settings", "Settings", shown)


@bp.get("/keys")
@signed_in
def keys() -> Response:
    """The list of keys as a page."""
    return page("palette/keys.html")
