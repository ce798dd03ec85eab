"""The numbers of the side navigation for many readers at once: what all see alike is counted once, what is each one's own in one question for all."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import sqlalchemy as sa
from flask import g, render_template, url_for
from sqlalchemy.orm import joinedload

from inbox.models import Conversation, Inbox, Member, SavedView, TrayItem, db
from inbox.models.conversation.filtering import UNREAD
from inbox.models.conversation.listing import CAP
from inbox.models.saved_view import SHOWN
from inbox.models.tray import open_to
from inbox.permissions import Permission
from inbox.views import lists
from inbox.views.picture import Shown

OWN = 200  # open conversations of one member that are counted for all at once; who has more is counted alone
Counts = tuple[tuple[int, int, int, int, int], ...]  # inbox, mine, unassigned, others, spam


class Numbers(NamedTuple):
    """All of one reader's navigation that facts can change; equal ones look the same."""

    inboxes: tuple[tuple[int, str, str, str, bool], ...]  # id, public id, name, hue, shared
    counts: Counts
    tray: int
    views: tuple[tuple[int, tuple[tuple[str, str], ...]], ...]  # inbox or 0, then names and addresses


class Tally:
    """The numbers of all members with one standpoint; `who` stands for them."""

    def __init__(self, who: Member, members: Collection[int]) -> None:
        self.who = who
        self.inboxes = Inbox.visible_to(who)
        self.boxes = tuple((i.id, i.public_id, i.name, i.hue, i.owner_id is None) for i in self.inboxes)
        self.common = Conversation.counts(who, self.inboxes)
        self.own, self.assigned = self._own(members), self._assigned()
        self.trays = self._trays(members)
        self.saved = self._saved(members)
        self._views: dict[tuple[int, ...], Any] = {}

    def of(self, member_id: int) -> Numbers:
        """The numbers of one of the members."""
        return Numbers(self.boxes, tuple(self._counts(i.id, member_id) for i in self.inboxes), self.trays.get(member_id, 0), self._views_of(member_id))

    def _counts(self, inbox_id: int, member_id: int) -> tuple[int, int, int, int, int]:
        mine, open_mine = self.own.get((member_id, inbox_id), (0, 0))
        if open_mine < OWN:
            others = min(CAP, self.assigned.get(inbox_id, 0) - open_mine)
        else:
            member = db.session.get_one(Member, member_id)
            others = Conversation.counts(member, [i for i in self.inboxes if i.id == inbox_id])[inbox_id].get("others", 0)
        common = self.common[inbox_id]
        return inbox_id, mine, common.get("unassigned", 0), others, common.get("spam", 0)

    def _own(self, members: Collection[int]) -> dict[tuple[int, int], tuple[int, int]]:
        """(member, inbox) -> unread and open conversations of theirs."""
        if not self.inboxes:
            return {}
        c = Conversation
        here = [c.inbox_id == Inbox.id, c.assignee_id == Member.id, c.archived_at.is_(None)]

        def count(cap: int, *more: Any) -> Any:
            some = sa.select(sa.literal(1).label("one")).select_from(c).where(*here, *more).limit(cap).correlate(Member, Inbox).subquery()
            return sa.select(sa.func.count()).select_from(some).scalar_subquery()

        pairs = sa.select(Member.id, Inbox.id, count(CAP, UNREAD), count(OWN)).select_from(Member).join(Inbox, sa.true())
        query = pairs.where(Member.id.in_(members), Inbox.id.in_([i.id for i in self.inboxes]), sa.exists().where(*here).correlate(Member, Inbox))
        return {(member, inbox): (mine, owned) for member, inbox, mine, owned in db.session.execute(query)}

    def _assigned(self) -> dict[int, int]:
        """Open conversations that somebody has, by inbox."""
        c, found = Conversation, {}
        for inbox in self.inboxes:
            some = sa.select(sa.literal(1).label("one")).select_from(c).where(c.inbox_id == inbox.id, c.assignee_id.is_not(None), c.archived_at.is_(None))
            found[inbox.id] = db.session.scalar(sa.select(sa.func.count()).select_from(some.limit(CAP + OWN).subquery())) or 0
        return found

    def _trays(self, members: Collection[int]) -> dict[int, int]:
        query = (
            sa.select(TrayItem.member_id, sa.func.count())
            .outerjoin(Conversation, Conversation.id == TrayItem.conversation_id)
            .where(TrayItem.member_id.in_(members), TrayItem.read_at.is_(None), open_to(self.who))
            .group_by(TrayItem.member_id)
        )
        return {member: min(CAP, count) for member, count in db.session.execute(query)}

    def _saved(self, members: Collection[int]) -> list[SavedView]:
        if not self.who.can(Permission.CONVERSATIONS_VIEW):
            return []
        shared = sa.and_(SavedView.account_id == self.who.account_id, sa.text("saved_view.shared"))
        query = sa.select(SavedView).options(joinedload(SavedView.member)).where(sa.or_(shared, SavedView.member_id.in_(members)))
        return [view for view in db.session.scalars(query.order_by(SavedView.position, SavedView.id)) if view.opens_for(self.who)]

    def _views_of(self, member_id: int) -> tuple[tuple[int, tuple[tuple[str, str], ...]], ...]:
        mine = [view for view in self.saved if view.shared or view.member_id == member_id][:SHOWN]
        key = tuple(view.id for view in mine)
        if key not in self._views:
            at = {inbox.id: inbox.public_id for inbox in self.inboxes}
            found: dict[int, list[tuple[str, str]]] = {}
            for view in mine:
                if view.inbox_id is None:
                    found.setdefault(0, []).append((view.name, url_for(f"work.{view.view}", **view.args)))
                elif view.inbox_id in at:
                    found.setdefault(view.inbox_id, []).append((view.name, url_for("conversations.index", inbox=at[view.inbox_id], view=view.view, **view.args)))
            self._views[key] = tuple((inbox, tuple(views)) for inbox, views in found.items())
        return self._views[key]

    def draw(self, who: Member, shown: Shown, numbers: Numbers, *, whole: bool) -> list[str]:
        """The navigation with these numbers as the page that shows this list has it: whole, or without what is the reader's alone."""
        counts = {inbox: {"mine": mine, "unassigned": unassigned, "others": others, **({"spam": spam} if spam else {})} for inbox, mine, unassigned, others, spam in numbers.counts}
        g.navigation = {
            "inboxes": self.inboxes, "tray": numbers.tray, "counts": counts, "views": {inbox: list(views) for inbox, views in numbers.views},
            "mine": sum(n["mine"] for n in counts.values()), "can": {p.name: bool(who.can(p)) for p in Permission}, "account": who.account,
        }
        where: dict[str, Any] = {}
        inbox = next((i for i in self.inboxes if i.id == shown.inbox), None)
        if inbox is not None:
            where = {"at_inbox": inbox}
        elif shown.work:
            where = {"at_work": True}
        if where:
            args: dict[str, Any] = {**shown.filter.args()}
            where |= {"at_view": shown.filter.view, "at_list": lists.list_url(inbox, shown.filter.view, **args)}
        return [render_template(f"navigation/{'navigation' if whole else 'lists'}.oob.html", **where)]
