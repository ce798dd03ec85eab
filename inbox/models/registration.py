"""Carrier registration of a team: brand and campaign, from draft to approved (REG-1..4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

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
# Business days each step usually takes, at the least and at the most; the campaign's start when the brand is verified.
USUAL = {"profile": (0, 3), "brand": (0, 5), "campaign": (10, 15)}


def business_day(start: date, days: int) -> date:
    """The date so many business days after `start`; Saturdays and Sundays are none, holidays are not known."""
    day = start
    while days:
        day += timedelta(days=1)
        days -= day.weekday() < 5
    return day


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
    reached: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)  # profile, brand, campaign -> ISO time we heard that it was accepted
    round: Mapped[int] = mapped_column(default=0)  # submissions so far: a notice about an older round is ignored
    created_at: Mapped[datetime] = now_column()
    submitted_at: Mapped[datetime | None] = mapped_column(Moment)
    decided_at: Mapped[datetime | None] = mapped_column(Moment)
    checked_at: Mapped[datetime | None] = mapped_column(Moment)
    next_check_at: Mapped[datetime | None] = mapped_column(Moment, index=True)
    limits: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)  # mps, daily_cap, score, tier of channels/base.py; {} until approved
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
        return [Issue(field=i.get("field"), code=i.get("code", ""), message=i["message"], change=i.get("change", "")) for i in self.issues]

    # -- how long it takes ----------------------------------------------------------------------------------------

    def accepted(self, step: str) -> datetime | None:
        """When the carriers accepted the profile, the brand or the campaign of the present submission, as far as we heard."""
        at = self.reached.get(step)
        return datetime.fromisoformat(at) if at else None

    def expected(self, step: str) -> tuple[date, date] | None:
        """The first and last date a step (profile, brand or campaign) is usually done, in the account's time zone; None before the form is sent."""
        if self.submitted_at is None:
            return None
        start = max(self.submitted_at, self.accepted("brand") or self.submitted_at) if step == "campaign" else self.submitted_at
        day, (least, most) = start.astimezone(self._zone).date(), USUAL[step]
        return business_day(day, least), business_day(day, most)

    def overdue(self, step: str) -> bool:
        """Whether a step takes longer than usual."""
        expected = self.expected(step)
        return self.state in PENDING and expected is not None and self.accepted(step) is None and clock.now().astimezone(self._zone).date() > expected[1]

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.team.account.time_zone)

    # -- the form ---------------------------------------------------------------------------------------------

    def write(self, form: dict[str, Any], *, by: Member) -> None:
        """Keep what was typed, valid or not."""
        by.require(Permission.REGISTRATION_MANAGE, on=self)
        if not self.editable:
            raise Refused("The registration is with the carriers; it can be changed when they answer.")
        self.form = {**self.form, **form}

    def check(self) -> list[Issue]:
        """What is wrong with the form by the carriers' limits (REG-1); empty when it may be sent."""
        adapter = Carrier.of(self.account_id).adapter
        return [*adapter.check_brand(self.form), *adapter.check_campaign(self.form)]

    def advice(self) -> list[Issue]:
        """What reviewers often turn such a form down for; it may be sent all the same."""
        return Carrier.of(self.account_id).adapter.advise(self.form)

    def submit(self, *, by: Member) -> None:
        """Send the form to the carriers: in a job, with nothing held."""
        by.require(Permission.REGISTRATION_MANAGE, on=self)
        issues = self.check()
        if issues:
            raise Refused(issues[0].message, field=issues[0].field)
        db.session.flush()
        db.session.refresh(self, with_for_update=True)  # an answer may just be coming
        kept = ("profile", "brand") if self.provider_state.startswith("campaign") else ()  # what was accepted stays accepted
        lost = self.state == "expired" and self.provider_state.startswith("brand")  # and what is gone at the carrier is made anew
        if not self._move("submitted", by=by):
            raise Refused("The registration is already with the carriers.")
        self.round += 1
        self.issues, self.problem, self.submitted_at, self.decided_at = [], "", clock.now(), None
        self.reached = {step: at for step, at in self.reached.items() if step in kept}
        self.refs = {k: v for k, v in self.refs.items() if (k == "service" if lost else k != "campaign")}  # filed again, which corrects one that was turned down
        self.next_check_at = clock.now()
        background.enqueue("submit_registration", self.id)

    # -- talking to the carrier: called by jobs, no transaction open -------------------------------------------

    def send_to_carrier(self) -> None:
        """Make the brand and the campaign; every piece made is kept at once, so that a crash half-way resumes."""
        from inbox.models.inbox import Inbox

        carrier = Carrier.of(self.account_id)
        adapter, credentials, form, refs, asked_round = carrier.adapter, carrier.credentials, dict(self.form), dict(self.refs), self.round
        inboxes = [(i.id, i.number_sid) for i in db.session.scalars(sa.select(Inbox).where(Inbox.team_id == self.team_id))]
        name, hooks = f"{self.team.name} texting", (carrier.hook("messages"), carrier.hook("status"), carrier.hook("events"))
        db.session.rollback()
        try:
            adapter.subscribe_registration_events(credentials, hooks[2])
            if "service" not in refs:
                refs["service"] = adapter.ensure_service(credentials, name[:64], hooks[0], hooks[1])
                self._keep(refs, asked_round)
            for _, number_sid in inboxes:
                if number_sid:
                    adapter.attach_number(credentials, refs["service"], number_sid)
            refs = adapter.submit_brand(credentials, form, refs, lambda made: self._keep(made, asked_round))
            self._keep(refs, asked_round)
            self._advance(RegistrationStatus(state="in_review", provider_state="brand submitted", issues=()), asked_round)
        except PermanentFailure as error:
            self._decide_rejected(error, asked_round)
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
        waiting = [  # numbers bought while the carriers were deciding, or later
            (id, sid)
            for id, sid in db.session.execute(sa.select(Inbox.id, Inbox.number_sid).where(Inbox.team_id == self.team_id, Inbox.joined_at.is_(None)))
            if sid
        ]
        db.session.rollback()
        refused: dict[int, str] = {}
        try:
            status = adapter.registration_status(credentials, refs)
            if status.state == "in_review" and status.provider_state == "brand approved" and "campaign" not in refs:
                refs["campaign"] = adapter.submit_campaign(credentials, refs["service"], refs["brand"], form)
                self._keep(refs, asked_round)
                status = adapter.registration_status(credentials, refs)
            for inbox_id, number_sid in waiting if status.state == "approved" else ():
                try:
                    adapter.attach_number(credentials, refs["service"], number_sid)
                except PermanentFailure as error:  # one number must not hold up the others
                    refused[inbox_id] = str(error)
        except PermanentFailure as error:
            self._decide_rejected(error, asked_round)
            return
        except (TemporaryFailure, Uncertain) as error:
            self._trouble(str(error))
            return
        self._advance(status, asked_round, [inbox_id for inbox_id, _ in waiting], refused)

    def _keep(self, refs: Mapping[str, str], asked_round: int) -> None:
        with transaction():
            if self._still(asked_round):
                self.refs = dict(refs)

    def _still(self, asked_round: int) -> bool:
        """Whether a round is the present one; nobody submits anew until the transaction ends."""
        db.session.refresh(self, with_for_update=True)
        return self.round == asked_round

    def _decide_rejected(self, error: PermanentFailure, asked_round: int) -> None:
        issues = error.issues or (Issue(field=error.field, code=error.code or "", message=str(error)),)
        if "brand" not in self.refs:  # the pieces made so far hold the old answers: begin them anew next time
            self._keep({name: sid for name, sid in self.refs.items() if name == "service"}, asked_round)
        self._advance(RegistrationStatus(state="rejected", provider_state="refused", issues=issues), asked_round)

    def _trouble(self, sentence: str) -> None:
        with transaction():
            self.problem, self.checked_at = sentence[:300], clock.now()
            self.next_check_at = clock.now() + timedelta(seconds=30)
        realtime.publish("registration", account=self.account_id, team=self.team_id)

    def _advance(
        self, status: RegistrationStatus, asked_round: int | None = None, attached: Sequence[int] = (), refused: Mapping[int, str] = MappingProxyType({})
    ) -> None:
        """Apply what the carrier told about a round; `attached` are the inboxes whose numbers were added for it, `refused` those it did not take, and why."""
        with transaction():
            if not self._still(self.round if asked_round is None else asked_round):
                return
            self.provider_state, self.checked_at = status.provider_state, clock.now()
            self.problem = f"A number could not join: {next(iter(refused.values()))}"[:300] if refused else ""
            waited = clock.now() - (self.submitted_at or clock.now())
            self.next_check_at = clock.now() + (timedelta(seconds=2) if waited < timedelta(minutes=5) else timedelta(minutes=15))
            if self.state in PENDING and (new := sorted(status.done - set(self.reached))):
                self.reached = {**self.reached, **dict.fromkeys(new, clock.now().isoformat())}
            moved = status.state not in (self.state, "submitted") and self._move(status.state)  # only people submit
            if self.state == status.state == "approved" and status.limits:
                self.limits = dict(status.limits)
            if not moved:
                if self.state == status.state == "approved" and set(attached) - set(refused):
                    self._join_inboxes(refused)
                return
            if status.state in ("rejected", "suspended", "approved"):
                self.issues = [{"field": i.field, "code": i.code, "message": i.message, "change": i.change} for i in status.issues]
            if status.state in ("approved", "rejected", "suspended", "expired"):
                self.decided_at = clock.now()
                background.enqueue("send_mail", "registration", self.id, on="mail")
                self._tell()
            if status.state == "approved":
                self.next_check_at = clock.now() + timedelta(hours=1)
                self._join_inboxes(refused)
            if status.state in ("rejected", "expired"):
                self.next_check_at = None

    def _tell(self) -> None:
        """Put the carriers' decision into the trays of who manages registrations."""
        from inbox.models.member import Member
        from inbox.models.tray import TrayItem

        people = Member.holding(self.account_id, Permission.REGISTRATION_MANAGE)
        TrayItem.tell(people, "registration", state=self.state, team=self.team.name, registration=self.public_id)

    def _join_inboxes(self, but: Iterable[int] = ()) -> None:
        """The team's inboxes but these may text from now on; replies that waited leave."""
        from inbox.models.inbox import Inbox
        from inbox.models.release import waiting_for

        db.session.execute(
            sa.update(Inbox).where(Inbox.team_id == self.team_id, Inbox.joined_at.is_(None), Inbox.id.not_in(list(but))).values(joined_at=clock.now())
        )
        if waiting_for(self.id):
            background.enqueue("release_drafts", self.id)
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
        by.require(Permission.REGISTRATION_MANAGE, on=self)
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
