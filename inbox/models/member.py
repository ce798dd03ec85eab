"""Members: who may sign in, what their roles allow, and the one function that answers "may they?"."""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock, realtime
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.permissions import DEFAULT_ROLES, INBOXED, LABELS, SEATED, Permission

if TYPE_CHECKING:
    from inbox.models.conversation import Conversation
    from inbox.models.inbox import Inbox

_hasher = PasswordHasher()
_hashing = BoundedSemaphore(2)  # argon2 is ~0.3 s of CPU: a flood of sign-ins must not starve the app
_DECOY = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHRzb21lc2FsdA$0T1mAk3tVWSwYF0mGT1sqoVYxYWHYQfXxDDZ6wIDt2A"
MIN_PASSWORD = 10
SESSION_IDLE = timedelta(days=14)
SESSION_LIFE = timedelta(days=30)


class NoSeat(Refused):
    """The member may look but not act."""

    status = 403


class Denied(Refused):
    """A permission is missing; the sentence says which and who can give it."""

    status = 403


@dataclass(frozen=True)
class Verdict:
    """The answer to "may they?", and why: `why` is a sentence to show, empty when allowed."""

    allowed: bool
    why: str = ""

    def __bool__(self) -> bool:
        return self.allowed


def normalize_email(text: str) -> str:
    """The form under which addresses are unique: NFKC, trimmed, case-folded."""
    return one_line(unicodedata.normalize("NFKC", text)).casefold()


class Grant(Model):
    """A role held by a member, for the whole account or for one team."""

    __tablename__ = "grant"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    role: Mapped[str] = mapped_column(sa.String(60))
    team_id: Mapped[int | None] = mapped_column(sa.ForeignKey("team.id"))

    __table_args__ = (sa.UniqueConstraint("member_id", "role", "team_id"),)


