"""The engine looks before it leaps: what the server is, and what stands between."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from schema_migrator.result import Outcome
from tests.migrations.pgbouncer import PROGRAM, PgBouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fix_migrator import Command, Engine

ONE = "op.execute('CREATE TABLE one (id int)')"


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that another user can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_that_can_not_carry_the_lock_is_refused(
    engine: Engine, reachable: Path, mode: str
) -> None:
    engine.revisions.add("0001", ONE)
    with PgBouncer(engine.database, mode, reachable / "pooler") as pooler:
        pooled = dataclasses.replace(
            engine, database=dataclasses.replace(engine.database, url=pooler.url)
        )

        result = pooled.up()

    assert result.outcome is Outcome.INVALID, result.message
    assert f"{mode} mode" in result.message
    assert not engine.exists("alembic_version")


@pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
def test_a_pooler_in_session_mode_is_used_with_a_warning(engine: Engine, reachable: Path) -> None:
    engine.revisions.add("0001", ONE)
    engine.revisions.add(
        "0002",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX CONCURRENTLY i ON one (id)')",
    )
    with PgBouncer(engine.database, "session", reachable / "pooler", size=5) as pooler:
        pooled = dataclasses.replace(
            engine, database=dataclasses.replace(engine.database, url=pooler.url)
        )

        result = pooled.up()

        assert (result.outcome, result.to) == (Outcome.APPLIED, "0002"), result.message
        assert any("pooler" in message for message in engine.reporter.messages)


def test_a_direct_connection_is_not_warned_of(engine: Engine) -> None:
    engine.revisions.add("0001", ONE)

    assert engine.up().outcome is Outcome.APPLIED
    assert not any("pooler" in message for message in engine.reporter.messages)


def test_a_role_that_may_not_create_tables_is_told_so(engine: Engine, migrate: Command) -> None:
    engine.revisions.add("0001", ONE)
    engine.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'") if not engine.query(
        "SELECT 1 FROM pg_roles WHERE rolname = 'weak'"
    ) else None
    head, _, tail = engine.database.url.partition("://")
    weak = f"{head}://weak:weak@{tail.partition('@')[2]}"

    ended = migrate("up", DATABASE_URL=weak)

    assert ended.code == 14, ended.err
    assert "grant it CREATE there" in ended.err
    assert ended.result is not None
    assert ended.result["sqlstate"] == "42501"


def test_a_search_path_to_nowhere_is_told_so(engine: Engine, migrate: Command) -> None:
    engine.revisions.add("0001", ONE)
    url = f"{engine.database.url}?options=-csearch_path%3Dnowhere"

    ended = migrate("up", DATABASE_URL=url)

    assert ended.code == 14, ended.err
    assert "search_path names no schema that exists" in ended.err
    named = migrate("up", "--version-table-schema", "public", DATABASE_URL=url)
    assert named.code == 10, named.err


def test_a_statement_that_takes_too_long_fails_and_is_not_tried_again(engine: Engine) -> None:
    engine.settings = dataclasses.replace(engine.settings, statement_timeout=0.2)
    engine.revisions.add("0001", "op.execute('SELECT pg_sleep(30)')")

    result = engine.up()

    assert (result.outcome, result.sqlstate, result.dirty) == (Outcome.FAILED, "57014", False)
    assert engine.query("SELECT count(*) FROM alembic_version_history") == [(1,)]


def test_settings_that_a_revision_resets_hold_for_its_next_statement(engine: Engine) -> None:
    engine.revisions.add(
        "0001",
        """
        op.execute('SET lock_timeout = 0; RESET ALL')
        assert op.get_bind().exec_driver_sql('SHOW lock_timeout').scalar() == '300ms'
        with op.get_context().autocommit_block():
            op.execute('RESET ALL')
            assert op.get_bind().exec_driver_sql('SHOW lock_timeout').scalar() == '300ms'
        """,
    )

    result = engine.up()

    assert result.outcome is Outcome.APPLIED, result.message
