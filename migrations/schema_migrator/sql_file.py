r"""SQL files as revisions: ``NNNN_name.up.sql`` and ``NNNN_name.down.sql``.

The names are golang-migrate's (its pattern is ``^([0-9]+)_(.*)\.(down|up)\.(.*)$``), so
its directories run as they are. A comment at the top may say more::

    -- migrate: no-transaction
    -- migrate: resumable
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

from schema_migrator.errors import ConfigurationError
from schema_migrator.statement import Statement, split_and_look

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_NAME = re.compile(r"([0-9]+)_(.*)\.(up|down)\.sql")
_DIRECTIVE = re.compile(r"^[ \t]*--[ \t]*migrate:[ \t]*([^\n\r]*)", re.MULTILINE)
_LONGEST_ID = 32
"""What ``alembic_version`` holds."""

_KNOWN_DIRECTIVES = {"no-transaction", "resumable"}
_ALONE = (
    ("VACUUM",),
    ("CREATE", "DATABASE"),
    ("DROP", "DATABASE"),
    ("ALTER", "SYSTEM"),
    ("CREATE", "TABLESPACE"),
    ("DROP", "TABLESPACE"),
    ("CREATE", "SUBSCRIPTION"),
    ("DROP", "SUBSCRIPTION"),
)
"""How statements begin that the server takes outside a transaction only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SqlPair:
    """One revision of SQL files.

    Attributes:
        id: the number, as it is written.
        number: the number.
        title: the rest of the name, for people.
        up: the upgrade's file.
        down: the downgrade's; None where there is none.
    """

    id: str
    number: int
    title: str
    up: Path
    down: Path | None


def pairs(paths: Iterable[Path]) -> tuple[SqlPair, ...]:
    """Return the revisions of SQL files, by number.

    Raises:
        ConfigurationError: a number is claimed twice, an upgrade is missing, or a number is too long.
    """
    ups: dict[int, tuple[re.Match[str], Path]] = {}
    downs: dict[int, Path] = {}
    for path in sorted(paths):
        match = _NAME.fullmatch(path.name)
        if match is None:
            if path.name.endswith((".up.sql", ".down.sql")):
                raise ConfigurationError(
                    f"{path.name}: the name must begin with a number, as 0001_name.up.sql"
                )
            continue
        if len(match[1]) > _LONGEST_ID:
            raise ConfigurationError(
                f"{path.name}: the number has more than {_LONGEST_ID} digits, and alembic_version holds no more"
            )
        number = int(match[1])
        taken = ups if match[3] == "up" else downs
        if number in taken:
            raise ConfigurationError(f"{path.name}: another file has the number {number} too")
        if match[3] == "up":
            ups[number] = (match, path)
        else:
            downs[number] = path
    for number in downs.keys() - ups.keys():
        raise ConfigurationError(f"{downs[number].name} has no .up.sql beside it")
    return tuple(
        SqlPair(
            id=match[1],
            number=number,
            title=match[2].replace("_", " "),
            up=path,
            down=downs.get(number),
        )
        for number, (match, path) in sorted(ups.items())
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What one SQL file holds.

    Attributes:
        text: all of it, without a BEGIN and COMMIT around the whole.
        statements: its statements.
        before: statements that have to be the first of a transaction.
        rest: what follows them.
        outside: its statements, each to be run outside a transaction; empty
            for a file that runs inside one.
        resumable: whether it says that it can run again from its start.
        is_at_end: whether other statements can follow it in one string.
    """

    text: str
    statements: tuple[Statement, ...]
    before: str
    rest: str
    outside: tuple[Statement, ...]
    resumable: bool
    is_at_end: bool


def directives(text: str, name: str) -> frozenset[str]:
    """Return what the comments of a file say to the migrator.

    Raises:
        ConfigurationError: a directive is not known.
    """
    found = {word.strip() for word in _DIRECTIVE.findall(text)}
    unknown = found - _KNOWN_DIRECTIVES
    if unknown:
        raise ConfigurationError(
            f'{name}: "-- migrate: {min(unknown)}" is not known; there is no-transaction and resumable'
        )
    return frozenset(found)


def read(path: Path) -> Script:
    """Return what a SQL file holds.

    Raises:
        ConfigurationError: it is no text of UTF-8, or has a directive that is not known.
    """
    return parse(path.read_bytes(), path.name)


def parse(source: bytes, name: str) -> Script:
    """Return what the SQL file of a name holds, whose bytes were read already.

    Raises:
        ConfigurationError: it is no text of UTF-8, or has a directive that is not known.
    """
    try:
        # With line ends as a file gives them that is opened as text.
        text = source.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{name} is not UTF-8") from error
    if "\0" in text:
        # The server would be sent what stands before it, and nothing more.
        raise ConfigurationError(f"{name} is no text: there is a zero byte in it")
    said = directives(text, name)
    statements, is_at_end = split_and_look(text)
    alone = len(statements) == 1 and _runs_alone(statements[0])
    if "no-transaction" in said or alone:
        return Script(
            text=text,
            statements=statements,
            before="",
            rest=text,
            outside=statements,
            resumable="resumable" in said,
            is_at_end=is_at_end,
        )
    if _is_wrapped(statements):
        statements = statements[1:-1]
        text = _joined(statements)
    first = 0
    while first < len(statements) and statements[first].begins("SET", "TRANSACTION"):
        first += 1
    return Script(
        text=text,
        statements=statements,
        before=_joined(statements[:first]),
        rest=_joined(statements[first:]) if first else text,
        outside=(),
        resumable="resumable" in said,
        is_at_end=is_at_end,
    )


def _joined(statements: tuple[Statement, ...]) -> str:
    """Return statements as one text."""
    # A line of its own ends a comment that ends a statement.
    return "\n;\n".join(one.text for one in statements)


def _runs_alone(one: Statement) -> bool:
    """Tell whether the server takes a statement outside a transaction only."""
    concurrently = "CONCURRENTLY" in one.tokens and not one.begins("REFRESH")
    return concurrently or any(one.begins(*words) for words in _ALONE)


def _is_wrapped(statements: tuple[Statement, ...]) -> bool:
    """Tell whether a file is one transaction that it begins and commits itself."""
    if len(statements) < 2:  # noqa: PLR2004 - BEGIN and COMMIT
        return False
    first, last = statements[0].tokens, statements[-1].tokens
    plain = {("BEGIN",), ("BEGIN", "TRANSACTION"), ("BEGIN", "WORK"), ("START", "TRANSACTION")}
    ends = {
        ("COMMIT",),
        ("END",),
        ("COMMIT", "TRANSACTION"),
        ("COMMIT", "WORK"),
        ("END", "TRANSACTION"),
    }
    inside = any(one.tokens[:1] in (("COMMIT",), ("END",), ("BEGIN",)) for one in statements[1:-1])
    return first in plain and last in ends and not inside
