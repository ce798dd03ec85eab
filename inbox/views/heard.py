"""What an open page is told besides its fragments: the tray, the sound of a new text, and what is free again. Each names the script that shows it."""

from __future__ import annotations

import json
from typing import Any

from flask import current_app, render_template

from inbox.models import Conversation, Member, TrayItem, db
from inbox.models.wish import Wishes
from inbox.realtime import Fact
from inbox.views import personal
from inbox.views.tray import line


def frames(who: Member, facts: list[Fact], shown: Any) -> list[str]:
    """The bell and what is new in the tray, and the sound of new texts where the member wants it."""
    return [*_tray(who, facts), *sound(who, facts, shown.sound, shown.volume)]


def sound_of(who: Member) -> tuple[str, int]:
    """Which new texts the member wants to hear, and how loud."""
    wishes = Wishes.of(who)
    return wishes.sound, wishes.volume


def free(who: Member, conversation: Conversation) -> str:
    """For who asked to be told and may look elsewhere now."""
    return _with(who, "tray", free={"name": conversation.contact.name, "url": f"/c/{conversation.public_id}", "tag": conversation.public_id})


def _tray(who: Member, facts: list[Fact]) -> list[str]:
    mine = [fact for fact in facts if fact["what"] == "tray" and fact.get("only") == who.id]
    if not mine:
        return []
    told = [render_template("tray/bell.oob.html", tray_unread=TrayItem.unread(who)), json.dumps({"changed": "tray"})]
    new = max((fact["item"] for fact in mine if fact.get("item")), default=0)
    item = next((item for item in TrayItem.of(who, before=new + 1, limit=1) if item.id == new), None) if new else None
    if item is not None and item.read_at is None:
        told.append(_with(who, "tray", tray={"words": line(item).words, "conversation": item.conversation.public_id if item.conversation else ""}))
    return told


def sound(who: Member, facts: list[Fact], scope: str, volume: int) -> list[str]:
    """The sound of new texts in this scope."""
    new = {fact["conversation"] for fact in facts if fact.get("inbound") and fact.get("conversation")} if scope != "off" and volume else set()
    if not new:
        return []
    query = Conversation.scope(who).where(Conversation.id.in_(new))
    if scope == "mine":
        query = query.where(Conversation.assignee_id == who.id)
    found = db.session.scalars(query.order_by(Conversation.last_activity_at.desc()).limit(2)).all()
    asset = current_app.jinja_env.globals["asset"]
    return [_with(who, "sound", sound={"file": asset("chime.wav"), "volume": volume, "in": [c.public_id for c in found]})] if found else []  # type: ignore[operator]


def _with(who: Member, script: str, **told: Any) -> str:
    """A frame for a script that is fetched when it is first needed; names in it as the member may see them."""
    text, cover = json.dumps({"with": script, **told}), personal.cover_of(who)
    return text if cover is None else cover.data(text)


__all__ = ["frames", "free", "sound", "sound_of"]
