"""The address of the product itself: takes people to where their work is."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, redirect, url_for

from inbox.models import Inbox, Member
from inbox.permissions import Permission
from inbox.views.access import member, signed_in

bp = Blueprint("home", __name__)


@bp.get("/")
@signed_in
def index() -> Any:
    return redirect(_first_page(member()), 303)


def _first_page(who: Member) -> str:
    """The first inbox, else the setup for those who may do it, else the first thing the member may read."""
    inboxes = Inbox.visible_to(who)
    if inboxes:
        return url_for("conversations.index", inbox=inboxes[0].public_id, view="mine" if who.seated else "all")
    if Permission.INBOXES_CREATE not in who.permissions and who.can(Permission.CONTACTS_VIEW):
        return url_for("contacts.index")
    return url_for("get_started.show")
