"""What a page says over its socket: which list and which conversation it shows, taken in only as far as its reader may see them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from inbox.models import Conversation, Inbox, Member
from inbox.models.conversation import VIEWS
from inbox.views import heard, lists, picture
from inbox.views.frames import SHOWN, Frame
from inbox.views.picture import Shown

MARGIN = 10_000  # milliseconds between a text's stamp and its commit, at the worst


def answer(who: Member, text: Any) -> tuple[Shown, list[Frame]] | None:
    """Take in `{"show": {...}}`: what the page shows then, and what it has missed since it was drawn; None for nonsense."""
    try:
        wish = json.loads(text)["show"]
        asked = {name: str(wish.get(name) or "") for name in ("inbox", "view", "filter", "conversation", "heading", "state")}
        numbers = {name: int(wish.get(name) or 0) for name in ("fence", "message", "event", "now")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    sound, volume = heard.sound_of(who)
    shown = Shown(
        fence=numbers["fence"], last_message=numbers["message"], last_event=numbers["event"], heading="h1" if asked["heading"] == "h1" else "h2", sound=sound, volume=volume,
        **_place(who, asked),
    )
    texts: list[str] = []
    if asked["conversation"]:
        here = Conversation.public_id == asked["conversation"]
        found = picture.find(who, here)
        if found is None:
            texts.append(picture.gone(who, here))
        else:
            texts, shown = picture.missed(who, shown.but(conversation=found.id), asked["state"])
    if shown.listed:
        texts += picture.rows_since(who, shown, numbers["now"] - MARGIN)
    return shown, [*picture.made(who, texts), SHOWN]


def _place(who: Member, asked: dict[str, str]) -> dict[str, Any]:
    """The list that is asked for, if the reader has such a one."""
    place: dict[str, Any] = {}
    inbox = next((i for i in Inbox.visible_to(who) if i.public_id == asked["inbox"]), None) if asked["inbox"] else None
    if inbox is not None and asked["view"] in VIEWS:
        place = {"inbox": inbox.id}
    elif asked["inbox"] == lists.AT_WORK and lists.works(who, asked["view"]):
        place = {"work": True}
    if place:
        place["filter"], _ = lists.read_filter(asked["view"], dict(parse_qsl(asked["filter"])), who)
    return place
