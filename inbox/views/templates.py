"""Templates: one's own and the team's, with folders, languages, history and use (TOOL-1)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import phone as phones
from inbox import placeholders
from inbox.forms import put
from inbox.forms.templates import TemplateForm
from inbox.models import Contact, Denied, Inbox, Member, Refused, Template, db, transaction
from inbox.models.filling import Setting
from inbox.models.template import PAGE
from inbox.models.wording import LANGUAGES, Wording
from inbox.permissions import Permission
from inbox.views.access import member, signed_in
from inbox.views.hypermedia import either, is_fragment, page

bp = Blueprint("templates", __name__, url_prefix="/settings/templates")


@bp.get("")
@signed_in
def index() -> Response:
    """The list by folder and name; `q` searches, `folder` picks one, `archived=1` shows what is put away, `after` is the last of the page before."""
    who, words, archived = member(), request.args.get("q", "")[:100], request.args.get("archived") == "1"
    folder, last = request.args.get("folder", "")[:60], request.args.get("after", "")
    before = db.session.scalar(Template.scope(who).where(Template.public_id == last)) if last else None
    found = Template.listing(who, words=words, folder=folder or None, archived=archived, after=before, limit=PAGE + 1)
    ids = [template.id for template in found[:PAGE]]
    return either(
        "templates/index.html", "templates/_list.html", templates=found[:PAGE], more=found[PAGE - 1] if len(found) > PAGE else None, used=Template.used(ids),
        only=_named(Template.inboxes_of(ids)), folders=Template.folders(who), q=words, folder=folder, archived=archived, languages=LANGUAGES,
    )


@bp.get("/new")
@signed_in
def new() -> Response:
    """An empty form, or with `copy` the words of another template."""
    form = TemplateForm(formdata=None)
    copied = request.args.get("copy", "")
    if copied:
        source = _template_or_404(copied)
        _show_words(form, source)
        form.name.data, form.shortcut.data = f"{source.name} (copy)"[:80], f"{source.shortcut[:37]}-2"
        form.scope.data = "team" if source.editable_by(member()) and source.shared else "mine"
    elif member().can(Permission.TEMPLATES_MANAGE):
        form.scope.data = "team"
    return _form(form)


@bp.post("")
@signed_in
def create() -> Any:
    form = TemplateForm()
    try:
        with transaction():
            made = Template.create(_wording(form), by=member(), shared=form.scope.data == "team", inboxes=_chosen(form))
    except Refused as refused:
        return _refused(form, refused)
    flash(f"Saved. Type /{made.shortcut} in a text to insert it.")
    return redirect(url_for("templates.index"), 303)


@bp.get("/<template>")
@signed_in
def edit(template: str) -> Response:
    """The form with its preview and history; only to read for those who may not change it."""
    found = _template_or_404(template)
    form = TemplateForm(formdata=None)
    _show_words(form, found)
    form.scope.data, form.version.data = "team" if found.shared else "mine", str(found.version)
    form.inboxes.data = [inbox.public_id for inbox in Template.inboxes_of([found.id]).get(found.id, [])]
    return _form(form, found)


@bp.post("/<template>")
@signed_in
def update(template: str) -> Any:
    found, form = _template_or_404(template), TemplateForm()
    try:
        with transaction():
            hidden = [inbox for inbox in Template.inboxes_of([found.id]).get(found.id, []) if inbox not in _inboxes()]
            version = form.version.data or ""
            number = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else -1
            found.change(_wording(form), by=member(), version=number, shared=form.scope.data == "team", inboxes=[*_chosen(form), *hidden])
    except Refused as refused:
        db.session.rollback()
        if refused.status == 409:
            form.version.data = form.version.raw_data = None
            form.version.data = str(_template_or_404(template).version)
        return _refused(form, refused, _template_or_404(template))
    flash("Saved.")
    return redirect(url_for("templates.edit", template=template), 303)


@bp.post("/<template>/archive")
@signed_in
def archive(template: str) -> Any:
    with transaction():
        found = _template_or_404(template)
        found.archive(by=member())
    flash(f"{found.name} is archived. It is offered no more.")
    return redirect(url_for("templates.index"), 303)


@bp.post("/<template>/unarchive")
@signed_in
def unarchive(template: str) -> Any:
    with transaction():
        found = _template_or_404(template)
        found.unarchive(by=member())
    flash(f"{found.name} is back.")
    return redirect(url_for("templates.edit", template=template), 303)


@bp.post("/<template>/restore")
@signed_in
def restore(template: str) -> Any:
    """Say again what an older version said."""
    number = request.form.get("number", "")
    with transaction():
        found = _template_or_404(template)
        found.restore(int(number) if number.isascii() and number.isdigit() and len(number) < 9 else 0, by=member())
    flash("It says again what that version said. The words before are in the history.")
    return redirect(url_for("templates.edit", template=template), 303)


@bp.post("/preview")
@signed_in
def preview() -> Response:
    """The texts of the form as a customer would get them; keeps nothing."""
    form = TemplateForm()
    return page("templates/_preview.html", shown=_shown(form)) if is_fragment() else _form(form)


def _template_or_404(public_id: str) -> Template:
    return db.session.scalar(Template.scope(member()).where(Template.public_id == public_id)) or abort(404)


def _wording(form: TemplateForm) -> Wording:
    text = {name: form[name].data or "" for name in ("name", "shortcut", "body", "folder")}
    return Wording(**text, variants=form.variants)


def _show_words(form: TemplateForm, source: Template) -> None:
    form.name.data, form.shortcut.data, form.folder.data, form.body.data = source.name, source.shortcut, source.folder, source.body
    for code, text in source.variants.items():
        form[f"body_{code}"].data = text


def _inboxes() -> list[Inbox]:
    """The inboxes one may choose from and read the names of."""
    return Inbox.visible_to(member())


def _named(found: dict[int, list[Inbox]]) -> dict[int, list[str]]:
    """Names of the inboxes templates are for; those closed to the reader are not named."""
    readable = {inbox.id for inbox in _inboxes()}
    return {id: [inbox.name for inbox in inboxes if inbox.id in readable] or ["another inbox"] for id, inboxes in found.items()}


def _chosen(form: TemplateForm) -> list[Inbox]:
    wanted = set(form.inboxes.data or [])
    return [inbox for inbox in _inboxes() if inbox.public_id in wanted]


def _refused(form: TemplateForm, refused: Refused, found: Template | None = None) -> Response:
    if isinstance(refused, Denied):
        raise refused
    code = (refused.field or "").removeprefix("body_")
    typed_new = code == form.new_language.data and bool(form.new_body.data)
    put(form, refused, **{f"body_{code}": "new_body"} if typed_new else {})
    return _form(form, found, refused.status)


def _form(form: TemplateForm, found: Template | None = None, status: int = 200) -> Response:
    who = member()
    if not is_fragment() and form.new_language.data in LANGUAGES and form.new_body.data and status == 200:
        form[f"body_{form.new_language.data}"].data, form.new_language.data, form.new_body.data = form.new_body.data, "", ""
    return page(
        "templates/edit.html", status, form=form, found=found, may_edit=found is None or found.editable_by(who), may_share=who.can(Permission.TEMPLATES_MANAGE),
        inboxes=_inboxes(), folders=Template.folders(who), languages=LANGUAGES, shown=_shown(form), history=found.history() if found else [],
        used=Template.used([found.id]).get(found.id, 0) if found else 0,
        places=[*placeholders.STANDARD, *(f"contact.{name}" for name in sorted(Template.fields(who.account_id))[:20])],
    )


def _shown(form: TemplateForm) -> list[dict[str, Any]]:
    """Each text of the form for a customer called Rosa Delgado: language, words, segments, or what is wrong with it."""
    who, fields = member(), Template.fields(member().account_id)
    setting = Setting(_sample_inbox(who), Contact(first_name="Rosa", last_name="Delgado", name="Rosa Delgado", fields={}), who)
    shown = []
    for code, body in [("", form.body.data or ""), *form.variants.items()]:
        if not body.strip():
            continue
        try:
            placeholders.check(body, fields)
            problem = ""
        except placeholders.Unknown as unknown:
            problem = str(unknown)
        text = placeholders.fill(body, lambda place: setting.value(place) or place.fallback or f"[{place.label}]")
        shown.append({"language": LANGUAGES.get(code, ""), "text": text, "counted": phones.segments(text), "problem": problem})
    return shown


def _sample_inbox(who: Member) -> Inbox:
    return next(iter(_inboxes()), None) or Inbox(name=who.account.name)


