"""A tree run inside its own ``env.py``: what holds as without it, and what is refused."""

from __future__ import annotations

import os
import signal
import textwrap
from typing import TYPE_CHECKING

import pytest

from schema_migrator.history import LOCK_CLASS, Names
from tests.fix_migrator import until

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Engine, Revisions

ENV = """
import os
from logging.config import fileConfig
from alembic import context
from sqlalchemy import MetaData, create_engine, engine_from_config, pool, text
{head}
config = context.config
fileConfig(config.config_file_name)
metadata = MetaData(naming_convention={{"uq": "unique_%(table_name)s_%(column_0_name)s"}})

def run():
    engine = {engine}
    with engine.connect() as connection:
        {before}
        context.configure(connection=connection, target_metadata=metadata{options})
        with context.begin_transaction():
            context.run_migrations({arguments})
    {after}

{call}
"""
FROM_CONFIG = (
    "engine_from_config(config.get_section(config.config_ini_section), poolclass=pool.NullPool)"
)


def write(revisions: Revisions, **parts: str) -> None:
    """Write the tree's ``env.py``, as Alembic's template has it but for these parts."""
    text = ENV.format(
        **{
            "head": "",
            "engine": FROM_CONFIG,
            "before": "pass",
            "options": "",
            "arguments": "",
            "after": "pass",
            "call": "run()",
            **parts,
        }
    )
    (revisions.directory / "env.py").write_text(text)


@pytest.fixture
def three(revisions: Revisions) -> Revisions:
    """A tree of three revisions."""
    for number in (1, 2, 3):
        revisions.add(
            f"000{number}",
            f"op.create_table('t{number}', sa.Column('n', sa.Integer), sa.UniqueConstraint('n'))",
            f"op.drop_table('t{number}')",
        )
    write(revisions)
    return revisions


ENGINES = [
    FROM_CONFIG,
    "create_engine(config.get_main_option('sqlalchemy.url'))",
    "create_engine(os.environ['DATABASE_URL'])",
    "create_engine(os.environ['DATABASE_URL'].replace('sql:', 'sql+psycopg2:'), pool_pre_ping=True)",
    "create_engine(os.environ['DATABASE_URL'].replace('sql:', 'sql+psycopg:'), connect_args={'connect_timeout': 3})",
]


@pytest.mark.every_postgres
@pytest.mark.parametrize("engine_text", ENGINES)
def test_there_and_back(
    engine_text: str, migrate: Command, three: Revisions, engine: Engine
) -> None:
    write(three, engine=engine_text)
    ended = migrate("up", "--with-env")
    assert (ended.code, ended.out) == (0, "applied 3 revisions; the database is at 0003\n")
    assert "DATABASE_URL" not in ended.err
    assert engine.position() == ["0003"]
    rows = "SELECT revision, direction, outcome FROM alembic_version_history ORDER BY id"
    assert engine.query(rows) == [(f"000{number}", "up", "applied") for number in (1, 2, 3)]
    (name,) = engine.query(
        "SELECT conname FROM pg_constraint WHERE conrelid = 't1'::regclass AND contype = 'u'"
    )[0]
    assert name == "unique_t1_n"
    assert migrate("up", "--with-env").out == "nothing to do: the database is at 0003\n"
    assert migrate("down", "2", "--with-env").code == 0
    assert engine.position() == ["0001"]
    assert not engine.exists("t2")


def test_an_asynchronous_engine(migrate: Command, three: Revisions, engine: Engine) -> None:
    pytest.importorskip("greenlet")
    (three.directory / "env.py").write_text(
        textwrap.dedent("""
        import asyncio
        from alembic import context
        from sqlalchemy import pool
        from sqlalchemy.ext.asyncio import async_engine_from_config

        def run(connection):
            context.configure(connection=connection)
            with context.begin_transaction():
                context.run_migrations()

        async def main():
            section = dict(context.config.get_section(context.config.config_ini_section))
            section["sqlalchemy.url"] = section["sqlalchemy.url"].replace("psycopg", "asyncpg")
            engine = async_engine_from_config(section, poolclass=pool.NullPool)
            async with engine.connect() as connection:
                await connection.run_sync(run)
            await engine.dispose()

        asyncio.run(main())
        """)
    )
    ended = migrate("up", "--with-env")
    assert ended.code == 0, ended.err
    assert engine.position() == ["0003"]


