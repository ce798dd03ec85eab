"""What a merge does with every table that refers to a conversation or a contact; a test fails on a table that is not named here."""

from __future__ import annotations

import sqlalchemy as sa

from inbox.models.base import Base

# Rows go along to the surviving conversation, and back.
MOVES = ("call", "dispatch", "message", "notice", "notification", "scheduled_message", "tray_item")
# One row for each of these keys: it goes along unless the survivor has one already; then it waits where it is.
UNITES = {"following": "member_id", "lock_waiter": "member_id", "tagging": "tag_id"}
# Two rows become one, by code of their own.
JOINS = ("draft", "last_read")
# Events are final and are read with the survivor's; locks only count up; the others tell of the very conversation they were made for.
STAYS = ("bulk_item", "conversation", "conversation_lock", "event", "merging", "merging_part")
# The same for contacts: conversations go along, everything else hangs on a conversation or a number.
OF_CONTACTS = {"conversation": "moves", "contact": "stays", "merging": "stays", "merging_part": "stays"}


def referring(to: str) -> dict[str, sa.Column[int]]:
    """The column of each table that refers to the rows of `to`, by the table's name."""
    target = Base.metadata.tables[to].c.id
    found = {}
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if any(key.column is target for key in column.foreign_keys) and column.name != "merged_into_id":
                found[table.name] = column
    return found


def moving() -> list[tuple[sa.Table, sa.Column[int]]]:
    """The tables whose rows go along: also one that somebody forgot to name, so that nothing of a conversation is left behind."""
    kept = (*UNITES, *JOINS, *STAYS)
    return [(column.table, column) for name, column in referring("conversation").items() if name not in kept and "id" in column.table.c]
