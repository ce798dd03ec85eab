"""What members say about themselves: nobody else changes it, and only name and picture are ever shown to others (ACC-5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from inbox import dates
from inbox.models.base import Model, db, one_line, public_id
from inbox.models.event import Event
from inbox.models.rights import Denied

if TYPE_CHECKING:
    from inbox.models.member import Member

ENDING = 60  # characters of the signature under texts
BLOCK = 2000  # characters of the signature under e-mails, as typed
UNDO_CHOICES = (0, 5, 10, 20)  # seconds
UNDO_USUAL = 5


class Profiled(Model):
    """A member's own profile. Signatures and hashes load only where they are asked for, so no list of colleagues ever holds them."""

    __abstract__ = True
    language: Mapped[str] = mapped_column(sa.String(12), default=dates.USUAL, server_default=dates.USUAL)  # how dates, times and numbers are written
    picture_id: Mapped[str | None] = mapped_column(sa.String(20), unique=True, index=True)  # new with every picture, so its address may be cached
    picture_sha256: Mapped[str | None] = mapped_column(sa.String(64), deferred=True)
    picture_small_sha256: Mapped[str | None] = mapped_column(sa.String(64), deferred=True)
    text_signature: Mapped[str] = mapped_column(sa.String(ENDING), default="", server_default="", deferred=True)
    email_signature: Mapped[str] = mapped_column(sa.Text, default="", server_default="", deferred=True)  # as typed; cleaned whenever it is shown or sent

    phone: Mapped[str] = mapped_column(sa.String(20), default="", server_default="", deferred=True)  # rings first when they call a customer; E.164

    undo_seconds: Mapped[int] = mapped_column(sa.SmallInteger, default=lambda: UNDO_USUAL, server_default="5")  # how long their texts wait, so that they can be undone

    if TYPE_CHECKING:
        account_id: Any
        name: Any

    def edit_profile(self, wanted: dict[str, Any], *, by: Member) -> list[str]:
        """Change one's own profile and record which fields changed, never their values; returns their names."""
        self._own(by)
        changed = sorted(key for key, value in wanted.items() if getattr(self, key) != value)
        for key in changed:
            setattr(self, key, wanted[key])
        self.__dict__.pop("initials", None)
        self._note(changed)
        return changed

    def set_picture(self, large: str, small: str, *, by: Member) -> set[str]:
        """Show the picture stored under these hashes; returns the hashes nobody uses any more."""
        return self._picture(public_id(), large, small, by)

    def drop_picture(self, *, by: Member) -> set[str]:
        """Show initials again; returns the hashes nobody uses any more."""
        return self._picture(None, None, None, by) if self.picture_id else set()

    def text_ending(self) -> str:
        """What ends this member's texts where the inbox signs them: " - Maya"."""
        words = self.text_signature or self.name.split()[0]
        return f" - {words}"

    def _picture(self, id: str | None, large: str | None, small: str | None, by: Member) -> set[str]:
        self._own(by)
        old = {self.picture_sha256, self.picture_small_sha256} - {None}
        self.picture_id, self.picture_sha256, self.picture_small_sha256 = id, large, small
        db.session.flush()
        self._note(["picture"])
        return {sha for sha in old if sha and not _used(sha)}

    def _own(self, by: Member) -> None:
        if by.id != self.id:
            raise Denied("Only they themselves can change their profile.")

    def _note(self, fields: list[str]) -> None:
        if fields:
            Event.record("member.profile_changed", account=self.account_id, by=self, member=self.id, fields=fields)  # type: ignore[arg-type]


def _used(sha256: str) -> bool:
    """Whether anybody shows this very picture."""
    from inbox.models.member import Member

    return db.session.scalar(sa.select(Member.id).where(sa.or_(Member.picture_sha256 == sha256, Member.picture_small_sha256 == sha256)).limit(1)) is not None


def ending(text: str) -> str:
    """A text signature as it is kept: one line without the dash that is put before it anyway."""
    return one_line(text).lstrip("-–—~ ").rstrip()
