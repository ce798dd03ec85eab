"""A CSV import of contacts: uploaded, mapped, checked row by row, applied in batches (DATA-1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock, realtime, sheet
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.event import Event
from inbox.models.importing.applying import Batch
from inbox.models.importing.cells import EMAIL, normalized
from inbox.models.importing.checking import Checker
from inbox.models.importing.columns import FIELDS, guess_columns, match_columns
from inbox.models.importing.row import PROBLEMS, ImportRow
from inbox.models.member import Member
from inbox.permissions import Permission

BATCH = 500


class ContactImport(Model):
    """One file. States: mapping, checking, checked, running, done, failed, canceled."""

    __tablename__ = "contact_import"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    filename: Mapped[str] = mapped_column(sa.String(200))
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
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
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    member: Mapped[Member] = relationship()

    # -- by a person ------------------------------------------------------------------------------------------

    @staticmethod
    def upload(filename: str, data: bytes, *, by: Member, encoding: str = "") -> ContactImport:
        """Keep a file that reads as a table, with a guess at what its columns are; Refused says why it does not."""
        by.require(Permission.CONTACTS_IMPORT)
        made = ContactImport(account_id=by.account_id, member_id=by.id, filename=clean_filename(filename), data=data)
        made._read(encoding)
        return made.save()

    def read_again(self, encoding: str, *, by: Member) -> None:
        """Read the file in another encoding that a person chose."""
        by.require(Permission.CONTACTS_IMPORT)
        if encoding not in (*sheet.ENCODINGS, self.encoding):
            raise Refused("Choose an encoding from the list.", field="encoding")
        self._only("mapping", "checked")
        self._read(encoding)

    def _read(self, encoding: str) -> None:
        try:
            found = sheet.look(self.data, encoding)
        except sheet.NotATable as error:
            raise Refused(str(error), field="file") from None
        with_header = not any(normalized(cell, "US") or EMAIL.fullmatch(cell) for cell in found.first[0])
        if with_header and len(found.first) < 2:
            raise Refused("The file has a header but no contacts below it.", field="file")
        self.encoding, self.delimiter, self.state = found.encoding, found.delimiter, "mapping"
        self.header = [cell[:80] for cell in found.first[0]]
        self.sample = [[cell[:80] for cell in row] for row in found.first[:6]]
        width = max(map(len, found.first))
        columns = match_columns(found.first[0], width) if with_header else guess_columns(found.first, width)
        self.mapping = {"columns": columns, "header": with_header, "clear": False}

    def start_check(self, columns: list[str], *, header: bool, clear: bool, by: Member) -> None:
        """Begin the dry run with these columns; nothing of the contacts changes."""
        by.require(Permission.CONTACTS_IMPORT)
        self._only("mapping", "checked")
        chosen = [name for name in columns if name]
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
        self.state, self.done = "running", 0
        self.total = db.session.scalar(sa.select(sa.func.count(ImportRow.id)).where(*self._to_apply())) or 0
        Event.record("import.started", account=self.account_id, by=by, file=self.filename, rows=self.total)
        self.changed()
        background.enqueue("run_import", self.id, on="mail")

    def cancel(self, *, by: Member) -> None:
        """Stop; what is not applied yet never will be."""
        by.require(Permission.CONTACTS_IMPORT)
        if self.state in ("done", "failed", "canceled"):
            return
        self.state, self.finished_at, self.counts = "canceled", clock.now(), self.applied_counts()
        Event.record("import.canceled", account=self.account_id, by=by, file=self.filename)
        self.changed()

    def _only(self, *states: str) -> None:
        if self.state not in states:
            raise Refused("This import has moved on meanwhile. Look at where it is now.")

    @property
    def moving(self) -> bool:
        return self.state in ("checking", "running")

    @property
    def percent(self) -> int:
        return min(100, self.done * 100 // self.total) if self.total else 0

    def changed(self) -> None:
        """Tell open pages."""
        realtime.publish("import", account=self.account_id, **{"import": self.id})

    def fail(self, sentence: str) -> None:
        self.state, self.problem, self.finished_at = "failed", sentence[:300], clock.now()
        self.changed()

    @staticmethod
    def of(account_id: int) -> list[ContactImport]:
        """The newest imports of an account."""
        return list(db.session.scalars(sa.select(ContactImport).where(ContactImport.account_id == account_id).order_by(ContactImport.id.desc()).limit(50)))

    # -- the dry run ------------------------------------------------------------------------------------------

    def checker(self) -> Checker:
        """What judges the rows one after the other; nothing of earlier tries is kept."""
        db.session.execute(sa.delete(ImportRow).where(ImportRow.import_id == self.id))
        account = db.session.get_one(Account, self.account_id)
        members = {m.user_id.casefold(): m.id for m in Member.of(self.account_id)}
        return Checker(self.account_id, account.country or "US", list(self.mapping["columns"]), bool(self.mapping["clear"]), members)

    def file_rows(self) -> list[list[str]]:
        """All rows below the header; Refused when there are too many or none."""
        try:
            every = []
            for row in sheet.rows(self.data, self.encoding, self.delimiter):
                every.append(row)
                if len(every) > sheet.MAX_ROWS + 1:
                    raise Refused(f"The file has more than {sheet.MAX_ROWS:,} rows. Split it and import the parts one after the other.")
        except sheet.NotATable as error:
            raise Refused(str(error)) from None
        every = every[1:] if self.mapping["header"] else every
        if not every:
            raise Refused("The file has a header but no contacts below it.")
        return every

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
        query = sa.select(ImportRow.effect, ImportRow.owner, sa.func.count(ImportRow.id)).where(*where).group_by(ImportRow.effect, ImportRow.owner)
        counts: dict[str, int] = {}
        for effect, owner, number in db.session.execute(query):
            counts[effect] = counts.get(effect, 0) + number
            if owner:
                counts[f"owner_{owner}"] = counts.get(f"owner_{owner}", 0) + number
        return counts

    def rows_with(self, effects: Iterable[str], *, after: int = 0, limit: int = 50) -> list[ImportRow]:
        """Verdicts of these kinds in file order."""
        query = sa.select(ImportRow).where(ImportRow.import_id == self.id, ImportRow.effect.in_(list(effects)), ImportRow.number > after)
        return list(db.session.scalars(query.order_by(ImportRow.number).limit(limit)))

    # -- the run ----------------------------------------------------------------------------------------------

    def _to_apply(self) -> list[Any]:
        return [ImportRow.import_id == self.id, ImportRow.applied.is_(False), ImportRow.effect.in_(("create", "update"))]

    def apply_batch(self) -> int:
        """Apply the next rows in the caller's transaction, each exactly once; 0 when nothing is left."""
        rows = list(db.session.scalars(sa.select(ImportRow).where(*self._to_apply()).order_by(ImportRow.number).limit(BATCH).with_for_update()))
        if not rows:
            self.state, self.finished_at, self.counts = "done", clock.now(), self.applied_counts()
            Event.record("import.finished", account=self.account_id, file=self.filename, counts=dict(self.counts))
            self.changed()
            return 0
        Batch(self, rows).apply()
        self.done += len(rows)
        self.counts = self.applied_counts()
        self.changed()
        return len(rows)


def clean_filename(name: str) -> str:
    """The file's name for showing: one line, without hidden characters or folders."""
    visible = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
    return visible.strip()[:200] or "contacts.csv"
