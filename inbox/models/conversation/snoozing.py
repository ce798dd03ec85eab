"""Away until a moment, then back (CONV-8).

A snoozed conversation is out of the open lists (`archived_at`) until `snoozed_until`. It comes back unread at that moment, or at once with the customer's
next text. A reply of ours leaves it where it is: who answers and still wants to be reminded has nothing to do, who is done archives it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from inbox import clock
from inbox.models.base import Refused, db
from inbox.models.contact import Contact
from inbox.models.conversation.row import ConversationRow
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.models.notification import Notice
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation

FARTHEST = timedelta(days=366)
MORNING, EVENING = time(8), time(18)
TITLES = {"hour": "In 1 hour", "today": "Later today", "tomorrow": "Tomorrow morning", "week": "Next week"}


def on_wall(day: date, hour: time, zone: ZoneInfo) -> datetime:
    """The moment when a clock of `zone` shows that."""
    return datetime.combine(day, hour, zone).astimezone(UTC)


def choices(now: datetime, zone: ZoneInfo) -> dict[str, datetime]:
    """The moments offered, by key, on the wall clock of `zone`; Later today only while there is a later today."""
    here = now.astimezone(zone)

    def at(days: int, hour: time) -> datetime:
        return on_wall(here.date() + timedelta(days=days), hour, zone)

    found = {"hour": now + timedelta(hours=1), "today": at(0, EVENING), "tomorrow": at(1, MORNING), "week": at(7 - here.weekday(), MORNING)}
    if found["today"] <= found["hour"]:
        del found["today"]
    return found


def moment(key: str, typed: str, zone: ZoneInfo) -> datetime:
    """The moment a form means: one of the choices, or a date and time as typed, on the wall clock of `zone`; an hour the clocks skip is the one after it."""
    now = clock.now()
    offered = choices(now, zone)
    if key in offered:
        return offered[key]
    if key == "today":
        return offered["hour"]
    return typed_moment(typed, zone)


def typed_moment(typed: str, zone: ZoneInfo) -> datetime:
    """A date and time as typed, on the wall clock of `zone`."""
    try:
        return datetime.fromisoformat(typed).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("Choose a date and a time.", field="at") from None


class Snoozing(ConversationRow):
    """Snoozed and back."""

    __abstract__ = True

    @property
    def snoozed(self) -> bool:
        return self.snoozed_until is not None

    def snooze(self: Conversation, until: datetime, *, by: Member) -> None:  # type: ignore[misc]
        """Away until then; a second time moves the moment."""
        by.require(Permission.CONVERSATIONS_ARCHIVE, on=self)
        now = clock.now()
        if self.spam:
            raise Refused("This is spam. Take it out of spam first.")
        if until <= now:
            raise Refused("That moment has passed. Choose a later one.", field="at")
        if until > now + FARTHEST:
            raise Refused("Choose a moment within a year.", field="at")
        if self.snoozed_until == until:
            return
        self.archived_at, self.snoozed_until, self.unread = self.archived_at or now, until, False
        Event.record("conversation.snoozed", account=self.account_id, by=by, conversation=self, until=until.isoformat())
        self.changed()

    def unsnooze(self: Conversation, *, by: Member) -> None:  # type: ignore[misc]
        """Back at once, by hand."""
        if self.snoozed:
            self.unarchive(by=by)

    @staticmethod
    def due_snoozes(limit: int = 100) -> list[int]:
        """Ids of conversations whose moment has come."""
        from inbox.models.conversation import Conversation

        due = sa.select(Conversation.id).where(sa.text("conversation.snoozed_until IS NOT NULL"), Conversation.snoozed_until <= clock.now())
        return list(db.session.scalars(due.order_by(Conversation.snoozed_until).limit(limit)))

    def wake(self: Conversation) -> bool:  # type: ignore[misc]
        """Back unread because its moment has come; False when somebody was faster.

        Where the contact has a newer open conversation meanwhile, this one stays archived and is no longer snoozed.
        """
        self._alone_with_contact()
        now, row = clock.now(), type(self)
        other = aliased(row)
        taken = sa.exists().where(other.inbox_id == row.inbox_id, other.address == row.address, other.archived_at.is_(None))
        due = (row.id == self.id, row.snoozed_until.is_not(None), row.snoozed_until <= now)
        values = {"snoozed_until": None, "version": row.version + 1}
        back = self._woken(sa.update(row).where(*due, ~taken).values(archived_at=None, unread=True, last_activity_at=now, **values))
        if not back and not self._woken(sa.update(row).where(*due).values(**values)):
            return False
        Event.record("conversation.woken" if back else "conversation.stayed", account=self.account_id, conversation=self)
        self.changed(inbound=back)
        if back:
            self._tell_who_snoozed()
        return True

    def _woken(self, statement: sa.Update) -> bool:
        done = db.session.execute(statement.returning(type(self).id).execution_options(synchronize_session=False)).scalar() is not None
        db.session.refresh(self)
        return done

    def _tell_who_snoozed(self: Conversation) -> None:  # type: ignore[misc]
        query = sa.select(Event.actor_id).where(Event.conversation_id == self.id, Event.kind == "conversation.snoozed").order_by(Event.id.desc()).limit(1)
        Notice.give("back", self, to=db.session.scalar(query))

    def _alone_with_contact(self) -> None:
        """One at a time opens a conversation with this contact: the check for an open one and the opening stay together."""
        db.session.execute(sa.select(Contact.id).where(Contact.id == self.contact_id).with_for_update(key_share=True))
