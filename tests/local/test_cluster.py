"""The control plane: what it enforces, whom it knows, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from local_kubernetes import binaries
from local_kubernetes.__main__ import main
from local_kubernetes.cluster import EXISTING_VARIABLE, Cluster
from local_kubernetes.errors import ClusterError
from local_kubernetes.folders import Folder
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity
from tests.fix_cluster import eventually
from tests.local.workload import container, pod

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.audit import Request
    from tests.fix_cluster import Objects


def as_user(
    cluster: Cluster, kubeconfig: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    command = [str(cluster.kubectl_path), f"--kubeconfig={kubeconfig}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_version_is_the_one_that_was_built(cluster: Cluster) -> None:
    if not cluster.ours or "KUBEBUILDER_ASSETS" in os.environ:
        pytest.skip("somebody else built it")
    assert cluster.version == f"v{binaries.kubernetes_version()}"


def test_a_user_by_certificate_has_no_right_until_it_is_given(
    cluster: Cluster, objects: Objects
) -> None:
    if not cluster.ours:
        pytest.skip("no authority to sign with")
    kubeconfig = cluster.kubeconfig_for("somebody", groups=["readers"])

    refused = as_user(cluster, kubeconfig, "get", "pods", "-n", objects.namespace)
    objects.kubectl("create", "rolebinding", "readers", "--clusterrole=view", "--group=readers")

    assert 'User "somebody" cannot list' in refused.stderr
    eventually(
        lambda: as_user(cluster, kubeconfig, "get", "pods", "-n", objects.namespace).returncode == 0
    )


def test_the_audit_log_tells_who_asked_for_what(cluster: Cluster, objects: Objects) -> None:
    if not cluster.ours:
        pytest.skip("somebody else's log")
    kubeconfig = cluster.kubeconfig_for("auditee", groups=["system:masters"])
    mark = cluster.audit_log.end()

    as_user(cluster, kubeconfig, "create", "configmap", "one", "-n", objects.namespace)
    as_user(cluster, kubeconfig, "get", "configmap", "two", "-n", objects.namespace)

    def requests() -> list[Request]:
        found = cluster.audit_log.since(mark, "auditee")
        return [one for one in found if one.resource == "configmaps"]

    eventually(lambda: len(requests()) == 2)
    assert [(one.verb, one.resource, one.name, one.code) for one in requests()] == [
        ("create", "configmaps", "one", 201),
        ("get", "configmaps", "two", 404),
    ]
    assert {one.namespace for one in requests()} == {objects.namespace}
    assert all(one.received <= one.answered for one in requests())
    assert cluster.audit_log.since(cluster.audit_log.end(), "auditee") == []
    assert cluster.audit_log.since(mark, "audite") == []


def test_a_service_account_is_who_it_is(cluster: Cluster, namespace: str) -> None:
    kubeconfig = cluster.kubeconfig_for_service_account(namespace, "default")

    answer = as_user(cluster, kubeconfig, "auth", "whoami", "--output=json")

    who = json.loads(answer.stdout)["status"]["userInfo"]["username"]
    assert who == f"system:serviceaccount:{namespace}:default"


def test_pod_security_is_enforced(cluster: Cluster, objects: Objects) -> None:
    cluster.kubectl(
        "label", "namespace", objects.namespace, "pod-security.kubernetes.io/enforce=restricted"
    )

    with pytest.raises(ClusterError, match="violates PodSecurity"):
        objects.apply(pod("loose", container("true")))


def test_up_finds_it_again_and_down_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EXISTING_VARIABLE, raising=False)
    folder = tmp_path / "cluster"
    where = ["--folder", str(folder)]

    assert main([*where, "up", "--no-node"]) == 0
    try:
        state = Folder(folder).state()
        assert state is not None
        processes = [state.supervisor, *state.components.values()]
        assert all(each.alive() for each in processes)
        begun = time.monotonic()
        assert main([*where, "up"]) == 0
        assert time.monotonic() - begun < 1
        assert main([*where, "status"]) == 0
        assert "Kubernetes v" in capsys.readouterr().out
    finally:
        assert main([*where, "down"]) == 0

    assert not any(each.alive() for each in processes)
    assert not folder.exists()
    assert main([*where, "status"]) == 3


def test_a_cluster_ends_with_the_process_it_was_started_for(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "cluster")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        options = Options(nodes=(), owner=Identity.of(owner.pid))
        Cluster.start(folder.path, options)
        state = folder.state()
        assert state is not None

        owner.send_signal(signal.SIGKILL)

    assert state.supervisor.wait(10)
    assert not any(each.alive() for each in state.components.values())
    eventually(lambda: not folder.path.exists())


def test_a_cluster_that_breaks_says_which_part(tmp_path: Path) -> None:
    broken = tmp_path / "assets"
    broken.mkdir()
    (broken / "etcd").write_text("#!/bin/sh\necho no store today >&2\nexit 1\n")
    (broken / "etcd").chmod(0o755)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBEBUILDER_ASSETS", str(broken))
        with pytest.raises(ClusterError, match=r"etcd ended by itself.*no store today"):
            Cluster.start(tmp_path / "cluster", Options(nodes=()))


def test_a_folder_with_other_things_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(EXISTING_VARIABLE, raising=False)
    (tmp_path / "mine").write_text("precious")

    assert main(["--folder", str(tmp_path), "up"]) == 1
    assert main(["--folder", str(tmp_path), "down"]) == 0

    assert (tmp_path / "mine").read_text() == "precious"


def test_a_named_cluster_is_used_and_none_started(
    cluster: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(EXISTING_VARIABLE, str(cluster.kubeconfig))

    assert main(["--folder", str(tmp_path / "unused"), "up"]) == 0

    assert capsys.readouterr().out.strip() == str(cluster.kubeconfig)
    assert not (tmp_path / "unused").exists()
