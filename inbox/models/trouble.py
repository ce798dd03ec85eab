"""What goes wrong with an account's carriers, grouped and bounded: failed texts, requests with a problem, registrations, and what waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from inbox import background, channels, clock
from inbox.models.base import db
from inbox.models.carrier import Carrier, WebhookEvent
from inbox.models.conversation import Conversation
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.message import WAITING, Dispatch, Message
from inbox.models.registration import Registration

DAYS = 7
NEWEST = 2_000  # of each sort are looked at; more are said to be more
GROUPS = 20
FAILED = sa.text("message.state IN ('failed','undelivered')")
LOST = ("rejected", "suspended", "expired")


@dataclass(frozen=True)
class Failed:
    """Texts that failed for one reason: how many, in which inbox when it is one, and the newest conversation when the member may open it."""

    code: str
    words: str
    count: int
    last: datetime
    inbox: str | None
    conversation: str | None


@dataclass(frozen=True)
class Refused:
    """Requests of a carrier that could not be used for one reason."""

    carrier: Carrier
    kind: str
    problem: str
    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Waiting:
    """How many wait (at most 1,000 are counted), and since when the first one does."""

    count: int
    since: datetime | None

    @property
    def seconds(self) -> float:
        return max(0.0, (clock.now() - self.since).total_seconds()) if self.since else 0.0


def failed(by: Member) -> list[Failed]:
    """Failed texts of the account's shared inboxes in the last seven days, by error code, most first."""
    newest = (
        sa.select(Message.id, Message.inbox_id, Message.error_code, Message.created_at)
        .where(Message.account_id == by.account_id, FAILED, Message.created_at > clock.now() - timedelta(days=DAYS))
        .order_by(Message.created_at.desc())
        .limit(NEWEST)
        .subquery()
    )
    rows = db.session.execute(
        sa.select(
            newest.c.error_code, Inbox.channel, sa.func.count().label("many"), sa.func.max(newest.c.id).label("newest"), sa.func.max(newest.c.created_at).label("last"),
            sa.func.min(Inbox.name).label("inbox"), sa.func.count(sa.distinct(Inbox.id)).label("inboxes"),
        )
        .join(Inbox, Inbox.id == newest.c.inbox_id)
        .where(Inbox.owner_id.is_(None))
        .group_by(newest.c.error_code, Inbox.channel)
        .order_by(sa.desc("many"))
        .limit(GROUPS)
    ).all()
    scope = Conversation.scope(by).with_only_columns(Conversation.public_id, Message.id.label("message")).join(Message, Message.conversation_id == Conversation.id)
    may_open = {row.message: row.public_id for row in db.session.execute(scope.where(Message.id.in_([row.newest for row in rows])))}
    return [
        Failed(
            row.error_code or "", channels.explain(row.channel, row.error_code or ""), row.many, row.last, row.inbox if row.inboxes == 1 else None,
            may_open.get(row.newest),
        )
        for row in rows
    ]


def refused(account_id: int) -> list[Refused]:
    """Requests of the last seven days that could not be read or used, by carrier and reason, most first."""
    carriers = {carrier.id: carrier for carrier in Carrier.all_of(account_id)}
    newest = (
        sa.select(WebhookEvent.carrier_id, WebhookEvent.kind, WebhookEvent.problem, WebhookEvent.received_at)
        .where(WebhookEvent.carrier_id.in_(carriers), WebhookEvent.problem.is_not(None), WebhookEvent.received_at > clock.now() - timedelta(days=DAYS))
        .order_by(WebhookEvent.received_at.desc())
        .limit(NEWEST)
        .subquery()
    )
    came = newest.c.received_at
    query = sa.select(newest.c.carrier_id, newest.c.kind, newest.c.problem, sa.func.count().label("many"), sa.func.min(came).label("first"), sa.func.max(came).label("last"))
    rows = db.session.execute(query.group_by(newest.c.carrier_id, newest.c.kind, newest.c.problem).order_by(sa.desc("many")).limit(GROUPS)).all()
    return [Refused(carriers[row.carrier_id], row.kind, row.problem, row.many, row.first, row.last) for row in rows]


def registrations(account_id: int) -> list[Registration]:
    """Registrations that the carriers turned down or ended, or that could not be asked about."""
    stuck = sa.or_(Registration.problem != "", Registration.state.in_(LOST))
    query = sa.select(Registration).options(sa.orm.joinedload(Registration.team)).where(Registration.account_id == account_id, stuck)
    return list(db.session.scalars(query.order_by(Registration.id).limit(GROUPS)))


def texts_waiting(account_id: int) -> Waiting:
    """Outgoing texts that could leave; those the rules make wait until later are not late."""
    since = sa.func.coalesce(Dispatch.held_until, Message.created_at).label("since")
    due = (
        sa.select(since).join(Message, Message.id == Dispatch.message_id)
        .where(WAITING, Dispatch.lane.in_(background.LANES), Message.account_id == account_id, sa.or_(Dispatch.held_until.is_(None), Dispatch.held_until <= clock.now()))
        .order_by(Dispatch.sweep_at).limit(1000).subquery()
    )
    return _waiting(due.c.since)


def requests_waiting(account_id: int) -> Waiting:
    """Carriers' requests that are stored and not applied."""
    due = (
        sa.select(WebhookEvent.received_at.label("since")).join(Carrier, Carrier.id == WebhookEvent.carrier_id)
        .where(Carrier.account_id == account_id, WebhookEvent.applied_at.is_(None)).order_by(WebhookEvent.received_at).limit(1000).subquery()
    )
    return _waiting(due.c.since)


def _waiting(since: sa.ColumnElement[datetime]) -> Waiting:
    count, first = db.session.execute(sa.select(sa.func.count(), sa.func.min(since))).one()
    return Waiting(count, first)
