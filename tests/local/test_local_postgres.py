from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from local_postgres import LocalPostgresError, NotInstalledError, Server, TemporaryServer
from local_postgres import installation as installations
from local_postgres.__main__ import main
from local_postgres.account import Account
from local_postgres.temporary import FAST, fastest_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = 18


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the unprivileged account reaches, as pytest's own is not for root's tests."""
    path = Path(tempfile.mkdtemp(dir=fastest_folder()))
    path.chmod(0o711)
    yield path
    Server(VERSION, path / "server").stop()
    shutil.rmtree(path)


@pytest.fixture
def server(folder: Path) -> Server:
    return Server(VERSION, folder / "server", FAST)


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """A running server that tests only look at."""
    with TemporaryServer.start(VERSION) as share:
        yield share.server


def _query(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def test_keeps_data_port_and_password_between_starts(server: Server) -> None:
    assert server.start() is True
    first = server.url()
    _query(first, "CREATE TABLE kept AS SELECT 7 AS number")
    assert server.stop() is True
    assert server.running is None
    assert server.start() is True

    assert server.url() == first
    assert _query(first, "SELECT number FROM kept") == [(7,)]


def test_start_and_stop_twice_are_as_once(server: Server) -> None:
    assert [server.start(), server.start()] == [True, False]
    assert [server.stop(), server.stop()] == [True, False]


def test_many_starts_at_once_start_one_server(server: Server) -> None:
    with ThreadPoolExecutor(4) as pool:
        started = list(pool.map(lambda _: server.start(), range(4)))

    assert sorted(started) == [False, False, False, True]
    assert _query(server.url(), "SELECT 1") == [(1,)]


def test_takes_another_port_when_its_own_is_taken(server: Server) -> None:
    server.start()
    assert server.running
    port = server.running.port
    server.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        server.start()

        assert server.running.port != port
        assert _query(server.url(), "SELECT 1") == [(1,)]


def test_is_closed_to_who_has_no_password(running: Server) -> None:
    mode = (running.folder / "password").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(running.url(), password="wrong")


def test_listens_on_this_machine_alone(running: Server) -> None:
    assert _query(running.url(), "SHOW listen_addresses") == [("127.0.0.1",)]
    assert _query(running.url(), "SHOW unix_socket_directories") == [("",)]


def test_is_utf8_with_the_c_locale(running: Server) -> None:
    query = "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"

    assert set(_query(running.url(), query)) == {("UTF8", "C", "C")}


def test_passes_settings_on(folder: Path) -> None:
    server = Server(VERSION, folder / "server", FAST | {"application_name": "it's a 'test' $HOME"})
    server.start()

    assert _query(server.url(), "SHOW fsync") == [("off",)]
    assert _query(
        server.url(), "SELECT reset_val FROM pg_settings WHERE name = 'application_name'"
    ) == [("it's a 'test' $HOME",)]


def test_creates_a_database_once(running: Server) -> None:
    assert [running.create_database("one"), running.create_database("one")] == [True, False]
    assert _query(running.url("one"), "SELECT current_database()") == [("one",)]


def test_refuses_the_data_of_another_version(server: Server) -> None:
    server.start()
    server.stop()
    with pytest.raises(LocalPostgresError, match="holds data of PostgreSQL 18, not 16"):
        Server(16, server.folder).start()


def test_says_why_the_server_did_not_start(folder: Path) -> None:
    server = Server(VERSION, folder / "server", FAST | {"shared_buffers": "nonsense"})
    with pytest.raises(LocalPostgresError, match="shared_buffers"):
        server.start()


def test_a_version_that_is_nowhere() -> None:
    with pytest.raises(NotInstalledError, match=r"no PostgreSQL 9 runs here .* POSTGRESQL_BIN_9"):
        installations.find(9, account=Account.current(), copies=Path("/nonexistent"))


def test_a_folder_of_programs_of_ones_own(folder: Path) -> None:
    found = installations.find(16, account=Account.current(), copies=folder)
    environment = {"POSTGRESQL_BIN_18": str(found.folder)}
    with pytest.raises(NotInstalledError, match=f"is version {found.version}"):
        installations.find(18, account=Account.current(), copies=folder, environment=environment)


def test_programs_that_do_not_run_here(folder: Path) -> None:
    program = folder / "postgres"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    environment = {"POSTGRESQL_BIN_18": str(folder)}
    with pytest.raises(NotInstalledError, match="Exec format error"):
        installations.find(18, account=Account.current(), copies=folder, environment=environment)


def test_command_start_url_status_stop(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--folder", str(folder / "server"), "--database", "mine"]
    assert main(["status", *options]) == 3
    assert main(["start", *options]) == 0
    assert "for the first time" in capsys.readouterr().err
    assert main(["start", *options]) == 0
    assert "starts" not in capsys.readouterr().err
    assert main(["url", *options]) == 0
    url = capsys.readouterr().out.strip()
    assert _query(url, "SELECT current_database()") == [("mine",)]
    assert main(["status", *options]) == 0
    assert main(["stop", *options]) == 0
    assert main(["stop", *options]) == 0
    assert "was not running" in capsys.readouterr().err


def test_command_url_starts_the_server(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["url", "--folder", str(folder / "server")]) == 0
    url = capsys.readouterr().out.strip()

    assert _query(url, "SELECT current_database()") == [("tenant_registry",)]


def test_command_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--folder", "/proc/nowhere"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("local_postgres: /proc/nowhere ")


@pytest.mark.skipif(os.geteuid() != 0, reason="for root alone")
def test_root_is_told_of_a_folder_that_only_root_reaches(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(LocalPostgresError, match="can't be reached by the account"):
        Server(VERSION, tmp_path / "server").start()


@pytest.mark.skipif(os.geteuid() != 0, reason="for root alone")
def test_root_runs_programs_that_only_root_reaches(folder: Path, tmp_path: Path) -> None:
    found = installations.find(VERSION, account=Account(), copies=folder)
    tmp_path.chmod(0o700)
    hidden = tmp_path / "wheel" / "prefix"
    shutil.copytree(found.folder.parent, hidden, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = found.folder.parent.parent
    if (libraries.with_name(f"{libraries.name}.libs")).exists():
        shutil.copytree(libraries.with_name(f"{libraries.name}.libs"), tmp_path / "wheel.libs")
    copied = installations.find(
        VERSION,
        account=Account.current(),
        copies=folder / "copies",
        environment={f"POSTGRESQL_BIN_{VERSION}": str(hidden / "bin")},
    )

    assert copied.folder == folder / "copies" / "wheel" / "prefix" / "bin"
    assert found.version in Account.current().run([copied.pg_ctl, "--version"], folder=folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another")
def test_an_ordinary_user_runs_it_as_himself(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = folder / "server"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    # The interpreter may lie where only root reaches it, so it drops its rights once it runs.
    program = (
        "import os, sys; from local_postgres.__main__ import main; "
        f"os.setgroups([]); os.setgid({nobody.pw_gid}); os.setuid({nobody.pw_uid}); "
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "url", "--folder", str(home)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert _query(ended.stdout.strip(), "SELECT 1") == [(1,)]
    assert (home / "data").stat().st_uid == nobody.pw_uid


def test_a_temporary_server_leaves_nothing() -> None:
    with TemporaryServer.start(VERSION) as share:
        server = share.server
        assert _query(server.url(), "SHOW fsync") == [("off",)]
        assert server.running

    assert not server.folder.exists()


def test_a_temporary_server_ends_with_its_last_user() -> None:
    with TemporaryServer.start(VERSION) as first:
        second = TemporaryServer.join(first.server)
        assert second is not None
        first.release()
        assert _query(first.server.url(), "SELECT 1") == [(1,)]
        second.release()

    assert TemporaryServer.join(first.server) is None


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a process in Linux's way")
def test_a_temporary_server_does_not_outlive_a_killed_process() -> None:
    program = (
        "from local_postgres import TemporaryServer; "
        f"share = TemporaryServer.start({VERSION}); "
        "print(share.server.folder, share.server.running.process, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder, postmaster = process.stdout.readline().split()
        ended = os.pidfd_open(int(postmaster))
        process.send_signal(signal.SIGKILL)
        process.wait()

    poll = select.poll()
    poll.register(ended, select.POLLIN)
    assert poll.poll(10_000)
    os.close(ended)
    assert Server(VERSION, Path(folder)).running is None


def test_a_failed_temporary_server_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    make = tempfile.mkdtemp

    def remember(**keywords: str) -> str:
        made.append(make(**keywords))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", remember)
    with pytest.raises(NotInstalledError):
        TemporaryServer.start(9)

    assert [Path(folder).exists() for folder in made] == [False]
