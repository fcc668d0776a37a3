"""SQL text is split where the server splits it, and its first words are read right."""

from __future__ import annotations

import pytest

from schema_migrator.statement import (
    IndexStatement,
    index_statement,
    is_concurrent,
    split,
    takes_marker_away,
)

SPLITS = {
    "two statements": ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
    "a last semicolon": ("SELECT 1;", ["SELECT 1"]),
    "nothing but comments": ("-- a;\n/* b; /* c; */ ; */ ;;", []),
    "a string": ("SELECT 'a;b'';c'; SELECT 2", ["SELECT 'a;b'';c'", "SELECT 2"]),
    "an escape string": (r"SELECT E'a\';b'; SELECT 2", [r"SELECT E'a\';b'", "SELECT 2"]),
    "a backslash in a plain string": (r"SELECT 'a\'; SELECT 2", [r"SELECT 'a\'", "SELECT 2"]),
    "a quoted identifier": ('SELECT 1 AS "a;""b;"; SELECT 2', ['SELECT 1 AS "a;""b;"', "SELECT 2"]),
    "a dollar quote": ("DO $$ BEGIN; END $$; SELECT 2", ["DO $$ BEGIN; END $$", "SELECT 2"]),
    "a tagged dollar quote": (
        "SELECT $a$ $$; $b$; $a$; SELECT 2",
        ["SELECT $a$ $$; $b$; $a$", "SELECT 2"],
    ),
    "a dollar inside a name": ("SELECT a$b$c; SELECT $1", ["SELECT a$b$c", "SELECT $1"]),
    "a rule with parentheses": (
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
        ["CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"],
    ),
    "a body of standard SQL": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
        [
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
            "SELECT 3",
        ],
    ),
    "an unfinished string": ("SELECT 'a; SELECT 2", ["SELECT 'a; SELECT 2"]),
    "an unfinished comment": ("SELECT 1 /* a; SELECT 2", ["SELECT 1 /* a; SELECT 2"]),
}


@pytest.mark.parametrize("case", SPLITS)
def test_a_text_is_split_at_top_level(case: str) -> None:
    text, expected = SPLITS[case]

    assert [one.text for one in split(text)] == expected


TAKING = {
    "ROLLBACK": True,
    "rollback work": True,
    "ROLLBACK TRANSACTION": True,
    "ROLLBACK AND CHAIN": True,
    "/* a */ ABORT -- b": True,
    "PREPARE TRANSACTION 'x'": True,
    "ROLLBACK TO s": False,
    "ROLLBACK TO SAVEPOINT s": False,
    "ROLLBACK WORK TO SAVEPOINT s": False,
    "ROLLBACK PREPARED 'x'": False,
    "PREPARE p AS SELECT 1": False,
    "COMMIT": False,
    "SELECT 'ROLLBACK'": False,
    'SELECT 1 AS "ROLLBACK"': False,
}


@pytest.mark.parametrize("text", TAKING)
def test_what_ends_a_transaction_without_committing_it_is_recognised(text: str) -> None:
    (one,) = split(text)

    assert takes_marker_away(one) is TAKING[text]


INDEXES = {
    "CREATE INDEX CONCURRENTLY i ON t (a)": IndexStatement("CREATE", "i", "t"),
    'create unique index concurrently if not exists "A b" on only s."T" using gin (a)': IndexStatement(
        "CREATE", '"A b"', 's."T"'
    ),
    "CREATE INDEX CONCURRENTLY ON t (a)": IndexStatement("CREATE", None, "t"),
    "CREATE INDEX /* x */ CONCURRENTLY -- y\n i ON t (a);": IndexStatement("CREATE", "i", "t"),
    "DROP INDEX CONCURRENTLY IF EXISTS s.i": IndexStatement("DROP", "s.i", None),
    "REINDEX (VERBOSE) INDEX CONCURRENTLY i": IndexStatement("REINDEX", "i", None),
    "CREATE INDEX i ON t (a)": None,
    "REINDEX TABLE CONCURRENTLY t": None,
    "CREATE INDEX CONCURRENTLY i ON t (a); SELECT 1": None,
    "DROP INDEX CONCURRENTLY a, b": None,
}


@pytest.mark.parametrize("text", INDEXES)
def test_a_concurrent_index_statement_is_read(text: str) -> None:
    assert index_statement(text) == INDEXES[text]


def test_only_concurrent_statements_wait_for_snapshots() -> None:
    assert is_concurrent("SELECT 1; CREATE INDEX CONCURRENTLY i ON t (a)")
    assert is_concurrent("ALTER TABLE p DETACH PARTITION c CONCURRENTLY")
    assert not is_concurrent("SELECT 'CONCURRENTLY'")
