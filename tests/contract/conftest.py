"""The carriers that the contract is checked against."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

from inbox.channels.base import Credentials
from inbox.channels.kannel import inbound_url
from tests.contract.providers import HOOK_KEY, HOOKS, Collector, KannelProvider, Provider, TwilioProvider
from tests.contract.rig import Rig, missing

ACCOUNT, TOKEN = "AC" + "7" * 32, "contract-token"


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Rig]:
    """A real Kannel; where there is none the tests that need it say so."""
    if reason := missing():
        (pytest.skip if os.environ.get("CI", "") in ("", "0", "false") else pytest.fail)(reason)
    keys = Credentials("", "", "", "", "", hook_key=HOOK_KEY)
    made = Rig(tmp_path_factory.mktemp("kannel"), inbound_url(keys, f"{collector.base}{HOOKS}/messages"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def sandbox_base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from inbox.sandbox import create_sandbox

    holder: list[Any] = []
    server = make_server("127.0.0.1", 0, lambda environ, start: holder[0](environ, start), threaded=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDBOX_URL", f"http://127.0.0.1:{server.server_port}")
        holder.append(create_sandbox(str(Path(tmp_path_factory.mktemp("contract")) / "sandbox.db"), ACCOUNT, TOKEN))
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        holder[0].extensions["sandbox"].stopping.set()
        server.shutdown()
        thread.join(5)
        server.server_close()
        holder[0].extensions["sandbox_worker"].stop()


@pytest.fixture(scope="session")
def twilio_provider(sandbox_base: str, collector: Collector) -> Iterator[TwilioProvider]:
    made = TwilioProvider(sandbox_base, ACCOUNT, TOKEN, collector)
    yield made
    made.proxy.close()


@pytest.fixture(params=["twilio", "kannel"])
def provider(request: pytest.FixtureRequest, collector: Collector) -> Iterator[Provider]:
    """Each carrier in turn, with nothing left over from the test before."""
    collector.requests.clear()
    collector.listener = None
    if request.param == "twilio":
        made = request.getfixturevalue("twilio_provider")
        made.seen = 0
        made.proxy.plans.clear()
        yield made
        return
    kannel = KannelProvider(request.getfixturevalue("rig"), collector)
    yield kannel
    kannel.proxy.close()
