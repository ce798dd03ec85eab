"""The new-inbox wizard behind its pages: which step comes next, what numbers there are, and creating the inbox once."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from inbox import clock
from inbox import phone as phones
from inbox.channels.base import AvailableNumber, ChannelError, OwnedNumber, Uncertain
from inbox.models import Carrier, Inbox, InboxDraft, Member, Refused, Registration, Team, db, transaction
from inbox.models.inbox import check_details
from inbox.permissions import Permission

STEPS = ("details", "number", "people", "confirm")
TITLES = {"details": "Details", "number": "Phone number", "people": "People", "confirm": "Confirm"}
SHOWN = 5
STUCK = timedelta(seconds=60)


def first_open(data: dict[str, Any]) -> str:
    """The first step that is not complete."""
    done = {"details": data.get("details_done"), "number": data.get("number_done"), "people": data.get("people_done")}
    return next((step for step, complete in done.items() if not complete), "confirm")


def summary(step: str, data: dict[str, Any]) -> str:
    """What the stepper says under a step."""
    if step == "details":
        return str(data.get("name") or "Name, team and color")
    if step == "number":
        return phones.display(data["phone"]) if data.get("number_done") else "Number and call forwarding"
    return "Who can read and reply" if step == "people" else "Review, then create"


def teams(who: Member) -> list[Team]:
    """The teams for which they may make an inbox."""
    found = db.session.scalars(sa.select(Team).where(Team.account_id == who.account_id).order_by(Team.name))
    return [team for team in found if who.can(Permission.INBOXES_CREATE, on=team)]


def team_of(who: Member, data: dict[str, Any]) -> Team:
    """The team the draft names, or the account's first."""
    choices = teams(who)
    return next((team for team in choices if team.public_id == data.get("team")), choices[0])


def is_registered(team: Team) -> bool:
    registration = Registration.of_team(team.id)
    return registration is not None and registration.state == "approved"


# -- numbers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """What a search found, or why it found nothing."""

    area_code: str = ""
    prefix: str = ""
    page: int = 0
    numbers: tuple[AvailableNumber, ...] = ()
    problem: str = ""
    can_retry: bool = False

    @property
    def searched(self) -> bool:
        return bool(self.area_code)


def digits(text: str | None) -> str:
    return re.sub(r"[^0-9]", "", text or "")


def search(who: Member, area_code: str, prefix: str, page: int = 0) -> Offer:
    """Ask the carrier for numbers; nothing of the database is held meanwhile."""
    if not area_code and not prefix:
        return Offer()
    area_code, prefix = digits(area_code), digits(prefix)
    asked = Offer(area_code or "?", prefix, page)
    if not re.fullmatch(r"[2-9][0-9]{2}", area_code):
        return Offer(area_code or "?", prefix, problem="An area code has three digits and starts with 2 to 9, like 415.")
    if len(prefix) > 7:
        return Offer(area_code, prefix, problem="The digits after the area code are up to seven, like 555.")
    carrier = Carrier.of(who.account_id)
    adapter, credentials = carrier.adapter, carrier.credentials
    db.session.rollback()
    try:
        found = adapter.search_numbers(credentials, area_code, prefix, SHOWN, page)
    except ChannelError as error:
        return Offer(asked.area_code, prefix, page, problem=error.reason, can_retry=True)
    return Offer(area_code, prefix, page, tuple(found))


def look_up(who: Member, e164: str) -> AvailableNumber | None:
    """That very number with its price and place, if it can still be bought."""
    carrier = Carrier.of(who.account_id)
    adapter, credentials = carrier.adapter, carrier.credentials
    db.session.rollback()
    found = adapter.search_numbers(credentials, e164[2:5], e164[5:], SHOWN, 0)
    return next((number for number in found if number.e164 == e164), None)


# -- creating ----------------------------------------------------------------------------------------------------


class Busy(Exception):
    """The same draft is being created by another request."""


class Gone(Exception):
    """The draft was created, or put away."""


@dataclass(frozen=True)
class _Claim:
    data: dict[str, Any]
    team_id: int
    tried_before: bool


def create(who: Member, draft: InboxDraft) -> Inbox:
    """Buy the number, then make the inbox; whatever breaks in between is taken up again by the next try."""
    draft_id, member_id = draft.id, who.id
    claim = _claim(draft_id, who)
    try:
        owned = _bought(claim) or _buy(draft_id, claim, who)
        _attach(claim.team_id, owned)
        return _finish(draft_id, member_id, claim, owned)
    except Exception as error:
        _let_go(draft_id, forget_purchase=isinstance(error, ChannelError) and not isinstance(error, Uncertain))
        raise


