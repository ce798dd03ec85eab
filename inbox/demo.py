"""The demo account: people and inboxes made through the models, conversations through the carrier's webhooks and the reply path.

Every step looks first whether it is done, so that a build that was interrupted goes on from there.
"""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import httpx
import sqlalchemy as sa
from flask import current_app
from PIL import Image, ImageDraw

from inbox import heartbeat, media, phone
from inbox.channels.base import ChannelError, PermanentFailure
from inbox.models import (
    Account,
    Attachment,
    Carrier,
    Contact,
    Conversation,
    Dispatch,
    Grant,
    Inbox,
    Member,
    Message,
    Payment,
    Registration,
    Team,
    Template,
    WebhookEvent,
    db,
    transaction,
)
from inbox.models.money import DOLLAR
from inbox.models.profile import UNDO_USUAL
from inbox.models.wording import Wording

PASSWORD = "inbox-demo-2026"  # noqa: S105 - shown on the sign-in page of a demo
DATA = Path(__file__).parent / "data" / "conversations.jsonl"
PATIENCE = 90.0  # seconds for the other parts to do their share of one step
OWNER, OTHER_OWNER = "dana@harborvet.example", "nora@northside.example"
CAST = (
    ("Dana Whitfield", OWNER, "owner"), ("Maya Chen", "maya@harborvet.example", "agent"), ("Theo Okafor", "theo@harborvet.example", "agent"),
    ("Vera Lind", "vera@harborvet.example", "viewer"),
)
INBOXES = (("Front Desk", "teal", "Appointments and everything else"), ("Pharmacy", "orange", "Prescriptions and refills"), ("Billing", "violet", "Invoices and payments"))
FAILING = 9  # the conversation whose texts do not arrive
AREAS = ("510", "628", "707")
FIRST = (
    "Alma", "Ben", "Carla", "Dev", "Elif", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kim", "Luis", "Mina", "Noor", "Olive", "Pablo", "Quinn", "Rosa", "Sam", "Tess",
    "Uma", "Viktor", "Wen", "Xenia", "Yusuf", "Zoe",
)
LAST = ("Arroyo", "Baker", "Costa", "Dang", "Ekström", "Fischer", "Gupta", "Haddad", "Ito", "Jansen", "Kowalski", "Lopez", "Moreau", "Nakamura", "O’Neill", "Park", "Rossi")
NOTES = (
    "Called back, no answer. Try again after lunch.", "Prefers mornings.", "Dr. Johnson asked to see the chart first.", "Long-time client, please be quick here.",
    "Invoice was sent twice, one can be ignored.", "Sent the form by e-mail.",
)


@dataclass(frozen=True)
class Script:
    """One conversation to play: who texts which inbox, who answers, and what happens to it."""

    number: int
    inbox: str
    turns: list[dict[str, str]]

    @property
    def phone(self) -> str:
        """A fictional number; the sandbox carrier cannot deliver to one that ends in 50."""
        area, place = divmod(self.number, 45)
        return "+14085550150" if self.fails else f"+1{AREAS[area]}55501{place:02d}"

    @property
    def fails(self) -> bool:
        return self.number == FAILING

    @property
    def name(self) -> tuple[str, str]:
        """Some customers never said who they are."""
        return ("", "") if self.number % 9 == 7 else (FIRST[self.number % len(FIRST)], LAST[self.number * 7 % len(LAST)])

    @property
    def answered(self) -> bool:
        return any(turn["from"] == "agent" for turn in self.turns)


def build(echo: Callable[[str], None]) -> None:
    """Make the demo account unless it exists; raises a ClickException with a sentence when it can't be made."""
    file: Path = current_app.config["DEMO_FILE"]
    started = db.session.scalar(sa.select(Member.id).where(Member.email == OWNER)) is not None
    if file.exists() and started:
        echo("The demo account exists already.")
        return
    if Account.any() and not started:
        raise click.ClickException("There is an account already, so the demo is not added to it. Use an empty data directory: INBOX_DATA=... python3 app.py --demo")
    db.session.commit()
    if not current_app.config["SANDBOX_URL"]:
        raise click.ClickException("The demo needs the sandbox carrier; unset TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN to use it.")
    _wait("the workers and the scheduler", lambda: heartbeat.alive("worker") > 0 and heartbeat.alive("scheduler") > 0, 30)
    with httpx.Client(base_url=current_app.config["SANDBOX_URL"], timeout=30, trust_env=False) as http:
        carrier = _Control(http)
        _wait("the sandbox carrier", carrier.answers, 30)
        review = carrier.set_review("fast")
        try:
            _people(echo)
            echo("Buying numbers and registering them with the carriers ...")
            _inboxes()
            scripts = _scripts()
            echo(f"Playing {len(scripts)} conversations ...")
            _play(scripts, carrier)
            _aftermath(scripts, carrier)
            _other_account(carrier)
            _templates()
        finally:
            carrier.set_review(review)
    _wait("every text to be sent and every picture to be fetched", _quiet, PATIENCE)
    _unhurry()
    _write(file)
    echo("The demo account is ready.")


