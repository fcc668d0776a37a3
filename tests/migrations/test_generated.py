"""What holds for every input, tried on input that is made up."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from psycopg import conninfo
from psycopg.pq import ExecStatus

from schema_migrator import tree as trees
from schema_migrator import url
from schema_migrator.errors import ConfigurationError
from schema_migrator.history import show_position
from schema_migrator.result import MAXIMUM_BYTES, Outcome, Plan, Result, decode, encode
from schema_migrator.statement import split, split_and_look

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from tests.fix_migrator import Engine
    from tests.postgres_server import Database

# -- graphs ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Node:
    """One revision: its parents and what it depends on, by their ids."""

    id: str
    parents: tuple[str, ...]
    needs: tuple[str, ...]


@st.composite
def graphs(draw: Callable[[st.SearchStrategy[Any]], Any], most: int = 9) -> list[Node]:
    """Draw a graph of revisions with branches, merges, several roots and dependencies."""
    nodes: list[Node] = []
    below: dict[str, set[str]] = {}
    for number in range(draw(st.integers(1, most))):
        earlier = [node.id for node in nodes]
        parents: list[str] = []
        needs: list[str] = []
        for chosen, count in ((parents, draw(st.integers(0, 2))), (needs, draw(st.integers(0, 1)))):
            for _ in range(count if earlier else 0):
                one = draw(st.sampled_from(earlier))
                known = [*parents, *needs]
                # Alembic takes no revision that stands on another one and on its parent.
                if all(
                    one != other and one not in below[other] and other not in below[one]
                    for other in known
                ):
                    chosen.append(one)
        # Ids whose order is not that of the graph.
        revision = f"{draw(st.integers(0, 99)):02}r{number}"
        below[revision] = {one for parent in (*parents, *needs) for one in {parent, *below[parent]}}
        nodes.append(Node(revision, tuple(parents), tuple(needs)))
    return nodes


def write(nodes: list[Node], directory: Path) -> None:
    """Write a graph as a tree."""
    (directory / "versions").mkdir(parents=True)
    for node in nodes:
        (directory / "versions" / f"{node.id}.py").write_text(
            f"revision = {node.id!r}\ndown_revision = {node.parents or None!r}\ndepends_on = {node.needs or None!r}\n"
            "def upgrade(): pass\ndef downgrade(): pass\n"
        )


Walk = list[tuple[str, tuple[str, ...]]]
"""Each step's revision, and the version rows after it."""


def alembics_walk(directory: Path) -> tuple[Walk, Walk]:
    """Return what Alembic itself does for ``upgrade heads`` and then ``downgrade base``."""
    script = ScriptDirectory(str(directory))
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)

    def walk(function: Callable[[Any, Any], Any]) -> Walk:
        done: Walk = []

        def applied(*, step: Any, heads: set[str], **_rest: Any) -> None:
            done.append((step.up_revision_id, tuple(sorted(heads))))

        with engine.begin() as connection:
            options = {"fn": function, "script": script, "on_version_apply": (applied,)}
            MigrationContext.configure(connection, opts=options).run_migrations()
        return done

    try:
        return (
            walk(lambda now, _context: script._upgrade_revs("heads", now)),
            walk(lambda now, _context: script._downgrade_revs("base", now)),
        )
    finally:
        engine.dispose()


