"""The operator as a process of this machine, with the rights of its ServiceAccount."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from local_demo.errors import DemoError
from local_kubernetes.processes import Identity

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster

DEPLOY = Path(__file__).resolve().parents[2]
NAMESPACE = ACCOUNT = "schema-operator"
_DAY = 24 * 3600
_READY_SECONDS = 30.0
_STOP_SECONDS = 15.0


@dataclasses.dataclass(frozen=True, slots=True)
class OperatorProcess:
    """The operator that belongs to a folder.

    Attributes:
        folder: holds its log and what it is known by.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """Where it writes its log."""
        return self.folder / "operator.log"

    @property
    def _known(self) -> Path:
        return self.folder / "operator.json"

    def running(self) -> Identity | None:
        """The process, while it runs."""
        if not self._known.exists():
            return None
        identity = Identity.read(json.loads(self._known.read_text()))
        return identity if identity.alive() else None

    def start(self, cluster: Cluster) -> None:
        """Start it as its own ServiceAccount, and wait until its watches are open.

        Raises:
            DemoError: it did not become ready.
        """
        kubeconfig = cluster.kubeconfig_for_service_account(NAMESPACE, ACCOUNT, _DAY)
        health = f"127.0.0.1:{_free_port()}"
        program = Path(sys.executable).with_name("schema-operator")
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [
                    str(program),
                    "run",
                    "--all-namespaces",
                    f"--kubeconfig={kubeconfig}",
                    f"--health-listen={health}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        identity = Identity.of(process.pid)
        if identity is not None:
            self._known.write_text(json.dumps(dataclasses.asdict(identity)))
        deadline = time.monotonic() + _READY_SECONDS
        while not _is_ready(health):
            if process.poll() is not None or time.monotonic() > deadline:
                lines = self.log.read_text().splitlines() or ["it said nothing"]
                raise DemoError(f"the operator did not become ready: {lines[-1][:300]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it, if it runs."""
        identity = self.running()
        if identity is not None:
            identity.end(_STOP_SECONDS)


def install(cluster: Cluster) -> None:
    """Install the CRD, and the operator's account and rights; its Deployment needs an image."""
    rendered = cluster.kubectl("kustomize", str(DEPLOY / "kustomize" / "base"))
    documents = [one for one in yaml.safe_load_all(rendered) if one["kind"] != "Deployment"]
    listing = {"apiVersion": "v1", "kind": "List", "items": documents}
    cluster.kubectl(
        "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(listing)
    )
    crd = "customresourcedefinition/schemamigrations.migrations.tenant-registry.dev"
    cluster.kubectl("wait", "--for=condition=Established", crd, "--timeout=30s")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _is_ready(health: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{health}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
    except (urllib.error.URLError, OSError):
        return False
