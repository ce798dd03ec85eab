"""Texts to put into what is being written: templates filled in for one customer, and emoji (TOOL-1)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import emoji, phone
from inbox.forms.compose import ComposeForm
from inbox.models import Contact, Draft, Inbox, Refused, Template, db, transaction
from inbox.models.filling import Filled, Setting, suggestion
from inbox.permissions import Permission
from inbox.views import compose
from inbox.views.access import conversation_or_404, member, requires, signed_in
from inbox.views.conversations import back_to
from inbox.views.hypermedia import either, fragment, is_fragment, page

bp = Blueprint("insertions", __name__)
ON_PAGE = 50


@bp.get("/c/<conversation>/templates")
@requires(Permission.CONVERSATIONS_VIEW)
def index(conversation: str) -> Response:
    """What `q` finds, as options; as a page, every template as this customer would get it."""
    found, who = conversation_or_404(conversation), member()
    setting, words = Setting.of(found, who), request.args.get("q", "")[:100]
    if is_fragment():
        suggested = suggestion(found, who) if not words.strip() else None
        return _options(setting, words, suggested, lambda one: url_for("insertions.create", conversation=found.public_id, template=one.public_id))
    kind = _kind(request.args.get("kind"))
    filled = [setting.fill(template) for template in setting.offered(words, ON_PAGE)]
    may = who.can(Permission.CONVERSATIONS_NOTE if kind == "note" else Permission.CONVERSATIONS_REPLY, on=found)
    return page("insertions/index.html", conversation=found, filled=filled, q=words, kind=kind, may=may, back=back_to(found))


@bp.post("/c/<conversation>/templates")
@requires(Permission.CONVERSATIONS_VIEW)
def keep(conversation: str) -> Any:
    """Keep what was typed so far, then show the templates: how a page without scripts gets there. The kind decides which permission it takes."""
    found, kind = conversation_or_404(conversation), _kind(request.form.get("kind"))
    with transaction():
        Draft.put(found, request.form.get("note" if kind == "note" else "body", ""), by=member(), kind=kind)
        if kind == "reply" and request.form.get("note", "").strip() and member().can(Permission.CONVERSATIONS_NOTE, on=found):
            Draft.put(found, request.form["note"], by=member(), kind="note")
    return redirect(url_for("insertions.index", conversation=found.public_id, kind=kind), 303)


@bp.post("/c/<conversation>/templates/<template>")
@requires(Permission.CONVERSATIONS_VIEW)
def create(conversation: str, template: str) -> Any:
    """The finished text, or a form that asks for what is missing. Without scripts it is put below the draft."""
    found, who, kind = conversation_or_404(conversation), member(), _kind(request.form.get("kind"))
    setting = Setting.of(found, who)
    chosen = _template_or_404(setting, template)
    who.require(Permission.CONVERSATIONS_NOTE if kind == "note" else Permission.CONVERSATIONS_REPLY, on=found)
    to = url_for("insertions.create", conversation=found.public_id, template=chosen.public_id)
    if setting.fill(chosen, request.form).missing:
        return _ask(setting.fill(chosen), to, {"kind": kind}, back_to(found))
    with transaction():
        text = setting.insert(chosen, request.form)
        if not is_fragment():
            draft = Draft.of(found, who, kind)
            Draft.put(found, f"{draft.body.rstrip()}\n{text}" if draft and draft.body.strip() else text, by=who, kind=kind)
    if is_fragment():
        return fragment("insertions/_inserted.html", text=text)
    flash(f"{chosen.name} is in your {kind}.")
    return redirect(back_to(found), 303)


@bp.get("/compose/templates")
@requires(Permission.CONVERSATIONS_COMPOSE)
def index_first() -> Response:
    """What `q` finds for a first text from the inbox of the form."""
    setting, words = _first(request.args), request.args.get("q", "")[:100]
    if is_fragment():
        if setting is None:
            return fragment("insertions/_list.html", options=[], problem="Choose which inbox this goes out from first.")
        return _options(setting, words, None, lambda one: url_for("insertions.create_first", template=one.public_id))
    return _first_page(request.args, setting, words)


@bp.post("/compose/templates")
@requires(Permission.CONVERSATIONS_COMPOSE)
def keep_first() -> Response:
    """The templates for a first text, with what the form holds kept: how a page without scripts gets there, and with `back` away again."""
    if request.form.get("back"):
        return compose._form(ComposeForm())
    return _first_page(request.form, _first(request.form), "")


@bp.post("/compose/templates/<template>")
@requires(Permission.CONVERSATIONS_COMPOSE)
def create_first(template: str) -> Response:
    """`create` for a first text."""
    setting = _first(request.form)
    if setting is None:
        _public(template)
        raise Refused("Choose which inbox this goes out from first.")
    chosen = _template_or_404(setting, template)
    if setting.fill(chosen, request.form).missing:
        return _ask(setting.fill(chosen), url_for("insertions.create_first", template=chosen.public_id), _held(request.form), url_for("compose.new"))
    with transaction():
        text = setting.insert(chosen, request.form)
    if is_fragment():
        return fragment("insertions/_inserted.html", text=text)
    form = ComposeForm()
    typed = (form.body.data or "").rstrip()
    form.body.data = f"{typed}\n{text}" if typed else text
    return compose._form(form)


@bp.get("/emoji")
@signed_in
def emoji_index() -> Response:
    """Emoji whose name or words begin with `q`; those used most when nothing is asked for."""
    words = request.args.get("q", "")[:40]
    return either("insertions/emoji.html", "insertions/_emoji.html", found=emoji.find(words), q=words)


def _options(setting: Setting, words: str, suggested: Template | None, to: Any) -> Response:
    found = setting.offered(words)
    if suggested is not None:
        found = [suggested, *(one for one in found if one.id != suggested.id)][:8]
    options = [{"filled": setting.fill(one), "to": to(one), "suggested": one is suggested} for one in found]
    return fragment("insertions/_list.html", options=options, problem="")


def _ask(filled: Filled, to: str, held: dict[str, str], back: str) -> Response:
    """The form for what is missing; 422 once it has been shown and something still is."""
    again = request.form.get("asked") == "1"
    return either("insertions/asked.html", "insertions/_asked.html", 422 if again else 200, filled=filled, to=to, held=held, back=back, again=again, given=request.form)


def _first(values: Any) -> Setting | None:
    """The inbox and the contact that a form for a first text names; None while no inbox is chosen."""
    inboxes = Inbox.sendable_by(member())
    inbox = next((one for one in inboxes if one.public_id == values.get("inbox")), inboxes[0] if len(inboxes) == 1 else None)
    if inbox is None:
        return None
    try:
        address = phone.normalize(compose.address_of(values.get("to", "")[:200], inbox), phone.region_of(inbox.phone or "") or "US")
    except Refused:
        address = None
    contact = db.session.scalar(Contact.visible_to(member()).where(Contact.phone == address)) if address and member().sees_personal else None
    return Setting(inbox, contact, member())


def _first_page(values: Any, setting: Setting | None, words: str) -> Response:
    filled = [setting.fill(template) for template in setting.offered(words, ON_PAGE)] if setting else []
    return page("insertions/first.html", filled=filled, chosen=setting is not None, held=_held(values))


def _held(values: Any) -> dict[str, str]:
    return {name: values.get(name, "")[:20_000] for name in ("inbox", "to", "body", "nonce")}


def _public(template: str) -> Template:
    return db.session.scalar(Template.scope(member()).where(Template.public_id == template)) or abort(404)


def _template_or_404(setting: Setting, template: str) -> Template:
    return db.session.scalar(setting.templates().where(Template.public_id == template)) or abort(404)


def _kind(value: str | None) -> str:
    return "note" if value == "note" else "reply"

