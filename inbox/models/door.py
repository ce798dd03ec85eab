"""Where a carrier's requests come in: what verifying them needs, remembered by each process, and the one statement that stores them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from inbox import background, channels, clock
from inbox.channels.base import Credentials
from inbox.models.base import db
from inbox.models.carrier import Carrier, WebhookEvent

KEPT = 1000  # doors a process remembers
SETTINGS = ("hook_token", "kind", "public_url", "account_sid", "auth_token", "hook_key")  # what a request was verified by
_doors: dict[str, Door] = {}


@dataclass(frozen=True)
class Door:
    """A carrier as its hooks see it. `settings` are its columns as they were read: `store` stores nothing once they have changed."""

    id: int
    kind: str
    public_url: str
    credentials: Credentials
    settings: dict[str, str] = field(repr=False)

    @staticmethod
    def at(token: str, *, anew: bool = False) -> Door | None:
        """The door with that token, as this process remembers it; as the database says when it doesn't, or with `anew`."""
        door = None if anew else _doors.get(token)
        if door is None:
            carrier = db.session.scalar(sa.select(Carrier).where(Carrier.hook_token == token).execution_options(populate_existing=True))
            if carrier is None:
                _doors.pop(token, None)
                return None
            if len(_doors) >= KEPT:
                _doors.clear()
            door = _doors[token] = Door(carrier.id, carrier.kind, carrier.public_url, carrier.credentials, {name: getattr(carrier, name) for name in SETTINGS})
        return door

    @property
    def adapter(self) -> Any:
        return channels.of_kind(self.kind)

    def store(self, kind: str, dedupe: str, *, method: str, url: str, headers: dict[str, str], body: bytes, problem: str | None = None, unchanged: bool = True) -> int | None:
        """Keep a verified request; its row's id. None when it was stored before (a provider's retry) or, with `unchanged`, when the carrier's settings are no longer these."""
        values = {
            "carrier_id": self.id, "dedupe": dedupe[:200], "kind": kind, "method": method, "url": url[:2000], "headers": headers, "body": body, "received_at": clock.now(),
            "problem": problem,
        }
        known = {f"known_{name}": value for name, value in self.settings.items()} if unchanged else {}
        connection = db.session.connection()
        stored: int | None = connection.execute(_statement(connection.dialect.name, unchanged), values | known).scalar()
        if stored is not None:
            background.enqueue("apply_webhook", stored)
        return stored


@cache
def _statement(dialect: str, unchanged: bool) -> Any:
    """INSERT ... SELECT the values, where the carrier is there and still the same; nothing for a name that is known."""
    table: Any = WebhookEvent.__table__
    carrier: Any = Carrier.__table__
    names = ("dedupe", "kind", "method", "url", "headers", "body", "received_at", "problem")
    same = [carrier.c[name] == sa.bindparam(f"known_{name}", type_=carrier.c[name].type) for name in SETTINGS] if unchanged else []
    values = sa.select(carrier.c.id, *(sa.bindparam(name, type_=table.c[name].type) for name in names)).where(carrier.c.id == sa.bindparam("carrier_id"), *same)
    insert = (sqlite.insert if dialect == "sqlite" else postgresql.insert)(table).from_select(["carrier_id", *names], values)
    return insert.on_conflict_do_nothing(index_elements=["carrier_id", "dedupe"]).returning(table.c.id)
