"""What is done to a request before it is sent: to its fields, its bytes, its address and its headers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote, quote_plus

KINDS = ("messages", "status", "voice", "dial", "events")
NASTY = (
    "", " ", "\x00", "a\x00b", "+", "++1", "+1", "-1", "0", "1e9", "NaN", "null", "[]", "{}", "%00", "%", "%zz", "\r\nX-Evil: 1", "\u202egnirts", "\ufeff", "😀" * 50, "é" * 200, "ñ\u0301",
    "\U0010ffff", "\ufffe", "١٢٣٤٥٦٧٨٩٠", "+١٤١٥٥٥٥٠١٣٤", "+1415555013４", "<script>alert(1)</script>", "' OR 1=1 --", "{{7*7}}", "../../etc/passwd", "9" * 400, "+" + "1" * 300, "A" * 5000, "STOP", "whatsapp:+14155550134",
    "anonymous", "+266696687", "SM" + "0" * 32, "javascript:alert(1)", "http://169.254.169.254/", "file:///etc/passwd", "delivered", "DELIVERED ", "read", "unheard-of", "2026-99-99T99:99:99Z", "1" * 11, "-0", "0x10", "٣",
)
RAW = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f", b"\x00", b"%FF%FE", b"%ED%A0%80", b"%00", b"&", b"=", b"&&==&", b";", b"+", b"%", b"\r\n\r\n", b'{"', b"[[[[", b"\\ud800", b'"\\u0000"', b"\xef\xbb\xbf")
BULK = (1_000, 20_000, 300_000, 999_000, 1_100_000)
HEADERS = (
    ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https"), ("X-Original-URL", "/admin"), ("X-HTTP-Method-Override", "DELETE"), ("HX-Request", "true"), ("Cookie", "session=x; session=y"),
    ("User-Agent", "\xff\xfe"), ("User-Agent", "x" * 20_000), ("I-Twilio-Idempotency-Token", "\xe9" * 300), ("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip"), ("Authorization", "Basic eDp5"), ("Range", "bytes=0-1"),
    ("X-Twilio-Webhooks-Signature-Settings", "algorithm=HMAC_SHA256"), ("X-Twilio-Webhooks-Signature-Settings", "algorithm=MD5"), ("X-Twilio-Webhooks-Signature-Settings", "algorithm="), ("X-Twilio-Webhooks-Signature-Settings", "\xff,=,="),
)
TYPES = ("", "text/plain", "application/json", "application/x-www-form-urlencoded; charset=utf-16", "APPLICATION/X-WWW-FORM-URLENCODED", "multipart/form-data", "multipart/form-data; boundary=x", "application/octet-stream", "\xff/\xff")


@dataclass
class Draft:
    """A request in the making. Where `fields` is a list, the body is made of it at the end."""

    kind: str
    method: str
    content_type: str
    fields: list[tuple[str, str]] | None
    body: bytes
    query: list[tuple[str, str]]
    headers: dict[str, str] = field(default_factory=dict)
    raw_query: bytes = b""

    def encode(self, spare: Random) -> None:
        """Make the body and the address as bytes; now and then with encodings nobody needs."""
        if self.fields is not None:
            escape = (lambda text: quote(text, safe="~", errors="replace")) if spare.random() < 0.1 else (lambda text: quote_plus(text, errors="replace"))
            self.body = "&".join(f"{escape(name)}={escape(value)}" for name, value in self.fields).encode()
        self.raw_query = "&".join(f"{quote_plus(name, errors='replace')}={quote_plus(value, errors='replace')}" for name, value in self.query).encode()


Mutation = Callable[[Draft, Random], None]


def _place(draft: Draft, chance: Random) -> int | None:
    return chance.randrange(len(draft.fields)) if draft.fields else None


def drop(draft: Draft, chance: Random) -> None:
    place = _place(draft, chance)
    if place is not None and draft.fields:
        del draft.fields[place]


def duplicate(draft: Draft, chance: Random) -> None:
    place = _place(draft, chance)
    if place is not None and draft.fields:
        name, value = draft.fields[place]
        draft.fields.insert(chance.randrange(len(draft.fields) + 1), (name, chance.choice((value, *NASTY))))


def swap(draft: Draft, chance: Random) -> None:
    one, other = _place(draft, chance), _place(draft, chance)
    if one is not None and other is not None and draft.fields:
        (a, x), (b, y) = draft.fields[one], draft.fields[other]
        draft.fields[one], draft.fields[other] = (a, y), (b, x)


def spoil(draft: Draft, chance: Random) -> None:
    place = _place(draft, chance)
    if place is not None and draft.fields:
        draft.fields[place] = (draft.fields[place][0], chance.choice(NASTY))


def rename(draft: Draft, chance: Random) -> None:
    place = _place(draft, chance)
    if place is not None and draft.fields:
        draft.fields[place] = (chance.choice(("", "From", "To", "Body", "MessageSid", "SmsStatus", "CallSid", "\x00", *NASTY[:20])), draft.fields[place][1])


def add(draft: Draft, chance: Random) -> None:
    if draft.fields is not None:
        name = chance.choice(("MessageStatus", "SmsStatus", "CallSid", "DialCallStatus", "CallStatus", "OptOutType", "MediaUrl3", "MediaContentType0", "ErrorCode", "ErrorMessage", "AccountSid", "RecordingSid", "New"))
        draft.fields.append((name, chance.choice(NASTY)))


def inflate(draft: Draft, chance: Random) -> None:
    size, place = chance.choices(BULK, (40, 30, 5, 2, 1))[0], _place(draft, chance)
    if place is not None and draft.fields:
        draft.fields[place] = (draft.fields[place][0], chance.choice("xé😀0 ") * (size // 4))
    else:
        draft.body += b"x" * size


def crowd(draft: Draft, chance: Random) -> None:
    if draft.fields is not None:
        draft.fields += [(f"F{i}", "x") for i in range(chance.choice((50, 500, 3000)))]


def bytes_in(draft: Draft, chance: Random) -> None:
    _raw(draft, chance)
    place = chance.randrange(len(draft.body) + 1)
    draft.body = draft.body[:place] + chance.choice(RAW) + draft.body[place:]


def flip(draft: Draft, chance: Random) -> None:
    _raw(draft, chance)
    if draft.body:
        place = chance.randrange(len(draft.body))
        draft.body = draft.body[:place] + bytes([draft.body[place] ^ (1 << chance.randrange(8))]) + draft.body[place + 1 :]


def cut(draft: Draft, chance: Random) -> None:
    _raw(draft, chance)
    draft.body = draft.body[: chance.randrange(len(draft.body) + 1)]


def nest(draft: Draft, chance: Random) -> None:
    """JSON that is deep, odd or of another shape."""
    draft.fields, draft.content_type = None, "application/json"
    kind = '"type":"com.twilio.messaging.compliance.brand-registration.brand-failure"'
    draft.body = chance.choice(
        (
            b"[" * 5000, b'{"a":' * 2000 + b"1" + b"}" * 2000, b"[1]", b"[]", b"null", b"[null]", b'{"type":[]}', b'[{"data":[]}]', b"1e999", b"[NaN]", b'"x"', b"9" * 5000,
            f'[{{{kind},"id":"\\ud800","data":{{"brandsid":"\\ud800"}}}}]'.encode(), f'[{{{kind},"id":{{}},"data":{{"brandsid":["x"],"brandstatus":{{}}}}}}]'.encode(),
            f'[{{{kind},"id":"a\\u0000b","data":{{"brandsid":"\\u0000","brandSid":"x"}}}}]'.encode(), f'[{{{kind},"data":{{"brandsid":"{"x" * 400}"}}}}]'.encode(),
            f'[{",".join([f"{{{kind},{chr(34)}id{chr(34)}:{chr(34)}e{i}{chr(34)},{chr(34)}data{chr(34)}:{{{chr(34)}brandsid{chr(34)}:{chr(34)}B{i}{chr(34)}}}}}" for i in range(300)])}]'.encode(),
        )
    )


def _raw(draft: Draft, chance: Random) -> None:
    """From here on the body is bytes."""
    draft.encode(chance)
    draft.fields = None


def change_type(draft: Draft, chance: Random) -> None:
    draft.content_type = chance.choice(TYPES)


def change_kind(draft: Draft, chance: Random) -> None:
    draft.kind = chance.choice(KINDS)


def lose_way(draft: Draft, chance: Random) -> None:
    draft.kind = chance.choice(("", "secrets", "messages/", "MESSAGES", "media/x", "messages%2F..", "\xff", "../status"))


def change_method(draft: Draft, chance: Random) -> None:
    draft.method = chance.choice(("GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "POST"))


def change_query(draft: Draft, chance: Random) -> None:
    change = chance.randrange(4)
    if change == 0 and draft.query:
        del draft.query[chance.randrange(len(draft.query))]
    elif change == 1 and draft.query:
        place = chance.randrange(len(draft.query))
        draft.query[place] = (draft.query[place][0], chance.choice(NASTY))
    elif change == 2 and draft.query:
        draft.query.append((chance.choice(draft.query)[0], chance.choice(NASTY)))
    else:
        draft.query.insert(0, (chance.choice(("ref", "m", "type", "x", "sig", "bodySHA256")), chance.choice((*NASTY, "x" * 3000))))


def change_header(draft: Draft, chance: Random) -> None:
    name, value = chance.choice(HEADERS)
    draft.headers[name] = value


# Each with how often it happens.
MUTATIONS: dict[Mutation, int] = {
    drop: 8, duplicate: 8, swap: 8, spoil: 20, rename: 5, add: 10, inflate: 3, crowd: 1, bytes_in: 8, flip: 8, cut: 6, nest: 4, change_type: 6, change_kind: 5, lose_way: 1,
    change_method: 3, change_query: 8, change_header: 6,
}


def mutate(draft: Draft, chance: Random) -> None:
    """Up to four mutations; a fifth of all requests stay as they are."""
    for mutation in chance.choices(list(MUTATIONS), list(MUTATIONS.values()), k=chance.choices(range(5), (20, 35, 25, 12, 8))[0]):
        mutation(draft, chance)
