"""GET /healthz: whether everything runs, for the supervisor and for monitors."""

from __future__ import annotations

import sqlalchemy as sa
from flask import Blueprint, Response, current_app, jsonify

from inbox import heartbeat
from inbox.extensions import db
from inbox.views.access import public

bp = Blueprint("health", __name__)


@bp.route("/healthz")
@public
def show() -> tuple[Response, int]:
    """200 when database, Redis, a worker and the scheduler live; else 503 with what is missing."""
    found: dict[str, object] = {"database": _database(), "redis": "down", "workers": 0, "scheduler": "down"}
    try:
        found.update(redis="ok", workers=heartbeat.alive("worker"), scheduler="ok" if heartbeat.alive("scheduler") else "down")
    except Exception as error:
        found["redis"] = "down"
        current_app.logger.debug("redis: %s", error)
    well = found["database"] == found["redis"] == found["scheduler"] == "ok" and found["workers"] != 0
    response = jsonify({"status": "ok" if well else "down", **found})
    response.headers["Cache-Control"] = "no-store"
    return response, 200 if well else 503


def _database() -> str:
    try:
        db.session.execute(sa.text("SELECT 1"))
    except Exception as error:
        current_app.logger.debug("database: %s", error)
        return "down"
    finally:
        db.session.remove()
    return "ok"


