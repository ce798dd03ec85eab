"""What templates may call: times in the reader's zone, phone numbers, navigation. No queries except `navigation()`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, current_app, g, url_for
from flask_login import current_user
from markupsafe import Markup

from inbox import clock, dates, signature
from inbox import phone as phones
from inbox.models import Conversation, Inbox, Member, SavedView, TrayItem
from inbox.permissions import Permission


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """The time zone, or UTC when the name means nothing."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name too long for a file, or of a folder
        return ZoneInfo("UTC")


def _reader() -> Any:
    """The member who reads; None for visitors and in jobs."""
    return current_user._get_current_object() if current_user and current_user.is_authenticated else None


def zone() -> ZoneInfo:
    """The reader's time zone."""
    who = _reader()
    return zone_named(who.time_zone) if who else zone_named("UTC")


def hand() -> dates.Written:
    """How the reader's language writes times and numbers; the words around them stay English."""
    who = _reader()
    return dates.written(who.language if who else dates.USUAL)


def local(at: datetime) -> datetime:
    return at.astimezone(zone())


def clock_time(at: datetime) -> str:
    """9:42 AM in the reader's zone."""
    return hand().clock(local(at))


def short_time(at: datetime) -> str:
    """For lists: the time today, Yesterday, a weekday within six days, else the date."""
    place, write = zone(), hand()
    then, today = at.astimezone(place), clock.now().astimezone(place)
    days = (today.date() - then.date()).days
    if days <= 0:
        return write.clock(then)
    if days == 1:
        return "Yesterday"
    if days < 7:
        return write.weekday(then)
    return write.date(then) if then.year == today.year else write.dated(then)


def day(at: datetime) -> str:
    """For threads: Today, Yesterday, or the date."""
    then, today = local(at), local(clock.now()).date()
    if then.date() == today:
        return "Today"
    if then.date() == today - timedelta(days=1):
        return "Yesterday"
    return hand().day(then) if then.year == today.year else hand().dayed(then)


def waiting(since: datetime) -> str:
    """How long ago, in the largest unit that fits: 5 min, 3 h, 2 d."""
    minutes = max(1, int((clock.now() - since).total_seconds() // 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h" if minutes < 60 * 48 else f"{minutes // 1440} d"


def long_time(at: datetime) -> str:
    """Nov 18, 2:10 PM."""
    return hand().moment(local(at))


def number(value: int) -> str:
    """12,345 as the reader's language groups digits."""
    return hand().number(value)


def email_signature(source: str) -> Markup:
    """A signature as its e-mails show it: cleaned on the way out."""
    return Markup(signature.html(source))  # noqa: S704 - nh3 has let nothing through but six tags


def epoch_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def icon(name: str, size: str = "", label: str = "") -> Markup:
    """An icon of the sprite; decorative unless it has a label."""
    if "icons" not in g:
        g.icons = current_app.jinja_env.globals["asset"]("icons.svg")  # type: ignore[operator]
    href = g.icons
    role = Markup(' role="img" aria-label="{}"').format(label) if label else Markup(' aria-hidden="true"')
    return Markup('<svg class="i{}"{}><use href="{}#{}"/></svg>').format(f" {size}" if size else "", role, href, name)


def navigation() -> dict[str, Any]:
    """What the side navigation shows the reader: inboxes with counts, and which sections they may open."""
    if "navigation" not in g:
        who: Member = current_user._get_current_object()
        inboxes = Inbox.visible_to(who)
        counts = Conversation.counts(who, inboxes, TrayItem.counting(who))
        g.navigation = {
            "inboxes": inboxes,
            "tray": counts.pop(0)["tray"],
            "counts": counts,
            "views": _saved_views(who, inboxes),
            "mine": sum(n.get("mine", 0) for n in counts.values()),
            "can": {p.name: bool(who.can(p)) for p in Permission},
            "account": who.account,
        }
    return g.navigation


def _saved_views(who: Member, inboxes: list[Inbox]) -> dict[int, list[tuple[str, str]]]:
    """Names and addresses of the saved views, by inbox; those across inboxes under 0."""
    shown = {inbox.id: inbox.public_id for inbox in inboxes}
    found: dict[int, list[tuple[str, str]]] = {}
    for view in SavedView.visible_to(who):
        if view.inbox_id is None:
            found.setdefault(0, []).append((view.name, url_for(f"work.{view.view}", **view.args)))
        elif view.inbox_id in shown:
            found.setdefault(view.inbox_id, []).append((view.name, url_for("conversations.index", inbox=shown[view.inbox_id], view=view.view, **view.args)))
    return found


def register(app: Flask) -> None:
    env = app.jinja_env
    env.trim_blocks = env.lstrip_blocks = True
    env.filters.update(
        clock_time=clock_time, short_time=short_time, day=day, long_time=long_time, epoch_ms=epoch_ms, phone=phones.display, number=number, email_signature=email_signature,
        waiting=waiting, iso=lambda at: local(at).isoformat(timespec="seconds"),
    )
    env.globals.update(icon=icon, navigation=navigation, Permission=Permission, cap=lambda n: "99+" if n > 99 else n)

    @app.context_processor
    def who() -> dict[str, Any]:
        signed = bool(current_user) and current_user.is_authenticated  # there is nobody in a job
        return {"me": current_user if signed else None, "sandbox_url": current_app.config["SANDBOX_URL"], "demo": current_app.config["DEMO_FILE"].exists() if not signed else False}
