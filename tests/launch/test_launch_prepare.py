"""What must hold before anything starts: one supervisor, free ports, nothing left over, a known database."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from inbox.config import Settings, load
from inbox.supervisor import prepare
from inbox.supervisor.__main__ import migrate
from inbox.supervisor.part import Part
from inbox.supervisor.prepare import StartError


def settings_for(tmp_path: Path, **environ: str) -> Settings:
    return load({"INBOX_DATA": str(tmp_path), **environ})


def test_a_second_supervisor_on_the_same_data_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    with prepare.sole_use(tmp_path) as lock:
        prepare.write_pids(lock, [])
        with pytest.raises(StartError, match=f"process {os.getpid()}") as refusal, prepare.sole_use(tmp_path):
            pass
        assert refusal.value.code == 3
    with prepare.sole_use(tmp_path):
        pass


def test_a_data_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="Cannot write"), prepare.sole_use(tmp_path / "file"):
        pass


@pytest.mark.parametrize("taken", ["PORT", "SANDBOX_PORT"])
def test_a_taken_port_is_refused_with_a_way_out(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, socket.create_server(("127.0.0.1", 0)) as brief:
        ports = {"PORT": str(brief.getsockname()[1]), "SANDBOX_PORT": str(brief.getsockname()[1])}
        ports[taken] = str(other.getsockname()[1])
        settings = settings_for(tmp_path, **ports)
        brief.close()
        with pytest.raises(StartError, match=f"Port {ports[taken]} .*{taken}=[0-9]+ python3 app.py") as refusal:
            prepare.check_ports(settings)
        assert refusal.value.code == 2


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(StartError, match="HOST must be"):
            prepare.check_ports(settings_for(tmp_path, HOST=host))


def test_parts_that_outlived_a_killed_supervisor_are_ended(tmp_path: Path) -> None:
    marked = [sys.executable, "-c", "import time; time.sleep(600)", str(tmp_path)]
    left = subprocess.Popen(marked, start_new_session=True)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    try:
        mark = " ".join(marked[1:])
        (tmp_path / "app.lock").write_text(f"999999\n{left.pid}\t{mark}\n{stranger.pid}\t{mark}\nnonsense\n")
        reaper = threading.Thread(target=left.wait)  # as init would do for a process without a parent
        reaper.start()
        with prepare.sole_use(tmp_path):
            assert left.poll() is not None
        reaper.join(5)
        assert stranger.poll() is None  # its number was reused by another program
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()


def test_the_embedded_server_of_the_wheel_is_found_and_is_a_valkey() -> None:
    shown = subprocess.run([prepare.valkey_binary(), "--version"], capture_output=True, text=True, check=True).stdout
    assert "alkey" in shown or "edis" in shown


def database_at(path: Path, *revisions: str) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE alembic_version (version_num TEXT)")
    database.executemany("INSERT INTO alembic_version VALUES (?)", [(revision,) for revision in revisions])
    database.execute("CREATE TABLE thing (name TEXT)")
    database.execute("INSERT INTO thing VALUES ('kept')")
    database.commit()
    database.close()


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two migrations, one after the other."""
    directory = tmp_path / "versions"
    directory.mkdir()
    (directory / "one.py").write_text('revision = "aaa"\ndown_revision = None\n')
    (directory / "two.py").write_text('revision: str = "bbb"\ndown_revision: str | None = "aaa"\n')
    monkeypatch.setattr(prepare, "VERSIONS", directory)
    return directory


@pytest.mark.usefixtures("scripts")
def test_a_migration_is_pending_until_the_newest_one_is_in(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    assert prepare.migration_pending(settings)  # no file yet
    database_at(tmp_path / "inbox.db", "aaa")
    assert prepare.migration_pending(settings)
    (tmp_path / "inbox.db").unlink()
    database_at(tmp_path / "inbox.db", "bbb")
    assert not prepare.migration_pending(settings)
    assert prepare.migration_pending(settings_for(tmp_path, DATABASE_URL="postgresql://db/inbox"))


@pytest.mark.usefixtures("scripts")
def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    database_at(tmp_path / "inbox.db", "zzz")
    with pytest.raises(StartError, match="newer version"):
        prepare.migration_pending(settings_for(tmp_path))


@pytest.mark.usefixtures("scripts")
def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "inbox.db").write_text("not a database, " * 100)
    with pytest.raises(StartError, match="cannot be read"):
        prepare.migration_pending(settings_for(tmp_path))


def test_the_database_is_copied_before_it_is_changed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    assert prepare.back_up(settings) is None
    database_at(tmp_path / "inbox.db", "aaa")
    copy = prepare.back_up(settings)
    assert copy is not None and copy.stat().st_mode & 0o777 == 0o600
    database = sqlite3.connect(copy)
    assert database.execute("SELECT name FROM thing").fetchall() == [("kept",)]
    database.close()


def test_only_the_last_copies_are_kept(tmp_path: Path) -> None:
    database_at(tmp_path / "inbox.db", "aaa")
    (tmp_path / "backup").mkdir()
    for day in range(10, 20):
        (tmp_path / "backup" / f"inbox-202001{day}-000000.db").write_text("old")
    newest = prepare.back_up(settings_for(tmp_path))
    kept = sorted(path.name for path in (tmp_path / "backup").iterdir())
    assert newest is not None and len(kept) == prepare.BACKUPS_KEPT and newest.name == kept[-1]


@pytest.mark.usefixtures("scripts")
def test_a_failed_migration_names_the_reason_and_the_copy(tmp_path: Path) -> None:
    database_at(tmp_path / "inbox.db", "aaa")

    def failing(part: Part) -> int:
        part.tail.append("disk full")
        return 1

    with pytest.raises(StartError, match=r"could not be brought up to date: disk full\. A copy .*/backup/inbox-"):
        migrate(settings_for(tmp_path), failing)
