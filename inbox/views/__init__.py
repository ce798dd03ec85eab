"""The routes: one module per resource; every module here that has a blueprint `bp` is registered."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from flask import Flask


def register(app: Flask) -> None:
    """Register the blueprints, the access rules, the error pages and the template helpers."""
    from inbox.views import access, helpers, hypermedia

    for info in pkgutil.iter_modules(__path__):
        bp = getattr(import_module(f"inbox.views.{info.name}"), "bp", None)
        if bp is not None:
            app.register_blueprint(bp)
    access.register(app)
    hypermedia.register(app)
    helpers.register(app)
