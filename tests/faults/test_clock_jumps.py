"""The clock of the operator's machine is set forward and back while it is at work."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.onlooker import Onlooker
from tests.fix_cluster import Objects, eventually
from tests.operator.fix_operator import Migrations, Operator, condition, pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_kubernetes.cluster import Cluster

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

RETRY = {"backoff": "3s", "maxBackoff": "3s"}


class Machine:
    """The machine of an operator, whose clock can be set: libfaketime shows it another one."""

    def __init__(self, folder: Path) -> None:
        self._difference = folder / "clock"
        self.set("+0")

    @staticmethod
    def library() -> Path | None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        return found[0] if found else None

    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(self.library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._difference),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, difference: str) -> None:
        """Set the clock so far from the true one: ``+1h``, ``-4m``."""
        self._difference.write_text(f"{difference}\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    if Machine.library() is None:
        pytest.skip("needs libfaketime (apt-get install faketime)")
    return Machine(tmp_path)


@pytest.fixture
def operator(
    installed: Cluster, namespace: str, tmp_path: Path, machine: Machine
) -> Iterator[Operator]:
    running = Operator(
        installed,
        (f"--namespace={namespace}",),
        tmp_path / "operator.log",
        environment=machine.environment(),
        namespace=namespace,
    )
    try:
        running.start()
        yield running
    except BaseException:
        sys.stderr.write(running.log.read_text())
        raise
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()


@pytest.fixture
def migrations(objects: Objects, operator: Operator) -> Migrations:
    return Migrations(objects)


def touch(migrations: Migrations, name: str, word: str) -> None:
    """Change what decides nothing, so that the operator looks at the resource once more."""
    migrations.objects.kubectl("label", "smig", name, f"touched={word}", "--overwrite")


def looks(operator: Operator) -> float:
    """How many turns the operator has taken so far."""
    lines = operator.http("/metrics").splitlines()
    [count] = [one for one in lines if one.startswith("schema_operator_reconcile_seconds_count")]
    return float(count.split()[-1])


def looked_again(migrations: Migrations, operator: Operator, name: str, word: str) -> None:
    before = looks(operator)
    touch(migrations, name, word)
    eventually(lambda: looks(operator) > before)


@pytest.mark.parametrize("jump", ["+2h", "-4m"])
def test_a_run_under_way_goes_on(
    operator: Operator, migrations: Migrations, machine: Machine, tmp_path: Path, jump: str
) -> None:
    runs = tmp_path / "runs"
    migrations.secret("shop", counter=str(runs), steps=[{"outcome": "applied", "sleep": 4}])
    with Onlooker(migrations.objects).looking() as onlooker:
        migrations.apply("shop", timeout="1m", retry=RETRY)
        migrations.until("shop", "Migrating")
        eventually(runs.exists)
        machine.set(jump)
        looked_again(migrations, operator, "shop", "once")
        migrations.until("shop", "UpToDate")
        assert onlooker.wrong == []
    assert runs.read_text() == "1"
    assert len(migrations.jobs("shop")) == 1


def test_the_next_attempt_comes_when_it_was_due_though_the_clock_was_set_back(
    operator: Operator, migrations: Migrations, machine: Machine, tmp_path: Path
) -> None:
    ends = [{"outcome": "failed", "sqlstate": "57014"}, {"outcome": "applied"}]
    migrations.secret("shop", counter=str(tmp_path / "runs"), steps=ends)
    migrations.apply("shop", retry=RETRY)
    migrations.until("shop", "Retrying")
    machine.set("-4m")
    looked_again(migrations, operator, "shop", "once")
    migrations.until("shop", "UpToDate", 30)


def test_the_next_attempt_does_not_come_early_though_the_clock_was_set_forward(
    operator: Operator, migrations: Migrations, machine: Machine
) -> None:
    migrations.secret("shop", outcome="failed", sqlstate="57014")
    migrations.apply("shop", retry={"backoff": "1h", "maxBackoff": "1h"})
    migrations.until("shop", "Retrying")
    machine.set("+2h")
    looked_again(migrations, operator, "shop", "once")
    pause(3)
    assert migrations.reason("shop") == "Retrying"
    assert len(migrations.jobs("shop")) == 1


def test_what_is_written_bears_the_servers_time(
    operator: Operator, migrations: Migrations, machine: Machine
) -> None:
    machine.set("+30d")
    migrations.secret("shop", outcome="applied")
    migrations.apply("shop")
    status = migrations.until("shop", "UpToDate")
    ready = condition(status, "Ready")
    assert ready is not None
    [job] = migrations.jobs("shop")
    written, made = map(
        datetime.fromisoformat, (ready["lastTransitionTime"], job["metadata"]["creationTimestamp"])
    )
    assert abs(written - made) < timedelta(minutes=1)
