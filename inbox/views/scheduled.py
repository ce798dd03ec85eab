"""Texts that leave later: made in a conversation or with a first text, seen and decided about until their moment (CONV-8)."""

from __future__ import annotations

from datetime import datetime
from secrets import token_urlsafe
from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import clock
from inbox.forms.compose import ComposeForm
from inbox.models import Conversation, Denied, Draft, Refused, ScheduledMessage, Stale, db, transaction
from inbox.models.conversation.snoozing import typed_moment
from inbox.permissions import Permission
from inbox.views import compose as first_texts
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to, number
from inbox.views.helpers import local, zone
from inbox.views.hypermedia import either, fragment, go, is_fragment
from inbox.views.moments import offered, soon, wanted
from inbox.views.uploads import kept_uploads, take_uploads

bp = Blueprint("scheduled", __name__)
PAGE = 40


@bp.app_template_global("may_decide")
def may_decide(row: ScheduledMessage) -> bool:
    """Whether the reader may change it, send it now or cancel it."""
    return row.may_be_decided_by(member())


def _typed(row: ScheduledMessage | None = None) -> dict[str, Any]:
    """The form as it was, or as the text is."""
    if request.method == "POST":
        form = request.form
        return {"body": form.get("body", ""), "at": form.get("at", ""), "unanswered": form.get("unanswered") == "1" or "choosing" not in form, "uploads": kept_uploads()}
    if row is None:
        return {"body": "", "at": "", "unanswered": True, "uploads": []}
    return {"body": row.body, "at": local(row.planned_at).strftime("%Y-%m-%dT%H:%M"), "unanswered": row.unanswered, "uploads": []}


# -- making one ----------------------------------------------------------------------------------------------------------


@bp.get("/c/<conversation>/schedule")
@requires(Permission.CONVERSATIONS_REPLY)
def new(conversation: str) -> Response:
    """The moments one can choose from; as a page with the text one has begun."""
    found = conversation_or_404(conversation)
    member().require(Permission.CONVERSATIONS_REPLY, on=found)
    draft = Draft.of(found, member())
    return _choose(found, {**_typed(), "body": draft.body if draft else ""})


@bp.get("/c/<conversation>/schedule/hint")
@requires(Permission.CONVERSATIONS_REPLY)
def hint(conversation: str) -> Response:
    """The customer's own time at the moment that is typed."""
    found = conversation_or_404(conversation)
    try:
        at = typed_moment(request.args.get("at", ""), zone())
    except Refused:
        at = None
    return either("scheduled/hint.html", "scheduled/_hint.html", conversation=found, at=at)


@bp.post("/c/<conversation>/schedule")
@requires(Permission.CONVERSATIONS_REPLY)
def create(conversation: str) -> Response:
    """Keep the text until its moment, or say why not and lose nothing. Without a moment it is asked for."""
    found = conversation_or_404(conversation)
    try:
        uploads = take_uploads(found.inbox)
        if not request.form.get("when") and not request.form.get("at") and "choosing" not in request.form:
            return _choose(found, _typed())
        with transaction():
            row = ScheduledMessage.schedule(
                found, request.form.get("body", ""), by=member(), at=wanted(), seen=number("seen"), unanswered=request.form.get("unanswered") == "1", uploads=uploads,
                nonce=request.form.get("nonce"), anyway=request.form.get("anyway") == "1",
            )
    except Refused as refused:
        return _refused(found, refused)
    if not is_fragment():
        flash(f"Scheduled: it leaves {soon(row.due_at)}.")
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    response = fragment("scheduled/written.oob.html", 201, conversation=found, scheduled=ScheduledMessage.of(found), nonce=token_urlsafe(18), seen=found.last_inbound_id)
    response.headers["HX-Trigger"] = "scheduled"
    return response


def _refused(found: Conversation, refused: Refused) -> Response:
    if isinstance(refused, Denied):
        raise refused
    stale = isinstance(refused, Stale)
    db.session.rollback()
    if not is_fragment():
        return _choose(found, _typed(), refused)
    fresh = screens.tail(found, number("seen"), screens.last_event(found)) if stale else []
    strip = screens.strip(found, member(), fence=number("fence"))
    sentence = refused.sentence.replace("Review, then send.", "Review, then schedule it again.") if stale else refused.sentence
    return fragment("messages/refused.oob.html", refused.status, conversation=found, refusal=sentence, stale=False, thread=fresh, strip=strip, kind="reply")


def _choose(found: Conversation, typed: dict[str, Any], refused: Refused | None = None) -> Response:
    return either(
        "scheduled/new.html", "scheduled/_moments.html", refused.status if refused else 200, conversation=found, typed=typed, refused=refused, nonce=token_urlsafe(18),
        to=url_for("scheduled.create", conversation=found.public_id), seen=found.last_inbound_id, **offered(),
    )


@bp.post("/compose/schedule")
@requires(Permission.CONVERSATIONS_COMPOSE)
def create_first() -> Response:
    """Keep a first text until its moment."""
    form = ComposeForm()
    try:
        inbox = first_texts.chosen_inbox(form)
        uploads = take_uploads(inbox)
        with transaction():
            row = ScheduledMessage.compose(
                inbox, first_texts.address_of(form.to.data or "", inbox), form.body.data or "", by=member(), at=wanted(), unanswered=request.form.get("unanswered") == "1",
                uploads=uploads, nonce=(form.nonce.data or "")[:40] or None,
            )
    except Denied:
        raise
    except Refused as refused:
        return first_texts.refused_form(form, refused)
    flash(f"Scheduled: it leaves {soon(row.due_at)}.")
    return go(url_for("conversations.show", conversation=row.conversation.public_id))


# -- what is scheduled -----------------------------------------------------------------------------------------------------


