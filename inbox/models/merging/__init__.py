"""Merging conversations and contacts, and taking it back for 30 days (CONV-8)."""

from inbox.models.merging.merging import Busy, Merging, MergingItem, MergingPart

__all__ = ["Busy", "Merging", "MergingItem", "MergingPart"]
