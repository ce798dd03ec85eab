"""Reads every HTML answer of every test and fails on what no page may do."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import html5lib
from flask.testing import FlaskClient

from inbox.extensions import db

NS = "{http://www.w3.org/1999/xhtml}"
# html5lib predates custom elements' void use and colons in attribute names; everything else it says is a fault.
TOLERATED = {"expected-doctype-but-got-start-tag", "expected-doctype-but-got-chars", "expected-doctype-but-got-eof", "invalid-character-in-attribute-name"}
UNLABELLED = {"hidden", "submit", "button", "reset", "image"}


class Fault(AssertionError):
    """A page broke a rule; the text says which and where."""


def check(html: str, *, whole: bool, where: str = "") -> Element:
    """Check one page (or fragment) and return its tree; raises Fault."""
    parser = html5lib.HTMLParser(namespaceHTMLElements=True)
    tree: Any = parser.parse(html) if whole else parser.parseFragment(_without_table_parts(html))
    errors = [e for e in parser.errors if e[1] not in TOLERATED]
    if errors:
        raise Fault(f"{where}: not valid HTML: {errors[0]}")
    every = [e for e in tree.iter() if isinstance(e.tag, str)]
    _ids(every, where)
    _no_inline(every, where)
    _forms(every, where)
    _labels(every, where)
    _names(every, where)
    if whole:
        headings = [e for e in every if e.tag == NS + "h1"]
        if len(headings) != 1:
            raise Fault(f"{where}: {len(headings)} h1 elements")
        title = next((e for e in every if e.tag == NS + "title"), None)
        if title is None or not (title.text or "").strip():
            raise Fault(f"{where}: no title")
        mains = [e for e in every if e.tag == NS + "main"]
        if len(mains) != 1:
            raise Fault(f"{where}: {len(mains)} main elements")
    return tree


def _without_table_parts(html: str) -> str:
    return f"<table>{html}</table>" if html.lstrip().startswith(("<tr", "<tbody")) else html


def _ids(every: list[Element], where: str) -> None:
    seen: set[str] = set()
    for element in every:
        name = element.get("id")
        if name is not None and (name in seen or not name.strip() or " " in name):
            raise Fault(f"{where}: id {name!r} twice or odd")
        if name:
            seen.add(name)


def _no_inline(every: list[Element], where: str) -> None:
    for element in every:
        if element.tag == NS + "style" or "style" in element.attrib:
            raise Fault(f"{where}: inline style on {element.tag}")
        if element.tag == NS + "script" and not element.get("src"):
            raise Fault(f"{where}: inline script")
        for name, value in element.attrib.items():
            if name.startswith(("on", "hx-on")) or (name in ("href", "src", "action") and value.strip().lower().startswith("javascript:")):
                raise Fault(f"{where}: inline handler {name}={value[:40]!r}")
            if name in ("href", "src", "action") and not value.strip() and element.tag != NS + "base":
                raise Fault(f"{where}: empty {name} on {element.tag}")


def _forms(every: list[Element], where: str) -> None:
    for form in (e for e in every if e.tag == NS + "form"):
        method = (form.get("method") or "").lower()
        if method == "dialog":
            continue
        if not form.get("action") or method not in ("get", "post"):
            raise Fault(f"{where}: a form without action or method: {form.attrib}")
        fields = [e for e in form.iter() if isinstance(e.tag, str)]
        if method == "post" and not any(e.get("name") == "csrf_token" for e in fields):
            raise Fault(f"{where}: {form.get('action')} posts without a CSRF token")


def _labels(every: list[Element], where: str) -> None:
    labelled = {e.get("for") for e in every if e.tag == NS + "label"}
    inside: set[int] = set()
    for label in (e for e in every if e.tag == NS + "label"):
        inside.update(id(e) for e in label.iter())
    for element in every:
        if element.tag not in (NS + "input", NS + "select", NS + "textarea") or element.get("type") in UNLABELLED:
            continue
        if element.get("form") and not labelled:
            continue
        if not (element.get("aria-label") or element.get("aria-labelledby") or element.get("id") in labelled or id(element) in inside):
            raise Fault(f"{where}: {element.get('name') or element.tag} has no label")


def _names(every: list[Element], where: str) -> None:
    for element in every:
        if element.tag not in (NS + "button", NS + "a"):
            continue
        words = "".join(element.itertext()).strip() or element.get("aria-label") or element.get("title")
        if not words and not any(e.get("alt") or e.get("aria-label") for e in element.iter()):
            raise Fault(f"{where}: a {element.tag.removeprefix(NS)} without a name: {element.attrib}")


class CheckedClient(FlaskClient):
    """The test client of the suite: checks every HTML answer; signs in and posts with the CSRF token for you."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        with self.application.app_context():  # as on a real server: a context, a session and a `g` of its own
            response = super().open(*args, **kwargs)
        db.session.rollback()
        db.session.expire_all()
        if response.mimetype == "text/html" and response.status_code not in (204, 301, 302, 303, 304, 307, 308) and response.get_data():
            request = response.request
            text = response.get_data(as_text=True)
            check(text, whole=text.lstrip().lower().startswith("<!doctype"), where=f"{request.method} {request.path} {response.status_code}")
        assert response.headers.get("Content-Security-Policy"), "every answer carries the policy"
        return response

    def sign_in(self, member: Any) -> CheckedClient:
        """Be `member` from now on."""
        from inbox.models import LoginSession, transaction

        with transaction():
            token = LoginSession.start(member, ip="127.0.0.1", user_agent="test")
        with self.session_transaction() as session:
            session.clear()
            session["token"], session["_user_id"], session["_fresh"] = token, member.public_id, True
        self.token = ""
        return self

    def csrf(self) -> str:
        """A CSRF token of this client's session."""
        from flask_wtf.csrf import generate_csrf

        with self.session_transaction() as session:
            raw = session.get("csrf_token")
        with self.application.test_request_context():
            from flask import g
            from flask import session as flask_session

            g.pop("csrf_token", None)  # another client's, kept by the context of the test
            if raw:
                flask_session["csrf_token"] = raw
            token = generate_csrf()
            raw = flask_session["csrf_token"]
        with self.session_transaction() as session:
            session["csrf_token"] = raw
        return token

    def send(self, path: str, *, htmx: bool = False, **fields: Any) -> Any:
        """POST a form as a person's browser would."""
        headers = {"HX-Request": "true"} if htmx else {}
        return self.post(path, data={"csrf_token": self.csrf(), **fields}, headers=headers)

    def part(self, path: str) -> Any:
        """GET as htmx does."""
        return self.get(path, headers={"HX-Request": "true"})
