"""The operator as a process against a real API server, with the rights that it ships with.

Its migrator is a small program here, which does what the Secret's value says, so
that every end of a run can be had.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from local_kubernetes.audit import READS, WRITES
from tests.fix_cluster import Objects, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_kubernetes.audit import Request
    from local_kubernetes.cluster import Cluster
    from tests.witness import Witness

ROOT = Path(__file__).parents[2]
CRD = ROOT / "deploy" / "crd" / "schemamigrations.yaml"
MANIFESTS = ROOT / "deploy" / "kustomize" / "base"
RIGHTS = ROOT / "deploy" / "kustomize" / "operator" / "rbac.yaml"
OPERATOR = Path(sys.executable).with_name("schema-operator")
PRETENDER = Path(__file__).with_name("pretender.py")
IMAGE = "local/pretender:1"
ACCOUNT = "system:serviceaccount:schema-operator:schema-operator"


@pytest.fixture(scope="session")
def installed(cluster: Cluster) -> Cluster:
    """The cluster of all tests with what `install` puts there."""
    return install(cluster)


def install(cluster: Cluster) -> Cluster:
    """Puts the CRD and the operator's account and rights there, from the manifests."""
    rendered = cluster.kubectl("kustomize", str(MANIFESTS))
    documents = [
        document for document in yaml.safe_load_all(rendered) if document["kind"] != "Deployment"
    ]
    listing = {"apiVersion": "v1", "kind": "List", "items": documents}
    cluster.kubectl("apply", "--server-side", "--filename=-", stdin=json.dumps(listing))
    cluster.kubectl("wait", "--for=condition=Established", f"--filename={CRD}", "--timeout=30s")
    cluster.add_image("local/pretender:*", (sys.executable, str(PRETENDER)))
    return cluster


