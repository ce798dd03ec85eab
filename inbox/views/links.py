"""Links from mails: their token moves into the session at once, so that no address bar, history or referrer keeps it (SECURITY S46)."""

from __future__ import annotations

from flask import Response, redirect, session

LINK = "link"  # the session's entry for the token of a link that was opened


def keep_token(purpose: str, token: str, target: str) -> Response:
    """Move a link's token into the session and go on at an address without it."""
    session[LINK] = {"purpose": purpose, "token": token}
    return private(redirect(target, 303))  # type: ignore[arg-type]


def kept_token(purpose: str) -> str:
    """The token of the link that was opened in this browser, if it was one of these."""
    kept = session.get(LINK)
    return str(kept.get("token", "")) if isinstance(kept, dict) and kept.get("purpose") == purpose else ""


def drop_token() -> None:
    session.pop(LINK, None)


def private(response: Response) -> Response:
    """Nothing of where this page is travels on."""
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
