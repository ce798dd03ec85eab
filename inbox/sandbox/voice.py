"""Calls: fetches the app's instructions, carries them out and reports how it ended."""

from __future__ import annotations

import io
import math
import struct
import time
import wave
import xml.etree.ElementTree as ET
from urllib.parse import urljoin

from flask import Blueprint, Response, request

from .carrier import Carrier
from .clock import rfc2822
from .hooks import Params, send
from .messages import account_path, parse_twiml
from .numbers import place_of
from .store import Doc
from .wire import E164, Refusal, carrier, classic_page, fetch_or_404, field, listing, new_sid, ok, web_address
from .worker import job

bp = Blueprint("voice", __name__, url_prefix="/2010-04-01/Accounts/<account>")

OUTCOMES = ("completed", "no-answer", "busy", "failed")
MESSAGES = (0, 1, 3, 12, 32, 60)  # seconds a caller may speak after the tone; 0 hangs up
MAX_VERBS = 50  # an app that redirects to itself must not keep the line for ever
TALK_SECONDS = 42


def new_call(here: Carrier, sender: str, to: str, direction: str, **fields: object) -> Doc:
    sid, now = new_sid("CA"), rfc2822(here.clock.now())
    path = f"{account_path(here.account_sid)}/Calls/{sid}"
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "from": sender, "to": to, "direction": direction,
        "status": "ringing" if direction == "inbound" else "queued", "duration": None, "start_time": None,
        "end_time": None, "price": None, "price_unit": "USD", "answered_by": None, "parent_call_sid": None,
        "phone_number_sid": None, "api_version": "2010-04-01", "caller_name": None, "forwarded_from": None,
        "annotation": None, "group_sid": None, "queue_time": "0", "trunk_sid": None, "date_created": now,
        "date_updated": now, "uri": f"{path}.json", "subresource_uris": {"recordings": f"{path}/Recordings.json"},
        "from_formatted": sender, "to_formatted": to, "_at": here.clock.now(), "_story": [],
    }
    doc.update(fields)
    return here.store.add("call", doc)


def ring(here: Carrier, sender: str, to: str, outcome: str, message: int = 1) -> Doc:
    """A customer calls one of the account's numbers, and leaves a message of so many seconds when asked to."""
    doc = new_call(here, sender, to, "inbound", _outcome=outcome, _message=message)
    here.schedule("run_call", doc["sid"], sid=doc["sid"])
    return doc


@bp.post("/Calls.json")
def create(account: str) -> Response:
    here = carrier()
    to, sender, url, twiml = field("To"), field("From"), field("Url"), field("Twiml")
    if not E164.match(to):
        raise Refusal(400, 21211, f"Invalid 'To' Phone Number: {to}")
    if here.store.row("SELECT 1 FROM owned WHERE number = ?", sender) is None:
        raise Refusal(400, 21210, f"The source phone number {sender} is not a number of this account")
    if not url and not twiml:
        raise Refusal(400, 21205, "Url or Twiml is required")
    if url:
        web_address(url, 21205, "Url")
    if len(twiml) > 4000:
        raise Refusal(400, 21218, "Invalid Twiml: it is longer than 4000 characters")
    if field("StatusCallback"):
        web_address(field("StatusCallback"), 21609, "StatusCallback")
    events = set(request.form.getlist("StatusCallbackEvent")) or {"completed"}
    doc = new_call(here, sender, to, "outbound-api", _url=url, _twiml=twiml, _callback=field("StatusCallback"),
                   _events=sorted(events), _outcome=here.setting("call_outcome"), _timeout=_seconds(field("Timeout"), 60))
    here.schedule("run_call", doc["sid"], sid=doc["sid"])
    return ok(doc, 201)


def _seconds(text: str, usual: int) -> int:
    return min(600, int(text)) if text.isascii() and text.isdigit() and len(text) < 5 else usual


@bp.get("/Calls.json")
def index(account: str) -> Response:
    where, args = ["1=1"], []
    for name, key in (("To", "to"), ("From", "from"), ("Status", "status")):
        if request.args.get(name):
            where.append(f"json_extract(data, '$.{key}') = ?")
            args.append(request.args[name])
    docs, more = listing("call", where=" AND ".join(where), args=tuple(args))
    return classic_page("calls", docs, more)


