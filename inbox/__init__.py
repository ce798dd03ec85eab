"""The shared inbox: create_app() composes it and does no I/O."""

from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from inbox import assets, logs, sockets
from inbox import config as settings_module
from inbox.config import Settings

STATIC = assets.STATIC


def create_app(settings: Settings | None = None, **overrides: Any) -> Flask:
    """Build the Flask app from `settings` (the environment's by default); `overrides` set Flask config keys, for tests."""
    settings = settings or settings_module.load()
    app = Flask(__name__, static_folder=None)
    app.config.update(_flask_config(settings), **overrides)
    app.config["SETTINGS"] = settings
    logging.basicConfig(level=settings.log_level, format="%(levelname)s %(name)s: %(message)s")
    logs.keep_personal_data_out()
    os.environ.setdefault("RQ_KEY_PREFIX", settings.rq_key_prefix)

    from inbox import extensions
    from inbox.models import carrier, secret

    secret.use_keys(settings.encryption_key)
    carrier.allow_private([each for each in settings.trusted_carriers.split(",") if each])
    app.after_request(assets.for_everybody)  # the first here is the last to run
    extensions.htmx.init_app(app)
    extensions.db.init_app(app)
    with app.app_context():
        extensions.configure_engine(extensions.db.engine)
    extensions.migrate.init_app(app, extensions.db, directory=str(Path(__file__).parent / "migrations"), render_as_batch=True)
    extensions.redis.init_app(app)
    extensions.login.init_app(app)
    extensions.csrf.init_app(app)
    extensions.limiter.init_app(app)
    extensions.mail.init_app(app)
    extensions.sock.init_app(app)

    from inbox import cli, views
    from inbox.views import personal

    views.register(app)
    cli.register(app)
    app.wsgi_app = _uncompressed_sockets(ProxyFix(app.wsgi_app, x_for=app.config["PROXIES"], x_proto=app.config["PROXIES"], x_host=0))  # type: ignore[method-assign]
    assets.register(app)
    app.after_request(_headers)
    app.after_request(_compressed)
    app.after_request(personal.covered)  # the last here is the first to run: before anything is packed
    return app


def _flask_config(settings: Settings) -> dict[str, Any]:
    https = settings.public_url.startswith("https://")
    return {
        "SECRET_KEY": settings.secret_key,
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": (
            {"connect_args": {"timeout": 10, "check_same_thread": False}}
            if settings.database_url.startswith("sqlite")
            else {"pool_size": 10, "max_overflow": 20, "pool_timeout": 10, "pool_pre_ping": True}
        ),
        "REDIS_URL": settings.redis_url,
        "RATELIMIT_STORAGE_URI": settings.redis_url.replace("unix://", "redis+unix://", 1) if settings.redis_url.startswith("unix://") else settings.redis_url,
        "RATELIMIT_STORAGE_OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "RATELIMIT_KEY_PREFIX": "inbox",
        "RATELIMIT_HEADERS_ENABLED": False,
        "SESSION_COOKIE_NAME": "__Host-session" if https else "session",
        "SESSION_COOKIE_SECURE": https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": 30 * 86400,
        "SESSION_REFRESH_EACH_REQUEST": False,  # two answers that cross must not bring an older token back
        "WTF_CSRF_TIME_LIMIT": None,
        "WTF_CSRF_SSL_STRICT": False,
        "MAX_CONTENT_LENGTH": 64 * 1024 * 1024,
        "MAX_FORM_MEMORY_SIZE": 2 * 1024 * 1024,
        "MAX_FORM_PARTS": 2000,
        "SOCK_SERVER_OPTIONS": {"thread_class": sockets.Unstarted},  # after the handshake a socket is watched with all others
        "PUBLIC_URL": settings.public_url,
        "MEDIA_ROOT": settings.data_dir / "media",
        "MAIL_FOLDER": settings.data_dir / "mail",
        "MAIL_SERVER": settings.mail_server,
        "MAIL_PORT": settings.mail_port,
        "MAIL_USERNAME": settings.mail_username or None,
        "MAIL_PASSWORD": settings.mail_password or None,
        "MAIL_USE_TLS": settings.mail_use_tls,
        "MAIL_DEFAULT_SENDER": settings.mail_sender,
        "SIGNUP_OPEN": settings.signup_open,
        "TRUSTED_ISSUERS": [each for each in settings.trusted_issuers.split(",") if each],
        "SANDBOX_URL": settings.sandbox_url if settings.sandboxed else "",
        "PROXIES": int(os.environ.get("TRUSTED_PROXIES", "0")),
        "DEMO_FILE": settings.data_dir / "demo.json",
        "CARRIER": {
            "account_sid": settings.twilio_account_sid,
            "auth_token": settings.twilio_auth_token,
            "api_base": settings.twilio_api_base,
            "messaging_base": settings.twilio_messaging_base,
            "trusthub_base": settings.twilio_trusthub_base,
            "trusted": settings.sandboxed,
            "public_url": settings.public_url,
        },
    }


def _uncompressed_sockets(wsgi: Any) -> Any:
    """Compression costs 100 KB a socket and every browser offers it: decline."""

    def middleware(environ: dict[str, Any], start_response: Any) -> Any:
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        return wsgi(environ, start_response)

    return middleware


def _compressed(response: Response) -> Response:
    """Pack answers of more than half a kilobyte; other sites cannot make a browser ask for ours with its cookie (SameSite), so nobody can probe their size."""
    wanted = request.accept_encodings["gzip"] and response.mimetype in assets.TEXT and not response.direct_passthrough
    if wanted and "Content-Encoding" not in response.headers and response.status_code not in (204, 304) and (response.content_length or 0) > 500:
        response.set_data(gzip.compress(response.get_data(), 4))
        response.headers["Content-Encoding"] = "gzip"
        response.vary.add("Accept-Encoding")
    return response


CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; manifest-src 'self'; worker-src 'self'"
)


def _headers(response: Response) -> Response:
    """The same security headers on every answer, fragments and errors included (SECURITY S07); files of the pages bring their few."""
    if request.endpoint == "static" and response.status_code == 200:
        return response
    headers = response.headers
    headers.setdefault("Content-Security-Policy", CSP)
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Referrer-Policy", "same-origin")
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(self), microphone=(self), geolocation=(), clipboard-write=(self)"
    headers.setdefault("Cache-Control", "no-store")
    response.vary.update(("Cookie", "HX-Request"))
    if request.is_secure:
        headers["Strict-Transport-Security"] = "max-age=63072000; includeSubDomains"
    return response
