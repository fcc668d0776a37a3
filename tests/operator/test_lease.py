"""The election: who has the Lease, who waits, and who has to end."""

from __future__ import annotations

import asyncio
import copy
import signal
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from schema_operator import errors, lease
from tests.fix_cluster import Objects, eventually
from tests.operator.fix_operator import Migrations, Operator, operating

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster


class Server:
    """One Lease, with a version that every write has to name."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.writes = 0
        self.down = False

    async def get_lease(self, _: str, __: str, ___: float) -> dict[str, Any] | None:
        self._answer()
        return copy.deepcopy(self.stored)

    async def write_lease(self, written: dict[str, Any], _: float) -> dict[str, Any]:
        self._answer()
        known = written["metadata"].get("resourceVersion")
        if self.stored is None and known is not None:
            raise errors.GoneError(404, "")
        if self.stored is not None and known is None:
            raise errors.AlreadyExistsError(409, "")
        if self.stored is not None and known != str(self.version):
            raise errors.ConflictError(409, "")
        self.version += 1
        self.writes += 1
        self.stored = copy.deepcopy(written)
        self.stored["metadata"]["resourceVersion"] = str(self.version)
        return copy.deepcopy(self.stored)

    async def watch_lease(self, _: str, __: str, version: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while str(self.version) == version and time.monotonic() < until:  # noqa: ASYNC110 - a stand-in
            await asyncio.sleep(0.005)

    def holder(self) -> str:
        assert self.stored is not None
        holder: str = self.stored["spec"]["holderIdentity"]
        return holder

    def _answer(self) -> None:
        if self.down:
            raise errors.UnavailableError(0, "no answer")


def candidate(server: Server, name: str, seconds: float = 0.3) -> lease.Election:
    return lease.Election(
        server,
        namespace="operators",
        name="lease",
        identity=name,
        duration=timedelta(seconds=seconds),
    )


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 10))


def test_the_first_leads_and_the_second_waits_until_it_is_given_up() -> None:
    async def work() -> None:
        server = Server()
        first, second = candidate(server, "first", 60), candidate(server, "second", 60)
        await first.lead()
        assert server.holder() == "first"
        waiting = asyncio.create_task(second.lead())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await first.release()
        await asyncio.wait_for(waiting, 1)
        assert server.holder() == "second"
        assert server.stored is not None
        assert server.stored["spec"]["leaseTransitions"] == 1

    run(work())


def test_a_lease_that_is_kept_is_not_taken() -> None:
    async def work() -> None:
        server = Server()
        first = candidate(server, "first")
        await first.lead()
        keeping = asyncio.create_task(first.keep())
        waiting = asyncio.create_task(candidate(server, "second").lead())
        await asyncio.sleep(1)
        assert not waiting.done()
        assert server.writes >= 6
        keeping.cancel()
        await asyncio.wait_for(waiting, 1)
        assert server.holder() == "second"

    run(work())


def test_a_lease_is_waited_for_whole_however_old_it_says_it_is() -> None:
    """Another machine's clock says nothing."""

    async def work() -> None:
        server = Server()
        await candidate(server, "first").lead()
        assert server.stored is not None
        server.stored["spec"]["renewTime"] = "1999-01-01T00:00:00.000000Z"
        began = time.monotonic()
        await candidate(server, "second").lead()
        assert time.monotonic() - began >= 0.3

    run(work())


def test_whoever_finds_another_in_the_lease_ends() -> None:
    async def work() -> None:
        server = Server()
        first = candidate(server, "first")
        await first.lead()
        keeping = asyncio.create_task(first.keep())
        assert server.stored is not None
        server.stored["spec"]["holderIdentity"] = "thief"
        server.version += 1
        server.stored["metadata"]["resourceVersion"] = str(server.version)
        with pytest.raises(errors.LostLeaseError, match="another operator"):
            await keeping

    run(work())


def test_whoever_can_not_renew_ends_before_another_may_begin() -> None:
    async def work() -> None:
        server = Server()
        first = candidate(server, "first", 1.5)
        await first.lead()
        began = time.monotonic()
        server.down = True
        with pytest.raises(errors.LostLeaseError, match="not renewed"):
            await first.keep()
        assert time.monotonic() - began < 1.5 + 0.6

    run(work())


def test_a_lost_answer_does_not_end_the_holder() -> None:
    async def work() -> None:
        server = Server()
        first = candidate(server, "first", 0.6)
        await first.lead()
        server.version += 1  # as if a renewal had been taken whose answer never came
        assert server.stored is not None
        server.stored["metadata"]["resourceVersion"] = str(server.version)
        keeping = asyncio.create_task(first.keep())
        await asyncio.sleep(1)
        assert not keeping.done()
        assert server.holder() == "first"
        keeping.cancel()

    run(work())


# Two processes and a real API server

ELECTION = ("--lease-namespace=schema-operator", "--lease-duration=3s")


def holder(cluster: Cluster) -> str:
    return cluster.kubectl(
        *("get", "lease", "schema-operator", "--namespace=schema-operator"),
        *("--ignore-not-found", "--output=jsonpath={.spec.holderIdentity}"),
    )


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(signal.SIGTERM, 2.0), (signal.SIGKILL, 3.0 + 5.0)],
    ids=["term", "kill"],
)
@pytest.mark.xdist_group("lease")
def test_a_standby_takes_over(  # noqa: PLR0917 - fixtures
    installed: Cluster,
    namespace: str,
    objects: Objects,
    tmp_path: Path,
    number: int,
    seconds: float,
) -> None:
    migrations = Migrations(objects)
    election = (*ELECTION, f"--lease-name={namespace}")
    allow(installed, namespace)
    with operating(installed, namespace, tmp_path / "one.log", *election) as first:
        eventually(lambda: first.lines("acting"))
        with operating(installed, namespace, tmp_path / "two.log", *election) as second:
            assert not second.lines("acting")
            migrations.secret("one")
            migrations.apply("one")
            migrations.until("one", "UpToDate")
            assert_idle(second)
            first.stop(number)
            began = time.monotonic()
            eventually(lambda: second.lines("acting"), seconds)
            assert time.monotonic() - began < seconds
            migrations.secret("two")
            migrations.apply("two")
            migrations.until("two", "UpToDate")


def assert_idle(operator: Operator) -> None:
    assert operator.lines("run started") == []


def allow(cluster: Cluster, lease_name: str) -> None:
    """The right to a Lease of the test's own, beside the one that ships."""
    place = "--namespace=schema-operator"
    cluster.kubectl(
        *("create", "role", lease_name, place, "--verb=get,update,watch"),
        *("--resource=leases", f"--resource-name={lease_name}"),
    )
    account = "--serviceaccount=schema-operator:schema-operator"
    cluster.kubectl("create", "rolebinding", lease_name, place, f"--role={lease_name}", account)


def test_a_standby_ends_when_it_is_told_to(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    election = (*ELECTION, f"--lease-name={namespace}")
    allow(installed, namespace)
    with (
        operating(installed, namespace, tmp_path / "one.log", *election) as first,
        operating(installed, namespace, tmp_path / "two.log", *election) as second,
    ):
        eventually(lambda: first.lines("acting"))
        assert second.stop() == 0
        assert first.stop() == 0


def test_the_rights_that_ship_are_enough_for_the_lease(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    with operating(installed, namespace, tmp_path / "one.log", *ELECTION) as only:
        eventually(lambda: only.lines("acting"))
        assert holder(installed)
        assert only.stop() == 0
    assert holder(installed) == ""
