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

_SCHEMA = (
    "SELECT coalesce((SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n"
    " ON n.oid = c.relnamespace WHERE c.oid = pg_catalog.to_regclass(pg_catalog.quote_ident('{table}'))),"
    " pg_catalog.current_schema())"
)
_STATE = (
    # Local to the transaction that a string of several statements is: behind a
    # pooler the next one on this session must not find them.
    "SET LOCAL lock_timeout = '500ms'; SET LOCAL statement_timeout = '5s';"
    " SELECT (SELECT coalesce(pg_catalog.string_agg(version_num::text, ',' ORDER BY version_num::text), 'base')"
    " FROM {versions}), EXISTS (SELECT FROM {history} WHERE ended_at IS NULL)"
)


def answer(words: list[str], environment: dict[str, str]) -> str:
    """Return the line to print where there is nothing to do; the result file is written then.

    Args:
        words: the command line, without the program.
        environment: the process's environment.

    Raises:
        QuickError: the full path has to look.
    """
    started = time.monotonic()
    command, target, options = request.understand(words, environment)
    heads: tuple[str, ...] | None = None
    if command != "version" or target is not None:
        heads = manifest.heads(_versions(options.get("tree", "tenant_registry")))
        if heads is None or not _means(target, heads):
            raise QuickError
    if command == "version":
        return _ask(options, environment, heads)[0]
    path = options.get("result-file")
    migrator = _own_version() if path else ""
    if path:
        _write(
            path,
            '{"v":1,"outcome":"started","lockWaitSeconds":0.0,"durationSeconds":0.0}',
        )
    position, server = _ask(options, environment, heads)
    line = f"nothing to do: the database is at {position}"
    if path:
        _write(
            path,
            f'{{"v":1,"outcome":"up_to_date","from":"{position}","to":"{position}","target":"{position}",'
            f'"pending":0,"dirty":false,"message":"{line}","lockWaitSeconds":0.0,'
            f'"durationSeconds":{round(time.monotonic() - started, 3)},"server":"{server}","migrator":"{migrator}"}}',
        )
    return line


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
    options: dict[str, str], environment: dict[str, str], heads: tuple[str, ...] | None
) -> tuple[str, str]:
    """Return position and server's version of a clean database that is at these heads."""
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
        position, is_open = session.row(
            _STATE.format(
                versions=f"{_quoted(schema)}.{_quoted(table)}",
                history=f"{_quoted(schema)}.{_quoted(f'{table}_history')}",
            )
        )
        server = session.show_version()
    finally:
        session.close()
    if is_open != "f" or position is None or (heads is not None and position != ",".join(heads)):
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
