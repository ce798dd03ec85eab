"""Contacts brought in by file: uploaded, mapped, checked row by row, applied in batches (DATA-1)."""

from inbox.models.importing.contact_import import ContactImport
from inbox.models.importing.row import ImportRow

__all__ = ["ContactImport", "ImportRow"]
