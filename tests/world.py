"""The cast: two accounts, one of them lived in. Built through the models; only the carriers' approval is put in by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

from flask import Flask

from inbox import clock
from inbox.channels.base import Inbound, Media
from inbox.models import Account, Carrier, Contact, Conversation, Grant, Inbox, Member, Message, Registration, Team, db, transaction
from inbox.models.base import Model
from inbox.permissions import Permission
from inbox.phone import keyword
from tests.kept import Kept

PASSWORD = "correct horse battery"
_numbers = itertools.count(1)
_kept: dict[Flask, tuple[dict[str, tuple[type[Model], int]], Kept]] = {}


class World:
    """Harbor (owner Dana; Maya and Theo are agents with seats; Ada admin with seat; Sven supervisor with seat; Uma agent without seat; Vera viewer; Olga a
    seated agent outside the inbox) and North (owner Nina). `front` is registered, `waiting` is not; `pharmacy` has only Dana."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        with transaction():
            self.harbor, self.dana = Account.open(name="Harbor Vet", owner_name="Dana Whitfield", email="dana@harbor.example", password=PASSWORD, time_zone="America/Los_Angeles")
            self.harbor.seats_paid = 8
            self.carrier = Carrier.open(self.harbor, app.config["CARRIER"])
            self.team = self.harbor.teams[0] if self.harbor.teams else db.session.query(Team).filter_by(account_id=self.harbor.id).one()
            self.approve(self.team)
            self.front = self.inbox(self.team, "Front Desk", "+14155550100", self.dana, "teal")
            self.pharmacy = self.inbox(self.team, "Pharmacy", "+14155550101", self.dana, "orange")
            annex = Team(account_id=self.harbor.id, name="Annex").save()
            self.waiting = Inbox.create(
                annex, name="Billing", api_code="billing", hue="violet", phone="+14155550102", number_sid="PN" + "2" * 32, forward_to=None, description="", by=self.dana
            )
            self.waiting_registration = Registration.start(annex)
            self.ada = self.member(self.harbor, "Ada Admin", "admin", seat=True)
            self.maya = self.member(self.harbor, "Maya Chen", "agent", seat=True)
            self.theo = self.member(self.harbor, "Theo Okafor", "agent", seat=True)
            self.sven = self.member(self.harbor, "Sven Super", "supervisor", seat=True)
            self.uma = self.member(self.harbor, "Uma Unseated", "agent", seat=False)
            self.vera = self.member(self.harbor, "Vera Lind", "viewer", seat=False)
            self.olga = self.member(self.harbor, "Olga Outside", "agent", seat=True)
            for who in (self.ada, self.maya, self.theo, self.uma, self.vera):
                self.front.add_member(who, by=self.dana)
            self.north, self.nina = Account.open(name="Northside Dental", owner_name="Nina North", email="nina@north.example", password=PASSWORD)
            self.north_carrier = Carrier.open(self.north, app.config["CARRIER"])
            north_team = db.session.query(Team).filter_by(account_id=self.north.id).one()
            self.approve(north_team)
            self.reception = self.inbox(north_team, "CANARY Reception", "+12065550100", self.nina, "blue")
        self._forget()

    def _forget(self) -> None:
        for who in self.people:
            who.forget_inboxes()

    def keep(self) -> None:
        """Remember the cast as it is now for `again`, one for each database."""
        named = {name: (type(value), value.id) for name, value in vars(self).items() if isinstance(value, Model)}
        _kept[self.app] = (named, Kept())

    @classmethod
    def again(cls, app: Flask) -> World:
        """The cast in an empty database: built the first time, put back after that."""
        if app not in _kept:
            world = cls(app)
            world.keep()
            return world
        named, kept = _kept[app]
        kept.put_back()
        world = cls.__new__(cls)
        world.app = app
        loaded = [db.session.scalars(db.select(model)).all() for model in {model for model, _ in named.values()}]
        assert loaded
        for name, (model, id) in named.items():
            setattr(world, name, db.session.get_one(model, id))
        db.session.commit()
        world._forget()
        return world

    @property
    def people(self) -> list[Member]:
        return [self.dana, self.ada, self.maya, self.theo, self.sven, self.uma, self.vera, self.olga, self.nina]

    def approve(self, team: Team) -> Registration:
        registration = Registration.start(team)
        registration.state = "approved"
        registration.refs = {"service": "MG" + "1" * 32}
        registration.decided_at = clock.now()
        db.session.flush()
        return registration

    def inbox(self, team: Team, name: str, phone: str, by: Member, hue: str) -> Inbox:
        inbox = Inbox.create(
            team, name=name, api_code=name.lower().replace(" ", "-"), hue=hue, phone=phone, number_sid="PN" + phone[-4:] * 8, forward_to=None, description="", by=by
        )
        inbox.joined_at = clock.now()
        db.session.flush()
        return inbox

    def member(self, account: Account, name: str, role: str, *, seat: bool) -> Member:
        member = Member.join(account, email=f"{name.split()[0].lower()}@{account.name.split()[0].lower()}.example", name=name, password=PASSWORD)
        Grant(member_id=member.id, role=role).save()
        db.session.refresh(member)
        if seat:
            account.seat(member, by=member)
            db.session.refresh(member)
        return member

    def text(self, body: str = "Hi, is the ear cream ready?", sender: str = "+14155550134", inbox: Inbox | None = None, media: tuple[Media, ...] = (), sid: str = "") -> Message:
        """A customer's text, as if the webhook had just been applied."""
        inbox = inbox or self.front
        inbound = Inbound(
            dedupe=sid or f"SM{next(_numbers):032x}", provider_id=sid or f"SM{next(_numbers):032x}", sender=sender, to=inbox.phone or "", text=body, media=media,
            occurred_at=datetime.now(UTC), keyword=keyword(body), raw={},
        )
        with transaction():
            message = Conversation.receive(inbox, inbound)
        assert message is not None
        return message

    def conversation(self, body: str = "Hi, is the ear cream ready?", **kwargs: object) -> Conversation:
        """A conversation with one text from the customer."""
        return self.text(body, **kwargs).conversation  # type: ignore[arg-type]

    def named(self, conversation: Conversation, first: str, last: str = "", owner: Member | None = None) -> Contact:
        with transaction():
            contact = conversation.contact
            contact.rename(first, last)
            contact.give_to(owner, by=None)
        return contact

    def reply(self, conversation: Conversation, by: Member, body: str = "Yes, come by any time.") -> Message:
        """A reply the way a person gives it: lock, send, release."""
        with transaction():
            held = conversation.acquire(by=by)
            assert held is not None
            message = conversation.reply(body, by=by, fence=held.fence, seen=conversation.last_inbound_id)
            conversation.release(by=by)
        return message


__all__ = ["PASSWORD", "Permission", "World"]
