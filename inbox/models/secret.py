"""Secrets at rest: Fernet with the key from the settings, never from the database (SECURITY 3.6)."""

from __future__ import annotations

from cryptography.fernet import Fernet, MultiFernet

_box: list[MultiFernet] = []


def use_keys(keys: str) -> None:
    """Take one or several comma-separated Fernet keys; the first encrypts, all decrypt."""
    _box[:] = [MultiFernet([Fernet(key.strip()) for key in keys.split(",")])]


def encrypt(text: str) -> str:
    return _box[0].encrypt(text.encode()).decode()


def decrypt(token: str) -> str:
    return _box[0].decrypt(token.encode()).decode()
