"""Settings, read once from the environment and from the secrets kept in the data directory."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

ROOT = Path(__file__).resolve().parent.parent
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
LONGEST_SOCKET_PATH = 100  # macOS allows 104 bytes, Linux 108
SHORTEST_SECRET_KEY = 32
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
TRUE_WORDS = ("1", "true", "yes", "on")
FALSE_WORDS = ("0", "false", "no", "off")


class ConfigError(ValueError):
    """A setting that cannot be used; the text is one sentence for the person who set it."""


@dataclass(frozen=True)
class Settings:
    """Everything the parts need to know about where they run; one field for each environment name."""

    data_dir: Path
    database_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    host: str
    port: int
    public_url: str
    sandbox_port: int
    sandbox_url: str
    sandboxed: bool
    twilio_account_sid: str
    twilio_auth_token: str = field(repr=False)
    twilio_api_base: str
    twilio_messaging_base: str
    twilio_trusthub_base: str
    secret_key: str = field(repr=False)
    encryption_key: str = field(repr=False)
    mail_server: str
    mail_port: int
    mail_username: str
    mail_password: str = field(repr=False)
    mail_use_tls: bool
    mail_sender: str
    rq_key_prefix: str
    log_level: str
    signup_open: bool
    trusted_issuers: str
    trusted_carriers: str

    @property
    def socket_path(self) -> Path:
        """Where the embedded Valkey listens."""
        return socket_path(self.data_dir)

    @property
    def sqlite_path(self) -> Path | None:
        """The database file, or None when the database is not SQLite or only in memory."""
        scheme, _, rest = self.database_url.partition(":///")
        if not scheme.startswith("sqlite") or not rest or rest.startswith(":memory:"):
            return None
        return Path(rest.split("?", 1)[0])

    def environ(self) -> dict[str, str]:
        """The environment that makes another process read exactly these settings."""
        values = {name.upper(): _as_text(value) for name, value in vars(self).items()}
        values["INBOX_DATA"] = values.pop("DATA_DIR")
        values["ALLOW_SIGNUP"] = values.pop("SIGNUP_OPEN")
        del values["SANDBOXED"]
        return values

    def warnings(self) -> list[str]:
        """What works but should not stay so, each as one sentence."""
        address = urlsplit(self.public_url)
        if address.scheme == "http" and address.hostname not in LOCAL_HOSTS:
            return [f"PUBLIC_URL is {self.public_url}: without https, passwords and messages travel in the clear."]
        return []


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; makes the data directory's secrets when the environment does not bring its own."""
    data_dir = Path(environ.get("INBOX_DATA") or ROOT / "instance").expanduser().absolute()
    port = _port(environ, "PORT", 8000)
    sandbox_port = _port(environ, "SANDBOX_PORT", port + 1)
    if port == sandbox_port:
        raise ConfigError(f"PORT and SANDBOX_PORT are both {port}; give them different numbers.")
    sandbox_url = _web_address(environ, "SANDBOX_URL", f"http://127.0.0.1:{sandbox_port}")
    kept = _kept_secrets(environ, data_dir)
    sandboxed = environ.get("TWILIO_ACCOUNT_SID", "") in ("", kept.get("twilio_account_sid"))
    settings = Settings(
        data_dir=data_dir,
        database_url=_database_url(environ.get("DATABASE_URL") or f"sqlite:///{data_dir}/inbox.db"),
        redis_url=_redis_url(environ.get("REDIS_URL") or f"unix://{socket_path(data_dir)}?db=0"),
        host=environ.get("HOST") or "127.0.0.1",
        port=port,
        public_url=_web_address(environ, "PUBLIC_URL", f"http://localhost:{port}"),
        sandbox_port=sandbox_port,
        sandbox_url=sandbox_url,
        sandboxed=sandboxed,
        twilio_account_sid=environ.get("TWILIO_ACCOUNT_SID") or kept["twilio_account_sid"],
        twilio_auth_token=environ.get("TWILIO_AUTH_TOKEN") or kept["twilio_auth_token"],
        twilio_api_base=_carrier(environ, "api", sandboxed, sandbox_url),
        twilio_messaging_base=_carrier(environ, "messaging", sandboxed, sandbox_url),
        twilio_trusthub_base=_carrier(environ, "trusthub", sandboxed, sandbox_url),
        secret_key=environ.get("SECRET_KEY") or kept["secret_key"],
        encryption_key=_encryption_key(environ.get("ENCRYPTION_KEY") or kept["encryption_key"]),
        mail_server=environ.get("MAIL_SERVER", ""),
        mail_port=_port(environ, "MAIL_PORT", 587),
        mail_username=environ.get("MAIL_USERNAME", ""),
        mail_password=environ.get("MAIL_PASSWORD", ""),
        mail_use_tls=_flag(environ, "MAIL_USE_TLS", True),
        mail_sender=environ.get("MAIL_SENDER") or "Shared inbox <no-reply@localhost>",
        rq_key_prefix=environ.get("RQ_KEY_PREFIX") or "rq",
        log_level=_log_level(environ.get("LOG_LEVEL") or "WARNING"),
        signup_open=_flag(environ, "ALLOW_SIGNUP", False),
        trusted_issuers=_addresses(environ, "TRUSTED_ISSUERS"),
        trusted_carriers=_addresses(environ, "TRUSTED_CARRIERS"),
    )
    _refuse_weak_key(settings)
    return settings


