"""Makes the database and the account of a run, inside the product: `python -m tests.faults.cast <agents>` prints what the outside needs as JSON."""

from __future__ import annotations

import json
import sys

from flask_migrate import upgrade

from inbox import clock, create_app
from inbox.models import Account, Carrier, Grant, Inbox, Member, Registration, Team, db, transaction

PASSWORD = "nine lives of a text"
RATE = {"mps": 1000.0, "daily_cap": None, "score": 90, "tier": "TOP"}  # the limits of a carrier that never holds us up


def main(agents: int) -> None:
    app = create_app()
    with app.app_context():
        upgrade()
        db.session.remove()
        with transaction():
            account, owner = Account.open(name="Harbor Vet", owner_name="Dana Whitfield", email="dana@harbor.example", password=PASSWORD, time_zone="UTC")
            account.seats_paid = agents + 1
            carrier = Carrier.open(account, app.config["CARRIER"])
        team = db.session.query(Team).filter_by(account_id=account.id).one()
        hooks = [carrier.hook(kind) for kind in ("messages", "voice", "status")]
        offer = carrier.adapter.search_numbers(carrier.credentials, "415", limit=1)[0]
        number = carrier.adapter.buy_number(carrier.credentials, offer.e164, *hooks)
        with transaction():
            approve(team)
            inbox = Inbox.create(team, name="Front Desk", api_code="front", hue="teal", phone=number.e164, number_sid=number.sid, forward_to=None, description="", by=owner)
            inbox.joined_at = clock.now()
            emails = [join(account, inbox, owner, place) for place in range(agents)]
        print(json.dumps({"number": number.e164, "emails": emails, "password": PASSWORD, "hook": hooks[0]}))


def approve(team: Team) -> None:
    """The carriers' approval, put in by hand."""
    registration = Registration.start(team)
    registration.state, registration.refs, registration.decided_at = "approved", {"service": "MG" + "1" * 32}, clock.now()
    if hasattr(registration, "limits"):
        registration.limits = RATE


def join(account: Account, inbox: Inbox, owner: Member, place: int) -> str:
    email = f"agent{place}@harbor.example"
    member = Member.join(account, email=email, name=f"Agent {place}", password=PASSWORD)
    member.undo_seconds = 0  # what is tried here is the way out, not the wait before it
    Grant(member_id=member.id, role="agent").save()
    db.session.refresh(member)
    account.seat(member, by=owner)
    inbox.add_member(member, by=owner)
    return email


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
