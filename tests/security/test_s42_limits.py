"""S42: the limits of addresses are shared through Redis, and hold in each process while Redis is away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SCRIPT = """
import os, sys
from inbox import config, create_app
from inbox.extensions import db, limiter
settings = config.load({"INBOX_DATA": sys.argv[1], "REDIS_URL": sys.argv[2], "LOG_LEVEL": "CRITICAL"})
app = create_app(settings, TESTING=True, WTF_CSRF_ENABLED=False, RATELIMIT_KEY_PREFIX=sys.argv[3])
with app.app_context():
    db.create_all()
    statuses = []
    for i in range(int(sys.argv[4])):
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = f"2001:db8::{i + 1}"
        answer = client.post("/sign-in", data={"email": f"p{i}@x.example", "password": "wrong wrong wrong"}, headers={"X-Forwarded-For": f"198.51.100.{i}"})
        statuses.append(answer.status_code)
print(*statuses)
"""


def statuses(folder, redis, tries, prefix):
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(folder), redis, prefix, str(tries)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return [int(status) for status in done.stdout.split()]


def test_S42_one_network_of_ipv6_counts_as_one_even_without_redis(tmp_path):
    assert statuses(tmp_path, "redis://127.0.0.1:1/0", 12, "alone") == [422] * 10 + [429] * 2


@pytest.mark.slow
def test_S42_processes_share_the_count(tmp_path):
    redis = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
    prefix = f"test-{os.getpid()}-{tmp_path.name}"
    assert statuses(tmp_path, redis, 6, prefix) == [422] * 6
    assert statuses(tmp_path, redis, 6, prefix) == [422] * 4 + [429] * 2
