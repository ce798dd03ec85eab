"""Builds the sandbox carrier's WSGI app."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import socket
import time
from typing import Any

from flask import Flask, Response, current_app, g, jsonify, request
from werkzeug.exceptions import HTTPException

from . import control, messages, pages, registration, senders, trusthub, voice
from .carrier import Carrier
from .clock import rfc2822
from .store import Store
from .wire import Refusal, carrier, error_body
from .worker import Worker

log = logging.getLogger(__name__)
API_PREFIXES = ("/2010-04-01/", "/v1/")
MAX_BODY = 60_000_000


def create_sandbox(
    state_path: str | None = None, account_sid: str | None = None, auth_token: str | None = None
) -> Flask:
    """The carrier, with its state in a file; what is not given comes from the environment."""
    path = state_path or os.path.join(os.environ.get("INBOX_DATA") or "instance", "sandbox.db")
    store = Store(path)
    sid, token = _credentials(store, account_sid, auth_token)
    port = os.environ.get("SANDBOX_PORT") or str(int(os.environ.get("PORT") or "8000") + 1)
    base_url = (os.environ.get("SANDBOX_URL") or f"http://127.0.0.1:{port}").rstrip("/")
    review = "fast" if os.environ.get("SANDBOX_FAST_REVIEW") == "1" else "minutes"
    here = Carrier(store, sid, token, base_url, review)
    worker = Worker(here)

    app = Flask(__name__, static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.extensions["sandbox"] = here
    app.extensions["sandbox_worker"] = worker
    app.before_request(_before)
    app.after_request(_after)
    app.register_error_handler(Refusal, _refused)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _failed)
    for blueprint in (messages.bp, senders.bp, senders.services, registration.bp, trusthub.bp, voice.bp, control.bp,
                      pages.bp):
        app.register_blueprint(blueprint)
    app.add_url_rule("/2010-04-01/Accounts/<account>.json", "account", _account)
    app.add_url_rule("/storage/<media>", "storage", _storage)
    if worker.counts()["noted"]:
        worker.start()
    return app


def close_sandbox(app: Flask) -> None:
    """Stop the worker and let go of the state file; what is still to do stays in it."""
    app.extensions["sandbox_worker"].stop()
    app.extensions["sandbox"].store.close()


def _credentials(store: Store, account_sid: str | None, auth_token: str | None) -> tuple[str, str]:
    sid = account_sid or os.environ.get("TWILIO_ACCOUNT_SID")
    token = auth_token or os.environ.get("TWILIO_AUTH_TOKEN")
    if sid and token:
        return sid, token
    kept: dict[str, str] = store.setting("credentials") or {"sid": "AC" + secrets.token_hex(16),
                                                            "token": secrets.token_hex(16)}
    store.set("credentials", kept)
    return sid or kept["sid"], token or kept["token"]


# ── around every request ─────────────────────────────────────────────────────────────────────────────────────────


def _before() -> Response | None:
    worker: Worker = request_worker()
    worker.start()
    if request.path.startswith(API_PREFIXES):
        _authenticate()
        return _strike_before()
    return None


def request_worker() -> Worker:
    worker: Worker = current_app.extensions["sandbox_worker"]
    return worker


def _authenticate() -> None:
    here, given = carrier(), request.authorization
    user = (given.username or "") if given and given.type == "basic" else ""
    password = (given.password or "") if given and given.type == "basic" else ""
    right = hmac.compare_digest(user.encode(), here.account_sid.encode())
    right &= hmac.compare_digest(password.encode(), here.auth_token.encode())
    account = (request.view_args or {}).get("account", here.account_sid)
    if not right or account != here.account_sid:
        raise Refusal(401, 20003, "Authenticate")


def _strike_before() -> Response | None:
    """Faults that strike before a request is looked at."""
    here, target = carrier(), f"{request.method} {request.path}"
    latency = here.fault("latency", target)
    if latency:
        here.pause(float(latency.get("seconds", 1)))
    if here.fault("drop", target):
        _hang_up()
        return Response(status=503)
    if here.fault("429", target):
        raise Refusal(429, 20429, "Too Many Requests")
    if here.fault("500", target):
        raise Refusal(500, 20500, "An internal server error has occurred")
    other = here.fault("api_error", target)
    if other:
        raise Refusal(int(other.get("status", 400)), int(other.get("code", 20001)),
                      str(other.get("message", "The request was refused")))
    return None


def _after(response: Response) -> Response:
    if request.path.startswith(API_PREFIXES):
        _strike_after(response)
        response.headers["Twilio-Request-Id"] = "RQ" + secrets.token_hex(16)
    else:
        response.headers.setdefault("Content-Security-Policy", (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
            " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ))
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if not request.path.startswith("/static/"):
            response.headers["Cache-Control"] = "no-store"
    return response


def _strike_after(response: Response) -> None:
    """Faults that strike when the work is done but the answer is not out."""
    here, target = carrier(), f"{request.method} {request.path}"
    if request.method != "POST" or response.status_code >= 400:
        return
    if "/Messages.json" in request.path and here.fault("early_receipt", target):
        _wait_for_receipt(here, (response.get_json(silent=True) or {}).get("sid", ""))
    if here.fault("500_after", target):
        response.status_code = 500
        response.set_data(jsonify(error_body(Refusal(500, 20500, "An internal server error has occurred"))).get_data())
        return
    slow = here.fault("timeout", target)
    if slow:
        here.pause(float(slow.get("seconds", 30)))
        _hang_up()


def _wait_for_receipt(here: Carrier, sid: str) -> None:
    """Hold the answer back until the text was delivered and its receipt posted (five seconds at most)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and not here.stopping.is_set():
        here.pause(0.02)
        left = here.store.row("SELECT 1 FROM due WHERE lane = ?", sid)
        if left is None:
            return