def test_a_failing_revision_leaves_the_database_clean_at_the_one_before(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    three.add("0004", "op.create_table('t4'); op.execute('SELECT 1/0')")
    three.add("0005", "pass")
    ended = migrate("up", "--with-env")
    assert ended.code == 10
    assert "division by zero" in ended.err
    assert engine.position() == ["0003"]
    assert not engine.exists("t4")
    assert engine.open_rows() == 0


def test_an_error_that_env_py_swallows_is_reported_all_the_same(
    migrate: Command, three: Revisions
) -> None:
    three.add("0004", "op.execute('SELECT 1/0')")
    write(three, call="try:\n    run()\nexcept Exception:\n    pass")
    assert migrate("up", "--with-env").code == 10


def test_what_left_its_transaction_makes_the_database_dirty(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    three.add(
        "0004",
        """
        with op.get_context().autocommit_block():
            op.execute("INSERT INTO t1 VALUES (1)")
        op.execute("SELECT 1/0")
        """,
    )
    assert migrate("up", "--with-env").code == 11
    assert engine.open_rows() == 1
    assert migrate("up", "--with-env").code == 11


def test_a_signal_ends_it_clean(migrate: Command, three: Revisions, engine: Engine) -> None:
    three.add("0004", "op.execute('SELECT pg_sleep(60)')")
    process = migrate.start("up", "--with-env")
    until(
        lambda: engine.query(
            "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'"
            " AND application_name LIKE 'migrate/%' AND datname = current_database()"
        )
    )
    process.send_signal(signal.SIGTERM)
    assert migrate.wait(process, timeout=10).code == 17
    assert engine.position() == ["0003"]
    assert engine.open_rows() == 0


@pytest.mark.usefixtures("three")
def test_the_lock_is_the_same(migrate: Command, engine: Engine) -> None:
    with engine.database.connect() as connection:
        connection.execute(
            "SELECT pg_advisory_lock(%s, %s)", [LOCK_CLASS, Names("public").lock_key]
        )
        assert migrate("up", "--with-env", "--timeout", "5s").code == 12
    assert not engine.exists("t1")


def test_code_before_configure_runs_under_the_lock(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    write(
        three,
        before=f"connection.execute(text('CREATE TABLE held AS {held.replace(chr(39), chr(34))}'.replace(chr(34), chr(39)))); connection.commit()",
    )
    assert migrate("up", "--with-env").code == 0
    assert engine.query("SELECT * FROM held") == [(1,)]


def test_arguments_options_and_callbacks_of_env_py_hold(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    path = three.add(
        "0004", "op.execute(f'CREATE TABLE {name} ()'); assert op.get_context().opts['own'] == 7"
    )
    path.write_text(path.read_text().replace("def upgrade()", "def upgrade(name=None)"))
    for number in (1, 2, 3):
        other = three.directory / "versions" / f"000{number}_test.py"
        other.write_text(other.read_text().replace("def upgrade()", "def upgrade(name=None)"))
    write(
        three,
        head="def applied(ctx, step, heads, run_args):\n    ctx.connection.execute(text(f\"INSERT INTO log VALUES ('{step.up_revision_id} {','.join(heads)} {run_args['name']}')\"))",
        before="connection.execute(text('CREATE TABLE log (line text)')); connection.commit()",
        options=", own=7, on_version_apply=applied",
        arguments="name='given'",
    )
    ended = migrate("up", "--with-env")
    assert ended.code == 0, ended.err
    assert engine.exists("given")
    lines = [row[0] for row in engine.query("SELECT line FROM log")]
    assert lines == [f"000{number} 000{number} given" for number in (1, 2, 3, 4)]


def test_a_translated_schema_holds_for_the_revisions(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    engine.execute("CREATE SCHEMA tenant")
    write(
        three,
        before="connection = connection.execution_options(schema_translate_map={None: 'tenant'})",
    )
    assert migrate("up", "--with-env").code == 0
    assert engine.exists("tenant.t1")
    assert not engine.exists("public.t1")


ELSEWHERE = "create_engine(os.environ['DATABASE_URL'].{})"
REFUSALS = [
    ({"engine": "create_engine('sqlite://')"}, "another kind of database (sqlite)"),
    ({"engine": ELSEWHERE.format("rpartition('/')[0] + '/other')")[:-1]}, "database differ"),
    ({"engine": ELSEWHERE.format("replace('127.0.0.1', 'db.example')")}, "host differ"),
    ({"engine": "create_engine('postgresql://u@127.0.0.1:1/x')"}, "port and database differ"),
    (
        {
            "engine": "create_engine('postgresql+psycopg://', creator=lambda: __import__('psycopg').connect(os.environ['DATABASE_URL']))"
        },
        "by a creator of its own",
    ),
    ({"before": "connection.execute(text('SELECT 1'))"}, "in a transaction already"),
    ({"options": ", version_table='other'"}, "keeps the position in other"),
    ({"options": ", version_table_schema='other'"}, "keeps the position in other.alembic_version"),
    ({"call": "pass"}, "without a call of context.run_migrations()"),
    ({"call": "context.configure(url='postgresql://'); context.run_migrations()"}, "no connection"),
    (
        {"call": "raise LookupError('no setting')"},
        "env.py failed: LookupError: no setting (env.py, line",
    ),
    ({"call": "raise SystemExit(0)"}, "env.py failed: SystemExit"),
]


@pytest.mark.parametrize(("parts", "message"), REFUSALS, ids=[message for _, message in REFUSALS])
def test_what_is_refused_before_a_revision_runs(
    parts: dict[str, str], message: str, migrate: Command, three: Revisions, engine: Engine
) -> None:
    write(three, **parts)
    ended = migrate("up", "--with-env")
    assert ended.code == 14, ended.err
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1
    assert migrate.database.url.partition("@")[0].rpartition(":")[2] not in ended.err
    assert not engine.exists("t1")
    assert engine.position() == []


def test_a_second_run_of_the_migrations_is_refused(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    write(three, call="run()\nrun()")
    ended = migrate("up", "--with-env")
    assert ended.code == 14
    assert "more than once" in ended.err
    assert engine.position() == ["0003"]


def test_an_error_after_the_revisions_says_so(
    migrate: Command, three: Revisions, engine: Engine
) -> None:
    write(three, after="raise LookupError('afterwards')")
    ended = migrate("up", "--with-env")
    assert ended.code == 14
    assert "failed after its revisions had run: LookupError: afterwards" in ended.err
    assert engine.position() == ["0003"]


def test_without_an_env_py_it_says_so(migrate: Command, three: Revisions) -> None:
    os.unlink(three.directory / "env.py")  # noqa: PTH108 - one line
    ended = migrate("up", "--with-env")
    assert ended.code == 14
    assert "there is no env.py" in ended.err


def test_a_run_with_nothing_to_do_does_not_run_it(migrate: Command, three: Revisions) -> None:
    assert migrate("up", "--with-env").code == 0
    write(three, call="raise LookupError")
    assert migrate("up", "--with-env").code == 0
