"""Who owes whom a word: worked out from the texts, never clicked (CONV-2).

A conversation needs a reply when the customer's newest text is newer than the newest text a person of ours sent. Automatic texts, notes and calls do not
count, nor do texts that did not go out. `owed_since` is the moment of the first text that is unanswered so; empty when nothing is owed.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from inbox.models.base import Moment, db
from inbox.models.conversation.row import ConversationRow
from inbox.models.message import UNSENT, Message


class Owing(ConversationRow):
    """Keeps `owed_since` right; every caller holds the conversation's row for itself."""

    __abstract__ = True

    def _owed_from(self, message: Message) -> sa.ColumnElement[Any]:
        """The column's value once this text of the customer came in: what was owed before is owed longer."""
        return sa.func.coalesce(type(self).owed_since, sa.bindparam(None, message.created_at, type_=Moment))

    def _answered(self) -> None:
        """A person of ours wrote; the statement does not trust what this session has read."""
        self._owe(sa.null())

    def weigh(self) -> None:
        """Work it out anew: a text failed, was taken back, or went out after all."""
        c = type(self)
        db.session.flush()
        db.session.execute(sa.select(c.id).where(c.id == self.id).with_for_update(key_share=True))  # so that the next statement sees every text
        mine = Message.conversation_id == self.id
        answer = sa.select(Message.id).where(mine, Message.kind == "out", Message.state.not_in(UNSENT)).order_by(Message.id.desc()).limit(1).scalar_subquery()
        first = sa.select(Message.created_at).where(mine, Message.kind == "in", Message.id > sa.func.coalesce(answer, 0)).order_by(Message.id).limit(1)
        self._owe(first.scalar_subquery())

    def _owe(self, value: sa.ColumnElement[Any]) -> None:
        db.session.execute(sa.update(type(self)).where(type(self).id == self.id).values(owed_since=value).execution_options(synchronize_session=False))
        db.session.expire(self, ["owed_since"])
