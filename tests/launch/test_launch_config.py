"""Settings: what the environment may say, what it may not, and the keys that are made once."""

from __future__ import annotations

import base64
import json
import threading
from pathlib import Path

import pytest

from inbox.config import ConfigError, Settings, ensure_secrets, load, socket_path


def load_with(tmp_path: Path, **environ: str) -> Settings:
    return load({"INBOX_DATA": str(tmp_path), **environ})


def test_an_empty_environment_gives_a_local_system_with_its_own_keys(tmp_path: Path) -> None:
    settings = load_with(tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/inbox.db"
    assert settings.sqlite_path == tmp_path / "inbox.db"
    assert settings.redis_url == f"unix://{settings.socket_path}?db=0"
    assert (settings.host, settings.port, settings.sandbox_port) == ("127.0.0.1", 8000, 8001)
    assert (settings.public_url, settings.sandbox_url) == ("http://localhost:8000", "http://127.0.0.1:8001")
    assert settings.sandboxed and settings.twilio_api_base == settings.sandbox_url
    assert not settings.signup_open
    assert len(base64.urlsafe_b64decode(settings.encryption_key)) == 32
    assert settings.twilio_account_sid.startswith("AC") and len(settings.twilio_account_sid) == 34
    assert settings.warnings() == []


def test_keys_are_private_and_stay_the_same(tmp_path: Path) -> None:
    first = ensure_secrets(tmp_path / "new" / "place")
    assert ensure_secrets(tmp_path / "new" / "place") == first
    path = tmp_path / "new" / "place" / "secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secrets.json"]


def test_starters_at_the_same_moment_get_the_same_keys(tmp_path: Path) -> None:
    barrier = threading.Barrier(8)
    seen: list[dict[str, str]] = []

    def start() -> None:
        barrier.wait()
        seen.append(ensure_secrets(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(keys == seen[0] for keys in seen)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"secret_key": 5}'])
def test_damaged_keys_are_refused_not_replaced(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(damage)
    with pytest.raises(ConfigError, match="damaged"):
        load_with(tmp_path)
    assert path.read_text() == damage


def test_another_process_reads_the_same_settings_back(tmp_path: Path) -> None:
    for extra in ({}, {"PORT": "9000", "MAIL_USE_TLS": "0", "ALLOW_SIGNUP": "1", "LOG_LEVEL": "info"}):
        settings = load_with(tmp_path, **extra)
        assert load(settings.environ()) == settings


def test_own_twilio_credentials_leave_the_sandbox(tmp_path: Path) -> None:
    settings = load_with(tmp_path, TWILIO_ACCOUNT_SID="AC" + "0" * 32, TWILIO_AUTH_TOKEN="1" * 32)
    assert not settings.sandboxed
    assert settings.twilio_api_base == "https://api.twilio.com"
    assert settings.twilio_messaging_base == "https://messaging.twilio.com"
    assert settings.twilio_trusthub_base == "https://trusthub.twilio.com"


def test_no_key_file_is_made_when_the_environment_brings_every_key(tmp_path: Path) -> None:
    keys = ensure_secrets(tmp_path / "elsewhere")
    load_with(tmp_path / "data", **{name.upper(): value for name, value in keys.items()})
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgres_addresses_get_the_installed_driver(tmp_path: Path, scheme: str) -> None:
    settings = load_with(tmp_path, DATABASE_URL=f"{scheme}://me:pw@db/inbox")
    assert settings.database_url == "postgresql+psycopg://me:pw@db/inbox"
    assert settings.sqlite_path is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "abc"),
        ("PORT", "70000"),
        ("PORT", "0"),
        ("PORT", "-1"),
        ("PORT", "８０００"),
        ("PORT", "65535"),  # leaves no number for the sandbox carrier
        ("SANDBOX_PORT", "8000"),
        ("MAIL_PORT", "smtp"),
        ("MAIL_USE_TLS", "maybe"),
        ("ALLOW_SIGNUP", "2"),
        ("LOG_LEVEL", "chatty"),
        ("DATABASE_URL", "mysql://localhost/inbox"),
        ("DATABASE_URL", "inbox.db"),
        ("DATABASE_URL", "sqlite://inbox.db"),
        ("DATABASE_URL", "postgresql://db:port/inbox"),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://localhost:nan"),
        ("PUBLIC_URL", "inbox.example.com"),
        ("PUBLIC_URL", "ftp://inbox.example.com"),
        ("PUBLIC_URL", "http://[::1"),
        ("SANDBOX_URL", "nowhere"),
        ("TWILIO_API_BASE", "twilio"),
        ("ENCRYPTION_KEY", "short"),
        ("ENCRYPTION_KEY", "é" * 44),
        ("TWILIO_ACCOUNT_SID", "AC1"),
        ("TWILIO_AUTH_TOKEN", "abc"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load_with(tmp_path, **{name: value})
    sentence = str(refusal.value)
    assert name in sentence or (name == "PORT" and "SANDBOX_PORT" in sentence)
    assert sentence.endswith((".", ".db.")) and "\n" not in sentence


def test_passwords_in_addresses_are_not_repeated(tmp_path: Path) -> None:
    for name, value in (("DATABASE_URL", "mysql://me:hunter2@db/x"), ("REDIS_URL", "rds://me:hunter2@db/x")):
        with pytest.raises(ConfigError) as refusal:
            load_with(tmp_path, **{name: value})
        assert "hunter2" not in str(refusal.value)


def test_S52_a_short_key_is_refused_on_a_public_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        load_with(tmp_path, PUBLIC_URL="https://inbox.example.com", SECRET_KEY="change me")
    assert load_with(tmp_path, SECRET_KEY="change me").secret_key == "change me"


def test_S52_plain_http_on_a_public_address_is_a_warning(tmp_path: Path) -> None:
    (warning,) = load_with(tmp_path, PUBLIC_URL="http://inbox.example.com").warnings()
    assert "https" in warning


def test_secrets_do_not_show_when_settings_are_printed(tmp_path: Path) -> None:
    settings = load_with(tmp_path, DATABASE_URL="postgresql://me:hunter2@db/x")
    shown = repr(settings)
    kept = json.loads((tmp_path / "secrets.json").read_text())
    for secret in ("hunter2", kept["secret_key"], kept["encryption_key"], kept["twilio_auth_token"]):
        assert secret not in shown


def test_a_long_data_path_gets_a_short_stable_socket(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    assert len(str(socket_path(deep))) <= 100
    assert socket_path(deep) == socket_path(deep)
    assert socket_path(deep) != socket_path(tmp_path / ("e" * 90))
    assert socket_path(Path("/srv/inbox")) == Path("/srv/inbox/valkey.sock")
