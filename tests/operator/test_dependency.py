"""Dependencies: who waits for whom, and who waits in a circle."""

from __future__ import annotations

from typing import Any

import pytest

from schema_operator import dependency, names, projection
from schema_operator.cache import Cache
from schema_operator.observe import spec_of
from schema_operator.resource import Spec
from tests.operator.worlds import spec

READY = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "UpToDate"}
READY |= {"lastTransitionTime": "2026-03-01T11:00:00Z", "message": "x"}
FAILED = READY | {"status": "False", "reason": "MigrationFailed"}


def key(name: str) -> names.Key:
    return names.Key("shops", name)


def put(
    cache: Cache,
    name: str,
    *others: str,
    ready: dict[str, Any] | None = None,
    version: int = 1,
    generation: int = 1,
    namespace: str = "shops",
) -> None:
    wish = spec(dependsOn=[{"name": other} for other in others])
    body = {
        "metadata": {
            "namespace": namespace,
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "generation": generation,
        },
        "spec": wish.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
        ),
        "status": {"observedGeneration": 1, "conditions": [ready]} if ready else {},
    }
    cache.put_resource(projection.of_resource(body))


def wish(cache: Cache, name: str) -> Spec:
    view = cache.resource(key(name))
    assert view is not None
    found = spec_of(view.spec)
    assert isinstance(found, Spec)
    return found


CASES: dict[str, tuple[dict[str, Any] | None, str]] = {
    "missing": (None, "does not exist"),
    "without-a-status": ({}, "is not Ready"),
    "failed": ({"ready": FAILED}, "is not Ready (MigrationFailed)"),
    "ready-for-an-older-spec": ({"ready": READY, "generation": 2}, "is not Ready"),
    "ready": ({"ready": READY}, ""),
    "ready-in-another-namespace": ({"ready": READY, "namespace": "other"}, "does not exist"),
}


@pytest.mark.parametrize(("other", "said"), CASES.values(), ids=CASES)
def test_a_dependency_counts_when_it_is_ready_for_its_present_spec(
    other: dict[str, Any] | None, said: str
) -> None:
    cache = Cache()
    put(cache, "shop", "base")
    if other is not None:
        put(cache, "base", **other)
    found = dependency.unmet(cache, key("shop"), wish(cache, "shop"))
    assert (said in found) if said else not found


def test_every_member_of_a_circle_knows_it_and_nobody_else() -> None:
    cache = Cache()
    for name, others in {"a": ["b"], "b": ["c", "e"], "c": ["a"], "d": ["a"], "e": []}.items():
        put(cache, name, *others)
    found = {name: dependency.circle(cache, key(name), wish(cache, name)) for name in "abcde"}
    assert found["a"] == ("a", "b", "c", "a")
    assert set(found["b"]) == set(found["c"]) == {"a", "b", "c"}
    assert found["d"] == found["e"] == ()


def test_dependents_are_known_before_and_after_what_they_depend_on() -> None:
    cache = Cache()
    put(cache, "shop", "base", "users")
    assert cache.dependents_of(key("base")) == (key("shop"),)
    put(cache, "shop", "users", version=2)
    assert cache.dependents_of(key("base")) == ()
    assert cache.dependents_of(key("users")) == (key("shop"),)
    cache.drop_resource(key("shop"), "uid-shop")
    assert cache.dependents_of(key("users")) == ()
