"""A tree's heads and checksums, read from its source without running or importing any of it.

For the manifest, which is made where neither Alembic nor the tree's own imports
need to be: when a wheel is built. What can't be read for certain is refused, so
that a manifest never says what loading the tree would not.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from schema_migrator import checksum, sql_file
from schema_migrator.errors import ConfigurationError
from schema_migrator.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ID = re.compile(r"[A-Za-z0-9_.-]+")
_NOT_A_REVISION = re.compile(r"\.#|__init__")
"""How the names begin of those Python files that Alembic passes over."""

_GRAPH = ("revision", "down_revision")


def read(versions: Path) -> Manifest:
    """Return what the manifest of a directory of revisions has to say.

    Args:
        versions: the directory of the revisions.

    Raises:
        ConfigurationError: there are none, or a revision computes its place.
    """
    paths = sorted(path for path in versions.iterdir() if path.is_file())
    parents: dict[str, tuple[str, ...]] = {}
    sources: dict[str, Path] = {}
    for path in paths:
        if path.suffix == ".py" and not _NOT_A_REVISION.match(path.name):
            revision, below = _place(path)
            if revision in parents:
                raise ConfigurationError(f"{path.name}: another file is revision {revision} too")
            parents[revision], sources[revision] = below, path
    numbers = {int(one): one for one in parents if one.isdigit()}
    pairs = sql_file.pairs(paths)
    numbers |= {pair.number: pair.id for pair in pairs}
    ordered = sorted(numbers)
    for pair in pairs:
        place = ordered.index(pair.number)
        parents[pair.id] = (numbers[ordered[place - 1]],) if place else ()
        sources[pair.id] = pair.up
    below_another = {one for several in parents.values() for one in several}
    if unknown := below_another - parents.keys():
        raise ConfigurationError(f"revision {min(unknown)} is stood on, but not there")
    found = tuple(sorted(parents.keys() - below_another))
    if not found:
        raise ConfigurationError(f"there is no head in {versions}")
    if odd := [one for one in parents if not _ID.fullmatch(one)]:
        raise ConfigurationError(
            f'the id "{odd[0]}" holds more than letters, digits, dot, dash and underscore'
        )
    return Manifest(found, {one: checksum.of_file(path) for one, path in sorted(sources.items())})


def _place(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return a Python revision's id and those that it stands on.

    Raises:
        ConfigurationError: they are not written as plain values, once, at top level.
    """
    try:
        module = ast.parse(path.read_bytes(), path.name)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{path.name} is no Python source") from error
    values: dict[str, object] = {}
    for statement in module.body:
        for name, value in _assigned(statement):
            if name in values:
                raise ConfigurationError(f"{path.name} sets {name} twice")
            try:
                values[name] = ast.literal_eval(value)
            except ValueError as error:
                raise ConfigurationError(
                    f"{path.name} computes its {name}; a manifest needs plain values"
                ) from error
    if len(values) != _bindings(module):
        raise ConfigurationError(
            f"{path.name} sets its place in the tree elsewhere than at top level"
        )
    revision, below = values.get("revision"), values.get("down_revision")
    if not isinstance(revision, str):
        raise ConfigurationError(f"{path.name} does not say which revision it is")
    several = () if below is None else tuple(below) if isinstance(below, list | tuple) else (below,)
    return revision, tuple(str(one) for one in several)


def _assigned(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield those names of the graph that a statement assigns, with their values."""
    if isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name) and target.id in _GRAPH:
                yield target.id, statement.value
    elif (
        isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id in _GRAPH
        and statement.value is not None
    ):
        yield statement.target.id, statement.value


def _bindings(module: ast.Module) -> int:
    """Return how often the names of the graph are bound anywhere in a module; imports count twice."""
    count = 0
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            count += node.id in _GRAPH
        elif isinstance(node, ast.alias):
            count += 2 * ((node.asname or node.name) in (*_GRAPH, "*"))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            count += 2 * (node.name in _GRAPH)
    return count
