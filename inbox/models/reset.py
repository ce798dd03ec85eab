"""Links by e-mail that prove an address: to choose a new password, or to change the address (ACC-7)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock
from inbox.models.base import Model, Moment, Refused, db, now_column
from inbox.models.event import Event
from inbox.models.identity_provider import IdentityProvider, password_allowed
from inbox.models.login_session import LoginSession
from inbox.models.member import Member, digest, normalize_email

LIFE = timedelta(hours=1)
KEPT = timedelta(days=7)
OVER = "This link has been used or has ended. Ask for a new one."
TAKEN = "Someone already signs in with this address."


class MailedLink(Model):
    """A link that works once and for an hour. Its token is made when the mail is written, and only the digest is kept.

    A request for an address nobody has makes the same row, without a member: asking tells nobody who is here
    (SECURITY S42).
    """

    __tablename__ = "mailed_link"
    purpose: Mapped[str] = mapped_column(sa.String(20))  # password or address
    member_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"), index=True)
    email: Mapped[str] = mapped_column(sa.String(254), default="")  # the new address
    token_digest: Mapped[str | None] = mapped_column(sa.String(64), unique=True)
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime] = mapped_column(Moment)
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    member: Mapped[Member | None] = relationship()

    @staticmethod
    def ask_reset(email: str) -> MailedLink:
        """Somebody forgot the password of an address; the work is the same whether it is known or not."""
        found = db.session.execute(sa.select(Member.id).where(Member.email == normalize_email(email), Member.deactivated_at.is_(None))).scalar()
        db.session.execute(sa.delete(MailedLink).where(MailedLink.created_at < clock.now() - KEPT))
        row = MailedLink(purpose="password", member_id=found, expires_at=clock.now() + LIFE).save()
        background.enqueue("send_mail", "reset", row.id, on="mail")
        return row

    @staticmethod
    def ask_address(member: Member, email: str) -> MailedLink:
        """A member wants another address: it counts once the link sent there is opened. Raises Refused when it is taken."""
        email = normalize_email(email)
        if email == member.email:
            raise Refused("That is your address already.", field="email")
        if db.session.scalar(sa.select(Member.id).where(Member.email == email)):
            raise Refused(TAKEN, field="email")
        provider = IdentityProvider.of(member.account_id)
        if provider and not password_allowed(member) and not provider.serves(email):
            raise Refused("Everybody here uses single sign-on, which does not serve that domain.", field="email")
        db.session.execute(sa.delete(MailedLink).where(MailedLink.member_id == member.id, MailedLink.purpose == "address", MailedLink.used_at.is_(None)))
        row = MailedLink(purpose="address", member_id=member.id, email=email, expires_at=clock.now() + LIFE).save()
        Event.record("member.address_asked", account=member.account_id, by=member, member=member.id, name=member.name)
        background.enqueue("send_mail", "address", row.id, on="mail")
        return row

    def issue(self) -> str | None:
        """A new token for the mail that is being written; None when nobody is to get one."""
        if self.member is None or not self.member.active or self.used_at or self.expires_at <= clock.now():
            return None
        token = secrets.token_urlsafe(32)
        self.token_digest = digest(token)
        return token

    @staticmethod
    def find(token: str, purpose: str) -> MailedLink | None:
        """The link behind a token, while it works; unknown, used, late and other purposes look the same."""
        if not token:
            return None
        row = db.session.scalar(sa.select(MailedLink).where(MailedLink.token_digest == digest(token), MailedLink.purpose == purpose))
        return row if row and row.used_at is None and row.expires_at > clock.now() and row.member and row.member.active else None

    @staticmethod
    def pending_address(member: Member) -> str:
        """The address that waits for its link to be opened, or nothing."""
        query = sa.select(MailedLink.email).where(
            MailedLink.member_id == member.id, MailedLink.purpose == "address", MailedLink.used_at.is_(None), MailedLink.expires_at > clock.now()
        )
        return db.session.scalar(query.limit(1)) or ""

    def _claim(self) -> Member:
        query = sa.update(MailedLink).where(MailedLink.id == self.id, MailedLink.used_at.is_(None), MailedLink.expires_at > clock.now())
        claimed = db.session.execute(query.values(used_at=clock.now()).returning(MailedLink.id)).scalar()
        if claimed is None or self.member is None or not self.member.active:
            raise Refused(OVER)
        return self.member

    def set_password(self, password: str) -> Member:
        """Spend the link on a new password; ends every session and every other link, and signs nobody in."""
        member = self._claim()
        member.set_password(password)
        void_links(member)
        LoginSession.end_all(member)
        Event.record("member.password_reset", account=member.account_id, by=member, member=member.id, name=member.name)
        return member

    def set_address(self) -> Member:
        """Spend the link on the new address; the one before gets a notice."""
        member = self._claim()
        before = member.email
        try:
            with db.session.begin_nested():
                member.email = self.email
                db.session.flush()
        except sa.exc.IntegrityError:
            raise Refused(TAKEN) from None
        self.email = before  # where the notice goes
        void_links(member)
        LoginSession.rotate_all(member)
        Event.record("member.address_changed", account=member.account_id, by=member, member=member.id, name=member.name, before=before, after=member.email)
        background.enqueue("send_mail", "address_changed", self.id, on="mail")
        return member


def void_links(member: Member) -> None:
    """Whatever links are out for a member stop working."""
    db.session.execute(sa.update(MailedLink).where(MailedLink.member_id == member.id, MailedLink.used_at.is_(None)).values(used_at=clock.now()))


def change_password(member: Member, password: str, *, keep: LoginSession) -> None:
    """One's own new password; ends every other session and every link that is out (SECURITY S44). Raises Refused when it is weak."""
    member.set_password(password)
    void_links(member)
    LoginSession.end_all(member, but=keep)
    Event.record("member.password_changed", account=member.account_id, by=member, member=member.id, name=member.name)
