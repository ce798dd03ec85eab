"""The one outbound HTTP client.

It connects only to addresses it has checked, and it says precisely how a request failed, because that decides whether
a text may already be on its way: ConnectFailed means no byte of the request left, Unknown means some may have.
"""

from __future__ import annotations

import ipaddress
import json as jsonlib
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import urlencode

import httpcore
import httpx

TIMEOUT = 10.0  # seconds for everything: resolving, connecting, redirects and reading
CONNECT_TIMEOUT = 5.0
MAX_BYTES = 1024 * 1024
MAX_REDIRECTS = 3

Form = Mapping[str, str] | Sequence[tuple[str, str]] | bytes


class NetError(Exception):
    """A request that brought no answer."""


class ConnectFailed(NetError):
    """No byte of the request left: safe to try again."""


class Unknown(NetError):
    """The request may have arrived, but no complete answer came back."""


class TooLarge(Unknown):
    """The answer is larger than the caller accepts."""


class Refused(NetError):
    """The address or the request itself is not allowed; nothing was sent to it."""


@dataclass(frozen=True)
class Response:
    """An answer of any status; header names are lower case, url is where it came from after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON, or None when it isn't any."""
        try:
            return jsonlib.loads(self.body)
        except (ValueError, RecursionError):
            return None


_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_DENIED = tuple(
    ipaddress.ip_network(block)
    for block in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
        *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # old, translated and private IPv6: compatible, Teredo and friends, documentation, 6to4, local, multicast
        *("::/96", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    )
)


