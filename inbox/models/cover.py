"""What hides customers' numbers and addresses from members who may not see them (TOOL-6)."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from inbox import personal
from inbox.models.base import db
from inbox.models.inbox import Inbox
from inbox.models.member import Member


@dataclass(frozen=True)
class Cover:
    """Everything a member reads passes through theirs; `ours` stays readable: the inboxes' numbers, the team's addresses, one's own phone."""

    ours: frozenset[str]

    @staticmethod
    def over(member: Member) -> Cover | None:
        """None for those who may see everything, as usual; two queries for the others."""
        if member.sees_personal:
            return None
        numbers = db.session.execute(sa.select(Inbox.phone, Inbox.forward_to).where(Inbox.account_id == member.account_id)).all()
        found = {personal.digits_of(number or "")[-10:] for row in [*numbers, (member.phone,)] for number in row}
        mails = db.session.scalars(sa.select(Member.email).where(Member.account_id == member.account_id))
        return Cover(frozenset(found - {""} | {mail.lower() for mail in mails}))

    def text(self, words: str) -> str:
        return personal.covered(words, self.ours)

    def page(self, html: str) -> str:
        return personal.covered_page(html, self.ours)

    def data(self, words: str) -> str:
        """A file or an answer for programs, in which a long count is a count."""
        return personal.covered(words, self.ours, sure=True)
