"""Taking databases over: ``baseline``, ``adopt``, and what is refused until one of them was run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_migrator import Command, Ended, Engine, Revisions


@pytest.fixture
def files(revisions: Revisions) -> Revisions:
    """A tree of three SQL files, as golang-migrate has them."""
    for number in (1, 2, 3):
        versions = revisions.directory / "versions"
        (versions / f"00000{number}_t.up.sql").write_text(f"CREATE TABLE t{number} ();")
        (versions / f"00000{number}_t.down.sql").write_text(f"DROP TABLE t{number};")
    return revisions


def _golang_migrate(engine: Engine, version: int | None, *, dirty: bool = False) -> None:
    """What golang-migrate leaves behind."""
    engine.execute(
        "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"
    )
    for number in range(1, (version or 0) + 1):
        engine.execute(f"CREATE TABLE t{number} ()")
    if version is not None:
        engine.execute(f"INSERT INTO schema_migrations VALUES ({version}, {dirty})")


def _end(ended: Ended) -> tuple[int, Any]:
    return ended.code, (ended.result or {}).get("refusal")


def _directions(engine: Engine) -> list[tuple[Any, ...]]:
    return engine.query(
        "SELECT direction, revision, outcome, reason FROM alembic_version_history ORDER BY id"
    )


def test_a_database_of_golang_migrates_is_refused_until_it_is_adopted(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    _golang_migrate(engine, 2)

    for words in (("up",), ("up", "1"), ("goto", "000002"), ("plan",), ("exec", "--", "true")):
        refused = migrate(*words)
        assert _end(refused) == (15, "adoption_needed"), refused.err
        assert "migrate adopt" in refused.err
        assert refused.err.count("\n") == 1
    assert engine.query("SELECT relname FROM pg_class WHERE relname ~ 'alembic'") == []

    adopted = migrate("adopt")

    assert (adopted.code, adopted.out) == (0, "recorded 000002, ran nothing\n"), adopted.err
    assert _directions(engine) == [("adopted", "000002", "recorded", "golang-migrate was at 2")]
    assert migrate("up").out == "applied 1 revision; the database is at 000003\n"
    assert migrate("down", "--all").code == 0
    assert migrate("up", "1").code == 0
    assert engine.query("SELECT version FROM schema_migrations") == [(2,)]


def test_a_dirty_database_of_golang_migrates_needs_a_person(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    _golang_migrate(engine, 2, dirty=True)

    refused = migrate("adopt")

    assert _end(refused) == (15, "adoption_dirty")
    assert "migrate force REVISION" in refused.err
    assert migrate("force", "2").code == 0
    assert migrate("up").code == 0


NOTHING: dict[str, Callable[[Engine], object]] = {
    "no table": lambda _: None,
    "no row": lambda engine: _golang_migrate(engine, None),
    "golang-migrate at nil": lambda engine: _golang_migrate(engine, -1),
    "another program's table": lambda engine: engine.execute(
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY);"
        "INSERT INTO schema_migrations VALUES ('20240101')"
    ),
}


@pytest.mark.parametrize("case", NOTHING)
def test_where_golang_migrate_was_not_at_work_there_is_nothing_to_adopt(
    engine: Engine, files: Revisions, migrate: Command, case: str
) -> None:
    NOTHING[case](engine)

    assert migrate("adopt").code == 14
    assert migrate("up").code == 0


def test_adopting_twice_changes_nothing_and_another_position_is_refused(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    _golang_migrate(engine, 2)
    assert migrate("adopt").code == 0

    again = migrate("adopt")
    assert (again.code, again.out) == (0, "nothing to do: the database is at 000002\n")
    engine.execute("UPDATE schema_migrations SET version = 3")
    assert _end(migrate("adopt")) == (15, "already_positioned")
    assert len(_directions(engine)) == 1


def test_a_version_that_the_tree_does_not_have_is_not_adopted(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    _golang_migrate(engine, 9)

    assert _end(migrate("adopt")) == (15, "target_unknown")


def test_golang_migrates_table_may_have_another_name(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    _golang_migrate(engine, 1)
    engine.execute("CREATE SCHEMA apart")
    engine.execute("ALTER TABLE schema_migrations SET SCHEMA apart")
    engine.execute("ALTER TABLE apart.schema_migrations RENAME TO versions")

    ended = migrate("adopt", MIGRATE_GOLANG_MIGRATE_TABLE="apart.versions")

    assert (ended.code, ended.out) == (0, "recorded 000001, ran nothing\n"), ended.err


def test_a_baseline_records_a_position_and_runs_nothing(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    engine.execute("CREATE TABLE t1 ()")
    engine.execute("CREATE TABLE t2 ()")

    ended = migrate("baseline", "2", "--reason", "restored from a dump")

    assert (ended.code, ended.out) == (0, "recorded 000002, ran nothing\n"), ended.err
    assert _directions(engine) == [("baseline", "000002", "recorded", "restored from a dump")]
    assert migrate("up").out == "applied 1 revision; the database is at 000003\n"


BASELINES = {
    "the same again": ("000002", 0, None),
    "another position": ("000003", 15, "already_positioned"),
    "an unknown one": ("nope", 15, "target_unknown"),
}


@pytest.mark.parametrize("case", BASELINES)
def test_a_baseline_does_not_move_a_position(
    engine: Engine, files: Revisions, migrate: Command, case: str
) -> None:
    revision, code, refusal = BASELINES[case]
    engine.up(2)

    assert _end(migrate("baseline", revision)) == (code, refusal)

    assert engine.position() == ["000002"]


def test_a_baseline_of_a_dirty_database_is_refused(
    engine: Engine, revisions: Revisions, migrate: Command
) -> None:
    revisions.add(
        "0001",
        "with op.get_context().autocommit_block():\n    op.execute('CREATE TABLE half ()')\n"
        "    op.execute('SELECT 1/0')",
    )
    engine.up()

    assert migrate("baseline", "0001").code == 11


MOVES = {
    "up": ("up",),
    "up with nothing to do": ("up",),
    "goto": ("goto", "000003"),
    "down": ("down", "1"),
}


@pytest.mark.parametrize("case", MOVES)
def test_an_edited_revision_is_warned_of_and_refused_where_that_is_asked(
    engine: Engine, files: Revisions, migrate: Command, case: str
) -> None:
    engine.up(3 if "nothing" in case else 2)
    path = files.directory / "versions" / "000001_t.up.sql"
    path.write_text(path.read_text() + "CREATE TABLE afterthought ();")
    position = engine.position()

    refused = migrate(*MOVES[case], "--strict")

    assert _end(refused) == (15, "history_edited"), refused.err
    assert "000001" in refused.err
    assert engine.position() == position
    warned = migrate(*MOVES[case])
    assert warned.code == 0
    assert "warning: edited after it was applied: 000001;" in warned.err


def test_what_was_not_edited_passes_the_strict_run(
    engine: Engine, files: Revisions, migrate: Command
) -> None:
    engine.up(2)
    pending = files.directory / "versions" / "000003_t.up.sql"
    pending.write_text("CREATE TABLE other ();")
    first = files.directory / "versions" / "000001_t.up.sql"
    first.write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))

    ended = migrate("up", MIGRATE_STRICT="true")

    assert (ended.code, ended.err.count("warning")) == (0, 0), ended.err


def test_create_writes_a_pair_of_sql_files_for_a_tree_of_them_and_where_it_is_asked(
    files: Revisions, migrate: Command
) -> None:
    versions = files.directory / "versions"

    ended = migrate("create", "add address")

    assert ended.out.splitlines() == [
        f"{versions}/000004_add_address.up.sql",
        f"{versions}/000004_add_address.down.sql",
    ]
    assert migrate("up").out == "applied 4 revisions; the database is at 000004\n"
    files.add("0005", "pass", parent="000004")
    assert migrate("create", "more").out == f"{versions}/000006_more.py\n"
    assert migrate("create", "most", "--sql").out.splitlines()[0].endswith("000007_most.up.sql")
