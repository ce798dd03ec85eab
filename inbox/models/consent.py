"""Consent: what a customer allows us to send, with the evidence, and how a STOP overtakes the texts that are just leaving (MSG-2).

A `Consent` is one change of mind; it is final, and the history is the state. A change reaches an inbox when it was made for the account, for the inbox's
team, or for that inbox; **the newest change that reaches an inbox decides there**. Nobody said anything: texts are allowed.

How a STOP stops the texts under way (`jobs.apply_webhook`):

1. Mark: a `Stopping` row is committed by who holds the address alone (`hold_still`). A sender shares it while claiming a text, so it either has claimed
   before the mark, and is seen as `sending`, or it sees the mark, which its gate reads as opted out.
2. Wait: until no text to the address is `sending` with a running lease in the reach of the STOP, at most `LONGEST_WAIT`; a worker stands
   still for a second only, then the sweep rings again.
3. Apply: the address is held alone again, so nobody claims; if a text is under way after all, wait on. Then the change is written, the mark removed.

A crash in between leaves the mark; the sweeper applies the request again. A mark older than `MARK_FOR` is not read any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, aliased, joinedload, mapped_column, relationship

from inbox import clock
from inbox.models.account import Team
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event, Final
from inbox.models.member import Member, shown
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.account import Account
    from inbox.models.contact import Contact
    from inbox.models.inbox import Inbox
    from inbox.models.message import Message

SCOPES = {"inbox": "this number only", "team": "all numbers of the team", "account": "everything we send"}  # from narrow to wide
WIDTH = {scope: width for width, scope in enumerate(SCOPES)}
SOURCES = ("text", "provider", "import", "hand", "double", "undone")  # double: YES to our question; undone: an import was taken back, nobody said anything
MARK_FOR = timedelta(minutes=1)
LONGEST_WAIT = 30.0  # seconds
OWN = ("text", "double", "hand")  # what the customer said, not what a file or the carrier says
HOWS = {"phone": "on the phone", "person": "in person", "paper": "on paper", "web": "on a web page", "email": "by e-mail"}
LEAST_EVIDENCE = 10  # characters
OUT = sa.text("opted_out")


class Consent(Model):
    """One change of what a customer allows; never changed, never deleted. `inbox_id` is where it was made, `scope` how far it reaches."""

    __tablename__ = "consent_change"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("team.id"))
    inbox_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbox.id"))
    address: Mapped[str] = mapped_column(sa.String(254))
    scope: Mapped[str] = mapped_column(sa.String(8))
    opted_out: Mapped[bool] = mapped_column()
    source: Mapped[str] = mapped_column(sa.String(10))
    evidence: Mapped[str] = mapped_column(sa.Text, default="")  # the customer's own words, the provider's reason, or what a member wrote down
    message_id: Mapped[int | None] = mapped_column(sa.ForeignKey("message.id"))
    by_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    at: Mapped[datetime] = now_column()
    by: Mapped[Member | None] = relationship(lazy="raise")
    inbox: Mapped[Inbox | None] = relationship(lazy="raise")

    __table_args__ = (
        sa.Index("ix_consent_change_decides", "account_id", "address", "id"),
        sa.Index("ix_consent_change_out", "account_id", "address", sqlite_where=OUT, postgresql_where=OUT),
    )

    @staticmethod
    def of(team_id: int, address: str, inbox_id: int | None = None) -> Consent | None:
        """The change that decides for an inbox of the team, or for the team's inboxes at large."""
        account = sa.select(Team.account_id).where(Team.id == team_id).scalar_subquery()
        return db.session.scalar(_newest(account, team_id, inbox_id, address))

    @staticmethod
    def put(
        account: Account | int, team_id: int, address: str, *, opted_out: bool, source: str, evidence: str = "", inbox_id: int | None = None,
        message: Message | None = None, by: Member | None = None,
    ) -> bool:
        """Record a change of mind as far as the team's setting reaches; True when it changed anything. Every change is an audit event.

        Nothing is recorded when the newest change within that reach says so already for all of it. An import never takes an opt-out back.
        """
        account_id = account if isinstance(account, int) else account.id
        hold_still(account_id, address, alone=True)
        scope = db.session.get_one(Team, team_id).consent_scope
        if scope == "inbox" and inbox_id is None:
            scope = "team"
        last = db.session.scalar(_touching(scope, account_id, team_id, inbox_id, address))
        same = last is not None and last.opted_out == opted_out and last.source != "undone"
        if not opted_out and same and source in OWN and Allowed.elsewhere(account_id, team_id, inbox_id, address, last) is not None:
            same = False  # another number of the same person opted out since: this says anew what counts for this one
        if last is not None and same and WIDTH[last.scope] >= WIDTH[scope] and not (source == "provider" and last.source != source):
            return False
        if source == "import" and not opted_out and last is not None and last.opted_out:
            return False
        Consent(
            account_id=account_id, team_id=team_id, inbox_id=inbox_id, address=address, scope=scope, opted_out=opted_out, source=source, evidence=evidence[:2000],
            message_id=message.id if message else None, by_id=by.id if by else None,
        ).save()
        Event.record(
            "consent.opted_out" if opted_out else "consent.opted_in", account=account_id, by=by, inbox=inbox_id, team=team_id, address=address, source=source, scope=scope
        )
        if opted_out:
            from inbox.models.contact import Contact
            from inbox.models.scheduled_sending import drop_stopped
            from inbox.models.undo import stop_to

            numbers = [address, *Contact.same_person(account_id, address)]
            stop_to(account_id, *numbers)
            for number in numbers:
                drop_stopped(account_id, number)
        return True

    @staticmethod
    def by_hand(inbox: Inbox, contact: Contact, *, opted_out: bool, how: str, on: str, evidence: str, by: Member) -> bool:
        """Record what the customer said elsewhere: `how` (a key of HOWS), `on` which day (YYYY-MM-DD), and what shows it, in words.

        Raises Refused for missing evidence, and for a new opt-in that only the customer's own START can bring.
        """
        by.require(Permission.CONTACTS_EDIT, on=inbox)
        if how not in HOWS:
            raise Refused("Choose how they told you.", field="how")
        day = _day(on)
        evidence = one_line(evidence)
        if len(evidence) < LEAST_EVIDENCE:
            raise Refused(f"Write down what they said or signed, in at least {LEAST_EVIDENCE} characters.", field="evidence")
        if len(evidence) > 500:
            raise Refused("Use at most 500 characters.", field="evidence")
        address = contact.phone
        if not address:
            raise Refused("This contact has no number.")
        hold_still(inbox.account_id, address, alone=True)
        if not opted_out and Consent.provider_blocks(inbox, address):
            raise Refused(f"The carrier itself blocks texts to {contact.name}. Only a START from this number opens it again.")
        told = f"{HOWS[how].capitalize()}, {day}: {evidence}"
        changed = Consent.put(inbox.account_id, inbox.team_id, address, opted_out=opted_out, source="hand", evidence=told, inbox_id=inbox.id, by=by)
        if changed:
            _note_in_thread(inbox, address, opted_out, by)
        return changed

    @staticmethod
    def provider_blocks(inbox: Inbox, address: str) -> bool:
        """Whether the provider refused a text to the address since the customer's last START."""
        reach = _reach(Consent, inbox.account_id, inbox.team_id, inbox.id, address)
        said = sa.select(Consent.source).where(*reach, sa.or_(Consent.source == "provider", sa.and_(~Consent.opted_out, Consent.source.in_(("text", "double")))))
        return db.session.scalar(said.order_by(Consent.id.desc()).limit(1)) == "provider"

    @staticmethod
    def changes(account_id: int, address: str, limit: int = 100) -> list[Consent]:
        """The newest changes about an address in the account and about other numbers of that person, newest first, with who noted them and where."""
        from inbox.models.contact import numbers_with

        theirs = sa.union_all(sa.select(sa.literal(address)), *numbers_with())
        query = sa.select(Consent).options(shown(Consent.by), joinedload(Consent.inbox)).where(Consent.account_id == account_id, Consent.address.in_(theirs))
        return list(db.session.scalars(query.order_by(Consent.id.desc()).limit(limit), {"whose_account": account_id, "whose_phone": address}))

    @staticmethod
    def standing_of(account_id: int, addresses: Iterable[str]) -> dict[str, list[Consent]]:
        """The changes about many addresses that no later one of the same or a wider reach has overruled, oldest first."""
        query = sa.select(Consent).where(Consent.account_id == account_id, Consent.address.in_(list(addresses))).order_by(Consent.id)
        found: dict[str, list[Consent]] = {}
        for change in db.session.scalars(query):
            before = found.get(change.address, [])
            found[change.address] = [*(one for one in before if not change.overrules(one)), change]
        return found

    def overrules(self, earlier: Consent) -> bool:
        """Whether this later change decides wherever the earlier one did."""
        if self.scope == "account":
            return True
        if self.scope == "team":
            return earlier.scope != "account" and earlier.team_id == self.team_id
        return earlier.scope == "inbox" and earlier.inbox_id == self.inbox_id

    def reaches(self, inbox: Inbox) -> bool:
        """Whether the change counts for texts of that inbox of the account."""
        return self.scope == "account" or (self.scope == "team" and self.team_id == inbox.team_id) or (self.scope == "inbox" and self.inbox_id == inbox.id)


