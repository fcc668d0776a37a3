"""What a process finds in its environment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from local_kubernetes.node.environment import Resolver, UnresolvedError, expand
from tests.local.workload import container, from_secret, phase, pod, secret, waits_for

if TYPE_CHECKING:
    from tests.fix_cluster import Objects

RESULT = {"name": "RESULT", "value": "/dev/termination-log"}


def message(objects: Objects, name: str) -> str:
    status = phase(objects, name, "Succeeded")
    return str(status["containerStatuses"][0]["state"]["terminated"].get("message", ""))


def test_a_late_secret_is_waited_for(objects: Objects) -> None:
    main = container('printf "$URL" > "$RESULT"', env=[RESULT, from_secret("URL", "late", "url")])
    objects.apply(pod("patient", main))

    words = waits_for(objects, "patient", ["CreateContainerConfigError"])
    assert words == 'secret "late" not found'

    begun = time.monotonic()
    objects.apply(secret("late", url="here at last"))
    assert message(objects, "patient") == "here at last"
    assert time.monotonic() - begun < 5


def test_a_missing_key_is_named(objects: Objects) -> None:
    main = container('printf "$URL" > "$RESULT"', env=[RESULT, from_secret("URL", "half", "url")])
    objects.apply(secret("half", other="x"), pod("patient", main))

    words = waits_for(objects, "patient", ["CreateContainerConfigError"])
    assert words == f"couldn't find key url in Secret {objects.namespace}/half"

    objects.apply(secret("half", url="now"))
    assert message(objects, "patient") == "now"


def test_only_what_the_pod_names_is_there(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    field = {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    optional = from_secret("NOTHING", "absent", "key", optional=True)
    expanded = {"name": "BOTH", "value": "$(POD) in $(ALL_user) $$(POD) $(UNKNOWN)"}
    main = container(
        'env | sort > "$RESULT"',
        env=[RESULT, field, optional, expanded],
        envFrom=[{"prefix": "ALL_", "secretRef": {"name": "all"}}],
    )
    objects.apply(secret("all", user="somebody"), pod("bare", main))

    lines = dict(line.split("=", 1) for line in message(objects, "bare").splitlines())

    assert lines["BOTH"] == "bare in somebody $(POD) $(UNKNOWN)"
    lines.pop("_", None)  # the shell's own
    assert set(lines) == {"ALL_user", "BOTH", "HOME", "PATH", "POD", "PWD", "RESULT", "TMPDIR"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B)-$(A)", "$(B)-1"),
        ("$A ${A} $(", "$A ${A} $("),
        ("$$", "$"),
    ],
)
def test_references_are_expanded_as_a_kubelet_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_a_source_that_is_not_known_is_refused_by_its_name() -> None:
    class NoRequests:
        async def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
            raise AssertionError(method, path, body)

    variable = {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}
    resolver = Resolver(NoRequests(), pod("p"), "node")
    resolving = resolver.resolve({"env": [variable]}, {})

    with pytest.raises(UnresolvedError, match="resourceFieldRef of variable CPU"):
        resolving.send(None)
