"""A room is all the open pages of one account in this process: who is in it, what they show, and one round after the other."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from typing import Any, Protocol
from weakref import WeakValueDictionary

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from inbox.models import Member, Viewers, db
from inbox.realtime import Fact
from inbox.views import wishes
from inbox.views.frames import RESYNC, Frame
from inbox.views.picture import Shown, read_as, scope
from inbox.views.rounds import Round

log = logging.getLogger(__name__)

SIGNED_OUT = 4401


class Page(Protocol):
    """An open page, as a round needs it."""

    session_id: int
    member_id: int
    account_id: int
    standpoint: Any  # of models.viewers, once it is known
    shown: Shown
    place: Any  # a Place of the room, for pages that show a list
    numbers: Any  # what its navigation was last told

    def tell(self, frames: Sequence[Frame]) -> None: ...
    def close(self, code: int) -> None: ...


class Place:
    """A list that pages show; what they have in common is the object itself."""


class Room:
    """The pages of one account, and what is remembered between rounds."""

    def __init__(self, app: Flask, account_id: int) -> None:
        self.app, self.account_id = app, account_id
        self.viewers = Viewers(account_id)
        self.pages: set[Any] = set()
        self.navigation_at, self.navigation_due = 0.0, False
        self.own_navigation: set[int] = set()  # members whose rights changed: theirs is drawn whole
        self._places: WeakValueDictionary[Hashable, Place] = WeakValueDictionary()
        self._shown: WeakValueDictionary[Shown, Shown] = WeakValueDictionary()

    def place_of(self, shown: Shown) -> Place | None:
        """The one object for all pages that show this list; None without one."""
        return self._places.setdefault((shown.inbox, shown.work, shown.filter), Place()) if shown.listed else None

    def same(self, shown: Shown) -> Shown:
        """The one object for all pages that show this."""
        return self._shown.setdefault(shown, shown)

    def due(self, now: float) -> float | None:
        """The monotonic time at which the navigation has to be looked at, if it has."""
        return max(now, self.navigation_at) if self.navigation_due else None

    def round(self, facts: list[Fact], said: list[tuple[Any, str]]) -> None:
        """Bring every page up to date; when the database fails, all ask for themselves."""
        pages = list(self.pages)
        try:
            with scope(self.app):
                here = self._admitted(pages)
                for page, text in said:
                    if page in here:
                        self._answer(page, text)
                Round(self, facts).run(here)
        except Exception:
            log.exception("live pages could not be brought up to date")
            for page in pages:
                page.tell([RESYNC])

    def _admitted(self, pages: list[Any]) -> set[Any]:
        """The pages whose browser is still signed in; the others are closed."""
        self.viewers.look(page.session_id for page in pages)
        here = set()
        for page in pages:
            viewer = self.viewers.of(page.session_id)
            if viewer is None:
                page.close(SIGNED_OUT)
            else:
                page.standpoint = viewer.standpoint
                here.add(page)
        return here

    def reader(self, page: Page) -> Member:
        """The member of a page, with the reach that was read with everything else."""
        who = db.session.get_one(Member, page.member_id)
        who.__dict__["reach"] = dict(page.standpoint.reach)
        return read_as(who)

    def _answer(self, page: Any, text: str) -> None:
        try:
            found = wishes.answer(self.reader(page), text)
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("what a page shows could not be taken in")
            found = None
        if found is not None:
            shown, frames = found
            page.shown = self.same(shown)
            page.place = self.place_of(page.shown)
            page.tell(frames)