def decider(changes: list[Consent], inbox: Inbox, address: str) -> Consent | None:
    """Of the newest changes about a person, newest first, the one that decides for texts from that inbox to that number: as `Allowed` reads it."""
    newest: dict[str, Consent] = {}
    for change in changes:
        if change.reaches(inbox):
            newest.setdefault(change.address, change)
    own = newest.pop(address, None)
    said = own.id if own is not None and not own.opted_out and own.source in OWN else 0
    return next((change for change in newest.values() if change.opted_out and change.id > said), own)


def _note_in_thread(inbox: Inbox, address: str, opted_out: bool, by: Member) -> None:
    """A line in the open conversation, live for who reads it."""
    from inbox.models.conversation import Conversation

    conversation = Conversation.open_one(inbox.id, address)
    if conversation is not None:
        Event.record("contact.opted_out" if opted_out else "contact.opted_in", account=inbox.account_id, by=by, conversation=conversation, source="hand")
        conversation.changed()


def _day(text: str) -> str:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a calendar day
    except ValueError:
        raise Refused("Choose the day they told you.", field="on") from None
    if day.year < 2000 or day > (clock.now() + timedelta(days=1)).date():
        raise Refused("Choose a day that is not in the future.", field="on")
    return day.isoformat()


def _reach(row: Any, account_id: Any, team_id: int, inbox_id: int | None, address: str) -> tuple[Any, ...]:
    """The conditions of rows that reach an inbox."""
    near = [row.scope == "account", sa.and_(row.scope == "team", row.team_id == team_id)]
    if inbox_id is not None:
        near.append(sa.and_(row.scope == "inbox", row.inbox_id == inbox_id))
    return row.account_id == account_id, row.address == address, sa.or_(*near)


