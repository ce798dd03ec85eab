"""Shared inboxes: the list, the wizard that makes one, its people and its settings (BOX-1..4)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, abort, flash, redirect, request, url_for

from inbox import phone as phones
from inbox.channels.base import ChannelError, NumberTaken, Uncertain
from inbox.forms import put
from inbox.forms.inboxes import ConfirmForm, DetailsForm, NumberForm, SettingsForm
from inbox.models import Conversation, Event, Inbox, InboxDraft, InboxMember, Member, Refused, Registration, db, transaction
from inbox.models.call import usual_greeting
from inbox.models.conversation.receiving import DEFAULTS
from inbox.models.conversation.replying import OPT_IN_REQUEST
from inbox.models.inbox import HUES, MembersChanged, check_details, check_keywords, check_opt_in_request, check_quiet, suggest_api_code
from inbox.permissions import Permission
from inbox.views import wizard
from inbox.views.access import inbox_or_404, member, requires
from inbox.views.hypermedia import fragment, page

bp = Blueprint("inboxes", __name__)

PILLS = {
    "draft": ("Not registered", "warn"), "submitted": ("In review", "warn"), "in_review": ("In review", "warn"), "approved": ("On", "ok"),
    "rejected": ("Rejected", "bad"), "suspended": ("Suspended", "bad"), "expired": ("Expired", "bad"),
}
GONE = "This inbox is not being set up anymore."


@bp.get("/settings/inboxes")
@requires(Permission.INBOXES_MANAGE)
def index() -> Any:
    who = member()
    shared = db.session.scalars(sa.select(Inbox).where(Inbox.account_id == who.account_id, Inbox.owner_id.is_(None)).order_by(Inbox.name))
    inboxes = [inbox for inbox in shared if who.can(Permission.INBOXES_MANAGE, on=inbox)]
    people = db.session.execute(
        sa.select(InboxMember.inbox_id, sa.func.count()).where(InboxMember.inbox_id.in_([i.id for i in inboxes])).group_by(InboxMember.inbox_id)
    )
    registrations = {r.team_id: r for r in db.session.scalars(sa.select(Registration).where(Registration.account_id == who.account_id))}
    draft = InboxDraft.of(who) if who.can(Permission.INBOXES_CREATE) else None
    return page(
        "inboxes/index.html",
        inboxes=inboxes,
        people=dict(people.all()), registrations=registrations, state=lambda i: _pill(i, registrations.get(i.team_id)),
        draft=draft, may_people=bool(who.can(Permission.INBOXES_MEMBERS)), may_create=who.can(Permission.INBOXES_CREATE), several_teams=len(wizard.teams(who)) > 1,
    )


def _pill(inbox: Inbox, registration: Registration | None) -> tuple[str, str]:
    if not inbox.needs_registration:
        return PILLS["approved"]
    if registration is None:
        return PILLS["draft"]
    if registration.state == "approved" and inbox.joined_at is None:
        return ("Joining", "warn")
    return PILLS[registration.state]


# -- the wizard --------------------------------------------------------------------------------------------------


@bp.get("/inboxes/new", defaults={"step": ""})
@bp.get("/inboxes/new/<step>")
@requires(Permission.INBOXES_CREATE)
def new(step: str) -> Any:
    draft = InboxDraft.of(member())
    data = dict(draft.data) if draft else {}
    reached = wizard.first_open(data)
    if step and step not in wizard.STEPS:
        abort(404)
    if not step or wizard.STEPS.index(step) > wizard.STEPS.index(reached):
        return redirect(url_for("inboxes.new", step=reached), 303)
    return SHOW[step](data)


@bp.post("/inboxes/new/<step>")
@requires(Permission.INBOXES_CREATE)
def save(step: str) -> Any:
    """Keep what was typed, valid or not, then go where the pressed button says."""
    if step not in SAVE:
        abort(404)
    draft = InboxDraft.of(member())
    reached = wizard.first_open(draft.data if draft else {})
    if wizard.STEPS.index(step) > wizard.STEPS.index(reached):
        return redirect(url_for("inboxes.new", step=reached), 303)
    return SAVE[step]()


def _keep(**values: Any) -> dict[str, Any]:
    with transaction():
        draft = InboxDraft.start(member())
        draft.put(**values)
        return dict(draft.data)


def _next(step: str, action: str) -> Response:
    if action == "exit":
        flash("Saved. You can go on any time.")
        return redirect(url_for("inboxes.index" if member().can(Permission.INBOXES_MANAGE) else "get_started.show"), 303)  # type: ignore[return-value]
    at = wizard.STEPS.index(step) + (-1 if action == "back" else 1)
    return redirect(url_for("inboxes.new", step=wizard.STEPS[max(0, at)]), 303)  # type: ignore[return-value]


def _step(step: str, data: dict[str, Any], status: int = 200, **context: Any) -> Response:
    who = member()
    team = wizard.team_of(who, data)
    reached = wizard.STEPS.index(wizard.first_open(data))
    steps = [(name, wizard.TITLES[name], wizard.summary(name, data), number < reached) for number, name in enumerate(wizard.STEPS)]
    return page(
        f"inboxes/{step}.html", status, step=step, steps=steps, number=wizard.STEPS.index(step) + 1, data=data, team=team,
        registered=wizard.is_registered(team), account=who.account, **context,
    )


def _details_form(data: dict[str, Any] | None = None) -> DetailsForm:
    form = DetailsForm(data={k: v for k, v in (data or {}).items() if v}) if data is not None else DetailsForm()
    form.team.choices = {team.public_id: team.name for team in wizard.teams(member())}
    return form


def _show_details(data: dict[str, Any]) -> Response:
    return _step("details", data, form=_details_form(data))


def _save_details() -> Response:
    form, action = _details_form(), request.form.get("action", "")
    name = form.name.data or ""
    data = _keep(
        name=name, description=form.description.data or "", hue=form.hue.data or "", team=form.team.data or "",
        api_code=form.api_code.data or (suggest_api_code(name) if name else ""), details_done=False,
    )
    if action == "exit":
        return _next("details", action)
    if not form.validate():
        return _step("details", data, 422, form=form)
    try:
        check_details(wizard.team_of(member(), data), name=name, api_code=data["api_code"], hue=data["hue"])
    except Refused as error:
        put(form, error)
        form.api_code.data = data["api_code"]
        return _step("details", data, 422, form=form)
    _keep(details_done=True)
    return _next("details", action)


@bp.get("/inboxes/new/preview")
@requires(Permission.INBOXES_CREATE)
def preview() -> Any:
    """The sidebar preview while name and color are typed."""
    hue = request.args.get("hue", "")
    return fragment("inboxes/_preview.html", data={"name": request.args.get("name", "")[:60], "hue": hue if hue in HUES else "blue"})


def _number_form(data: dict[str, Any]) -> NumberForm:
    return NumberForm(formdata=None, data={**data, "area_code": data.get("area_code", ""), "prefix": data.get("prefix", "")})


def _show_number(data: dict[str, Any]) -> Response:
    form = _number_form(data)
    if "area_code" in request.args:
        form.area_code.data, form.prefix.data = request.args["area_code"][:10], request.args.get("prefix", "")[:10]
    return _step("number", data, form=form, **_offer(form, data))


def _offer(form: NumberForm, data: dict[str, Any], page_number: int | None = None) -> dict[str, Any]:
    """What the list of numbers shows; a number already bought for this draft needs no search."""
    if data.get("number_sid"):
        return {"offer": wizard.Offer()}
    number = page_number if page_number is not None else _page()
    return {"offer": wizard.search(member(), form.area_code.data or "", form.prefix.data or "", number)}


def _page() -> int:
    text = request.args.get("page", "0")
    return min(int(text), 50) if text.isascii() and text.isdigit() and len(text) < 4 else 0


@bp.get("/inboxes/new/number/search")
@requires(Permission.INBOXES_CREATE)
def search() -> Any:
    """The list of numbers for htmx; the page of step 2 shows the same without it."""
    draft = InboxDraft.of(member())
    data = dict(draft.data) if draft else {}
    area_code, prefix = request.args.get("area_code", "")[:10], request.args.get("prefix", "")[:10]
    offer = wizard.search(member(), area_code, prefix, _page())
    if not offer.searched:
        offer = wizard.Offer("?", problem="Enter an area code, like 415.")
    response = fragment("inboxes/_numbers.html", offer=offer, data=data)
    response.headers["HX-Replace-Url"] = url_for("inboxes.new", step="number", area_code=area_code, prefix=prefix or None)
    return response


def _save_number() -> Response:
    form, action = NumberForm(), request.form.get("action", "")
    draft = InboxDraft.of(member())
    before = dict(draft.data) if draft else {}
    chosen = before["phone"] if before.get("number_sid") else phones.normalize(form.phone.data or "") or ""
    data = _keep(area_code=wizard.digits(form.area_code.data)[:3], prefix=wizard.digits(form.prefix.data)[:7], forward_to=(form.forward_to.data or "")[:40])
    if chosen and chosen != data.get("phone"):
        data = _keep(phone=chosen, number_done=False, place="", cents=0, caps=[])
    if action == "search":
        return redirect(url_for("inboxes.new", step="number"), 303)  # type: ignore[return-value]
    if action in ("exit", "back"):
        return _next("number", action)
    form.validate()
    forward_to = _check_forwarding(form, chosen)
    if not chosen:
        form.phone.errors = [*form.phone.errors, "Pick a number from the list." if data["area_code"] else "Search by area code, then pick a number."]
    elif not form.errors:
        _check_number(form, data, chosen)
    if form.errors:
        return _step("number", data if form.phone.errors else {**data, "phone": chosen}, 422, form=form, **_offer(form, data, 0))
    _keep(forward_to=forward_to, number_done=True, lost="")
    return _next("number", action)


def _check_forwarding(form: Any, own: str) -> str:
    """The forwarding number in full, or an error at its field."""
    text = form.forward_to.data or ""
    if not text:
        return ""
    number = phones.normalize(text, member().account.country)
    if number is None:
        form.forward_to.errors = [*form.forward_to.errors, "Enter a phone number with its area code, like (415) 555-0100, or leave this blank."]
        return ""
    if number == own:
        form.forward_to.errors = [*form.forward_to.errors, "Calls cannot be forwarded to the inbox’s own number."]
    return number


def _check_number(form: NumberForm, data: dict[str, Any], chosen: str) -> None:
    """Note place and price of the number, or say that it is gone."""
    if data.get("number_sid"):
        return
    try:
        found = wizard.look_up(member(), chosen)
    except ChannelError as error:
        form.phone.errors = [f"{error.reason} Your choices are kept; try again in a moment."]
        return
    if found is None:
        data.update(_keep(phone="", number_done=False, lost=chosen))
        form.phone.errors = [f"{phones.display(chosen)} was taken a moment ago. Pick another; everything else is kept."]
        return
    caps = [name for name, able in (("SMS", found.sms), ("MMS", found.mms), ("Voice", found.voice)) if able]
    place = ", ".join(filter(None, (found.locality, found.region)))
    data.update(_keep(place=place, cents=found.monthly_cents, caps=caps))


def _show_people(data: dict[str, Any]) -> Response:
    who = member()
    people = [person for person in Member.of(who.account_id) if person.active]
    return _step("people", data, people=people, chosen=set(data.get("people", [])), seats_free=who.account.seats_free)


def _save_people() -> Response:
    known = {person.public_id for person in Member.of(member().account_id) if person.active}
    _keep(people=[key for key in request.form.getlist("people") if key in known], people_done=True)
    return _next("people", request.form.get("action", ""))


def _show_confirm(data: dict[str, Any], status: int = 200, sentence: str = "", form: ConfirmForm | None = None) -> Response:
    people = [person.name for person in Member.of(member().account_id) if person.public_id in data.get("people", [])]
    return _step("confirm", data, status, form=form or ConfirmForm(formdata=None), sentence=sentence, people=people)


@bp.post("/inboxes")
@requires(Permission.INBOXES_CREATE)
def create() -> Any:
    """Buy the number and make the inbox; pressing twice, or again after a crash, makes one."""
    who, form = member(), ConfirmForm()
    draft = InboxDraft.of(who)
    if draft is None:
        return _arrive(wizard.created_before(who, request.form.get("phone", "")))
    data, draft_id = dict(draft.data), draft.id
    if wizard.first_open(data) != "confirm":
        return redirect(url_for("inboxes.new"), 303)
    if not form.validate():
        return _show_confirm(data, 422, form=form)
    try:
        return _arrive(wizard.create(who, draft), fresh=True)
    except (wizard.Busy, wizard.Gone):
        wizard.wait_for_other(draft_id)
        made = wizard.created_before(who, data["phone"])
        return _arrive(made) if made else redirect(url_for("inboxes.new"), 303)
    except NumberTaken:
        wizard.forget_number(who, draft)
        flash(f"{phones.display(data['phone'])} was taken a moment ago. Pick another; everything else is kept.")
        return redirect(url_for("inboxes.new", step="number"), 303)
    except Uncertain as error:
        return _show_confirm(data, 503, f"{error.reason} Nothing is lost: press Create again and we look first whether the number is yours already.")
    except ChannelError as error:
        return _show_confirm(data, 503, f"{error.reason} Nothing was created. Everything is kept; try again in a moment.")
    except Refused as error:
        return _back_to_details(error)


def _back_to_details(error: Refused) -> Response:
    """A name or code that somebody used meanwhile: step 1 again, a bought number is kept."""
    if error.field not in ("name", "api_code", "hue"):
        raise error
    data = _keep(details_done=False)
    form = _details_form(data)
    put(form, error)
    return _step("details", data, 422, form=form)


def _arrive(inbox: Inbox | None, fresh: bool = False) -> Response:
    """Where a new inbox leads: into it, or to the registration its team needs first."""
    if inbox is None:
        return redirect(url_for("inboxes.index" if member().can(Permission.INBOXES_MANAGE) else "get_started.show"), 303)  # type: ignore[return-value]
    if inbox.registered:
        if fresh:
            flash(f"{inbox.name} is on. Its number is {inbox.phone_display}.")
        member().forget_inboxes()
        return redirect(url_for("conversations.index", inbox=inbox.public_id, view="mine"), 303)  # type: ignore[return-value]
    with transaction():
        registration = Registration.start(inbox.team)
    if fresh:
        flash(f"{inbox.name} is created. Its number {inbox.phone_display} is yours.")
    may = member().can(Permission.REGISTRATION_MANAGE)
    url = url_for("registrations.show", registration=registration.public_id) if may else url_for("get_started.show")
    return redirect(url, 303)  # type: ignore[return-value]


@bp.post("/inboxes/new/discard")
@requires(Permission.INBOXES_CREATE)
def discard() -> Any:
    """Start over."""
    draft = InboxDraft.of(member())
    if draft is not None:
        try:
            wizard.discard(member(), draft)
        except ChannelError as error:
            flash(f"{error.reason} The draft is kept, because its number could not be given back.")
            return redirect(url_for("inboxes.new"), 303)
        flash("The draft is gone.")
    return redirect(url_for("inboxes.index" if member().can(Permission.INBOXES_MANAGE) else "get_started.show"), 303)


SHOW: dict[str, Callable[[dict[str, Any]], Response]] = {"details": _show_details, "number": _show_number, "people": _show_people, "confirm": _show_confirm}
SAVE: dict[str, Callable[[], Response]] = {"details": _save_details, "number": _save_number, "people": _save_people}


# -- people and settings of one inbox ----------------------------------------------------------------------------


@bp.get("/inboxes/<inbox>/members")
@requires(Permission.INBOXES_MEMBERS)
def members(inbox: str) -> Any:
    row = _peopled(inbox)
    return _members(row, {person.public_id for person in row.members})


def _peopled(public_id: str) -> Inbox:
    """The inbox, for those who may choose who is in it."""
    row = inbox_or_404(public_id, manage=True)
    member().require(Permission.INBOXES_MEMBERS, on=row)
    return row


@bp.post("/inboxes/<inbox>/members")
@requires(Permission.INBOXES_MEMBERS)
def save_members(inbox: str) -> Any:
    """First press: who gains and who loses. Second press: save, unless the list is no longer the one that was shown (BOX-4)."""
    row = _peopled(inbox)
    everyone = {person.public_id: person for person in Member.of(row.account_id) if person.active}
    wanted = {key for key in request.form.getlist("people") if key in everyone}
    if not row.registered:
        return _members(row, wanted, 422, sentence="You can add people once carriers approve this inbox. We’ll e-mail you.")
    if wanted == {person.public_id for person in row.members if person.active}:
        flash("Nothing changed.")
        return redirect(url_for("inboxes.members", inbox=row.public_id), 303)
    if request.form.get("confirmed") != "1":
        return _confirm_members(row, everyone, wanted)
    try:
        with transaction():
            row.set_members([everyone[key] for key in wanted], by=member(), seen={everyone[key].id for key in request.form.getlist("seen") if key in everyone})
    except MembersChanged as error:
        return _confirm_members(row, everyone, wanted, error)
    flash(f"Saved. {len(wanted)} {'person has' if len(wanted) == 1 else 'people have'} access to {row.name}.")
    return redirect(url_for("inboxes.members", inbox=row.public_id), 303)


def _confirm_members(row: Inbox, everyone: dict[str, Member], wanted: set[str], error: MembersChanged | None = None) -> Response:
    """Who gains and who loses access, before anything is saved."""
    current = {person.public_id: person for person in row.members if person.active}
    gains = [person for key, person in everyone.items() if key in wanted and key not in current]
    loses = [person for key, person in current.items() if key not in wanted]
    return page(
        "inboxes/members_confirm.html", error.status if error else 200, inbox=row, wanted=sorted(wanted), seen=sorted(current), gains=gains, loses=loses, held=_held(row, loses),
        sentence=error.sentence if error else "", standing=lambda person: _standing(person, row),
    )


def _held(inbox: Inbox, people: list[Member]) -> dict[int, int]:
    """How many open conversations of the inbox each of them has."""
    query = (
        sa.select(Conversation.assignee_id, sa.func.count())
        .where(Conversation.inbox_id == inbox.id, Conversation.assignee_id.in_([person.id for person in people]), Conversation.archived_at.is_(None))
        .group_by(Conversation.assignee_id)
    )
    return {person_id: count for person_id, count in db.session.execute(query) if person_id is not None}


def _standing(person: Member, inbox: Inbox) -> tuple[str, str, str]:
    """What access to the inbox lets somebody do, the color of that, and why it is not more; costs no query."""
    held = person.permissions_in(inbox.team_id)
    roles = " and ".join(person.role_names)
    if Permission.CONVERSATIONS_VIEW not in held:
        why = f"{roles} does not allow reading conversations" if roles else "Holds no role"
        return "Cannot read", "warn", f"{why}{' of this team' if Permission.CONVERSATIONS_VIEW in person.permissions else ''}, so access here changes nothing yet."
    if Permission.CONVERSATIONS_REPLY not in held:
        return "Reads only", "", f"{roles} only allows reading{' in this team' if Permission.CONVERSATIONS_REPLY in person.permissions else ''}."
    if not person.seated:
        return "Reads only", "", "Has no seat, so can read but not reply."
    return "Reads and replies", "ok", ""


def _members(inbox: Inbox, ticked: set[str], status: int = 200, sentence: str = "") -> Response:
    people = [person for person in Member.of(inbox.account_id) if person.active]
    every = {person.id for person in people if Permission.CONVERSATIONS_ALL in person.permissions_in(inbox.team_id)}
    return page(
        "inboxes/members.html", status, inbox=inbox, people=people, ticked=ticked, inside={person.public_id for person in inbox.members}, every=every, sentence=sentence,
        registered=inbox.registered, standing=lambda person: _standing(person, inbox),
    )


@bp.get("/inboxes/<inbox>/settings")
@requires(Permission.INBOXES_MANAGE)
def edit(inbox: str) -> Any:
    row = inbox_or_404(inbox, manage=True)
    form = SettingsForm(formdata=None, obj=row)
    form.reopen.data = "yes" if row.reopen else "no"
    form.consent_scope.data = row.team.consent_scope
    form.quiet_opens.data, form.quiet_closes.data = _hour(row.quiet_opens), _hour(row.quiet_closes)
    form.forward_to.data = phones.display(row.forward_to) if row.forward_to else ""
    return _settings(row, form)


def _hour(minutes: int) -> time:
    return time(minutes // 60 % 24, minutes % 60)


def _minutes(at: time | None, otherwise: int) -> int:
    return at.hour * 60 + at.minute if at else otherwise


LOCK = ("lock_on", "lock_lease", "lock_heartbeat", "idle_after", "idle_answer")
PLAIN = ("description", "stop_reply", "start_reply", "help_reply", "opt_in_request")
WORDS = ("stop_words", "start_words", "help_words")


@bp.post("/inboxes/<inbox>/settings")
@requires(Permission.INBOXES_MANAGE)
def update(inbox: str) -> Any:
    row, form = inbox_or_404(inbox, manage=True), SettingsForm()
    valid = form.validate()
    forward_to = _check_forwarding(form, row.phone or "")
    if not valid or form.errors:
        return _settings(row, form, 422)
    wanted: dict[str, Any] = {name: form[name].data or "" for name in PLAIN}
    wanted |= {name: bool(form[name].data) for name in ("double_opt_in", "append_opt_out")}
    wanted |= {"sign_texts": bool(form.sign_texts.data), "plain_texts": bool(form.plain_texts.data), "reopen": form.reopen.data == "yes", "forward_to": forward_to or None}
    wanted |= {"ring_seconds": form.ring_seconds.data or row.ring_seconds, "voicemail": bool(form.voicemail.data), "greeting": form.greeting.data or ""}
    try:
        with transaction():
            _apply(row, form, wanted)
    except Refused as error:
        put(form, error)
        return _settings(row, form, 422)
    flash(f"Saved. The settings of {row.name} apply from now on.")
    return redirect(url_for("inboxes.edit", inbox=row.public_id), 303)


def _settings(row: Inbox, form: SettingsForm, status: int = 200) -> Response:
    usual = {keyword: text.format(name=member().account.name) for keyword, text in {**DEFAULTS, "ASK": OPT_IN_REQUEST}.items()}
    greeting = usual_greeting(member().account.name)
    return page("inboxes/settings.html", status, inbox=row, form=form, usual=usual, greeting=greeting, may_people=bool(member().can(Permission.INBOXES_MEMBERS, on=row)))


def _apply(row: Inbox, form: SettingsForm, wanted: dict[str, Any]) -> None:
    lock = {name: form[name].data for name in LOCK if form[name].data != getattr(row, name)}
    if lock:
        row.configure_lock(by=member(), **lock)
    if form.consent_scope.data:
        row.set_consent_scope(form.consent_scope.data, by=member())
    wanted |= check_keywords(*(form[name].data or "" for name in WORDS))
    check_opt_in_request(wanted["opt_in_request"])
    opens, closes = _minutes(form.quiet_opens.data, row.quiet_opens), _minutes(form.quiet_closes.data, row.quiet_closes) or 24 * 60
    wanted |= check_quiet(form.quiet.data or row.quiet, opens, closes)
    before = {name: getattr(row, name) for name in wanted if getattr(row, name) != wanted[name]}
    for name in before:
        setattr(row, name, wanted[name])
    if before:
        Event.record("inbox.changed", account=row.account_id, by=member(), inbox=row.id, before=before, after={name: wanted[name] for name in before})
