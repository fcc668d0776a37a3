"""Each state opens, holds or fails the gates that read conditions, as the README's table says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from local_kubernetes.errors import ClusterError
from schema_operator.reason import Reason
from tests.gates.kstatus import Gate, compute
from tests.gates.resources import documented, in_state, outdated, unseen
from tests.operator.fix_operator import migration

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects

GATES = {
    ("True", ""): Gate.CURRENT,
    ("False", "Reconciling"): Gate.IN_PROGRESS,
    ("False", "Stalled"): Gate.FAILED,
    ("False", "–"): Gate.IN_PROGRESS,  # noqa: RUF001 - the README's dash
}

CONDITION = {"type": "Ready", "status": "True"}


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_has_its_documented_gate(reason: Reason) -> None:
    assert compute(in_state(reason)) == GATES[documented()[reason]]


@pytest.mark.parametrize("reason", Reason)
def test_an_answer_to_an_older_spec_holds_the_gate(reason: Reason) -> None:
    assert compute(outdated(reason)) == Gate.IN_PROGRESS


def test_a_resource_that_nobody_has_looked_at_holds_the_gate() -> None:
    assert compute(unseen()) == Gate.IN_PROGRESS


def row(name: str, gate: Gate, status: Any, **metadata: Any) -> Any:
    return pytest.param(gate, status, metadata, id=name.replace(" ", "-"))


@pytest.mark.parametrize(
    ("gate", "status", "metadata"),
    [
        row("no status at all", Gate.CURRENT, {}),
        row("no condition", Gate.CURRENT, {"observedGeneration": 1}),
        row("ready", Gate.CURRENT, {"conditions": [CONDITION]}),
        row("ready unknown", Gate.IN_PROGRESS, {"conditions": [CONDITION | {"status": "Unknown"}]}),
        row(
            "reconciling beats ready",
            Gate.IN_PROGRESS,
            {"conditions": [CONDITION, {"type": "Reconciling", "status": "True"}]},
        ),
        row(
            "stalled that is false is nothing",
            Gate.CURRENT,
            {"conditions": [{"type": "Stalled", "status": "False"}, CONDITION]},
        ),
        row(
            "of two the first counts",
            Gate.FAILED,
            {
                "conditions": [
                    {"type": "Stalled", "status": "True"},
                    {"type": "Reconciling", "status": "True"},
                ]
            },
        ),
        row(
            "on its way out", Gate.TERMINATING, {"conditions": [CONDITION]}, deletionTimestamp="now"
        ),
        row("a form that nobody knows", Gate.UNKNOWN, {"conditions": [{"kind": "Ready"}]}),
    ],
)
def test_kstatus_is_read_as_it_is_documented(
    gate: Gate, status: dict[str, Any], metadata: dict[str, Any]
) -> None:
    assert compute({"metadata": {"generation": 1, **metadata}, "status": status}) == gate


# kubectl wait


@pytest.fixture
def objects(installed: Cluster, objects: Objects) -> Objects:
    """The namespace of a cluster that knows the resource and has no operator."""
    return objects


def write(objects: Objects, status: dict[str, Any]) -> None:
    """Put a status where only the operator puts one."""
    patch = json.dumps([{"op": "add", "path": "/status", "value": status}])
    objects.kubectl(
        "patch", "smig", "shop", "--subresource=status", "--type=json", f"--patch={patch}"
    )


def opens(objects: Objects, what: str = "condition=Ready") -> bool:
    """Whether `kubectl wait` would go on at this moment."""
    try:
        objects.kubectl("wait", f"--for={what}", "smig/shop", "--timeout=0")
    except ClusterError as error:
        if "condition not met" not in str(error):
            raise
        return False
    return True


def test_kubectl_wait_opens_for_what_is_ready_and_for_nothing_else(objects: Objects) -> None:
    objects.apply(migration("shop"))
    assert not opens(objects), "no operator has looked at it"
    opened = {}
    for reason in Reason:
        write(objects, in_state(reason)["status"])
        opened[reason] = opens(objects)
    expected = {reason: ready == "True" for reason, (ready, _) in documented().items()}
    assert opened == expected


@pytest.mark.parametrize("where", ["condition", "status"])
def test_kubectl_wait_does_not_take_an_old_answer_for_a_new_one(
    objects: Objects, where: str
) -> None:
    """It compares the condition's own observedGeneration, and without one the status's."""
    objects.apply(migration("shop"))
    status = in_state(Reason.UP_TO_DATE)["status"]
    if where == "status":
        del status["conditions"][0]["observedGeneration"]
    write(objects, status)
    assert opens(objects)

    objects.apply(migration("shop", image="local/pretender:2"))

    assert not opens(objects)
    # Which is why the gate is the condition: a field's value is compared without the generation.
    assert opens(objects, """jsonpath={.status.conditions[?(@.type=="Ready")].status}=True""")
    write(objects, in_state(Reason.UP_TO_DATE, generation=2)["status"])
    assert opens(objects)
