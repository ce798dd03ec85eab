"""Saved views: a filtered list under a name, one's own or the team's (CONV-2)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox.models.base import Model, Refused, db, now_column, one_line, public_id
from inbox.models.conversation.filtering import Filter
from inbox.models.event import Event
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.permissions import Permission

MOST = 50  # that one member may keep
LONGEST = 40
SHOWN = 200  # of the team and one's own together


class SavedView(Model):
    """A list, of one inbox or of all one's own, with the filters in its address; what has gone since is told when it opens."""

    __tablename__ = "saved_view"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))  # who saved it
    inbox_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbox.id"))  # none: across inboxes
    view: Mapped[str] = mapped_column(sa.String(12))
    query: Mapped[str] = mapped_column(sa.String(1000))
    name: Mapped[str] = mapped_column(sa.String(LONGEST))
    shared: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = now_column()
    member: Mapped[Member] = relationship(lazy="raise")

    __table_args__ = (
        sa.Index("ix_saved_view_member_id", "member_id", "position"),
        sa.Index("ix_saved_view_shared", "account_id", "position", sqlite_where=sa.text("shared"), postgresql_where=sa.text("shared")),
    )

    @property
    def args(self) -> dict[str, Any]:
        """The filters, as arguments of the list's address."""
        return dict(parse_qsl(self.query))

    @staticmethod
    def visible_to(member: Member) -> list[SavedView]:
        """One's own and the team's, in order: only of lists the member may open."""
        shared = sa.and_(SavedView.account_id == member.account_id, sa.text("saved_view.shared"))
        query = sa.select(SavedView).options(joinedload(SavedView.member)).where(sa.or_(SavedView.member_id == member.id, shared))
        found = db.session.scalars(query.order_by(SavedView.position, SavedView.id).limit(SHOWN)) if member.can(Permission.CONVERSATIONS_VIEW) else ()
        return [view for view in found if view.opens_for(member)]

    def opens_for(self, member: Member) -> bool:
        """Whether the member may open the list it is a view of."""
        if self.inbox_id is not None:
            return self.inbox_id in member.readable_inbox_ids
        return self.view == "mine" or bool(member.can(Permission.CONVERSATIONS_ALL))

    def yields_to(self, member: Member) -> bool:
        """Whether the member may change it: its owner, and for the team's whoever may share."""
        return self.member_id == member.id or (self.shared and self.opens_for(member) and bool(member.can(Permission.VIEWS_SHARE)))

    @staticmethod
    def keep(inbox: Inbox | None, filter: Filter, name: str, *, shared: bool = False, by: Member) -> SavedView:
        """Save a filtered list at the end of one's own; raises Refused."""
        by.require(Permission.CONVERSATIONS_VIEW)
        query = urlencode(filter.args())
        if not query or len(query) > 1000:
            raise Refused("Choose at least one filter first." if not query else "Choose fewer filters.")
        if shared:
            by.require(Permission.VIEWS_SHARE)
        checked = _checked(name)
        db.session.execute(sa.select(Member.id).where(Member.id == by.id).with_for_update())  # one at a time for each member
        count, last = db.session.execute(sa.select(sa.func.count(), sa.func.max(SavedView.position)).where(SavedView.member_id == by.id)).one()
        if count >= MOST:
            raise Refused(f"You have {MOST} saved views, and more are not possible. Delete one first.")
        Event.record("view.saved", account=by.account_id, by=by, inbox=inbox.id if inbox else None, view=checked, shared=shared)
        return SavedView(
            account_id=by.account_id, member_id=by.id, inbox_id=inbox.id if inbox else None, view=filter.view, query=query, name=checked, shared=shared,
            position=(last or 0) + 1,
        ).save()

    def change(self, name: str, *, shared: bool, by: Member) -> None:
        """Rename it, give it to the team or take it back; raises Refused."""
        self._require(by)
        if shared != self.shared:
            by.require(Permission.VIEWS_SHARE)
        name = _checked(name)
        if (name, shared) != (self.name, self.shared):
            before, after = {"name": self.name, "shared": self.shared}, {"name": name, "shared": shared}
            changed = {key for key in after if before[key] != after[key]}
            was, now = {key: before[key] for key in changed}, {key: after[key] for key in changed}
            Event.record("view.changed", account=self.account_id, by=by, inbox=self.inbox_id, view=self.name, before=was, after=now)
        self.name, self.shared = name, shared
        db.session.flush()

    def destroy(self, *, by: Member) -> None:
        self._require(by)
        Event.record("view.deleted", account=self.account_id, by=by, inbox=self.inbox_id, view=self.name, shared=self.shared)
        db.session.delete(self)
        db.session.flush()

    def move(self, up: bool, *, by: Member) -> None:
        """One place up or down among those of its owner."""
        self._require(by)
        db.session.execute(sa.select(Member.id).where(Member.id == self.member_id).with_for_update())
        order = list(db.session.scalars(sa.select(SavedView).where(SavedView.member_id == self.member_id).order_by(SavedView.position, SavedView.id)))
        at = order.index(self)
        to = at - 1 if up else at + 1
        if 0 <= to < len(order):
            order[at], order[to] = order[to], order[at]
        for place, view in enumerate(order, 1):
            view.position = place
        db.session.flush()

    def _require(self, by: Member) -> None:
        if not self.yields_to(by):
            raise Refused("This view belongs to a teammate.")


def _checked(name: str) -> str:
    name = one_line(name)
    if not name:
        raise Refused("Give the view a name.", field="name")
    if len(name) > LONGEST:
        raise Refused(f"Use at most {LONGEST} characters.", field="name")
    return name