def _hang_up() -> None:
    """Cut the connection without an answer."""
    held: Any = request.environ.get("werkzeug.socket") or request.environ.get("gunicorn.socket")
    if held is not None:
        try:
            held.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    g.hung_up = True


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _refused(refusal: Refusal) -> Response:
    if request.path.startswith((*API_PREFIXES, "/__sim/", "/storage/")):
        response = jsonify(error_body(refusal))
        response.status_code = refusal.status
        if refusal.status == 401:
            response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
        if refusal.status == 429:
            response.headers["Retry-After"] = "1"
        return response
    return pages.problem(refusal.status, refusal.message)


def _http_error(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if status < 400:
        return error
    texts = {404: f"The requested resource {request.path} was not found",
             405: f"Method {request.method} is not allowed here", 413: "That is too much data at once"}
    codes = {404: 20404, 405: 20004}
    if request.path.startswith(API_PREFIXES) and status in (404, 405):
        try:
            _authenticate()
        except Refusal as refusal:
            return _refused(refusal)
    return _refused(Refusal(status, codes.get(status, 20001), texts.get(status, error.description or "Bad request")))


def _failed(error: Exception) -> Response:
    log.exception("sandbox request failed: %s", request.path)
    return _refused(Refusal(500, 20500, "An internal server error has occurred"))


# ── small resources ──────────────────────────────────────────────────────────────────────────────────────────────


def _account(account: str) -> Response:
    here = carrier()
    now = rfc2822(here.clock.now())
    return jsonify({
        "sid": here.account_sid, "friendly_name": "Sandbox carrier", "status": "active", "type": "Full",
        "owner_account_sid": here.account_sid, "date_created": now, "date_updated": now,
        "uri": f"/2010-04-01/Accounts/{here.account_sid}.json", "subresource_uris": {},
    })


def _storage(media: str) -> Response:
    """Where media redirects lead: no credentials wanted, as on a storage host."""
    return messages.stored(carrier(), media)
