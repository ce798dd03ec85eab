"""Every permission, what each default role holds, and which ones need a seat. Data only; Member.can decides."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """One feature or action. The value is the stable id that roles store and people read in the matrix."""

    ACCOUNT_MANAGE = "account/settings/manage"
    AUDIT_VIEW = "account/audit/view"
    CONTACTS_EDIT = "contacts/contacts/edit"
    CONTACTS_IMPORT = "contacts/imports/create"
    CONTACTS_VIEW = "contacts/contacts/view"
    CONVERSATIONS_ARCHIVE = "inbox/conversations/archive"
    CONVERSATIONS_ASSIGN = "inbox/conversations/assign"
    CONVERSATIONS_ALL = "inbox/conversations/manage-all"
    CONVERSATIONS_COMPOSE = "inbox/conversations/compose"
    CONVERSATIONS_NOTE = "inbox/conversations/note"
    CONVERSATIONS_REPLY = "inbox/conversations/reply"
    CONVERSATIONS_TAKE = "inbox/conversations/take"
    CONVERSATIONS_TAKEOVER = "inbox/conversations/take-over"
    CONVERSATIONS_VIEW = "inbox/conversations/view"
    INBOXES_CREATE = "inbox/inboxes/create"
    INBOXES_MANAGE = "inbox/inboxes/manage"
    MEMBERS_INVITE = "people/members/invite"
    MEMBERS_VIEW = "people/members/view"
    REGISTRATION_MANAGE = "inbox/registration/manage"
    ROLES_MANAGE = "people/roles/manage"
    SEATS_MANAGE = "people/seats/manage"


P = Permission

# What looking needs: everything else needs a seat when it acts on conversations (SEAT-3).
SEATED = frozenset(
    {
        P.CONVERSATIONS_ARCHIVE,
        P.CONVERSATIONS_ASSIGN,
        P.CONVERSATIONS_COMPOSE,
        P.CONVERSATIONS_NOTE,
        P.CONVERSATIONS_REPLY,
        P.CONVERSATIONS_TAKE,
        P.CONVERSATIONS_TAKEOVER,
    }
)

# Permissions that are about one inbox and therefore need membership of it (PERM-6).
INBOXED = SEATED | {P.CONVERSATIONS_VIEW}

LABELS: dict[Permission, str] = {
    P.ACCOUNT_MANAGE: "change account settings",
    P.AUDIT_VIEW: "read the audit log",
    P.CONTACTS_EDIT: "edit contacts",
    P.CONTACTS_IMPORT: "import contacts",
    P.CONTACTS_VIEW: "see contacts",
    P.CONVERSATIONS_ARCHIVE: "archive conversations",
    P.CONVERSATIONS_ASSIGN: "assign conversations",
    P.CONVERSATIONS_ALL: "manage every conversation",
    P.CONVERSATIONS_COMPOSE: "start conversations",
    P.CONVERSATIONS_NOTE: "write notes",
    P.CONVERSATIONS_REPLY: "reply",
    P.CONVERSATIONS_TAKE: "take conversations",
    P.CONVERSATIONS_TAKEOVER: "take over from a teammate",
    P.CONVERSATIONS_VIEW: "read conversations",
    P.INBOXES_CREATE: "create shared inboxes",
    P.INBOXES_MANAGE: "manage shared inboxes",
    P.MEMBERS_INVITE: "invite people",
    P.MEMBERS_VIEW: "see the team",
    P.REGISTRATION_MANAGE: "manage carrier registration",
    P.ROLES_MANAGE: "give roles",
    P.SEATS_MANAGE: "hand out seats",
}

_VIEW = frozenset({P.CONVERSATIONS_VIEW})
_AGENT = _VIEW | {
    P.CONTACTS_EDIT,
    P.CONTACTS_VIEW,
    P.CONVERSATIONS_ARCHIVE,
    P.CONVERSATIONS_ASSIGN,
    P.CONVERSATIONS_COMPOSE,
    P.CONVERSATIONS_NOTE,
    P.CONVERSATIONS_REPLY,
    P.CONVERSATIONS_TAKE,
}
_SUPERVISOR = _AGENT | {P.CONVERSATIONS_ALL, P.CONVERSATIONS_TAKEOVER, P.MEMBERS_VIEW}
_SETUP = frozenset({P.INBOXES_CREATE, P.INBOXES_MANAGE, P.REGISTRATION_MANAGE, P.MEMBERS_VIEW})
_ADMIN = (
    _AGENT
    | _SETUP
    | {
        P.ACCOUNT_MANAGE,
        P.AUDIT_VIEW,
        P.CONTACTS_IMPORT,
        P.CONVERSATIONS_TAKEOVER,
        P.MEMBERS_INVITE,
        P.ROLES_MANAGE,
        P.SEATS_MANAGE,
    }
)

DEFAULT_ROLES: dict[str, tuple[str, frozenset[Permission]]] = {
    "owner": ("Owner", frozenset(P)),
    "admin": ("Admin", _ADMIN),
    "back-office-manager": ("Back Office Manager", _AGENT | {P.CONTACTS_IMPORT, P.CONVERSATIONS_TAKEOVER}),
    "inbox-setup": ("Inbox Setup", _SETUP),
    "supervisor": ("Supervisor", _SUPERVISOR),
    "agent": ("Agent", _AGENT),
    "analytics": ("Analytics", frozenset()),
    "viewer": ("Viewer", _VIEW),
    "customer-relations-manager": ("Customer Relations Manager", _AGENT | {P.CONTACTS_IMPORT}),
    "front-desk-staff": ("Front Desk Staff", _AGENT),
}

# The roles that may be given out so far; Owner moves only by an explicit transfer.
GIVEN = tuple(key for key in DEFAULT_ROLES if key != "owner")
