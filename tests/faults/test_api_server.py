"""The way to the API server broken in every manner: what is true stays true, and all comes right."""

from __future__ import annotations

import dataclasses
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.breaker import Breaker, Fault, Passing, in_front_of
from tests.faults.onlooker import Onlooker
from tests.fix_cluster import eventually
from tests.operator.fix_operator import Migrations, Operator, operating

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from local_kubernetes.cluster import Cluster
    from tests.fix_cluster import Objects

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

RETRY = {"backoff": "200ms", "maxBackoff": "1s"}
FLOW = ["failed", "applied"]
"""The ends of one resource's attempts."""

LEAST = 5
"""The status versions of a resource that fails once and is retried, the server's first included:
that one, under way, to be retried, under way, done."""

ALLOWED = 12
"""What a fault may add to them at the most."""


@dataclasses.dataclass
class Scene:
    """A namespace with the operator behind a proxy, and an onlooker in front of the server."""

    breaker: Breaker
    operator: Operator
    migrations: Migrations
    onlooker: Onlooker
    folder: Path

    def apply(self, name: str, ends: list[str] | None = None) -> None:
        steps = [{"outcome": end, "sleep": 0.1} for end in ends or FLOW]
        counter = self.folder / f"{name}.runs"
        self.migrations.secret(name, counter=str(counter), steps=steps)
        self.migrations.apply(name, retry=RETRY)

    def runs(self, name: str) -> int:
        """How many times its migrator was started."""
        return int((self.folder / f"{name}.runs").read_text())

    def converged(self, name: str, seconds: float = 60.0) -> None:
        """It is Ready within that time, and nothing was wrong on the way."""
        self.migrations.until(name, "UpToDate", seconds)
        assert self.onlooker.wrong == []
        assert len(self.migrations.jobs(name)) == self.runs(name)
        assert self.onlooker.writes.get(name, 0) <= LEAST + ALLOWED


@pytest.fixture
def scene(installed: Cluster, namespace: str, objects: Objects, tmp_path: Path) -> Iterator[Scene]:
    with (
        in_front_of(installed.kubeconfig).running() as breaker,
        Onlooker(objects).looking() as onlooker,
        operating(installed, namespace, tmp_path / "operator.log", server=breaker.url) as operator,
    ):
        yield Scene(breaker, operator, Migrations(objects), onlooker, tmp_path)


def of(method: str, resource: str) -> Callable[[Passing], bool]:
    return lambda passing: passing.concerns(method, resource)


ONCE: dict[str, tuple[str, str, Fault | int]] = {
    f"{method} {resource}, {fault if isinstance(fault, int) else fault.name.lower()}": (
        method,
        resource,
        fault,
    )
    for method, resource in (("POST", "jobs"), ("PATCH", "status"))
    for fault in (401, 409, 429, 500, 503, Fault.REFUSED, Fault.ANSWER_LOST, Fault.LATE)
}


@pytest.mark.parametrize(("method", "resource", "fault"), ONCE.values(), ids=ONCE)
def test_a_request_that_fails_once(
    scene: Scene, method: str, resource: str, fault: Fault | int
) -> None:
    if (method, fault) == ("POST", 409):
        pytest.skip("a conflict about a Job that does not exist is nothing a server says")
    rule = scene.breaker.break_(of(method, resource), fault)
    scene.apply("shop")
    scene.converged("shop")
    assert rule.hits == 1


@pytest.mark.parametrize(("method", "resource"), [("POST", "jobs"), ("PATCH", "status")])
def test_a_request_that_hangs(scene: Scene, method: str, resource: str) -> None:
    rule = scene.breaker.break_(of(method, resource), Fault.HANGS)
    scene.apply("shop")
    scene.apply("other", ["applied"])
    scene.converged("other")
    scene.converged("shop", 90)
    assert rule.hits == 1


@pytest.mark.parametrize("fault", [500, 429, Fault.REFUSED, Fault.ANSWER_LOST], ids=str)
def test_every_other_write_fails(scene: Scene, fault: Fault | int) -> None:
    seen = 0

    def every_other(passing: Passing) -> bool:
        nonlocal seen
        seen += passing.is_write
        return passing.is_write and seen % 2 == 0

    rule = scene.breaker.break_(every_other, fault, times=None)
    for number in range(3):
        scene.apply(f"shop-{number}")
    for number in range(3):
        scene.converged(f"shop-{number}", 90)
    assert rule.hits