def _newest(account_id: Any, team_id: int, inbox_id: int | None, address: str) -> Any:
    return sa.select(Consent).where(*_reach(Consent, account_id, team_id, inbox_id, address)).order_by(Consent.id.desc()).limit(1)


def _merged(account_id: Any, address: Any) -> sa.ColumnElement[bool]:
    """Whether the number belongs to somebody with several, which hardly anybody has: then all of them are asked."""
    from inbox.models.contact import Contact

    one, other = aliased(Contact), aliased(Contact)
    more = sa.exists().where(other.merged_into_id == one.id).correlate(one)
    return sa.exists().where(one.account_id == account_id, one.phone == address, sa.or_(one.merged_into_id.is_not(None), more))


def _touching(scope: str, account_id: int, team_id: int, inbox_id: int | None, address: str) -> Any:
    """The newest change that reaches any inbox which a change of that scope reaches."""
    query = sa.select(Consent).where(Consent.account_id == account_id, Consent.address == address)
    if scope == "team":
        query = query.where(sa.or_(Consent.scope == "account", Consent.team_id == team_id))
    elif scope == "inbox":
        query = query.where(*_reach(Consent, account_id, team_id, inbox_id, address))
    return query.order_by(Consent.id.desc()).limit(1)


@cache
def _reading() -> sa.Select[Any]:
    """Whether a STOP is being applied, whether the number is one of several of a person, and the change that decides: put together once, for every text asks."""
    place: Any = (sa.bindparam("account"), sa.bindparam("team"), sa.bindparam("inbox"), sa.bindparam("number"))
    decides = aliased(Consent, _newest(*place).subquery())
    mark = sa.exists().where(*_reach(Stopping, *place), Stopping.at > sa.bindparam("since", type_=Moment))
    one = sa.select(mark.label("stopping")).subquery()
    merged = _merged(place[0], place[3]).label("merged")
    return sa.select(one.c.stopping, merged, decides).select_from(one).outerjoin(decides, sa.true())