@dataclasses.dataclass
class Operator:
    """A running operator.

    Attributes:
        place: the namespace of its ServiceAccount.
        server: where it finds the API server; empty: where that is.
    """

    cluster: Cluster
    arguments: tuple[str, ...]
    log: Path
    place: str = "schema-operator"
    server: str = ""
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    mark: int = 0
    namespace: str = ""

    def start(self) -> None:
        kubeconfig = self._kubeconfig()
        if self.cluster.ours:
            self.mark = self.cluster.audit_log.end()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    str(OPERATOR),
                    "run",
                    f"--kubeconfig={kubeconfig}",
                    "--health-listen=127.0.0.1:0",
                    *self.arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], **self.environment},
            )
        before = len(self.lines("listening"))

        def listening() -> list[dict[str, Any]]:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return self.lines("listening")[before:]

        self.port = eventually(listening)[-1]["port"]
        eventually(self.ready)

    def _kubeconfig(self) -> Path:
        """The administrator's kubeconfig with a token of the operator's own account in it."""
        account = ("schema-operator", f"--namespace={self.place}")
        token = self.cluster.kubectl("create", "token", *account, "--duration=1h")
        view = self.cluster.kubectl("config", "view", "--minify", "--raw", "--flatten", "-ojson")
        document = json.loads(view)
        document["users"][0]["user"] = {"token": token.strip()}
        if self.server:
            document["clusters"][0]["cluster"] = {"server": self.server}
        path = self.log.with_suffix(".kubeconfig")
        path.write_text(json.dumps(document))
        return path

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(signal_number)
        return self.process.wait(20)

    def lines(self, message: str = "") -> list[dict[str, Any]]:
        text = self.log.read_text() if self.log.exists() else ""
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [line for line in lines if message in line["message"]]

    def ready(self) -> bool:
        try:
            return bool(self.http("/readyz"))
        except OSError:
            return False

    def http(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    def requests(self) -> dict[str, int]:
        """How many requests the API server had from it since its start, by verb, resource, status.

        Watches are left out.
        """
        eventually(lambda: self._watches() and self._logged() >= self._counted())
        counts = collections.Counter(
            f"{one.verb} {one.resource} {one.code}"
            for one in self._audited()
            if one.verb in READS | WRITES
        )
        return dict(counts)

    def writes(self) -> int:
        return sum(
            count for name, count in self.requests().items() if name.partition(" ")[0] in WRITES
        )

    def _watches(self) -> bool:
        """Whether the requests of its start have all been made."""
        watched = {one.resource for one in self._audited() if one.verb == "watch"}
        return watched >= {"schemamigrations", "jobs", "pods"}

    def _audited(self) -> list[Request]:
        """What the account asked in this operator's namespace: one account serves several."""
        account = f"system:serviceaccount:{self.place}:schema-operator"
        return [
            one
            for one in self.cluster.audit_log.since(self.mark, account)
            if self.namespace in {"", one.namespace}
        ]

    def _logged(self) -> int:
        audited = self._audited()
        return sum(one.verb in WRITES and one.resource != "leases" for one in audited)

    def _counted(self) -> int:
        """How many writes it says it has made; the last of them reach the log a moment later."""
        pattern = (
            r'schema_operator_api_request_seconds_count\{resource="([^"]+)",'
            r'status="(\d+)",verb="(\w+)"\} ([\d.]+)'
        )
        return sum(
            int(float(count))
            for resource, status, verb, count in re.findall(pattern, self.http("/metrics"))
            if verb != "GET" and status != "0" and resource != "leases"
        )


@pytest.fixture
def operator(
    installed: Cluster,
    namespace: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    witness: Witness,
) -> Iterator[Operator]:
    """An operator that looks after the test's namespace alone."""
    failed = request.session.testsfailed
    with operating(installed, namespace, tmp_path / "operator.log") as running:
        yield running
        if running.ready():
            witness.text(f"metrics in {namespace}", running.http("/metrics"))
        if request.session.testsfailed > failed:
            sys.stderr.write(running.log.read_text())


@contextlib.contextmanager
def operating(
    cluster: Cluster, namespace: str, log: Path, *arguments: str, server: str = ""
) -> Iterator[Operator]:
    running = Operator(
        cluster,
        (f"--namespace={namespace}", *arguments),
        log,
        namespace=namespace,
        server=server,
    )
    try:
        running.start()
        yield running
    except BaseException:
        sys.stderr.write(log.read_text())
        raise
    finally:
        if running.process is not None and running.process.poll() is None:
            running.stop()


class Migrations:
    """SchemaMigrations of one namespace, and the Secrets that say what their runs shall do."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    def secret(self, name: str, **plan: Any) -> None:
        """A Secret that tells the pretended migrator what to do."""
        self.objects.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "stringData": {"DATABASE_URL": json.dumps(plan)},
            }
        )

    def apply(self, name: str, annotations: dict[str, str] | None = None, **spec: Any) -> None:
        self.objects.apply(migration(name, annotations, **spec))

    def patch(self, name: str, **spec: Any) -> None:
        self.objects.kubectl(
            "patch", "smig", name, "--type=merge", f"--patch={json.dumps({'spec': spec})}"
        )

    def status(self, name: str) -> dict[str, Any]:
        found = self.objects.get("schemamigration", name)
        assert found is not None
        status: dict[str, Any] = found["status"]
        return status | {"generation": found["metadata"]["generation"]}

    def reason(self, name: str) -> str:
        ready = condition(self.status(name), "Ready")
        return "" if ready is None else str(ready["reason"])

    def until(self, name: str, reason: str, seconds: float = 30.0) -> dict[str, Any]:
        """The status, as soon as it answers the present generation with that reason."""

        def reached() -> dict[str, Any] | None:
            status = self.status(name)
            ready = condition(status, "Ready")
            if ready is None or status["observedGeneration"] != status["generation"]:
                return None
            return status if ready["reason"] == reason else None

        try:
            return eventually(reached, seconds)
        except AssertionError as error:
            raise AssertionError(f"{reason} was not reached: {self.status(name)}") from error

    def jobs(self, name: str) -> list[dict[str, Any]]:
        return self.objects.list("job", f"migrations.tenant-registry.dev/name={name}")


@pytest.fixture
def migrations(objects: Objects, operator: Operator) -> Migrations:
    return Migrations(objects)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any] | None:
    return next((one for one in status.get("conditions", ()) if one["type"] == kind), None)


def migration(name: str, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A SchemaMigration whose Secret is named as it is, unless the spec says otherwise."""
    return {
        "apiVersion": "migrations.tenant-registry.dev/v1alpha1",
        "kind": "SchemaMigration",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"image": IMAGE, "database": {"urlSecretRef": {"name": name}}, **spec},
    }


def pause(seconds: float) -> None:
    """Let something that must not happen have its chance."""
    time.sleep(seconds)
