"""What the model tests share: rows counted, rows read anew, and hostile texts."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from inbox.models import Conversation, Member, Model, db

_DATA = json.loads((Path(__file__).parent / "data" / "hostile_texts.json").read_text())
HOSTILE: list[str] = [*_DATA["naughty"], *_DATA["vectors"]]


def kept(text: str) -> str:
    """What must remain of a text: everything but control characters, lone surrogates and blanks at the end."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in ("Cc", "Cs")) or 0x80 <= ord(c) <= 0x9F).rstrip()


def rows(*skip: str) -> dict[str, int]:
    """How many rows every table has."""
    db.session.rollback()
    return {t.name: db.session.scalar(sa.select(sa.func.count()).select_from(t)) for t in Model.metadata.sorted_tables if t.name not in skip}


def anew() -> None:
    """Forget what was read: other threads have written."""
    db.session.rollback()
    db.session.expire_all()


def conversation(id: int) -> Conversation:
    return db.session.get_one(Conversation, id)


def person(id: int) -> Member:
    return db.session.get_one(Member, id)


def failures(results: list[Any]) -> list[Exception]:
    return [r for r in results if isinstance(r, Exception)]
