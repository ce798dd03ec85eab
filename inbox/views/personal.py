"""The one place where customers' numbers and addresses are hidden on their way out: pages, fragments, files and what the socket pushes (TOOL-6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response, g, request
from flask_login import current_user

from inbox.models import Member
from inbox.models.cover import Cover

PAGES = ("text/html",)
FILES = ("text/csv", "text/plain", "application/json")


def cover_of(who: Member) -> Cover | None:
    """The member's cover, worked out once in a request."""
    asked = (who.id, who.sees_personal)
    if g.get("cover", (None,))[0] != asked:
        g.cover = asked, Cover.over(who)
    found: Cover | None = g.cover[1]
    return found


def covered(response: Response) -> Response:
    """The answer as its reader may see it; untouched for those who may see everything."""
    if response.mimetype not in (*PAGES, *FILES) or response.direct_passthrough or request.endpoint == "static" or not current_user.is_authenticated:
        return response
    cover = cover_of(current_user._get_current_object())
    if cover is None:
        return response
    hide = cover.page if response.mimetype in PAGES else cover.text if response.mimetype == "text/csv" else cover.data
    if response.is_streamed:
        response.response = _piecewise(response.response, hide)
    else:
        response.set_data(hide(response.get_data(as_text=True)))
    return response


def _piecewise(parts: Any, hide: Any) -> Iterator[bytes]:
    """The same for a long file, whose pieces end with whole rows."""
    for part in parts:
        yield hide(part if isinstance(part, str) else part.decode()).encode()


def frames(who: Member, frames: list[str]) -> list[str]:
    """What the socket is about to send, as this member may see it; JSON goes out as it is, for it holds no words."""
    cover = cover_of(who)
    return frames if cover is None else [frame if frame.startswith("{") else cover.page(frame) for frame in frames]