@dataclass(frozen=True)
class Allowed:
    """What the gate reads: the change that decides, if any, and whether a STOP is just being applied."""

    consent: Consent | None
    stopping: bool

    @property
    def opted_out(self) -> bool:
        return self.stopping or (self.consent is not None and self.consent.opted_out)

    @property
    def opted_in(self) -> bool:
        return not self.stopping and self.consent is not None and not self.consent.opted_out and self.consent.source != "undone"

    @staticmethod
    def read(inbox: Inbox, address: str) -> Allowed:
        """One query: both tables by their indexes."""
        place = {"account": inbox.account_id, "team": inbox.team_id, "inbox": inbox.id, "number": address, "since": clock.now() - MARK_FOR}
        stopping, person, consent = db.session.execute(_reading(), place).one()
        if person:
            consent = Allowed.elsewhere(inbox.account_id, inbox.team_id, inbox.id, address, consent) or consent
        return Allowed(consent, bool(stopping))

    @staticmethod
    def elsewhere(account_id: int, team_id: int, inbox_id: int | None, address: str, own: Consent | None) -> Consent | None:
        """The opt-out of another number of the same person that counts here too: until this number itself says otherwise later (CONV-8)."""
        from inbox.models.contact import Contact

        for other in Contact.same_person(account_id, address):
            change = db.session.scalar(_newest(account_id, team_id, inbox_id, other))
            if change is not None and change.opted_out and not (own is not None and not own.opted_out and own.source in OWN and own.id > change.id):
                return change
        return None

    def why_not(self, name: str) -> str:
        """Why they get no texts and what opens them again; empty when they do."""
        if not self.opted_out:
            return ""
        source = self.consent.source if self.consent is not None and self.consent.opted_out else "text"
        if source == "provider":
            return f"The carrier blocks texts to {name}, who opted out there. Only a START from this number opens it again."
        if source in ("hand", "import"):
            return f"{name} wants no more texts. You can text this number again once it texts START, or once new consent is recorded with the contact."
        return f"{name} replied STOP. You can’t text this number until it texts START."


class Stopping(Model):
    """The mark of a STOP that is being applied: the gate reads it as opted out."""

    __tablename__ = "consent_stopping"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("team.id"))
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    address: Mapped[str] = mapped_column(sa.String(254))
    scope: Mapped[str] = mapped_column(sa.String(8))
    at: Mapped[datetime] = mapped_column(Moment)

    __table_args__ = (sa.UniqueConstraint("account_id", "address", "inbox_id"), sa.Index("ix_consent_stopping_at", "at"))

    @staticmethod
    def mark(inbox: Inbox, address: str) -> None:
        """Nobody may claim a text to the address from the commit of this on."""
        hold_still(inbox.account_id, address, alone=True)
        scope, now = inbox.team.consent_scope, clock.now()
        db.session.execute(
            insert_or_ignore()(Stopping)
            .values(account_id=inbox.account_id, team_id=inbox.team_id, inbox_id=inbox.id, address=address, scope=scope, at=now)
            .on_conflict_do_update(index_elements=["account_id", "address", "inbox_id"], set_={"scope": scope, "at": now})
        )

    @staticmethod
    def under_way(inbox: Inbox, address: str) -> bool:
        """Whether a text to the address is with the carrier, or about to be, in the reach of a STOP to that inbox."""
        from inbox.models.conversation import Conversation
        from inbox.models.inbox import Inbox
        from inbox.models.message import Dispatch

        scope = inbox.team.consent_scope
        near = {"inbox": Inbox.id == inbox.id, "team": Inbox.team_id == inbox.team_id, "account": Inbox.account_id == inbox.account_id}[scope]
        led = sa.func.coalesce(Conversation.merged_into_id, Conversation.id)
        talks = sa.select(led).where(Conversation.inbox_id.in_(sa.select(Inbox.id).where(near)), Conversation.address == address)
        sending = sa.select(Dispatch.id).where(Dispatch.conversation_id.in_(talks), Dispatch.state == "sending", Dispatch.lease_until > clock.now())
        return db.session.scalar(sending.limit(1)) is not None

    @staticmethod
    def done(inbox: Inbox, address: str) -> None:
        db.session.execute(sa.delete(Stopping).where(Stopping.account_id == inbox.account_id, Stopping.address == address, Stopping.inbox_id == inbox.id))

    @staticmethod
    def marked(account_id: int, addresses: Iterable[str]) -> set[str]:
        """Those of the addresses for which a STOP is just being applied."""
        query = sa.select(Stopping.address).where(Stopping.account_id == account_id, Stopping.address.in_(list(addresses)), Stopping.at > clock.now() - MARK_FOR)
        return set(db.session.scalars(query))

    @staticmethod
    def sweep() -> None:
        """Remove the marks nobody reads any more."""
        db.session.execute(sa.delete(Stopping).where(Stopping.at <= clock.now() - MARK_FOR))