@bp.get("/Calls/<sid>.json")
def show(account: str, sid: str) -> Response:
    return ok(fetch_or_404(sid, "call"))


@bp.post("/Calls/<sid>.json")
def update(account: str, sid: str) -> Response:
    here = carrier()
    doc = fetch_or_404(sid, "call")
    if field("Status") in ("canceled", "completed"):
        doc = here.store.change(sid, status=field("Status"), date_updated=rfc2822(here.clock.now())) or doc
    return ok(doc)


@bp.get("/Recordings/<sid>.json")
def recording(account: str, sid: str) -> Response:
    return ok(fetch_or_404(sid, "recording"))


@bp.get("/Recordings/<sid>")
@bp.get("/Recordings/<sid>.wav")
def recording_bytes(account: str, sid: str) -> Response:
    doc = fetch_or_404(sid, "recording")
    return Response(beep(float(doc["duration"])), content_type="audio/x-wav", headers={"X-Content-Type-Options": "nosniff"})


def beep(seconds: float = 1.0, rate: int = 8000) -> bytes:
    """What the sandbox's callers say on a recording."""
    frames = b"".join(struct.pack("<h", int(9000 * math.sin(2 * math.pi * 440 * n / rate)))
                      for n in range(int(seconds * rate)))
    held = io.BytesIO()
    with wave.open(held, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(frames)
    return held.getvalue()


class Line:
    """One call being carried out."""

    def __init__(self, here: Carrier, doc: Doc) -> None:
        self.here, self.doc, self.url = here, doc, ""
        self.verbs = 0
        self.seconds = 0
        self.ended = ""

    def params(self, *extra: tuple[str, str]) -> Params:
        doc = self.doc
        params: Params = [
            ("CallSid", doc["sid"]), ("AccountSid", self.here.account_sid), ("From", doc["from"]), ("To", doc["to"]),
            ("Caller", doc["from"]), ("Called", doc["to"]), ("CallStatus", doc["status"]),
            ("Direction", doc["direction"]), ("ApiVersion", "2010-04-01"),
        ]
        for side, number in (("From", doc["from"]), ("To", doc["to"])):
            place = place_of(number)
            params += [(f"{side}City", place.city.upper() if place else ""),
                       (f"{side}State", place.state if place else ""), (f"{side}Zip", ""), (f"{side}Country", "US")]
        return [*params, *extra]

    def set(self, **fields: object) -> None:
        self.doc = self.here.store.change(
            self.doc["sid"], **fields, date_updated=rfc2822(self.here.clock.now())
        ) or self.doc

    def tell(self, text: str) -> None:
        """Add a line to what the caller heard."""
        self.set(_story=[*self.doc["_story"], text])

    def fetch(self, url: str, event: str, *extra: tuple[str, str], method: str = "POST") -> ET.Element | None:
        """Ask the app what to do next."""
        self.url = urljoin(self.url, url) if self.url else url
        bad = self.here.fault("wrong_signature", event) is not None
        answer = send(self.here, self.url, self.params(*extra), event=event, sid=self.doc["sid"], bad_signature=bad)
        if answer is None or answer.status_code >= 400:
            return None
        return parse_twiml(answer.text) if answer.text.strip() else ET.Element("Response")

    def run(self, document: ET.Element | None) -> None:
        if document is None:
            self.tell("The caller heard an application error.")
            self.ended = "failed"
            return
        for verb in document:
            self.verbs += 1
            if self.ended or self.verbs > MAX_VERBS:
                return
            act = getattr(self, f"do_{verb.tag.lower()}", None)
            if act is None:
                self.here.log("webhook.warning", self.doc["sid"], status=None, attempt=0, error=12200,
                              answer=f"12200: the verb {verb.tag} is not known")
            elif act(verb):
                return  # the verb handed the call to another document
        self.ended = self.ended or "completed"

    def do_say(self, verb: ET.Element) -> bool:
        self.answer()
        self.tell(f"Heard: {''.join(verb.itertext()).strip()}")
        return False

    def do_play(self, verb: ET.Element) -> bool:
        self.answer()
        self.tell("Heard a recording.")
        return False

    def do_pause(self, verb: ET.Element) -> bool:
        return False

    def do_hangup(self, verb: ET.Element) -> bool:
        self.ended = "completed"
        return False

    def do_reject(self, verb: ET.Element) -> bool:
        self.ended = "busy" if verb.get("reason") == "busy" else "no-answer"
        return False

    def do_redirect(self, verb: ET.Element) -> bool:
        self.run(self.fetch((verb.text or "").strip(), "call.redirect"))
        return True

    def do_gather(self, verb: ET.Element) -> bool:
        for inner in verb:
            act = getattr(self, f"do_{inner.tag.lower()}", None)
            if act:
                act(inner)
        return False

    def do_dial(self, verb: ET.Element) -> bool:
        """Ring the numbers: whoever holds such a phone answers by hand, else it ends as decided when the call was placed."""
        numbers = [inner for inner in verb if inner.tag == "Number"]
        targets = [(inner.text or "").strip() for inner in numbers]
        targets = targets or ([verb.text.strip()] if verb.text and verb.text.strip() else [])
        leg = new_sid("CA")
        shown_as = verb.get("callerId") or self.doc["from"]
        outcome = self.doc.get("_outcome") or "completed"
        if targets:
            outcome = by_hand(self.here, targets[0], shown_as, _seconds(verb.get("timeout") or "", 30)) or outcome
        if outcome == "completed":
            self.answer()
            self.seconds += TALK_SECONDS
            self.report_leg(numbers, leg, shown_as)
        shown = ", ".join(targets) or "nobody"
        words = {"completed": "answered", "no-answer": "did not answer", "busy": "was busy", "failed": "failed"}
        through = "Forwarded" if self.doc["direction"] == "inbound" else "Put through"
        self.tell(f"{through} to {shown}, who {words[outcome]}." if targets else "Nobody to forward to.")
        extra = [("DialCallSid", leg), ("DialCallStatus", outcome)]
        if outcome == "completed":
            extra.append(("DialCallDuration", str(TALK_SECONDS)))
        action = verb.get("action")
        if not action:
            return False
        self.run(self.fetch(action, f"call.dial-{outcome}", *extra))
        return True

    def report_leg(self, numbers: list[ET.Element], leg: str, shown_as: str) -> None:
        """Tell the app that the dialled number answered, when it asked for that."""
        for number in numbers[:1]:
            address = number.get("statusCallback") or ""
            if address and "answered" in (number.get("statusCallbackEvent") or "").split():
                params = [("CallSid", leg), ("ParentCallSid", self.doc["sid"]), ("AccountSid", self.here.account_sid), ("From", shown_as),
                          ("To", (number.text or "").strip()), ("CallStatus", "in-progress"), ("Direction", "outbound-dial"), ("ApiVersion", "2010-04-01")]
                send(self.here, urljoin(self.url, address), params, event="call.leg-answered", sid=self.doc["sid"])

    def do_record(self, verb: ET.Element) -> bool:
        """The tone, then what the caller says; who hangs up instead leaves nothing."""
        self.answer()
        seconds = min(self.doc.get("_message", 1), _seconds(verb.get("maxLength") or "", 3600))
        if seconds <= 0:
            self.tell("Hung up at the tone.")
            self.ended = "completed"
            return True
        sid = new_sid("RE")
        base = f"{account_path(self.here.account_sid)}/Recordings/{sid}"
        self.here.store.add("recording", {
            "sid": sid, "account_sid": self.here.account_sid, "call_sid": self.doc["sid"], "duration": str(seconds),
            "channels": 1, "source": "RecordVerb", "status": "completed", "uri": f"{base}.json",
            "date_created": rfc2822(self.here.clock.now()), "date_updated": rfc2822(self.here.clock.now()),
        })
        self.seconds += seconds
        self.tell(f"Left a voicemail of {seconds} second{'' if seconds == 1 else 's'}.")
        extra = [("RecordingSid", sid), ("RecordingUrl", self.here.base_url + base), ("RecordingDuration", str(seconds))]
        if verb.get("recordingStatusCallback"):  # it names the call, but not its numbers
            params = [("AccountSid", self.here.account_sid), ("CallSid", self.doc["sid"]), ("RecordingStatus", "completed"), ("RecordingChannels", "1"),
                      ("RecordingSource", "RecordVerb"), ("ErrorCode", "0"), *extra]
            send(self.here, urljoin(self.url, verb.get("recordingStatusCallback", "")), params, event="call.recording", sid=self.doc["sid"])
        action = verb.get("action")
        if not action:
            return False
        self.run(self.fetch(action, "call.recorded", *extra, ("Digits", "hangup")))
        return True

    def answer(self) -> None:
        if self.doc["status"] != "in-progress":
            self.set(status="in-progress", start_time=rfc2822(self.here.clock.now()))


@job
def run_call(here: Carrier, at: float, sid: str) -> None:
    """Carry out one call from the first ring to the last report."""
    doc = here.store.get(sid, "call")
    if doc is None or doc["status"] not in ("ringing", "queued"):
        return
    line = Line(here, doc)
    callback = doc.get("_callback") or ""
    if doc["direction"] == "inbound":
        row = here.store.row("SELECT sid FROM owned WHERE number = ?", doc["to"])
        number = (here.store.get(row["sid"]) if row else None) or {}
        callback = number.get("status_callback") or ""
        if not number.get("voice_url"):
            line.tell("The number does not take calls.")
            line.ended = "no-answer"
        else:
            document = line.fetch(number["voice_url"], "call.received")
            if document is None and number.get("voice_fallback_url"):
                document = line.fetch(number["voice_fallback_url"], "call.fallback")
            line.run(document)
    else:
        _run_outbound(line)
    status = line.ended or "completed"
    if status == "completed" and line.doc["status"] == "ringing":
        status = "no-answer"
    if "completed" not in doc.get("_events", ["completed"]):
        callback = ""
    line.set(status=status, duration=str(line.seconds), end_time=rfc2822(here.clock.now()))
    if callback:
        send(here, callback, line.params(("CallDuration", str(line.seconds))), event=f"call.{status}", sid=sid)


def _run_outbound(line: Line) -> None:
    doc = line.doc
    line.set(status="ringing")
    outcome = by_hand(line.here, doc["to"], doc["from"], doc.get("_timeout", 60)) or doc["_outcome"]
    if outcome != "completed":
        line.ended = outcome
        return
    line.answer()
    if doc.get("_callback") and "answered" in doc.get("_events", []):
        send(line.here, doc["_callback"], line.params(), event="call.answered", sid=doc["sid"])
    document = parse_twiml(doc["_twiml"]) if doc["_twiml"] else line.fetch(doc["_url"], "call.answered")
    line.run(document)


# ── phones that somebody holds ───────────────────────────────────────────────────────────────────────────────────


def by_hand(here: Carrier, number: str, sender: str, seconds: int) -> str:
    """Let a phone of the simulator ring for so many real seconds until somebody answers or declines; empty when nobody holds it."""
    held = here.store.row("SELECT 1 FROM phone WHERE number = ?", number) is not None
    if not held or not here.setting("answer_by_hand"):
        return ""
    sid = new_sid("RG")
    here.store.add("ring", {"sid": sid, "number": number, "from": sender, "state": "ringing"}, parent=number)
    deadline = time.monotonic() + seconds
    state = "ringing"
    while state == "ringing" and time.monotonic() < deadline and not here.stopping.is_set():
        here.pause(0.15)
        doc = here.store.get(sid, "ring")
        state = doc["state"] if doc else "no-answer"
    here.store.remove(sid)
    return "no-answer" if state == "ringing" else state


def ringing_at(here: Carrier, number: str) -> Doc | None:
    """The call that rings at a phone now."""
    return next((doc for doc in here.store.list("ring", number) if doc["state"] == "ringing"), None)


def pick_up(here: Carrier, sid: str, answered: bool) -> bool:
    """Answer or decline; False when it rings no more."""
    doc = here.store.get(sid, "ring")
    if doc is None or doc["state"] != "ringing":
        return False
    here.store.change(sid, state="completed" if answered else "busy")
    return True
