"""One's own notifications: what, how, in which browsers; and the one click in a mail that ends them (ACC-6)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, flash, g, jsonify, redirect, request, session, url_for

from inbox import assets, background, unsubscribing, webpush
from inbox.extensions import csrf, limiter
from inbox.models import Inbox, Member, PushKey, PushSubscription, Refused, db, transaction
from inbox.models import wish as wishing
from inbox.models.wish import CELLS, EVENTS, PLACES, SCOPES, WAYS, Cell, Wishes
from inbox.views.access import member, public, signed_in
from inbox.views.hypermedia import page

bp = Blueprint("notifications", __name__)


@bp.get("/settings/notifications")
@signed_in
def edit() -> Any:
    return _show(Wishes.of(member()))


@bp.post("/settings/notifications")
@signed_in
def update() -> Any:
    """Replace all of one's wishes; refused while the owner does not allow notifications."""
    who = member()
    inboxes = Inbox.visible_to(who)
    general = _ticked("all")
    own = {inbox: _ticked(inbox.public_id) for inbox in inboxes if f"own-{inbox.public_id}" in request.form}
    previews = "previews" in request.form
    try:
        with transaction():
            wishing.choose(who, general, own, previews=previews, by=who)
    except Refused as error:
        db.session.rollback()
        asked = replace(Wishes.of(who), previews=previews, general=general, own={inbox.id: cells for inbox, cells in own.items()})
        return _show(asked, error.status, sentence=error.sentence)
    flash("Saved.")
    return redirect(url_for("notifications.edit"), 303)


@bp.post("/settings/notifications/sound")
@signed_in
def sound() -> Any:
    """Choose which new texts are heard in one's open pages, and how loud."""
    who, volume = member(), request.form.get("volume", "")
    try:
        with transaction():
            wishing.choose_sound(who, request.form.get("sound", ""), int(volume) if volume.isascii() and volume.isdigit() and len(volume) < 4 else -1)
    except Refused as error:
        db.session.rollback()
        return _show(Wishes.of(who), error.status, sentence=error.sentence)
    flash("Saved.")
    return redirect(url_for("notifications.edit", _anchor="sound"), 303)


@bp.post("/settings/notifications/tests")
@limiter.limit("5 per minute", key_func=lambda: str(session.get("_user_id", "")))
@signed_in
def test() -> Any:
    """Send a test by mail or to one's browsers, and say where it goes."""
    who, way = member(), request.form.get("way", "")
    if way not in WAYS:
        abort(400)
    wishes = Wishes.of(who)
    if not wishes.allowed:
        return _show(wishes, 403, sentence=wishing.refusal(who))
    browsers = PushSubscription.of(who) if way == "push" else []
    if way == "push" and not browsers:
        return _show(wishes, 422, sentence="No browser of yours takes pushes yet. Turn them on in this one first.")
    background.enqueue("try_notification", who.id, way, on="mail")
    flash(_where(who, way, len(browsers)))
    return redirect(url_for("notifications.edit"), 303)


def _where(who: Member, way: str, browsers: int) -> str:
    if way == "push":
        return f"A test goes to {browsers} browser{'' if browsers == 1 else 's'} of yours."
    if current_app.config["MAIL_SERVER"]:
        return f"A test goes to {who.email}."
    return f"There is no mail server: the test for {who.email} becomes a file in the folder “{current_app.config['MAIL_FOLDER'].name}” of the data directory."


@bp.post("/settings/notifications/key")
@signed_in
def key() -> Response:
    """The public key a browser needs to take pushes from here; made the first time."""
    with transaction():
        return jsonify(key=webpush.public_key(PushKey.private_key()))


@bp.post("/settings/notifications/browsers")
@limiter.limit("10 per minute", key_func=lambda: str(session.get("_user_id", "")))
@signed_in
def subscribe() -> Any:
    """This browser takes pushes from now on."""
    who, form = member(), request.form
    wishes = Wishes.of(who)
    if not wishes.allowed:
        return _show(wishes, 403, sentence=wishing.refusal(who))
    try:
        with transaction():
            PushSubscription.add(
                who, endpoint=form.get("endpoint", ""), p256dh=form.get("p256dh", ""), auth=form.get("auth", ""), session=g.login_session,
                trusted=current_app.config.get("PUSH_PRIVATE", ()),
            )
    except Refused as error:
        db.session.rollback()
        return _show(Wishes.of(who), error.status, sentence=error.sentence)
    flash("This browser shows your notifications from now on.")
    return redirect(url_for("notifications.edit"), 303)


@bp.post("/settings/notifications/browsers/<int:row_id>/remove")
@signed_in
def remove(row_id: int) -> Any:
    who = member()
    row = db.session.scalar(sa.select(PushSubscription).where(PushSubscription.id == row_id, PushSubscription.member_id == who.id)) or abort(404)
    with transaction():
        row.remove(by=who)
    flash("That browser shows no more notifications.")
    return redirect(url_for("notifications.edit"), 303)


@bp.get("/notifications/unsubscribe/<token>")
@public
def leave(token: str) -> Any:
    """Ask before anything changes: programs follow links too."""
    who, way = _meant(token)
    return page("notifications/unsubscribe.html", who=who, way=WAYS[way], token=token, done=False)


@bp.post("/notifications/unsubscribe/<token>")
@csrf.exempt
@public
def left(token: str) -> Any:
    """Turn that way off; the signed link is the proof, because a mail program posts it without a session (RFC 8058)."""
    who, way = _meant(token)
    with transaction():
        wishing.turn_off(who, way)
    return page("notifications/unsubscribe.html", who=who, way=WAYS[way], token=token, done=True)


def _meant(token: str) -> tuple[Member, str]:
    public_id, way = unsubscribing.read(current_app.config["SECRET_KEY"], token) or abort(404)
    who = db.session.scalar(sa.select(Member).where(Member.public_id == public_id))
    if who is None or way not in WAYS:
        abort(404)
    return who, way


@bp.get("/sw.js")
@public
def worker() -> Response:
    """The service worker that shows pushes, at an address whose scope is the whole product."""
    return Response(assets.worker(), mimetype="text/javascript", headers={"Service-Worker-Allowed": "/"})


def _ticked(prefix: str) -> frozenset[Cell]:
    return frozenset(cell for cell in CELLS if f"{prefix}-{cell[0]}-{cell[1]}" in request.form)


def _show(wishes: Wishes, status: int = 200, *, sentence: str = "") -> Response:
    who = member()
    why = "" if wishes.allowed else wishing.refusal(who)
    return page(
        "notifications/edit.html", status, wishes=wishes, why=why, sentence="" if sentence == why else sentence, inboxes=Inbox.visible_to(who), events=EVENTS, places=PLACES,
        possible=CELLS, scopes=SCOPES, browsers=PushSubscription.of(who), here=g.login_session.id, no_server=not current_app.config["MAIL_SERVER"],
    )
