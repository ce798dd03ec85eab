"""What goes over a socket: a text as one frame of bytes, made once for all who get it."""

from __future__ import annotations

import json
import secrets
import string
from typing import Any

TOKEN = "".join(secrets.choice(string.ascii_letters) for _ in range(64))  # stands where a form's token will stand, which differs from browser to browser


class Frame:
    """A text for open pages: the same bytes for everybody, but for the token of forms in it."""

    __slots__ = ("_bytes", "_text")

    def __init__(self, text: str) -> None:
        self._text = text if TOKEN in text else ""
        self._bytes = b"" if self._text else encoded(text)

    def for_browser(self, token: str) -> bytes:
        """The bytes for a browser whose forms carry this token."""
        return self._bytes or encoded(self._text.replace(TOKEN, token))


def encoded(text: str, opcode: int = 1) -> bytes:
    """A whole websocket frame of a server (RFC 6455, section 5.2)."""
    return header(opcode, len(data := text.encode())) + data


def header(opcode: int, length: int) -> bytes:
    """The first bytes of an unmasked frame that is a message of its own."""
    first = 0x80 | opcode
    if length < 126:
        return bytes((first, length))
    if length < 1 << 16:
        return bytes((first, 126)) + length.to_bytes(2, "big")
    return bytes((first, 127)) + length.to_bytes(8, "big")


def told(**facts: Any) -> Frame:
    """A frame for the scripts."""
    return Frame(json.dumps(facts))


RESYNC = told(resync=True)
SHOWN = told(shown=True)