def hold_still(account_id: int, address: str, *, alone: bool = False) -> None:
    """Until the transaction ends, keep consent about the address as it is: shared by senders, `alone` by who changes it. It comes before any row's lock.

    PostgreSQL's row locks would let a stream of senders starve a STOP; these locks wait in line. In SQLite a transaction that writes is alone anyway.
    """
    if db.session.get_bind().dialect.name == "sqlite":
        return
    lock = sa.func.pg_advisory_xact_lock if alone else sa.func.pg_advisory_xact_lock_shared
    db.session.execute(sa.select(lock(sa.func.hashtextextended(f"consent:{account_id}:{address}", 0))))


def hold_all_still(account_id: int, addresses: Iterable[str]) -> None:
    """`hold_still` alone on many addresses, in one order for everybody."""
    if db.session.get_bind().dialect.name == "sqlite":
        return
    name = sa.func.unnest(sa.cast([f"consent:{account_id}:{address}" for address in sorted(addresses)], sa.ARRAY(sa.Text))).column_valued("name")
    db.session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(name, 0))))


class OptInRequest(Model):
    """The question a new contact gets before our first text, when the inbox asks for a double opt-in."""

    __tablename__ = "opt_in_request"
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"))
    address: Mapped[str] = mapped_column(sa.String(254))
    message_id: Mapped[int] = mapped_column(sa.ForeignKey("message.id"))
    asked_at: Mapped[datetime] = now_column()
    answered_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (sa.UniqueConstraint("inbox_id", "address"),)

    @staticmethod
    def to(inbox_id: int, address: str) -> OptInRequest | None:
        return db.session.scalar(sa.select(OptInRequest).where(OptInRequest.inbox_id == inbox_id, OptInRequest.address == address))

    @property
    def lost(self) -> bool:
        """Whether the question did not arrive, so that it may be asked again."""
        from inbox.models.message import Message

        return db.session.get_one(Message, self.message_id).state in ("failed", "undelivered", "canceled")

    @staticmethod
    def missing(inbox: Inbox, address: str, allowed: Allowed) -> str:
        """What stands between us and the first text: "ask" for the question, "wait" for its answer, empty for nothing."""
        from inbox.models.conversation import Conversation

        if not inbox.double_opt_in or allowed.opted_in:
            return ""
        asked = OptInRequest.to(inbox.id, address)
        if asked is not None:
            return "" if asked.answered_at else "ask" if asked.lost else "wait"
        talked = sa.select(Conversation.id).where(Conversation.inbox_id == inbox.id, Conversation.address == address, Conversation.last_message_id > 0)
        return "" if db.session.scalar(talked.limit(1)) else "ask"

    @staticmethod
    def note(message: Message, inbox: Inbox, address: str) -> None:
        """The question went out as `message`."""
        values = {"message_id": message.id, "asked_at": clock.now(), "answered_at": None}
        db.session.execute(
            insert_or_ignore()(OptInRequest)
            .values(inbox_id=inbox.id, address=address, **values)
            .on_conflict_do_update(index_elements=["inbox_id", "address"], set_=values)
        )


def visible(changes: Iterable[Consent], inboxes: Iterable[Inbox]) -> list[tuple[Consent, bool]]:
    """The changes that count for one of these inboxes, and whether their evidence may be read there: that of another inbox may not."""
    inboxes = list(inboxes)
    ids = {inbox.id for inbox in inboxes}
    return [(c, c.inbox_id is None or c.inbox_id in ids) for c in changes if any(c.reaches(inbox) for inbox in inboxes)]


def _refuse(*_: Any) -> NoReturn:
    raise Final("Changes of consent are final: they can be neither changed nor deleted.")


sa.event.listen(Consent, "before_update", _refuse)
sa.event.listen(Consent, "before_delete", _refuse)

# The database itself refuses, whoever asks; the migrations hold the same statements.
SQLITE_GUARDS = tuple(
    f"CREATE TRIGGER consent_no_{what} BEFORE {what.upper()} ON consent_change BEGIN SELECT RAISE(ABORT, 'Changes of consent are final.'); END"
    for what in ("update", "delete")
)
POSTGRESQL_GUARDS = (
    "CREATE FUNCTION consent_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Changes of consent are final.'; END $$",
    "CREATE TRIGGER consent_no_change BEFORE UPDATE OR DELETE ON consent_change FOR EACH ROW EXECUTE FUNCTION consent_is_final()",
)
for _statement in SQLITE_GUARDS:
    sa.event.listen(Consent.__table__, "after_create", sa.DDL(_statement).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
for _statement in POSTGRESQL_GUARDS:
    sa.event.listen(Consent.__table__, "after_create", sa.DDL(_statement).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]
