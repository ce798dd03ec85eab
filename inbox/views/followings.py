"""Who follows a conversation, asking a teammate for help, and whom a note can name."""

from __future__ import annotations

from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox.models import Conversation, Denied, Following, Member, Refused, transaction
from inbox.models import mention as mentions
from inbox.permissions import Permission
from inbox.views import screens
from inbox.views.access import conversation_or_404, member, member_or_404, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import either, fragment, is_fragment

bp = Blueprint("followings", __name__)


@bp.app_template_global("follows")
def follows(conversation: Conversation) -> bool:
    """Whether the reader follows."""
    return Following.is_by(conversation, member())


@bp.post("/c/<conversation>/following")
@requires(Permission.CONVERSATIONS_NOTE)
def update(conversation: str) -> Response:
    """Follow, or end it (`value` is end): oneself, or the `member` that is named."""
    found, value = conversation_or_404(conversation), request.form.get("value", "follow")
    if value not in ("follow", "end"):
        abort(400, "A conversation can be followed, or not any more.")
    named = request.form.get("member", "")
    who = member_or_404(named) if named else member()
    with transaction():
        if value == "follow":
            Following.add(found, who, by=member())
        else:
            Following.end(found, who, by=member())
    sentence = _words(who, value)
    if not is_fragment():
        flash(sentence)
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return fragment("followings/changed.oob.html", conversation=found, followers=Following.of(found), sentence=sentence, toast_icon="bell", args=screens.page_args())


def _words(who: Member, value: str) -> str:
    if who.id == member().id:
        return "You follow this now." if value == "follow" else "You no longer follow this."
    return f"{who.name} follows this now." if value == "follow" else f"{who.name} no longer follows this."


@bp.get("/c/<conversation>/help")
@requires(Permission.CONVERSATIONS_NOTE)
def new(conversation: str) -> Response:
    """Ask whom, and what about."""
    return _ask(conversation_or_404(conversation))


@bp.post("/c/<conversation>/help")
@requires(Permission.CONVERSATIONS_NOTE)
def create(conversation: str) -> Response:
    """Write the question as a note that names the teammate, who follows from now on."""
    found = conversation_or_404(conversation)
    to = next((m for m in _people(found) if m.public_id == request.form.get("to")), None)
    try:
        if to is None:
            raise Refused("Choose a teammate from the list.", field="to")
        with transaction():
            note = Following.ask_for_help(found, to, request.form.get("about", ""), by=member(), nonce=request.form.get("nonce"))
    except Refused as refused:
        if isinstance(refused, Denied):
            raise
        return _ask(found, refused)
    sentence = f"{to.name} is asked, and follows from now on."
    if not is_fragment():
        flash(sentence)
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    drawn = screens.one(screens.message_with_author(note.id) or note)
    return fragment("followings/asked.oob.html", 201, conversation=found, thread=drawn, followers=Following.of(found), sentence=sentence, toast_icon="hand")


@bp.get("/c/<conversation>/people")
@requires(Permission.CONVERSATIONS_NOTE)
def people(conversation: str) -> Response:
    """Whom a note could name after these letters."""
    found = conversation_or_404(conversation)
    if not is_fragment():
        return redirect(url_for("conversations.show", conversation=found.public_id), 303)  # type: ignore[return-value]
    return fragment("followings/_people.html", choices=mentions.choices(found, request.args.get("q", "")[:60]))


def _people(found: Conversation) -> list[Member]:
    """The teammates who can read here."""
    return [m for m in Member.with_reach(found.account_id) if m.id != member().id and m.can(Permission.CONVERSATIONS_VIEW, on=found)]


def _ask(found: Conversation, refused: Refused | None = None) -> Response:
    typed = {"to": request.form.get("to", ""), "about": request.form.get("about", "")}
    return either("followings/help.html", "followings/_help.html", refused.status if refused else 200, conversation=found, people=_people(found), refused=refused, typed=typed)
