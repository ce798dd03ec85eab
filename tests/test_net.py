"""The guarded HTTP client against real sockets."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inbox import net

Handler = Callable[[socket.socket, bytes], None]


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def server(handler: Handler) -> Iterator[tuple[str, list[bytes]]]:
    """A server on a free port: yields its origin and the requests it got."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen: list[bytes] = []
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            try:
                request = read_request(connection)
                if request:
                    seen.append(request)
                    handler(connection, request)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=serve, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(5)


def answer(body: bytes = b"ok", status: str = "200 OK", *headers: str) -> Handler:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]

    def handle(connection: socket.socket, request: bytes) -> None:
        connection.sendall("\r\n".join(lines).encode() + body)

    return handle


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.9.10",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
        ),
        *(
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *("::1", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("64:ff9b:1::808:808", "2002:7f00:1::", "2001:0:7f00:1::", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1"),
        *("fd00:ec2::254", "ff02::1", "2001:db8::1", "2a00:1::5efe:7f00:1", "2a00:1::200:5efe:a00:1", "nonsense", ""),
    ],
)
def test_S71_addresses_inside(address: str) -> None:
    assert not net.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "54.172.60.0", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_addresses_outside(address: str) -> None:
    assert net.is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "127.0.0.1.", "\u2460\u2461\u2466.0.0.1"),
    ],
)
def test_S71_no_spelling_of_loopback_is_reached(host: str) -> None:
    with server(answer()) as (origin, seen):
        port = origin.rpartition(":")[2]
        with pytest.raises((net.Refused, net.ConnectFailed)):
            net.request("GET", f"http://{host}:{port}/")
        assert seen == []


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "//example.com",
            "example.com",
            "",
            "http://",
        ),
        *(
            "http://user:pass@93.184.215.14/",
            "http://93.184.215.14:22/",
            "http://[::1",
            "http://93.184.215.14:99999/",
            "http://a\nb/",
        ),
    ],
)
def test_addresses_that_are_never_asked(url: str) -> None:
    with pytest.raises(net.Refused):
        net.request("GET", url)


def test_a_trusted_origin_is_exact() -> None:
    with server(answer()) as (origin, seen):
        port = int(origin.rpartition(":")[2])
        assert net.request("GET", f"{origin}/x?y=1", allow_private=[origin]).body == b"ok"
        for other in (f"http://127.0.0.1:{port + 1}", f"https://127.0.0.1:{port}", f"http://localhost:{port}"):
            with pytest.raises(net.Refused):
                net.request("GET", f"{origin}/", allow_private=[other])
        assert len(seen) == 1


def test_what_is_sent() -> None:
    with server(answer(b'{"a": 1}')) as (origin, seen):
        form = [("To", "+1 415"), ("MediaUrl", "a"), ("MediaUrl", "b&c"), ("Body", "é\ud800")]
        response = net.request("POST", f"{origin}/p", auth=("AC1", "secret"), data=form, allow_private=[origin])
        assert (response.status, response.json()) == (200, {"a": 1})
        head, _, body = seen[0].partition(b"\r\n\r\n")
        assert body == b"To=%2B1+415&MediaUrl=a&MediaUrl=b%26c&Body=%C3%A9%3F"
        assert b"authorization: basic qumxonnly3jlda==" in head.lower()
        net.request("POST", origin, json={"x": [1]}, allow_private=[origin])
        assert seen[1].endswith(b'{"x": [1]}')


@pytest.mark.parametrize("body", [b"", b"null", b"[", b"[" * 100_000, b"\xff\xfe"])
def test_odd_json_is_no_exception(body: bytes) -> None:
    assert net.Response(200, {}, body, "").json() is None


def test_a_refused_connection_is_safe_to_retry() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(net.ConnectFailed):
        net.request("POST", origin, data={"a": "1"}, allow_private=[origin])


def test_a_host_that_does_not_exist_is_safe_to_retry() -> None:
    with pytest.raises(net.ConnectFailed):
        net.request("POST", "http://nowhere.invalid/", data={"a": "1"})


def test_a_failed_tls_handshake_is_safe_to_retry() -> None:
    with server(answer()) as (origin, seen):
        secure = origin.replace("http://", "https://")
        listener = socket.create_server(("127.0.0.1", 0))
        secure = f"https://127.0.0.1:{listener.getsockname()[1]}"

        def close_at_hello() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(10)

        thread = threading.Thread(target=close_at_hello, daemon=True)
        thread.start()
        with pytest.raises(net.ConnectFailed):
            net.request("POST", secure, data={"a": "1"}, allow_private=[secure])
        thread.join(5)
        listener.close()
        assert seen == []


def close(connection: socket.socket, request: bytes) -> None:
    connection.close()


def reset(connection: socket.socket, request: bytes) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


