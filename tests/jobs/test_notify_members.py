"""ACC-6 from the text to the mail and the push: one mail, once, inert, with a signed way out; pushes only their browser can read."""

from __future__ import annotations

import base64
import email
import email.policy
import json
import smtplib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import html5lib
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from inbox import clock, mailers, net, webpush
from inbox.models import LoginSession, Notice, Notification, PushKey, PushSubscription, Refused, db, transaction
from inbox.models import wish as wishing
from inbox.models.wish import CELLS, DEFAULT
from jobs import schedule, sweeps
from jobs.deliver_notifications import deliver_notifications
from jobs.notify_members import notify_members
from jobs.try_notification import try_notification
from tests.models.helpers import HOSTILE


@pytest.fixture
def sent(monkeypatch):
    """The mails that would leave, as the receiving program parses them."""
    found = []
    monkeypatch.setattr(mailers, "deliver", lambda mail: found.append(email.message_from_bytes(mail.as_bytes(), policy=email.policy.default)))
    return found


def to(mails, who):
    return [mail for mail in mails if mail["To"] == who.email]


def plain(mail):
    return mail.get_body(("plain",)).get_content()


def tell_all(world, *, way="mail"):
    for who in world.people:
        deliver_notifications(who.id, way)


def states(who, way="mail"):
    return sorted(db.session.scalars(sa.select(Notification.state).where(Notification.member_id == who.id, Notification.way == way)))


# -- mail ---------------------------------------------------------------------------------------------------------------


def test_ACC_6_a_minute_later_there_is_one_mail_for_each(world, bell, sent):
    c = world.conversation("Is the ear cream ready?")
    world.named(c, "Rosa", "Diaz")
    d = world.conversation("And mine?", sender="+14155550135")
    bell.work()
    tell_all(world)
    assert not sent
    clock.shift(61)
    tell_all(world)
    assert sorted(mail["To"] for mail in sent) == sorted(who.email for who in world.people if who.name.split()[0] in ("Dana", "Ada", "Maya", "Theo", "Sven", "Uma", "Vera"))
    mail = to(sent, world.maya)[0]
    assert mail["Subject"] == "News in 2 conversations"
    for part in (plain(mail), mail.get_body(("html",)).get_content()):
        assert "Rosa Diaz" in part and "Is the ear cream ready?" in part and "And mine?" in part
        assert f"http://localhost/c/{c.public_id}" in part and f"http://localhost/c/{d.public_id}" in part
    assert states(world.maya) == ["sent", "sent"]


def test_ACC_6_jobs_run_twice_tell_once(world, bell, sent):
    world.text()
    rung = [job for job in bell.rung if job[0] == "notify_members"]
    bell.rung.clear()
    for _, args in rung * 2:
        notify_members(*args)
    assert db.session.scalar(sa.select(sa.func.count(Notification.id)).where(Notification.member_id == world.maya.id)) == 1
    clock.shift(61)
    for _ in range(2):
        tell_all(world)
    assert len(to(sent, world.maya)) == 1
    assert to(sent, world.maya)[0]["Subject"] == f"{db.session.scalars(sa.select(Notice)).one().conversation.contact.name}: new text in Front Desk"


def test_ACC_6_two_workers_send_one_mail(world, bell, sent, together, app):
    world.text()
    bell.work()
    clock.shift(61)
    maya = world.maya.id
    db.session.rollback()
    assert together(lambda _: deliver_notifications(maya, "mail"), 4, app) == [None] * 4
    assert len(sent) == 1


def test_ACC_6_the_owner_says_no_and_nothing_is_sent(world, bell, sent):
    world.text()
    bell.work()
    with transaction():
        Notification.allow(world.maya, False, by=world.dana)
    world.text()
    bell.work()
    clock.shift(61)
    tell_all(world)
    assert not to(sent, world.maya) and len(to(sent, world.theo)) == 1


def test_ACC_6_whoever_lost_the_inbox_meanwhile_gets_nothing(world, bell, sent):
    world.text()
    bell.work()
    with transaction():
        world.front.remove_member(world.maya, by=world.dana)
        world.theo.deactivated_at = clock.now()
        world.harbor.unseat(world.ada, by=world.dana)
    clock.shift(61)
    tell_all(world)
    assert not to(sent, world.maya) and not to(sent, world.theo) and len(to(sent, world.ada)) == 1


