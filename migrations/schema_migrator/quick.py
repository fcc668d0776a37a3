"""The answer to "is there anything to do?", before anything else is loaded.

Most runs find the database at head: every restart of a pod, every start of an
application. Loading the engine for that takes ten times as long as the answer.
So it is given here for exactly one case, in which nothing can be wrong: the
words and variables are understood, the tree's manifest is true, and the
database is clean and where it shall be. Everything else (`QuickError`, or any
other exception) is left to `cli`, which begins anew.

Loads nothing but ctypes: no part of this may import the rest of the package.
"""

from __future__ import annotations

import os
import sys
import time

from schema_migrator import libpq, manifest, request
from schema_migrator.libpq import QuickError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from schema_migrator.manifest import Manifest

_SCHEMA = (
    "SELECT coalesce((SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident('{table}'))),"
    " pg_catalog.current_schema())"
)
_STATE = (
    # Local to the transaction that a string of several statements is: behind a
    # pooler the next one on this session must not find them.
    "SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '5s';"
    " SELECT (SELECT coalesce(pg_catalog.string_agg(version_num::text, ',' ORDER BY version_num::text COLLATE \"C\"), 'base')"
    " FROM {versions}), EXISTS (SELECT FROM {history} WHERE ended_at IS NULL)"
)
_APPLIED = (
    ", (SELECT pg_catalog.string_agg(revision || ' ' || checksum, E'\\n') FROM"
    " (SELECT DISTINCT ON (revision) revision, direction, checksum FROM {history}"
    " WHERE outcome = 'applied' ORDER BY revision, id DESC) AS last WHERE direction = 'up')"
)
"""A column more: each revision as it was applied last, with the checksum of what ran."""


class Answer:
    """What there is to say where there is nothing to do.

    Attributes:
        line: for a person.
        become: what the process becomes afterwards, its path first; None: nothing.
    """

    def __init__(self, line: str, become: tuple[str, list[str]] | None = None) -> None:
        self.line = line
        self.become = become


def answer(words: list[str], environment: dict[str, str]) -> Answer:
    """Return the answer where there is nothing to do; the result file is written then.

    Args:
        words: the command line, without the program.
        environment: the process's environment.

    Raises:
        QuickError: the full path has to look.
    """
    started = time.monotonic()
    asked = request.understand(words, environment)
    become = (_found(asked.become[0], environment), asked.become) if asked.become else None
    versions = _versions(asked.options.get("tree", "tenant_registry"))
    tree: Manifest | None = None
    if asked.target is not None:
        tree = manifest.read(versions)
        if tree is None or not _means(asked.target, tree.heads):
            raise QuickError
    if asked.command == "version":
        return Answer(_ask(asked.options, environment, tree, edits=False)[0])
    path = asked.options.get("result-file")
    migrator = _own_version() if path else ""
    if path:
        _write(
            path,
            '{"v":1,"outcome":"started","lockWaitSeconds":0.0,"durationSeconds":0.0}',
        )
    position, server = _ask(asked.options, environment, tree, edits=True)
    line = f"nothing to do: the database is at {position}"
    if path:
        _write(
            path,
            f'{{"v":1,"outcome":"up_to_date","from":"{position}","to":"{position}","target":"{position}",'
            f'"pending":0,"dirty":false,"message":"{line}","lockWaitSeconds":0.0,'
            f'"durationSeconds":{round(time.monotonic() - started, 3)},"server":"{server}","migrator":"{migrator}"}}',
        )
    return Answer(line, become)


def _found(command: str, environment: dict[str, str]) -> str:
    """Return the path of a command, looked up as a shell does."""
    folders = [""] if "/" in command else environment.get("PATH", "").split(":")
    for folder in folders:
        path = f"{folder}/{command}" if folder else command
        if (folder or "/" in command) and os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113 - pathlib's import takes as long as the query
            return path
    raise QuickError


def _means(target: str | None, heads: tuple[str, ...]) -> bool:
    """Tell whether a target means all of the heads."""
    return target == "heads" or (len(heads) == 1 and target in ("head", heads[0]))


