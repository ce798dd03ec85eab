"""Inboxes: an address several members work in (or one member's own), who is in it, and how its lock behaves."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import channels, clock, realtime
from inbox import phone as phones
from inbox.models.account import Account, Team
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.carrier import Carrier, insert_or_ignore
from inbox.models.event import Event
from inbox.permissions import Permission
from inbox.quiet import MODES

if TYPE_CHECKING:
    from inbox.models.member import Member
    from inbox.models.registration import Registration

HUES = ("blue", "teal", "green", "lime", "amber", "orange", "red", "pink", "violet", "slate")
RINGS = (10, 60)  # seconds a forwarding number may ring
API_CODE = re.compile(r"[a-z0-9-]{3,32}")


class NotRegistered(Refused):
    """The inbox's registration is not approved: nothing may leave it (REG-3)."""


class MembersChanged(Refused):
    """The list of members is not the one somebody decided on."""

    status = 409


class Inbox(Model):
    """A shared inbox, or a personal one when `owner_id` is set."""

    __tablename__ = "inbox"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("team.id"), index=True)
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    name: Mapped[str] = mapped_column(sa.String(60))
    description: Mapped[str] = mapped_column(sa.String(500), default="")
    api_code: Mapped[str] = mapped_column(sa.String(32))
    hue: Mapped[str] = mapped_column(sa.String(10), default="blue")
    channel: Mapped[str] = mapped_column(sa.String(20), default="sms")
    carrier_id: Mapped[int | None] = mapped_column(sa.ForeignKey("carrier.id"), index=True)  # what its texts go through
    phone: Mapped[str | None] = mapped_column(sa.String(20), index=True)
    number_sid: Mapped[str | None] = mapped_column(sa.String(64))
    forward_to: Mapped[str | None] = mapped_column(sa.String(20))
    ring_seconds: Mapped[int] = mapped_column(default=20, server_default="20")  # how long the forwarding number rings
    voicemail: Mapped[bool] = mapped_column(default=True, server_default=sa.true())  # callers nobody answers may leave a message
    greeting: Mapped[str] = mapped_column(sa.String(320), default="", server_default="")  # what they hear first; empty for the usual words
    created_by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()
    # the lock (LOCK-1..3), all in seconds
    lock_on: Mapped[str] = mapped_column(sa.String(6), default="open")  # open or typing
    lock_lease: Mapped[int] = mapped_column(default=45)
    lock_heartbeat: Mapped[int] = mapped_column(default=15)
    idle_after: Mapped[int] = mapped_column(default=180)
    idle_answer: Mapped[int] = mapped_column(default=60)
    reopen: Mapped[bool] = mapped_column(default=True)  # an inbound text reopens the archived conversation, or starts anew
    sign_texts: Mapped[bool] = mapped_column(default=False)
    plain_texts: Mapped[bool] = mapped_column(default=False)  # typographic characters leave as plain ones where that saves segments
    stop_reply: Mapped[str] = mapped_column(sa.String(320), default="")
    start_reply: Mapped[str] = mapped_column(sa.String(320), default="")
    help_reply: Mapped[str] = mapped_column(sa.String(320), default="")
    stop_words: Mapped[str] = mapped_column(sa.String(200), default="")  # keywords of its own beside the carriers', separated by commas
    start_words: Mapped[str] = mapped_column(sa.String(200), default="")
    help_words: Mapped[str] = mapped_column(sa.String(200), default="")
    double_opt_in: Mapped[bool] = mapped_column(default=False)  # a new contact is asked for a YES before our first text
    opt_in_request: Mapped[str] = mapped_column(sa.String(320), default="")
    quiet: Mapped[str] = mapped_column(sa.String(8), default="state", server_default="state")  # whose quiet hours count: state, federal, own or off
    quiet_opens: Mapped[int] = mapped_column(default=480, server_default="480")  # own hours, in minutes since midnight where the contact is
    quiet_closes: Mapped[int] = mapped_column(default=1260, server_default="1260")
    append_opt_out: Mapped[bool] = mapped_column(default=False)  # the first text of a conversation we start says how to opt out
    account: Mapped[Account] = relationship()
    team: Mapped[Team] = relationship()
    carrier: Mapped[Carrier | None] = relationship()
    team_registration: Mapped[Registration | None] = relationship(
        primaryjoin="foreign(Inbox.team_id) == Registration.team_id", viewonly=True, uselist=False, lazy="raise"
    )

    __table_args__ = (
        sa.UniqueConstraint("team_id", "name"),
        sa.UniqueConstraint("account_id", "api_code"),
        sa.UniqueConstraint("phone"),
    )

    # -- making one -------------------------------------------------------------------------------------------

    @staticmethod
    def create(
        team: Team, *, name: str, api_code: str, hue: str, phone: str, number_sid: str | None, forward_to: str | None, description: str, by: Member,
        members: list[Member] | None = None, carrier: Carrier | None = None,
    ) -> Inbox:
        """Create a shared inbox with a number already bought; the creator is its first member (BOX-2, REG-3). `carrier` None means the usual one."""
        by.require(Permission.INBOXES_CREATE, on=team)
        check_details(team, name=name, api_code=api_code, hue=hue)
        inbox = Inbox(
            account_id=team.account_id, team_id=team.id, name=clean_name(name), api_code=api_code, hue=hue, phone=phone,
            number_sid=number_sid, forward_to=forward_to, description=description.replace("\x00", "").strip(), created_by_id=by.id,
            carrier=carrier or Carrier.of(team.account_id),
        ).save()
        Event.record("inbox.created", account=team.account_id, by=by, inbox=inbox.id, name=inbox.name, phone=phone)
        InboxMember(inbox_id=inbox.id, member_id=by.id).save()
        for member in members or []:
            if member.id != by.id:
                inbox.add_member(member, by=by)
        by.forget_inboxes()
        realtime.publish("navigation", account=team.account_id)
        return inbox

    @property
    def registration(self) -> Registration | None:
        from inbox.models.registration import Registration

        return self.__dict__.get("team_registration") or Registration.of_team(self.team_id)

    @property
    def texting(self) -> Carrier:
        """The carrier its texts go through."""
        return self.carrier or Carrier.of(self.account_id)

    @property
    def needs_registration(self) -> bool:
        return bool(self.texting.adapter.caps.needs_registration)

    def use_carrier(self, carrier: Carrier, *, by: Member) -> None:
        """Send and receive through another carrier of the account from now on; texts that have not left yet go through it, too."""
        by.require(Permission.INBOXES_MANAGE, on=self)
        before = self.texting
        found = db.session.scalar(sa.select(Carrier).where(Carrier.id == carrier.id, Carrier.account_id == self.account_id).with_for_update(read=True))
        if found is None:
            raise Refused("Choose a carrier from the list.", field="carrier")
        if found is before:
            return
        if found.adapter.caps.numbers and self.number_sid is None:
            raise Refused(f"{self.phone_display} is not a number of {found.label}, so it can’t send from it.", field="carrier")
        if self._leaving():
            raise Refused("A text of this inbox is just leaving through the old carrier. Try again in a minute.", field="carrier")
        if self._fetching():
            raise Refused("A file of this inbox is still being fetched from the old carrier. Try again in a minute.", field="carrier")
        self.carrier = found
        db.session.flush()
        Event.record("inbox.carrier_changed", account=self.account_id, by=by, inbox=self.id, before=before.label, after=found.label)
        realtime.publish("navigation", account=self.account_id)

    def _leaving(self) -> bool:
        """Whether the present carrier must still be asked about a text."""
        from inbox.models.message import Dispatch, Message

        under_way = sa.select(Dispatch.id).join(Message).where(Message.inbox_id == self.id, Dispatch.state.in_(("sending", "checking")))
        return db.session.scalar(under_way.limit(1)) is not None

    def _fetching(self) -> bool:
        """Whether the present carrier still has a file that a customer sent."""
        from inbox.models.message import Attachment, Message

        pending = sa.select(Attachment.id).join(Message, Message.id == Attachment.message_id).where(Attachment.state == "pending", Message.inbox_id == self.id)
        return db.session.scalar(pending.limit(1)) is not None

    @property
    def registered(self) -> bool:
        """Whether texts may leave (REG-3): no registration applies, or the team's is approved and this number has joined it."""
        if not self.needs_registration:
            return True
        registration = self.registration
        return bool(registration and registration.state == "approved" and registration.covers(self))

    def require_registered(self) -> None:
        if not self.registered:
            raise NotRegistered(
                f"{self.name} is not registered with the carriers yet, so nothing can leave it. "
                "Admins get an e-mail when it is approved."
            )

    # -- who is in it -----------------------------------------------------------------------------------------

    @property
    def members(self) -> list[Member]:
        from inbox.models.member import Member

        return list(
            db.session.scalars(
                sa.select(Member).join(InboxMember, InboxMember.member_id == Member.id).where(InboxMember.inbox_id == self.id).order_by(Member.name)
            )
        )

    def add_member(self, member: Member, *, by: Member) -> None:
        """Give access: read everything of this inbox and send from it (BOX-3); refused until registered (REG-3)."""
        if member.account_id != self.account_id:
            raise Refused("Choose people from the list.")
        if not self.registered:
            raise NotRegistered("You can add people once carriers approve this inbox. We’ll e-mail you.")
        added = db.session.execute(
            insert_or_ignore()(InboxMember)
            .values(inbox_id=self.id, member_id=member.id, added_at=clock.now())
            .on_conflict_do_nothing(index_elements=["inbox_id", "member_id"])
            .returning(InboxMember.id)
        ).scalar()
        if added is None:
            return
        member.forget_inboxes()
        Event.record("inbox.member_added", account=self.account_id, by=by, inbox=self.id, member=member.id, name=member.name)
        realtime.publish("navigation", account=self.account_id)

    def remove_member(self, member: Member, *, by: Member) -> None:
        """Take access away; open conversations of this inbox go back to unassigned, locks are released."""
        from inbox.models.holdings import settle

        Account.one_change_at_a_time(self.account_id, member)
        gone = db.session.execute(
            sa.delete(InboxMember).where(InboxMember.inbox_id == self.id, InboxMember.member_id == member.id).returning(InboxMember.id)
        ).scalar()
        if gone is None:
            return
        settle(member, by=by, inbox_id=self.id)
        Event.record("inbox.member_removed", account=self.account_id, by=by, inbox=self.id, member=member.id, name=member.name)
        realtime.publish("navigation", account=self.account_id)

    def set_members(self, members: list[Member], *, by: Member, seen: set[int] | None = None) -> None:
        """Make the active membership exactly `members` (BOX-4: tick in a list, save once).

        `seen` are the ids of the members `by` decided on; raises MembersChanged when the list is another by now.
        """
        Account.one_change_at_a_time(self.account_id, *self.members, by)
        by.require(Permission.INBOXES_MEMBERS, on=self)
        wanted = {member.id for member in members}
        current = {member.id: member for member in self.members if member.active}
        if seen is not None and seen != set(current):
            raise MembersChanged("Someone else changed the list meanwhile. This is what your choice changes now.")
        for member in members:
            if member.id not in current:
                self.add_member(member, by=by)
        for member_id, member in current.items():
            if member_id not in wanted:
                self.remove_member(member, by=by)

    def assignable(self) -> list[Member]:
        """The members conversations of this inbox may be assigned to, by name."""
        from inbox.models.member import Member

        return [m for m in Member.with_reach(self.account_id) if m.may_receive(self)]

    # -- lists ------------------------------------------------------------------------------------------------

    @staticmethod
    def visible_to(member: Member) -> list[Inbox]:
        """What the navigation shows: inboxes the member is in, registered ones only (REG-3), shared before personal."""
        from inbox.models.registration import Registration

        if not member.can(Permission.CONVERSATIONS_VIEW):
            return []
        query = (
            sa.select(Inbox)
            .outerjoin(Registration, Registration.team_id == Inbox.team_id)
            .outerjoin(Carrier, Carrier.id == Inbox.carrier_id)
            .where(
                Inbox.id.in_(member.readable_inbox_ids),
                sa.or_(sa.and_(Registration.state == "approved", Inbox.joined_at.is_not(None)), Carrier.kind.in_(sorted(channels.UNREGISTERED))),
            )
            .order_by(Inbox.owner_id.is_not(None), Inbox.name)
        )
        return list(db.session.scalars(query))

    @staticmethod
    def sendable_by(member: Member) -> list[Inbox]:
        """The inboxes Compose offers (CONV-5)."""
        if not member.can(Permission.CONVERSATIONS_COMPOSE):
            return []
        return [inbox for inbox in Inbox.visible_to(member) if member.can(Permission.CONVERSATIONS_COMPOSE, on=inbox)]

    joined_at: Mapped[datetime | None] = mapped_column(Moment)  # when its number joined the approved campaign

    @property
    def phone_display(self) -> str:
        return phones.display(self.phone) if self.phone else ""

    @property
    def own_keywords(self) -> dict[str, phones.Keyword]:
        """Its own keywords, as `phone.keyword` takes them."""
        lists: tuple[tuple[str, phones.Keyword], ...] = ((self.stop_words, "STOP"), (self.start_words, "START"), (self.help_words, "HELP"))
        return {phones.plain(word): keyword for words, keyword in lists for word in words.split(",") if word}

    def set_consent_scope(self, scope: str, *, by: Member) -> None:
        """How far a STOP to an inbox of this team reaches from now on; what was said before keeps its reach."""
        by.require(Permission.INBOXES_MANAGE, on=self)
        if scope not in SCOPES:
            raise Refused("Choose how far a STOP reaches.", field="consent_scope")
        team = self.team
        if team.consent_scope != scope:
            before, team.consent_scope = team.consent_scope, scope
            Event.record("team.consent_changed", account=self.account_id, by=by, team=team.id, before={"consent_scope": before}, after={"consent_scope": scope})

    def configure_lock(self, *, by: Member, **settings: Any) -> None:
        """Change the lock's timings; seconds within sane bounds, the heartbeat shorter than the lease."""
        by.require(Permission.INBOXES_MANAGE, on=self)
        bounds = {"lock_lease": (20, 600), "lock_heartbeat": (5, 120), "idle_after": (30, 1800), "idle_answer": (20, 600)}
        for field, (low, high) in bounds.items():
            value = settings.get(field, getattr(self, field))
            if not low <= value <= high:
                raise Refused(f"Choose between {low} and {high} seconds.", field=field)
        lease, beat = settings.get("lock_lease", self.lock_lease), settings.get("lock_heartbeat", self.lock_heartbeat)
        if beat * 2 > lease:
            raise Refused("The heartbeat must be at most half of the lease, or a slow network would lose the lock.", field="lock_heartbeat")
        if settings.get("lock_on", self.lock_on) not in ("open", "typing"):
            raise Refused("Choose when the lock is taken.", field="lock_on")
        before = {name: getattr(self, name) for name in settings}
        for name, value in settings.items():
            setattr(self, name, value)
        Event.record("inbox.lock_changed", account=self.account_id, by=by, inbox=self.id, before=before, after=settings)