def test_ACC_6_a_mail_server_in_trouble_is_tried_again(world, bell, sent, monkeypatch):
    world.text()
    bell.work()
    clock.shift(61)
    works = mailers.deliver

    def down(mail):
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr(mailers, "deliver", down)
    deliver_notifications(world.maya.id, "mail")
    assert states(world.maya) == ["waiting"]
    monkeypatch.setattr(mailers, "deliver", works)
    deliver_notifications(world.maya.id, "mail")
    assert not sent
    clock.shift(31)
    deliver_notifications(world.maya.id, "mail")
    assert len(sent) == 1

    def refuses(mail):
        raise smtplib.SMTPRecipientsRefused({})

    monkeypatch.setattr(mailers, "deliver", refuses)
    deliver_notifications(world.theo.id, "mail")
    assert states(world.theo) == ["dropped"]


def test_ACC_6_the_sweeper_finds_what_the_queue_lost(world, bell, sent):
    world.text()
    bell.rung.clear()
    sweeps.sweep_notifications()
    assert not [job for job in bell.rung if job[0] == "notify_members"], "the queue gets its few seconds"
    clock.shift(5)
    sweeps.sweep_notifications()
    bell.work()
    assert not sent
    clock.shift(61)
    sweeps.sweep_notifications()
    bell.work()
    assert len(to(sent, world.maya)) == 1
    sweeps.sweep_notifications()
    assert not bell.rung
    assert any(task.run is sweeps.sweep_notifications for task in schedule.tasks())


MARKUP = ['<img src=x onerror=alert(1)>', '"><script>alert(1)</script>', "Bcc: all@evil.example", "{{ 7*7 }}", "a\r\nBcc: all@evil.example", "‮evil", "</b></p>"]


@pytest.mark.parametrize("payload", [*MARKUP, *(text for text in HOSTILE if "<" in text)][:24])
def test_S09_names_and_texts_are_inert_in_the_mail(world, bell, sent, payload):
    c = world.conversation(payload or "x")
    world.named(c, payload[:70] or "x")
    with transaction():
        world.front.name = payload[:60] or "x"
        world.maya.name = payload[:60] or "x"
    bell.work()
    clock.shift(61)
    deliver_notifications(world.maya.id, "mail")
    mail = sent[0]
    assert mail["Bcc"] is None and mail.get_all("To") == [world.maya.email] and "\n" not in mail["Subject"]
    tree = html5lib.parse(mail.get_body(("html",)).get_content(), namespaceHTMLElements=False)
    assert {e.tag for e in tree.iter()} <= {"html", "head", "body", "p", "b", "br", "a"}
    links = [dict(e.attrib) for e in tree.iter("a")]
    assert links == [{"href": f"http://localhost/c/{c.public_id}"}, {"href": "http://localhost/settings/notifications"}]


def test_ACC_6_every_mail_has_a_signed_way_out(app, world, bell, sent):
    world.text()
    bell.work()
    clock.shift(61)
    tell_all(world)
    mail = to(sent, world.maya)[0]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    path = mail["List-Unsubscribe"].strip("<>").removeprefix("http://localhost")
    nobody = app.test_client()
    assert "Turn notifications off?" in nobody.get(path).text and wishing.Wishes.of(world.maya).anything("mail"), "a look changes nothing"
    assert nobody.post(path[:-3] + "abc", data={"List-Unsubscribe": "One-Click"}).status_code == 404
    assert "You are unsubscribed" in nobody.post(path, data={"List-Unsubscribe": "One-Click"}).text
    assert nobody.post(path, data={"List-Unsubscribe": "One-Click"}).status_code == 200, "again does no harm"
    assert not wishing.Wishes.of(world.maya).anything("mail") and wishing.Wishes.of(world.maya).anything("push") and wishing.Wishes.of(world.theo).anything("mail")
    world.text()
    bell.work()
    clock.shift(61)
    tell_all(world)
    assert len(to(sent, world.maya)) == 1


def test_ACC_6_without_a_mail_server_the_test_is_a_file(app, world):
    before = set(app.config["MAIL_FOLDER"].glob("*.eml"))
    try_notification(world.maya.id, "mail")
    made = set(app.config["MAIL_FOLDER"].glob("*.eml")) - before
    assert len(made) == 1
    mail = email.message_from_bytes(made.pop().read_bytes(), policy=email.policy.default)
    assert mail["To"] == world.maya.email and "the test you asked for" in plain(mail)


