"""The node program itself: registration, rights, restart, and its end however it comes."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from local_kubernetes.cluster import Cluster
from local_kubernetes.errors import ClusterError
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity
from tests.fix_cluster import eventually
from tests.local.test_pods import alive, written_pid
from tests.local.workload import container, phase, pod, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_cluster import Objects

TAINT = "local-kubernetes.dev/own=true:NoSchedule"


@pytest.fixture
def node(cluster: Cluster, namespace: str) -> str:
    """The name of a node that this test starts for itself."""
    if not cluster.ours:
        pytest.skip("an existing cluster gets no node of ours")
    return f"node-{namespace}"


def on(node: str, name: str, script: str) -> dict[str, Any]:
    return pod(name, container(script), nodeName=node)


def test_a_node_leaves_nothing_in_the_api(cluster: Cluster, node: str, objects: Objects) -> None:
    with cluster.node(node, f"--taint={TAINT}"):
        objects.apply(on(node, "runs", "exec sleep 300"))
        state(objects, "runs", "running")
        registered = objects.get("node", node) or {}
        assert registered["spec"]["taints"][0]["key"] == "local-kubernetes.dev/own"

    ended = phase(objects, "runs", "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 143
    assert objects.get("node", node) is None
    leases = cluster.kubectl("get", "lease", "-n", "kube-node-lease", "-o", "name")
    assert node not in leases


def test_a_killed_node_leaves_no_process(
    cluster: Cluster, node: str, objects: Objects, tmp_path: Path
) -> None:
    script = (
        f"trap '' TERM; echo $$ > {tmp_path}/first; sleep 300 & echo $! > {tmp_path}/child;"
        f" setsid sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 300' & wait"
    )
    with cluster.node(node, f"--taint={TAINT}") as program:
        objects.apply(on(node, "runs", script))
        pids = [written_pid(tmp_path / name) for name in ("first", "child", "daemon")]

        program.send_signal(signal.SIGKILL)

        eventually(lambda: not any(alive(pid) for pid in pids))


def test_a_restarted_node_takes_up_what_is_bound_to_it(
    cluster: Cluster, node: str, objects: Objects, tmp_path: Path
) -> None:
    with cluster.node(node, f"--taint={TAINT}") as program:
        objects.apply(on(node, "ran", f"echo once >> {tmp_path}/runs; exec sleep 300"))
        state(objects, "ran", "running")
        program.send_signal(signal.SIGKILL)
        program.wait()
        objects.apply(on(node, "waits", "true"))

        with cluster.node(node):
            status = phase(objects, "ran", "Failed")
            phase(objects, "waits", "Succeeded")

    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert ended["reason"] == "ContainerStatusUnknown"
    assert (tmp_path / "runs").read_text() == "once\n"


def test_a_pod_ends_well_though_the_api_server_breaks(tmp_path: Path) -> None:
    # A cluster of its own: nobody else's tests shall notice.
    options = Options(images={"local/shell:*": ()}, owner=Identity.own())
    with Cluster.start(tmp_path / "cluster", options) as own:
        script = f"touch {tmp_path}/begun; sleep 0.5; touch {tmp_path}/ended; exit 4"
        during = pod("during", container(script))
        own.kubectl("apply", "--filename=-", stdin=json.dumps(during))
        # Stopped any earlier, the server would keep the pod from its node.
        eventually((tmp_path / "begun").exists)
        server = own.processes["kube-apiserver"]
        server.signal(signal.SIGSTOP)
        try:
            eventually((tmp_path / "ended").exists)
        finally:
            server.signal(signal.SIGCONT)

        own.kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/during", "--timeout=20s")
        path = "{.status.containerStatuses[0].state.terminated.exitCode}"
        code = own.kubectl("get", "pod", "during", f"--output=jsonpath={path}")

    assert code == "4"


def test_a_node_may_not_read_the_secrets_of_others(cluster: Cluster, node: str) -> None:
    with cluster.node(node, f"--taint={TAINT}"):
        rights = ["auth", "can-i", "--as", f"system:node:{node}", "--as-group", "system:nodes"]
        with pytest.raises(ClusterError):
            cluster.kubectl(*rights, "list", "secrets", "--all-namespaces")