def _versions(name: str) -> str:
    """Return the directory of a tree's revisions; a package is found, and never imported."""
    if "/" in name:
        directory = name
    else:
        package, colon, path = name.partition(":")
        directory = _package(package) + (f"/{path}" if colon else "")
    if os.path.exists(f"{directory}/migrate.toml"):  # noqa: PTH110 - see below
        # The tree says itself what it needs; that is for the full path.
        raise QuickError
    versions = f"{directory}/versions"
    return versions if os.path.isdir(versions) else directory  # noqa: PTH112 - pathlib's import takes as long as the query


def _package(name: str) -> str:
    """Return the directory of a regular package, where nothing but the search path finds it."""
    if not name.isidentifier():
        raise QuickError
    for folder in sys.path:
        directory = f"{folder or '.'}/{name}"
        if os.path.isfile(f"{directory}/__init__.py"):  # noqa: PTH113 - see above
            return directory
        if os.path.exists(directory) or os.path.exists(f"{directory}.py"):  # noqa: PTH110 - see above
            break
    raise QuickError


def _own_version() -> str:
    """Return the installed distribution's version, which is in the name of its metadata."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - see above
        except OSError:
            continue
        for name in names:
            if name.startswith("schema_operator-") and name.endswith(".dist-info"):
                version = name[len("schema_operator-") : -len(".dist-info")]
                if version.replace(".", "").isdecimal():
                    return version
                raise QuickError
    raise QuickError


def _conninfo(environment: dict[str, str]) -> bytes:
    """Return DATABASE_URL as libpq reads it, where there is nothing to say about it."""
    value = environment.get("DATABASE_URL", "").strip()
    if "\n" in value or "${" in value or "<no value>" in value:
        raise QuickError
    scheme, separator, rest = value.partition("://")
    name, plus, driver = scheme.partition("+")
    if name.lower() in ("postgres", "postgresql"):
        if not separator or (plus and not driver.replace("_", "").isalnum()):
            raise QuickError
        value = f"postgresql://{rest}"
    elif "=" not in value or (separator and scheme.isalnum()):
        raise QuickError
    return value.encode()


def _ask(
    options: dict[str, str], environment: dict[str, str], tree: Manifest | None, *, edits: bool
) -> tuple[str, str]:
    """Return position and server's version of a clean database.

    Args:
        options: the call's.
        environment: the process's.
        tree: the database is at its heads, else there is no answer here.
        edits: and every revision of it is what was applied.
    """
    library = libpq.load()
    given = libpq.parameters(library, _conninfo(environment))
    if not given.get("dbname"):
        raise QuickError
    run = options.get("run-id") or os.urandom(6).hex()
    host = options.get("pod") or os.uname().nodename
    session = libpq.Session(library, given, f"migrate/{run}/{host}")
    try:
        table = options.get("version-table", "alembic_version")
        schema = options.get("version-table-schema")
        if schema is None:
            schema = session.row(_SCHEMA.format(table=table))[0]
        history = f"{_quoted(schema)}.{_quoted(f'{table}_history')}"
        state = _STATE.format(versions=f"{_quoted(schema)}.{_quoted(table)}", history=history)
        position, is_open, *applied = session.row(
            state + (_APPLIED.format(history=history) if edits else "")
        )
        server = session.show_version()
    finally:
        session.close()
    if is_open != "f" or position is None:
        raise QuickError
    if tree is not None:
        if position != ",".join(tree.heads):
            raise QuickError
        for one in (applied[0] or "").split("\n") if edits else ():
            revision, _, checksum = one.partition(" ")
            if tree.checksums.get(revision, checksum) != checksum:
                raise QuickError
    return position, server


def _quoted(name: str | None) -> str:
    if not name:
        raise QuickError
    return '"' + name.replace('"', '""') + '"'


def _write(path: str, text: str) -> None:
    """Overwrite the result file in place, as the full path does."""
    data = text.encode("ascii")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, data)
        _truncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _truncate(descriptor: int, length: int) -> None:
    try:
        os.ftruncate(descriptor, length)
    except OSError:
        # A termination log may be a pipe or a device in some runtimes.
        return