def is_public(address: str) -> bool:
    """Whether an address belongs to the open internet, whatever it is wrapped in."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in _NAT64[0]:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip in _NAT64[1] or (int(ip) >> 32) & 0xFCFFFFFF == 0x5EFE:  # local NAT64, ISATAP
            return False
    return ip.is_global and not any(ip.version == block.version and ip in block for block in _DENIED)


def origin(url: str | httpx.URL) -> str:
    """scheme://host:port, with the port always named; Refused when it is no address."""
    try:
        url = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise Refused("This is not an address.") from error
    return f"{url.scheme}://{url.host}:{url.port or _port(url)}"


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _lookup(host: str, port: int, deadline: float) -> list[str]:
    """The addresses of a host; in a thread because the system's resolver can't be given a deadline."""
    found: list[str] = []
    failure: list[Exception] = []

    def ask() -> None:
        try:
            found.extend(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failure.append(error)

    thread = threading.Thread(target=ask, daemon=True, name="net-lookup")
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if failure and isinstance(failure[0], UnicodeError):
        raise Refused("The host name is not valid.")
    if not found:
        raise ConnectFailed(f"The host {host} can't be found.")
    return list(dict.fromkeys(found))


def _check(url: httpx.URL, trusted: Collection[str], deadline: float) -> list[str]:
    """The addresses a request to the url may connect to."""
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused("Only http and https addresses are allowed.")
    if url.userinfo:
        raise Refused("The address must not hold a user name or password.")
    if not 0 < _port(url) < 65536:
        raise Refused("The port is not valid.")
    known = origin(url) in {origin(each) for each in trusted}
    if not known and _port(url) < 1024 and _port(url) not in (80, 443):
        raise Refused(f"Port {_port(url)} is not allowed.")
    addresses = _lookup(url.raw_host.decode("ascii"), _port(url), deadline)
    if not known and not all(map(is_public, addresses)):
        raise Refused(f"The host {url.host} is inside a private network.")
    return addresses


class _Stream(httpcore.NetworkStream):
    """A connection that keeps the deadline over all reads and notes that bytes of the request left."""

    def __init__(self, inner: httpcore.NetworkStream, exchange: _Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._exchange.remaining(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        remaining = self._exchange.remaining(httpcore.WriteTimeout)
        if buffer:
            self._exchange.left = True
        self._inner.write(buffer, remaining)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        remaining = min(CONNECT_TIMEOUT, self._exchange.remaining(httpcore.ConnectTimeout))
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, remaining), self._exchange)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Exchange(httpcore.NetworkBackend):
    """One request's connection: to the checked addresses only, whatever the name resolves to by now."""

    def __init__(self, addresses: list[str], deadline: float) -> None:
        self._addresses = addresses
        self._deadline = deadline
        self.left = False

    def remaining(self, error: type[Exception]) -> float:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise error("The time is up.")
        return seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            seconds = min(CONNECT_TIMEOUT, self.remaining(httpcore.ConnectTimeout))
            try:
                return _Stream(httpcore.SyncBackend().connect_tcp(address, port, timeout=seconds), self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _read(response: httpcore.Response, max_bytes: int) -> bytes:
    declared = {name.lower(): value for name, value in response.headers}.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > max_bytes:
        raise TooLarge(f"The answer is larger than {max_bytes} bytes.")
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > max_bytes:
            raise TooLarge(f"The answer is larger than {max_bytes} bytes.")
    return bytes(body)


def _inflate(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a compression we did not ask for, without trusting its size."""
    if encoding not in ("gzip", "x-gzip", "deflate") or not body:
        return body
    try:
        plain = zlib.decompressobj(47).decompress(body, max_bytes + 1)
    except zlib.error:
        raise Unknown("The answer is compressed in a way that can't be read.") from None
    if len(plain) > max_bytes:
        raise TooLarge(f"The answer is larger than {max_bytes} bytes.")
    return plain


def _exchange(request: httpx.Request, addresses: list[str], deadline: float, max_bytes: int) -> Response:
    """Send one request and read its whole answer."""
    exchange = _Exchange(addresses, deadline)
    try:
        with httpcore.ConnectionPool(ssl_context=_tls(), network_backend=exchange, http2=False) as pool:
            core = httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.content,
            )
            answer = pool.handle_request(core)
            try:
                body = b"" if request.method == "HEAD" else _read(answer, max_bytes)
            finally:
                answer.close()
    except NetError:
        raise
    except Exception as error:
        if exchange.left:
            raise Unknown(f"No complete answer came back ({type(error).__name__}).") from error
        if isinstance(error, httpcore.NetworkError | httpcore.TimeoutException):
            raise ConnectFailed(f"The connection to {request.url.host} failed ({type(error).__name__}).") from error
        raise Refused(f"This request can't be sent ({type(error).__name__}).") from error
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
    body = _inflate(body, headers.get("content-encoding", "").strip().lower(), max_bytes)
    return Response(answer.status, headers, body, str(request.url))


def _build(
    method: str,
    url: httpx.URL,
    auth: tuple[str, str] | None,
    data: Form | None,
    json: Any,
    headers: Mapping[str, str] | None,
) -> httpx.Request:
    content: bytes | None = None
    fields = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "inbox/1", "Connection": "close"}
    if json is not None:
        content = jsonlib.dumps(json).encode()
        fields["Content-Type"] = "application/json"
    elif isinstance(data, bytes):
        content = data
    elif data is not None:
        pairs = list(data.items()) if isinstance(data, Mapping) else list(data)
        content = urlencode(pairs, errors="replace").encode("ascii")
        fields["Content-Type"] = "application/x-www-form-urlencoded"
    request = httpx.Request(method.upper(), url, headers={**fields, **(headers or {})}, content=content)
    if auth is not None:
        request = next(httpx.BasicAuth(*auth).auth_flow(request))
    return request


def _redirected(request: httpx.Request, location: str) -> httpx.Request:
    target = request.url.join(location)
    if request.url.scheme == "https" and target.scheme != "https":
        raise Refused("The answer leads away from an encrypted connection.")
    headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
    if origin(target) != origin(request.url):
        headers = {name: value for name, value in headers.items() if name.lower() not in ("authorization", "cookie")}
    return httpx.Request(request.method, target.copy_with(fragment=None), headers=headers)


def request(
    method: str,
    url: str,
    *,
    auth: tuple[str, str] | None = None,
    data: Form | None = None,
    json: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = TIMEOUT,
    max_bytes: int = MAX_BYTES,
    allow_private: Literal[False] | Collection[str] = False,
) -> Response:
    """Make a request and return the answer, whatever its status.

    allow_private lists the origins (the test carrier's) that may be private addresses. timeout is seconds for
    everything together, max_bytes limits the answer. Redirects are followed for GET and HEAD only, each one checked
    like a first address; any other method gets the redirect back as its answer.
    """
    deadline = time.monotonic() + timeout
    trusted = allow_private or ()
    try:
        current = _build(method, httpx.URL(url), auth, data, json, headers)
    except Exception as error:
        raise Refused("This is not an address or a request that can be sent.") from error
    for _ in range(MAX_REDIRECTS + 1):
        answer = _exchange(current, _check(current.url, trusted, deadline), deadline, max_bytes)
        location = answer.headers.get("location", "")
        if answer.status not in (301, 302, 303, 307, 308) or not location or current.method not in ("GET", "HEAD"):
            return answer
        try:
            current = _redirected(current, location)
        except (httpx.InvalidURL, ValueError) as error:
            raise Refused("The answer leads to an address that can't be used.") from error
    raise Refused(f"More than {MAX_REDIRECTS} redirects.")