@given(graphs())
@settings(max_examples=60, deadline=None)
def test_the_order_is_alembics_own(nodes: list[Node]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "tree"
        write(nodes, directory)
        try:
            up, down = alembics_walk(directory)
        except (RevisionError, CommandError):
            assume(condition=False)
        tree = trees.load(str(directory))

        steps = tree.steps_up(tree.heads, ())
        assert [(step.revision, step.after) for step in steps] == up
        assert tree.applied(steps[-1].after) == {node.id for node in nodes}
        back = tree.steps_down((), steps[-1].after)
        assert [(step.revision, step.after) for step in back] == down
        assert back[-1].after == ()


@given(graphs(), st.data())
@settings(max_examples=60, deadline=None)
def test_from_every_position_the_rest_leads_to_the_heads(
    nodes: list[Node], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "tree"
        write(nodes, directory)
        tree = trees.load(str(directory))
        position = data.draw(st.sampled_from(tree.steps_up(tree.heads, ()))).after
        rest = tree.steps_up(tree.heads, position)
        assert {step.revision for step in rest} == {node.id for node in nodes} - tree.applied(
            position
        )
        before = position
        for step in rest:
            assert step.before == before
            before = step.after
        assert tree.steps_up(tree.heads, before) == ()


@given(nodes=graphs(6))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_engine_walks_a_graph_up_and_down(nodes: list[Node], engine: Engine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "tree"
        write(nodes, directory)
        engine.revisions.directory = directory
        engine.execute("DROP TABLE IF EXISTS alembic_version, alembic_version_history")
        up, down = alembics_walk(directory)
        assert engine.goto("heads").outcome is Outcome.APPLIED
        assert engine.position() == list(up[-1][1])
        assert engine.down().outcome is Outcome.APPLIED
        assert engine.position() == []
        rows = engine.query("SELECT revision, to_position FROM alembic_version_history ORDER BY id")
        assert rows == [(revision, show_position(after)) for revision, after in (*up, *down)]


# -- the result ------------------------------------------------------------

ANY_TEXT = st.text(st.characters(codec=None), max_size=3000)
RESULTS = st.builds(
    Result,
    outcome=st.sampled_from(Outcome),
    from_=st.none() | ANY_TEXT,
    to=st.none() | ANY_TEXT,
    target=st.none() | ANY_TEXT,
    applied=st.lists(ANY_TEXT, max_size=40).map(tuple),
    pending=st.none() | st.integers(0, 10**6),
    dirty=st.none() | st.booleans(),
    incident=st.none() | ANY_TEXT,
    sqlstate=st.none() | ANY_TEXT,
    message=ANY_TEXT,
    blocked_by=st.none() | ANY_TEXT,
    plan=st.none()
    | st.builds(
        Plan,
        id=ANY_TEXT,
        revisions=st.lists(ANY_TEXT, max_size=20).map(tuple),
        destructive=st.lists(ANY_TEXT, max_size=20).map(tuple),
    ),
    server=st.none() | ANY_TEXT,
    migrator=ANY_TEXT,
)


@given(RESULTS)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.large_base_example,
        HealthCheck.data_too_large,
    ],
)
def test_every_result_fits_and_is_read_again(result: Result) -> None:
    encoded = encode(result)
    assert len(encoded) <= MAXIMUM_BYTES
    read = decode(encoded)
    assert read.outcome is result.outcome
    assert encode(read) == encoded


# -- the URL ---------------------------------------------------------------

SECRET = st.text(
    st.characters(codec="ascii", exclude_characters="\0\n\r"), min_size=6, max_size=24
).map(lambda text: f"{text}Zq7")
FORMS = (
    "postgresql://me:{0}@127.0.0.1:1/app",
    "postgresql+psycopg2://me:{0}@127.0.0.1:1/app?connect_timeout=2",
    "postgresql://127.0.0.1:1/app?user=me&password={0}",
    "mysql://me:{0}@127.0.0.1/app",
    "postgresql://me:{0}@127.0.0.1:no/app",
    "postgresql://me:{0}@127.0.0.1:1/app?nothing=known",
    "host=127.0.0.1 port=1 dbname=app password={0}",
    "host=127.0.0.1 port=1 dbname=app password='{0}'",
    "{0}",
)


@given(SECRET, st.sampled_from(FORMS), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_url_makes_a_secret_appear(secret: str, form: str, encoded: bool) -> None:  # noqa: FBT001 - drawn
    value = form.format(quote(secret, safe="") if encoded else secret)
    try:
        parsed = url.parse(value)
    except ConfigurationError as error:
        texts = [error.message, str(error), repr(error), str(error.__cause__)]
    else:
        said = f"could not connect to {value}"
        if password := parsed.parameters.get("password"):
            said += f" with {password} or {quote(password)} or {quote(password, safe='')}"
        texts = [repr(parsed), str(parsed), parsed.redact(said), parsed.warning or ""]
    for text in texts:
        assert "Zq7" not in text
        assert value.strip() not in text


@given(st.text(max_size=200))
@settings(max_examples=300, deadline=None)
def test_every_text_is_a_url_or_a_configuration_error(value: str) -> None:
    try:
        parsed = url.parse(value)
    except ConfigurationError as error:
        lines = error.message.splitlines()
    else:
        lines = [conninfo.make_conninfo(**parsed.parameters)]
    assert len(lines) == 1


# -- splitting -------------------------------------------------------------

BODY = st.text(st.sampled_from("ab;'\"$\\/*-\n ()E"), max_size=12)


def _dollar(body: str, tag: str) -> str:
    quoted = f"${tag}$"
    # A body's last dollar and the quote's first would be a quote of their own.
    return f"SELECT {quoted}{body.replace('$', '')}{quoted}"


STATEMENTS = st.one_of(
    BODY.map(lambda body: "SELECT '" + body.replace("'", "''") + "'"),
    BODY.map(lambda body: "SELECT E'" + body.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    BODY.filter(bool).map(lambda body: 'SELECT 1 AS "' + body.replace('"', '""') + '"'),
    st.builds(_dollar, BODY, st.sampled_from(["", "a", "b1"])),
    BODY.map(
        lambda body: (
            "DO $do$ BEGIN PERFORM '" + body.replace("'", "''").replace("$", "") + "'; END $do$"
        )
    ),
    st.sampled_from(
        [
            "SELECT (1)",
            "SELECT CASE WHEN true THEN 1 END",
            "SELECT 1 -- it's; one",
            "SELECT /* ; /* ' */ \" */ 2",
            "SELECT 3\n",
            "SHOW lock_timeout",
            "SELECT U&'d\\0061t'",
            "SELECT a$b$c FROM (SELECT 4 AS a$b$c) AS x",
        ]
    ),
)
GAPS = st.one_of(
    st.sampled_from(["", " ", "\n", ";", "; ;", "-- a; b'\n", "/* ; ' */", "/* a /* b */ c; */"]),
    BODY.map(lambda body: "--" + body.replace("\n", "") + "\n"),
    BODY.map(lambda body: "/*" + body.replace("*", "").replace("/", "") + "*/"),
)
SOUP = st.lists(
    st.sampled_from(
        [
            "SELECT 1",
            "SELECT",
            " 1 ",
            ";",
            ";",
            "'",
            '"',
            "$$",
            "$a$",
            "--",
            "\n",
            "/*",
            "*/",
            "E",
            "(",
            ")",
            "\\",
            " ",
            "a",
        ]
    ),
    max_size=14,
).map("".join)


@pytest.fixture(scope="module")
def answers() -> Callable[[psycopg.Connection[Any], str], list[tuple[bytes, Any]] | None]:
    """Ask a server what a string of statements gives: a tag and a value for each; None for an error."""

    def ask(connection: psycopg.Connection[Any], text: str) -> list[tuple[bytes, Any]] | None:
        pgconn = connection.pgconn
        pgconn.send_query(text.encode())
        found: list[tuple[bytes, Any]] = []
        failed = False
        while (result := pgconn.get_result()) is not None:
            if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
                value = (result.fname(0), result.get_value(0, 0)) if result.ntuples else None
                found.append((result.command_status or b"", value))
            elif result.status != ExecStatus.EMPTY_QUERY:
                failed = True
        return None if failed else found

    return ask


def test_statements_are_split_where_the_server_splits_them(
    database: Database, answers: Any
) -> None:
    with database.connect() as connection:

        @given(st.lists(st.tuples(GAPS, STATEMENTS, GAPS), max_size=6))
        @settings(max_examples=400, deadline=None)
        def check(parts: list[tuple[str, str, str]]) -> None:
            # A line comment before a semicolon would hide it.
            text = "\n;".join(f"{before}{one}\n{after}" for before, one, after in parts)
            whole = answers(connection, text)
            assert whole is not None, text
            pieces = split(text)
            assert len(pieces) == len(whole), text
            assert [one for piece in pieces for one in answers(connection, piece.text)] == whole
            assert answers(connection, ";\n".join(piece.text + "\n" for piece in pieces)) == whole

        check()


def test_what_the_server_takes_has_as_many_statements_as_it_answers(
    database: Database, answers: Any
) -> None:
    with database.connect() as connection:

        @given(SOUP)
        @settings(max_examples=1500, deadline=None)
        def check(text: str) -> None:
            whole = answers(connection, text)
            if whole is not None:
                assert len(split(text)) == len(whole), text

        check()


def test_what_follows_a_text_that_is_at_an_end_is_taken_for_itself(
    database: Database, answers: Any
) -> None:
    last = "SELECT 'it''s' AS last, \"last\" FROM (SELECT 1 AS \"last\") AS x"
    with database.connect() as connection:

        @given(SOUP)
        @settings(max_examples=1500, deadline=None)
        def check(text: str) -> None:
            if not split_and_look(text)[1]:
                return
            whole = answers(connection, text)
            both = answers(connection, f"{text}\n; {last}")
            expected = None if whole is None else [*whole, (b"SELECT 1", (b"last", b"it's"))]
            assert both == expected, text

        check()
