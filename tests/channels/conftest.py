"""The sandbox carrier on a free port."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from werkzeug.serving import make_server

from inbox.channels.base import Credentials


@dataclass
class Sandbox:
    """The running carrier: its credentials and its control plane."""

    credentials: Credentials
    base: str

    def control(self, path: str, data: dict[str, Any]) -> Any:
        answer = httpx.post(f"{self.base}/__sim/{path}", json=data, trust_env=False)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def fault(self, kind: str, **options: Any) -> None:
        self.control("fault", {"kind": kind, "count": 1, **options})

    def api(self, path: str) -> Any:
        auth = (self.credentials.account_sid, self.credentials.auth_token)
        return httpx.get(f"{self.base}{path}", auth=auth, trust_env=False).json()


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    from inbox.sandbox import create_sandbox

    holder: list[Callable[..., Any]] = []
    server = make_server("127.0.0.1", 0, lambda environ, start: holder[0](environ, start), threaded=True)
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("SANDBOX_URL", base)
    monkeypatch.setenv("SANDBOX_FAST_REVIEW", "1")
    app = create_sandbox(str(tmp_path / "sandbox.db"), "AC" + "1" * 32, "t" * 32)
    holder.append(app)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Sandbox(Credentials("AC" + "1" * 32, "t" * 32, base, base, base, (base,)), base)
    finally:
        app.extensions["sandbox"].stopping.set()
        server.shutdown()
        thread.join(5)
        server.server_close()
        app.extensions["sandbox_worker"].stop()
