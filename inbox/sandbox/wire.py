"""Twilio's wire format: ids, signatures, error bodies, pages and text segments."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Response, current_app, jsonify, request

from .carrier import Carrier
from .store import Doc

E164 = re.compile(r"^\+[1-9]\d{6,14}$")
TOLL_FREE = re.compile(r"^\+18(00|33|44|55|66|77|88)\d{7}$")

_GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED = set("^{}\\[~]|€\f")


class Refusal(Exception):
    """An API request the carrier turns down, with Twilio's error number."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def error_body(refusal: Refusal) -> Doc:
    return {
        "code": refusal.code,
        "message": refusal.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refusal.code}",
        "status": refusal.status,
    }


def carrier() -> Carrier:
    """The carrier behind the current request."""
    found: Carrier = current_app.extensions["sandbox"]
    return found


def new_sid(prefix: str) -> str:
    return prefix + uuid.uuid4().hex


def signature(token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """X-Twilio-Signature over the URL as called and the form fields."""
    values: dict[str, set[str]] = {}
    for name, value in params:
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def segments(text: str) -> int:
    """How many text segments carry this text."""
    if not text:
        return 1
    if all(char in _GSM or char in _GSM_EXTENDED for char in text):
        sizes = [2 if char in _GSM_EXTENDED else 1 for char in text]
        return _packed(sizes, 160, 153)
    return _packed([2 if ord(char) > 0xFFFF else 1 for char in text], 70, 67)


def _packed(sizes: list[int], single: int, each: int) -> int:
    if sum(sizes) <= single:
        return 1
    count, used = 1, 0
    for size in sizes:  # a pair is never split across two segments
        if used + size > each:
            count, used = count + 1, 0
        used += size
    return count


def field(name: str, default: str = "") -> str:
    return request.form.get(name, default).strip()


def flag(name: str, default: bool = False) -> bool:
    value = request.form.get(name)
    return default if value is None or value == "" else value.strip().lower() in ("true", "1", "yes")


def required(*names: str) -> None:
    for name in names:
        if not request.form.getlist(name) or not any(value.strip() for value in request.form.getlist(name)):
            raise Refusal(400, 20001, f"Missing required parameter {name} in the post body")


def web_address(value: str, code: int, what: str) -> str:
    """The value when it is an absolute web address, else a refusal."""
    parts = urlsplit(value)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or "_" in host:
        raise Refusal(400, code, f"The {what} URL {value} is not a valid URL.")
    return value


def public(doc: Doc) -> Doc:
    """A document as the API shows it: private fields (leading underscore) left out."""
    shown = {key: value for key, value in doc.items() if not key.startswith("_")}
    if "_path" in doc:
        shown["url"] = carrier().base_url + doc["_path"]
        if "_links" in doc:
            shown["links"] = {name: carrier().base_url + path for name, path in doc["_links"].items()}
    return shown


def ok(doc: Doc, status: int = 200) -> Response:
    response = jsonify(public(doc))
    response.status_code = status
    return response


def paging() -> tuple[int, int]:
    """(page, page size) as asked for, within Twilio's limits."""
    def number(name: str, default: int) -> int:
        try:
            return int(request.args.get(name, default))
        except ValueError:
            raise Refusal(400, 20001, f"{name} must be a number") from None

    return max(0, number("Page", 0)), min(1000, max(1, number("PageSize", 50)))


def _page_path(page: int, size: int) -> str:
    query = [(key, value) for key, value in request.args.items(multi=True) if key not in ("Page", "PageSize")]
    return f"{request.path}?{urlencode([*query, ('PageSize', str(size)), ('Page', str(page))])}"


def classic_page(key: str, docs: list[Doc], more: bool) -> Response:
    """A list of the 2010 API; ask the store for one row more than the page holds to know `more`."""
    page, size = paging()
    return jsonify(
        {
            key: [public(doc) for doc in docs],
            "page": page,
            "page_size": size,
            "start": page * size,
            "end": page * size + max(0, len(docs) - 1),
            "uri": _page_path(page, size),
            "first_page_uri": _page_path(0, size),
            "next_page_uri": _page_path(page + 1, size) if more else None,
            "previous_page_uri": _page_path(page - 1, size) if page else None,
        }
    )


def modern_page(key: str, docs: list[Doc], more: bool, extra: Mapping[str, Any] | None = None) -> Response:
    """A list of the v1 APIs, with its `meta` block."""
    page, size = paging()
    base = carrier().base_url
    return jsonify(
        {
            **(extra or {}),
            key: [public(doc) for doc in docs],
            "meta": {
                "page": page,
                "page_size": size,
                "first_page_url": base + _page_path(0, size),
                "previous_page_url": base + _page_path(page - 1, size) if page else None,
                "url": base + _page_path(page, size),
                "next_page_url": base + _page_path(page + 1, size) if more else None,
                "key": key,
            },
        }
    )


def listing(
    kind: str, parent: str | None = None, where: str = "", args: tuple[Any, ...] = (), newest_first: bool = True
) -> tuple[list[Doc], bool]:
    """One page of stored documents and whether more follow."""
    page, size = paging()
    docs = carrier().store.list(kind, parent, where, args, size + 1, page * size, newest_first)
    return docs[:size], len(docs) > size


def fetch_or_404(sid: str, kind: str) -> Doc:
    doc = carrier().store.get(sid, kind)
    if doc is None:
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
    return doc


