"""SQL text, split into statements at top level.

The server is the only one who can parse SQL. What is done here needs less: to
find where one statement ends and the next begins, and with which words each
begins, while respecting quotes, dollar quotes, nested comments and the bodies
of SQL-standard functions (``BEGIN ATOMIC … END``).

The lexical rules are PostgreSQL's (documentation, chapter "SQL Syntax",
section "Lexical Structure").
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What may stand in a name, by what of ASCII may not: every character beyond ASCII
# may. Said the other way round, the compiler would go through all of those at each start.
_LETTER = r"[^\x00-@\[-^`{-\x7f]"
_LETTER_OR_DIGIT = r"[^\x00-/:-@\[-^`{-\x7f]"
_LETTER_DIGIT_OR_DOLLAR = r"[^\x00-#%-/:-@\[-^`{-\x7f]"

_TOKEN = re.compile(
    rf"""
      (?P<space>\s+)
    | (?P<line_comment>--[^\n\r]*)
    | (?P<block_comment>/\*)
    | (?P<escape_string>[eE]')
    | (?P<string>(?:[bBxXnN]|[uU]&)?')
    | (?P<identifier>(?:[uU]&)?")
    | (?P<dollar>\$(?:{_LETTER}{_LETTER_OR_DIGIT}*)?\$)
    | (?P<word>{_LETTER}{_LETTER_DIGIT_OR_DOLLAR}*)
    | (?P<number>[0-9][A-Za-z0-9_.]*|\$[0-9]+)
    | (?P<semicolon>;)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_ENOUGH_WORDS = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a text.

    Attributes:
        text: the statement without its semicolon, with its comments.
        tokens: its first words and signs, words in upper case, quoted
            identifiers with their quotes; comments left out.
    """

    text: str
    tokens: tuple[str, ...]

    def begins(self, *words: str) -> bool:
        """Tell whether the statement begins with these words."""
        return self.tokens[: len(words)] == words


class _Nesting:
    """How deep a place in a text is: in parentheses, and in a body ``BEGIN ATOMIC … END``."""

    def __init__(self) -> None:
        self._parentheses = 0
        self._bodies = 0
        self._previous = ""

    @property
    def is_top_level(self) -> bool:
        """Whether a semicolon ends the statement here."""
        return self._parentheses == 0 and self._bodies == 0

    def enter(self, kind: str, word: str) -> None:
        """Take note of one word or sign."""
        if kind == "open":
            self._parentheses += 1
        elif kind == "close":
            self._parentheses = max(self._parentheses - 1, 0)
        elif kind == "word" and (self._previous, word) == ("BEGIN", "ATOMIC"):
            self._bodies = 1
        elif kind == "word" and self._bodies:
            # CASE … END may stand in a body.
            self._bodies += {"CASE": 1, "BEGIN": 1, "END": -1}.get(word, 0)
        self._previous = word


def split(text: str) -> tuple[Statement, ...]:
    """Return the statements of a text; empty ones (only comments) are left out."""
    return split_and_look(text)[0]


def split_and_look(text: str) -> tuple[tuple[Statement, ...], bool]:
    """Return the statements of a text, and whether it is at an end where it ends.

    At an end is what ends outside of quotes, comments, parentheses and bodies: a
    line end and a semicolon after it end its last statement.
    """
    statements: list[Statement] = []
    words: list[str] = []
    nesting = _Nesting()
    start = 0
    is_at_end = False
    for kind, begin, end in _parts(f"{text}\n;"):
        if kind in ("space", "line_comment", "block_comment"):
            continue
        if kind == "semicolon" and nesting.is_top_level:
            if words:
                statements.append(
                    Statement(text[start:begin].strip(), tuple(words[:_ENOUGH_WORDS]))
                )
            is_at_end = begin > len(text)
            start, words, nesting = end, [], _Nesting()
            continue
        word = text[begin:end].upper() if kind == "word" else text[begin:end]
        nesting.enter(kind, word)
        words.append(word)
    if words:
        statements.append(Statement(text[start:].strip(), tuple(words[:_ENOUGH_WORDS])))
    return tuple(statements), is_at_end


def _parts(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield kind, begin and end of each part of a text, spaces and comments too."""
    position = 0
    while match := _TOKEN.match(text, position):
        position = _end(text, match)
        yield match.lastgroup or "other", match.start(), position


def _end(text: str, match: re.Match[str]) -> int:
    """Return where the token that begins with ``match`` ends."""
    kind, position = match.lastgroup, match.end()
    if kind == "block_comment":
        return _end_of_comment(text, position)
    if kind == "string":
        return _end_of_quote(text, position, "'", escapes=False)
    if kind == "escape_string":
        return _end_of_quote(text, position, "'", escapes=True)
    if kind == "identifier":
        return _end_of_quote(text, position, '"', escapes=False)
    if kind == "dollar":
        closing = text.find(match.group(), position)
        return len(text) if closing < 0 else closing + len(match.group())
    return position


def _end_of_comment(text: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(text, position)
        if edge is None:
            return len(text)
        depth += 1 if edge.group() == "/*" else -1
        position = edge.end()
    return position


def _end_of_quote(text: str, position: int, quote: str, *, escapes: bool) -> int:
    while position < len(text):
        character = text[position]
        if escapes and character == "\\":
            position += 2
        elif character != quote:
            position += 1
        elif text[position + 1 : position + 2] == quote:
            position += 2
        else:
            return position + 1
    return len(text)


def takes_marker_away(statement: Statement) -> bool:
    """Tell whether a statement would end the transaction without committing it.

    ``ROLLBACK TO SAVEPOINT`` does not, and ``ROLLBACK PREPARED`` is about another one.
    """
    words = tuple(word for word in statement.tokens[:4] if word not in ("WORK", "TRANSACTION"))
    if words[:1] == ("ABORT",):
        return True
    if words[:1] == ("ROLLBACK",):
        return words[1:2] not in (("TO",), ("PREPARED",))
    return statement.begins("PREPARE", "TRANSACTION")


def changes_nothing(statement: Statement) -> bool:
    """Tell whether a statement can stand before the marker: it has no effect on data.

    ``SET TRANSACTION`` has to, because the server takes it before any query only.
    """
    return statement.begins("SET", "TRANSACTION") or statement.begins("SHOW")


@dataclasses.dataclass(frozen=True, slots=True)
class IndexStatement:
    """A statement that builds, drops or rebuilds one index outside a transaction.

    Attributes:
        verb: ``CREATE``, ``DROP`` or ``REINDEX``.
        index: the index's name as written, with its schema where given; None
            for a CREATE that leaves the name to the server.
        table: with CREATE, the table's name as written.
    """

    verb: str
    index: str | None
    table: str | None


_NAME = rf'(?:"(?:[^"]|"")+"|{_LETTER}[\w$]*)'
QUALIFIED_NAME = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
# Compiled when they are first asked for: most runs build no index concurrently.
_CREATE = (
    rf"\s*CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?:(?!ON\s)(?P<index>{_NAME})\s+)?ON\s+(?:ONLY\s+)?(?P<table>{QUALIFIED_NAME})"
)
_DROP = (
    rf"\s*DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?(?P<index>{QUALIFIED_NAME})"
    rf"\s*(?:CASCADE|RESTRICT)?\s*$"
)
_REINDEX = rf"\s*REINDEX\s+(?:\([^)]*\)\s*)?INDEX\s+CONCURRENTLY\s+(?P<index>{QUALIFIED_NAME})\s*$"


def index_statement(text: str) -> IndexStatement | None:
    """Return what a text does to one index concurrently, or None when it is anything else."""
    statements = split(text)
    if len(statements) != 1:
        return None
    bare = without_comments(statements[0].text)
    if match := re.match(_CREATE, bare, re.IGNORECASE):
        return IndexStatement("CREATE", match["index"], match["table"])
    if match := re.match(_DROP, bare, re.IGNORECASE):
        return IndexStatement("DROP", match["index"], None)
    if match := re.match(_REINDEX, bare, re.IGNORECASE):
        return IndexStatement("REINDEX", match["index"], None)
    return None


def is_concurrent(text: str) -> bool:
    """Tell whether a text waits for other sessions' snapshots, and so must have no lock timeout."""
    return any("CONCURRENTLY" in statement.tokens for statement in split(text))


def without_comments(text: str) -> str:
    """Return a text with a space for each of its comments."""
    return "".join(
        " " if kind in ("line_comment", "block_comment") else text[begin:end]
        for kind, begin, end in _parts(text)
    )
