"""Changing many conversations at once, all matches of a list if one likes, and taking it back (CONV-8).

What is to be changed is frozen when it starts: one `BulkItem` for each conversation. Batches of a hundred go through the model's own methods, each
batch one transaction that also moves `reached_id`, so that whoever is killed loses a batch at most and nobody does one twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox import background, clock, realtime
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.bulk_change import Order, Unlike, affected, change, look, outcome, permitted, restore, sentences
from inbox.models.contact import Contact
from inbox.models.conversation import Conversation, Filter
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.notification import Notice
from inbox.models.rights import attend

MOST = 100_000
INLINE = 50  # up to so many are done while the page waits
BATCH = 100
UNDO = timedelta(minutes=15)
KEPT = timedelta(days=1)
MOVING = ("running", "undoing")
_MOVING = sa.text("state IN ('running','undoing')")


class Bulk(Model):
    """One change of many. States: running, done, undoing, undone."""

    __tablename__ = "bulk"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    inbox_id: Mapped[int | None] = mapped_column(sa.ForeignKey("inbox.id"))  # of the list; empty for a list over several
    action: Mapped[str] = mapped_column(sa.String(10))
    value: Mapped[str] = mapped_column(sa.String(40), default="")  # the row id of a member or tag, or a moment
    label: Mapped[str] = mapped_column(sa.String(120), default="")  # the same in words
    filter: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)  # of the list whose matches these are; empty for chosen ones
    state: Mapped[str] = mapped_column(sa.String(8), default="running")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    reached_id: Mapped[int] = mapped_column(default=0)
    changed: Mapped[int] = mapped_column(default=0)
    missed: Mapped[dict[str, int]] = mapped_column(sa.JSON, default=dict)  # why -> how many were left as they are
    created_at: Mapped[datetime] = now_column()
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    member: Mapped[Member] = relationship()

    __table_args__ = (
        sa.Index("ix_bulk_member_id", "member_id", "id"),
        sa.Index("ix_bulk_moving", "id", sqlite_where=_MOVING, postgresql_where=_MOVING),
        sa.Index("ix_bulk_created_at", "created_at"),
    )

    # -- by a person ----------------------------------------------------------------------------------------------

    @staticmethod
    def start(order: Order, *, by: Member, chosen: Sequence[str] = (), inbox: Inbox | None = None, filter: Filter | None = None) -> Bulk:
        """Freeze what is to be changed, the `chosen` ones (public ids) or every match of `filter`, and begin: at once when it is little, else as a job."""
        attend(by, order.member)
        permitted(order, by)
        found = Conversation.scope(by).with_only_columns(Conversation.id)
        found = found.where(Conversation.public_id.in_(chosen)) if filter is None else found.where(Conversation.id.in_(Conversation.matching(by, inbox, filter)))
        made = Bulk(
            account_id=by.account_id, member_id=by.id, inbox_id=inbox.id if inbox else None, action=order.action, value=order.value, label=order.label,
            filter=asdict(filter) if filter else {},
        ).save()
        some = found.order_by(Conversation.id).limit(MOST + 1).subquery()
        frozen = sa.select(sa.literal(made.id), some.c.id, sa.literal("waiting"))
        db.session.execute(sa.insert(BulkItem).from_select(["bulk_id", "conversation_id", "state"], frozen))
        made.total = db.session.scalar(sa.select(sa.func.count()).select_from(BulkItem).where(BulkItem.bulk_id == made.id)) or 0
        if not made.total:
            raise Refused("Nothing is selected any more. Choose conversations first." if filter is None else "Nothing matches any more.")
        if made.total > MOST:
            raise Refused(f"More than {MOST:,} conversations match. Filter the list first.")
        made._go_on()
        return made

    def undo(self, *, by: Member) -> None:
        """Put back what still is as this left it; the one who did it may, for a quarter of an hour, once."""
        db.session.refresh(self, with_for_update=True)
        if by.id != self.member_id:
            raise Refused("Only who made this change can take it back.")
        if self.state != "done" or not self.changed:
            raise Refused("This change is still going on." if self.moving else "There is nothing to take back.")
        if not self.undoable:
            raise Refused("A change can be taken back for 15 minutes. That time is over.")
        self.state, self.reached_id, self.done, self.total, self.changed, self.missed, self.finished_at = "undoing", 0, 0, self.changed, 0, {}, None
        self._go_on()

    @property
    def moving(self) -> bool:
        return self.state in MOVING

    @property
    def undoable(self) -> bool:
        return self.state == "done" and self.changed > 0 and self.finished_at is not None and self.finished_at > clock.now() - UNDO

    @property
    def percent(self) -> int:
        return min(100, self.done * 100 // self.total) if self.total else 0

    @property
    def order(self) -> Order:
        return Order.stored(self.action, self.value, self.label)

    @property
    def summary(self) -> list[str]:
        """What it did, and what it left as it is and why, each in a few words."""
        back = self.state in ("undoing", "undone")
        did = f"{self.changed:,} put back as they were" if back else outcome(self.action, self.label, self.changed)
        return [did, *sentences(self.action, self.missed, back)]

    def _go_on(self) -> None:
        db.session.flush()
        if self.total > INLINE:
            background.enqueue("run_bulk", self.id, on="bulk")
            return
        while self.step():
            pass

    # -- by a worker, or at once ----------------------------------------------------------------------------------

    def step(self) -> bool:
        """Do the next batch in the caller's transaction; False when nothing is left."""
        db.session.refresh(self, with_for_update=True)
        if not self.moving:
            return False
        undoing = self.state == "undoing"
        query = sa.select(BulkItem).where(BulkItem.bulk_id == self.id, BulkItem.id > self.reached_id)
        if undoing:
            query = query.where(BulkItem.state == "changed")
        items = list(db.session.scalars(query.order_by(BulkItem.id).limit(BATCH).execution_options(populate_existing=True)))
        if items:
            self._batch(items, undoing)
        if len(items) < BATCH:
            self.state, self.finished_at = "undone" if undoing else "done", clock.now()
            if not undoing and self.action == "assign":
                self._tell()
        db.session.flush()
        realtime.publish("bulk", account=self.account_id, bulk=self.id)
        return self.moving

    def _tell(self) -> None:
        """One notice for the new assignee, however many there are."""
        db.session.flush()
        newest = sa.select(BulkItem.conversation_id).where(BulkItem.bulk_id == self.id, BulkItem.state == "changed").order_by(BulkItem.id.desc()).limit(1)
        conversation, to = db.session.get(Conversation, db.session.scalar(newest) or 0), self.order.member
        if conversation is not None and to is not None:
            Notice.give("assigned", conversation, to=to, by=self.member, count=self.changed if self.changed > 1 else None)

    def _batch(self, items: list[BulkItem], undoing: bool) -> None:
        by, order = self.member, self.order
        attend(by, order.member)
        by.forget_rights()
        found, missed, changed = _locked([item.conversation_id for item in items], order), dict(self.missed), 0
        for item in items:
            conversation = found[item.conversation_id]
            try:
                if conversation.merged_into_id is not None:
                    raise Refused("It was merged into another conversation.")
                if undoing:
                    item.give_back(conversation, order, by)
                    changed += 1
                else:
                    changed += item.make(conversation, order, by)
            except Refused as refused:
                item.state = "kept" if undoing else "missed"
                reason = refused.reason if isinstance(refused, Unlike) else f"refused:{refused.sentence}"
                reason = f"rights:{order.action}" if refused.status == 403 else reason
                missed[reason] = missed.get(reason, 0) + 1
        self.missed, self.changed, self.done, self.reached_id = missed, self.changed + changed, self.done + len(items), items[-1].id

    @staticmethod
    def going_on() -> list[int]:
        """Those that a worker must go on with."""
        return list(db.session.scalars(sa.select(Bulk.id).where(sa.text("bulk.state IN ('running','undoing')")).order_by(Bulk.id).limit(50)))

    @staticmethod
    def forget_old() -> None:
        """What can't be taken back any more needs no rows; the events of the conversations stay."""
        old = list(db.session.scalars(sa.select(Bulk.id).where(Bulk.created_at < clock.now() - KEPT, Bulk.state.not_in(MOVING)).order_by(Bulk.created_at).limit(5)))
        if old:
            db.session.execute(sa.delete(BulkItem).where(BulkItem.bulk_id.in_(old)))
            db.session.execute(sa.delete(Bulk).where(Bulk.id.in_(old)))