SCOPES = ("inbox", "team", "account")  # consent.SCOPES says them in words


def check_keywords(stop: str, start: str, help: str) -> dict[str, str]:
    """The lists of an inbox's own keywords as they are kept; Refused for a word that is none, is the carriers', or is in two lists."""
    kept: dict[str, str] = {}
    seen: set[str] = set()
    for field, text in (("stop_words", stop), ("start_words", start), ("help_words", help)):
        words = [one_line(word) for word in text.replace("\n", ",").split(",")]
        words = [word for word in words if word]
        for word in words:
            plain = phones.plain(word)
            if not plain or len(plain) > phones.MAX_KEYWORD or len(word) > 2 * phones.MAX_KEYWORD:
                raise Refused(f"A keyword is a short word of at most {phones.MAX_KEYWORD} letters; {word[:40]} is not.", field=field)
            if phones.keyword(word):
                raise Refused(f"{word} always counts as {phones.keyword(word)}; carriers require it.", field=field)
            if plain in seen:
                raise Refused(f"{word} is in the lists twice.", field=field)
            seen.add(plain)
        if len(words) > 10 or len(", ".join(words)) > 200:
            raise Refused("Use at most ten keywords.", field=field)
        kept[field] = ", ".join(words)
    return kept


def check_opt_in_request(text: str) -> None:
    """Refused unless the question to new contacts, when there is one, names the answers that count."""
    if text and not ("YES" in text and "STOP" in text):
        raise Refused("Say in it that YES brings texts and STOP ends them, in capitals.", field="opt_in_request")