def half(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf")


def garbage(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"\x00\x01\x02\r\n\r\n")


@pytest.mark.parametrize("handler", [close, reset, half, garbage])
def test_a_connection_lost_after_sending_is_unknown(handler: Handler) -> None:
    with server(handler) as (origin, seen):
        with pytest.raises(net.Unknown):
            net.request("POST", origin, data={"a": "1"}, allow_private=[origin])
        assert len(seen) == 1


def test_S74_silence_and_drips_end_at_the_total_time() -> None:
    stop = threading.Event()

    def silent(connection: socket.socket, request: bytes) -> None:
        stop.wait(10)

    def drip(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b"x")

    def drip_headers(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not stop.wait(0.05):
            connection.sendall(b"x")

    for handler in (silent, drip, drip_headers):
        stop.clear()
        with server(handler) as (origin, _):
            begin = time.monotonic()
            with pytest.raises(net.Unknown):
                net.request("POST", origin, data={"a": "1"}, timeout=0.5, allow_private=[origin])
            assert time.monotonic() - begin < 2
            stop.set()


def test_S74_large_answers_are_cut() -> None:
    sent = []

    def endless(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10_000):
            sent.append(connection.send(b"x" * 65536))

    bomb = gzip.compress(b"\0" * 50_000_000)
    for handler in (endless, answer(b"x" * 200_000), answer(bomb, "200 OK", "Content-Encoding: gzip")):
        with server(handler) as (origin, _), pytest.raises(net.TooLarge):
            net.request("GET", origin, max_bytes=100_000, allow_private=[origin])
    assert sum(sent) < 20_000_000


def test_compressed_answers_are_read_and_broken_ones_are_unknown() -> None:
    with server(answer(gzip.compress(b"hello"), "200 OK", "Content-Encoding: gzip")) as (origin, _):
        assert net.request("GET", origin, allow_private=[origin]).body == b"hello"
    with server(answer(b"hello", "200 OK", "Content-Encoding: gzip")) as (origin, _), pytest.raises(net.Unknown):
        net.request("GET", origin, allow_private=[origin])


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
def test_S70_a_redirect_inside_is_refused(status: str) -> None:
    with server(answer(b"secret")) as (canary, hits):
        with server(answer(b"", status, f"Location: {canary}/admin")) as (origin, seen):
            with pytest.raises(net.Refused):
                net.request("GET", origin, allow_private=[origin])
            assert len(seen) == 1
        assert hits == []


def test_redirects_are_followed_without_handing_on_the_password() -> None:
    with (
        server(answer(b"file")) as (storage, hits),
        server(answer(b"", "307 Temporary", f"Location: {storage}/file")) as (origin, seen),
    ):
        both = [origin, storage]
        response = net.request("GET", f"{origin}/media", auth=("AC1", "secret"), allow_private=both)
        assert (response.body, response.url) == (b"file", f"{storage}/file")
        assert b"authorization" in seen[0].lower()
        assert b"authorization" not in hits[0].lower()
        assert f"host: {storage.removeprefix('http://')}".encode() in hits[0].lower()


def test_redirects_on_the_same_host_keep_the_password_and_loops_end() -> None:
    with server(answer(b"", "302 Found", "Location: /again")) as (origin, seen):
        with pytest.raises(net.Refused, match="redirects"):
            net.request("GET", origin, auth=("AC1", "secret"), allow_private=[origin])
        assert len(seen) == net.MAX_REDIRECTS + 1
        assert all(b"authorization" in each.lower() for each in seen)


def test_a_redirected_post_is_not_sent_elsewhere() -> None:
    with server(answer(b"", "307 Temporary", "Location: http://127.0.0.1:1/")) as (origin, seen):
        assert net.request("POST", origin, data={"a": "1"}, allow_private=[origin]).status == 307
        assert len(seen) == 1


def test_S72_the_checked_address_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers differently the second time is asked only once."""
    asked = []
    real = socket.getaddrinfo

    def rebinding(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host != "rebind.test":
            return real(host, port, *args, **options)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with server(answer()) as (origin, seen):
        named = origin.replace("127.0.0.1", "rebind.test")
        assert net.request("GET", f"{named}/x", allow_private=[named]).status == 200
        assert len(asked) == 1
        assert f"host: {named.removeprefix('http://')}".encode() in seen[0].lower()


def test_S72_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("8.8.8.8", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    with pytest.raises(net.Refused):
        net.request("GET", "http://mixed.test/")


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X": "a\0"}, {"X y": "1"}])
def test_headers_that_would_split_a_request_are_refused(headers: dict[str, str]) -> None:
    with server(answer()) as (origin, seen):
        with pytest.raises(net.Refused):
            net.request("GET", origin, headers=headers, allow_private=[origin])
        assert seen == []
