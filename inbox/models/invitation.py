"""Invitations: a link by e-mail that works once and for 24 hours (ACC-3)."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock
from inbox.models.account import Account, NoSeatLeft
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.event import Event
from inbox.models.member import Member, digest, normalize_email
from inbox.models.rights import Denied
from inbox.models.role import Grant, Role, RoleSheet
from inbox.permissions import Permission

LIFE = timedelta(hours=24)
DEFAULT_ROLE = "back-office-manager"


class Invitation(Model):
    """A pending, accepted, revoked or expired invitation of one address."""

    __tablename__ = "invitation"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    email: Mapped[str] = mapped_column(sa.String(254))
    role: Mapped[str] = mapped_column(sa.String(60), default=DEFAULT_ROLE)
    seat: Mapped[bool] = mapped_column(default=False)
    inbox_ids: Mapped[list[int]] = mapped_column(sa.JSON, default=list)
    token_digest: Mapped[str] = mapped_column(sa.String(64), unique=True)
    link_token: Mapped[str | None] = mapped_column(sa.String(500))  # encrypted; cleared once used or revoked
    invited_by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()
    expires_at: Mapped[datetime] = mapped_column(Moment)
    accepted_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    account: Mapped[Account] = relationship()
    invited_by: Mapped[Member] = relationship()

    @staticmethod
    def send(
        account: Account, email: str, *, by: Member, role: str = DEFAULT_ROLE, seat: bool = False, inbox_ids: list[int] | None = None
    ) -> Invitation:
        """Invite an address; raises Refused when it already belongs to a member or has a pending invitation."""
        email = normalize_email(email)
        by.require(Permission.MEMBERS_INVITE)
        sheet = Role.sheet_of(account.id, role)
        if sheet is None or role == "owner":
            raise Refused("Choose one of the roles in the list.", field="role")
        if not sheet.permissions <= by.permissions_everywhere:
            raise Denied(f"You cannot invite someone as {sheet.name}: it allows things your own role does not.")
        if db.session.scalar(sa.select(Member.id).where(Member.email == email, Member.account_id == account.id)):  # other accounts stay unseen
            raise Refused(f"{email} already signs in here.", field="email")
        if any(i.email == email for i in Invitation.pending(account)):
            raise Refused(f"{email} already has a pending invitation. You can resend it below.", field="email")
        invitation = Invitation(
            account_id=account.id,
            email=email,
            role=role,
            seat=seat,
            inbox_ids=[i for i in inbox_ids or [] if i in by.inbox_ids],
            invited_by_id=by.id,
            token_digest="",
            expires_at=clock.now() + LIFE,
        )
        invitation._renew()
        invitation.save()
        Event.record("invitation.sent", account=account, by=by, email=email, role=role)
        background.enqueue("send_mail", "invitation", invitation.id, on="mail")
        return invitation

    def _in_turn(self, *others: Member) -> None:
        """Accepting, revoking and what happens to its role follow each other: what was read before, of `others` too, counts no more."""
        Account.one_change_at_a_time(self.account_id)
        db.session.refresh(self)
        Account.one_change_at_a_time(self.account_id, self.invited_by, *others)

    def _sheet_for(self, sender: Member) -> RoleSheet | None:
        """The role it gives, if `sender` may still invite somebody with it."""
        sheet = Role.sheet_of(self.account_id, self.role)
        if sheet is None or not sender.can(Permission.MEMBERS_INVITE):
            return None
        return sheet if sheet.permissions <= sender.permissions_everywhere else None

    def _renew(self) -> None:
        from inbox.models.secret import encrypt

        token = secrets.token_urlsafe(32)
        self.token_digest, self.link_token, self.expires_at = digest(token), encrypt(token), clock.now() + LIFE

    @property
    def token(self) -> str | None:
        """The token for the link in the mail; None once the invitation is over."""
        from inbox.models.secret import decrypt

        return decrypt(self.link_token) if self.link_token else None

    @property
    def state(self) -> str:
        """One of accepted, revoked, expired, pending."""
        if self.accepted_at:
            return "accepted"
        if self.revoked_at:
            return "revoked"
        return "expired" if self.expires_at <= clock.now() else "pending"

    @staticmethod
    def pending(account: Account) -> list[Invitation]:
        """Invitations nobody accepted or revoked yet, newest first; expired ones are listed too, to be resent."""
        return list(
            db.session.scalars(
                sa.select(Invitation)
                .where(
                    Invitation.account_id == account.id,
                    Invitation.accepted_at.is_(None),
                    Invitation.revoked_at.is_(None),
                )
                .order_by(Invitation.id.desc())
            )
        )

    @staticmethod
    def find(token: str) -> Invitation | None:
        """The pending invitation behind a link, or None (unknown, used, revoked and expired look the same)."""
        row = db.session.scalar(sa.select(Invitation).where(Invitation.token_digest == digest(token))) if token else None
        return row if row and row.state == "pending" else None

    def resend(self, *, by: Member) -> None:
        """A new link, on the word of `by`; the old one stops working."""
        self._in_turn(by)
        by.require(Permission.MEMBERS_INVITE)
        if self.state not in ("pending", "expired"):
            raise Refused("This invitation is over.")
        if self._sheet_for(by) is None:
            raise Denied("You cannot resend this invitation: its role allows things your own role does not.")
        self.invited_by_id = by.id
        self._renew()
        db.session.flush()
        Event.record("invitation.resent", account=self.account_id, by=by, email=self.email)
        background.enqueue("send_mail", "invitation", self.id, on="mail")

    def bounce(self) -> None:
        """Note that the mail server refused the address."""
        Event.record("invitation.bounced", account=self.account_id, email=self.email, invitation=self.public_id)

    @staticmethod
    def bounced(invitations: list[Invitation]) -> frozenset[int]:
        """The ids of those of an account's invitations whose last mail was refused: one query for a whole list."""
        if not invitations:
            return frozenset()
        sent = {row.public_id: row for row in invitations}
        since = min(row.expires_at for row in invitations) - LIFE
        query = sa.select(Event.data, Event.at).where(Event.account_id == invitations[0].account_id, Event.kind == "invitation.bounced", Event.at >= since)
        found = [(sent.get(data.get("invitation", "")), at) for data, at in db.session.execute(query)]
        return frozenset(row.id for row, at in found if row is not None and at >= row.expires_at - LIFE)

    def revoke(self, *, by: Member) -> None:
        self._in_turn()
        if self.state in ("accepted", "revoked"):
            raise Refused("This invitation is over.")
        self.revoked_at, self.link_token = clock.now(), None
        Event.record("invitation.revoked", account=self.account_id, by=by, email=self.email)

    def accept(self, *, name: str, password: str) -> Member:
        """Make the member; single use by one conditional statement. Gives no more than who invited them may still give."""
        self._in_turn()
        sender = self.invited_by
        sheet = self._sheet_for(sender)
        if sheet is None:
            raise Refused("This invitation has ended. Ask for a new one.")
        claimed = db.session.execute(
            sa.update(Invitation)
            .where(
                Invitation.id == self.id,
                Invitation.accepted_at.is_(None),
                Invitation.revoked_at.is_(None),
                Invitation.expires_at > clock.now(),
            )
            .values(accepted_at=clock.now(), link_token=None)
            .returning(Invitation.id)
        ).scalar()
        if claimed is None:
            raise Refused("This invitation has been used or has ended. Ask for a new one.")
        member = Member.join(self.account, email=self.email, name=name, password=password)
        db.session.add(Grant(member_id=member.id, role=sheet.key, role_id=sheet.row.id if sheet.row else None))
        db.session.flush()
        db.session.refresh(member)
        self._welcome(member, sender)
        Event.record("invitation.accepted", account=self.account_id, by=member, email=self.email)
        return member

    def _welcome(self, member: Member, sender: Member) -> None:
        """The inboxes and the seat that were promised, as far as `sender` may still give them."""
        from inbox.models.inbox import Inbox

        promised = sender.inbox_ids.intersection(self.inbox_ids)
        for inbox in db.session.scalars(sa.select(Inbox).where(Inbox.id.in_(promised), Inbox.account_id == self.account_id)):
            if inbox.registered:
                inbox.add_member(member, by=sender)
        if self.seat and member.seat_eligible and sender.can(Permission.SEATS_MANAGE):
            with suppress(NoSeatLeft):  # then they join to look; the seats page shows it
                self.account.seat(member, by=sender)
