"""One's own profile (ACC-5); nobody else's, ever."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request, url_for

from inbox import channels, clock, dates, media
from inbox import phone as phones
from inbox.forms.people import ProfileForm
from inbox.models import Inbox, transaction
from inbox.views.access import member, signed_in
from inbox.views.helpers import zone_named
from inbox.views.hypermedia import is_fragment, page
from inbox.views.uploads import portraits

bp = Blueprint("profile", __name__)
SAMPLE = "Hi Rosa, your order is ready for pickup."


@bp.get("/settings/profile")
@signed_in
def edit() -> Any:
    form = ProfileForm(formdata=None, obj=member())
    form.phone.data = phones.display(form.phone.data or "")
    return _show(form)


@bp.post("/settings/profile")
@signed_in
def update() -> Any:
    form = ProfileForm()
    if not form.validate():
        return _show(form, status=422)
    with transaction():
        who = member()
        who.edit_profile({name: value for name, value in form.data.items() if name != "csrf_token" and value is not None}, by=who)
    flash("Saved.")
    return redirect(url_for("profile.edit"), 303)


@bp.post("/settings/profile/preview")
@signed_in
def preview() -> Response:
    """What customers would see; keeps nothing."""
    form = ProfileForm()
    return page("profile/_preview.html", **_previews(form)) if is_fragment() else _show(form)


@bp.post("/settings/profile/picture")
@signed_in
def set_picture() -> Any:
    """Show a new picture; what can't be read safely is refused with a sentence."""
    file = request.files.get("picture")
    data = file.stream.read(media.MAX_IMAGE_BYTES + 1) if file else b""
    if not data:
        return _refuse("Choose a picture first.")
    try:
        pictures = media.portrait(data)
    except media.MediaRefused as refused:
        return _refuse(str(refused))
    large, small = (media.store(portraits(), each) for each in pictures)
    with transaction():
        who = member()
        unused = who.set_picture(large, small, by=who)
    return _pictured(unused, "This is your picture now.")


@bp.post("/settings/profile/picture/remove")
@signed_in
def remove_picture() -> Any:
    with transaction():
        who = member()
        unused = who.drop_picture(by=who)
    return _pictured(unused, "Your picture is removed. Your initials are shown again.")


def _pictured(unused: set[str], said: str) -> Any:
    for sha256 in unused:
        media.discard(portraits(), sha256)
    if is_fragment():
        return page("profile/picture.oob.html", said=said)
    flash(said)
    return redirect(url_for("profile.edit"), 303)


def _refuse(problem: str) -> Response:
    if is_fragment():
        return page("profile/picture.oob.html", 422, problem=problem)
    return _show(ProfileForm(formdata=None, obj=member()), 422, problem=problem)


def _show(form: ProfileForm, status: int = 200, **context: Any) -> Response:
    signing = [inbox.name for inbox in Inbox.visible_to(member()) if inbox.sign_texts]
    return page("profile/edit.html", status, form=form, signing=signing, mails="email" in channels.KEYS, **_previews(form), **context)


def _previews(form: ProfileForm) -> dict[str, Any]:
    """A text and an e-mail as the form would end them, counted as the send gate counts, and a moment as it would write it."""
    who = member()
    words = form.text_signature.data or (form.name.data or who.name).split()[0]
    text = f"{SAMPLE} - {words}"
    hand, now = dates.written(form.language.data or who.language), clock.now().astimezone(zone_named(form.time_zone.data or who.time_zone))
    dated = f"{hand.dayed(now)} · {hand.clock(now)} · {hand.number(12345)}"
    return {"text": text, "counted": phones.segments(text), "block": form.email_signature.data or "", "sample": SAMPLE, "dated": dated}
