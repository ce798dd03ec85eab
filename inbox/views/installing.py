"""The product as an app of its own on a device: what it is called and looks like there, and the page for when it is offline."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, url_for

from inbox.assets import address
from inbox.views.access import public

bp = Blueprint("installing", __name__)


@bp.get("/manifest.webmanifest")
@public
def manifest() -> Response:
    """Name, icons and shortcuts for browsers that install pages."""
    answer = jsonify(
        id="/",
        name="Shared inbox",
        short_name="Inbox",
        description="Your team’s texts in one place.",
        lang="en",
        dir="ltr",
        start_url=url_for("home.index"),
        scope="/",
        display="standalone",
        background_color="#f6f4f1",
        theme_color="#f6f4f1",
        icons=[
            _icon("icon.svg", "any", "any", "image/svg+xml"),
            _icon("icon-192.png", "192x192"),
            _icon("icon-512.png", "512x512"),
            _icon("icon-maskable.png", "512x512", "maskable"),
        ],
        shortcuts=[{"name": "Compose", "url": url_for("compose.new")}, {"name": "My work", "url": url_for("work.mine")}],
    )
    answer.mimetype = "application/manifest+json"
    answer.headers["Cache-Control"] = "private, max-age=86400"
    return answer


@bp.get("/offline")
@public
def offline() -> Response:
    """What a device shows without a connection for a page it did not keep: nobody's, so that everybody may have it."""
    return make_response(render_template("installing/offline.html", me=None))


def _icon(name: str, sizes: str, purpose: str = "any", kind: str = "image/png") -> dict[str, Any]:
    return {"src": address(name), "sizes": sizes, "type": kind, "purpose": purpose}
