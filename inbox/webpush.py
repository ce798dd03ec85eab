"""Web Push: encryption for one browser (RFC 8291), proof of who sends (RFC 8292), and the one request. No database, no settings."""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from collections.abc import Collection
from typing import Any, Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from inbox import net

CURVE = ec.SECP256R1()
RECORD = 4096  # bytes; a push service need not take more
LIFE = 12 * 3600  # seconds a push service keeps what it cannot deliver
PROOF_LIFE = 6 * 3600  # seconds; at most a day is allowed
GONE = (404, 410)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes of unpadded URL-safe base64; ValueError for anything else."""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeError) as error:
        raise ValueError("This is not base64.") from error


def new_key() -> str:
    """A private key of this installation."""
    return b64(ec.generate_private_key(CURVE).private_numbers().private_value.to_bytes(32, "big"))


def public_key(private: str) -> str:
    """The key browsers are given: they take pushes from its owner only."""
    return b64(_point(_private(private).public_key()))


def check_keys(p256dh: str, auth: str) -> None:
    """Raise ValueError unless these are a browser's keys: a point on the curve and 16 bytes."""
    if len(unb64(auth)) != 16:
        raise ValueError("The secret has 16 bytes.")
    _browser(p256dh)


def encrypt(payload: bytes, p256dh: str, auth: str) -> bytes:
    """The body only that browser can read (aes128gcm, one record)."""
    browser, secret, salt = _browser(p256dh), unb64(auth), os.urandom(16)
    ours = ec.generate_private_key(CURVE)
    theirs, mine = _point(browser), _point(ours.public_key())
    shared = _derive(ours.exchange(ec.ECDH(), browser), secret, b"WebPush: info\x00" + theirs + mine, 32)
    key = _derive(shared, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derive(shared, salt, b"Content-Encoding: nonce\x00", 12)
    return salt + RECORD.to_bytes(4, "big") + bytes([len(mine)]) + mine + AESGCM(key).encrypt(nonce, payload + b"\x02", None)


def proof(endpoint: str, private: str, subject: str) -> str:
    """The Authorization header: a signed note for that push service, good for some hours."""
    parts = urlsplit(endpoint)
    claims = {"aud": f"{parts.scheme}://{parts.netloc}", "exp": int(time.time()) + PROOF_LIFE, "sub": subject}
    text = ".".join(b64(json.dumps(part, separators=(",", ":")).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
    r, s = decode_dss_signature(_private(private).sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"vapid t={text}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}, k={public_key(private)}"


def send(
    endpoint: str, p256dh: str, auth: str, payload: dict[str, Any], *, private: str, subject: str, topic: str = "", allow_private: Literal[False] | Collection[str] = False
) -> int:
    """Hand one payload to the browser's push service and return its status; raises net.NetError when there is no answer.

    `topic` lets a newer push replace one that still waits. `allow_private` lists the origins that may be inside a private network.
    """
    body = encrypt(json.dumps(payload).encode(), p256dh, auth)
    headers = {
        "Content-Encoding": "aes128gcm", "Content-Type": "application/octet-stream", "TTL": str(LIFE), "Urgency": "normal",
        "Authorization": proof(endpoint, private, subject),
    }
    if topic:
        headers["Topic"] = topic[:32]
    return net.request("POST", endpoint, data=body, headers=headers, max_bytes=65536, allow_private=allow_private).status


def _private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unb64(text), "big"), CURVE)


def _browser(p256dh: str) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, unb64(p256dh))


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)
