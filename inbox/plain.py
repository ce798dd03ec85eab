"""Typographic characters in plain ones, which GSM-7 has: the same text in fewer segments. Pure; composer.js holds the same table."""

from __future__ import annotations

import re
import unicodedata

from inbox.phone import segments

# What a character of GSM-7 stands in for, by what replaces it. Nothing here is in GSM-7 itself, nor an emoji, nor a mark that belongs to a letter.
_FOR: dict[str, str] = {
    "": "\u00ad\u200b\u200c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff",
    " ": "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
    "!": "ǃ︕﹗",
    "\"": "«»\u02ba\u02ee“”„‟″❝❞〝〞",
    "#": "﹟",
    "$": "﹩",
    "%": "﹪",
    "&": "﹠",
    "'": "`\uff40´\u02b9\u02bb\u02bc\u02bd\u02c8\u02ca\u02cb‘’‛′❛❜︐︑",
    "(": "❨❪⟮⦅﹙",
    ")": "❩❫⟯⦆﹚",
    "*": "⁎∗⊛✢✣✤✥✱✲✺✻✼✽❃❉❊❋⧆﹡",
    "+": "˖﹢",
    ",": "‚、﹐﹑\uff64",
    "-": "‐‑‒–—―•‣⁃−⎼⎽﹣",
    "->": "→",
    ".": "․。﹒\uff61",
    "..": "‥",
    "...": "…",
    "/": "÷⁄∕⧸",
    "1/2": "½",
    "1/4": "¼",
    "3/4": "¾",
    ":": "\u02d0˸⦂꞉︓",
    ";": "⁏︔﹔",
    "<": "‹﹤",
    "<-": "←",
    "<=": "≤",
    "=": "꞊﹦",
    ">": "›﹥",
    ">=": "≥",
    "?": "︖﹖",
    "@": "﹫",
    "A": "ᴀ",
    "B": "ʙ",
    "C": "ᴄ",
    "D": "ᴅ",
    "E": "ᴇ",
    "F": "ꜰ",
    "G": "ɢ",
    "H": "ʜ",
    "I": "ɪ",
    "IJ": "Ĳ",
    "J": "ᴊ",
    "K": "ᴋK",
    "L": "ʟ",
    "M": "ᴍ",
    "N": "ɴ",
    "No.": "№",
    "O": "ᴏ",
    "OE": "Œ",
    "P": "ᴘ",
    "R": "ʀ",
    "S": "ꜱ",
    "T": "ᴛ",
    "U": "ᴜ",
    "V": "ᴠ",
    "W": "ᴡ",
    "Y": "ʏ",
    "Z": "ᴢ",
    "\\": "⧵⧹﹨",
    "^": "\u02c6",
    "_": "‗",
    "ff": "ﬀ",
    "ffi": "ﬃ",
    "ffl": "ﬄ",
    "fi": "ﬁ",
    "fl": "ﬂ",
    "ij": "ĳ",
    "oe": "œ",
    "st": "ﬅﬆ",
    "x": "×",
    "{": "❴﹛",
    "|": "∣⎜⎟⎸⎹⏐",
    "}": "❵﹜",
    "~": "˜˷∼",
    "Å": "Å",
    "Ω": "Ω",
}
_PLAIN = {char: plain for plain, chars in _FOR.items() for char in chars} | {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F) if code != 0xFF40}
_MARKED = re.compile("[A-Za-z][\u0300-\u036f]")  # a letter and its accent as two characters, as some systems type them
_MIXED = re.compile("([0-9])([\u00bc\u00bd\u00be])")  # "1\u00bd" must not become "11/2"


def _composed(match: re.Match[str]) -> str:
    one = unicodedata.normalize("NFC", match[0])
    return one if segments(one).encoding == "GSM-7" else match[0]


def plain(text: str) -> str:
    """The text with typographic characters in the letters and signs of GSM-7; what has no plain form, like an emoji, stays."""
    text = _MIXED.sub(r"\1 \2", _MARKED.sub(_composed, text))
    return "".join(_PLAIN.get(char, char) for char in text)


def cheaper(text: str) -> str:
    """The plain text where that lets it travel as GSM-7, else the text as it is: a text that stays UCS-2 gains nothing by it."""
    made = plain(text)
    return made if segments(made).encoding == "GSM-7" else text