class _Control:
    """The sandbox carrier's control plane: play the customers."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = self.http.post(f"/__sim/{path}", json=body)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise click.ClickException(f"The sandbox carrier does not do what the demo needs ({error}).") from None
        found: dict[str, Any] = response.json()
        return found

    def answers(self) -> bool:
        try:
            return self.http.get("/__sim/clock").status_code == 200
        except httpx.HTTPError:
            return False

    def set_review(self, speed: str) -> str:
        """How long reviews take from now on; returns what it was."""
        before = str(self.http.get("/__sim/state").json()["settings"]["review"])
        self._post("review", {"review": speed})
        return before

    def text(self, sender: str, to: str, body: str, pictures: tuple[bytes, ...] = ()) -> None:
        media_items = [{"content_type": "image/png", "data": base64.b64encode(picture).decode()} for picture in pictures]
        self._post("inbound", {"from": sender, "to": to, "body": body, "media": media_items})

    def phone(self, number: str, name: str) -> None:
        """Put a customer into the phone simulator; one that is there already is fine."""
        self.http.post("/__sim/phones", json={"number": number, "name": name})


# -- people, numbers, registration ------------------------------------------------------------------------------------


def _people(echo: Callable[[str], None]) -> None:
    if _member(OWNER) is not None:
        return
    echo("Opening the demo account ...")
    with transaction():
        account, owner = Account.open(name="Harbor Vet Clinic", owner_name=CAST[0][0], email=OWNER, password=PASSWORD, time_zone="America/Los_Angeles")
        account.seats_paid = 4
        Carrier.open(account, current_app.config["CARRIER"])
        for name, email, role in CAST[1:]:
            member = Member.join(account, email=email, name=name, password=PASSWORD)
            Grant(member_id=member.id, role=role).save()
            db.session.refresh(member)
            if member.seat_eligible:
                account.seat(member, by=owner)
        payment = Payment.start(account, 25 * DOLLAR, note="Bank transfer 2041", nonce="demo", by=owner)
        payment.settle(payment.adapter.confirm(payment.charge), by=owner)


def _member(email: str) -> Member | None:
    return db.session.scalar(sa.select(Member).where(Member.email == email))


def _who(email: str) -> Member:
    return db.session.scalars(sa.select(Member).where(Member.email == email)).one()


def _inboxes() -> None:
    owner = _who(OWNER)
    team = db.session.scalars(sa.select(Team).where(Team.account_id == owner.account_id)).one()
    for name, hue, description in INBOXES:
        _inbox(team, owner, name, hue, description, "415")
    _register(team, owner, "Harbor Vet Clinic LLC", "harborvet.example")
    with transaction():
        people = [_who(email) for _, email, _ in CAST]
        for inbox in db.session.scalars(sa.select(Inbox).where(Inbox.team_id == team.id)):
            for member in people:
                inbox.add_member(member, by=_who(OWNER))


def _inbox(team: Team, owner: Member, name: str, hue: str, description: str, area: str) -> Inbox:
    """An inbox with a number really bought from the carrier."""
    found = db.session.scalar(sa.select(Inbox).where(Inbox.team_id == team.id, Inbox.name == name))
    if found is not None:
        return found
    carrier = Carrier.of(team.account_id)
    adapter, credentials, hooks = carrier.adapter, carrier.credentials, [carrier.hook(kind) for kind in ("messages", "voice", "status")]
    db.session.commit()
    try:
        offers = adapter.search_numbers(credentials, area, limit=20)
        number = _buy(adapter, credentials, [offer.e164 for offer in offers], hooks)
    except ChannelError as error:
        raise click.ClickException(f"No number could be bought: {error.reason}") from None
    with transaction():
        code = f"{name.lower().replace(' ', '-')}-demo"
        return Inbox.create(
            team, name=name, api_code=code, hue=hue, phone=number.e164, number_sid=number.sid, forward_to=None, description=description, by=_who(owner.email)
        )


def _buy(adapter: Any, credentials: Any, offers: list[str], hooks: list[str]) -> Any:
    for place, e164 in enumerate(offers):
        try:
            return adapter.buy_number(credentials, e164, hooks[0], hooks[1], hooks[2])
        except PermanentFailure:
            if place == len(offers) - 1:
                raise
    raise click.ClickException("The carrier offers no numbers.")


def _register(team: Team, owner: Member, legal_name: str, domain: str) -> None:
    team_id, email = team.id, owner.email
    with transaction():
        registration = Registration.start(db.session.get_one(Team, team_id))
        if registration.editable:
            registration.write(_form(legal_name, domain, owner), by=_who(email))
            registration.submit(by=_who(email))

    def approved() -> bool:
        found = Registration.of_team(team_id)
        if found is not None and found.state == "rejected":
            raise click.ClickException(f"The sandbox carrier refused the registration: {'; '.join(issue.message for issue in found.found_issues())}")
        return found is not None and found.state == "approved"

    _wait(f"the carriers to approve {legal_name}", approved, PATIENCE)


def _form(legal_name: str, domain: str, owner: Member) -> dict[str, Any]:
    short = legal_name.removesuffix(" LLC")
    first, _, last = owner.name.partition(" ")
    return {
        "brand_legal_name": legal_name, "brand_ein": "12-3456789", "brand_type": "PRIVATE_PROFIT", "brand_vertical": "HEALTHCARE",
        "brand_website": f"https://www.{domain}", "brand_address_street": "1 Pier Street", "brand_address_city": "San Francisco", "brand_address_region": "CA",
        "brand_address_postal": "94105", "brand_country": "US", "contact_first_name": first, "contact_last_name": last, "contact_email": owner.email,
        "contact_phone": "+14155550199", "contact_title": "Owner", "use_case": "CUSTOMER_CARE",
        "description": f"{short} answers texts of its clients about appointments, prescriptions and invoices, one conversation at a time.",
        "message_flow": f"Clients text the number printed on their appointment cards and on https://www.{domain}, or agree in writing at the front desk "
        "to be texted. Message and data rates may apply. Reply STOP to opt out.",
        "sample_1": f"{short}: Your appointment with Dr. Johnson is booked for 2 pm. Reply STOP to opt out.",
        "sample_2": f"{short}: The prescription is ready at the pharmacy window until 6 pm today.",
        "has_embedded_links": False, "has_embedded_phone": False,
        "opt_in_message": f"{short}: You will get texts about your appointments. Reply HELP for help, STOP to opt out.",
        "opt_out_message": f"{short}: You are unsubscribed and will get no more texts.", "help_message": f"{short}: Call us or reply here. Reply STOP to opt out.",
        "opt_in_keywords": "START,YES", "opt_out_keywords": "STOP,UNSUBSCRIBE", "help_keywords": "HELP,INFO",
        "privacy_url": f"https://www.{domain}/privacy", "terms_url": f"https://www.{domain}/terms",
    }


# -- conversations ----------------------------------------------------------------------------------------------------


def _scripts() -> list[Script]:
    lines = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    return [Script(number, line["inbox"], _shown(number, line["turns"])) for number, line in enumerate(lines)]


def _shown(number: int, turns: list[dict[str, str]]) -> list[dict[str, str]]:
    """The turns to play: none after a bare YES, which carriers take for a keyword, and one answer where delivery fails."""
    end = next((place for place, turn in enumerate(turns) if turn["from"] == "customer" and phone.keyword(turn["text"])), len(turns))
    return turns[: min(end, 2 if number == FAILING else len(turns))]


def _numbers(account_id: int) -> dict[str, str]:
    return {name: phone or "" for name, phone in db.session.execute(sa.select(Inbox.name, Inbox.phone).where(Inbox.account_id == account_id))}


def _conversation(script: Script, account_id: int) -> Conversation | None:
    query = sa.select(Conversation).join(Inbox).where(Conversation.account_id == account_id, Conversation.address == script.phone, Inbox.name == script.inbox)
    return db.session.scalar(query.order_by(Conversation.id.desc()).limit(1))


def _played(account_id: int) -> dict[str, int]:
    """How many turns of each customer's conversation have happened."""
    query = (
        sa.select(Conversation.address, sa.func.count(Message.id))
        .join(Message, Message.conversation_id == Conversation.id)
        .where(Conversation.account_id == account_id, Message.kind.in_(("in", "out")))
        .group_by(Conversation.address)
    )
    found = {row[0]: row[1] for row in db.session.execute(query)}
    db.session.commit()
    return found


