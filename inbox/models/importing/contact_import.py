"""An import of contacts: uploaded, mapped, checked row by row, applied in batches, and undone while that is still possible (DATA-1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock, realtime, sheet
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.contact_field import ContactField
from inbox.models.event import Event
from inbox.models.importing.applying import Batch
from inbox.models.importing.cells import EMAIL, normalized
from inbox.models.importing.checking import Checker
from inbox.models.importing.columns import FIELD, FIELDS, field_names, guess_columns, header_key, match_columns
from inbox.models.importing.row import PROBLEMS, ImportRow
from inbox.models.importing.undoing import Undoing
from inbox.models.member import Member
from inbox.models.tray import TrayItem
from inbox.permissions import Permission

BATCH = 500
UNDO_FOR = timedelta(days=30)
KEEP_FILE = timedelta(days=30)
MAX_FIELDS = 30
KEPT = sa.text("emptied_at IS NULL")
MOVING = sa.text("state IN ('checking','running','undoing')")


class ContactImport(Model):
    """One file. States: mapping, checking, checked, running, done, failed, canceled, undoing, undone."""

    __tablename__ = "contact_import"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    filename: Mapped[str] = mapped_column(sa.String(200))
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    emptied_at: Mapped[datetime | None] = mapped_column(Moment)  # when the file itself was deleted; what was read from it stays
    encoding: Mapped[str] = mapped_column(sa.String(40), default="")
    delimiter: Mapped[str] = mapped_column(sa.String(1), default=",")
    header: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    sample: Mapped[list[list[str]]] = mapped_column(sa.JSON, default=list)
    mapping: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    state: Mapped[str] = mapped_column(sa.String(10), default="mapping")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, int]] = mapped_column(sa.JSON, default=dict)
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    created_at: Mapped[datetime] = now_column()
    started_at: Mapped[datetime | None] = mapped_column(Moment)  # when the run began
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    part: Mapped[int] = mapped_column(default=0)  # which sheet of a workbook
    parts: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    header_key: Mapped[str] = mapped_column(sa.String(64), default="")
    reached: Mapped[int] = mapped_column(default=0)  # the last row that was applied, or taken back
    member: Mapped[Member] = relationship()

    __table_args__ = (
        sa.Index("ix_contact_import_header", "account_id", "header_key", "id"),
        sa.Index("ix_contact_import_kept", "created_at", sqlite_where=KEPT, postgresql_where=KEPT),
        sa.Index("ix_contact_import_moving", "id", sqlite_where=MOVING, postgresql_where=MOVING),
    )

    # -- by a person ------------------------------------------------------------------------------------------

    @staticmethod
    def upload(filename: str, data: bytes, *, by: Member, encoding: str = "") -> ContactImport:
        """Keep a file that reads as a table, with a guess at what its columns are; Refused says why it does not."""
        by.require(Permission.CONTACTS_IMPORT)
        made = ContactImport(account_id=by.account_id, member_id=by.id, filename=clean_filename(filename), data=data)
        made._read(encoding)
        return made.save()

    def read_again(self, encoding: str, part: int = 0, *, by: Member) -> None:
        """Read the file in another encoding, or another sheet of it, that a person chose."""
        by.require(Permission.CONTACTS_IMPORT)
        if encoding and encoding not in (*sheet.ENCODINGS, self.encoding):
            raise Refused("Choose an encoding from the list.", field="encoding")
        self._only("mapping", "checked")
        self.part = part
        self._read(encoding)

    def _read(self, encoding: str) -> None:
        try:
            found = sheet.look(self.data, encoding, self.part or 0)
        except sheet.NotATable as error:
            raise Refused(str(error), field="file") from None
        with_header = found.encoding == sheet.CARDS or not any(normalized(cell, "US") or EMAIL.fullmatch(cell) for cell in found.first[0])
        if with_header and len(found.first) < 2:
            raise Refused("The file has a header but no contacts below it.", field="file")
        self.encoding, self.delimiter, self.state, self.parts = found.encoding, found.delimiter, "mapping", list(found.parts)
        self.header = [cell[:80] for cell in found.first[0]]
        self.sample = [[cell[:80] for cell in row] for row in found.first[:6]]
        self.header_key = header_key(found.first[0]) if with_header else ""
        width = max(map(len, found.first))
        columns = match_columns(found.first[0], width) if with_header else guess_columns(found.first, width)
        before = self._chosen_before(width)
        self.mapping = {"columns": before or columns, "header": with_header, "clear": False, "remembered": bool(before)}

    def _chosen_before(self, width: int) -> list[str]:
        """What somebody chose for a file with these titles the last time, as far as such columns fit this one."""
        if not self.header_key:
            return []
        query = sa.select(ContactImport.mapping).where(
            ContactImport.account_id == self.account_id, ContactImport.header_key == self.header_key, ContactImport.state.in_(("checked", "running", "done", "undoing", "undone"))
        )
        found = db.session.scalar(query.order_by(ContactImport.id.desc()).limit(1))
        columns = list(found["columns"])[:width] if found else []
        return [*columns, *[""] * (width - len(columns))] if columns else []

    def start_check(self, columns: list[str], *, header: bool, clear: bool, by: Member) -> None:
        """Begin the dry run with these columns; nothing of the contacts changes."""
        by.require(Permission.CONTACTS_IMPORT)
        self._only("mapping", "checked")
        if columns.count(FIELD) > MAX_FIELDS:
            raise Refused(f"Keep at most {MAX_FIELDS} columns as custom fields.", field="columns")
        chosen = [name for name in columns if name and name != FIELD]
        for name in chosen:
            if name not in (*FIELDS, "full_name"):
                raise Refused("Choose what each column holds from the list.", field="columns")
            if chosen.count(name) > 1:
                raise Refused(f"Only one column can be {FIELDS.get(name, 'Full name')}.", field="columns")
        if "phone" not in chosen and "external_id" not in chosen:
            raise Refused("Choose which column holds the mobile number.", field="columns")
        self.mapping = {"columns": columns, "header": header, "clear": clear}
        self.state, self.total, self.done, self.counts, self.problem = "checking", 0, 0, {}, ""
        self.changed()
        background.enqueue("check_import", self.id, on="mail")

    def run(self, *, by: Member) -> None:
        """Apply what the dry run showed."""
        by.require(Permission.CONTACTS_IMPORT)
        self._only("checked")
        self.state, self.done, self.reached, self.started_at = "running", 0, 0, clock.now()
        self.total = db.session.scalar(sa.select(sa.func.count(ImportRow.id)).where(*self._to_apply())) or 0
        Event.record("import.started", account=self.account_id, by=by, file=self.filename, rows=self.total)
        self.changed()
        background.enqueue("run_import", self.id, on="mail")

    def cancel(self, *, by: Member) -> None:
        """Stop; what is not applied yet never will be."""
        by.require(Permission.CONTACTS_IMPORT)
        if self.state in ("done", "failed", "canceled", "undoing", "undone"):
            return
        self.state, self.finished_at, self.counts = "canceled", clock.now(), self.applied_counts()
        Event.record("import.canceled", account=self.account_id, by=by, file=self.filename)
        self.changed()

    @property
    def undo_until(self) -> datetime | None:
        """Until when the import may be taken back; None when it can't be."""
        if self.state not in ("done", "canceled") or self.started_at is None or self.finished_at is None:
            return None
        until = self.finished_at + UNDO_FOR
        return until if until > clock.now() and self.counts.get("create", 0) + self.counts.get("update", 0) else None

    def undo(self, *, by: Member) -> None:
        """Put every contact back as it was before, except those that somebody changed or talked with since."""
        by.require(Permission.CONTACTS_IMPORT)
        db.session.refresh(self, ["state"], with_for_update=True)
        if self.undo_until is None:
            raise Refused(f"This import can’t be undone. That is possible for {UNDO_FOR.days} days after it has changed anything.")
        self.state, self.done, self.reached = "undoing", 0, 0
        self.total = db.session.scalar(sa.select(sa.func.count(ImportRow.id)).where(*self._to_undo())) or 0
        Event.record("import.undo_started", account=self.account_id, by=by, file=self.filename, rows=self.total)
        self.changed()
        background.enqueue("undo_import", self.id, on="mail")

    def _only(self, *states: str) -> None:
        if self.state not in states:
            raise Refused("This import has moved on meanwhile. Look at where it is now.")

    @property
    def moving(self) -> bool:
        return self.state in ("checking", "running", "undoing")

    @property
    def percent(self) -> int:
        return min(100, self.done * 100 // self.total) if self.total else 0

    def changed(self) -> None:
        """Tell open pages."""
        realtime.publish("import", account=self.account_id, **{"import": self.id})

    def fail(self, sentence: str) -> None:
        self.state, self.problem, self.finished_at = "failed", sentence[:300], clock.now()
        TrayItem.tell([self.member], "import", file=self.filename, run=self.public_id, failed=True)
        self.changed()

    @staticmethod
    def of(account_id: int) -> list[ContactImport]:
        """The newest imports of an account."""
        return list(db.session.scalars(sa.select(ContactImport).where(ContactImport.account_id == account_id).order_by(ContactImport.id.desc()).limit(50)))

    # -- the dry run ------------------------------------------------------------------------------------------

    def checker(self) -> Checker:
        """What judges the rows one after the other; it knows the rows that a try which died has judged already."""
        account = db.session.get_one(Account, self.account_id)
        members = {m.user_id.casefold(): m.id for m in Member.of(self.account_id)}
        columns = list(self.mapping["columns"])
        names = ContactField.keys_for(self.account_id, field_names(self.header, len(columns), bool(self.mapping["header"])))
        kinds = {field.key: field for field in ContactField.of(self.account_id)}
        checker = Checker(self.account_id, account.country or "US", columns, bool(self.mapping["clear"]), members, names=names, kinds=kinds)
        if not self.done:
            db.session.execute(sa.delete(ImportRow).where(ImportRow.import_id == self.id))
            return checker
        judged = sa.select(ImportRow.number, ImportRow.values).where(ImportRow.import_id == self.id, ImportRow.effect.not_in(("invalid", "duplicate")))
        for number, values in db.session.execute(judged.order_by(ImportRow.number).execution_options(yield_per=1000)):
            checker.remember(number, values)
        return checker

    def count_rows(self) -> int:
        """How many rows there are below the header; Refused when there are too many or none."""
        number = sum(1 for _ in zip(range(sheet.MAX_ROWS + 1), self.file_rows(), strict=False))
        if number > sheet.MAX_ROWS:
            raise Refused(f"The file has more than {sheet.MAX_ROWS:,} rows. Split it and import the parts one after the other.")
        if not number:
            raise Refused("The file has a header but no contacts below it.")
        return number

    def file_rows(self) -> Iterator[list[str]]:
        """The rows below the header, read as they are asked for; Refused where the file can't be read any further."""
        try:
            found = sheet.rows(self.data, self.encoding, self.delimiter, self.part)
            if self.mapping["header"]:
                next(found, None)
            yield from found
        except sheet.NotATable as error:
            raise Refused(str(error)) from None

    def note_verdicts(self, verdicts: list[dict[str, Any]]) -> None:
        """Store a batch of verdicts and the progress."""
        db.session.execute(sa.insert(ImportRow), [{"import_id": self.id, "applied": False, **verdict} for verdict in verdicts])
        self.done += len(verdicts)
        self.changed()

    def finish_check(self) -> None:
        self.state, self.counts = "checked", self.planned_counts()
        self.changed()

    def planned_counts(self) -> dict[str, int]:
        return self._counts(ImportRow.import_id == self.id)

    def applied_counts(self) -> dict[str, int]:
        """What really happened, counted from the rows: problems count whenever they were found."""
        return self._counts(ImportRow.import_id == self.id, sa.or_(ImportRow.applied, ImportRow.effect.in_((*PROBLEMS, "unchanged"))))

    def _counts(self, *where: Any) -> dict[str, int]:
        columns = (ImportRow.effect, ImportRow.owner, ImportRow.consent, ImportRow.undone)
        counts: Counter[str] = Counter()
        for effect, owner, consent, undone, number in db.session.execute(sa.select(*columns, sa.func.count(ImportRow.id)).where(*where).group_by(*columns)):
            counts[effect] += number
            for kind, value in (("owner", owner), ("consent", consent), ("undo", undone)):
                if value:
                    counts[f"{kind}_{value}"] += number
        return dict(counts)

    def rows_with(self, effects: Iterable[str], *, after: int = 0, limit: int = 50) -> list[ImportRow]:
        """Verdicts of these kinds in file order."""
        query = sa.select(ImportRow).where(ImportRow.import_id == self.id, ImportRow.effect.in_(list(effects)), ImportRow.number > after)
        return list(db.session.scalars(query.order_by(ImportRow.number).limit(limit)))

    @staticmethod
    def delete_old_files() -> int:
        """Delete the files of imports that began thirty days ago, in the caller's transaction; one nobody finished can't go on without."""
        old = (ContactImport.created_at < clock.now() - KEEP_FILE, sa.text("contact_import.emptied_at IS NULL"))
        waiting = ContactImport.state.in_(("mapping", "checked"))
        some = sa.select(ContactImport.id).where(*old, ContactImport.state.not_in(("checking", "running", "undoing"))).order_by(ContactImport.created_at).limit(50)
        ids = list(db.session.scalars(some))
        still = sa.update(ContactImport).where(ContactImport.id.in_(ids), ContactImport.state.not_in(("checking", "running", "undoing")))
        done = {"synchronize_session": False}
        gone = "The file was deleted after 30 days. Upload it again."
        db.session.execute(still.where(waiting).values(state="failed", problem=gone, finished_at=clock.now()), execution_options=done)
        found: Any = db.session.execute(still.values(data=b"", emptied_at=clock.now()), execution_options=done)
        return int(found.rowcount)

    # -- the run ----------------------------------------------------------------------------------------------

    def left(self, limit: int = 100) -> list[ImportRow]:
        """The contacts that an undo left as they are, with the reasons."""
        return list(db.session.scalars(sa.select(ImportRow).where(ImportRow.import_id == self.id, ImportRow.undone == "left").order_by(ImportRow.number).limit(limit)))

    # -- the run and the undo ---------------------------------------------------------------------------------

    def _to_apply(self) -> list[Any]:
        changing = sa.or_(ImportRow.effect.in_(("create", "update")), ImportRow.consent == "kept")
        return [ImportRow.import_id == self.id, ImportRow.number > self.reached, ImportRow.applied.is_(False), ImportRow.effect.not_in(PROBLEMS), changing]

    def _to_undo(self) -> list[Any]:
        changed = ImportRow.effect.in_(("create", "update"))
        return [ImportRow.import_id == self.id, ImportRow.number > self.reached, ImportRow.applied.is_(True), changed, ImportRow.contact_id.is_not(None)]

    def apply_batch(self) -> int:
        """Apply the next rows in the caller's transaction, each exactly once; 0 when nothing is left."""
        rows = self._next(self._to_apply())
        if not rows:
            self.state, self.finished_at, self.counts = "done", clock.now(), self.applied_counts()
            Event.record("import.finished", account=self.account_id, file=self.filename, counts=dict(self.counts))
            TrayItem.tell([self.member], "import", file=self.filename, rows=self.total, run=self.public_id)
            self.changed()
            return 0
        Batch(self, rows).apply()
        return self._advance(rows)

    def undo_batch(self) -> int:
        """Take the next rows back in the caller's transaction, each exactly once; 0 when nothing is left."""
        rows = self._next(self._to_undo())
        if not rows:
            self.state, self.counts = "undone", self.applied_counts()
            Event.record("import.undone", account=self.account_id, file=self.filename, counts=dict(self.counts))
            self.changed()
            return 0
        Undoing(self, rows).apply()
        return self._advance(rows)

    def _next(self, which: list[Any]) -> list[ImportRow]:
        return list(db.session.scalars(sa.select(ImportRow).where(*which).order_by(ImportRow.number).limit(BATCH).with_for_update()))

    def _advance(self, rows: list[ImportRow]) -> int:
        self.done, self.reached = self.done + len(rows), rows[-1].number
        self.changed()
        return len(rows)


def clean_filename(name: str) -> str:
    """The file's name for showing: one line, without hidden characters or folders."""
    visible = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
    return visible.strip()[:200] or "contacts.csv"
