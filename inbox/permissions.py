"""Every permission, what it needs, what each default role holds. Data only; `Member.can` decides and the role matrix shows the same table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """One feature or action. The value is the stable id that roles store and people read in the matrix (PERM-1)."""

    ACCOUNT_MANAGE = "account/settings/manage"
    AUDIT_EXPORT = "account/audit/export"
    AUDIT_VIEW = "account/audit/view"
    BILLING_MANAGE = "account/billing/manage"
    BILLING_VIEW = "account/billing/view"
    COLLABORATORS_MANAGE = "people/collaborators/manage"
    CONTACTS_EDIT = "contacts/contacts/edit"
    CONTACTS_FIELDS = "contacts/fields/manage"
    CONTACTS_IMPORT = "contacts/imports/create"
    CONTACTS_MERGE = "contacts/contacts/merge"
    CONTACTS_OWN = "contacts/owners/set"
    CONTACTS_PII = "contacts/pii/view"
    CONTACTS_VIEW = "contacts/contacts/view"
    CONVERSATIONS_ALL = "inbox/conversations/manage-all"
    CONVERSATIONS_ARCHIVE = "inbox/conversations/archive"
    CONVERSATIONS_ASSIGN = "inbox/conversations/assign"
    CONVERSATIONS_COMPOSE = "inbox/conversations/compose"
    CONVERSATIONS_MERGE = "inbox/conversations/merge"
    CONVERSATIONS_NOTE = "inbox/conversations/note"
    CONVERSATIONS_REPLY = "inbox/conversations/reply"
    CONVERSATIONS_TAKE = "inbox/conversations/take"
    CONVERSATIONS_TAKEOVER = "inbox/conversations/take-over"
    CONVERSATIONS_VIEW = "inbox/conversations/view"
    INBOXES_CREATE = "inbox/inboxes/create"
    INBOXES_MANAGE = "inbox/inboxes/manage"
    INBOXES_MEMBERS = "inbox/inboxes/members"
    MEDIA_SEND = "inbox/media/send"
    MEMBERS_END = "people/members/deactivate"
    MEMBERS_INVITE = "people/members/invite"
    MEMBERS_VIEW = "people/members/view"
    MESSAGE = "inbox/chat/message"
    OWNERSHIP_TRANSFER = "account/ownership/transfer"
    REGISTRATION_MANAGE = "inbox/registration/manage"
    REGISTRATION_VIEW = "inbox/registration/view"
    ROLES_ASSIGN = "people/roles/assign"
    ROLES_MANAGE = "people/roles/manage"
    ROLES_VIEW = "people/roles/view"
    SEATS_MANAGE = "people/seats/manage"
    SEATS_VIEW = "people/seats/view"
    SECURITY_MANAGE = "account/security/manage"
    TAGS_MANAGE = "tools/tags/manage"
    TEMPLATES_MANAGE = "tools/templates/manage"
    VIEWS_SHARE = "tools/views/share"


P = Permission


@dataclass(frozen=True)
class Entry:
    """A row of the matrix: `title` heads it, `label` completes "allows you to ...", `about` says the consequence, `needs` is ticked along."""

    permission: Permission
    title: str
    label: str
    about: str = ""
    needs: tuple[Permission, ...] = ()
    seated: bool = False  # acting needs a seat (SEAT-3)
    inboxed: bool = False  # needs membership of the inbox it is used on (PERM-6)
    teamed: bool = False  # may be held for one team; everything else counts only when held for the whole account
    owners: bool = False  # stays with the owner: no other role can hold it


def _act(permission: Permission, title: str, label: str, about: str = "", *needs: Permission) -> Entry:
    """Something done to a conversation: needs a seat and the inbox."""
    return Entry(permission, title, label, about, needs, seated=True, inboxed=True, teamed=True)


# The matrix reads top to bottom; a group can be ticked as one.
GROUPS: dict[str, tuple[Entry, ...]] = {
    "Customer management": (
        _act(P.MESSAGE, "Message via inbox & chat", "message customers", "Read and answer customers in the inboxes one is in", P.CONVERSATIONS_VIEW, P.CONVERSATIONS_REPLY),
        Entry(P.CONTACTS_PII, "See phone numbers and e-mail addresses", "see phone numbers and e-mail addresses", "Without it customers’ show as (415) •••-••34", teamed=True),
    ),
    "Conversations": (
        Entry(P.CONVERSATIONS_VIEW, "View conversations", "read conversations", "Everything in the inboxes one was added to; needs no seat", inboxed=True, teamed=True),
        _act(P.CONVERSATIONS_REPLY, "Reply", "reply", "Hold the lock, answer, be assigned", P.CONVERSATIONS_VIEW),
        _act(P.MEDIA_SEND, "Send media", "send pictures and files", "Pictures and files with a reply; opening files that were held back", P.CONVERSATIONS_REPLY),
        _act(P.CONVERSATIONS_COMPOSE, "Compose", "start conversations", "Write first, from any inbox one is in", P.CONVERSATIONS_REPLY),
        _act(P.CONVERSATIONS_NOTE, "Write notes", "write notes", "Only the team reads them", P.CONVERSATIONS_VIEW),
        _act(P.CONVERSATIONS_TAKE, "Take conversations", "take conversations", "Assign an unassigned one to oneself", P.CONVERSATIONS_REPLY),
        _act(P.CONVERSATIONS_ASSIGN, "Assign", "assign conversations", "Hand on to a teammate, or back to nobody", P.CONVERSATIONS_VIEW),
        _act(P.CONVERSATIONS_TAKEOVER, "Take over a locked conversation", "take over from a teammate", "Ends a teammate’s reply, with a reason", P.CONVERSATIONS_REPLY),
        _act(P.CONVERSATIONS_ARCHIVE, "Archive and reopen", "archive conversations", "", P.CONVERSATIONS_VIEW),
        _act(P.CONVERSATIONS_MERGE, "Merge conversations", "merge conversations", "Several with one contact become one; undone for 30 days", P.CONVERSATIONS_ARCHIVE),
        Entry(
            P.CONVERSATIONS_ALL, "Manage every conversation", "manage every conversation", "Sees every shared inbox without being added", (P.CONVERSATIONS_VIEW,), teamed=True
        ),
    ),
    "Contacts": (
        Entry(P.CONTACTS_VIEW, "View contacts", "see contacts", "", teamed=True),
        Entry(P.CONTACTS_EDIT, "Edit contacts", "edit contacts", "", (P.CONTACTS_VIEW,), teamed=True),
        Entry(P.CONTACTS_OWN, "Set a contact’s owner", "set a contact’s owner", "New conversations go to the owner", (P.CONTACTS_EDIT,), teamed=True),
        Entry(P.CONTACTS_MERGE, "Merge contacts", "merge contacts", "Two cards of one person become one; undone for 30 days", (P.CONTACTS_EDIT, P.CONTACTS_OWN), teamed=True),
        Entry(P.CONTACTS_FIELDS, "Manage contact fields", "manage contact fields", "Which fields contacts have, their kinds and order", (P.CONTACTS_VIEW,)),
        Entry(P.CONTACTS_IMPORT, "Import contacts", "import contacts", "Files with owners and opt-ins", (P.CONTACTS_EDIT, P.CONTACTS_OWN)),
    ),
    "Tools": (
        Entry(P.TEMPLATES_MANAGE, "Manage team templates", "manage team templates", "Texts everyone can insert; one’s own need no permission"),
        Entry(P.TAGS_MANAGE, "Manage tags", "manage tags", "Make, rename, colour, merge and delete them"),
        Entry(P.VIEWS_SHARE, "Share saved views", "share saved views", "Lists that the whole team sees; one’s own need no permission", (P.CONVERSATIONS_VIEW,)),
    ),
    "Inbox setup": (
        Entry(P.INBOXES_MANAGE, "Change inbox settings", "manage shared inboxes", "Name, lock, texts, forwarding", teamed=True),
        Entry(P.INBOXES_MEMBERS, "Choose who is in an inbox", "choose who is in an inbox", "", (P.INBOXES_MANAGE, P.MEMBERS_VIEW), teamed=True),
        Entry(P.INBOXES_CREATE, "Create shared inboxes", "create shared inboxes", "Buys a number", (P.INBOXES_MANAGE,), teamed=True),
        Entry(P.REGISTRATION_VIEW, "View carrier registration", "see the carrier registration", "", teamed=True),
        Entry(P.REGISTRATION_MANAGE, "Manage carrier registration", "manage carrier registration", "Fill in, submit, correct", (P.REGISTRATION_VIEW,), teamed=True),
    ),
    "People": (
        Entry(P.MEMBERS_VIEW, "View the team", "see the team"),
        Entry(P.MEMBERS_INVITE, "Invite people", "invite people", "Only into roles one holds oneself", (P.MEMBERS_VIEW,)),
        Entry(P.MEMBERS_END, "Deactivate and remove people", "end someone’s access", "What they hold is handed on first", (P.MEMBERS_VIEW,)),
        Entry(P.ROLES_VIEW, "View roles", "see the roles", "This page, and who has what", (P.MEMBERS_VIEW,)),
        Entry(P.ROLES_ASSIGN, "Give roles", "give roles", "Only roles one holds all of", (P.ROLES_VIEW,)),
        Entry(P.ROLES_MANAGE, "Create and edit roles", "edit roles", "Only with permissions one holds", (P.ROLES_VIEW,)),
        Entry(P.SEATS_VIEW, "View seats", "see the seats", "", (P.MEMBERS_VIEW,)),
        Entry(P.SEATS_MANAGE, "Hand out seats", "hand out seats", "", (P.SEATS_VIEW,)),
        Entry(P.COLLABORATORS_MANAGE, "Manage inbox collaborators", "manage the collaborators", "Who may get e-mail notifications", (P.MEMBERS_VIEW,), owners=True),
    ),
    "Account": (
        Entry(P.ACCOUNT_MANAGE, "Change account settings", "change account settings"),
        Entry(P.SECURITY_MANAGE, "Manage sign-in security", "manage sign-in security", "Single sign-on, second factors for everyone", (P.ACCOUNT_MANAGE,)),
        Entry(P.BILLING_VIEW, "View plan and balance", "see plan and balance"),
        Entry(P.BILLING_MANAGE, "Buy seats and add funds", "buy seats and add funds", "Spends money", (P.BILLING_VIEW,)),
        Entry(P.AUDIT_VIEW, "Read the audit log", "read the audit log"),
        Entry(P.AUDIT_EXPORT, "Export the audit log", "export the audit log", "", (P.AUDIT_VIEW,)),
        Entry(P.OWNERSHIP_TRANSFER, "Transfer ownership", "transfer ownership", "Gives the account to someone else", owners=True),
    ),
}

ENTRIES: dict[Permission, Entry] = {entry.permission: entry for group in GROUPS.values() for entry in group}
LABELS: dict[Permission, str] = {permission: entry.label for permission, entry in ENTRIES.items()}
SEATED = frozenset(permission for permission, entry in ENTRIES.items() if entry.seated)
INBOXED = frozenset(permission for permission, entry in ENTRIES.items() if entry.inboxed)
TEAMED = frozenset(permission for permission, entry in ENTRIES.items() if entry.teamed)
OWNERS_ONLY = frozenset(permission for permission, entry in ENTRIES.items() if entry.owners)


def needed(permission: Permission) -> frozenset[Permission]:
    """What comes along with a permission, near and far, itself left out (PERM-5: replying implies viewing)."""
    return with_needed(ENTRIES[permission].needs)


def with_needed(permissions: Iterable[Permission]) -> frozenset[Permission]:
    """The permissions and everything they need."""
    found: set[Permission] = set()
    left = list(permissions)
    while left:
        permission = left.pop()
        if permission not in found:
            found.add(permission)
            left += ENTRIES[permission].needs
    return frozenset(found)


def known(ids: Iterable[str]) -> frozenset[Permission]:
    """The permissions behind stored ids; one that no longer exists grants nothing."""
    values = {permission.value for permission in Permission}
    return frozenset(Permission(id) for id in ids if id in values)


_PII = frozenset({P.CONTACTS_PII})
_VIEW = _PII | {P.CONVERSATIONS_VIEW}
_AGENT = _PII | with_needed(
    {
        P.MESSAGE,
        P.CONTACTS_OWN,
        P.CONVERSATIONS_ARCHIVE,
        P.CONVERSATIONS_ASSIGN,
        P.CONVERSATIONS_COMPOSE,
        P.CONVERSATIONS_NOTE,
        P.CONVERSATIONS_TAKE,
        P.MEDIA_SEND,
    }
)
_MERGING = frozenset({P.CONTACTS_MERGE, P.CONVERSATIONS_MERGE})
_TOOLS = frozenset({P.CONTACTS_FIELDS, P.TAGS_MANAGE, P.TEMPLATES_MANAGE, P.VIEWS_SHARE})
_SUPERVISOR = _AGENT | _MERGING | _TOOLS | {P.CONVERSATIONS_ALL, P.CONVERSATIONS_TAKEOVER, P.MEMBERS_VIEW}
_SETUP = _PII | with_needed({P.INBOXES_CREATE, P.INBOXES_MEMBERS, P.REGISTRATION_MANAGE})
_ADMIN = (
    _AGENT
    | _MERGING
    | _TOOLS
    | _SETUP
    | with_needed(
        {
            P.AUDIT_EXPORT,
            P.BILLING_MANAGE,
            P.CONTACTS_IMPORT,
            P.CONVERSATIONS_TAKEOVER,
            P.MEMBERS_END,
            P.MEMBERS_INVITE,
            P.ROLES_ASSIGN,
            P.ROLES_MANAGE,
            P.SEATS_MANAGE,
            P.SECURITY_MANAGE,
        }
    )
)

# key -> (name, what it holds). Cannot be edited or deleted (PERM-2).
DEFAULT_ROLES: dict[str, tuple[str, frozenset[Permission]]] = {
    "owner": ("Owner", frozenset(P)),
    "admin": ("Admin", _ADMIN),
    "back-office-manager": ("Back Office Manager", _AGENT | _MERGING | _TOOLS | {P.CONTACTS_IMPORT, P.CONVERSATIONS_TAKEOVER}),
    "inbox-setup": ("Inbox Setup", _SETUP),
    "supervisor": ("Supervisor", _SUPERVISOR),
    "agent": ("Agent", _AGENT),
    "analytics": ("Analytics", _PII),
    "viewer": ("Viewer", _VIEW),
    "customer-relations-manager": ("Customer Relations Manager", _AGENT | _MERGING | {P.CONTACTS_IMPORT}),
    "front-desk-staff": ("Front Desk Staff", _AGENT),
}

# The roles that may be given out; Owner moves only by an explicit transfer.
GIVEN = tuple(key for key in DEFAULT_ROLES if key != "owner")
