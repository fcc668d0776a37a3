"""What a resource depends on: other resources of its namespace that must be Ready first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydantic

from schema_operator import names, projection, resource
from schema_operator.reason import ConditionType

if TYPE_CHECKING:
    from schema_operator.cache import Cache
    from schema_operator.names import Key


def unmet(cache: Cache, key: Key, spec: resource.Spec) -> str:
    """Return which dependencies are not there yet, in words; empty: all are."""
    missing = (_missing(cache, names.Key(key.namespace, one.name)) for one in spec.depends_on)
    return "; ".join(words for words in missing if words)


def _missing(cache: Cache, key: Key) -> str:
    view = cache.resource(key)
    if view is None:
        return f"SchemaMigration {key.name} does not exist"
    try:
        status = resource.Status.model_validate_json(view.status)
    except pydantic.ValidationError:
        status = resource.Status()
    ready = status.condition(ConditionType.READY)
    current = status.observed_generation == view.generation and not view.deleting
    if ready is not None and ready.status == "True" and current:
        return ""
    reason = f" ({ready.reason})" if ready is not None and current else ""
    return f"SchemaMigration {key.name} is not Ready{reason}"


def circle(cache: Cache, key: Key, spec: resource.Spec) -> tuple[str, ...]:
    """Return the way from a resource back to itself, by names; empty: there is none.

    Whoever only depends on members of a circle is in none.
    """
    if not spec.depends_on:
        return ()
    ways: list[tuple[str, ...]] = [(key.name, one.name) for one in spec.depends_on]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == key.name:
            return way
        if way[-1] in seen:
            continue
        seen.add(way[-1])
        view = cache.resource(names.Key(key.namespace, way[-1]))
        if view is not None:
            ways += [(*way, name) for name in projection.depends_on(view)]
    return ()
