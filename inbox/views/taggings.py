"""Tags of a conversation: put on, taken off."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, flash, redirect, request

from inbox.models import Conversation, Refused, Tag, transaction
from inbox.models.tag import fold
from inbox.permissions import Permission
from inbox.views.access import conversation_or_404, member, requires
from inbox.views.conversations import back_to
from inbox.views.hypermedia import either, fragment, is_fragment, page

bp = Blueprint("taggings", __name__)
SHOWN = 40  # tags offered at once; typing finds the others


@bp.get("/c/<conversation>/tags")
@requires(Permission.CONVERSATIONS_NOTE)
def edit(conversation: str) -> Response:
    """The tags this conversation can have; with `name`, those whose name holds it."""
    found = _mine_or_403(conversation)
    if is_fragment() and "name" in request.args:
        return fragment("tags/_picks.html", **_context(found, request.args["name"]))
    return either("tags/choose.html", "tags/_choose.html", **_context(found, request.args.get("name", "")))


@bp.post("/c/<conversation>/tags")
@requires(Permission.CONVERSATIONS_NOTE)
def create(conversation: str) -> Response:
    """Put on the tag `tag`, or the one called `name`, which is made where the member may make tags."""
    found, name = _mine_or_403(conversation), request.form.get("name", "")
    try:
        with transaction():
            found.tag(_chosen(name), by=member())
    except Refused as refused:
        if refused.status != 422 or is_fragment():
            raise
        return page("tags/choose.html", 422, problem=refused.sentence, **_context(found, name))
    return _answer(found)


@bp.post("/c/<conversation>/tags/off")
@requires(Permission.CONVERSATIONS_NOTE)
def destroy(conversation: str) -> Response:
    """Take the tag `tag` off."""
    found = _mine_or_403(conversation)
    with transaction():
        found.untag(_chosen(""), by=member())
    return _answer(found)


def _chosen(name: str) -> Tag:
    who = member()
    if name.strip():
        known = Tag.named(who.account_id, name)
        if known is None and not who.can(Permission.TAGS_MANAGE):
            raise Refused("There is no tag of that name. Choose one from the list.", field="name")
        return known or Tag.create(name, by=who)
    asked = request.form.get("tag", "")
    tag = next((tag for tag in Tag.of(who.account_id) if tag.public_id == asked), None)
    if tag is None:
        raise Refused("Choose a tag from the list.", field="name")
    return tag


def _context(found: Conversation, name: str) -> dict[str, Any]:
    who, words = member(), fold(" ".join(name.split()))
    tags, mine = Tag.of(who.account_id), {tag.id for tag in found.tags}
    fitting = [tag for tag in tags if words in tag.key]
    fitting.sort(key=lambda tag: tag.id not in mine)
    new = " ".join(name.split()) if words and not any(tag.key == words for tag in tags) and who.can(Permission.TAGS_MANAGE) else ""
    return {"conversation": found, "tags": fitting[:SHOWN], "mine": mine, "name": name, "new": new, "none": not tags}


def _mine_or_403(public_id: str) -> Conversation:
    found = conversation_or_404(public_id)
    member().require(Permission.CONVERSATIONS_NOTE, on=found)
    return found


def _answer(found: Conversation) -> Response:
    if not is_fragment():
        flash("Tags changed.")
        return redirect(back_to(found), 303)  # type: ignore[return-value]
    return fragment("conversations/head.oob.html", conversation=found, sentence="")
