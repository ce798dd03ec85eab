"""Signing in with the company's own accounts (OpenID Connect), and what the account demands of every sign-in (ACC-7)."""

from __future__ import annotations

import re
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.account import Account
from inbox.models.base import Model, Refused, db, now_column
from inbox.models.carrier import insert_or_ignore
from inbox.models.event import Event
from inbox.models.login_session import LoginSession
from inbox.models.member import Member, normalize_email
from inbox.models.secret import decrypt, encrypt

_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


class SignInPolicy(Model):
    """What an account demands of everybody's sign-in."""

    __tablename__ = "sign_in_policy"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), unique=True)
    second_factor: Mapped[bool] = mapped_column(default=False)

    @staticmethod
    def of(account_id: int) -> SignInPolicy:
        """The account's policy; a row that is not stored yet demands nothing."""
        row = db.session.scalar(sa.select(SignInPolicy).where(SignInPolicy.account_id == account_id))
        return row or SignInPolicy(account_id=account_id, second_factor=False)

    @staticmethod
    def require_second_factor(account: Account, wanted: bool, *, by: Member) -> None:
        """Everybody without a second factor is led to set one up, from their next click on."""
        from inbox.models.second_factor import Passkey, Totp

        if SignInPolicy.of(account.id).second_factor == wanted:
            return
        insert = insert_or_ignore()(SignInPolicy).values(account_id=account.id, second_factor=wanted)
        db.session.execute(insert.on_conflict_do_update(index_elements=["account_id"], set_={"second_factor": wanted}))
        without = sa.select(Member.id).where(
            Member.account_id == account.id,
            ~sa.exists().where(Totp.member_id == Member.id, Totp.confirmed_at.is_not(None)),
            ~sa.exists().where(Passkey.member_id == Member.id),
        )
        everyone = sa.select(Member.id).where(Member.account_id == account.id)
        db.session.execute(sa.update(LoginSession).where(LoginSession.member_id.in_(without if wanted else everyone), LoginSession.revoked_at.is_(None)).values(setup_due=wanted))
        Event.record("sign_in.second_factor_required" if wanted else "sign_in.second_factor_optional", account=account, by=by)


class ProviderIdentity(Model):
    """Who a member is at the account's provider: bound at the first sign-in, because addresses are given to new people (SECURITY 6.8)."""

    __tablename__ = "provider_identity"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    issuer: Mapped[str] = mapped_column(sa.String(300))
    subject: Mapped[str] = mapped_column(sa.String(255))
    created_at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("account_id", "issuer", "subject"), sa.UniqueConstraint("account_id", "issuer", "member_id"))

    @staticmethod
    def known(provider: IdentityProvider, subject: str) -> Member | None:
        """The member that person was bound to."""
        query = sa.select(Member).join(ProviderIdentity, ProviderIdentity.member_id == Member.id)
        return db.session.scalar(
            query.where(ProviderIdentity.account_id == provider.account_id, ProviderIdentity.issuer == provider.issuer, ProviderIdentity.subject == subject[:255])
        )

    @staticmethod
    def bind(provider: IdentityProvider, subject: str, member: Member) -> None:
        """Remember who it is; raises Refused when the member is somebody else at that provider."""
        values = {"account_id": provider.account_id, "issuer": provider.issuer, "subject": subject[:255], "member_id": member.id, "created_at": clock.now()}
        db.session.execute(insert_or_ignore()(ProviderIdentity).values(**values).on_conflict_do_nothing())
        bound = ProviderIdentity.known(provider, subject)
        if bound is None or bound.id != member.id:
            raise Refused("Somebody else signed in with this address before. Ask the owner of the account.")


