"""Who is asking, may they, and the only ways to turn an id of a URL into a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Flask, abort, after_this_request, current_app, g, redirect, request, session, url_for
from flask_login import current_user
from sqlalchemy.orm import joinedload, selectinload
from werkzeug.wrappers import Response

from inbox import clock, origin
from inbox.extensions import login
from inbox.models import Account, Contact, Conversation, Inbox, LoginSession, Member, db, transaction
from inbox.models.member import digest, shown
from inbox.models.rights import refusal
from inbox.permissions import Permission

F = TypeVar("F", bound=Callable[..., Any])
PUBLIC = "public"
SIGNED_IN = "signed-in"
SESSION_TOKEN = "token"  # noqa: S105 - the name of the cookie's entry
SOCKET_SESSION = "inbox.login_session"  # in the environment of a socket; no header of a request can be called that
WHILE_DUE = frozenset({"security", "second_factors", "passkeys", "fresh", "sessions", "provider_sign_in"})  # what is open before a demanded second factor is set up


def public(view: F) -> F:
    """Declare that anybody may call this route; it authenticates its caller in some other way, or needs none."""
    view.permission = PUBLIC  # type: ignore[attr-defined]
    return view


def signed_in(view: F) -> F:
    """Declare that every active member may call this route; it only touches their own things."""
    view.permission = SIGNED_IN  # type: ignore[attr-defined]
    return view


def requires(permission: Permission) -> Callable[[F], F]:
    """Declare the permission of a route; checked before the view runs (PERM-7), seat included (PERM-6)."""

    def declare(view: F) -> F:
        view.permission = permission  # type: ignore[attr-defined]
        return view

    return declare


def member() -> Member:
    """The member who is signed in."""
    return current_user._get_current_object()


def register(app: Flask) -> None:
    app.before_request(_note_origin)
    app.teardown_request(lambda _: origin.use())
    app.before_request(_no_nul)
    app.before_request(_check_host)
    app.before_request(_check_access)


@login.user_loader
def load(user_id: str) -> Member | None:
    """The member of a live server-side session; the signed cookie alone proves nothing. A socket keeps the session it was opened with."""
    opened = request.environ.get(SOCKET_SESSION)
    found = LoginSession.of_socket(opened) if opened else LoginSession.find(session.get(SESSION_TOKEN, ""), reading=request.method == "GET")
    if found is None or found.member.public_id != user_id:
        return None
    if request.environ.get("HTTP_UPGRADE", "").lower() == "websocket":
        request.environ[SOCKET_SESSION] = found.id
    g.login_session = found
    return found.member


def _note_origin() -> None:
    """Events of this request come from the carrier or from the client's address, which only configured proxies may name (S10)."""
    origin.use(origin.CARRIER if request.blueprint == "hooks" else origin.address(request.remote_addr))


def _no_nul() -> None:
    """A NUL fits no column of PostgreSQL and no page: such addresses do not exist."""
    if "\x00" in request.path or b"%00" in request.query_string:
        abort(404)


def _check_host() -> Response | None:
    """Refuse other Host headers than the configured one, so that no link can be poisoned (SECURITY S45)."""
    if request.endpoint in ("health.show",) or not current_app.config.get("CHECK_HOST", True):
        return None
    expected = urlsplit(current_app.config["PUBLIC_URL"])
    local = {"localhost", "127.0.0.1", "[::1]", "::1"}
    host = urlsplit(f"//{request.host}")
    if host.hostname == expected.hostname or (expected.hostname in local and host.hostname in local):
        return None
    abort(400, "This server does not answer to that host name. Set PUBLIC_URL to the address people use.")


def _check_access() -> Any:
    view = current_app.view_functions.get(request.endpoint or "")
    if view is None:
        return None
    permission = getattr(view, "permission", None)
    if permission == PUBLIC:
        return None
    if permission is None:
        abort(500, f"The route {request.endpoint} declares no permission.")
    if not current_user.is_authenticated:
        return sign_in_first()
    _note_presence()
    _renew()
    if g.login_session.setup_due and request.blueprint not in WHILE_DUE:
        return _set_up_first()
    if permission == SIGNED_IN:
        return None
    verdict = member().can(permission)
    if not verdict:
        raise refusal(verdict)
    return None


def sign_in_first() -> Any:
    """Send whoever is not signed in to the sign-in page and back; htmx requests get a redirect header."""
    if not Account.any():
        target = url_for("welcome.new")
    else:
        back = request.full_path.rstrip("?") if request.method == "GET" and not request.headers.get("HX-Request") else None
        target = url_for("sessions.new", next=back)
    if request.headers.get("HX-Request"):
        return "", 401, {"HX-Redirect": target}
    return redirect(target, 303)


