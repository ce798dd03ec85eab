"""The carrier account that an account's numbers and texts go through, and the raw events it sends us."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, channels, clock
from inbox.channels.base import Credentials
from inbox.models.account import Account
from inbox.models.base import Model, Moment, db, now_column
from inbox.models.secret import decrypt, encrypt


class Carrier(Model):
    """Credentials at a provider; `hook_token` is the unguessable part of its webhook addresses."""

    __tablename__ = "carrier"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    channel: Mapped[str] = mapped_column(sa.String(20), default="sms")
    account_sid: Mapped[str] = mapped_column(sa.String(64))
    auth_token: Mapped[str] = mapped_column(sa.String(500))  # encrypted
    api_base: Mapped[str] = mapped_column(sa.String(200))
    messaging_base: Mapped[str] = mapped_column(sa.String(200))
    trusthub_base: Mapped[str] = mapped_column(sa.String(200))
    trusted: Mapped[bool] = mapped_column(default=False)  # bases may be private addresses: the embedded sandbox
    public_url: Mapped[str] = mapped_column(sa.String(200))
    hook_token: Mapped[str] = mapped_column(sa.String(43), unique=True, default=lambda: secrets.token_urlsafe(24))
    created_at: Mapped[datetime] = now_column()
    account: Mapped[Account] = relationship()

    @staticmethod
    def open(account: Account, defaults: dict[str, Any]) -> Carrier:
        """Give an account the carrier credentials of the settings (`defaults`: see create_app)."""
        return Carrier(
            account_id=account.id,
            account_sid=defaults["account_sid"],
            auth_token=encrypt(defaults["auth_token"]),
            api_base=defaults["api_base"],
            messaging_base=defaults["messaging_base"],
            trusthub_base=defaults["trusthub_base"],
            trusted=defaults["trusted"],
            public_url=defaults["public_url"],
        ).save()

    @staticmethod
    def of(account_id: int) -> Carrier:
        return db.session.scalars(sa.select(Carrier).where(Carrier.account_id == account_id)).one()

    @staticmethod
    def by_token(token: str) -> Carrier | None:
        return db.session.scalar(sa.select(Carrier).where(Carrier.hook_token == token))

    @property
    def adapter(self) -> Any:
        return channels.get(self.channel)

    @property
    def credentials(self) -> Credentials:
        bases = (self.api_base, self.messaging_base, self.trusthub_base)
        return Credentials(
            account_sid=self.account_sid,
            auth_token=decrypt(self.auth_token),
            api_base=self.api_base,
            messaging_base=self.messaging_base,
            trusthub_base=self.trusthub_base,
            trusted_origins=tuple(dict.fromkeys(bases)) if self.trusted else (),
        )

    def hook(self, kind: str) -> str:
        """The public address the provider calls: kind is messages, status, voice, dial or events."""
        return f"{self.public_url.rstrip('/')}/hooks/{self.channel}/{self.hook_token}/{kind}"


class WebhookEvent(Model):
    """A provider's request as it came, once per provider id; applying it again changes nothing."""

    __tablename__ = "webhook_event"
    carrier_id: Mapped[int] = mapped_column(sa.ForeignKey("carrier.id"))
    dedupe: Mapped[str] = mapped_column(sa.String(200))
    kind: Mapped[str] = mapped_column(sa.String(20))  # messages, status, voice, dial, events
    method: Mapped[str] = mapped_column(sa.String(8))
    url: Mapped[str] = mapped_column(sa.String(2000))
    headers: Mapped[dict[str, str]] = mapped_column(sa.JSON)
    body: Mapped[bytes] = mapped_column(sa.LargeBinary)
    received_at: Mapped[datetime] = now_column()
    applied_at: Mapped[datetime | None] = mapped_column(Moment)
    problem: Mapped[str | None] = mapped_column(sa.String(500))
    carrier: Mapped[Carrier] = relationship()

    __table_args__ = (
        sa.UniqueConstraint("carrier_id", "dedupe"),
        sa.Index("ix_webhook_event_waiting", "received_at", sqlite_where=sa.text("applied_at IS NULL"), postgresql_where=sa.text("applied_at IS NULL")),
    )

    @staticmethod
    def store(carrier: Carrier, kind: str, dedupe: str, *, method: str, url: str, headers: dict[str, str], body: bytes) -> WebhookEvent | None:
        """Keep a verified request; None when this event was stored before (a provider's retry)."""
        insert = _insert()(WebhookEvent).values(
            carrier_id=carrier.id, dedupe=dedupe[:200], kind=kind, method=method, url=url[:2000], headers=headers, body=body, received_at=clock.now()
        )
        stored = db.session.execute(
            insert.on_conflict_do_nothing(index_elements=["carrier_id", "dedupe"]).returning(WebhookEvent.id)
        ).scalar()
        if stored is None:
            return None
        background.enqueue("apply_webhook", stored)
        return db.session.get(WebhookEvent, stored)


def _insert() -> Any:
    """The dialect's INSERT that knows ON CONFLICT."""
    from sqlalchemy.dialects import postgresql, sqlite

    return sqlite.insert if db.session.get_bind().dialect.name == "sqlite" else postgresql.insert


insert_or_ignore = _insert
