"""Who wants to be told what, and how: the owner's permission and the member's own wishes (ACC-6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox.models.base import Base, Model, Refused, db
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.inbox import Inbox

# What one can be told of -> (title, when it happens).
EVENTS = {
    "mine": ("New text for me", "In a conversation assigned to me"),
    "unassigned": ("New text nobody has yet", "In a conversation without an assignee"),
    "others": ("New text for a teammate", "In a conversation assigned to someone else"),
    "assigned": ("Assigned to me", "Someone hands a conversation to me"),
    "taken_over": ("Taken over from me", "A teammate goes on with my reply"),
    "back": ("Back from a snooze", "A conversation I snoozed is open again"),
    "failed": ("My text did not arrive", "The carrier could not deliver it"),
    "scheduled": ("My scheduled text", "It was dropped, or could not leave"),
    "mentioned": ("Mentioned", "A teammate names me in a note, or asks me for help"),
    "followed": ("News where I follow", "A text or a note in a conversation I follow"),
    "free": ("Free to reply", "A conversation I asked to be told of when nobody replies there any more"),
    "registration": ("Carrier registration", "The carriers decide about a registration I may manage"),
    "import": ("Import finished", "A file of contacts I imported is through"),
}
WAYS = {"mail": "E-mail", "push": "Browser push"}  # what leaves, and what the owner can forbid
PLACES = {"app": "In the tray", **WAYS}
SOME = {  # texts stand in the lists themselves; a mail comes too late for what is free; a registration has its own mail
    "mine": ("mail", "push"), "unassigned": ("mail", "push"), "others": ("mail", "push"), "free": ("app", "push"), "registration": ("app",), "import": ("app",),
}
Cell = tuple[str, str]  # an event and a place
CELLS: tuple[Cell, ...] = tuple((event, place) for event in EVENTS for place in SOME.get(event, PLACES))
DEFAULT: frozenset[Cell] = frozenset(cell for cell in CELLS if cell[0] != "others")
SCOPES = {"off": "Never", "mine": "For new texts in conversations assigned to me", "inbox": "For every new text in my inboxes"}  # of the sound


class NotAllowed(Refused):
    """The owner does not allow notifications for this member."""

    status = 403


class NotificationSetting(Base):
    """One row for a member about whom something was decided; without a row the owner allows notifications and previews are off."""

    __tablename__ = "notification_setting"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), primary_key=True)
    allowed: Mapped[bool] = mapped_column(default=True)
    previews: Mapped[bool] = mapped_column(default=False)  # whether a push may hold words of the text
    sound: Mapped[str] = mapped_column(sa.String(5), default="off", server_default="off")  # which new texts are heard in an open page
    volume: Mapped[int] = mapped_column(sa.SmallInteger, default=60, server_default="60")  # per cent


class NotificationWish(Model):
    """One tick of the matrix: for one inbox, or for all inboxes when `inbox_id` is empty."""

    __tablename__ = "notification_wish"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    inbox_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbox.id"))
    event: Mapped[str] = mapped_column(sa.String(12))
    way: Mapped[str] = mapped_column(sa.String(4))
    wanted: Mapped[bool] = mapped_column()

    __table_args__ = (
        sa.Index(
            "uq_notification_wish_all", "member_id", "event", "way", unique=True,
            sqlite_where=sa.text("inbox_id IS NULL"), postgresql_where=sa.text("inbox_id IS NULL"),
        ),
        sa.Index(
            "uq_notification_wish_inbox", "member_id", "inbox_id", "event", "way", unique=True,
            sqlite_where=sa.text("inbox_id IS NOT NULL"), postgresql_where=sa.text("inbox_id IS NOT NULL"),
        ),
    )


@dataclass
class Wishes:
    """Everything one member decided, or had decided for them."""

    member_id: int
    allowed: bool = True
    previews: bool = False
    sound: str = "off"
    volume: int = 60
    general: frozenset[Cell] = DEFAULT
    own: dict[int, frozenset[Cell]] = field(default_factory=dict)  # inbox id -> its own ticks

    def wants(self, event: str, way: str, inbox_id: int | None) -> bool:
        """Effective: allowed by the owner AND wanted by the member; the tray is a page of the product, which the owner does not forbid."""
        cells = self.general if inbox_id is None else self.own.get(inbox_id, self.general)
        return (self.allowed or way == "app") and (event, way) in cells

    def anything(self, way: str) -> bool:
        """Whether this way is used for anything at all."""
        return any(way == cell[1] for cells in (self.general, *self.own.values()) for cell in cells)

    @staticmethod
    def of(member: Member) -> Wishes:
        return Wishes.of_all([member.id])[member.id]

    @staticmethod
    def of_all(member_ids: Collection[int]) -> dict[int, Wishes]:
        """The wishes of many, in two queries."""
        found = {id: Wishes(id) for id in member_ids}
        row = NotificationSetting
        settings = sa.select(row.member_id, row.allowed, row.previews, row.sound, row.volume)
        for id, allowed, previews, sound, volume in db.session.execute(settings.where(row.member_id.in_(found))):
            wishes = found[id]
            wishes.allowed, wishes.previews, wishes.sound, wishes.volume = allowed, previews, sound, volume
        ticks: dict[tuple[int, int | None], set[Cell]] = {}
        tick = NotificationWish
        chosen = sa.select(tick.member_id, tick.inbox_id, tick.event, tick.way, tick.wanted).where(tick.member_id.in_(found))
        for id, inbox_id, event, way, wanted in db.session.execute(chosen):
            cells = ticks.setdefault((id, inbox_id), set())
            if wanted:
                cells.add((event, way))
        for (id, inbox_id), cells in ticks.items():
            if inbox_id is None:
                found[id].general = frozenset(cells)
            else:
                found[id].own[inbox_id] = frozenset(cells)
        return found


def allow(member: Member, allowed: bool, *, by: Member) -> None:
    """The owner's switch for one collaborator (ACC-4): while it is off nothing is sent, and the member cannot turn it on."""
    by.require(Permission.COLLABORATORS_MANAGE)
    if member.account_id != by.account_id:
        raise Refused("Choose people from the list.")
    _setting(member)
    changed = db.session.execute(
        sa.update(NotificationSetting)
        .where(NotificationSetting.member_id == member.id, NotificationSetting.allowed.is_not(allowed))
        .values(allowed=allowed)
        .returning(NotificationSetting.member_id)
        .execution_options(synchronize_session=False)
    ).scalar()
    if changed is not None:
        kind = "collaborator.notifications_allowed" if allowed else "collaborator.notifications_forbidden"
        Event.record(kind, account=member.account_id, by=by, member=member.id, name=member.name)


