"""The control plane itself broken: stopped for two minutes, and its store brought back from a copy."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from kubernetes import config

from local_kubernetes import server
from local_kubernetes.cluster import Cluster
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity
from local_kubernetes.supervisor import Plan
from tests.faults.onlooker import Onlooker
from tests.fix_cluster import Objects, eventually
from tests.operator.fix_operator import Migrations, Operator, install, operating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

PLACE = "shops"
RETRY = {"backoff": "200ms", "maxBackoff": "1s"}
AWAY_SECONDS = 120


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that may be broken."""
    with Cluster.start(tmp_path / "cluster", Options(owner=Identity.of(os.getpid()))) as cluster:
        install(cluster)
        cluster.kubectl("create", "namespace", PLACE)
        account = ("--for=create", "serviceaccount/default", f"--namespace={PLACE}")
        cluster.kubectl("wait", *account, "--timeout=20s")
        yield cluster


@pytest.fixture
def migrations(own: Cluster) -> Iterator[Migrations]:
    new_client: Any = config.new_client_from_config
    with new_client(str(own.kubeconfig), persist_config=False) as api:
        yield Migrations(Objects(own, PLACE, api))


@pytest.fixture
def operator(own: Cluster, tmp_path: Path) -> Iterator[Operator]:
    with operating(own, PLACE, tmp_path / "operator.log") as running:
        yield running


@contextlib.contextmanager
def frozen(*processes: int) -> Iterator[None]:
    """Let processes do nothing while the block runs."""
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def test_the_api_server_hangs_for_two_minutes_while_a_run_ends(
    own: Cluster, operator: Operator, migrations: Migrations, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    migrations.secret("before", counter=str(tmp_path / "others"))
    migrations.apply("before", retry=RETRY)
    migrations.until("before", "UpToDate")
    migrations.secret("shop", counter=str(runs), steps=[{"outcome": "applied", "sleep": 3}])
    migrations.apply("shop", retry=RETRY)
    with Onlooker(migrations.objects).looking() as onlooker:
        migrations.until("shop", "Migrating")
        with frozen(own.processes["kube-apiserver"].pid):
            until = time.monotonic() + AWAY_SECONDS
            # Long enough away, it says that it hears nothing any more.
            eventually(lambda: not operator.ready(), AWAY_SECONDS)
            time.sleep(max(0.0, until - time.monotonic()))
        migrations.until("shop", "UpToDate", 90)
        assert onlooker.wrong == []
    assert runs.read_text() == "1"
    assert len(migrations.jobs("shop")) == 1
    eventually(operator.ready, 60)
    migrations.secret("after", counter=str(tmp_path / "others"))
    migrations.apply("after", retry=RETRY)
    # The node was not heard of either, so at first it gets no pods.
    migrations.until("after", "UpToDate", 120)


@contextlib.contextmanager
def restored(cluster: Cluster, copy: Path) -> Iterator[None]:
    """Bring the store back from a copy, with everything begun anew, as is told for a real cluster."""
    state = cluster.folder.state()
    assert state is not None
    plan = Plan.read(cluster.folder.plan)
    started: list[subprocess.Popen[bytes]] = []
    # It would end all the rest where one part ends.
    with frozen(state.supervisor.pid):
        for process in state.components.values():
            os.kill(process.pid, signal.SIGKILL)
        shutil.rmtree(cluster.folder.etcd)
        shutil.copytree(copy, cluster.folder.etcd)
        try:
            for component in plan.components:
                with (cluster.folder.logs / f"{component.name}-again.log").open("ab") as log:
                    started.append(
                        subprocess.Popen(
                            component.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                        )
                    )
                if component.name == "kube-apiserver":
                    authority = cluster.folder.certificates / "ca.crt"
                    eventually(lambda: server.is_ready(plan.server, authority), 60)  # noqa: B023 - called at once
            yield
        finally:
            for each in started:
                each.terminate()
            for each in started:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    each.wait(5)
                each.kill()
                each.wait()


def test_the_store_is_brought_back_from_a_copy_and_the_operator_begins_anew(
    own: Cluster, operator: Operator, migrations: Migrations, tmp_path: Path
) -> None:
    def apply(name: str, image: str) -> None:
        migrations.secret(name, counter=str(tmp_path / f"{name}.runs"))
        migrations.apply(name, retry=RETRY, image=f"local/pretender:{image}")

    apply("shop", "1")
    migrations.until("shop", "UpToDate")
    copy = tmp_path / "copy"
    with frozen(own.processes["etcd"].pid):
        shutil.copytree(own.folder.etcd, copy)
    # All this will never have been.
    migrations.patch("shop", image="local/pretender:2")
    apply("late", "1")
    for name in ("shop", "late"):
        migrations.until(name, "UpToDate")

    with restored(own, copy):
        assert operator.process is not None
        assert operator.process.wait(20) == 1
        assert "its store was restored" in operator.log.read_text()
        operator.start()
        assert migrations.until("shop", "UpToDate", 60)["generation"] == 1
        migrations.patch("shop", image="local/pretender:2")
        apply("late", "1")
        for name in ("shop", "late"):
            migrations.until(name, "UpToDate", 60)
        assert operator.stop() == 0