def _play(scripts: list[Script], carrier: _Control) -> None:
    """Turn by turn through all conversations at once, so that each round's webhooks are applied while the next ones are written."""
    account_id = _who(OWNER).account_id
    numbers = _numbers(account_id)
    for script in scripts[:8]:
        if any(script.name):
            carrier.phone(script.phone, " ".join(script.name))
    for turn in range(max(len(script.turns) for script in scripts)):
        done = _played(account_id)
        expected: dict[str, int] = {}
        for script in scripts:
            if turn >= len(script.turns) or done.get(script.phone, 0) > turn:
                continue
            said = script.turns[turn]
            if said["from"] == "customer":
                carrier.text(script.phone, numbers[script.inbox], said["text"], _pictures(script, turn))
            else:
                _answer(script, account_id, said["text"], turn)
            expected[script.phone] = turn + 1
        _wait("the texts of the customers", lambda wanted=expected: _arrived(account_id, wanted), PATIENCE)  # type: ignore[misc]


def _arrived(account_id: int, wanted: dict[str, int]) -> bool:
    done = _played(account_id)
    return all(done.get(phone, 0) >= count for phone, count in wanted.items())


def _agent(script: Script) -> Member:
    return _who(CAST[(1, 2, 1, 2, 0)[script.number % 5]][1])