def socket_path(data_dir: Path) -> Path:
    """The embedded Valkey's socket: in the data directory, or at a short stable place when that path is too long."""
    path = data_dir / "valkey.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"inbox-{name}" / "valkey.sock"


def ensure_secrets(data_dir: Path) -> dict[str, str]:
    """Read this installation's own keys, made once; two processes that start together end up with the same ones."""
    path = data_dir / "secrets.json"
    try:
        if not path.exists():
            _write_once(path, json.dumps(_new_secrets(), indent=1))
        kept = json.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"The keys in {path} cannot be read or made: {error.strerror}.") from None
    except ValueError:
        kept = None
    names = _new_secrets().keys()
    if not isinstance(kept, dict) or not all(isinstance(kept.get(name), str) and kept[name] for name in names):
        raise ConfigError(f"{path} is damaged; restore it from a backup, because the data is encrypted with its key.")
    return {name: kept[name] for name in names}


def _new_secrets() -> dict[str, str]:
    return {
        "secret_key": secrets.token_urlsafe(48),
        "encryption_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "twilio_account_sid": "AC" + secrets.token_hex(16),
        "twilio_auth_token": secrets.token_hex(16),
    }


def _write_once(path: Path, text: str) -> None:
    """Write the file whole and private; when another process was first, its file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".secrets-")  # mkstemp makes it mode 600
    try:
        with open(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(draft)


def _kept_secrets(environ: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    """The generated keys, unless the environment brings all of its own."""
    if bool(environ.get("TWILIO_ACCOUNT_SID")) != bool(environ.get("TWILIO_AUTH_TOKEN")):
        raise ConfigError("Set both TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, or neither to use the sandbox carrier.")
    names = ("SECRET_KEY", "ENCRYPTION_KEY", "TWILIO_ACCOUNT_SID")
    if all(environ.get(name) for name in names) and not (data_dir / "secrets.json").exists():
        return {}
    return ensure_secrets(data_dir)


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 65535):
        raise ConfigError(f"{name} must be a number from 1 to 65535, not “{text}”.")
    return int(text)


def _flag(environ: Mapping[str, str], name: str, default: bool) -> bool:
    word = (environ.get(name) or str(default)).strip().lower()
    if word not in TRUE_WORDS + FALSE_WORDS:
        raise ConfigError(f"{name} must be 1 or 0, not “{word}”.")
    return word in TRUE_WORDS


def _log_level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ConfigError(f"LOG_LEVEL must be one of {', '.join(LOG_LEVELS).lower()}, not “{text}”.")
    return text.upper()


def _web_address(environ: Mapping[str, str], name: str, default: str) -> str:
    text = (environ.get(name) or default).rstrip("/")
    address = _split(name, text)
    if address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment:
        raise ConfigError(f"{name} must look like https://inbox.example.com, not “{text}”.")
    return text


def _addresses(environ: Mapping[str, str], name: str) -> str:
    """Web addresses with commas between: servers inside a private network, which the product would not talk to otherwise."""
    return ",".join(_web_address({name: each.strip()}, name, "") for each in environ.get(name, "").split(",") if each.strip())


def _carrier(environ: Mapping[str, str], product: str, sandboxed: bool, sandbox_url: str) -> str:
    default = sandbox_url if sandboxed else f"https://{product}.twilio.com"
    return _web_address(environ, f"TWILIO_{product.upper()}_BASE", default)


def _database_url(text: str) -> str:
    scheme, colon, rest = text.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg"
    if not colon or scheme not in ("sqlite", "postgresql+psycopg"):
        raise ConfigError("DATABASE_URL must begin with sqlite:/// or postgresql://.")
    if scheme == "sqlite" and rest and not rest.startswith("/"):
        raise ConfigError("DATABASE_URL for SQLite needs three slashes and a path: sqlite:////srv/inbox/inbox.db.")
    if scheme != "sqlite":
        _split("DATABASE_URL", text)
    return f"{scheme}://{rest}"


def _redis_url(text: str) -> str:
    address = _split("REDIS_URL", text)
    if address.scheme not in ("redis", "rediss", "unix") or not (address.hostname or address.path):
        raise ConfigError("REDIS_URL must begin with redis://, rediss:// or unix://.")
    return text


def _split(name: str, text: str) -> SplitResult:
    """Take an address apart; a broken port or host is the person's mistake, not ours."""
    try:
        address = urlsplit(text)
        _ = address.port
    except ValueError:
        raise ConfigError(f"{name} is not a valid address.") from None
    return address


def _encryption_key(text: str) -> str:
    try:
        whole = len(base64.b64decode(text, altchars=b"-_", validate=True)) == 32
    except (binascii.Error, ValueError):
        whole = False
    if not whole:
        raise ConfigError("ENCRYPTION_KEY must be 32 random bytes in URL-safe base64 (44 characters).")
    return text


def _refuse_weak_key(settings: Settings) -> None:
    """A guessable key would let anyone sign in as anyone; a local trial may use any key."""
    local = urlsplit(settings.public_url).hostname in LOCAL_HOSTS
    if not local and len(settings.secret_key) < SHORTEST_SECRET_KEY:
        raise ConfigError(f"SECRET_KEY must have at least {SHORTEST_SECRET_KEY} characters on a public address.")


def _as_text(value: object) -> str:
    return ("1" if value else "0") if isinstance(value, bool) else str(value)
