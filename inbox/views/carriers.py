"""The carriers of an account: the usual one, and gateways it brings itself (SMPP through Kannel)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, flash, redirect, request, url_for
from sqlalchemy.exc import IntegrityError

from inbox import channels, net
from inbox import phone as phones
from inbox.channels.base import Credentials
from inbox.extensions import limiter
from inbox.forms import put
from inbox.forms.carriers import ChoiceForm, GatewayForm, GatewayInboxForm
from inbox.models import Carrier, Inbox, Refused, Team, db, transaction
from inbox.models.inbox import HUES, suggest_api_code
from inbox.permissions import Permission
from inbox.views.access import inbox_or_404, member, requires
from inbox.views.fresh import fresh
from inbox.views.hypermedia import page
from inbox.views.security import per_member

bp = Blueprint("carriers", __name__)
AT = {"api_base": "url", "auth_token": "password"}  # where the form has what an adapter finds wrong
SHORT_CODE = re.compile(r"\d{3,8}")


def carrier_or_404(public_id: str) -> Carrier:
    """A gateway of the account, for those who manage all of its inboxes."""
    Carrier.require(member())
    row = db.session.scalar(sa.select(Carrier).where(Carrier.public_id == public_id, Carrier.account_id == member().account_id))
    return row if row is not None and row.gateway else abort(404)


@bp.get("/settings/carriers")
@requires(Permission.INBOXES_MANAGE)
def index() -> Any:
    who = member()
    Carrier.require(who)
    used = sa.select(Inbox.carrier_id, sa.func.count()).where(Inbox.account_id == who.account_id, Inbox.owner_id.is_(None)).group_by(Inbox.carrier_id)
    return page("carriers/index.html", carriers=Carrier.all_of(who.account_id), used=dict(db.session.execute(used).all()))


@bp.get("/settings/carriers/new")
@requires(Permission.INBOXES_MANAGE)
def new() -> Any:
    Carrier.require(member())
    return page("carriers/new.html", form=GatewayForm(formdata=None))


@bp.post("/settings/carriers")
@limiter.limit("20 per minute", key_func=per_member)
@fresh
@requires(Permission.INBOXES_MANAGE)
def create() -> Any:
    """Add a gateway once it takes texts from us; "check" tries the settings and keeps nothing."""
    form, who = GatewayForm(), member()
    Carrier.require(who)
    sender = _checked(form)
    if sender is None or form.errors or form.form_errors:
        return page("carriers/new.html", 422, form=form)
    if "check" in request.form:
        return page("carriers/new.html", form=form, checked=True)
    try:
        with transaction():
            row = Carrier.add(
                member().account, channels.gateway().kind, name=form.name.data, api_base=form.url.data, user=form.user.data, password=form.password.data, sender=sender,
                public_url=current_app.config["PUBLIC_URL"], by=member(),
            )
    except Refused as error:
        put(form, error)
        return page("carriers/new.html", 422, form=form)
    flash(f"{row.label} is added. Put the address below into its settings so that customers’ texts arrive.")
    return redirect(url_for("carriers.edit", carrier=row.public_id), 303)


@bp.get("/settings/carriers/<carrier>")
@requires(Permission.INBOXES_MANAGE)
def edit(carrier: str) -> Any:
    row = carrier_or_404(carrier)
    form = GatewayForm(formdata=None, data={"name": row.name, "url": row.api_base, "user": row.account_sid, "sender": phones.display(row.sender)})
    return _show(row, form)


@bp.post("/settings/carriers/<carrier>")
@limiter.limit("20 per minute", key_func=per_member)
@fresh
@requires(Permission.INBOXES_MANAGE)
def update(carrier: str) -> Any:
    """Keep changed settings once they work; the kept password goes to the address it was entered for, to no other."""
    row, form = carrier_or_404(carrier), GatewayForm()
    sender = _checked(form, row)
    if sender is None or form.errors or form.form_errors:
        return _show(row, form, 422)
    if "check" in request.form:
        return _show(row, form, checked=True)
    try:
        with transaction():
            row.change(name=form.name.data, api_base=form.url.data, user=form.user.data, password=form.password.data or "", sender=sender, by=member())
    except Refused as error:
        put(form, error)
        return _show(row, form, 422)
    flash(f"Saved. {row.label} takes texts with these settings.")
    return redirect(url_for("carriers.edit", carrier=row.public_id), 303)


@bp.post("/settings/carriers/<carrier>/removal")
@fresh
@requires(Permission.INBOXES_MANAGE)
def remove(carrier: str) -> Any:
    row = carrier_or_404(carrier)
    name = row.label
    try:
        with transaction():
            row.remove(by=member())
    except Refused as error:
        flash(error.sentence)
        return redirect(url_for("carriers.edit", carrier=carrier) if row.inbox_names else url_for("carriers.index"), 303)
    flash(f"{name} is removed.")
    return redirect(url_for("carriers.index"), 303)


def _show(row: Carrier, form: GatewayForm, status: int = 200, *, checked: bool = False) -> Response:
    return page("carriers/edit.html", status, carrier=row, form=form, checked=checked, inboxes=row.inbox_names)


def _checked(form: GatewayForm, row: Carrier | None = None) -> str | None:
    """The sender's number when the gateway takes texts with these settings; otherwise None, and what is wrong stands at its field."""
    form.validate()
    sender = _number(form.sender.data or "")
    password = form.password.data or (row.credentials.auth_token if row and form.url.data == row.api_base else "")
    if form.sender.data and sender is None:
        form.sender.errors = [*form.sender.errors, "Enter a full phone number, like +1 415 555 0100, or a short code of 3 to 8 digits."]
    if not password:
        form.password.errors = [*form.password.errors, "Enter the password again: the one that is kept goes to the old address only." if row else "Enter the password."]
    if not form.url.errors and not _private(form.url.data) and urlsplit(form.url.data).scheme != "https":
        form.url.errors = ["Use https, or the password would travel in the clear. Plain http is only for gateways the operator named in TRUSTED_CARRIERS."]
    if form.errors:
        return None
    settings = Credentials(form.user.data, password, form.url.data, "", "", Carrier.private_origins())
    db.session.rollback()  # nothing is held while the gateway is asked
    issue = channels.gateway().check(settings)
    if issue is not None:
        allowed = " The operator can allow it in TRUSTED_CARRIERS." if issue.code == "refused" else ""
        put(form, Refused(issue.message + allowed, field=issue.field), **AT)
        return None
    return sender


