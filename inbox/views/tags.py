"""The account's tags: make, rename, colour, merge, delete (TOOL-3)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, request, url_for

from inbox.models import Refused, Tag, db, transaction
from inbox.models.contact import HUES
from inbox.permissions import Permission
from inbox.views.access import member, requires
from inbox.views.helpers import number
from inbox.views.hypermedia import go, page

bp = Blueprint("tags", __name__)


def conversations(count: int) -> str:
    """12 conversations; counted up to a hundred."""
    return "1 conversation" if count == 1 else "more than 99 conversations" if count > 99 else f"{number(count)} conversations"


bp.add_app_template_global(conversations, "conversations")


@bp.get("/settings/tags")
@requires(Permission.TAGS_MANAGE)
def index() -> Response:
    return _index()


@bp.post("/settings/tags")
@requires(Permission.TAGS_MANAGE)
def create() -> Response:
    name, hue = request.form.get("name", ""), request.form.get("hue", "")
    if Tag.named(member().account_id, name) is not None:
        return _index(422, problem="There is a tag of that name already.", name=name, hue=hue)
    try:
        with transaction():
            tag = Tag.create(name, hue, by=member())
    except Refused as refused:
        if refused.status != 422:
            raise
        return _index(422, problem=refused.sentence, name=name, hue=hue)
    flash(f"{tag.name} is there. Press T in a conversation to use it.")
    return go(url_for("tags.index"))


@bp.get("/settings/tags/<tag>")
@requires(Permission.TAGS_MANAGE)
def edit(tag: str) -> Response:
    return _edit(_tag_or_404(tag))


@bp.post("/settings/tags/<tag>")
@requires(Permission.TAGS_MANAGE)
def update(tag: str) -> Response:
    """Another name or colour."""
    found, name, hue = _tag_or_404(tag), request.form.get("name", ""), request.form.get("hue", "")
    try:
        with transaction():
            found.edit(name, hue, by=member())
    except Refused as refused:
        if refused.status != 422:
            raise
        return _edit(found, 422, problem=refused.sentence, at=refused.field, name=name, hue=hue)
    flash("Saved.")
    return go(url_for("tags.index"))


@bp.post("/settings/tags/<tag>/merge")
@requires(Permission.TAGS_MANAGE)
def merge(tag: str) -> Response:
    """Put the tag `into` wherever this one is, and remove this one."""
    found, asked = _tag_or_404(tag), request.form.get("into", "")
    try:
        into = next((other for other in Tag.of(found.account_id) if other.public_id == asked), None)
        if into is None:
            raise Refused("Choose the tag to merge into.", field="into")
        before = found.name
        with transaction():
            moved = found.merge_into(into, by=member())
    except Refused as refused:
        if refused.status != 422:
            raise
        return _edit(found, 422, problem=refused.sentence, at="into")
    flash(f"{before} is part of {into.name} now. It was on {_exactly(moved)}.")
    return go(url_for("tags.index"))


@bp.post("/settings/tags/<tag>/delete")
@requires(Permission.TAGS_MANAGE)
def destroy(tag: str) -> Response:
    found = _tag_or_404(tag)
    name = found.name
    with transaction():
        gone = found.destroy(by=member())
    flash(f"{name} is deleted. It was on {_exactly(gone)}.")
    return go(url_for("tags.index"))


def _exactly(count: int) -> str:
    return f"{number(count)} {'conversation' if count == 1 else 'conversations'}"


def _tag_or_404(public_id: str) -> Tag:
    return db.session.scalar(sa.select(Tag).where(Tag.public_id == public_id, Tag.account_id == member().account_id)) or abort(404)


def _index(status: int = 200, **typed: Any) -> Response:
    tags = Tag.of(member().account_id)
    context = {"name": "", "hue": HUES[len(tags) % len(HUES)], "problem": "", **typed}
    return page("tags/index.html", status, tags=tags, uses=Tag.use_counts([tag.id for tag in tags]), hues=HUES, **context)


def _edit(found: Tag, status: int = 200, **typed: Any) -> Response:
    others = [tag for tag in Tag.of(found.account_id) if tag.id != found.id]
    context = {"name": found.name, "hue": found.hue, "problem": "", "at": "", **typed}
    return page("tags/edit.html", status, tag=found, others=others, uses=found.uses, hues=HUES, **context)
