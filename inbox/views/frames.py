"""What goes over a socket: a text as one frame of bytes, made once for all who get it."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

from inbox import sockets

TOKEN = "".join(secrets.choice(string.ascii_letters) for _ in range(64))  # stands where a form's token will stand, which differs from browser to browser


class Frame:
    """A text for open pages: the same bytes for everybody, but for the token of forms in it."""

    __slots__ = ("_bytes", "_text")

    def __init__(self, text: str) -> None:
        self._text = text if TOKEN in text else ""
        self._bytes = b"" if self._text else encoded(text)

    @property
    def own(self) -> bool:
        """Whether each browser gets bytes of its own."""
        return bool(self._text)

    def for_browser(self, token: str) -> bytes:
        """The bytes for a browser whose forms carry this token."""
        return self._bytes or encoded(self._text.replace(TOKEN, token))


def encoded(text: str) -> bytes:
    return sockets.frame(text.encode())


class Joined:
    """Frames for many: joined once, unless forms are in them."""

    __slots__ = ("_bytes", "_frames")

    def __init__(self, frames: list[Frame]) -> None:
        self._frames = frames
        self._bytes = b"" if any(frame.own for frame in frames) else b"".join(frame.for_browser("") for frame in frames)

    def for_browser(self, token: str) -> bytes:
        return self._bytes or b"".join(frame.for_browser(token) for frame in self._frames)


def told(**facts: Any) -> Frame:
    """A frame for the scripts."""
    return Frame(json.dumps(facts))


RESYNC = told(resync=True)
SHOWN = told(shown=True)
