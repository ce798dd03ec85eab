"""Search over the whole history (CONV-9): one interface, the full-text index of either database behind it."""

from __future__ import annotations

from inbox.models.search.index import SearchMark, add_message, catch_up, put_contact, put_contacts, unfinished
from inbox.models.search.recent import RecentSearch

__all__ = ["RecentSearch", "SearchMark", "add_message", "catch_up", "put_contact", "put_contacts", "unfinished"]
