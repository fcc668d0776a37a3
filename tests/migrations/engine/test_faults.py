"""What the machines around a run can do to it: each time the truth is left behind, and the next run goes on."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from local_postgres import TemporaryServer, installation
from local_postgres.account import Account
from schema_migrator.result import Outcome
from tests.fix_migrator import Engine, until
from tests.migrations.network import POSSIBLE, Host
from tests.postgres_server import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fix_migrator import Command, Revisions

ONE = "op.execute('CREATE TABLE one (id int)')"
SLOW = "op.execute('CREATE TABLE two ()')\nop.execute('SELECT pg_sleep(60)')"
BUSY = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'migrate/%' AND query LIKE '%pg_sleep%'"


@pytest.fixture
def own_server() -> Iterator[TemporaryServer]:
    """A server that this test may break."""
    server = TemporaryServer.start(18, {"listen_addresses": "*"})
    yield server
    server.release()


@pytest.fixture
def own(own_server: TemporaryServer, revisions: Revisions) -> Engine:
    """The engine on a server that this test may break."""
    own_server.server.create_database("test")
    return Engine(Database(own_server.server.url("test"), 180000), revisions)


def test_a_server_that_restarts_in_mid_run_is_waited_for_and_read(
    own: Engine, own_server: TemporaryServer, migrate: Command
) -> None:
    own.revisions.add("0001", ONE)
    own.revisions.add("0002", SLOW)
    process = migrate.start("up", DATABASE_URL=own.database.url)
    until(lambda: own.query(BUSY), what="the statement")
    own_server.server.stop()
    own_server.server.start()

    ended = migrate.wait(process)

    assert ended.code == 10, ended.err
    assert ended.result is not None
    assert (ended.result["sqlstate"], ended.result["to"], ended.result["dirty"]) == (
        "57P01",
        "0001",
        False,
    )
    own.revisions.add("0002", "op.execute('CREATE TABLE two ()')")
    assert own.up().outcome is Outcome.APPLIED


def test_a_server_that_stays_away_leaves_the_position_unknown(
    own: Engine, own_server: TemporaryServer, migrate: Command
) -> None:
    own.revisions.add("0001", ONE)
    own.revisions.add("0002", SLOW)
    process = migrate.start("up", DATABASE_URL=own.database.url)
    until(lambda: own.query(BUSY), what="the statement")
    own_server.server.stop()

    ended = migrate.wait(process)

    assert ended.code == 13, ended.err
    assert ended.result is not None
    assert "to" not in ended.result
    assert "unknown" in ended.result["message"]


@pytest.mark.skipif(not POSSIBLE, reason="a network of one's own needs root and ip")
def test_a_cable_that_is_pulled_frees_the_lock_within_seconds(
    own: Engine, own_server: TemporaryServer, migrate: Command
) -> None:
    with Host() as host:
        with (own_server.server.data / "pg_hba.conf").open("a") as access:
            access.write(f"host all all {host.here}/30 scram-sha-256\n")
        own.execute("SELECT pg_reload_conf()")
        own.revisions.add("0001", ONE)
        own.revisions.add("0002", SLOW)
        local = urlsplit(own.database.url)
        remote = local._replace(netloc=local.netloc.replace("127.0.0.1", host.here)).geturl()
        process = migrate.start("up", DATABASE_URL=remote, on=host.command)
        until(lambda: own.query(BUSY), what="the statement")

        host.pull()
        pulled = time.monotonic()
        until(lambda: not own.query(BUSY), what="the end of the session")
        assert time.monotonic() - pulled < 9
        own.revisions.add("0002", "op.execute('CREATE TABLE two ()')")
        assert own.up().outcome is Outcome.APPLIED

        ended = migrate.wait(process, timeout=60)

    assert ended.code == 13, ended.err
    assert ended.result is not None
    assert "to" not in ended.result


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of one's own needs root")
def test_a_full_disk_fails_the_revision_and_leaves_a_clean_database(
    own: Engine, own_server: TemporaryServer, tmp_path: Path
) -> None:
    disk = own_server.server.folder / "disk"
    disk.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=777", "tmpfs", str(disk)], check=True
    )
    try:
        place = disk / "space"
        place.mkdir()
        Account.current().own(place)
        own.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        own.revisions.add("0001", ONE)
        own.revisions.add(
            "0002",
            "op.execute('CREATE TABLE two TABLESPACE small AS SELECT generate_series(1, 1000000)')",
        )

        result = own.up()

        assert (result.outcome, result.sqlstate, result.to, result.dirty) == (
            Outcome.FAILED,
            "53100",
            "0001",
            False,
        )
        own.revisions.add("0002", "op.execute('CREATE TABLE two (id int)')")
        assert own.up().outcome is Outcome.APPLIED
        own.execute("DROP TABLESPACE small")
    finally:
        own_server.server.stop()
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def replica(own: Engine, own_server: TemporaryServer) -> Iterator[Engine]:
    """The engine on a replica of that server."""
    account = Account.current()
    programs = installation.find(
        18, account=account, copies=own_server.server.folder / "installation"
    ).pg_ctl.parent
    folder = own_server.server.folder / "replica"
    folder.mkdir()
    account.own(folder)
    data = folder / "data"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = own_server.server.url("postgres")
    account.run(
        [
            programs / "pg_basebackup",
            f"--dbname={url}",
            f"--pgdata={data}",
            "--write-recovery-conf",
            "--checkpoint=fast",
        ],
        folder=folder,
    )
    account.run(
        [
            programs / "pg_ctl",
            "start",
            "--wait",
            f"--pgdata={data}",
            f"--log={folder / 'log'}",
            "--options",
            f"-p {port}",
        ],
        folder=folder,
    )
    try:
        address = own.database.url.replace(f":{urlsplit(own.database.url).port}/", f":{port}/")
        yield dataclasses.replace(own, database=Database(address, 180000))
    finally:
        account.run(
            [programs / "pg_ctl", "stop", "--wait", "--mode=immediate", f"--pgdata={data}"],
            folder=folder,
        )


def test_a_replica_is_read_and_never_moved(own: Engine, replica: Engine, migrate: Command) -> None:
    own.revisions.add("0001", ONE)
    assert own.up().outcome is Outcome.APPLIED
    own.revisions.add(
        "0002", "op.execute('CREATE TABLE two ()')\nop.execute('COMMIT')\nop.execute('SELECT 1/0')"
    )
    until(
        lambda: migrate("version", DATABASE_URL=replica.database.url).out == "0001\n",
        what="the replica",
    )

    refused = replica.up()

    assert refused.outcome is Outcome.INVALID, refused.message
    assert "replica" in refused.message
    # It does not show the primary's locks, so it calls nothing dirty.
    assert own.up().outcome is Outcome.DIRTY
    until(
        lambda: replica.query("SELECT 1 FROM alembic_version_history WHERE ended_at IS NULL"),
        what="the open row",
    )
    version = migrate("version", DATABASE_URL=replica.database.url)
    assert (version.code, version.out) == (0, "0001\n")
    assert "in progress or interrupted" in version.err


def test_who_waits_on_a_replica_sees_a_run_on_the_primary_to_its_end(
    own: Engine, replica: Engine, migrate: Command, tmp_path: Path
) -> None:
    own.revisions.add("0001", ONE)
    assert own.up().outcome is Outcome.APPLIED
    own.revisions.add(
        "0002",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE two ()')\n"
        "    op.execute('SELECT pg_advisory_lock(77)')",
    )
    until(lambda: replica.exists("alembic_version_history"), what="the replica")
    with own.database.connect() as holder:
        holder.execute("SELECT pg_advisory_lock(77)")
        running = migrate.start(
            *("up", "--lock-timeout", "60s", "--result-file", str(tmp_path / "run")),
            DATABASE_URL=own.database.url,
        )
        until(
            lambda: replica.query("SELECT 1 FROM alembic_version_history WHERE ended_at IS NULL"),
            what="the open row",
        )
        waiting = migrate.start("wait", DATABASE_URL=replica.database.url)
        assert waiting.stderr is not None
        told = waiting.stderr.readline()
        assert "waiting for 0002: the database is at 0001" in told
        assert "revision 0002 (up) is in progress or interrupted" in told
        assert waiting.poll() is None

    ended = migrate.wait(waiting)

    assert (ended.code, (ended.result or {}).get("to")) == (0, "0002"), ended.err
    assert migrate.wait(running).code == 0