def _answer(script: Script, account_id: int, text: str, turn: int) -> None:
    """Take the conversation the first time, then lock, reply, release: what a person does."""
    with transaction():
        conversation, agent = _conversation(script, account_id), _agent(script)
        if conversation is None:
            return
        if turn <= 2 and conversation.assignee_id is None and script.number % 6:
            conversation.assign_to(agent, by=agent, expected=None)
        held = conversation.acquire(by=agent)
        if held is None:
            return
        uploads = [_upload(account_id, _card("Harbor Vet", script.number))] if script.number == 3 and turn == 1 else None
        agent.undo_seconds = 0
        conversation.reply(text, by=agent, fence=held.fence, seen=conversation.last_inbound_id, nonce=f"demo-{script.number}-{turn}", uploads=uploads)
        conversation.release(by=agent, fence=held.fence)


def _aftermath(scripts: list[Script], carrier: _Control) -> None:
    """What a day leaves behind: names, owners, notes, archived and unread conversations, one opt-out."""
    account_id = _who(OWNER).account_id
    for script in scripts:
        with transaction():
            conversation = _conversation(script, account_id)
            if conversation is None:
                continue
            agent = _agent(script)
            _name(script, conversation.contact, agent)
            if script.number % 7 == 4:
                conversation.note(NOTES[script.number % len(NOTES)], by=agent, nonce=f"demo-note-{script.number}")
            if script.answered and script.turns[-1]["from"] == "agent" and script.number % 5 < 3 and not script.fails:
                conversation.archive(by=agent)
            elif script.number % 4 == 1:
                conversation.mark_read(by=agent)
    stopped = scripts[6]
    carrier.text(stopped.phone, _numbers(account_id)[stopped.inbox], "STOP")


def _name(script: Script, contact: Contact, agent: Member) -> None:
    if any(script.name) and not contact.named:
        contact.edit(by=agent, first=script.name[0], last=script.name[1], email=None, owner=agent if script.number % 8 == 2 else contact.owner)


def _other_account(carrier: _Control) -> None:
    """A second company on the same installation, which must never see the first."""
    if _member(OTHER_OWNER) is None:
        with transaction():
            account, _ = Account.open(name="Northside Dental", owner_name="Nora Fields", email=OTHER_OWNER, password=PASSWORD, time_zone="America/Chicago")
            Carrier.open(account, current_app.config["CARRIER"])
    owner = _who(OTHER_OWNER)
    team = db.session.scalars(sa.select(Team).where(Team.account_id == owner.account_id)).one()
    inbox = _inbox(team, owner, "Reception", "blue", "", "312")
    _register(team, owner, "Northside Dental LLC", "northsidedental.example")
    texts = {"+17735550101": "Hi, can I move my cleaning to Thursday?", "+17735550102": "Do you take new patients?"}
    done = _played(owner.account_id)
    for sender, text in texts.items():
        if sender not in done:
            carrier.text(sender, inbox.phone or "", text)
    _wait("the texts of the customers", lambda: _arrived(owner.account_id, dict.fromkeys(texts, 1)), PATIENCE)


