"""What a member searched for lately: theirs alone."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import clock
from inbox.models.base import Model, db, now_column, one_line
from inbox.models.carrier import insert_or_ignore
from inbox.models.member import Member

KEPT = 8
LONGEST = 200


class RecentSearch(Model):
    """A search as it was typed."""

    __tablename__ = "recent_search"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    words: Mapped[str] = mapped_column(sa.String(LONGEST))
    at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("member_id", "words"),)

    @staticmethod
    def keep(member: Member, words: str) -> None:
        """Remember a search, the newest eight of a member."""
        words = one_line(words)[:LONGEST].strip()
        if not words:
            return
        now = clock.now()
        insert = insert_or_ignore()(RecentSearch).values(member_id=member.id, words=words, at=now)
        db.session.execute(insert.on_conflict_do_update(index_elements=["member_id", "words"], set_={"at": now}))
        kept = sa.select(RecentSearch.id).where(RecentSearch.member_id == member.id).order_by(RecentSearch.at.desc(), RecentSearch.id.desc()).limit(KEPT)
        db.session.execute(sa.delete(RecentSearch).where(RecentSearch.member_id == member.id, RecentSearch.id.not_in(kept)).execution_options(synchronize_session=False))

    @staticmethod
    def of(member: Member) -> list[str]:
        """The newest first."""
        query = sa.select(RecentSearch.words).where(RecentSearch.member_id == member.id).order_by(RecentSearch.at.desc(), RecentSearch.id.desc()).limit(KEPT)
        return list(db.session.scalars(query))

    @staticmethod
    def forget(member: Member) -> None:
        db.session.execute(sa.delete(RecentSearch).where(RecentSearch.member_id == member.id))
