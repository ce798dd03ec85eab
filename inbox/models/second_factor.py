"""What proves a person beside the password: codes of an app, recovery codes, passkeys (ACC-7)."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock
from inbox.models.account import Account
from inbox.models.attempt import Attempt
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.event import Event
from inbox.models.login_session import LoginSession
from inbox.models.member import Member, digest
from inbox.models.secret import decrypt, encrypt

STEP = 30  # seconds a code of the app lasts
RECOVERY_CODES = 10
MOST_PASSKEYS = 20
BEGUN_FOR = timedelta(minutes=15)  # after that a secret nobody confirmed is made anew
CODE_TRIES, CODE_WINDOW = 5, timedelta(minutes=15)
CHALLENGE_LIFE = timedelta(minutes=5)
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"


class Totp(Model):
    """An authenticator app; counts only once its first code was typed."""

    __tablename__ = "totp"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), unique=True)
    sealed: Mapped[str] = mapped_column(sa.String(300))  # the shared secret, encrypted
    last_step: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    created_at: Mapped[datetime] = now_column()
    confirmed_at: Mapped[datetime | None] = mapped_column(Moment)

    @staticmethod
    def of(member: Member) -> Totp | None:
        """The app that is in use."""
        return db.session.scalar(sa.select(Totp).where(Totp.member_id == member.id, Totp.confirmed_at.is_not(None)))

    @staticmethod
    def begin(member: Member) -> Totp:
        """A new secret to scan, or the one that was begun and not confirmed yet; raises Refused when an app is in use."""
        import pyotp

        row = db.session.scalar(sa.select(Totp).where(Totp.member_id == member.id))
        if row is not None and row.confirmed_at:
            raise Refused("An app is set up already. Turn it off first.")
        if row is not None and clock.now() - row.created_at > BEGUN_FOR:  # whoever saw it then must not know it now
            row.sealed, row.created_at, row.last_step = encrypt(pyotp.random_base32()), clock.now(), 0
        if row is None:
            row = Totp(member_id=member.id, sealed=encrypt(pyotp.random_base32()))
            try:
                with db.session.begin_nested():
                    row.save()
            except sa.exc.IntegrityError:  # another tab was faster by a moment
                return db.session.scalars(sa.select(Totp).where(Totp.member_id == member.id)).one()
        return row

    @property
    def secret(self) -> str:
        """The typed form of the secret; only ever shown until the first code was typed (SECURITY S35)."""
        if self.confirmed_at:
            raise RuntimeError("The secret of an app in use is never shown.")
        return decrypt(self.sealed)

    def address(self, member: Member) -> str:
        """What the QR code says."""
        import pyotp

        return pyotp.TOTP(self.secret).provisioning_uri(name=member.email, issuer_name=f"Shared inbox ({one_line(member.account.name)[:40]})")

    def accept(self, code: str) -> bool:
        """Whether the code is right now; each time step once, by one conditional statement (SECURITY S48)."""
        import pyotp

        code = "".join(code.split())
        if len(code) != 6 or not (code.isascii() and code.isdigit()):
            return False
        app, now = pyotp.TOTP(decrypt(self.sealed)), int(clock.now().timestamp()) // STEP
        step = next((step for step in (now, now - 1, now + 1) if hmac.compare_digest(app.generate_otp(step), code)), None)
        if step is None:
            return False
        query = sa.update(Totp).where(Totp.id == self.id, Totp.last_step < step).values(last_step=step)
        return db.session.execute(query.returning(Totp.id)).scalar() is not None

    def confirm(self, code: str, *, by: Member) -> list[str]:
        """Switch the app on by its first code; returns fresh recovery codes, shown once. Raises Refused for a wrong code."""
        if not self.accept(code):
            raise Refused("That code is not right. Wait for the next one and type it within half a minute; the phone’s clock must be right, too.", field="code")
        self.confirmed_at = clock.now()
        Event.record("factor.added", account=by.account_id, by=by, member=by.id, name=by.name, kind="app")
        _settled(by)
        return RecoveryCode.renew(by)

    def turn_off(self, *, by: Member) -> None:
        """Remove the app and, when no passkey is left, the recovery codes."""
        Account.one_change_at_a_time(by.account_id, by)
        if not Passkey.of(by):
            _may_be_left_without(by)
            db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.member_id == by.id))
        db.session.delete(self)
        db.session.flush()
        Event.record("factor.removed", account=by.account_id, by=by, member=by.id, name=by.name, kind="app")
        LoginSession.rotate_all(by)


class RecoveryCode(Model):
    """A code for the day the phone is lost: works once, stored as a digest."""

    __tablename__ = "recovery_code"
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    code_digest: Mapped[str] = mapped_column(sa.String(64))
    used_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (sa.UniqueConstraint("member_id", "code_digest"),)

    @staticmethod
    def renew(member: Member) -> list[str]:
        """Ten new codes; the ones before stop working."""
        db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.member_id == member.id))
        codes = ["-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4)) for _ in range(RECOVERY_CODES)]
        db.session.add_all(RecoveryCode(member_id=member.id, code_digest=digest(_plain(code))) for code in codes)
        db.session.flush()
        return codes

    @staticmethod
    def left(member: Member) -> int:
        query = sa.select(sa.func.count(RecoveryCode.id)).where(RecoveryCode.member_id == member.id, RecoveryCode.used_at.is_(None))
        return db.session.scalar(query) or 0

    @staticmethod
    def use(member: Member, code: str) -> bool:
        """Spend a code; False when it is unknown or spent."""
        query = sa.update(RecoveryCode).where(RecoveryCode.member_id == member.id, RecoveryCode.code_digest == digest(_plain(code)), RecoveryCode.used_at.is_(None))
        if db.session.execute(query.values(used_at=clock.now()).returning(RecoveryCode.id)).scalar() is None:
            return False
        Event.record("recovery.used", account=member.account_id, by=member, member=member.id, name=member.name, left=RecoveryCode.left(member))
        return True


class Passkey(Model):
    """A key kept by a phone, a computer or a security stick."""

    __tablename__ = "passkey"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"), index=True)
    credential: Mapped[str] = mapped_column(sa.String(1400), unique=True)  # its id, base64url
    public_key: Mapped[bytes] = mapped_column(sa.LargeBinary)
    sign_count: Mapped[int] = mapped_column(sa.BigInteger, default=0)
    name: Mapped[str] = mapped_column(sa.String(60))
    created_at: Mapped[datetime] = now_column()
    used_at: Mapped[datetime | None] = mapped_column(Moment)
    member: Mapped[Member] = relationship()

    @staticmethod
    def of(member: Member) -> list[Passkey]:
        return list(db.session.scalars(sa.select(Passkey).where(Passkey.member_id == member.id).order_by(Passkey.id)))

    @staticmethod
    def add(member: Member, *, credential: str, public_key: bytes, sign_count: int, name: str) -> tuple[Passkey, list[str]]:
        """Keep a new passkey; with the first second factor come recovery codes, shown once. Raises Refused when it is known."""
        before = Passkey.of(member)
        if len(before) >= MOST_PASSKEYS:
            raise Refused(f"You have {MOST_PASSKEYS} passkeys. Remove one first.")
        row = Passkey(member_id=member.id, credential=credential, public_key=public_key, sign_count=sign_count, name=_named(name))
        try:
            with db.session.begin_nested():
                row.save()
        except sa.exc.IntegrityError:
            raise Refused("This passkey is registered already.") from None
        Event.record("factor.added", account=member.account_id, by=member, member=member.id, name=member.name, kind="passkey", label=row.name)
        _settled(member)
        return row, [] if RecoveryCode.left(member) else RecoveryCode.renew(member)

    def rename(self, name: str) -> None:
        self.name = _named(name)

    def remove(self, *, by: Member) -> None:
        Account.one_change_at_a_time(by.account_id, by)
        if len(Passkey.of(by)) == 1 and Totp.of(by) is None:
            _may_be_left_without(by)
            db.session.execute(sa.delete(RecoveryCode).where(RecoveryCode.member_id == by.id))
        db.session.delete(self)
        db.session.flush()
        Event.record("factor.removed", account=by.account_id, by=by, member=by.id, name=by.name, kind="passkey", label=self.name)
        LoginSession.rotate_all(by)

    def used(self, sign_count: int) -> bool:
        """Note a use; False when the counter went back or stood still, as it does on a copied key."""
        rising = sa.or_(Passkey.sign_count < sign_count, sa.and_(Passkey.sign_count == 0, sa.literal(sign_count) == 0))
        query = sa.update(Passkey).where(Passkey.id == self.id, rising).values(sign_count=sign_count, used_at=clock.now())
        return db.session.execute(query.returning(Passkey.id)).scalar() is not None


class Challenge(Model):
    """What a passkey has to sign: random, good for one answer and five minutes."""

    __tablename__ = "passkey_challenge"
    ticket: Mapped[str] = mapped_column(sa.String(43), unique=True)
    challenge: Mapped[bytes] = mapped_column(sa.LargeBinary)
    purpose: Mapped[str] = mapped_column(sa.String(20))
    member_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    created_at: Mapped[datetime] = now_column()

    @staticmethod
    def give(purpose: str, member: Member | None) -> Challenge:
        db.session.execute(sa.delete(Challenge).where(Challenge.created_at < clock.now() - CHALLENGE_LIFE))
        return Challenge(ticket=secrets.token_urlsafe(32), challenge=secrets.token_bytes(32), purpose=purpose, member_id=member.id if member else None).save()

    @staticmethod
    def take(ticket: str, purpose: str, member: Member | None) -> bytes | None:
        """The challenge behind a ticket, once; None when it is unknown, used, too old, or somebody else's."""
        query = sa.delete(Challenge).where(
            Challenge.ticket == ticket, Challenge.purpose == purpose, Challenge.created_at > clock.now() - CHALLENGE_LIFE,
            Challenge.member_id == member.id if member else Challenge.member_id.is_(None),
        )
        return db.session.execute(query.returning(Challenge.challenge)).scalar()


