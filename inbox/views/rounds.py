"""A round brings the open pages of one account up to date with a batch of facts.

Every part of what a page is told is drawn once for all who would read the same: the same standpoint (`models/viewers.py`), showing the same, and not named in it
themselves (`circles.py`). Who may see what is read in the same picture of the database as what they are shown.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from flask import render_template
from sqlalchemy.exc import SQLAlchemyError

from inbox.models import Conversation, Member
from inbox.realtime import Fact
from inbox.views import circles, heard, picture
from inbox.views.frames import RESYNC, Frame, joined, told
from inbox.views.picture import Shown
from inbox.views.tallies import Tally

log = logging.getLogger(__name__)

MANY = 20  # conversations changed at once: the list is sent whole
NAVIGATION_EVERY = 1.0  # seconds between two pictures of the side navigation
NAVIGATING = frozenset({"message", "conversation", "navigation", "access"})
Frames = tuple[Frame, ...]
Drawing = Callable[[Member], Iterable[str]]


@dataclass
class Crowd:
    """Pages that show the same to members with one standpoint: what strangers among them are told, and what they show then."""

    then: Shown
    named: set[int] | None
    frames: list[Frame] | None = None


class Round:
    """One batch of facts for the pages of a room."""

    def __init__(self, room: Any, facts: list[Fact]) -> None:
        self.room = room
        self.facts = [fact for fact in facts if "only" not in fact]
        self.own: dict[int, list[Fact]] = defaultdict(list)
        for fact in facts:
            if "only" in fact:
                self.own[fact["only"]].append(fact)
        self.whats = {fact["what"] for fact in self.facts}
        self.touched: dict[int, int] = {f["conversation"]: f.get("inbox", 0) for f in self.facts if f.get("conversation")}
        self.checking = bool(self.whats & {"access", "navigation"})
        self.changed = tuple(told(changed=what) for what in ("registration", "import", "bulk") if what in self.whats)
        self.waiting = {member for fact in self.facts if fact["what"] == "lock" for member in fact.get("waiting", ())}
        self.sounding = [f for f in self.facts if f.get("inbound") and f.get("conversation")]
        self._once: dict[Hashable, Any] = {}

    def run(self, pages: set[Any]) -> None:
        """Tell every page its part: strangers to the change the same bytes, whom it is about their own."""
        if "resync" in self.whats:
            for page in pages:
                page.tell([RESYNC])
            return
        self.navigating = self._navigating(pages)
        alone = {*self.waiting, *self.own}
        crowds: dict[tuple[Any, int], Crowd] = {}
        for page in pages:
            key = (page.standpoint, id(page.shown))
            crowd = crowds.get(key)
            if crowd is None:
                crowd = crowds[key] = Crowd(page.shown, self._named(page))
            if crowd.named is None or page.member_id in crowd.named or page.member_id in alone:
                frames = [*self.common(page), *self.personal(page)]
            else:
                if crowd.frames is None:
                    frames = self.common(page)
                    crowd.frames, crowd.then = [joined(frames)] if frames else [], page.shown
                frames, page.shown = crowd.frames, crowd.then
            if self.navigating:
                frames = [*frames, *self.navigation(page)]
            if frames:
                page.tell(frames)

    def common(self, page: Any) -> list[Frame]:
        """What all pages that show the same are told, as far as they may see it."""
        frames = [*self.rows(page), *self.conversation(page), *self.changed]
        if self.sounding and page.shown.volume and page.shown.sound != "off":
            frames += self.sound(page)
        return frames

    def personal(self, page: Any) -> list[Frame]:
        """What is for one member alone."""
        frames = self.free(page) if page.member_id in self.waiting else []
        if page.member_id in self.own:
            frames += self.once(("tray", page.member_id), page, lambda who: heard.frames(who, self.own[who.id], Shown()))
        return frames

    def _named(self, page: Any) -> set[int] | None:
        """The members whom this is about, of those with pages that show the same; None when each is told for themselves."""
        shown: Shown = page.shown
        if shown.fence or (self.sounding and shown.volume and shown.sound == "mine"):
            return None
        ids = self._listed(page)
        named: set[int] = self._row_circle(ids) if 0 < len(ids) <= MANY else set()
        if shown.conversation and (shown.conversation in self.touched or self.checking):
            circle = self._circle(shown)
            return None if circle is None else named | circle
        return named

    # -- drawn once -----------------------------------------------------------------------------------------------

    def once(self, key: Hashable, page: Any, draw: Drawing) -> Frames:
        """The frames under this key, drawn for the first page that needs them."""
        found: Frames | None = self._once.get(key)
        if found is None:
            try:
                who = self.room.reader(page)
                found = picture.made(who, list(draw(who)))
            except SQLAlchemyError:
                raise
            except Exception:
                log.exception("a part of live pages could not be drawn")
                found = (RESYNC,)
            self._once[key] = found
        return found

    def kept(self, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._once:
            self._once[key] = make()
        return self._once[key]

    # -- the parts --------------------------------------------------------------------------------------------------

    def rows(self, page: Any) -> Frames:
        """Rows of the list, for pages that show one with a conversation that changed."""
        ids = self._listed(page)
        if not ids:
            return ()
        if len(ids) > MANY:
            return (RESYNC,)
        shown: Shown = page.shown
        named = page.member_id if page.member_id in self._row_circle(ids) else 0
        return self.once(("rows", page.standpoint, page.place, ids, named), page, lambda who: picture.rows(who, shown, ids))

    def _listed(self, page: Any) -> tuple[int, ...]:
        """The conversations that changed in the inboxes whose list the page shows."""
        if not page.place or not self.touched:
            return ()
        found: tuple[int, ...] = self.kept(("ids", page.standpoint if page.shown.work else None, page.shown.inbox), lambda: self._ids(page))
        return found

    def _ids(self, page: Any) -> tuple[int, ...]:
        here = page.standpoint.readable if page.shown.work else {page.shown.inbox}
        return tuple(id for id, inbox in self.touched.items() if inbox in here)

    def _row_circle(self, ids: tuple[int, ...]) -> set[int]:
        found: set[int] = self.kept(("named", ids), lambda: circles.of_rows(ids))
        return found

    def _about(self, id: int) -> list[Fact]:
        found: list[Fact] = self.kept(("about", id), lambda: [f for f in self.facts if f.get("conversation") == id])
        return found

    def _circle(self, shown: Shown) -> set[int] | None:
        """Whom the open conversation names in what is new; None when that cannot be told, as older messages came into it."""
        id, about = shown.conversation, self._about(shown.conversation)
        if any(f.get("merged") for f in about):
            return None
        changed = {f["message"] for f in about if f.get("message")}
        found: set[int] = self.kept(
            ("circle", id, shown.last_message, shown.last_event), lambda: circles.of_conversation(id, changed, shown.last_message, shown.last_event)
        )
        return found | self._row_circle((id,))

    def conversation(self, page: Any) -> Frames:
        """The open conversation: what is new in it, its lock, its head."""
        shown: Shown = page.shown
        id = shown.conversation
        if not id or not (id in self.touched or self.checking):
            return ()
        circle = self._circle(shown)
        own = page.member_id if shown.fence or circle is None or page.member_id in circle else 0
        key = ("conversation", page.standpoint, page.place, id, shown.last_message, shown.last_event, shown.heading, shown.fence, own)
        after: list[Shown] = []

        def draw(who: Member) -> list[str]:
            texts, then = picture.conversation(who, shown, self._about(id))
            after.append(then)
            return texts

        frames = self.once(key, page, draw)
        if after:
            self._once["then", key] = after[0]
        then = self._once.get(("then", key))
        if then is not None:
            page.shown = self.room.same(shown.but(conversation=then.conversation, fence=then.fence, last_message=then.last_message, last_event=then.last_event))
        return frames

    def free(self, page: Any) -> list[Frame]:
        """“It is free now”, for those who asked."""
        found: list[Frame] = []
        for fact in self.facts:
            if fact["what"] == "lock" and page.member_id in fact.get("waiting", ()):
                id, here = fact["conversation"], fact["conversation"] == page.shown.conversation
                found += self.once(("free", id, here, page.member_id), page, lambda who, id=id, here=here: _free(who, id, here))  # type: ignore[misc]
        return found

    def sound(self, page: Any) -> Frames:
        shown: Shown = page.shown
        own = page.member_id if shown.sound == "mine" else 0
        return self.once(("sound", page.standpoint, shown.sound, shown.volume, own), page, lambda who: heard.sound(who, self.sounding, shown.sound, shown.volume))

    # -- the navigation -----------------------------------------------------------------------------------------------

    def _navigating(self, pages: set[Any]) -> bool:
        """Whether the navigation is looked at in this round: when something may have changed in it, at most once a second."""
        room, now = self.room, time.monotonic()
        if self.whats & NAVIGATING:
            room.navigation_due = True
        room.own_navigation |= {fact["member"] for fact in self.facts if fact["what"] == "access" and fact.get("member")}
        if not room.navigation_due or now < room.navigation_at:
            return False
        room.navigation_due, room.navigation_at = False, now + NAVIGATION_EVERY
        self.whole, room.own_navigation = room.own_navigation, set()
        self.members: dict[Any, set[int]] = defaultdict(set)
        for page in pages:
            self.members[page.standpoint].add(page.member_id)
        return True

    def navigation(self, page: Any) -> Frames:
        """The navigation, unless the page has been told the same numbers already."""
        shown: Shown = page.shown
        numbers = self.kept(("numbers", page.member_id), lambda: self._tally(page).of(page.member_id))
        whole = page.member_id if page.member_id in self.whole else 0
        state = self.kept(("state", page.standpoint, page.place, numbers), lambda: (page.standpoint, page.place, numbers))  # one object for all
        if state == page.numbers and not whole:
            return ()
        page.numbers = state
        key = ("navigation", page.standpoint, page.place, numbers, whole)
        return self.once(key, page, lambda who: self._tally(page).draw(who, shown, numbers, whole=bool(whole)))

    def _tally(self, page: Any) -> Tally:
        found: Tally = self.kept(("tally", page.standpoint), lambda: Tally(self.room.reader(page), self.members[page.standpoint]))
        return found


def _free(who: Member, id: int, here: bool) -> list[str]:
    found = picture.find(who, Conversation.id == id)
    return [] if found is None else [render_template("locks/told.oob.html", conversation=found, here=here), heard.free(who, found)]