# -- pictures ---------------------------------------------------------------------------------------------------------


def _templates() -> None:
    """What the team inserts with /."""
    texts = [
        ("Opening hours", "hours", "Hi {{contact.first_name | there}}, we are open Monday to Friday, 9 to 5.", "Everyday", {"es": "Hola, abrimos de lunes a viernes, de 9 a 5."}),
        ("Ready for pickup", "pickup", "Hi {{contact.first_name | there}}, your {{ask: order}} is ready for pickup.", "Everyday", {}),
        ("Thank you", "thanks", "Thank you for telling us, {{contact.first_name | and have a good day}}! {{agent.first_name}}, {{inbox.name}}", "", {}),
    ]
    with transaction():
        owner = _who(OWNER)
        if db.session.scalar(sa.select(Template.id).where(Template.account_id == owner.account_id).limit(1)):
            return
        for name, shortcut, body, folder, variants in texts:
            Template.create(Wording(name, shortcut, body, folder, variants), by=owner, shared=True)


def _pictures(script: Script, turn: int) -> tuple[bytes, ...]:
    """A few customers send pictures with their first text."""
    if turn or script.number not in (1, 5, 12, 20):
        return ()
    return tuple(_card(words, script.number + place) for place, words in enumerate(("My prescription", "The label", "The receipt")[: 1 + script.number % 3]))


def _card(words: str, seed: int) -> bytes:
    """A small drawing with a few words, the same every time."""
    hue = (seed * 67) % 360
    image = Image.new("RGB", (640, 420), f"hsl({hue}, 45%, 92%)")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((40, 40, 600, 380), 28, fill=f"hsl({hue}, 50%, 80%)")
    for line in range(5):
        draw.rounded_rectangle((80, 170 + line * 36, 560 - (seed * 53 + line * 97) % 240, 186 + line * 36), 8, fill=f"hsl({hue}, 35%, 62%)")
    draw.text((80, 80), words, fill=f"hsl({hue}, 60%, 22%)", font_size=44)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _upload(account_id: int, data: bytes) -> Attachment:
    """A picture chosen by an agent, made safe and stored as an upload is."""
    root, picture = current_app.config["MEDIA_ROOT"], media.safe_image(data)
    return Attachment(
        account_id=account_id, filename="card.png", content_type=picture.content_type, size=len(picture.data), width=picture.width, height=picture.height,
        sha256=media.store(root, picture.data), thumb_sha256=media.store(root, picture.thumb) if picture.thumb else None, state="stored",
    )


# -- waiting and writing ----------------------------------------------------------------------------------------------


def _wait(what: str, ready: Callable[[], bool], seconds: float) -> None:
    """Ask until it is so; a sentence when it takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        if ready():
            db.session.commit()
            return
        db.session.rollback()
        if time.monotonic() > deadline:
            raise click.ClickException(f"The demo waited {seconds:.0f} seconds for {what}. Are all parts running? Start them with: python3 app.py --demo")
        time.sleep(0.1)


def _quiet() -> bool:
    """Whether nothing is under way any more."""
    waiting = (
        sa.select(Dispatch.id).where(Dispatch.state.in_(("queued", "sending", "checking"))),
        sa.select(WebhookEvent.id).where(WebhookEvent.applied_at.is_(None)),
        sa.select(Attachment.id).where(Attachment.state == "pending"),
        sa.select(Message.id).where(Message.state.in_(("queued", "sending"))),
    )
    return all(db.session.scalar(query.limit(1)) is None for query in waiting)


def _unhurry() -> None:
    """What was played left at once; from now on people have their seconds to undo."""
    with transaction():
        db.session.execute(sa.update(Member).values(undo_seconds=UNDO_USUAL))


def _write(file: Path) -> None:
    """The list of who may sign in, for the sign-in page and for scripts; written last and whole."""
    people = [
        {"email": email, "password": PASSWORD, "name": name, "role": role, "other_account": False} for name, email, role in CAST
    ] + [{"email": OTHER_OWNER, "password": PASSWORD, "name": "Nora Fields", "role": "owner", "other_account": True}]
    draft = file.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as out:
        json.dump(people, out, indent=1)
    os.replace(draft, file)
