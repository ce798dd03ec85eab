"""E-mail signatures: what a member typed, made safe to show and to send. Pure functions; a template is never run (SECURITY S16)."""

from __future__ import annotations

import re
from html import unescape

import nh3

LINK = "noopener noreferrer nofollow"
TAGS = {"a", "b", "br", "em", "i", "strong", "u"}
SCHEMES = {"http", "https", "mailto", "tel"}


def html(source: str) -> str:
    """The signature as HTML with nothing but bold, italic, underlined, links and line breaks in it."""
    plain = source.replace("\r\n", "\n").strip()
    cleaned = nh3.clean(plain, tags=TAGS, attributes={"a": {"href"}, "*": set()}, url_schemes=SCHEMES, url_relative="deny", link_rel=LINK)
    return "<br>".join(line.strip() for line in re.split(r"<br>\n?|\n", cleaned))


def text(source: str) -> str:
    """The signature for the plain part of an e-mail."""
    return unescape(nh3.clean(html(source).replace("<br>", "\n"), tags=set()))
