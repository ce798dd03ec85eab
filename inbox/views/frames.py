"""What goes over a socket: a text as one frame of bytes, made once for all who get it."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterable
from typing import Any

from inbox import sockets

TOKEN = "".join(secrets.choice(string.ascii_letters) for _ in range(64))  # stands where a form's token will stand, which differs from browser to browser


class Frame:
    """Texts for open pages, encoded once: the same bytes for everybody, but for the token of forms in them."""

    __slots__ = ("_parts", "texts")

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self._parts: dict[int, list[bytes]] = {}  # by the length of tokens: what stands around them

    def for_browser(self, token: bytes) -> bytes:
        """The bytes for a browser whose forms carry this token."""
        parts = self._parts.get(len(token)) or self._split(len(token))
        return token.join(parts)

    def _split(self, length: int) -> list[bytes]:
        mark = (TOKEN * (length // len(TOKEN) + 1))[:length]
        parts = b"".join(sockets.frame(text.replace(TOKEN, mark).encode()) for text in self.texts).split(mark.encode()) if length else []
        self._parts[length] = parts
        return parts


def joined(frames: Iterable[Frame]) -> Frame:
    """All these in one."""
    return Frame(*(text for frame in frames for text in frame.texts))


def told(**facts: Any) -> Frame:
    """A frame for the scripts."""
    return Frame(json.dumps(facts))


RESYNC = told(resync=True)
SHOWN = told(shown=True)
