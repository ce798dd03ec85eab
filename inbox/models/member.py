"""Members: the users of an account, and their signed-in browsers."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import datetime, timedelta
from functools import cached_property
from threading import BoundedSemaphore
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import event
from sqlalchemy.orm import Mapped, joinedload, mapped_column, relationship

from inbox.models.account import Account
from inbox.models.base import Moment, Refused, db, now_column, one_line, public_id
from inbox.models.granting import Granting
from inbox.models.profile import Profiled
from inbox.models.role import Grant
from inbox.permissions import DEFAULT_ROLES, Permission

_hasher = PasswordHasher()
_hashing = BoundedSemaphore(2)  # argon2 is ~0.3 s of CPU: a flood of sign-ins must not starve the app
_DECOY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$0T1mAk3tVWSwYF0mGT1sqoVYxYWHYQfXxDDZ6wIDt2A"
MIN_PASSWORD = 10
SESSION_IDLE = timedelta(days=14)
SESSION_LIFE = timedelta(days=30)


def normalize_email(text: str) -> str:
    """The form under which addresses are unique: NFKC, trimmed, case-folded."""
    return one_line(unicodedata.normalize("NFKC", text)).casefold()


class Member(Profiled, Granting):
    """A user of the account."""

    __tablename__ = "member"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    name: Mapped[str] = mapped_column(sa.String(120))
    password_hash: Mapped[str] = mapped_column(sa.String(200))
    user_id: Mapped[str] = mapped_column(sa.String(60))  # the "User ID" that imports name (DATA-1)
    time_zone: Mapped[str] = mapped_column(sa.String(64), default="UTC")
    hue: Mapped[str] = mapped_column(sa.String(10), default="slate")
    theme: Mapped[str] = mapped_column(sa.String(5), default="auto")  # auto, light or dark
    shortcuts: Mapped[bool] = mapped_column(default=True)
    seated: Mapped[bool] = mapped_column(default=False)
    deactivated_at: Mapped[datetime | None] = mapped_column(Moment)
    removed_at: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = now_column()
    last_seen_at: Mapped[datetime | None] = mapped_column(Moment)
    account: Mapped[Account] = relationship()
    grants: Mapped[list[Grant]] = relationship(back_populates="member", order_by=Grant.id, cascade="all, delete-orphan", lazy="selectin")

    __table_args__ = (sa.UniqueConstraint("account_id", "user_id"),)

    # -- joining and signing in -------------------------------------------------------------------------------

    @staticmethod
    def join(account: Account, *, email: str, name: str, password: str) -> Member:
        """Add a member without roles; raises Refused when the address is taken or the password too short."""
        email = normalize_email(email)
        check_password(password)
        db.session.execute(sa.select(Account.id).where(Account.id == account.id).with_for_update(key_share=True))  # user ids are counted
        if db.session.scalar(sa.select(Member.id).where(Member.email == email)):
            raise Refused("Someone already signs in with this address.", field="email")
        hues = ("blue", "teal", "green", "amber", "orange", "pink", "violet", "red", "lime", "slate")
        count = db.session.scalar(sa.select(sa.func.count(Member.id)).where(Member.account_id == account.id)) or 0
        member = Member(
            account_id=account.id,
            email=email,
            name=one_line(name),
            password_hash=hash_password(password),
            user_id=f"U{1001 + count}",
            hue=hues[count % len(hues)],
            time_zone=account.time_zone,
        )
        try:
            with db.session.begin_nested():
                return member.save()
        except sa.exc.IntegrityError:  # another account was faster by a moment
            raise Refused("Someone already signs in with this address.", field="email") from None

    @staticmethod
    def authenticate(email: str, password: str) -> Member | None:
        """The active member with that address and password, or None; equally slow for unknown addresses."""
        member = db.session.scalar(sa.select(Member).where(Member.email == normalize_email(email)))
        with _hashing:
            try:
                _hasher.verify(member.password_hash if member else _DECOY, password)
            except (VerificationError, InvalidHashError):
                return None
        return member if member and member.active else None

    @property
    def active(self) -> bool:
        return self.deactivated_at is None

    is_active = active
    is_authenticated = True
    is_anonymous = False

    def get_id(self) -> str:
        """What flask-login keeps: the public id; the session row is checked beside it."""
        return self.public_id

    def set_password(self, password: str) -> None:
        check_password(password)
        self.password_hash = hash_password(password)

    @cached_property
    def initials(self) -> str:
        return initials(self.name)

    # -- roles ------------------------------------------------------------------------------------------------

    @property
    def roles(self) -> list[str]:
        """The keys of the roles held."""
        return [grant.role for grant in self.grants]

    @property
    def role_names(self) -> list[str]:
        return [grant.name for grant in self.grants]

    @property
    def default_role_names(self) -> list[str]:
        """The default roles held; empty for "No default role" (SEAT-4)."""
        return [grant.name for grant in self.grants if grant.role in DEFAULT_ROLES]

    # -- the account's people ---------------------------------------------------------------------------------

    @staticmethod
    def of(account_id: int) -> list[Member]:
        """Everyone of the account who was not removed, by name."""
        return list(db.session.scalars(sa.select(Member).where(Member.account_id == account_id, Member.removed_at.is_(None)).order_by(Member.name)))

    @staticmethod
    def holding(account_id: int, permission: Permission) -> list[Member]:
        """The active members whose roles hold a permission, e.g. whom to notify."""
        return [m for m in Member.of(account_id) if m.can(permission)]

    @staticmethod
    def with_reach(account_id: int) -> list[Member]:
        """The active members with their inboxes, in a fixed number of queries however many they are."""
        from inbox.models.inbox import Inbox, InboxMember

        members = [member for member in Member.of(account_id) if member.active]
        inboxes = db.session.execute(sa.select(Inbox.id, Inbox.team_id, Inbox.owner_id).where(Inbox.account_id == account_id)).all()
        inside = set(
            db.session.execute(sa.select(InboxMember.member_id, InboxMember.inbox_id).join(Inbox, Inbox.id == InboxMember.inbox_id).where(Inbox.account_id == account_id))
        )
        for member in members:
            member.__dict__["reach"] = member.reaching((id, team, owner, (member.id, id) in inside) for id, team, owner in inboxes)
        return members

    @staticmethod
    def with_user_id(account_id: int, user_id: str) -> Member | None:
        return db.session.scalar(
            sa.select(Member).where(Member.account_id == account_id, Member.user_id == user_id.strip())
        )


def shown(relation: Any) -> Any:
    """Loads a member together with a row for their name and picture; what they may is read only when somebody asks."""
    return joinedload(relation).lazyload(Member.grants)


@event.listens_for(Member, "expire")
def _forget(member: Member | None, _attributes: object) -> None:
    """Roles are worked out again when the row is read again, as at the start of every transaction."""
    if member is not None:  # a row that nobody holds any more
        member.forget_rights()


def initials(name: str) -> str:
    """One or two letters for an avatar; empty when the name starts with no letter (a bare number)."""
    words = [word for word in name.split() if word[0].isalpha()]
    return "".join(word[0] for word in (words[:1] + words[-1:] if len(words) > 1 else words)).upper()


def hash_password(password: str) -> str:
    with _hashing:
        return _hasher.hash(password)


def check_password(password: str) -> None:
    """Raise Refused unless the password is long enough and not among the most common ones (ASVS 6.2)."""
    if len(password) < MIN_PASSWORD:
        raise Refused(f"Use at least {MIN_PASSWORD} characters.", field="password")
    if len(password) > 200:
        raise Refused("Use at most 200 characters.", field="password")
    plain = password.casefold().rstrip("0123456789!.?")
    if plain in {"password", "passwort", "qwertyuiop", "letmein", "welcome", "iloveyou", "administrator", ""} or len(
        set(password)
    ) < 4:
        raise Refused("That password is among the first that attackers try. Choose another.", field="password")


def digest(token: str) -> str:
    """How bearer secrets are stored: SHA-256 of a token with at least 128 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
