"""The routes: one module per resource, registered here."""

from __future__ import annotations

from importlib import import_module

from flask import Flask

MODULES = (
    "archivals", "assignments", "attachments", "contacts", "conversations", "compose", "drafts", "get_started", "health", "home", "hooks", "imports",
    "inboxes", "invitations", "live", "locks", "messages", "members", "profile", "readings", "registrations", "sessions", "welcome",
)


def register(app: Flask) -> None:
    """Register every view module's blueprint `bp`, the access rules, the error pages and the template helpers."""
    from inbox.views import access, helpers, hypermedia

    for name in MODULES:
        module = import_module(f"inbox.views.{name}")
        app.register_blueprint(module.bp)
    access.register(app)
    hypermedia.register(app)
    helpers.register(app)