def check_quiet(mode: str, opens: int, closes: int) -> dict[str, Any]:
    """The quiet hours as they are kept, times in minutes since midnight; Refused for a choice there is not, or hours that never come."""
    if mode not in MODES:
        raise Refused("Choose one of the quiet hours.", field="quiet")
    if mode == "own" and not 0 <= opens < closes <= 24 * 60:
        raise Refused("Choose a time later than the one on the left.", field="quiet_closes")
    return {"quiet": mode, "quiet_opens": opens, "quiet_closes": closes}


class InboxMember(Model):
    """Membership of an inbox."""

    __tablename__ = "inbox_member"
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    added_at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("inbox_id", "member_id"),)


class InboxDraft(Model):
    """A half-filled wizard: one per member, nothing lost on reload (BOX-2)."""

    __tablename__ = "inbox_draft"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), unique=True)
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    updated_at: Mapped[datetime] = now_column()

    @staticmethod
    def of(member: Member) -> InboxDraft | None:
        return db.session.scalar(sa.select(InboxDraft).where(InboxDraft.member_id == member.id))

    @staticmethod
    def start(member: Member) -> InboxDraft:
        """The member's draft, made when there is none."""
        return InboxDraft.of(member) or InboxDraft(account_id=member.account_id, member_id=member.id, data={}).save()

    def put(self, **values: Any) -> None:
        self.data = {**self.data, **values}
        self.updated_at = clock.now()

    def discard(self) -> None:
        db.session.delete(self)
        db.session.flush()


