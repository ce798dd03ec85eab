"""The pictures of people, for members of the same account."""

from __future__ import annotations

import io

import sqlalchemy as sa
from flask import Blueprint, Response, abort, send_file
from sqlalchemy.orm import InstrumentedAttribute

from inbox import media
from inbox.models import Member, db
from inbox.views.access import member, signed_in
from inbox.views.uploads import portraits

bp = Blueprint("pictures", __name__)
SANDBOX = "default-src 'none'; img-src 'self'; sandbox"


@bp.get("/pictures/<picture>")
@signed_in
def large(picture: str) -> Response:
    return _send(picture, Member.picture_sha256)


@bp.get("/pictures/<picture>/small")
@signed_in
def small(picture: str) -> Response:
    return _send(picture, Member.picture_small_sha256)


def _send(picture: str, column: InstrumentedAttribute[str | None]) -> Response:
    """The file, when somebody of the reader's account shows it; its address changes with the picture."""
    sha256 = db.session.scalar(sa.select(column).where(Member.picture_id == picture, Member.account_id == member().account_id)) or abort(404)
    try:
        with media.open_stored(portraits(), sha256) as file:
            data = file.read()
    except FileNotFoundError:
        abort(404)
    response = send_file(io.BytesIO(data), mimetype="image/webp", download_name=f"{picture}.webp", etag=picture, conditional=True)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "private, max-age=604800, immutable"
    return response
