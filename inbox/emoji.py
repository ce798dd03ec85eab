"""The emoji people use in texts, by their CLDR short names: one line each in data/emoji.txt, the most used first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).parent / "data" / "emoji.txt"
OFFERED, ALL = 8, 48


@dataclass(frozen=True)
class Emoji:
    """A character, its short name, and further words it is found by."""

    char: str
    name: str
    words: tuple[str, ...]


@cache
def every() -> tuple[Emoji, ...]:
    """All of them, in the order of the file."""
    rows = (line.split("\t") for line in _FILE.read_text(encoding="utf-8").splitlines() if line)
    return tuple(Emoji(char, name, tuple(f"{name} {more}".replace("-", " ").casefold().split())) for char, name, more in rows)


def find(words: str) -> list[Emoji]:
    """Those with a word that begins with each of these; names that begin so come first. Without words the first of the file."""
    asked = words.casefold().replace("_", " ").split()
    if not asked:
        return list(every()[:ALL])
    found = [one for one in every() if all(any(word.startswith(part) for word in one.words) for part in asked)]
    return sorted(found, key=lambda one: not one.name.casefold().startswith(asked[0]))[:OFFERED]