def _renew() -> None:
    """After a change of rights the browser gets a new token (SECURITY S43); a page that still loads with the token before leaves the cookie alone."""
    row = g.login_session
    current = digest(session.get(SESSION_TOKEN, "")) == row.token_digest
    if row.renewal_due and current and SOCKET_SESSION not in request.environ:
        with transaction():
            token = row.renew()
        if token:
            session[SESSION_TOKEN] = token
    elif not current and SOCKET_SESSION not in request.environ:
        after_this_request(_leave_cookie)


def _leave_cookie(response: Response) -> Response:
    session.modified = False
    return response


def _set_up_first() -> Any:
    """The account demands a second factor: nothing else opens before it is there."""
    target = url_for("security.index")
    return ("", 403, {"HX-Redirect": target}) if request.headers.get("HX-Request") else redirect(target, 303)


def _note_presence() -> None:
    """Keep a session alive: at most one write in five minutes, and none in a GET's own transaction."""
    row = g.get("login_session")
    if row is not None and (clock.now() - row.seen_at).total_seconds() > 300:
        with transaction():
            row.seen_at = clock.now()
            row.member.last_seen_at = clock.now()


def conversation_or_404(public_id: str) -> Conversation:
    """The conversation, through the member's scope; a foreign id is a 404 like a missing one."""
    place = joinedload(Conversation.inbox).options(joinedload(Inbox.account), joinedload(Inbox.carrier), joinedload(Inbox.team_registration))
    query = Conversation.scope(member()).options(joinedload(Conversation.contact), place, shown(Conversation.assignee), selectinload(Conversation.tags))
    found = db.session.scalars(query.where(Conversation.public_id == public_id)).unique().one_or_none()
    return found or _survivor(public_id)


def _survivor(public_id: str) -> Conversation:
    """The conversation that one was merged into: a page is led there, whatever else is asked is asked of it."""
    led = sa.select(Conversation.merged_into_id).where(Conversation.public_id == public_id, Conversation.account_id == member().account_id)
    found = db.session.scalar(Conversation.scope(member()).where(Conversation.id.in_(led)))
    return _led("conversation", found) if found else abort(404)


def _led(name: str, found: Any) -> Any:
    if request.method != "GET":
        return found
    args = {**request.args.to_dict(flat=False), **(request.view_args or {}), name: found.public_id}
    return abort(redirect(url_for(request.endpoint or "", **args), 302))


def inbox_or_404(public_id: str, *, manage: bool = False) -> Inbox:
    """An inbox the member is in and that is live; with `manage`, any inbox of the account for those who manage inboxes."""
    who = member()
    query = sa.select(Inbox).where(Inbox.public_id == public_id, Inbox.account_id == who.account_id)
    if manage and who.can(Permission.INBOXES_MANAGE):
        managed = db.session.scalar(query.where(Inbox.owner_id.is_(None)))
        return managed if managed and who.can(Permission.INBOXES_MANAGE, on=managed) else abort(404)
    shown = next((inbox for inbox in visible_inboxes() if inbox.public_id == public_id), None)
    found = shown or db.session.scalar(query.where(Inbox.id.in_(who.readable_inbox_ids)))
    return found if found and (shown or found.registered) else abort(404)


def visible_inboxes() -> list[Inbox]:
    """The inboxes of the reader's navigation; a page that is only read asks once."""
    if request.method != "GET":
        return Inbox.visible_to(member())
    if "visible_inboxes" not in g:
        g.visible_inboxes = Inbox.visible_to(member())
    return list(g.visible_inboxes)


def contact_or_404(public_id: str, permission: Permission = Permission.CONTACTS_VIEW) -> Contact:
    """A contact the member may use that permission on."""
    found = db.session.scalar(Contact.visible_to(member(), permission).where(Contact.public_id == public_id))
    if found is None:
        led = sa.select(Contact.merged_into_id).where(Contact.public_id == public_id, Contact.account_id == member().account_id)
        found = db.session.scalar(Contact.visible_to(member(), permission, among=led)) or abort(404)
        return _led("contact", found)
    return found


def member_or_404(public_id: str) -> Member:
    """A colleague, for pages that manage people."""
    return db.session.scalar(sa.select(Member).where(Member.public_id == public_id, Member.account_id == member().account_id)) or abort(404)


__all__ = ["PUBLIC", "SIGNED_IN", "contact_or_404", "conversation_or_404", "inbox_or_404", "member", "member_or_404", "public", "requires", "signed_in", "visible_inboxes"]
