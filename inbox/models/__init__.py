"""The nouns of the product. Importing this package registers every table."""

from inbox.models.account import Account, NoSeatLeft, Team
from inbox.models.base import Model, Refused, db, transaction
from inbox.models.carrier import Carrier, WebhookEvent
from inbox.models.contact import Consent, Contact
from inbox.models.contact_import import ContactImport, ImportRow
from inbox.models.conversation import Conversation, Filter, Lock, LockLost, LockWaiter, SendRefused, Stale, TakenAlready
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.inbox import Inbox, InboxDraft, InboxMember, NotRegistered
from inbox.models.invitation import Invitation
from inbox.models.member import Denied, Grant, LoginSession, Member, NoSeat, Verdict
from inbox.models.message import Attachment, Dispatch, Message, ReceiptRow, SendAttempt
from inbox.models.registration import Registration

__all__ = [
    "Account", "Attachment", "Carrier", "Consent", "Contact", "ContactImport", "Conversation", "Denied", "Dispatch", "Draft", "Event", "Filter", "Grant",
    "ImportRow", "Inbox", "InboxDraft", "InboxMember", "Invitation", "Lock", "LockLost", "LockWaiter", "LoginSession", "Member", "Message", "Model", "NoSeat",
    "NoSeatLeft", "NotRegistered", "ReceiptRow", "Refused", "Registration", "SendAttempt", "SendRefused", "Stale", "TakenAlready", "Team", "Verdict",
    "WebhookEvent", "db", "transaction",
]
