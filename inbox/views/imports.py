"""Contact imports: upload, map, dry run, run."""

from __future__ import annotations

import csv
import io
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, request, url_for

from inbox import sheet
from inbox.forms.contacts import UploadForm
from inbox.models import ContactImport, ImportRow, Refused, db, transaction
from inbox.models.importing.columns import FIELD, FIELDS
from inbox.models.importing.row import PROBLEMS
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.hypermedia import fragment, go, is_fragment, page

bp = Blueprint("imports", __name__)
SHOWN = 100
COLUMNS = {"": "Ignore", **FIELDS, "full_name": "Full name", FIELD: "Custom field of this name"}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


@bp.get("/contacts/imports")
@requires(Permission.CONTACTS_IMPORT)
def index() -> Response:
    return page("imports/index.html", imports=ContactImport.of(member().account_id))


@bp.get("/contacts/imports/new")
@requires(Permission.CONTACTS_IMPORT)
def new() -> Response:
    return page("imports/new.html", form=UploadForm())


@bp.post("/contacts/imports")
@requires(Permission.CONTACTS_IMPORT)
def create() -> Response:
    """Take a file that reads as a table; anything else is a sentence, and nothing is kept."""
    form = UploadForm()
    file = request.files.get("file")
    try:
        if file is None or not file.filename:
            raise Refused("Choose a file first.", field="file")
        data = file.stream.read(sheet.MAX_BYTES + 1)
        with transaction():
            made = ContactImport.upload(file.filename, data, by=member())
    except Refused as refused:
        if refused.status != 422:
            raise
        form.file.errors = [refused.sentence]
        return page("imports/new.html", 422, form=form)
    return go(url_for("imports.show", found=made.public_id))


@bp.get("/contacts/imports/<found>")
@requires(Permission.CONTACTS_IMPORT)
def show(found: str) -> Response:
    """Where the import is: mapping, progress, verdicts or result."""
    row = _import_or_404(found)
    return page("imports/show.html", **_context(row))


@bp.get("/contacts/imports/<found>/progress")
@requires(Permission.CONTACTS_IMPORT)
def progress(found: str) -> Response:
    """The moving part, asked for every two seconds; a state that has ended reloads the page once."""
    row = _import_or_404(found)
    if not row.moving or not is_fragment():
        return go(url_for("imports.show", found=row.public_id))
    return fragment("imports/_progress.html", found=row)


@bp.post("/contacts/imports/<found>/reading")
@requires(Permission.CONTACTS_IMPORT)
def read(found: str) -> Response:
    """Read the file in the encoding, or the sheet of it, that a person chose."""
    row = _import_or_404(found)
    try:
        with transaction():
            row.read_again(request.form.get("encoding", ""), request.form.get("part", 0, int), by=member())
    except Refused as refused:
        if refused.field not in ("file", "encoding"):
            raise
        db.session.refresh(row)
        return page("imports/show.html", 422, **_context(row), problem=refused.sentence)
    return go(url_for("imports.show", found=row.public_id))


@bp.post("/contacts/imports/<found>/mapping")
@requires(Permission.CONTACTS_IMPORT)
def check(found: str) -> Response:
    """Start the dry run."""
    row = _import_or_404(found)
    columns = [request.form.get(f"column-{place}", "") for place in range(len(row.mapping["columns"]))]
    try:
        with transaction():
            row.start_check(columns, header="header" in request.form, clear="clear" in request.form, by=member())
    except Refused as refused:
        if refused.field != "columns":
            raise
        chosen = {"columns": columns, "header": "header" in request.form, "clear": "clear" in request.form}
        return page("imports/show.html", 422, **_context(row, chosen), problem=refused.sentence)
    return go(url_for("imports.show", found=row.public_id))


@bp.post("/contacts/imports/<found>/run")
@requires(Permission.CONTACTS_IMPORT)
def run(found: str) -> Response:
    """Apply what the dry run showed."""
    row = _import_or_404(found)
    with transaction():
        row.run(by=member())
    return go(url_for("imports.show", found=row.public_id))


@bp.post("/contacts/imports/<found>/cancel")
@requires(Permission.CONTACTS_IMPORT)
def cancel(found: str) -> Response:
    row = _import_or_404(found)
    with transaction():
        row.cancel(by=member())
    return go(url_for("imports.show", found=row.public_id))


@bp.post("/contacts/imports/<found>/undoing")
@requires(Permission.CONTACTS_IMPORT)
def undo(found: str) -> Response:
    """Put the contacts back as they were before."""
    row = _import_or_404(found)
    with transaction():
        row.undo(by=member())
    return go(url_for("imports.show", found=row.public_id))


@bp.get("/contacts/imports/<found>/problems.csv")
@requires(Permission.CONTACTS_IMPORT)
def problems(found: str) -> Response:
    """The rows with problems as a file that spreadsheets open without running anything in it."""
    row = _import_or_404(found)
    out = io.StringIO()
    writer = csv.writer(out)
    rejected = row.rows_with(PROBLEMS, limit=sheet.MAX_ROWS + 1)
    own = sorted({name for verdict in rejected for name in verdict.values.get("fields") or {}})
    writer.writerow(["Row", *FIELDS.values(), *map(harmless, own), "Problem"])
    for verdict in rejected:
        kept = verdict.values.get("fields") or {}
        values = {**verdict.values, "phone": verdict.values.get("raw_phone", ""), "opt_in": verdict.values.get("raw_opt_in", "")}
        cells = [*(values.get(name) for name in FIELDS), *(kept.get(name) for name in own), verdict.problem]
        writer.writerow([verdict.number, *(harmless(str(cell or "")) for cell in cells)])
    headers = {"Content-Disposition": 'attachment; filename="import-problems.csv"'}
    return Response(b"\xef\xbb\xbf" + out.getvalue().encode(), content_type="text/csv; charset=utf-8", headers=headers)


def harmless(cell: str) -> str:
    """The cell as text even for a spreadsheet that would take it for a formula."""
    return f"'{cell}" if cell.lstrip(" \"'").startswith(FORMULA) or cell.startswith(FORMULA) else cell


def _import_or_404(public_id: str) -> ContactImport:
    query = sa.select(ContactImport).where(ContactImport.public_id == public_id, ContactImport.account_id == member().account_id)
    return db.session.scalar(query) or abort(404)


def _context(row: ContactImport, mapping: dict[str, Any] | None = None) -> dict[str, Any]:
    verdicts: list[ImportRow] = []
    effect = request.args.get("effect", "")
    if row.state not in ("mapping", "failed") and not row.moving:
        verdicts = row.rows_with([effect] if effect else PROBLEMS, limit=SHOWN)
        if not verdicts and not effect:
            effect = "all"
            verdicts = row.rows_with(("create", "update", "unchanged"), limit=SHOWN)
    return {
        "found": row, "mapping": mapping or row.mapping, "columns": COLUMNS, "encodings": sheet.ENCODINGS, "verdicts": verdicts, "effect": effect, "problems": PROBLEMS,
        "left": row.left() if row.counts.get("undo_left") else [],
    }