class Member(Model):
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
    created_at: Mapped[datetime] = now_column()
    last_seen_at: Mapped[datetime | None] = mapped_column(Moment)
    account: Mapped[Account] = relationship()
    grants: Mapped[list[Grant]] = relationship(order_by=Grant.id, cascade="all, delete-orphan", lazy="selectin")

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

    # -- what they may do -------------------------------------------------------------------------------------

    @property
    def roles(self) -> list[str]:
        return [grant.role for grant in self.grants]

    @property
    def role_names(self) -> list[str]:
        return [DEFAULT_ROLES[role][0] for role in self.roles]

    @property
    def permissions(self) -> frozenset[Permission]:
        """The union of what the member's roles hold (PERM-3)."""
        return frozenset().union(*(DEFAULT_ROLES[role][1] for role in self.roles))

    @property
    def seat_eligible(self) -> bool:
        return bool(self.permissions & SEATED)

    @property
    def sees_all(self) -> bool:
        """Owner and Supervisor see every inbox (PERM-6)."""
        return Permission.CONVERSATIONS_ALL in self.permissions

    def can(self, permission: Permission, on: Conversation | Inbox | None = None) -> Verdict:
        """Effective right = role permission AND seat (unless view-only) AND membership of that inbox (PERM-6)."""
        label = LABELS[permission]
        if not self.active:
            return Verdict(False, "Your access to this account has ended.")
        if permission not in self.permissions:
            roles = " and ".join(self.role_names) or "none"
            return Verdict(
                False, f"Your role ({roles}) does not allow you to {label}. {self._givers(Permission.ROLES_MANAGE)}"
            )
        if permission in SEATED and not self.seated:
            roles = " and ".join(self.role_names)
            return Verdict(
                False,
                f"Your role {roles} allows you to {label}, but you have no seat. {self._givers(Permission.SEATS_MANAGE)}",
            )
        if on is not None and permission in INBOXED and not self._in(on):
            return Verdict(
                False, f"You are not in this inbox. {self._givers(Permission.INBOXES_MANAGE)}"
            )
        return Verdict(True)

    def require(self, permission: Permission, on: Conversation | Inbox | None = None) -> None:
        """Raise Denied with the reason unless `can`."""
        verdict = self.can(permission, on)
        if not verdict:
            no_seat = permission in SEATED & self.permissions and not self.seated
            raise (NoSeat if no_seat else Denied)(verdict.why)

    def _in(self, on: Conversation | Inbox) -> bool:
        inbox_id = getattr(on, "inbox_id", None) or on.id
        if on.account_id != self.account_id:
            return False
        return inbox_id in self.inbox_ids

    @cached_property
    def inbox_ids(self) -> frozenset[int]:
        """The inboxes this member belongs to, or all of the account for those who see all."""
        from inbox.models.inbox import Inbox, InboxMember

        query = sa.select(Inbox.id).where(Inbox.account_id == self.account_id)
        if self.sees_all:
            query = query.where(sa.or_(Inbox.owner_id.is_(None), Inbox.owner_id == self.id))
        else:
            query = query.where(
                sa.or_(
                    Inbox.id.in_(sa.select(InboxMember.inbox_id).where(InboxMember.member_id == self.id)),
                    Inbox.owner_id == self.id,
                )
            )
        return frozenset(db.session.scalars(query))

    def forget_inboxes(self) -> None:
        """Read memberships anew (after they changed in this session)."""
        self.__dict__.pop("inbox_ids", None)

    def _givers(self, permission: Permission) -> str:
        """Who can help: "Ana or Bo can give you this." (asked only on a refusal)."""
        roles = [key for key, (_, held) in DEFAULT_ROLES.items() if permission in held]
        names = db.session.scalars(
            sa.select(Member.name)
            .where(
                Member.account_id == self.account_id,
                Member.deactivated_at.is_(None),
                Member.id != self.id,
                Member.id.in_(sa.select(Grant.member_id).where(Grant.role.in_(roles))),
            )
            .order_by(Member.name)
            .limit(3)
        ).all()
        return f"{' or '.join(names)} can change that." if names else "An owner can change that."

    def may_receive(self, inbox: Inbox) -> bool:
        """Whether conversations of that inbox may be assigned to this member (SEAT-3)."""
        return bool(self.can(Permission.CONVERSATIONS_REPLY, on=inbox))

    @staticmethod
    def of(account_id: int) -> list[Member]:
        """Everyone of the account, by name."""
        return list(db.session.scalars(sa.select(Member).where(Member.account_id == account_id).order_by(Member.name)))

    @staticmethod
    def holding(account_id: int, permission: Permission) -> list[Member]:
        """The active members whose roles hold a permission, e.g. whom to notify."""
        return [m for m in Member.of(account_id) if m.active and permission in m.permissions]

    def give_role(self, role: str, *, by: Member) -> None:
        """Add a default role; nobody gives what they lack, Agent and Supervisor exclude each other (PERM-3, PERM-5)."""
        from inbox.models.event import Event

        if role not in DEFAULT_ROLES or role == "owner":
            raise Refused("Choose one of the roles in the list.", field="role")
        if not DEFAULT_ROLES[role][1] <= by.permissions:
            raise Denied(f"You cannot give {DEFAULT_ROLES[role][0]}: it allows things your own role does not.")
        if {role, *self.roles} >= {"agent", "supervisor"}:
            raise Refused("Agent and Supervisor cannot be held together: Supervisor already contains Agent.", field="role")
        if role not in self.roles:
            self.grants.append(Grant(member_id=self.id, role=role))
            db.session.flush()
            Event.record("role.given", account=self.account_id, by=by, member=self.id, name=self.name, role=role)
            realtime.publish("access", account=self.account_id, member=self.id)

    def change_role(self, role: str, *, by: Member) -> None:
        """Replace every role except Owner by one; a seat that becomes useless is given back."""
        from inbox.models.event import Event

        if "owner" in self.roles:
            raise Refused("Ownership moves only by a transfer.", field="role")
        before = list(self.roles)
        if before == [role]:
            return
        if any(not DEFAULT_ROLES[held][1] <= by.permissions for held in before):
            raise Denied(f"{self.name} holds a role that allows things your own role does not.")
        self.grants.clear()
        db.session.flush()
        self.give_role(role, by=by)
        Event.record("role.changed", account=self.account_id, by=by, member=self.id, name=self.name, before=before, after=role)
        if self.seated and not self.seat_eligible:
            self.account.unseat(self, by=by)

    @staticmethod
    def with_user_id(account_id: int, user_id: str) -> Member | None:
        return db.session.scalar(
            sa.select(Member).where(Member.account_id == account_id, Member.user_id == user_id.strip())
        )


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


class LoginSession(Model):
    """A signed-in browser; the cookie holds a random token, the row its digest, so that it can be revoked (ACC-7)."""

    __tablename__ = "login_session"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime] = now_column()
    seen_at: Mapped[datetime] = now_column()
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    ip: Mapped[str] = mapped_column(sa.String(45), default="")
    user_agent: Mapped[str] = mapped_column(sa.String(300), default="")
    member: Mapped[Member] = relationship()

    @staticmethod
    def start(member: Member, *, ip: str, user_agent: str) -> str:
        """Open a session and return its token (once: only the digest is kept)."""
        token = secrets.token_urlsafe(32)
        LoginSession(member_id=member.id, token_digest=digest(token), ip=ip[:45], user_agent=user_agent[:300]).save()
        return token

    @staticmethod
    def find(token: str) -> LoginSession | None:
        """The live session with that token; None when unknown, revoked, idle for 14 days or 30 days old."""
        if not token:
            return None
        row = db.session.scalar(
            sa.select(LoginSession)
            .options(sa.orm.joinedload(LoginSession.member).joinedload(Member.account))
            .where(LoginSession.token_digest == digest(token))
        )
        now = clock.now()
        if row is None or row.revoked_at or now - row.seen_at > SESSION_IDLE or now - row.created_at > SESSION_LIFE:
            return None
        return row if row.member.active else None

    def revoke(self) -> None:
        self.revoked_at = clock.now()
        realtime.publish("access", account=self.member.account_id, member=self.member_id)  # open pages of it close at once (SECURITY S62)