class IdentityProvider(Model):
    """The OpenID provider of an account. The secret is encrypted; nobody signs in through it with more rights than whoever set it up holds."""

    __tablename__ = "identity_provider"
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), unique=True)
    issuer: Mapped[str] = mapped_column(sa.String(300))
    client_id: Mapped[str] = mapped_column(sa.String(300))
    sealed: Mapped[str] = mapped_column(sa.String(1500))  # the client's secret, encrypted
    domains: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    enabled: Mapped[bool] = mapped_column(default=True)
    exclusive: Mapped[bool] = mapped_column(default=False)  # passwords and passkeys sign in owners only
    set_by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = now_column()
    account: Mapped[Account] = relationship()
    set_by: Mapped[Member] = relationship()

    @staticmethod
    def of(account_id: int) -> IdentityProvider | None:
        return db.session.scalar(sa.select(IdentityProvider).where(IdentityProvider.account_id == account_id))

    @staticmethod
    def any() -> bool:
        """Whether the sign-in page offers it."""
        return db.session.scalar(sa.select(IdentityProvider.id).where(IdentityProvider.enabled.is_(True)).limit(1)) is not None

    @staticmethod
    def only() -> IdentityProvider | None:
        """The provider, when the installation has just one: nobody need be asked which."""
        rows = db.session.scalars(sa.select(IdentityProvider).where(IdentityProvider.enabled.is_(True)).limit(2)).all()
        return rows[0] if len(rows) == 1 else None

    @staticmethod
    def for_address(email: str) -> IdentityProvider | None:
        """The provider behind an address: that of its member's account, for unknown ones the only one that serves the domain."""
        email = normalize_email(email)
        domain = email.rpartition("@")[2]
        rows = db.session.scalars(sa.select(IdentityProvider).where(IdentityProvider.enabled.is_(True)).order_by(IdentityProvider.id)).all()
        serving = [row for row in rows if domain in row.domains]
        account = db.session.scalar(sa.select(Member.account_id).where(Member.email == email))
        if account is not None:
            return next((row for row in serving if row.account_id == account), None)
        return serving[0] if len(serving) == 1 else None

    @property
    def secret(self) -> str:
        return decrypt(self.sealed) if self.sealed else ""

    def serves(self, email: str) -> bool:
        return normalize_email(email).rpartition("@")[2] in self.domains

    @staticmethod
    def put(account: Account, *, issuer: str, client_id: str, secret: str, domains: list[str], enabled: bool, exclusive: bool, by: Member) -> IdentityProvider:
        """Keep the settings; an empty secret keeps the one before. Raises Refused with the field at fault."""
        if not domains:
            raise Refused("Enter at least one domain, like example.com.", field="domains")
        wrong = next((domain for domain in domains if not _DOMAIN.fullmatch(domain)), None)
        if wrong is not None:
            raise Refused(f"“{wrong[:80]}” is not a domain. Write it like example.com.", field="domains")
        row = IdentityProvider.of(account.id) or IdentityProvider(account_id=account.id, sealed="")
        if not secret and (not row.sealed or row.issuer != issuer):  # a secret goes to no other place than the one it was typed for
            raise Refused("Enter the client secret that the provider shows for this issuer.", field="secret")
        row.issuer, row.client_id, row.domains, row.enabled, row.exclusive = issuer, client_id, domains, enabled, enabled and exclusive
        row.set_by_id, row.updated_at = by.id, clock.now()
        if secret:
            row.sealed = encrypt(secret)
        row.save()
        Event.record("single_sign_on.changed", account=account, by=by, issuer=issuer, domains=domains, enabled=enabled, exclusive=row.exclusive)
        return row

    def remove(self, *, by: Member) -> None:
        Event.record("single_sign_on.removed", account=self.account_id, by=by, issuer=self.issuer)
        db.session.delete(self)
        db.session.flush()


def password_allowed(member: Member) -> bool:
    """Whether a password or passkey may sign this member in: always for owners, else unless only single sign-on counts."""
    row = IdentityProvider.of(member.account_id)
    if "owner" in member.roles or row is None or not (row.enabled and row.exclusive):
        return True
    return not (row.serves(member.email) and member.permissions <= row.set_by.permissions_everywhere)  # whom single sign-on would refuse needs another way
