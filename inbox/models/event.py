"""The append-only record of who did what: the timeline of a conversation and the audit log of the account."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import origin
from inbox.models.base import Model, now_column

if TYPE_CHECKING:
    from inbox.models.account import Account
    from inbox.models.conversation import Conversation
    from inbox.models.member import Member

# What an event is about (ACC-8). `activity` is the daily work on conversations; everything else is a change that the audit log shows.
TOPICS = ("access", "money", "settings", "deletion")
ACTIVITY = "activity"
DELETING = frozenset({"deleted", "erased", "discarded", "purged"})
NOUNS = {
    ACTIVITY: frozenset({"call", "consent", "contact", "conversation", "draft", "import", "lock", "message", "note"}),
    "access": frozenset(
        {
            "access", "collaborator", "factor", "grant", "invitation", "member", "ownership", "passkey", "recovery", "role", "seat", "second_factor", "security",
            "session", "sign_in", "single_sign_on", "sso", "team_member", "two_factor",
        }
    ),
    "money": frozenset(
        {
            "addon", "add_on", "balance", "billing", "budget", "card", "charge", "funds", "invoice", "money", "payment", "plan", "price", "seats", "subscription",
            "wallet",
        }
    ),
}
SPECIAL = {"inbox.member_added": "access", "inbox.member_removed": "access", "audit.exported": "access", "account.ownership_transferred": "access", **dict.fromkeys(
    ("contact.merged", "contact.unmerged", "conversation.merged", "conversation.unmerged"), "deletion"
)}
AUDITED = sa.text("topic <> 'activity'")


def topic_of(kind: str) -> str:
    """The topic of a kind of event; nouns nobody listed count as settings, so that nothing new stays hidden."""
    noun, _, verb = kind.partition(".")
    if kind in SPECIAL:
        return SPECIAL[kind]
    if verb in DELETING and noun != "draft":
        return "deletion"
    return next((topic for topic, nouns in NOUNS.items() if noun in nouns), "settings")


class Event(Model):
    """One thing that happened; never changed, never deleted. `kind` is noun.verb; `data` holds names and ids, never message text or secrets."""

    __tablename__ = "event"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    conversation_id: Mapped[int | None] = mapped_column(sa.ForeignKey("conversation.id"))
    inbox_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbox.id"))
    actor_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    about_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))  # whose access, seat or conversation it changed
    kind: Mapped[str] = mapped_column(sa.String(60))
    topic: Mapped[str] = mapped_column(sa.String(10), default=lambda context: topic_of(context.get_current_parameters()["kind"]))
    origin: Mapped[str] = mapped_column(sa.String(45), default=origin.current)  # from where: an IP address or a word of inbox/origin.py
    data: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    at: Mapped[datetime] = now_column()
    actor: Mapped[Member | None] = relationship(lazy="raise", foreign_keys=[actor_id])

    __table_args__ = (
        sa.Index("ix_event_conversation", "conversation_id", "id"),
        # each filter of the audit log reads one of these, newest first; the log itself leaves the daily work out
        sa.Index("ix_event_account", "account_id", "at", "id"),
        sa.Index("ix_event_kind", "account_id", "kind", "at", "id"),
        sa.Index("ix_event_actor", "account_id", "actor_id", "at", "id"),
        sa.Index("ix_event_about", "account_id", "about_id", "at", "id"),
        sa.Index("ix_event_origin", "account_id", "origin", "at", "id"),
        *(
            sa.Index(f"ix_event_audit{name}", "account_id", *columns, "at", "id", sqlite_where=AUDITED, postgresql_where=AUDITED)
            for name, columns in {"": (), "_topic": ("topic",), "_actor": ("actor_id",), "_about": ("about_id",), "_origin": ("origin",)}.items()
        ),
    )

    @staticmethod
    def record(
        kind: str,
        /,
        *,
        account: Account | int,
        by: Member | None = None,
        conversation: Conversation | None = None,
        inbox: int | None = None,
        **data: Any,
    ) -> Event:
        """Append an event in the current transaction (ACC-8); `member=<id>` in the data is whom it is about."""
        return Event(
            account_id=account if isinstance(account, int) else account.id,
            conversation_id=conversation.id if conversation else None,
            inbox_id=inbox if inbox is not None else (conversation.inbox_id if conversation else None),
            actor_id=by.id if by else None,
            about_id=_about(kind, data),
            kind=kind,
            data=data,
        ).save()


def _about(kind: str, data: dict[str, Any]) -> int | None:
    """The member an event is about: `member`, or whom a conversation went to."""
    found = data.get("member", data.get("to") if kind == "conversation.assigned" else None)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


class Final(Exception):
    """Somebody tried to change or delete an event."""


def _refuse(*_: Any) -> None:
    raise Final("Events are final: they can be neither changed nor deleted.")


sa.event.listen(Event, "before_update", _refuse)
sa.event.listen(Event, "before_delete", _refuse)

# The database itself refuses, whoever asks; the migrations hold the same statements.
SQLITE_GUARDS = tuple(
    f"CREATE TRIGGER event_no_{what} BEFORE {what.upper()} ON event BEGIN SELECT RAISE(ABORT, 'Events are final.'); END" for what in ("update", "delete")
)
POSTGRESQL_GUARDS = (
    "CREATE FUNCTION event_is_final() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'Events are final.'; END $$",
    "CREATE TRIGGER event_no_change BEFORE UPDATE OR DELETE ON event FOR EACH ROW EXECUTE FUNCTION event_is_final()",
)
for _statement in SQLITE_GUARDS:
    sa.event.listen(Event.__table__, "after_create", sa.DDL(_statement).execute_if(dialect="sqlite"))  # type: ignore[no-untyped-call]
for _statement in POSTGRESQL_GUARDS:
    sa.event.listen(Event.__table__, "after_create", sa.DDL(_statement).execute_if(dialect="postgresql"))  # type: ignore[no-untyped-call]
