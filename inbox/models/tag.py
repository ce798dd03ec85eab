"""Tags: words with a colour on conversations (TOOL-3)."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox.models.base import Model, Refused, db, now_column, one_line, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.contact import HUES
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.permissions import Permission

LONGEST = 40
MOST = 20  # on one conversation
MOST_OF_ACCOUNT = 500
CAP = 100  # uses are counted no further


def fold(name: str) -> str:
    """What makes two names one tag: Urgent, urgent and full-width ＵＲＧＥＮＴ are the same."""
    return unicodedata.normalize("NFKC", name).casefold()[:80]


class Tag(Model):
    """A word of the account; `key` is its name folded, so that Urgent and urgent are one."""

    __tablename__ = "tag"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    name: Mapped[str] = mapped_column(sa.String(40))
    key: Mapped[str] = mapped_column(sa.String(80))
    hue: Mapped[str] = mapped_column(sa.String(10), default="blue")
    created_at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("account_id", "key"),)

    @staticmethod
    def of(account_id: int) -> list[Tag]:
        """Every tag of an account, by name."""
        return list(db.session.scalars(sa.select(Tag).where(Tag.account_id == account_id).order_by(Tag.key)))

    @staticmethod
    def named(account_id: int, name: str) -> Tag | None:
        """The tag of that name, in whatever case it is written."""
        return db.session.scalar(sa.select(Tag).where(Tag.account_id == account_id, Tag.key == fold(one_line(name))))

    @staticmethod
    def create(name: str, hue: str = "", *, by: Member) -> Tag:
        """A new tag, or the one that has this name already; without a hue it gets one that few others have."""
        by.require(Permission.TAGS_MANAGE)
        name = _checked(name)
        found = Tag.named(by.account_id, name)
        if found is not None:
            return found
        many = db.session.scalar(sa.select(sa.func.count()).select_from(Tag).where(Tag.account_id == by.account_id)) or 0
        if many >= MOST_OF_ACCOUNT:
            raise Refused(f"There are {MOST_OF_ACCOUNT} tags already. Merge or delete some first.", field="name")
        values = {"public_id": public_id(), "account_id": by.account_id, "name": name, "key": fold(name), "hue": hue if hue in HUES else HUES[many % len(HUES)]}
        made = db.session.execute(insert_or_ignore()(Tag).values(**values).on_conflict_do_nothing(index_elements=["account_id", "key"]).returning(Tag.id)).scalar()
        tag = Tag.named(by.account_id, name)
        assert tag is not None  # noqa: S101 - made here, or by whoever was faster
        if made is not None:
            Event.record("tag.created", account=by.account_id, by=by, name=name)
        return tag

    def edit(self, name: str, hue: str, *, by: Member) -> None:
        """Another name or colour; Refused when a different tag has that name."""
        by.require(Permission.TAGS_MANAGE)
        name = _checked(name)
        if hue not in HUES:
            raise Refused("Choose a colour from the list.", field="hue")
        self._alone()
        other = Tag.named(self.account_id, name)
        if other is not None and other.id != self.id:
            raise Refused(f"There is a tag {other.name} already. Merge the two instead.", field="name")
        if (name, hue) == (self.name, self.hue):
            return
        Event.record("tag.renamed" if name != self.name else "tag.painted", account=self.account_id, by=by, before=self.name, after=name, name=name)
        self.name, self.key, self.hue = name, fold(name), hue

    def merge_into(self, other: Tag, *, by: Member) -> int:
        """Put `other` wherever this tag is, then this tag goes; returns how many conversations had it."""
        by.require(Permission.TAGS_MANAGE)
        if other.id == self.id or other.account_id != self.account_id:
            raise Refused("Choose another tag to merge into.", field="into")
        if len(_locked({self.id, other.id})) < 2:
            raise Refused("One of the two tags was removed a moment ago.", field="into")
        have = sa.select(Tagging.conversation_id).where(Tagging.tag_id == other.id)
        moved = _changed(sa.update(Tagging).where(Tagging.tag_id == self.id, Tagging.conversation_id.not_in(have)).values(tag_id=other.id))
        both = self._take_everywhere()
        Event.record("tag.merged", account=self.account_id, by=by, name=self.name, into=other.name, count=moved + both)
        db.session.delete(self)
        db.session.flush()
        return moved + both

    def destroy(self, *, by: Member) -> int:
        """Take it from every conversation and remove it; returns from how many."""
        by.require(Permission.TAGS_MANAGE)
        self._alone()
        gone = self._take_everywhere()
        Event.record("tag.deleted", account=self.account_id, by=by, name=self.name, count=gone)
        db.session.delete(self)
        db.session.flush()
        return gone

    @property
    def uses(self) -> int:
        """On how many conversations it is, counted up to a hundred."""
        return Tag.use_counts([self.id])[self.id]

    @staticmethod
    def use_counts(ids: Collection[int]) -> dict[int, int]:
        """The same for many tags, in as few queries as one database takes."""
        found = dict.fromkeys(ids, 0)
        todo = list(found)
        for start in range(0, len(todo), 300):
            parts = []
            for id in todo[start : start + 300]:
                some = sa.select(sa.literal(1).label("one")).select_from(Tagging).where(Tagging.tag_id == id).limit(CAP).subquery()
                parts.append(sa.select(sa.literal(id).label("tag"), sa.func.count().label("n")).select_from(some))
            found.update((id, n) for id, n in db.session.execute(sa.union_all(*parts)))
        return found

    def _alone(self) -> None:
        if not _locked({self.id}):
            raise Refused("This tag was removed a moment ago.")
        db.session.refresh(self)

    def _take_everywhere(self) -> int:
        return _changed(sa.delete(Tagging).where(Tagging.tag_id == self.id))


class Tagging(Model):
    """A tag on a conversation."""

    __tablename__ = "tagging"
    conversation_id: Mapped[int] = mapped_column(sa.ForeignKey("conversation.id"))
    tag_id: Mapped[int] = mapped_column(sa.ForeignKey("tag.id"))

    __table_args__ = (sa.UniqueConstraint("conversation_id", "tag_id"), sa.Index("ix_tagging_tag_id", "tag_id", "conversation_id"))


def _checked(name: str) -> str:
    name = one_line(name)
    if not name:
        raise Refused("Give the tag a name.", field="name")
    if len(name) > LONGEST:
        raise Refused(f"Use at most {LONGEST} characters.", field="name")
    return name


def _locked(ids: set[int]) -> list[int]:
    """Those of the tags that still exist, nobody else's to put or change until this transaction ends."""
    return list(db.session.scalars(sa.select(Tag.id).where(Tag.id.in_(ids)).order_by(Tag.id).with_for_update()))


def _changed(statement: sa.Update | sa.Delete) -> int:
    result = db.session.execute(statement.execution_options(synchronize_session=False))
    return int(result.rowcount)  # type: ignore[attr-defined]
