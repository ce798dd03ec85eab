"""`app.py` before anything is installed: old Pythons, broken locks, two setups at once; and the summary of a test run."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inbox.config import ROOT
from tests import run

APP = ROOT / "app.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the launcher with lock files that name nothing, so that no test needs a network."""
    shutil.copy(APP, tmp_path / "app.py")
    (tmp_path / "tests").mkdir()
    for name in ("requirements.lock", "tests/requirements.lock"):
        (tmp_path / name).write_text("# nothing\n")
    return tmp_path


def start(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(checkout / "app.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("version", [(3, 6), (3, 7), (3, 10)])
def test_the_launcher_can_be_read_by_old_pythons(version: tuple[int, int]) -> None:
    ast.parse(APP.read_text(), feature_version=version)


def test_an_old_python_is_turned_away_in_one_sentence() -> None:
    code = f"import sys; sys.version_info = (3, 9, 2); exec(compile(open({str(APP)!r}).read(), 'app.py', 'exec'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("The shared inbox needs Python 3.11 or newer; this is Python 3.9.")
    assert len(done.stderr.splitlines()) == 1 and not done.stdout


def test_the_launcher_needs_nothing_but_the_standard_library() -> None:
    names: set[str] = set()
    for node in ast.walk(ast.parse(APP.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module).split(".")[0])
    assert names <= set(sys.stdlib_module_names)


def test_help_names_every_command_and_installs_nothing(checkout: Path) -> None:
    done = start(checkout, "--help")
    assert done.returncode == 0 and not (checkout / ".venv").exists()
    for word in ("--demo", "setup", "test", "web", "worker", "scheduler", "sandbox", "PORT", "REDIS_URL"):
        assert word in done.stdout


@pytest.mark.parametrize("arguments", [("strat",), ("web", "now"), ("--demo", "twice"), ("",)])
def test_a_wrong_command_is_one_sentence(checkout: Path, arguments: tuple[str, ...]) -> None:
    done = start(checkout, *arguments)
    assert done.returncode == 2 and not (checkout / ".venv").exists()
    assert len(done.stderr.splitlines()) == 1 and "--help" in done.stderr


def test_setup_installs_once_and_again_after_the_lock_has_changed(checkout: Path) -> None:
    for text, installs in (("# nothing\n", True), ("# nothing\n", False), ("# changed\n", True)):
        (checkout / "requirements.lock").write_text(text)
        done = start(checkout, "setup")
        assert done.returncode == 0, done.stderr
        assert ("Installing" in done.stdout) is installs


def test_a_broken_lock_is_one_sentence_with_the_log_and_the_next_run_retries(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("flask==3.1.3 \\\n    --hash=sha256:oops\n== nonsense\n")
    for _ in range(2):
        done = start(checkout, "setup")
        assert done.returncode == 2
        assert done.stderr.startswith("Could not install the packages of requirements.lock: ")
        assert str(checkout / ".venv" / "install.log") in done.stderr
        assert len(done.stderr.splitlines()) == 1
    (checkout / "requirements.lock").write_text("# repaired\n")
    assert start(checkout, "setup").returncode == 0


def test_a_package_without_a_hash_is_refused(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text("flask==3.1.3\n")
    done = start(checkout, "setup")
    assert done.returncode == 2 and "requirements.lock" in done.stderr and "Traceback" not in done.stderr


def test_a_missing_lock_is_one_sentence(checkout: Path) -> None:
    (checkout / "tests" / "requirements.lock").unlink()
    done = start(checkout, "test")
    assert done.returncode == 2
    assert done.stderr == "The lock file tests/requirements.lock is missing; restore it from the repository.\n"


def test_an_environment_whose_python_is_gone_is_made_again(checkout: Path) -> None:
    assert start(checkout, "setup").returncode == 0
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nonexistent/python")
    done = start(checkout, "setup")
    assert done.returncode == 0, done.stderr
    assert subprocess.call([str(python), "-c", "pass"]) == 0


def test_two_setups_at_the_same_moment_both_end_well(checkout: Path) -> None:
    command = [sys.executable, str(checkout / "app.py"), "setup"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert "".join(outputs).count("Installing the packages") == 1


def test_an_environment_that_cannot_be_written_is_one_sentence(checkout: Path) -> None:
    (checkout / ".venv").write_text("in the way")
    done = start(checkout, "setup")
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"Cannot write to {checkout}/.venv: ")


@pytest.mark.parametrize(
    ("line", "summary"),
    [
        ("===== 12 passed in 3.21s =====\n", "12 passed, 0 failed, 0 skipped in 4.00s"),
        ("1 failed, 12 passed, 3 skipped in 61.20s (0:01:01)\n", "12 passed, 1 failed, 3 skipped in 4.00s"),
        ("\x1b[31m== \x1b[1m2 errors\x1b[0m in 0.12s ==\x1b[0m\n", "0 passed, 0 failed, 0 skipped, 2 errors in 4.00s"),
        ("built 3 passed things\n", "0 passed, 0 failed, 0 skipped in 4.00s"),
    ],
)
def test_the_last_line_names_passed_failed_and_skipped(line: str, summary: str) -> None:
    assert run.summary_of(run.counts_of(line), 4) == summary
