"""The carriers that an account's texts go through, and the raw events they send us."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import channels
from inbox.channels.base import Credentials
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.event import Event
from inbox.models.secret import decrypt, encrypt
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.member import Member

_private: list[str] = []


def allow_private(origins: list[str]) -> None:
    """Take the operator's list of addresses that a carrier may have although they are private."""
    _private[:] = origins


class Carrier(Model):
    """Credentials at a provider; `hook_token` is the unguessable part of its webhook addresses.

    `kind` names the adapter. An account's first carrier is its usual one: it registers teams and sells numbers. `sender` is the number that a gateway
    without numbers of its own sends from.
    """

    __tablename__ = "carrier"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    channel: Mapped[str] = mapped_column(sa.String(20), default="sms")
    kind: Mapped[str] = mapped_column(sa.String(20), default="twilio")
    name: Mapped[str] = mapped_column(sa.String(60), default="")
    sender: Mapped[str] = mapped_column(sa.String(20), default="")
    hook_key: Mapped[str] = mapped_column(sa.String(300), default="")  # encrypted; signs addresses where the provider signs nothing
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
    def add(account: Account, kind: str, *, name: str, api_base: str, user: str, password: str, sender: str, public_url: str, by: Member) -> Carrier:
        """Add a gateway of the account's own; the settings were tried before."""
        Carrier.require(by)
        carrier = Carrier(
            account_id=account.id, kind=kind, name=Carrier.free_name(account.id, name), api_base=api_base, account_sid=user, auth_token=encrypt(password), sender=sender,
            messaging_base="", trusthub_base="", public_url=public_url, hook_key=encrypt(secrets.token_urlsafe(32)),
        ).save()
        Event.record("carrier.added", account=account, by=by, carrier=carrier.id, name=carrier.name)
        return carrier

    @staticmethod
    def private_origins() -> tuple[str, ...]:
        """The operator's list of addresses that a carrier may have although they are private."""
        return tuple(_private)

    @staticmethod
    def require(by: Member) -> None:
        """Raise Denied unless they manage the inboxes of the whole account: a carrier belongs to no team."""
        by.require(Permission.INBOXES_MANAGE)
        if Permission.INBOXES_MANAGE not in by.permissions_everywhere:
            from inbox.models.rights import Denied

            raise Denied("Carriers belong to the whole account, and your role manages inboxes of some teams only. An owner can change that.")

    @staticmethod
    def free_name(account_id: int, name: str, but: int | None = None) -> str:
        """The name as it is kept; Refused when it is empty or another carrier of the account has it."""
        name = one_line(name)
        if not name:
            raise Refused("Give the carrier a name.", field="name")
        taken = sa.select(Carrier.id).where(Carrier.account_id == account_id, sa.func.lower(Carrier.name) == name.lower(), Carrier.id != (but or 0))
        if db.session.scalar(taken):
            raise Refused(f"Another carrier is called {name}.", field="name")
        return name

    def change(self, *, name: str, api_base: str, user: str, password: str, sender: str, by: Member) -> None:
        """Change a gateway's settings; an empty password keeps the one there is."""
        Carrier.require(by)
        wanted = {"name": Carrier.free_name(self.account_id, name, but=self.id), "api_base": api_base, "account_sid": user, "sender": sender}
        before = {field: getattr(self, field) for field, value in wanted.items() if getattr(self, field) != value}
        for field in before:
            setattr(self, field, wanted[field])
        if password:
            self.auth_token = encrypt(password)
        if before or password:
            Event.record(
                "carrier.changed", account=self.account_id, by=by, carrier=self.id, name=self.name, before=before, after={field: wanted[field] for field in before},
                new_password=bool(password),
            )

    def remove(self, *, by: Member) -> None:
        """Remove a gateway that no inbox uses, with the requests it sent."""
        from inbox.models.carrier_check import CarrierCheck
        from inbox.models.replay import Replay

        Carrier.require(by)
        if self.usual:
            raise Refused("This carrier belongs to the account and can’t be removed.")
        if db.session.scalar(sa.select(Carrier.id).where(Carrier.id == self.id).with_for_update()) is None:
            raise Refused("This carrier is gone already.")
        inboxes = self.inbox_names
        if inboxes:
            raise Refused(f"{', '.join(inboxes[:3])} still {'uses' if len(inboxes) == 1 else 'use'} {self.label}. Choose another carrier there first.")
        if db.session.scalar(sa.select(WebhookEvent.id).where(WebhookEvent.carrier_id == self.id, WebhookEvent.applied_at.is_(None)).limit(1)):
            raise Refused("Something this carrier sent is just being taken in. Try again in a moment.")
        Event.record("carrier.removed", account=self.account_id, by=by, name=self.label)
        for table in (Replay, CarrierCheck, WebhookEvent):
            db.session.execute(sa.delete(table).where(table.carrier_id == self.id))
        db.session.delete(self)
        db.session.flush()

    @staticmethod
    def of(account_id: int) -> Carrier:
        """The account's usual carrier, made with it."""
        return db.session.scalars(sa.select(Carrier).where(Carrier.account_id == account_id).order_by(Carrier.id).limit(1)).one()

    @staticmethod
    def all_of(account_id: int) -> list[Carrier]:
        """The account's carriers, the usual one first."""
        return list(db.session.scalars(sa.select(Carrier).where(Carrier.account_id == account_id).order_by(Carrier.id)))

    @property
    def usual(self) -> bool:
        return self.id == db.session.scalar(sa.select(sa.func.min(Carrier.id)).where(Carrier.account_id == self.account_id))

    @property
    def gateway(self) -> bool:
        """Whether the account brought it itself, with its numbers."""
        return not self.adapter.caps.numbers

    @property
    def inbound_url(self) -> str:
        """The address the gateway is told to bring customers' texts to; as secret as a password."""
        return str(self.adapter.inbound_url(self.credentials, self.hook("messages")))

    @property
    def example(self) -> str:
        """What the gateway's own settings need."""
        return str(self.adapter.example(self.credentials, self.hook("messages")))

    @property
    def label(self) -> str:
        """What people call it."""
        return self.name or str(self.adapter.label)

    @property
    def inbox_names(self) -> list[str]:
        from inbox.models.inbox import Inbox

        return list(db.session.scalars(sa.select(Inbox.name).where(Inbox.carrier_id == self.id).order_by(Inbox.name)))

    @staticmethod
    def by_token(token: str) -> Carrier | None:
        return db.session.scalar(sa.select(Carrier).where(Carrier.hook_token == token))

    @property
    def adapter(self) -> Any:
        return channels.of_kind(self.kind)

    @property
    def credentials(self) -> Credentials:
        bases = tuple(filter(None, (self.api_base, self.messaging_base, self.trusthub_base)))
        return Credentials(
            account_sid=self.account_sid,
            auth_token=decrypt(self.auth_token),
            api_base=self.api_base,
            messaging_base=self.messaging_base,
            trusthub_base=self.trusthub_base,
            trusted_origins=tuple(dict.fromkeys(bases)) if self.trusted else Carrier.private_origins(),
            hook_key=decrypt(self.hook_key) if self.hook_key else "",
        )

    def hook(self, kind: str) -> str:
        """The public address the provider calls: kind is messages, status, voice, dial, recording, call or events."""
        return f"{self.public_url.rstrip('/')}/hooks/{self.channel}/{self.hook_token}/{kind}"


class WebhookEvent(Model):
    """A provider's request as it came, once per provider id; applying it again changes nothing."""

    __tablename__ = "webhook_event"
    carrier_id: Mapped[int] = mapped_column(sa.ForeignKey("carrier.id"))
    dedupe: Mapped[str] = mapped_column(sa.String(200))
    kind: Mapped[str] = mapped_column(sa.String(20))  # messages, status, voice, dial, recording, call, events
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
        sa.Index("ix_webhook_event_range", "carrier_id", "kind", "received_at", "id"),
        sa.Index("ix_webhook_event_problem", "carrier_id", "received_at", sqlite_where=sa.text("problem IS NOT NULL"), postgresql_where=sa.text("problem IS NOT NULL")),
    )


def _insert() -> Any:
    """The dialect's INSERT that knows ON CONFLICT."""
    from sqlalchemy.dialects import postgresql, sqlite

    return sqlite.insert if db.session.get_bind().dialect.name == "sqlite" else postgresql.insert


insert_or_ignore = _insert