# -- push ---------------------------------------------------------------------------------------------------------------


class Receiver:
    """A push service and the browser behind it: takes posts, proves who sent them, and reads what is inside."""

    def __init__(self) -> None:
        self.key, self.auth, self.got, self.status = ec.generate_private_key(ec.SECP256R1()), b"a" * 16, [], 201
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"])), self.path))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.origin = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def point(self) -> bytes:
        return self.key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)

    def keys(self) -> dict[str, str]:
        return {"p256dh": webpush.b64(self.point), "auth": webpush.b64(self.auth)}

    def read(self, body: bytes) -> dict[str, str]:
        """RFC 8291 from the browser's side."""
        salt, length = body[:16], body[20]
        theirs = body[21 : 21 + length]
        shared = self.key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs))
        secret = HKDF(hashes.SHA256(), 32, self.auth, b"WebPush: info\x00" + self.point + theirs).derive(shared)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(secret)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(secret)
        plain = AESGCM(key).decrypt(nonce, body[21 + length :], None)
        assert plain.endswith(b"\x02")
        return json.loads(plain[:-1])

    def prove(self, headers: dict[str, str]) -> dict[str, object]:
        """RFC 8292: the claims, if the signature is that of the key beside them."""
        parts = dict(part.strip().split("=", 1) for part in headers["Authorization"].removeprefix("vapid ").split(","))
        signed, _, signature = parts["t"].rpartition(".")
        raw = webpush.unb64(signature)
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), webpush.unb64(parts["k"]))
        public.verify(encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")), signed.encode(), ec.ECDSA(hashes.SHA256()))
        return json.loads(webpush.unb64(signed.split(".")[1]))


@pytest.fixture
def receiver(app, monkeypatch):
    receiver = Receiver()
    monkeypatch.setitem(app.config, "PUSH_PRIVATE", (receiver.origin,))
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()
    receiver.thread.join(5)


def subscribe(who, receiver, name="one"):
    with transaction():
        session = LoginSession.find(LoginSession.start(who, ip="127.0.0.1", user_agent="Mozilla/5.0 (X11; Linux) Firefox/140.0"))
        return PushSubscription.add(who, endpoint=f"{receiver.origin}/{name}", session=session, trusted=(receiver.origin,), **receiver.keys())


def test_ACC_6_a_push_goes_out_at_once_and_only_its_browser_reads_it(world, bell, receiver):
    subscribe(world.maya, receiver)
    c = world.conversation("Is the ear cream ready?")
    world.named(c, "Rosa", "Diaz")
    bell.work()
    (headers, body, path), = receiver.got
    assert path == "/one" and headers["Content-Encoding"] == "aes128gcm" and int(headers["TTL"]) > 0 and headers["Topic"] == c.public_id
    claims = receiver.prove(headers)
    assert claims["aud"] == receiver.origin and str(claims["sub"]).startswith("mailto:") and b"Rosa" not in body
    assert receiver.read(body) == {"title": "Rosa Diaz · Front Desk", "body": "New text", "url": f"/c/{c.public_id}", "tag": c.public_id}
    assert states(world.maya, "push") == ["sent"] and states(world.theo, "push") == [], "no browser, no row"
    assert db.session.scalar(sa.select(PushSubscription.used_at)) is not None


def test_ACC_6_words_of_the_text_only_for_who_wants_them(world, bell, receiver):
    subscribe(world.maya, receiver)
    with transaction():
        wishing.choose(world.maya, DEFAULT, {}, previews=True, by=world.maya)
    world.text("Is the ear cream ready?")
    bell.work()
    assert receiver.read(receiver.got[0][1])["body"] == "New text: Is the ear cream ready?"


@pytest.mark.parametrize("status", [404, 410])
def test_ACC_6_a_browser_that_is_gone_is_forgotten(world, bell, receiver, status):
    subscribe(world.maya, receiver)
    receiver.status = status
    world.text()
    bell.work()
    assert PushSubscription.of(world.maya) == [] and states(world.maya, "push") == ["dropped"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_ACC_6_a_push_service_in_trouble_is_tried_again(world, bell, receiver, status):
    subscribe(world.maya, receiver)
    receiver.status = status
    world.text()
    bell.work()
    assert states(world.maya, "push") == ["waiting"] and len(PushSubscription.of(world.maya)) == 1
    receiver.status = 201
    clock.shift(31)
    assert (world.maya.id, "push") in Notification.due()
    deliver_notifications(world.maya.id, "push")
    assert states(world.maya, "push") == ["sent"]


def test_ACC_6_a_signed_out_browser_gets_nothing(world, bell, receiver):
    row = subscribe(world.maya, receiver)
    with transaction():
        row.session.revoke()
    world.text()
    bell.work()
    assert not receiver.got and PushSubscription.of(world.maya) == []


def test_ACC_6_no_push_when_the_owner_says_no_or_the_text_was_read(world, bell, receiver):
    subscribe(world.maya, receiver)
    subscribe(world.theo, receiver, "two")
    with transaction():
        Notification.allow(world.maya, False, by=world.dana)
    c = world.conversation()
    fan_out = [job for job in bell.rung if job[0] == "notify_members"]
    bell.rung.clear()
    for _, args in fan_out:
        notify_members(*args)
    with transaction():
        c.mark_read(by=world.theo)
    bell.work()
    assert not receiver.got and states(world.maya, "push") == [] and states(world.theo, "push") == ["dropped"]


def test_ACC_6_a_test_push_reaches_every_browser(world, receiver):
    for name in ("one", "two"):
        subscribe(world.maya, receiver, name)
    try_notification(world.maya.id, "push")
    assert sorted(path for _, _, path in receiver.got) == ["/one", "/two"] and receiver.read(receiver.got[0][1])["title"] == "Notifications arrive here"


def test_ACC_6_a_push_never_goes_into_a_private_network(app, world, bell, receiver, monkeypatch):
    subscribe(world.maya, receiver)
    monkeypatch.setitem(app.config, "PUSH_PRIVATE", ())
    world.text()
    bell.work()
    assert not receiver.got and states(world.maya, "push") == ["dropped"]
    with pytest.raises(net.Refused):
        webpush.send(f"{receiver.origin}/x", **receiver.keys(), payload={}, private=webpush.new_key(), subject="mailto:a@example.com")


@pytest.mark.parametrize("endpoint", ["", "http://push.example/x", "https://", "https://a:b@push.example/x", "javascript:alert(1)", "https://push.example/" + "x" * 700, "https://push.example/ü", "https://push.example:99999/"])
def test_ACC_6_only_usable_addresses_are_kept(world, receiver, endpoint):
    with pytest.raises(Refused), transaction():
        session = LoginSession.find(LoginSession.start(world.maya, ip="127.0.0.1", user_agent="x"))
        PushSubscription.add(world.maya, endpoint=endpoint, session=session, **receiver.keys())


@pytest.mark.parametrize("keys", [{"p256dh": "x"}, {"auth": "x"}, {"auth": ""}, {"p256dh": "B" * 87}, {"p256dh": "ü"}, {"auth": "!" * 22}])
def test_ACC_6_only_usable_keys_are_kept(world, receiver, keys):
    with pytest.raises(Refused), transaction():
        session = LoginSession.find(LoginSession.start(world.maya, ip="127.0.0.1", user_agent="x"))
        PushSubscription.add(world.maya, endpoint="https://push.example/x", session=session, **{**receiver.keys(), **keys})


def test_ACC_6_secrets_of_browsers_are_encrypted_and_the_key_is_made_once(world, receiver, together, app):
    subscribe(world.maya, receiver)
    stored = db.session.execute(sa.select(PushSubscription.endpoint, PushSubscription.auth)).one()
    assert receiver.origin not in stored[0] and webpush.b64(receiver.auth) not in stored[1]
    db.session.rollback()

    def key(_):
        with transaction():
            return PushKey.private_key()

    keys = together(key, 4, app)
    assert len(set(keys)) == 1 and keys[0] not in db.session.scalars(sa.select(PushKey.private)).one()
    assert len(base64.urlsafe_b64decode(webpush.public_key(keys[0]) + "=")) == 65


def test_ACC_6_one_browser_belongs_to_who_used_it_last(world, receiver):
    subscribe(world.maya, receiver)
    subscribe(world.theo, receiver)
    assert PushSubscription.of(world.maya) == [] and len(PushSubscription.of(world.theo)) == 1
    receiver.key = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(Refused):
        subscribe(world.maya, receiver)


@pytest.mark.one_database
def test_ACC_6_every_cell_has_a_default(app):
    assert set(DEFAULT) < set(CELLS) and {event for event, _ in CELLS} == set(wishing.EVENTS)
