"""Browsers that take pushes, and the key of this installation that they trust (ACC-6)."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock, webpush
from inbox.models.base import Base, Model, Moment, Refused, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.login_session import LoginSession
from inbox.models.member import Member, digest
from inbox.models.secret import decrypt, encrypt

MOST = 20  # browsers of one member
BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "Mac"), ("Linux", "Linux"))
UNUSABLE = "This browser offers no usable address for pushes."


class PushKey(Base):
    """The one private key of this installation, encrypted."""

    __tablename__ = "push_key"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    private: Mapped[str] = mapped_column(sa.String(300))
    created_at: Mapped[datetime] = now_column()

    @staticmethod
    def private_key() -> str:
        """The key, made the first time; two that make it together end up with the same one."""
        found = db.session.scalar(sa.select(PushKey.private))
        if found is None:
            values = {"id": 1, "private": encrypt(webpush.new_key()), "created_at": clock.now()}
            db.session.execute(insert_or_ignore()(PushKey).values(**values).on_conflict_do_nothing(index_elements=["id"]))
            found = db.session.scalars(sa.select(PushKey.private)).one()
        return decrypt(found)


class PushSubscription(Model):
    """One browser of one member. It ends with the sign-in it was made in."""

    __tablename__ = "push_subscription"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    session_id: Mapped[int] = mapped_column(sa.ForeignKey("login_session.id", ondelete="CASCADE"), index=True)
    endpoint: Mapped[str] = mapped_column(sa.String(1500))  # encrypted: who knows it and the keys can address this browser
    endpoint_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    p256dh: Mapped[str] = mapped_column(sa.String(100))
    auth: Mapped[str] = mapped_column(sa.String(300))  # encrypted
    created_at: Mapped[datetime] = now_column()
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    session: Mapped[LoginSession] = relationship()

    @staticmethod
    def add(member: Member, *, endpoint: str, p256dh: str, auth: str, session: LoginSession, trusted: Collection[str] = ()) -> PushSubscription:
        """Remember this browser; Refused when the address is not a public https one or the keys are not keys. `trusted` lists origins that need not be https."""
        address = _checked(endpoint, trusted)
        try:
            webpush.check_keys(p256dh, auth)
        except ValueError:
            raise Refused(UNUSABLE) from None
        db.session.execute(sa.select(Member.id).where(Member.id == member.id).with_for_update(key_share=True))
        known = db.session.scalar(sa.select(PushSubscription).where(PushSubscription.endpoint_digest == digest(address)))
        if known is not None and known.p256dh != p256dh:
            raise Refused(UNUSABLE)
        if known is not None:  # the same browser again, maybe with somebody else at it
            known.member_id, known.session_id, known.auth = member.id, session.id, encrypt(auth)
            return known
        if len(PushSubscription.of(member)) >= MOST:
            raise Refused(f"You have {MOST} browsers here. Remove one first.")
        row = PushSubscription(
            member_id=member.id, session_id=session.id, endpoint=encrypt(address), endpoint_digest=digest(address), p256dh=p256dh, auth=encrypt(auth)
        )
        try:
            with db.session.begin_nested():
                row.save()
        except sa.exc.IntegrityError:  # posted twice at the same moment
            raise Refused("This browser was added a moment ago. Reload the page.") from None
        Event.record("notification.browser_added", account=member.account_id, by=member, member=member.id, name=member.name)
        return row

    @staticmethod
    def of(member: Member) -> list[PushSubscription]:
        """The browsers that would get a push now, the newest first."""
        query = sa.select(PushSubscription).join(PushSubscription.session).options(sa.orm.contains_eager(PushSubscription.session))
        return list(db.session.scalars(query.where(PushSubscription.member_id == member.id, LoginSession.revoked_at.is_(None)).order_by(PushSubscription.id.desc())))

    @staticmethod
    def holders(member_ids: Collection[int]) -> frozenset[int]:
        """Which of these members have a browser that takes pushes."""
        query = sa.select(PushSubscription.member_id).join(PushSubscription.session).where(PushSubscription.member_id.in_(member_ids), LoginSession.revoked_at.is_(None))
        return frozenset(db.session.scalars(query))

    def remove(self, *, by: Member) -> None:
        """The member no longer wants pushes there."""
        db.session.delete(self)
        db.session.flush()
        Event.record("notification.browser_removed", account=by.account_id, by=by, member=by.id, name=by.name)

    @staticmethod
    def gone(ids: list[int]) -> None:
        """The push service says these browsers take nothing any more."""
        db.session.execute(sa.delete(PushSubscription).where(PushSubscription.id.in_(ids)))

    @staticmethod
    def used(ids: list[int]) -> None:
        db.session.execute(sa.update(PushSubscription).where(PushSubscription.id.in_(ids)).values(used_at=clock.now()).execution_options(synchronize_session=False))

    @property
    def browser(self) -> str:
        """“Firefox on Windows”, as well as the header of its sign-in tells."""
        agent = self.session.user_agent
        name = next((name for mark, name in BROWSERS if mark in agent), "A browser")
        system = next((name for mark, name in SYSTEMS if mark in agent), "")
        return f"{name} on {system}" if system else name

    @property
    def address(self) -> tuple[str, str, str]:
        """Where to send and for whom to encrypt: endpoint, public key, secret."""
        return decrypt(self.endpoint), self.p256dh, decrypt(self.auth)


def _checked(endpoint: str, trusted: Collection[str]) -> str:
    """The address as a browser gives it; whether its host is public is looked at with every push."""
    try:
        parts = urlsplit(endpoint)
        known = f"{parts.scheme}://{parts.netloc}" in trusted
        good = (parts.scheme == "https" or known) and bool(parts.hostname) and parts.username is None and (parts.port is None or 0 < parts.port < 65536)
    except ValueError:
        good = False
    if not good or len(endpoint) > 700 or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        raise Refused(UNUSABLE)
    return endpoint
