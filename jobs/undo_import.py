"""Take a contact import back in batches, each one transaction."""

from __future__ import annotations

from inbox.models import ContactImport
from jobs.run_import import step_by_step


def undo_import(import_id: int) -> None:
    """Take back batch after batch until nothing is left; what an earlier try took back stays so."""
    step_by_step(import_id, "undoing", ContactImport.undo_batch)
