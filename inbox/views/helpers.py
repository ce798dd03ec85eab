"""What templates may call: times in the reader's zone, phone numbers, navigation. No queries except `navigation()`."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import Flask, current_app, g, has_request_context, request, url_for
from flask_login import current_user
from markupsafe import Markup

from inbox import clock, dates, signature
from inbox import phone as phones
from inbox.models import Conversation, Inbox, Member, SavedView, TrayItem
from inbox.permissions import Permission
from inbox.views.access import visible_inboxes


@lru_cache(maxsize=64)
def zone_named(name: str) -> ZoneInfo:
    """The time zone, or UTC when the name means nothing."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a name too long for a file, or of a folder
        return ZoneInfo("UTC")


def reader() -> Any:
    """The member who reads; None for visitors and in jobs."""
    found = g.get("_login_user")  # where Flask-Login keeps who it loaded: its proxy costs more than a whole row's words
    if found is None:
        found = current_user._get_current_object() if current_user else None
    return found if found is not None and found.is_authenticated else None


def zone() -> ZoneInfo:
    """The reader's time zone."""
    who = reader()
    return zone_named(who.time_zone) if who else zone_named("UTC")


def hand() -> dates.Written:
    """How the reader's language writes times and numbers; the words around them stay English."""
    who = reader()
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
    sprite = g.get("icons")
    if sprite is None:
        sprite = g.icons = current_app.jinja_env.globals["asset"]("icons.svg")  # type: ignore[operator]
    return _icon(sprite, name, size, label)


@lru_cache(maxsize=2048)
def _icon(sprite: str, name: str, size: str, label: str) -> Markup:
    role = Markup(' role="img" aria-label="{}"').format(label) if label else Markup(' aria-hidden="true"')
    return Markup('<svg class="i{}"{}><use href="{}#{}"/></svg>').format(f" {size}" if size else "", role, sprite, name)


def navigation() -> dict[str, Any]:
    """What the side navigation shows the reader: inboxes with counts, and which sections they may open."""
    if "navigation" not in g:
        who: Member = current_user._get_current_object()
        inboxes = visible_inboxes()
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
    remember_addresses(app)
    env = app.jinja_env
    env.trim_blocks = env.lstrip_blocks = True
    env.filters.update(
        clock_time=clock_time, short_time=short_time, day=day, long_time=long_time, epoch_ms=epoch_ms, phone=phones.display, number=number, email_signature=email_signature,
        waiting=waiting, iso=lambda at: local(at).isoformat(timespec="seconds"),
    )
    env.globals.update(icon=icon, navigation=navigation, Permission=Permission, cap=lambda n: "99+" if n > 99 else n)

    @app.context_processor
    def who() -> dict[str, Any]:
        me = reader()
        return {"me": me, "sandbox_url": current_app.config["SANDBOX_URL"], "demo": False if me else current_app.config["DEMO_FILE"].exists()}


def remember_addresses(app: Flask) -> None:
    """Work out the address of a page once: a list has a hundred, and they only depend on their words."""
    build = app.url_for

    @lru_cache(maxsize=8192)
    def known(endpoint: str, words: tuple[tuple[str, str], ...]) -> str:
        return build(endpoint, **dict(words))  # type: ignore[arg-type]

    def url_for(endpoint: str, **values: Any) -> str:
        plain = has_request_context() and not request.root_path and not endpoint.startswith(".") and all(type(v) is str and k[0] != "_" for k, v in values.items())
        return known(endpoint, tuple(values.items())) if plain else build(endpoint, **values)

    app.url_for = app.jinja_env.globals["url_for"] = url_for  # type: ignore[method-assign]
