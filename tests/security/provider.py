"""A real OpenID provider (oidc-provider-mock) in a process of its own, and a person at it."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from tests.conftest import free_port


class Provider:
    """A provider that knows registered clients only; `people` get the claims we say."""

    def __init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(self.port), "--require-registration", "true"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, "the provider did not start"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.issuer + "/.well-known/openid-configuration", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def register(self, back: str) -> tuple[str, str]:
        """A client with its return address; its id and secret."""
        made = httpx.post(self.issuer + "/oauth2/clients", json={"redirect_uris": [back]}).raise_for_status().json()
        return made["client_id"], made["client_secret"]

    def person(self, sub: str, **claims: Any) -> None:
        httpx.put(f"{self.issuer}/users/{sub}", json=claims).raise_for_status()

    def visit(self, url: str, sub: str, **changes: str | None) -> str:
        """Sign in there as `sub` at the address we were sent to, with parameters changed by somebody; returns the path and query back."""
        parts = urlsplit(url)
        query = {**dict(parse_qsl(parts.query)), **{k: v for k, v in changes.items() if v is not None}}
        answer = httpx.post(urlunsplit(parts._replace(query=urlencode(query))), data={"sub": sub})
        assert answer.status_code in (302, 303), (answer.status_code, answer.text[:500])
        back = urlsplit(answer.headers["Location"])
        return f"{back.path}?{back.query}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