def has_second_factor(member: Member) -> bool:
    """Whether the password alone does not sign this member in."""
    query = sa.select(sa.or_(sa.exists().where(Totp.member_id == member.id, Totp.confirmed_at.is_not(None)), sa.exists().where(Passkey.member_id == member.id)))
    return bool(db.session.scalar(query))


def take_code_try(member: Member, place: str) -> bool:
    """Count one guess of a code; at most five in a quarter of an hour, however many are sent at once (SECURITY S48)."""
    return Attempt.take("code", member.id, place, limit=CODE_TRIES, within=CODE_WINDOW)


def forget_code_tries(member: Member, place: str) -> None:
    Attempt.forget("code", member.id, place)


def _settled(member: Member) -> None:
    """The account may have been waiting for a second factor; and the sessions get new tokens."""
    db.session.execute(sa.update(LoginSession).where(LoginSession.member_id == member.id).values(setup_due=False))
    LoginSession.rotate_all(member)


def _may_be_left_without(member: Member) -> None:
    from inbox.models.identity_provider import SignInPolicy

    if SignInPolicy.of(member.account_id).second_factor:
        raise Refused("Your account requires a second factor. Add another one before you remove this.")


def _named(name: str) -> str:
    return one_line(name)[:60] or "Passkey"


def _plain(code: str) -> str:
    """A recovery code as typed by people: case, blanks and dashes make no difference."""
    return "".join(c for c in code.casefold()[:100] if c.isalnum())
