"""Flux's own kustomize-controller, on a cluster that a test has for itself.

What stands in for something else is the source-controller, which can't be
compiled from its module: an archive on this machine, and its place written into
the status of the GitRepository.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from kubernetes import client, config

from local_kubernetes.cluster import Cluster
from local_kubernetes.launch import Options
from local_kubernetes.processes import Identity
from local_kubernetes.progress import Progress
from local_programs.program import KUSTOMIZE_CONTROLLER
from tests.deploy.manifests import DEPLOY
from tests.fix_cluster import IMAGES, Objects, eventually
from tests.operator.fix_operator import condition, install, operating

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


NAMESPACE: Final = "tenant-registry"
"""Where the examples put what they migrate."""

SYSTEM: Final = "flux-system"

SOURCES: Final = "github.com/fluxcd/source-controller@v1.9.0"
"""The module that has the GitRepository's definition; none of it is compiled."""


@dataclasses.dataclass
class Flux:
    """Flux, with the files under deploy/flux applied as they are."""

    cluster: Cluster
    folder: Path
    address: str
    commits: int = 0

    def commit(self, files: dict[str, str]) -> str:
        """Make these files the newest revision, and return its name."""
        self.commits += 1
        content = _archive(files)
        name = f"{self.commits}.tar.gz"
        (self.folder / name).write_bytes(content)
        revision = f"main@sha1:{hashlib.sha1(content).hexdigest()}"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        artifact = {
            "path": name,
            "url": f"{self.address}/{name}",
            "revision": revision,
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "lastUpdateTime": now,
            "size": len(content),
        }
        ready = {
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": f"stored artifact for revision '{revision}'",
            "lastTransitionTime": now,
            "observedGeneration": 1,
        }
        status = {"artifact": artifact, "conditions": [ready], "observedGeneration": 1}
        self.kubectl(
            *("patch", "gitrepository", "tenant-registry", "--subresource=status"),
            *("--type=merge", f"--patch={json.dumps({'status': status})}"),
        )
        return revision

    def reconcile(self, name: str) -> None:
        """Ask for another look, as `flux reconcile kustomization` does."""
        now = datetime.now(UTC).isoformat()
        self.kubectl(
            *("annotate", "kustomization", name, "--overwrite"),
            f"reconcile.fluxcd.io/requestedAt={now}",
        )

    def status(self, name: str) -> dict[str, Any]:
        """Return the status of a Kustomization."""
        found = json.loads(self.kubectl("get", "kustomization", name, "--output=json"))
        status: dict[str, Any] = found.get("status", {})
        return status

    def ready(self, name: str) -> dict[str, Any]:
        """Return the condition Ready of a Kustomization; empty before there is one."""
        return condition(self.status(name), "Ready") or {}

    def applied(self, name: str, revision: str, seconds: float = 60.0) -> None:
        """Wait until a Kustomization is Ready with a revision."""

        def done() -> bool:
            status = self.status(name)
            ready = condition(status, "Ready") or {}
            return ready.get("status") == "True" and status.get("lastAppliedRevision") == revision

        eventually(done, seconds)

    def failed(self, name: str, revision: str, seconds: float = 60.0) -> str:
        """Wait until a Kustomization has failed with a revision, and return its message."""

        def done() -> bool:
            status = self.status(name)
            ready = condition(status, "Ready") or {}
            return (
                ready.get("reason") == "HealthCheckFailed"
                and status.get("lastAttemptedRevision") == revision
            )

        eventually(done, seconds)
        return str(self.ready(name)["message"])

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl in Flux's namespace."""
        return self.cluster.kubectl(f"--namespace={SYSTEM}", *arguments, stdin=stdin)


def _archive(files: dict[str, str]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return target.getvalue()


@pytest.fixture
def flux_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with the operator's CRD and rights, and with the definitions of Flux."""
    options = Options(images=IMAGES, node_arguments=("--image-backoff=2",), owner=Identity.own())
    with Cluster.start(tmp_path / "cluster", options, Progress(sys.__stderr__)) as started:
        install(started)
        own = KUSTOMIZE_CONTROLLER.source("github.com/fluxcd/kustomize-controller")
        sources = KUSTOMIZE_CONTROLLER.source(SOURCES)
        for path in (
            own / "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
            *sorted((sources / "config/crd/bases").glob("*.yaml")),
        ):
            started.kubectl("apply", "--server-side", f"--filename={path}")
            started.kubectl(
                "wait", "--for=condition=Established", f"--filename={path}", "--timeout=30s"
            )
        started.kubectl("create", "namespace", SYSTEM)
        started.kubectl("apply", f"--filename={DEPLOY}/example/namespace.yaml")
        yield started


@pytest.fixture
def feature_gates() -> str:
    """What of kustomize-controller is switched on; a test may say otherwise."""
    return ""


@pytest.fixture
def flux(flux_cluster: Cluster, tmp_path: Path, feature_gates: str) -> Iterator[Flux]:
    """Flux at work, with an empty repository."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    with (
        _served(folder) as address,
        _controller(flux_cluster, tmp_path / "kustomize-controller.log", feature_gates),
    ):
        arguments = ("apply", "--server-side", "--validate=strict")
        flux_cluster.kubectl(*arguments, f"--filename={DEPLOY}/flux")
        yield Flux(flux_cluster, folder, address)


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def _controller(cluster: Cluster, log: Path, feature_gates: str) -> Iterator[None]:
    program = KUSTOMIZE_CONTROLLER.locate(Progress(sys.__stderr__))
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                str(program),
                "--health-addr=127.0.0.1:0",
                "--metrics-addr=0",
                # Half a minute as it comes.
                "--requeue-dependency=1s",
                f"--feature-gates={feature_gates}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(log.parent),
                "TMPDIR": str(log.parent),
                "KUBECONFIG": str(cluster.kubeconfig),
                "RUNTIME_NAMESPACE": SYSTEM,
            },
        )
    try:
        yield
    except BaseException:
        sys.stderr.write(log.read_text(errors="replace"))
        raise
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def migrated(flux_cluster: Cluster, tmp_path: Path) -> Iterator[Objects]:
    """The namespace of the example, with the operator at work there."""
    new_client: Any = config.new_client_from_config
    opened: client.ApiClient
    with (
        new_client(str(flux_cluster.kubeconfig), persist_config=False) as opened,
        operating(flux_cluster, NAMESPACE, tmp_path / "operator.log"),
    ):
        yield Objects(flux_cluster, NAMESPACE, opened)