class BulkItem(Model):
    """One conversation of a bulk change. States: waiting, changed, same (nothing to do), missed, undone, kept (as others changed it)."""

    __tablename__ = "bulk_item"
    bulk_id: Mapped[int] = mapped_column(sa.ForeignKey("bulk.id"))
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    state: Mapped[str] = mapped_column(sa.String(8), default="waiting")
    before: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)
    after: Mapped[dict[str, Any] | None] = mapped_column(sa.JSON)

    __table_args__ = (
        sa.UniqueConstraint("bulk_id", "conversation_id"),
        sa.Index("ix_bulk_item_bulk_id", "bulk_id", "id"),
        sa.Index("ix_bulk_item_conversation_id", "conversation_id"),
    )

    def make(self, conversation: Conversation, order: Order, by: Member) -> int:
        """Change this one; 1 when that made a difference."""
        before = look(conversation, order)
        change(conversation, order, by)
        after = look(conversation, order)
        self.before, self.after, self.state = before, after, "same" if before == after else "changed"
        return int(before != after)

    def give_back(self, conversation: Conversation, order: Order, by: Member) -> None:
        """Put this one back unless somebody changed it since."""
        if look(conversation, order) != self.after:
            raise Unlike("since")
        restore(conversation, order, self.before or {}, by)
        self.state = "undone"


def _locked(ids: list[int], order: Order) -> dict[int, Conversation]:
    """The conversations of a batch, nobody else's to change; first their contacts, where one may be opened again."""
    if affected(order.action):
        contacts = sa.select(Conversation.contact_id).where(Conversation.id.in_(ids))
        db.session.execute(sa.select(Contact.id).where(Contact.id.in_(contacts)).order_by(Contact.id).with_for_update(key_share=True))
    query = sa.select(Conversation).options(joinedload(Conversation.inbox), joinedload(Conversation.contact)).where(Conversation.id.in_(ids))
    query = query.order_by(Conversation.id).with_for_update(key_share=True, of=Conversation).execution_options(populate_existing=True)
    return {conversation.id: conversation for conversation in db.session.scalars(query)}