def wait_for_other(draft_id: int, seconds: float = 15) -> None:
    """Wait until the request that is creating this draft has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        db.session.rollback()
        data = db.session.scalar(sa.select(InboxDraft.data).where(InboxDraft.id == draft_id))
        db.session.rollback()
        if data is None or not data.get("creating"):
            return
        time.sleep(0.1)


def created_before(who: Member, phone: str) -> Inbox | None:
    """The inbox that an earlier press of Create made."""
    return db.session.scalar(sa.select(Inbox).where(Inbox.account_id == who.account_id, Inbox.phone == phone)) if phone else None


def _locked(draft_id: int) -> InboxDraft:
    row = db.session.scalar(sa.select(InboxDraft).where(InboxDraft.id == draft_id).with_for_update())
    if row is None:
        raise Gone
    return row


def _claim(draft_id: int, who: Member) -> _Claim:
    """Mark the draft as being created, so that a double press buys one number."""
    with transaction():
        row = _locked(draft_id)
        data = dict(row.data)
        since = data.get("creating")
        if since and clock.now() - datetime.fromisoformat(since) < STUCK:
            raise Busy
        team = team_of(who, data)
        check_details(team, name=data["name"], api_code=data["api_code"], hue=data["hue"])
        row.put(creating=clock.now().isoformat(), buying=data["phone"])
        return _Claim(data, team.id, data.get("buying") == data["phone"])


def _bought(claim: _Claim) -> OwnedNumber | None:
    sid = claim.data.get("number_sid")
    return OwnedNumber(sid, claim.data["phone"]) if sid else None


def _buy(draft_id: int, claim: _Claim, who: Member) -> OwnedNumber:
    """Buy the number and note its id at once. A purchase of ours that was never noted is looked up, not repeated."""
    carrier = Carrier.of(who.account_id)
    adapter, credentials, phone = carrier.adapter, carrier.credentials, claim.data["phone"]
    hooks = carrier.hook("messages"), carrier.hook("voice"), carrier.hook("status")
    in_use = db.session.scalar(sa.select(Inbox.id).where(Inbox.phone == phone)) is not None
    db.session.rollback()
    owned: OwnedNumber | None = None
    if claim.tried_before and not in_use:
        owned = adapter.owned_number(credentials, phone)
        if owned:
            adapter.configure_number(credentials, owned.sid, *hooks)
    owned = owned or adapter.buy_number(credentials, phone, *hooks)
    with transaction():
        _locked(draft_id).put(number_sid=owned.sid, phone=owned.e164)
    return owned


def _attach(team_id: int, owned: OwnedNumber) -> None:
    """Add the number to the team's messaging service, once there is one."""
    registration = Registration.of_team(team_id)
    if registration is None or "service" not in registration.refs:
        return
    carrier, service = Carrier.of(registration.account_id), registration.refs["service"]
    adapter, credentials = carrier.adapter, carrier.credentials
    db.session.rollback()
    adapter.attach_number(credentials, service, owned.sid)


def _finish(draft_id: int, member_id: int, claim: _Claim, owned: OwnedNumber) -> Inbox:
    data = claim.data
    try:
        with transaction():
            draft, team, who = _locked(draft_id), db.session.get_one(Team, claim.team_id), db.session.get_one(Member, member_id)
            inbox = Inbox.create(
                team, name=data["name"], api_code=data["api_code"], hue=data["hue"], phone=owned.e164, number_sid=owned.sid,
                forward_to=data.get("forward_to") or None, description=data.get("description", ""), by=who,
            )
            Registration.start(team).join(inbox)
            db.session.flush()
            if inbox.registered:
                chosen = set(data.get("people", []))
                for person in Member.of(who.account_id):
                    if person.active and person.public_id in chosen:
                        inbox.add_member(person, by=who)
            draft.discard()
        return inbox
    except IntegrityError as error:
        raise Refused("Someone used this name or API code a moment ago. Choose another.", field="name") from error


def _let_go(draft_id: int, *, forget_purchase: bool) -> None:
    """After a failure: the next try may begin at once. A refused purchase is forgotten, an uncertain one is kept."""
    db.session.rollback()
    with transaction():
        row = db.session.get(InboxDraft, draft_id)
        if row is None:
            return
        row.put(creating=None)
        if forget_purchase and not row.data.get("number_sid"):
            row.put(buying=None)


def forget_number(who: Member, draft: InboxDraft) -> None:
    """The number is gone: back to step 2 with everything else kept."""
    with transaction():
        row = db.session.get_one(InboxDraft, draft.id)
        row.put(phone="", number_done=False, lost=draft.data.get("phone", ""))


def discard(who: Member, draft: InboxDraft) -> None:
    """Put the draft away; a number bought for it is given back first."""
    sid, draft_id = draft.data.get("number_sid"), draft.id
    if sid:
        carrier = Carrier.of(who.account_id)
        adapter, credentials = carrier.adapter, carrier.credentials
        db.session.rollback()
        adapter.release_number(credentials, sid)
    with transaction():
        row = db.session.get(InboxDraft, draft_id)
        if row is not None:
            row.discard()
