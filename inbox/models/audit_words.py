"""One plain sentence for every kind of event, and what may be told of its details (ACC-5, ACC-8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from inbox.models.base import one_line
from inbox.permissions import DEFAULT_ROLES, ENTRIES, Permission

# kind -> (what the filter calls it, what the sentence says after the actor's name). Who acts when nobody is signed in: ACTORS.
SENTENCES: dict[str, tuple[str, str]] = {
    "account.opened": ("Account opened", "opened the account {name}"),
    "account.ownership_transferred": ("Ownership transferred", "transferred the ownership of the account to {member}"),
    "audit.exported": ("Audit log exported", "exported the audit log"),
    "call.answered": ("Call answered", "called {inbox} and was answered"),
    "call.ended": ("Call out ended", "ended a call from {inbox}"),
    "call.forwarded": ("Call forwarded", "called {inbox} and was forwarded"),
    "call.missed": ("Call missed", "called {inbox} and reached nobody"),
    "call.placed": ("Call out", "called {conversation}"),
    "call.unanswered": ("Call not answered", "called {inbox} and reached nobody"),
    "call.voicemail": ("Voicemail", "called {inbox} and left a message"),
    "carrier.added": ("Carrier added", "added the carrier {name}"),
    "carrier.changed": ("Carrier changed", "changed {field} of the carrier {name}{change}"),
    "carrier.removed": ("Carrier removed", "removed the carrier {name}"),
    "consent.opted_in": ("Texts wanted again", "wants texts again"),
    "consent.opted_out": ("Texts no longer wanted", "wants no more texts"),
    "consent.asked": ("Asked for an opt-in", "asked for a YES in {conversation}"),
    "contact.blocked": ("Contact blocked", "blocked {contact}"),
    "contact.created": ("Contact made", "made {contact}"),
    "contact.edited": ("Contact edited", "edited {contact}"),
    "contact.kept": ("Not an opt-out", "found that a text in {conversation} was no opt-out"),
    "contact.merged": ("Contacts merged", "merged the contact {other} into {name}"),
    "contact.opted_in": ("Customer opted in", "opted in to texts in {conversation}"),
    "contact.opted_out": ("Customer opted out", "opted out of texts in {conversation}"),
    "contact.owner_cleared": ("Contact’s owner removed", "removed the owner of {contact}"),
    "contact.owner_set": ("Contact’s owner set", "made {owner} the owner of {contact}"),
    "contact.owners_moved": ("Contacts’ owner changed", "moved {count} contacts of {before} to {after}"),
    "contact.unblocked": ("Contact unblocked", "unblocked {contact}"),
    "contact.unmerged": ("Merge of contacts undone", "took the contacts {other} and {name} apart again"),
    "contact_field.changed": ("Contact field changed", "changed the contact field {before}"),
    "contact_field.created": ("Contact field made", "made the contact field {name}"),
    "contact_field.deleted": ("Contact field deleted", "deleted the contact field {name}"),
    "conversation.archived": ("Conversation archived", "archived {conversation}"),
    "conversation.assigned": ("Conversation assigned", "assigned {conversation} to {to}"),
    "conversation.opened": ("Conversation opened", "opened {conversation}"),
    "conversation.followed": ("Follower added", "had {name} follow {conversation}"),
    "conversation.merged": ("Conversations merged", "merged {count} conversations into {conversation}"),
    "conversation.unmerged": ("Merge of conversations undone", "took {count} merged conversations of {conversation} apart again"),
    "conversation.unfollowed": ("Follower removed", "took {name} off the followers of {conversation}"),
    "conversation.snoozed": ("Conversation snoozed", "snoozed {conversation}"),
    "conversation.spam_cleared": ("No spam", "took {conversation} out of spam"),
    "conversation.spam_marked": ("Marked as spam", "marked {conversation} as spam"),
    "conversation.stayed": ("Snooze ran out", "left {conversation} archived, because the contact has a newer one"),
    "conversation.tagged": ("Tag put on", "put the tag {tag} on {conversation}"),
    "conversation.unsnoozed": ("Snooze ended", "ended the snooze of {conversation}"),
    "conversation.untagged": ("Tag taken off", "took the tag {tag} off {conversation}"),
    "conversation.woken": ("Back from a snooze", "brought {conversation} back from its snooze"),
    "conversation.reopened": ("Conversation reopened", "reopened {conversation}"),
    "conversation.unassigned": ("Conversation unassigned", "unassigned {conversation}"),
    "factor.added": ("Second factor added", "added a second factor to their sign-in"),
    "factor.removed": ("Second factor removed", "removed a second factor from their sign-in"),
    "import.canceled": ("Import canceled", "canceled the import of {file}"),
    "import.finished": ("Import finished", "finished the import of {file}"),
    "import.started": ("Import started", "started the import of {file} with {rows} rows"),
    "import.undo_started": ("Import being undone", "began to undo the import of {file}"),
    "import.undone": ("Import undone", "undid the import of {file}"),
    "inbox.carrier_changed": ("Inbox’s carrier changed", "moved {inbox} from {before} to {after}"),
    "inbox.number_pointed": ("Number pointed here", "pointed the number of {inbox} at this server again"),
    "inbox.changed": ("Inbox settings changed", "changed {field} of {inbox}{change}"),
    "inbox.created": ("Inbox created", "created the inbox {name} with the number {phone}"),
    "inbox.lock_changed": ("Inbox lock changed", "changed {field} of {inbox}{change}"),
    "inbox.member_added": ("Added to an inbox", "gave {member} access to {inbox}"),
    "inbox.member_removed": ("Removed from an inbox", "took {member}’s access to {inbox} away"),
    "invitation.accepted": ("Invitation accepted", "accepted the invitation sent to {email}"),
    "invitation.bounced": ("Invitation bounced", "could not deliver the invitation to {email}"),
    "invitation.resent": ("Invitation sent again", "sent {email} the invitation again"),
    "invitation.revoked": ("Invitation revoked", "revoked the invitation of {email}"),
    "invitation.sent": ("Invitation sent", "invited {email} as {role}"),
    "lock.acquired": ("Lock taken", "began to answer {conversation}"),
    "lock.expired": ("Lock ran out", "freed {conversation}, which {holder} had left"),
    "lock.kept": ("Lock kept", "kept {conversation}"),
    "lock.prompted": ("Asked whether still there", "asked {holder_id} about {conversation}"),
    "lock.released": ("Lock released", "stopped answering {conversation}"),
    "lock.taken_over": ("Lock taken over", "took {conversation} over from {from_name}"),
    "member.address_asked": ("New sign-in address asked for", "asked to change their sign-in address"),
    "member.address_changed": ("Sign-in address changed", "changed their sign-in address"),
    "member.deactivated": ("Access ended", "ended {member}’s access"),
    "member.password_changed": ("Password changed", "changed their own password"),
    "member.password_reset": ("Password reset", "reset their password with a mailed link"),
    "member.profile_changed": ("Own profile changed", "changed their own profile"),
    "member.reactivated": ("Access given back", "gave {member} access again"),
    "member.removed": ("Person removed", "removed {member} from the account"),
    "message.canceled": ("Text canceled", "canceled a text in {conversation} before it left"),
    "message.known": ("Text’s fate known", "learned what became of a text in {conversation}"),
    "message.held_file_opened": ("Held file opened", "opened a file held back in {conversation}"),
    "message.marked_sent": ("Text marked as sent", "marked a text in {conversation} as sent"),
    "message.released": ("Held text sent", "sent a text in {conversation} that waited for the end of quiet hours"),
    "message.returned": ("Text came back", "gave a waiting text in {conversation} back as a draft: {why}"),
    "message.sent": ("Text sent", "sent a text in {conversation}"),
    "message.sent_anyway": ("Text sent anyway", "sent a text in {conversation} although the customer had written"),
    "message.tried_again": ("Text tried again", "tried a text in {conversation} again"),
    "message.undone": ("Text taken back", "took a text in {conversation} back before it left"),
    "notification.browser_added": ("Browser notifications added", "added a browser to their notifications"),
    "notification.browser_removed": ("Browser notifications removed", "removed a browser from their notifications"),
    "notification.changed": ("Notifications changed", "changed the notifications of {member}"),
    "notification.turned_off": ("Notifications turned off", "turned notifications of {member} off"),
    "payment.confirmed": ("Payment confirmed", "confirmed a payment"),
    "payment.failed": ("Payment failed", "gave up a payment"),
    "payment.started": ("Payment started", "started a payment"),
    "recovery.renewed": ("Recovery codes renewed", "made new recovery codes for their sign-in"),
    "recovery.used": ("Recovery code used", "signed in with a recovery code"),
    "registration.moved": ("Registration moved on", "moved the carrier registration of {team} from {before} to {after}"),
    "replay.canceled": ("Replay canceled", "stopped the replay of {name} after {count} requests"),
    "replay.finished": ("Replay finished", "finished the replay of {count} requests of {name}"),
    "replay.started": ("Replay started", "started a replay of {count} requests of {name}"),
    "role.changed": ("Role changed", "changed the role of {member} from {before} to {after}"),
    "role.created": ("Role created", "created the role {name}"),
    "role.deleted": ("Role deleted", "deleted the role {name}"),
    "role.described": ("Role described", "changed the description of the role {name}"),
    "role.edited": ("Role edited", "changed what the role {name} allows"),
    "role.given": ("Role given", "gave {member} the role {role}"),
    "role.renamed": ("Role renamed", "renamed the role {before} to {after}"),
    "seat.given": ("Seat given", "gave {member} a seat"),
    "seat.taken": ("Seat taken away", "took {member}’s seat away"),
    "seats.changed": ("Paid seats changed", "changed the paid seats from {before} to {after}"),
    "seats.renewed": ("Seats renewed", "renewed {seats} paid seats"),
    "sign_in.second_factor_optional": ("Second factor made optional", "made the second factor optional for everyone"),
    "sign_in.second_factor_required": ("Second factor required", "required a second factor of everyone"),
    "second_factor.added": ("Second factor added", "added a second factor to their sign-in"),
    "second_factor.removed": ("Second factor removed", "removed a second factor from their sign-in"),
    "single_sign_on.changed": ("Single sign-on changed", "changed single sign-on"),
    "single_sign_on.removed": ("Single sign-on removed", "removed single sign-on"),
    "template.archived": ("Template archived", "archived the template {name}"),
    "template.changed": ("Template changed", "changed the template {name}"),
    "template.created": ("Template made", "made the template {name}"),
    "template.restored": ("Template restored", "took the template {name} out of the archive"),
    "tag.created": ("Tag made", "made the tag {name}"),
    "tag.deleted": ("Tag deleted", "deleted the tag {name}, which was on {count} conversations"),
    "tag.merged": ("Tags merged", "merged the tag {name}, which was on {count} conversations, into {into}"),
    "tag.painted": ("Tag’s colour changed", "changed the colour of the tag {name}"),
    "tag.renamed": ("Tag renamed", "renamed the tag {before} to {after}"),
    "view.changed": ("Saved view changed", "changed {field} of the saved view {view}{change}"),
    "view.deleted": ("Saved view deleted", "deleted the saved view {view}"),
    "view.saved": ("View saved", "saved the view {view}"),
    "team.consent_changed": ("Reach of a STOP changed", "changed {field} of {team}{change}"),
}
ACTORS = {  # who did it when no member did
    "call": "A caller", "consent": "A customer", "contact.opted_in": "A customer", "contact.opted_out": "A customer", "conversation.opened": "A customer",
    "conversation.reopened": "A customer", "registration": "The carrier",
}
GENERIC = "did: {label}"

# Kinds about a person's own profile or sign-in name only that it changed (ACC-5).
PRIVATE = frozenset({"collaborator", "factor", "member", "notification", "passkey", "profile", "recovery", "second_factor", "security", "session", "two_factor"})
HIDDEN = re.compile(r"signature|picture|photo|avatar|e_?mail|password|secret|token|recovery|phone|mobile|codes?$|body|text$|address|zone|language|display_name|key$", re.I)
INSIDE = frozenset({"call", "conversation", "lock", "message"})  # details only for who may open the conversation

FIELDS: dict[str, tuple[str, str]] = {  # field -> (what a sentence calls it, unit)
    "lock_lease": ("the lock’s lease", "s"), "lock_heartbeat": ("the lock’s heartbeat", "s"), "idle_after": ("the idle time", "s"),
    "idle_answer": ("the time to answer", "s"), "lock_on": ("when the lock is taken", ""), "reopen": ("whether old conversations reopen", ""),
    "sign_texts": ("whether texts are signed", ""), "plain_texts": ("plain characters", ""), "stop_reply": ("the answer to STOP", ""), "start_reply": ("the answer to START", ""),
    "help_reply": ("the answer to HELP", ""), "forward_to": ("call forwarding", ""), "ring_seconds": ("how long calls ring", "s"), "voicemail": ("voicemail", ""),
    "greeting": ("the voicemail greeting", ""), "description": ("the description", ""), "name": ("the name", ""),
    "quiet": ("the quiet hours", ""), "quiet_opens": ("when texts may begin", "minutes"), "quiet_closes": ("when texts must end", "minutes"),
    "hue": ("the color", ""), "consent_scope": ("how far a STOP reaches", ""), "stop_words": ("the words for STOP", ""), "start_words": ("the words for START", ""),
    "help_words": ("the words for HELP", ""), "double_opt_in": ("whether new contacts are asked first", ""), "opt_in_request": ("the question to new contacts", ""),
    "append_opt_out": ("whether first texts say how to opt out", ""), "email_on": ("the e-mail notifications", ""), "shared": ("whether the team has it", ""),
}
MEMBER_KEYS = frozenset({"member", "to", "from_id", "holder_id", "successor", "owner_id"})


@dataclass(frozen=True)
class Change:
    """A detail: from what to what; `before` is None for what was only noted."""

    label: str
    before: str | None
    after: str


@dataclass
class Names:
    """Names of what a page of events mentions; a conversation or contact the reader may not open is missing."""

    members: dict[int, str]
    inboxes: dict[int, str]
    teams: dict[int, str]
    conversations: dict[int, str]
    contacts: dict[int, str]
    roles: dict[str, str]

    def say(self, key: str, value: Any) -> str:
        """A value of an event in words, on one line."""
        if value is None or value == "" or value == []:
            return "nothing"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int) and key in MEMBER_KEYS:
            return self.members.get(value, "someone")
        if isinstance(value, int):
            unit = FIELDS.get(key, ("", ""))[1]
            return f"{value} {unit}".strip()
        if isinstance(value, list):
            return ", ".join(self.say(key, one) for one in value[:60])
        if isinstance(value, dict):
            return ", ".join(f"{plain(str(k))}: {self.say(str(k), v)}" for k, v in list(value.items())[:60])
        return clean(self._term(str(value)))

    def _term(self, text: str) -> str:
        """The name behind a role's key or a permission's id; anything else as it is."""
        if text in self.roles:
            return self.roles[text]
        if text in DEFAULT_ROLES:
            return DEFAULT_ROLES[text][0]
        if text in _PERMISSIONS:
            return ENTRIES[Permission(text)].title
        return text.replace("_", " ") if _STATE.fullmatch(text) else text


_PERMISSIONS = frozenset(permission.value for permission in Permission)
_STATE = re.compile("[a-z]+(_[a-z]+)+")
_LINE_ENDS = re.compile("[\u2028\u2029\u0085\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def clean(text: str, most: int = 200) -> str:
    """A text nobody can forge a line or an order of letters with (SECURITY S103)."""
    text = one_line(_LINE_ENDS.sub(" ", text))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def plain(key: str) -> str:
    """What a field is called in a list of details."""
    words = FIELDS[key][0].removeprefix("the ") if key in FIELDS else clean(key.replace("_", " ").strip(), 60)
    return words[:1].upper() + words[1:]


def label(kind: str) -> str:
    """What the filter and the export call a kind."""
    if kind in SENTENCES:
        return SENTENCES[kind][0]
    words = clean(re.sub(r"[._]+", " ", kind), 60).strip()
    return words[:1].upper() + words[1:]


class _Terms(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "something"


def sentence(kind: str, data: dict[str, Any], terms: dict[str, str], names: Names, changes: list[Change]) -> str:
    """What happened, after the actor's name. `terms` are the event's own nouns (inbox, conversation ...)."""
    said = _Terms({key: names.say(key, value) for key, value in data.items()})
    if "name" in data and not isinstance(data.get("member"), int):
        said["member"] = said["name"]
    said.update(terms)
    said["field"], said["change"] = _summed_up(data, changes)
    said["label"] = label(kind).lower()
    template = SENTENCES[kind][1] if kind in SENTENCES else _generic(kind, data)
    return template.format_map(said)


def _generic(kind: str, data: dict[str, Any]) -> str:
    """A kind without a sentence of its own is still told: what, and about whom."""
    return GENERIC + (" ({member})" if "member" in data else "")


def _summed_up(data: dict[str, Any], changes: list[Change]) -> tuple[str, str]:
    """One changed field by its name and values; several by their number."""
    moved = [change for change in changes if change.before is not None]
    after = data.get("after")
    if len(moved) == 1 and isinstance(after, dict) and len(after) == 1:
        key = next(iter(after))
        field = FIELDS[key][0] if key in FIELDS else plain(key).lower()
        short = len(moved[0].before or "") + len(moved[0].after) <= 60
        return field, f" from {moved[0].before} to {moved[0].after}" if short else ""
    return (f"{len(moved)} settings" if moved else "the settings"), ""


def actor(kind: str) -> str:
    """Who acted when no member did."""
    return ACTORS.get(kind) or ACTORS.get(kind.partition(".")[0]) or "The system"


def changes(kind: str, data: dict[str, Any], names: Names, *, inside: bool) -> list[Change]:
    """The details one may read: from -> to, added, removed; nothing of a person's own profile, nothing of a conversation that stays closed."""
    noun = kind.partition(".")[0]
    if noun in PRIVATE or (noun in INSIDE and not inside):
        return []
    found: list[Change] = []
    before, after = data.get("before"), data.get("after")
    if isinstance(before, dict) or isinstance(after, dict):
        old, new = (value if isinstance(value, dict) else {} for value in (before, after))
        found += [
            Change(plain(key), names.say(key, old.get(key)), names.say(key, new.get(key)))
            for key in dict.fromkeys([*old, *new]) if not HIDDEN.search(key) and old.get(key) != new.get(key)
        ]
    elif after is not None and "before" in data:
        found.append(Change("Changed", names.say("to", before), names.say("to", after)))
    for key in ("added", "removed", "permissions", "reason", "cents", "seats", "people", "counts", "filter", "rows"):
        if data.get(key) not in (None, "", [], {}):
            found.append(Change(plain(key), None, names.say(key, data[key])))
    return found
