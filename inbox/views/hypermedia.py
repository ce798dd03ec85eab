"""How answers look: a page or a fragment from the same URL, and one table from exceptions to statuses."""

from __future__ import annotations

from typing import Any

from flask import Flask, Request, Response, current_app, make_response, redirect, render_template, request
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException

from inbox.models import Refused, db


def is_fragment() -> bool:
    """Whether htmx asks for a part of the page (never for a history restore, which needs the whole)."""
    return bool(request.htmx) and request.headers.get("HX-History-Restore-Request") != "true"  # type: ignore[attr-defined]


def page(template: str, status: int = 200, **context: Any) -> Response:
    """Render a whole page."""
    return make_response(render_template(template, **context), status)


def fragment(template: str, status: int = 200, **context: Any) -> Response:
    """Render one fragment: one root element with a stable id (or an .oob file that answers several places)."""
    return make_response(render_template(template, **context), status)


def either(page_template: str, fragment_template: str, status: int = 200, **context: Any) -> Response:
    """The fragment for htmx, the whole page for everyone else."""
    return fragment(fragment_template, status, **context) if is_fragment() else page(page_template, status, **context)


def go(url: str) -> Response:
    """After a post: a redirect for plain forms, a client-side navigation for htmx."""
    if is_fragment():
        return make_response("", 204, {"HX-Redirect": url})
    return make_response(redirect(url, 303))


def register(app: Flask) -> None:
    app.request_class = _without_nul(app.request_class)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(CSRFError, _expired)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(DataError, _unstorable)
    app.register_error_handler(Exception, _crash)


def _refused(error: Refused) -> Response:
    db.session.rollback()
    return _problem(error.status, error.sentence)


def _expired(error: CSRFError) -> Response:
    return _problem(419, "This page was open for too long or in another session. Reload it and try again; what you typed is kept as a draft.")


def _without_nul(request_class: type[Request]) -> type[Request]:
    """Forms without NULs, which nobody can type, no database stores and no page may show."""

    class CleanRequest(request_class):  # type: ignore[misc, valid-type]
        def _load_form_data(self) -> None:
            super()._load_form_data()
            if any("\x00" in value for values in self.form.listvalues() for value in values):
                self.__dict__["form"] = ImmutableMultiDict((name, value.replace("\x00", "")) for name, value in self.form.items(multi=True))

    return CleanRequest


def _unstorable(error: DataError) -> Response:
    """A value no column can hold, such as a NUL in an address: nothing was changed."""
    db.session.rollback()
    return _problem(400, "That contains characters that cannot be stored.")


SENTENCES = {
    400: "The request could not be understood.",
    404: "There is nothing here, or you may not open it.",
    405: "This address does not work that way.",
    413: "That is too large.",
    429: "Too many tries. Wait a moment and try again.",
}


def _http(error: HTTPException) -> Response:
    if error.code is not None and error.code < 400 or error.response is not None:
        return error.get_response()  # type: ignore[return-value]
    status = error.code or 500
    db.session.rollback()
    sentence = str(error.description) if status in (400, 409, 422) and error.description else SENTENCES.get(status, "Something went wrong.")
    response = _problem(status, sentence)
    if status == 429:
        response.headers.setdefault("Retry-After", "60")
    return response


def _crash(error: Exception) -> Response:
    current_app.logger.exception("unhandled error in %s", request.endpoint)
    db.session.rollback()
    if current_app.config.get("PROPAGATE"):
        raise error
    return _problem(500, "Something went wrong on our side. Nothing was sent. Please try again.")


def _problem(status: int, sentence: str) -> Response:
    """A sentence: as a toast for htmx, as a page otherwise, as plain text for machines."""
    if request.path.startswith(("/hooks/", "/healthz")):
        return make_response(sentence + "\n", status, {"Content-Type": "text/plain; charset=utf-8"})
    if is_fragment():
        response = make_response(render_template("_problem.html", sentence=sentence), status)
        response.headers["HX-Retarget"], response.headers["HX-Reswap"] = "#toasts", "innerHTML"
        return response
    return page("problem.html", status, code=status, sentence=sentence)