@pytest.mark.parametrize("resource", ["schemamigrations", "jobs", "pods"])
@pytest.mark.parametrize(
    "fault", [Fault.TWICE, Fault.LAGS, Fault.CUT, Fault.GONE], ids=lambda one: one.name.lower()
)
def test_a_watch_that_misbehaves(scene: Scene, resource: str, fault: Fault) -> None:
    rule = scene.breaker.break_(of("WATCH", resource), fault, times=3)
    scene.breaker.drop()  # the watches that run end, and the next ones are broken
    eventually(lambda: rule.hits, 60)
    scene.apply("shop")
    scene.converged("shop", 90)


SILENCE = 100.0
"""Seconds after which a watch that told nothing has been given up: ours after 90, kopf's after 70."""


@pytest.mark.parametrize("resource", ["schemamigrations", "jobs", "pods"])
def test_a_watch_that_goes_silent(scene: Scene, resource: str) -> None:
    rule = scene.breaker.break_(of("WATCH", resource), Fault.SILENT)
    scene.breaker.drop()
    eventually(lambda: rule.hits, 60)
    scene.apply("shop")
    scene.converged("shop", SILENCE + 30)


def test_the_server_is_away_while_a_run_ends_and_another_resource_is_deleted(scene: Scene) -> None:
    scene.apply("gone", ["applied"])
    scene.converged("gone")
    steps = [{"outcome": "applied", "sleep": 3}]
    scene.migrations.secret("shop", counter=str(scene.folder / "shop.runs"), steps=steps)
    scene.migrations.apply("shop", retry=RETRY)
    scene.migrations.until("shop", "Migrating")
    with scene.breaker.away():
        scene.migrations.objects.kubectl("delete", "smig", "gone")
        eventually(lambda: scene.migrations.jobs("shop")[0]["status"].get("succeeded"), 30)
    scene.converged("shop", 60)
    (scene.folder / "gone.runs").unlink()
    scene.apply("gone", ["applied"])
    scene.converged("gone", 60)


def test_objects_that_went_while_nobody_could_watch_are_missed(scene: Scene) -> None:
    """A watch that begins again does not tell of deletions, nor does one that was told 410."""
    scene.apply("shop", ["applied"])
    scene.converged("shop")
    with scene.breaker.away():
        scene.migrations.objects.kubectl("delete", "smig", "shop")
        eventually(lambda: not scene.migrations.jobs("shop"), 60)
    scene.breaker.break_(of("WATCH", "jobs"), Fault.GONE, times=1)
    (scene.folder / "shop.runs").unlink()
    scene.apply("shop", ["applied"])
    scene.converged("shop", 60)


KILLS = [
    (number, fault) for number in (1, 2, 3, 4, 5, 6) for fault in (Fault.REFUSED, Fault.ANSWER_LOST)
]


@pytest.mark.parametrize(
    ("number", "fault"), KILLS, ids=lambda one: str(getattr(one, "name", one)).lower()
)
def test_the_operator_is_killed_at_each_of_its_writes(
    scene: Scene, number: int, fault: Fault
) -> None:
    """Before the server hears of the write, and after it has done it."""
    seen = 0

    def the_one(passing: Passing) -> bool:
        nonlocal seen
        seen += passing.is_write
        return passing.is_write and seen == number

    def kill(_passing: Passing) -> None:
        assert scene.operator.process is not None
        scene.operator.process.send_signal(signal.SIGKILL)

    rule = scene.breaker.break_(the_one, fault, then=kill)
    scene.apply("shop")
    assert scene.operator.process is not None
    assert scene.operator.process.wait(60) == -signal.SIGKILL
    assert rule.hits == 1
    scene.operator.start()
    scene.converged("shop")


def test_two_operators_that_both_act_are_harmless_while_the_way_is_broken(
    scene: Scene, installed: Cluster, tmp_path: Path
) -> None:
    flaky: dict[str, Any] = {"seen": 0}

    def sometimes(passing: Passing) -> bool:
        flaky["seen"] += passing.is_write
        return passing.is_write and flaky["seen"] % 3 == 0

    scene.breaker.break_(sometimes, Fault.ANSWER_LOST, times=None)
    place = scene.migrations.objects.namespace
    with operating(installed, place, tmp_path / "second.log", server=scene.breaker.url):
        for number in range(3):
            scene.apply(f"shop-{number}")
        for number in range(3):
            scene.converged(f"shop-{number}", 90)
