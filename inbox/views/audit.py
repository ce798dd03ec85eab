"""The audit log: who changed what, when and from where; filters are the address, the export is a post (ACC-8)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from flask import Blueprint, Response, abort, request, stream_with_context, url_for

from inbox.forms.audit import AuditFilterForm, day, place
from inbox.models import Event, Member, transaction
from inbox.models.audit import EVERYTHING, SYSTEM, TOPIC_LABELS, Audit, AuditFilter, Line, kinds
from inbox.models.audit_words import clean, label
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.helpers import zone
from inbox.views.hypermedia import page

bp = Blueprint("audit", __name__)
NAMES = ("what", "who", "about", "since", "until", "origin")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
COLUMNS = ("Time (UTC)", "Who", "What happened", "Details", "Kind", "Group", "From where", "Number")


@dataclass(frozen=True)
class Asked:
    """What the address asks for: the form as typed, the filter behind it, and a chip for each part."""

    form: AuditFilterForm
    args: dict[str, Any]
    filter: AuditFilter
    chips: list[tuple[str, str, str]]  # label, value, the address without it
    valid: bool


@bp.get("/settings/audit")
@requires(Permission.AUDIT_VIEW)
def index() -> Any:
    who, asked = member(), _asked()
    if not asked.valid:
        return _page(asked, [], None, 422)
    try:
        events, more = Audit.page(who.account_id, asked.filter, _before())
    except LookupError:
        abort(404)
    return _page(asked, Audit.read(events, who), more)


def _page(asked: Asked, lines: list[Line], more: int | None, status: int = 200) -> Response:
    who = member()
    older = url_for("audit.index", **asked.args, before=more) if more else ""
    return page(
        "audit/index.html", status, form=asked.form, args=asked.args, chips=asked.chips, lines=lines, older=older, paged=bool(request.args.get("before")),
        valid=asked.valid, may_export=who.can(Permission.AUDIT_EXPORT), zone=zone().key,
    )


def _before() -> int | None:
    """The event the page starts after; nonsense is no page."""
    text = request.args.get("before", "")
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else abort(404)


def _asked() -> Asked:
    """Read the filter of this request, of its address or of its form."""
    source = request.form if request.method == "POST" else request.args
    args = {name: source[name].strip()[:60] for name in NAMES if source.get(name, "").strip()}
    people = {person.public_id: person for person in Member.of(member().account_id)}
    form = AuditFilterForm(formdata=None, data=args)
    form.what.choices = _whats()
    everyone = [(key, clean(person.name)) for key, person in people.items()]
    form.who.choices = [("", "Anyone"), *everyone, (SYSTEM, "Nobody signed in")]
    form.about.choices = [("", "Anyone"), *everyone]
    if args.get("what", "") not in {"", EVERYTHING, *TOPIC_LABELS, *(kind for pairs in kinds().values() for kind, _ in pairs)}:
        abort(404)
    if args.get("who", SYSTEM) not in {SYSTEM, *people} or ("about" in args and args["about"] not in people):
        abort(404)
    valid = form.validate()
    return Asked(form, args, _filter(args, people) if valid else AuditFilter(), _chips(form, args, people) if valid else [], valid)


def _filter(args: dict[str, str], people: dict[str, Member]) -> AuditFilter:
    since, until = day(args.get("since")), day(args.get("until"))
    who, about = args.get("who"), args.get("about")
    return AuditFilter(
        what=args.get("what", ""), actor=who if who in (None, SYSTEM) else people[who].id, about=people[about].id if about else None,
        origin=place(args.get("origin")), since=_midnight(since) if since else None, until=_midnight(until + timedelta(days=1)) if until else None,
    )


def _midnight(date: Any) -> datetime:
    """The beginning of a day where the reader is."""
    return datetime.combine(date, time.min, zone())


def _whats() -> dict[str, list[tuple[str, str]]]:
    """The choices of "What": all changes, each group, each kind."""
    groups = {f"{TOPIC_LABELS[topic]}": [(topic, f"All: {TOPIC_LABELS[topic]}"), *pairs] for topic, pairs in kinds().items()}
    for topic, text in TOPIC_LABELS.items():
        groups.setdefault(text, [(topic, f"All: {text}")])
    return {"Whole log": [("", "All changes"), (EVERYTHING, "All activity, with conversations")], **groups}


def _chips(form: AuditFilterForm, args: dict[str, Any], people: dict[str, Member]) -> list[tuple[str, str, str]]:
    """What is set, in words, each with the address that leaves it out."""
    named = {
        "what": "All activity" if args.get("what") == EVERYTHING else TOPIC_LABELS.get(args.get("what", "")) or label(args.get("what", "")),
        "who": clean(people[args["who"]].name) if args.get("who") in people else "Nobody signed in",
        "about": clean(people[args["about"]].name) if "about" in args else "",
    }
    return [
        (form[name].label.text, named.get(name, value), url_for("audit.index", **_without(args, name)))
        for name, value in args.items()
    ]


def _without(args: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in args.items() if key != name}


@bp.post("/settings/audit.csv")
@requires(Permission.AUDIT_EXPORT)
def export() -> Any:
    """Everything the filter shows as a file; that somebody took it is an event itself."""
    who, asked = member(), _asked()
    if not asked.valid:
        return _page(asked, [], None, 422)
    with transaction():
        told = {name: value for (name, value, _) in asked.chips}
        Event.record("audit.exported", account=who.account_id, by=who, filter=told)
    headers = {"Content-Disposition": 'attachment; filename="audit-log.csv"', "X-Accel-Buffering": "no"}
    return Response(stream_with_context(_rows(who, asked.filter)), content_type="text/csv; charset=utf-8", headers=headers)


def _rows(who: Member, filter: AuditFilter) -> Iterator[bytes]:
    """The file, a batch at a time: no more of the log is in memory than that."""
    yield b"\xef\xbb\xbf" + _csv([COLUMNS])
    for lines in Audit.every(who.account_id, filter, who):
        yield _csv([_cells(line) for line in lines])


def _cells(line: Line) -> tuple[str, ...]:
    event = line.event
    when = event.at.strftime("%Y-%m-%d %H:%M:%S")
    return (when, line.who, f"{line.who} {line.did}", line.details, event.kind, line.topic, event.origin, str(event.id))


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([harmless(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def harmless(cell: str) -> str:
    """The cell as text even for a spreadsheet that would take it for a formula (SECURITY S86); without the first quote it is the original."""
    return f"'{cell}" if cell.lstrip(" \"'\ufeff\xa0").startswith(FORMULA) or cell.startswith(FORMULA) else cell