@bp.get("/scheduled")
@requires(Permission.CONVERSATIONS_VIEW)
def index() -> Response:
    """One's own, the next first."""
    return _index(everyone=False)


@bp.get("/scheduled/all")
@requires(Permission.CONVERSATIONS_ALL)
def index_all() -> Response:
    """Everyone's, in the inboxes one reads."""
    return _index(everyone=True)


def _index(*, everyone: bool) -> Response:
    rows = ScheduledMessage.listing(member(), everyone=everyone, after=_after(), limit=PAGE + 1)
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    more = f"{last.due_at.timestamp():.6f}_{last.id}" if last else ""
    return either("scheduled/index.html", "scheduled/_rows.html", rows=rows[:PAGE], more=more, everyone=everyone, here=url_for(request.endpoint or "scheduled.index"))


def _after() -> tuple[datetime, int] | None:
    """Where the page before ended."""
    at, _, row = request.args.get("after", "").partition("_")
    try:
        return clock.now().fromtimestamp(float(at), tz=clock.now().tzinfo), min(int(row), 2**31)
    except (ValueError, OverflowError, OSError):
        return None


@bp.get("/scheduled/<scheduled>/edit")
@requires(Permission.CONVERSATIONS_REPLY)
def edit(scheduled: str) -> Response:
    """The text, its files and its moment."""
    row = _decided_or_404(scheduled)
    return _form(row, _typed(row))


@bp.post("/scheduled/<scheduled>/edit")
@requires(Permission.CONVERSATIONS_REPLY)
def update(scheduled: str) -> Response:
    """Put it right; what was held or dropped waits again."""
    row = _decided_or_404(scheduled)
    kept = [file for file in row.files if file.public_id in request.form.getlist("keep")]
    try:
        uploads = take_uploads(row.conversation.inbox)
        with transaction():
            row.change(
                request.form.get("body", ""), by=member(), at=wanted(), unanswered=request.form.get("unanswered") == "1", version=number("version"), uploads=[*kept, *uploads]
            )
    except Denied:
        raise
    except Refused as refused:
        db.session.rollback()
        return _form(row, _typed(), refused)
    return _settled(row, f"It leaves {soon(row.due_at)}.")


@bp.post("/scheduled/<scheduled>/send")
@requires(Permission.CONVERSATIONS_REPLY)
def send(scheduled: str) -> Response:
    """Send it at once; `seen` is the newest text from the customer that the page showed."""
    row = _decided_or_404(scheduled)
    with transaction():
        row.send_now(by=member(), seen=number("seen"))
    return _settled(row, "Sent.")


@bp.post("/scheduled/<scheduled>/cancel")
@requires(Permission.CONVERSATIONS_REPLY)
def cancel(scheduled: str) -> Response:
    """It will not leave: it is one's draft, above what was typed since."""
    row = _decided_or_404(scheduled)
    with transaction():
        if "body" in request.form:
            Draft.put(row.conversation, request.form["body"], by=member())
        row.cancel(by=member())
    if not is_fragment():
        return _settled(row, "Canceled. The text is your draft in the conversation.")
    pane = screens.conversation_pane(row.conversation, member(), auto=False, fence=number("fence"))
    response = fragment(
        "scheduled/canceled.oob.html", c=pane, conversation=row.conversation, strip=pane.strip, id=row.conversation.public_id, args=screens.page_args(),
        sentence="Canceled. It is your draft again.", toast_icon="clock",
    )
    response.headers["HX-Trigger"] = "decided"
    return response


@bp.post("/scheduled/<scheduled>/dismiss")
@requires(Permission.CONVERSATIONS_REPLY)
def dismiss(scheduled: str) -> Response:
    """What was dropped goes."""
    row = _decided_or_404(scheduled)
    with transaction():
        row.dismiss(by=member())
    return _settled(row, "Dismissed.")


def _decided_or_404(public_id: str) -> ScheduledMessage:
    """The text through the scope of its conversation, for those who decide about it."""
    row = db.session.scalar(ScheduledMessage.visible_to(member()).where(ScheduledMessage.public_id == public_id)) or abort(404)
    member().require(Permission.CONVERSATIONS_REPLY, on=row.conversation)
    if not row.may_be_decided_by(member()):
        raise Denied("Only its author, or somebody who may take over, decides about this text.")
    return row


def _form(row: ScheduledMessage, typed: dict[str, Any], refused: Refused | None = None) -> Response:
    keep = request.form.getlist("keep") if request.method == "POST" else [file.public_id for file in row.files]
    version = number("version") if request.method == "POST" else row.version
    return either(
        "scheduled/edit.html", "scheduled/_edit.html", refused.status if refused else 200, row=row, conversation=row.conversation, typed=typed, refused=refused, keep=keep,
        version=version, to=url_for("scheduled.update", scheduled=row.public_id), back=_back(row), from_list=request.values.get("from", ""), **offered(),
    )


def _back(row: ScheduledMessage) -> str:
    """Where somebody came from: a list, or the conversation."""
    came = {"mine": "scheduled.index", "all": "scheduled.index_all"}.get(request.values.get("from", ""))
    return url_for(came) if came else back_to(row.conversation)


def _settled(row: ScheduledMessage, sentence: str) -> Response:
    if not is_fragment() or request.values.get("from"):
        flash(sentence)
        return go(_back(row))
    found = row.conversation
    thread = screens.one(screens.message_with_author(row.message_id) or abort(404)) if row.message_id and row.state == "sent" else []
    strip = screens.strip(found, member(), fence=number("fence"))
    response = fragment("scheduled/settled.oob.html", conversation=found, scheduled=ScheduledMessage.of(found), sentence=sentence, toast_icon="clock", thread=thread, strip=strip)
    response.headers["HX-Trigger"] = "decided"
    return response