def not_allowed(account_id: int) -> frozenset[int]:
    """The ids of the members the owner does not allow notifications for: one query for a whole list."""
    query = sa.select(NotificationSetting.member_id).join(Member, Member.id == NotificationSetting.member_id)
    return frozenset(db.session.scalars(query.where(Member.account_id == account_id, NotificationSetting.allowed.is_(False))))


def refusal(member: Member) -> str:
    """Why a member the owner does not allow notifications for gets none, and who can change it."""
    owners = [owner.name for owner in Member.holding(member.account_id, Permission.COLLABORATORS_MANAGE)]
    whom = " or ".join(owners) or "An owner"
    return f"E-mail and push notifications are switched off for you. {'You' if member.name in owners else whom} can allow them under Profile & collaborators."


def choose(member: Member, general: Iterable[Cell], own: dict[Inbox, frozenset[Cell]], *, previews: bool, by: Member) -> None:
    """Replace the member's wishes (W20); NotAllowed when something is wanted although the owner does not allow notifications."""
    general = frozenset(general) & frozenset(CELLS)
    setting = _setting(member)
    if not setting.allowed and any(way in WAYS for cells in (general, *own.values()) for _, way in cells):
        raise NotAllowed(refusal(member))
    if any(inbox.id not in member.inbox_ids for inbox in own):
        raise Refused("Choose inboxes from the list.")
    before = Wishes.of(member)
    after = {inbox.id: cells & frozenset(CELLS) for inbox, cells in own.items()}
    if (before.general, before.own, before.previews) == (general, after, previews):
        return
    setting.previews = previews
    db.session.execute(sa.delete(NotificationWish).where(NotificationWish.member_id == member.id))
    rows = [(None, cell, cell in general) for cell in CELLS] + [(id, cell, cell in cells) for id, cells in after.items() for cell in CELLS]
    db.session.execute(
        sa.insert(NotificationWish), [{"member_id": member.id, "inbox_id": id, "event": cell[0], "way": cell[1], "wanted": on} for id, cell, on in rows]
    )
    db.session.flush()
    Event.record(
        "notification.changed", account=member.account_id, by=by, member=member.id, name=member.name, before=_words(before.general), after=_words(general), inboxes=sorted(after)
    )


def choose_sound(member: Member, scope: str, volume: int) -> None:
    """Which new texts are heard in the member's open pages, and how loud, in per cent; Refused for what there is not."""
    if scope not in SCOPES:
        raise Refused("Choose when the sound is played.", field="sound")
    if not 0 <= volume <= 100:
        raise Refused("Choose a volume between 0 and 100.", field="volume")
    setting = _setting(member)
    setting.sound, setting.volume = scope, volume
    db.session.flush()


def turn_off(member: Member, way: str) -> bool:
    """One click in a mail: nothing comes this way any more; False when that was so already."""
    _setting(member)
    wishes = Wishes.of(member)
    if not wishes.anything(way):
        return False
    if wishes.general == DEFAULT:  # maybe never stored
        for cell in CELLS:
            db.session.execute(
                insert_or_ignore()(NotificationWish)
                .values(member_id=member.id, inbox_id=None, event=cell[0], way=cell[1], wanted=cell in DEFAULT)
                .on_conflict_do_nothing(index_elements=["member_id", "event", "way"], index_where=sa.text("inbox_id IS NULL"))
            )
    db.session.execute(sa.update(NotificationWish).where(NotificationWish.member_id == member.id, NotificationWish.way == way).values(wanted=False))
    Event.record("notification.turned_off", account=member.account_id, by=member, member=member.id, name=member.name, way=way, source="link")
    return True


def _setting(member: Member) -> NotificationSetting:
    """The member's row, made when there is none, and nobody else's to change until this transaction ends."""
    db.session.execute(
        insert_or_ignore()(NotificationSetting).values(member_id=member.id, allowed=True, previews=False).on_conflict_do_nothing(index_elements=["member_id"])
    )
    return db.session.get_one(NotificationSetting, member.id, populate_existing=True, with_for_update=True)


def _words(cells: Iterable[Cell]) -> list[str]:
    return sorted(f"{event}/{way}" for event, way in cells)