def _private(url: str) -> bool:
    """Whether the operator allows this very address inside the own network."""
    try:
        return net.origin(url) in {net.origin(each) for each in Carrier.private_origins()}
    except net.Refused:
        return False


def _number(text: str) -> str | None:
    return text if SHORT_CODE.fullmatch(text) else phones.normalize(text, member().account.country)


# -- inboxes -----------------------------------------------------------------------------------------------------


@bp.get("/settings/carriers/<carrier>/inboxes/new")
@requires(Permission.INBOXES_CREATE)
def new_inbox(carrier: str) -> Any:
    row = carrier_or_404(carrier)
    taken = db.session.scalar(sa.select(Inbox.id).where(Inbox.account_id == row.account_id, Inbox.phone == row.sender))
    return _inbox_page(row, _inbox_form(formdata=None, data={"number": "" if taken else phones.display(row.sender)}))


@bp.post("/settings/carriers/<carrier>/inboxes")
@requires(Permission.INBOXES_CREATE)
def create_inbox(carrier: str) -> Any:
    """Make an inbox with a number of the gateway; where no registration applies it can text at once."""
    row, form = carrier_or_404(carrier), _inbox_form()
    form.validate()
    number = _number(form.number.data or "")
    if form.number.data and number is None:
        form.number.errors = [*form.number.errors, "Enter a full phone number, like +1 415 555 0100, or a short code of 3 to 8 digits."]
    if form.errors or number is None:
        return _inbox_page(row, form, 422)
    team = next(each for each in member().account.teams if each.public_id == form.team.data)
    try:
        inbox = _made(row, team, form.name.data or "", number)
    except Refused as error:
        put(form, error, phone="number", api_code="name")
        return _inbox_page(row, form, 422)
    flash(f"{inbox.name} is on. Texts to {inbox.phone_display} arrive here. Choose who is in it.")
    return redirect(url_for("inboxes.members", inbox=inbox.public_id), 303)


def _made(row: Carrier, team: Team, name: str, number: str) -> Inbox:
    hue = HUES[db.session.scalar(sa.select(sa.func.count()).select_from(Inbox).where(Inbox.account_id == row.account_id)) % len(HUES)]  # type: ignore[operator]
    try:
        with transaction():
            return Inbox.create(
                team, name=name, api_code=suggest_api_code(name), hue=hue, phone=number, number_sid=None, forward_to=None, description="", by=member(), carrier=row,
            )
    except IntegrityError:
        db.session.rollback()
        gone = db.session.scalar(sa.select(Carrier.id).where(Carrier.public_id == row.public_id)) is None
        sentence = "This carrier was removed a moment ago." if gone else "Another inbox uses this number, or took this name a moment ago."
        raise Refused(sentence, field="phone") from None


def _inbox_form(**arguments: Any) -> GatewayInboxForm:
    form = GatewayInboxForm(**arguments)
    form.team.choices = {team.public_id: team.name for team in member().account.teams}
    return form


def _inbox_page(row: Carrier, form: GatewayInboxForm, status: int = 200) -> Response:
    return page("carriers/inbox.html", status, carrier=row, form=form)


@bp.get("/inboxes/<inbox>/carrier")
@requires(Permission.INBOXES_MANAGE)
def choice(inbox: str) -> Any:
    row = inbox_or_404(inbox, manage=True)
    return _choice_page(row, _choice_form(row, formdata=None, data={"carrier": row.texting.public_id}))


@bp.post("/inboxes/<inbox>/carrier")
@fresh
@requires(Permission.INBOXES_MANAGE)
def choose(inbox: str) -> Any:
    """Send the inbox's texts through another carrier from now on."""
    row = inbox_or_404(inbox, manage=True)
    form = _choice_form(row)
    if not form.validate():
        return _choice_page(row, form, 422)
    chosen = next(each for each in Carrier.all_of(row.account_id) if each.public_id == form.carrier.data)
    try:
        with transaction():
            row.use_carrier(chosen, by=member())
    except Refused as error:
        put(form, error)
        return _choice_page(row, form, 422)
    flash(f"Texts of {row.name} go through {chosen.label} from now on.")
    return redirect(url_for("inboxes.edit", inbox=row.public_id), 303)


def _choice_form(row: Inbox, **arguments: Any) -> ChoiceForm:
    form = ChoiceForm(**arguments)
    form.carrier.choices = [(each.public_id, each.label) for each in Carrier.all_of(row.account_id)]
    return form


def _choice_page(row: Inbox, form: ChoiceForm, status: int = 200) -> Response:
    carriers = {each.public_id: each for each in Carrier.all_of(row.account_id)}
    return page("carriers/choice.html", status, inbox=row, form=form, carriers=carriers)
