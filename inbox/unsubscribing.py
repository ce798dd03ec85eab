"""The link in every notification that ends such mails with one click: signed, without an end, because mails are read late."""

from __future__ import annotations

from itsdangerous import BadSignature, URLSafeSerializer


def _signer(secret_key: str) -> URLSafeSerializer:
    return URLSafeSerializer(secret_key, salt="unsubscribe")


def sign(secret_key: str, public_id: str, way: str) -> str:
    """The proof that we wrote this link, for this member and this way."""
    signed = _signer(secret_key).dumps([public_id, way])
    return signed if isinstance(signed, str) else signed.decode()


def read(secret_key: str, token: str) -> tuple[str, str] | None:
    """The member's public id and the way, or None when the link is not ours."""
    try:
        public_id, way = _signer(secret_key).loads(token)
    except (BadSignature, ValueError, TypeError):
        return None
    return str(public_id), str(way)
