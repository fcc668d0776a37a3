"""What is deleted in mid-run: the resource in every manner, its namespace, the node under its pod."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.faults.onlooker import Onlooker
from tests.fix_cluster import eventually
from tests.operator.fix_operator import Migrations, operating

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects
    from tests.operator.fix_operator import Operator

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

RETRY = {"backoff": "200ms", "maxBackoff": "1s"}
SLOW = [{"outcome": "applied", "sleep": 4}]


def begun(migrations: Migrations, counter: Path, **template: object) -> None:
    """A resource whose migrator is at work."""
    migrations.secret("shop", counter=str(counter), steps=SLOW)
    migrations.apply("shop", retry=RETRY, podTemplate=template)
    eventually(lambda: counter.exists() and counter.read_text() == "1", 30)


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_a_resource_deleted_in_mid_run_and_made_again_at_once(
    migrations: Migrations, objects: Objects, tmp_path: Path, cascade: str
) -> None:
    counter = tmp_path / "runs"
    with Onlooker(objects).looking() as onlooker:
        begun(migrations, counter)
        objects.kubectl("delete", "smig", "shop", f"--cascade={cascade}", "--wait=false")
        eventually(lambda: objects.get("schemamigration", "shop") is None, 60)
        migrations.apply("shop", retry=RETRY)
        assert migrations.until("shop", "UpToDate", 90)["version"] == "0001"
    assert onlooker.wrong == []
    assert counter.read_text() == "2"


def test_a_namespace_deleted_in_mid_run_and_made_again(
    installed: Cluster, objects: Objects, operator: Operator, tmp_path: Path
) -> None:
    migrations, counter = Migrations(objects), tmp_path / "runs"
    begun(migrations, counter)
    name = objects.namespace
    installed.kubectl("delete", "namespace", name, "--wait=true", "--timeout=120s", seconds=130)
    installed.kubectl("create", "namespace", name)
    installed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name, "--timeout=20s")
    with Onlooker(objects).looking() as onlooker:
        migrations.secret("shop", counter=str(counter), steps=[{"outcome": "applied"}])
        migrations.apply("shop", retry=RETRY)
        migrations.until("shop", "UpToDate", 90)
    assert onlooker.wrong == []
    assert operator.process is not None
    assert operator.process.poll() is None


def test_a_node_that_is_gone_under_a_running_pod(
    installed: Cluster, objects: Objects, tmp_path: Path
) -> None:
    counter = tmp_path / "runs"
    with (
        operating(installed, objects.namespace, tmp_path / "operator.log"),
        Onlooker(objects).looking() as onlooker,
        installed.node("doomed") as node,
    ):
        migrations = Migrations(objects)
        begun(migrations, counter, nodeSelector={"kubernetes.io/hostname": "doomed"})
        node.send_signal(signal.SIGKILL)
        installed.kubectl("delete", "node", "doomed")
        # It may still be at work there, for all that anybody knows.
        migrations.patch("shop", podTemplate={"nodeSelector": None})
        status = migrations.until("shop", "UpToDate", 200)
        assert [one["outcome"] for one in status["history"]] == ["applied", "unknown"]
        assert onlooker.wrong == []
    assert counter.read_text() == "2"