def clean_name(name: str) -> str:
    return one_line(name)


def suggest_api_code(name: str) -> str:
    """A free-looking code from a name: `front-desk-7f3k`."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:24] or "inbox"
    return f"{stem}-{secrets.token_hex(2)}"


def check_details(team: Team, *, name: str, api_code: str, hue: str) -> None:
    """Raise Refused at the field that is wrong: name unique in the team, code unique in the account, a known colour."""
    name = clean_name(name)
    if not name:
        raise Refused("Give the inbox a name.", field="name")
    if len(name) > 60:
        raise Refused("Use at most 60 characters.", field="name")
    taken = db.session.scalar(
        sa.select(Inbox.id).where(Inbox.team_id == team.id, sa.func.lower(Inbox.name) == name.lower())
    )
    if taken:
        raise Refused(f"{team.name} already has an inbox called {name}.", field="name")
    if not API_CODE.fullmatch(api_code):
        raise Refused("Use 3 to 32 lower-case letters, digits and hyphens.", field="api_code")
    if db.session.scalar(sa.select(Inbox.id).where(Inbox.account_id == team.account_id, Inbox.api_code == api_code)):
        raise Refused("Another inbox uses this API code.", field="api_code")
    if hue not in HUES:
        raise Refused("Choose one of the colors.", field="hue")
