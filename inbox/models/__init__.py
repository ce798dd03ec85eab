"""The nouns of the product. Importing this package registers every table."""

from inbox.models.account import Account, NoSeatLeft, Team
from inbox.models.attempt import Attempt
from inbox.models.base import Model, Refused, db, transaction
from inbox.models.bulk import Bulk, BulkItem
from inbox.models.bundle import Bundle, Line
from inbox.models.call import Call
from inbox.models.carrier import Carrier, WebhookEvent
from inbox.models.carrier_check import CarrierCheck
from inbox.models.consent import Consent, OptInRequest, Stopping
from inbox.models.contact import Contact
from inbox.models.contact_field import ContactField
from inbox.models.conversation import Conversation, Filter, Lock, LockLost, LockWaiter, SendRefused, Stale, TakenAlready
from inbox.models.door import Door
from inbox.models.draft import Draft
from inbox.models.event import Event
from inbox.models.following import Following
from inbox.models.holdings import Holdings
from inbox.models.identity_provider import IdentityProvider, ProviderIdentity, SignInPolicy
from inbox.models.importing import ContactImport, ImportRow
from inbox.models.inbox import Inbox, InboxDraft, InboxMember, NotRegistered
from inbox.models.invitation import Invitation
from inbox.models.ledger import LedgerEntry, NotCovered, Standing, Wallet
from inbox.models.login_session import LoginSession
from inbox.models.member import Member
from inbox.models.mention import Mention
from inbox.models.merging import Busy, Merging, MergingItem, MergingPart
from inbox.models.message import Attachment, Dispatch, Message, ReceiptRow, SendAttempt
from inbox.models.notification import Notice, Notification
from inbox.models.payment import Payment
from inbox.models.push import PushKey, PushSubscription
from inbox.models.registration import Registration
from inbox.models.replay import Replay
from inbox.models.reset import MailedLink
from inbox.models.rights import Denied, NoSeat, Step, Verdict
from inbox.models.role import Grant, NeedsReplacement, Role, RoleChanged, RoleGone, RoleSheet
from inbox.models.saved_view import SavedView
from inbox.models.scheduled_message import ScheduledMessage
from inbox.models.search import RecentSearch, SearchMark
from inbox.models.second_factor import Challenge, Passkey, RecoveryCode, Totp
from inbox.models.subscription import Changed, Subscription
from inbox.models.tag import Tag, Tagging
from inbox.models.template import Template
from inbox.models.tray import TrayItem
from inbox.models.usage import UsageDay
from inbox.models.viewers import AccessChange, Viewers

__all__ = [
    "Account", "Attachment", "Attempt", "Call", "Carrier", "Consent", "Contact", "ContactField", "ContactImport", "Conversation", "Denied", "Dispatch", "Door", "Draft",
    "Event", "Filter",
    "Grant", "Holdings", "ImportRow", "Inbox", "InboxDraft", "InboxMember", "Invitation", "Lock", "LockLost", "LockWaiter", "LoginSession", "Member",
    "Message", "Model", "NeedsReplacement", "NoSeat", "NoSeatLeft", "NotRegistered", "OptInRequest", "ReceiptRow", "Refused", "Registration", "Role", "RoleChanged",
    "RoleGone", "RoleSheet", "SavedView", "SendAttempt", "SendRefused", "Stale", "Step", "Stopping", "TakenAlready", "Team", "Verdict", "WebhookEvent", "db", "transaction",
    "Challenge", "IdentityProvider", "ProviderIdentity", "MailedLink", "Passkey", "RecoveryCode", "SignInPolicy", "Totp",
    "CarrierCheck", "RecentSearch", "Replay", "SearchMark",
    "Busy", "Following", "Mention", "Merging", "MergingItem", "MergingPart",
    "Bundle", "Line", "Notice", "Notification", "PushKey", "PushSubscription",
    "Changed", "LedgerEntry", "NotCovered", "Payment", "Standing", "Subscription", "Wallet",
    "Bulk", "BulkItem", "ScheduledMessage", "Tag", "Tagging", "Template", "TrayItem", "UsageDay",
    "AccessChange", "Viewers",
]
