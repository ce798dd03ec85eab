"""The moment of a scheduled text in words and in forms: by the reader's clock, the customer's, and their quiet hours (CONV-8)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, request

from inbox import clock, quiet
from inbox.models import Conversation
from inbox.models.conversation.snoozing import typed_moment
from inbox.models.gate import quiet_now
from inbox.models.scheduled_message import TITLES, choices
from inbox.views.helpers import hand, local, long_time, zone

bp = Blueprint("moments", __name__)


@bp.app_template_filter("soon")
def soon(at: datetime) -> str:
    """When something will be, in the reader's zone: today 5:00 PM, tomorrow 9:00 AM, Mon 9:00 AM, or the date."""
    then, today = local(at), local(clock.now()).date()
    days = (then.date() - today).days
    if not 0 <= days < 7:
        return long_time(at)
    return f"{('today', 'tomorrow')[days] if days < 2 else hand().weekday(then)} {hand().clock(then)}"


@bp.app_template_global("their_time")
def their_time(conversation: Conversation, at: datetime) -> str:
    """What the customer's clock shows then, where that is known and not what the reader's own shows; with the weekday when it is another day."""
    place = _place(conversation)
    walls = {at.astimezone(ZoneInfo(name)).replace(tzinfo=None) for name in place.zones}
    here = local(at).replace(tzinfo=None)
    if len(walls) != 1 or here in walls:
        return ""
    then = walls.pop()
    return hand().clock(then) if then.date() == here.date() else f"{hand().weekday(then)} {hand().clock(then)}"


def _place(conversation: Conversation) -> quiet.Place:
    named, postal = quiet.hints(conversation.contact.fields or {})
    return quiet.place(conversation.address, named, postal, conversation.inbox.account.time_zone)


@bp.app_template_global("quiet_then")
def quiet_then(conversation: Conversation, at: datetime) -> str:
    """What to know about a moment in the customer's quiet hours; else empty."""
    found = quiet_now(conversation, at)
    if found is None:
        return ""
    name = conversation.contact.first_name or conversation.contact.name
    return f"{found.sentence(name, hand().clock).replace('It is', 'It will be', 1)} It leaves {soon(found.until)}."


@bp.app_template_global("schedule_moments")
def offered() -> dict[str, Any]:
    """The moments by name, and the earliest that can be typed."""
    now = clock.now()
    return {"moments": [(key, TITLES[key], at) for key, at in choices(now, zone()).items()], "earliest": local(now).strftime("%Y-%m-%dT%H:%M")}


def wanted() -> datetime:
    """The moment of the form: one of those offered, or as typed, by the reader's clock."""
    found = choices(clock.now(), zone()).get(request.form.get("when", ""))
    return found or typed_moment(request.form.get("at", ""), zone())
