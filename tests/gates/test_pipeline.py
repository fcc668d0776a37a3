"""The script that a pipeline waits with: what it says and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from schema_operator.reason import Reason
from tests.gates.resources import in_state
from tests.operator.fix_operator import migration

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects
    from tests.operator.fix_operator import Migrations, Operator

SCRIPT = Path(__file__).parents[2] / "deploy" / "pipelines" / "wait.sh"

Ended = subprocess.CompletedProcess[str]


class Wait(Protocol):
    """A call of the script."""

    def __call__(self, *arguments: str, stdin: str = "") -> Ended: ...


@pytest.fixture
def wait(cluster: Cluster, namespace: str, tmp_path: Path) -> Wait:
    """Calls the script in the test's namespace, as a pipeline would that has kubectl on its path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(cluster.kubectl_path)
    environment = {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "KUBECONFIG": str(cluster.kubeconfig),
        "HOME": str(tmp_path),
    }

    def call(*arguments: str, stdin: str = "") -> Ended:
        return subprocess.run(
            [str(SCRIPT), "-n", namespace, *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


def manifest(**spec: Any) -> str:
    return json.dumps(migration("shop", **spec))


def test_what_becomes_ready_lets_the_pipeline_go_on(migrations: Migrations, wait: Wait) -> None:
    migrations.secret("shop", sleep=1)
    ended = wait("-t", "50", "-f", "-", "shop", stdin=manifest())
    assert ended.returncode == 0, ended
    lines = ended.stdout.splitlines()
    assert lines[0].endswith("/shop created")
    assert lines[-1] == "UpToDate: The database is at 0001."
    assert len(set(lines)) == len(lines), "each state is said once"


def test_what_stalls_fails_the_pipeline_long_before_its_time_is_up(
    migrations: Migrations, wait: Wait, tmp_path: Path
) -> None:
    migrations.secret("shop", outcome="failed", message="column exists", sqlstate="42701")
    (tmp_path / "shop.json").write_text(manifest(retry={"limit": 0}))
    ended = wait("-t", "3600", "-f", str(tmp_path / "shop.json"), "shop")
    assert ended.returncode == 1, ended
    last = ended.stdout.splitlines()[-1]
    assert last.startswith("MigrationFailed: ")
    assert "column exists (SQLSTATE 42701)" in last


@pytest.mark.parametrize("reason", [Reason.UP_TO_DATE, Reason.MIGRATION_FAILED])
def test_an_answer_to_an_older_spec_is_none(
    installed: Cluster, objects: Objects, wait: Wait, reason: Reason
) -> None:
    """Without an operator, so that it stays the only one."""
    objects.apply(migration("shop"))
    patch = json.dumps([{"op": "add", "path": "/status", "value": in_state(reason)["status"]}])
    objects.kubectl(
        "patch", "smig", "shop", "--subresource=status", "--type=json", f"--patch={patch}"
    )
    assert wait("-t", "1", "shop").returncode == (0 if reason is Reason.UP_TO_DATE else 1)

    ended = wait("-t", "1", "-f", "-", "shop", stdin=manifest(image="local/pretender:2"))

    assert ended.returncode == 3, ended
    assert ended.stdout.splitlines()[-1] == "no operator has looked at the present spec yet"
    assert ended.stderr == "not Ready within 1 seconds\n"


def test_what_waits_for_a_person_is_said_and_waited_for(migrations: Migrations, wait: Wait) -> None:
    migrations.apply("shop", suspend=True)
    migrations.until("shop", "Suspended")
    ended = wait("-t", "0", "shop")
    assert ended.returncode == 3
    assert ended.stdout.startswith("Suspended: ")


def test_what_the_server_refuses_is_told_in_its_words(installed: Cluster, wait: Wait) -> None:
    ended = wait("-f", "-", "shop", stdin=manifest(target="base"))
    assert ended.returncode == 4
    assert "target base needs allowDowngrade: true" in ended.stderr


def test_what_does_not_exist_is_not_waited_for(installed: Cluster, wait: Wait) -> None:
    ended = wait("shop")
    assert ended.returncode == 4
    assert ended.stderr == "there is no SchemaMigration shop\n"


@pytest.mark.parametrize(
    "arguments",
    [(), ("one", "two"), ("-t", "soon", "shop"), ("-t", "", "shop"), ("-x", "shop")],
    ids=" ".join,
)
def test_a_wrong_call_shows_the_usage(arguments: tuple[str, ...]) -> None:
    ended = subprocess.run([str(SCRIPT), *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "usage: wait.sh" in ended.stderr


def test_an_operator_that_comes_late_is_waited_for(
    migrations: Migrations, operator: Operator, wait: Wait
) -> None:
    operator.stop()
    migrations.secret("shop")
    assert wait("-t", "0", "-f", "-", "shop", stdin=manifest()).returncode == 3
    operator.start()
    assert wait("-t", "50", "shop").returncode == 0
