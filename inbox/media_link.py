"""Links a carrier follows to fetch the files of an outgoing text: signed, and good for a day."""

from __future__ import annotations

from itsdangerous import BadSignature, URLSafeTimedSerializer

LIFE = 24 * 3600  # seconds; a carrier may fetch late


def _signer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="outgoing-media")


def sign(secret_key: str, public_id: str) -> str:
    """The proof that the product itself made the link to this file."""
    signed = _signer(secret_key).dumps(public_id)
    return signed if isinstance(signed, str) else signed.decode()


def proves(secret_key: str, public_id: str, sig: str) -> bool:
    """Whether the proof is ours, for this file, and not too old."""
    try:
        return bool(_signer(secret_key).loads(sig, max_age=LIFE) == public_id)
    except BadSignature:
        return False
