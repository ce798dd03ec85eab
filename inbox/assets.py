"""The files of the pages: made small once, served packed, kept by browsers for ever under addresses that change with the content."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from functools import cache
from mimetypes import guess_type
from pathlib import Path

from flask import Flask, Response, abort, current_app, request, session, url_for

from inbox import minify

STATIC = Path(__file__).parent / "static"
BUNDLES = {"htmx.js": ("vendor/htmx.min.js", "vendor/hx-ws.min.js")}  # always fetched together: one request
TEXT = {"text/html", "text/css", "text/javascript", "image/svg+xml", "application/json", "application/manifest+json"}
SHELL = ("app.css", "htmx.js", "app.js", "offline.js", "icons.svg", "inter.woff2", "favicon.svg")  # what a list needs without a connection
POLICY = "default-src 'none'"  # nothing here is a page; a worker of ours only counts


def register(app: Flask) -> None:
    from inbox.views.access import public

    app.add_url_rule("/static/<version>/<path:path>", "static", public(static))
    app.jinja_env.globals["asset"] = address


def address(path: str) -> str:
    """Where a browser finds the file as it is now."""
    if current_app.debug:
        for known_so_far in (version, plain, packed):
            known_so_far.cache_clear()
    return url_for("static", version=version(path), path=path)


def static(version: str, path: str) -> Response:
    """One file, whatever version is asked for: an old page that is still open gets today's."""
    if not known(path):
        abort(404)
    kind = guess_type(path)[0] or "application/octet-stream"
    response = Response(plain(path), mimetype=kind)
    if kind in TEXT:
        response.vary.add("Accept-Encoding")
        if request.accept_encodings["gzip"]:
            response.set_data(packed(path))
            response.headers["Content-Encoding"] = "gzip"
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def for_everybody(response: Response) -> Response:
    """Nobody's cookie counts for a file: signing in must not make browsers fetch them again."""
    if request.endpoint == "static":
        session.accessed = False
    return response


@cache
def known(path: str) -> bool:
    """Whether there is such a file; never one outside the folder."""
    file = STATIC / path
    return path in BUNDLES or (file.is_file() and STATIC in file.resolve().parents)


@cache
def version(path: str) -> str:
    """Ten digits of the content; one version for all modules, because they load each other by name."""
    parts = sorted(each.name for each in STATIC.glob("*.js")) if path.endswith(".js") and "/" not in path else [path]
    return hashlib.sha256(b"".join(plain(part) for part in parts + [path] * (path in BUNDLES))).hexdigest()[:10]


@cache
def plain(path: str) -> bytes:
    if path in BUNDLES:
        return b"\n".join((STATIC / part).read_bytes() for part in BUNDLES[path])
    content = (STATIC / path).read_bytes()
    if path.startswith("vendor/"):
        return content
    if path == "icons.svg":
        return _used_icons(content.decode()).encode()
    small = {".js": minify.script, ".css": minify.style}.get(Path(path).suffix)
    return small(content.decode()).encode() if small else content


@cache
def packed(path: str) -> bytes:
    return gzip.compress(plain(path), 9, mtime=0)


def worker() -> str:
    """The service worker, told which files to keep: its text changes with any of them, which is how browsers notice."""
    files = [address(path) for path in SHELL]
    mark = hashlib.sha256(" ".join(files).encode()).hexdigest()[:10]
    return f"const VERSION={json.dumps(mark)},SHELL={json.dumps(files)};\n{plain('sw.js').decode()}"


def _used_icons(sprite: str) -> str:
    """The sprite without the symbols that no template, view or script names."""
    sources = [*STATIC.parent.glob("templates/**/*.html"), *STATIC.parent.glob("**/*.py"), *STATIC.glob("*.js")]
    named = set(re.findall(r"""["'#]([a-z][a-z0-9-]*)["']""", "\n".join(each.read_text() for each in sources)))
    return re.sub(r'<symbol id="([^"]+)".*?</symbol>', lambda m: m[0] if m[1] in named else "", sprite, flags=re.S)
