"""One's own profile, password and signed-in browsers (ACC-5, ACC-7); nobody else's, ever."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, g, redirect, session, url_for
from flask_login import logout_user

from inbox import clock, realtime
from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.people import PasswordForm, ProfileForm
from inbox.models import Event, LoginSession, Member, Refused, db, transaction
from inbox.models.member import SESSION_IDLE, SESSION_LIFE
from inbox.views.access import member, signed_in
from inbox.views.hypermedia import page

bp = Blueprint("profile", __name__)


@bp.get("/settings/profile")
@signed_in
def edit() -> Any:
    return _show(ProfileForm(formdata=None, obj=member()))


@bp.post("/settings/profile")
@signed_in
def update() -> Any:
    form = ProfileForm()
    if not form.validate():
        return _show(form, status=422)
    with transaction():
        who = member()
        who.name, who.time_zone, who.theme, who.shortcuts = form.name.data, form.time_zone.data, form.theme.data, bool(form.shortcuts.data)
        who.__dict__.pop("initials", None)
    flash("Saved.")
    return redirect(url_for("profile.edit"), 303)


@bp.post("/settings/profile/password")
@limiter.limit("10 per minute", key_func=lambda: str(session.get("_user_id", "")))
@signed_in
def password() -> Any:
    """A new password ends every other session (SECURITY S44)."""
    who, form = member(), PasswordForm()
    if not form.validate():
        return _show(ProfileForm(formdata=None, obj=who), form, 422)
    if Member.authenticate(who.email, form.current.data[:1000]) is None:
        form.current.errors = ["That is not your current password."]
        return _show(ProfileForm(formdata=None, obj=who), form, 422)
    try:
        with transaction():
            who.set_password(form.password.data)
            _end_sessions(who, but=g.login_session)
            Event.record("member.password_changed", account=who.account_id, by=who, member=who.id, name=who.name)
    except Refused as error:
        put(form, error)
        return _show(ProfileForm(formdata=None, obj=who), form, 422)
    flash("The password is changed. All other browsers are signed out.")
    return redirect(url_for("profile.edit"), 303)


@bp.post("/settings/profile/sessions/<int:row_id>/revoke")
@signed_in
def revoke(row_id: int) -> Any:
    who = member()
    row = db.session.scalar(sa.select(LoginSession).where(LoginSession.id == row_id, LoginSession.member_id == who.id)) or abort(404)
    with transaction():
        row.revoke()
        realtime.publish("access", account=who.account_id, member=who.id)
    flash("That browser is signed out.")
    return redirect(url_for("profile.edit"), 303)


@bp.post("/settings/profile/sign-out-everywhere")
@signed_in
def sign_out_everywhere() -> Any:
    with transaction():
        _end_sessions(member(), but=None)
    logout_user()
    session.clear()
    flash("You are signed out everywhere.")
    response = redirect(url_for("sessions.new"), 303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _end_sessions(who: Member, *, but: LoginSession | None) -> None:
    for row in db.session.scalars(sa.select(LoginSession).where(LoginSession.member_id == who.id, LoginSession.revoked_at.is_(None))):
        if but is None or row.id != but.id:
            row.revoke()
    realtime.publish("access", account=who.account_id, member=who.id)


def _show(form: ProfileForm, password_form: PasswordForm | None = None, status: int = 200) -> Response:
    who, now = member(), clock.now()
    live = db.session.scalars(
        sa.select(LoginSession)
        .where(LoginSession.member_id == who.id, LoginSession.revoked_at.is_(None), LoginSession.seen_at > now - SESSION_IDLE, LoginSession.created_at > now - SESSION_LIFE)
        .order_by(LoginSession.seen_at.desc())
    )
    return page(
        "profile/edit.html", status, form=form, password_form=password_form or PasswordForm(formdata=None), sessions=list(live), current=g.login_session.id, browser=browser,
    )


def browser(user_agent: str) -> str:
    """“Firefox on Windows”, as well as the header tells."""
    names = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "Mac"), ("Linux", "Linux"))
    name = next((name for mark, name in names if mark in user_agent), "A browser")
    system = next((system for mark, system in systems if mark in user_agent), "")
    return f"{name} on {system}" if system else name


