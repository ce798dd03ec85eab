"""Carrier registration of a team: brand and campaign, from draft to approved (REG-1..4)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock, realtime
from inbox.channels.base import Issue, PermanentFailure, RegistrationStatus, TemporaryFailure, Uncertain
from inbox.models.account import Team
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id, transaction
from inbox.models.carrier import Carrier
from inbox.models.event import Event
from inbox.permissions import Permission

if TYPE_CHECKING:
    from inbox.models.inbox import Inbox
    from inbox.models.member import Member

# Which states may follow which; a late or repeated notice that does not fit changes nothing (REG-2).
NEXT: dict[str, frozenset[str]] = {
    "draft": frozenset({"submitted"}),
    "submitted": frozenset({"in_review", "approved", "rejected"}),
    "in_review": frozenset({"approved", "rejected"}),
    "rejected": frozenset({"submitted"}),
    "approved": frozenset({"suspended", "expired"}),
    "suspended": frozenset({"approved", "expired"}),
    "expired": frozenset({"submitted"}),
}
PENDING = ("submitted", "in_review")


class Registration(Model):
    """One per team. `form` holds our field names; `refs` the carrier's ids of the pieces made so far."""

    __tablename__ = "registration"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    team_id: Mapped[int] = mapped_column(sa.ForeignKey("team.id"), unique=True)
    state: Mapped[str] = mapped_column(sa.String(12), default="draft")
    provider_state: Mapped[str] = mapped_column(sa.String(60), default="")
    form: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    refs: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)
    issues: Mapped[list[dict[str, Any]]] = mapped_column(sa.JSON, default=list)
    history: Mapped[list[list[str]]] = mapped_column(sa.JSON, default=list)  # [state, ISO time]
    round: Mapped[int] = mapped_column(default=0)  # submissions so far: a notice about an older round is ignored
    created_at: Mapped[datetime] = now_column()
    submitted_at: Mapped[datetime | None] = mapped_column(Moment)
    decided_at: Mapped[datetime | None] = mapped_column(Moment)
    checked_at: Mapped[datetime | None] = mapped_column(Moment)
    next_check_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    problem: Mapped[str] = mapped_column(sa.String(300), default="")  # why the last talk with the carrier failed
    team: Mapped[Team] = relationship()

    @staticmethod
    def of_team(team_id: int) -> Registration | None:
        return db.session.scalar(sa.select(Registration).where(Registration.team_id == team_id))

    @staticmethod
    def start(team: Team) -> Registration:
        """The team's registration, made as a draft when there is none."""
        return Registration.of_team(team.id) or Registration(account_id=team.account_id, team_id=team.id, form={}, refs={}).save()

    @property
    def editable(self) -> bool:
        return self.state in ("draft", "rejected", "expired")

    def covers(self, inbox: Inbox) -> bool:
        """Whether that inbox's number has joined the campaign."""
        return inbox.joined_at is not None

    def found_issues(self) -> list[Issue]:
        return [Issue(field=i.get("field"), code=i.get("code", ""), message=i["message"]) for i in self.issues]

    # -- the form ---------------------------------------------------------------------------------------------

    def write(self, form: dict[str, Any], *, by: Member) -> None:
        """Keep what was typed, valid or not."""
        by.require(Permission.REGISTRATION_MANAGE)
        if not self.editable:
            raise Refused("The registration is with the carriers; it can be changed when they answer.")
        self.form = {**self.form, **form}

    def check(self) -> list[Issue]:
        """What is wrong with the form by the carriers' limits (REG-1); empty when it may be sent."""
        adapter = Carrier.of(self.account_id).adapter
        return [*adapter.check_brand(self.form), *adapter.check_campaign(self.form)]

    def submit(self, *, by: Member) -> None:
        """Send the form to the carriers: in a job, with nothing held."""
        by.require(Permission.REGISTRATION_MANAGE)
        issues = self.check()
        if issues:
            raise Refused(issues[0].message, field=issues[0].field)
        if not self._move("submitted", by=by):
            raise Refused("The registration is already with the carriers.")
        self.round += 1
        self.issues, self.problem, self.submitted_at, self.decided_at = [], "", clock.now(), None
        self.refs = {k: v for k, v in self.refs.items() if k != "campaign"}  # filed again, which corrects one that was turned down
        self.next_check_at = clock.now()
        background.enqueue("submit_registration", self.id)

    # -- talking to the carrier: called by jobs, no transaction open -------------------------------------------

    def send_to_carrier(self) -> None:
        """Make the brand and the campaign; every piece made is kept at once, so that a crash half-way resumes."""
        from inbox.models.inbox import Inbox

        carrier = Carrier.of(self.account_id)
        adapter, credentials, form, refs = carrier.adapter, carrier.credentials, dict(self.form), dict(self.refs)
        inboxes = [(i.id, i.number_sid) for i in db.session.scalars(sa.select(Inbox).where(Inbox.team_id == self.team_id))]
        name, hooks = f"{self.team.name} texting", (carrier.hook("messages"), carrier.hook("status"), carrier.hook("events"))
        db.session.rollback()
        try:
            adapter.subscribe_registration_events(credentials, hooks[2])
            if "service" not in refs:
                refs["service"] = adapter.ensure_service(credentials, name[:64], hooks[0], hooks[1])
                self._keep(refs)
            for _, number_sid in inboxes:
                if number_sid:
                    adapter.attach_number(credentials, refs["service"], number_sid)
            refs = adapter.submit_brand(credentials, form, refs, self._keep)
            self._keep(refs)
            self._advance(RegistrationStatus(state="in_review", provider_state="brand submitted", issues=()))
        except PermanentFailure as error:
            self._decide_rejected(error)
        except (TemporaryFailure, Uncertain) as error:
            self._trouble(str(error))

    def refresh(self) -> None:
        """Ask the carrier where it stands; files the campaign once the brand is approved (REG-2)."""
        from inbox.models.inbox import Inbox

        carrier = Carrier.of(self.account_id)
        adapter, credentials, form, refs, asked_round = carrier.adapter, carrier.credentials, dict(self.form), dict(self.refs), self.round
        if self.state not in (*PENDING, "approved", "suspended"):
            return
        if "brand" not in refs:
            self.send_to_carrier()
            return
        waiting = [  # numbers bought while the carriers were deciding
            sid for sid in db.session.scalars(sa.select(Inbox.number_sid).where(Inbox.team_id == self.team_id, Inbox.joined_at.is_(None))) if sid
        ]
        db.session.rollback()
        try:
            status = adapter.registration_status(credentials, refs)
            if status.state == "in_review" and status.provider_state == "brand approved" and "campaign" not in refs:
                refs["campaign"] = adapter.submit_campaign(credentials, refs["service"], refs["brand"], form)
                self._keep(refs)
                status = adapter.registration_status(credentials, refs)
            if status.state == "approved":
                for number_sid in waiting:
                    adapter.attach_number(credentials, refs["service"], number_sid)
        except PermanentFailure as error:
            self._decide_rejected(error)
            return
        except (TemporaryFailure, Uncertain) as error:
            self._trouble(str(error))
            return
        self._advance(status, asked_round)

    def _keep(self, refs: dict[str, str]) -> None:
        with transaction():
            self.refs = dict(refs)

    def _decide_rejected(self, error: PermanentFailure) -> None:
        issues = error.issues or (Issue(field=error.field, code=error.code or "", message=str(error)),)
        if "brand" not in self.refs:  # the pieces made so far hold the old answers: begin them anew next time
            self._keep({name: sid for name, sid in self.refs.items() if name == "service"})
        self._advance(RegistrationStatus(state="rejected", provider_state="refused", issues=issues))

    def _trouble(self, sentence: str) -> None:
        with transaction():
            self.problem, self.checked_at = sentence[:300], clock.now()
            self.next_check_at = clock.now() + timedelta(seconds=30)
        realtime.publish("registration", account=self.account_id, team=self.team_id)

    def _advance(self, status: RegistrationStatus, asked_round: int | None = None) -> None:
        with transaction():
            if asked_round is not None and asked_round != self.round:
                return
            self.provider_state, self.checked_at, self.problem = status.provider_state, clock.now(), ""
            waited = clock.now() - (self.submitted_at or clock.now())
            self.next_check_at = clock.now() + (timedelta(seconds=2) if waited < timedelta(minutes=5) else timedelta(minutes=15))
            if status.state == self.state or not self._move(status.state):
                return
            if status.state == "rejected":
                self.issues = [{"field": i.field, "code": i.code, "message": i.message} for i in status.issues]
            if status.state in ("approved", "rejected", "suspended", "expired"):
                self.decided_at = clock.now()
                background.enqueue("send_mail", "registration", self.id, on="mail")
            if status.state == "approved":
                self.next_check_at = clock.now() + timedelta(hours=1)
                self._join_inboxes()
            if status.state in ("rejected", "expired"):
                self.next_check_at = None

    def _join_inboxes(self) -> None:
        from inbox.models.inbox import Inbox

        db.session.execute(
            sa.update(Inbox).where(Inbox.team_id == self.team_id, Inbox.joined_at.is_(None)).values(joined_at=clock.now())
        )
        realtime.publish("navigation", account=self.account_id)

    def join(self, inbox: Inbox) -> None:
        """A later inbox of the team joins the approved campaign (REG-4); called by the wizard before it is shown."""
        if self.state == "approved":
            inbox.joined_at = clock.now()
            realtime.publish("navigation", account=self.account_id)

    def _move(self, state: str, *, by: Member | None = None) -> bool:
        """Forward only, by one conditional statement; False when the move does not fit the present state."""
        allowed = [before for before, after in NEXT.items() if state in after]
        moved = db.session.execute(
            sa.update(Registration)
            .where(Registration.id == self.id, Registration.state.in_(allowed))
            .values(state=state)
            .returning(Registration.state)
            .execution_options(synchronize_session=False)
        ).scalar()
        if moved is None:
            return False
        before = self.state
        db.session.refresh(self, ["state", "history"])
        self.history = [*self.history, [state, clock.now().isoformat()]]
        Event.record("registration.moved", account=self.account_id, by=by, team=self.team_id, before=before, after=state)
        realtime.publish("registration", account=self.account_id, team=self.team_id)
        return True

    def check_now(self, *, by: Member) -> None:
        """Ask the carrier at once; at most every 5 seconds."""
        by.require(Permission.REGISTRATION_MANAGE)
        if self.checked_at and clock.now() - self.checked_at < timedelta(seconds=5):
            raise Refused("Checked a moment ago. Try again in a few seconds.")
        background.enqueue("poll_registrations", self.id)

    def notice(self) -> None:
        """The carrier says something changed: ask it, rather than trust the notice (REG-2)."""
        background.enqueue("poll_registrations", self.id)

    @staticmethod
    def due() -> list[int]:
        """Ids of registrations the poller should ask about now."""
        return list(
            db.session.scalars(
                sa.select(Registration.id)
                .where(Registration.next_check_at <= clock.now(), Registration.state.in_((*PENDING, "approved", "suspended")))
                .limit(50)
            )
        )

    @staticmethod
    def by_ref(account_id: int, ref: str) -> Registration | None:
        """The account's registration that a carrier's id belongs to."""
        rows = db.session.scalars(sa.select(Registration).where(Registration.account_id == account_id))
        return next((row for row in rows if ref in row.refs.values()), None)
