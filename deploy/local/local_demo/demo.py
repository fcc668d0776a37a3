"""From nothing to a resource that is Ready, step by step, with what each took."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import yaml

from local_demo import operator
from local_demo.errors import DemoError
from local_demo.operator import DEPLOY, OperatorProcess
from local_kubernetes import cluster as clusters
from local_kubernetes.cluster import Cluster
from local_kubernetes.folders import Folder
from local_kubernetes.launch import Options
from local_kubernetes.progress import Progress
from local_postgres import Server
from local_postgres.account import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLE = DEPLOY / "example"
NAMESPACE = NAME = "tenant-registry"
IMAGE = "registry.example/tenant-registry-migrations:*"
_POSTGRES = 18
_READY_SECONDS = 120.0

_BROKEN = '''"""A revision that fails: the type integer has no room for this.

Revision: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE tenants ADD COLUMN seats integer DEFAULT 3000000000")


def downgrade() -> None:
    op.execute("ALTER TABLE tenants DROP COLUMN seats")
'''


@dataclasses.dataclass(frozen=True, slots=True)
class Demo:
    """The demo of one folder.

    Attributes:
        folder: where everything of it goes, but PostgreSQL's data where the
            account that runs PostgreSQL can't reach it.
    """

    folder: Path

    @property
    def _cluster_folder(self) -> Path:
        return self.folder / "kubernetes"

    def up(self) -> None:
        """Set everything up, or find it running, apply the example and show it become Ready.

        Raises:
            DemoError: it did not become Ready.
            LocalKubernetesError: there is no cluster to be had.
            LocalPostgresError: there is no PostgreSQL to be had.
        """
        began = time.monotonic()
        progress = Progress(sys.stdout)
        self.folder.mkdir(exist_ok=True)
        cluster = self._cluster(progress)
        url = self._database(cluster, progress)
        self._operator(cluster, progress)
        self._apply(cluster, url, progress)
        self._watch(cluster)
        self._show_tables(url)
        self._show_next_steps(cluster)
        print(
            f"\nIt took {time.monotonic() - began:.0f} s. Everything goes on running; end it by: make demo-down"
        )

    def down(self) -> None:
        """End and remove everything that `up` made."""
        OperatorProcess(self.folder).stop()
        clusters.stop(Folder(self._cluster_folder))
        server = self._server()
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        print("The demo is gone.")

    def _cluster(self, progress: Progress) -> Cluster:
        existing = os.environ.get(clusters.EXISTING_VARIABLE)
        if existing:
            cluster = Cluster.existing(Path(existing), self._cluster_folder, progress)
            progress.note(
                f"Kubernetes {cluster.version}: the cluster that {clusters.EXISTING_VARIABLE} names"
            )
        else:
            migrate = str(Path(sys.executable).with_name("migrate"))
            found = Cluster.attach(self._cluster_folder)
            cluster = found or Cluster.start(
                self._cluster_folder, Options(images={IMAGE: (migrate,)}), progress
            )
            if found is not None:
                progress.note(f"Kubernetes {cluster.version} is up already")
        programs = self.folder / "bin"
        programs.mkdir(exist_ok=True)
        _link(self.folder / "kubeconfig", cluster.kubeconfig)
        _link(programs / "kubectl", cluster.kubectl_path)
        return cluster

    def _server(self) -> Server:
        folder = self.folder / "postgresql"
        if self.folder.exists() and not Account.current().reaches(self.folder):
            # Root's checkout may lie where PostgreSQL's account can't go.
            name = hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]
            folder = Path(tempfile.gettempdir()) / f"schema-operator-demo-{name}"
        return Server(_POSTGRES, folder)

    def _database(self, cluster: Cluster, progress: Progress) -> str:
        """Return the URL of the database that is migrated."""
        if not cluster.ours:
            url = os.environ.get("DATABASE_URL")
            if not url:
                raise DemoError(
                    "in a cluster of your own, DATABASE_URL has to name a PostgreSQL that its pods can reach"
                )
            return url
        server = self._server()
        if server.running:
            progress.note(f"PostgreSQL {_POSTGRES} is up already")
        else:
            with progress.step(f"starting PostgreSQL {_POSTGRES}"):
                server.start()
        server.create_database("tenant_registry")
        return server.url("tenant_registry")

    def _operator(self, cluster: Cluster, progress: Progress) -> None:
        with progress.step("installing the CRD and the operator's rights"):
            operator.install(cluster)
        process = OperatorProcess(self.folder)
        if process.running():
            progress.note("the operator is up already")
        else:
            with progress.step("starting the operator as its ServiceAccount"):
                process.start(cluster)

    def _apply(self, cluster: Cluster, url: str, progress: Progress) -> None:
        secret = yaml.safe_load((EXAMPLE / "secret.yaml").read_text())
        secret["stringData"]["DATABASE_URL"] = url
        with progress.step("kubectl apply -f deploy/example/"):
            cluster.kubectl("apply", f"--filename={EXAMPLE / 'namespace.yaml'}")
            cluster.kubectl(
                "wait",
                "--for=create",
                "serviceaccount/default",
                f"--namespace={NAMESPACE}",
                "--timeout=20s",
            )
            # The value goes through standard input: an argument list can be read by anybody here.
            cluster.kubectl(
                "apply",
                "--server-side",
                "--force-conflicts",
                "--filename=-",
                stdin=yaml.safe_dump(secret),
            )
            resource = yaml.safe_load((EXAMPLE / "schemamigration.yaml").read_text())
            if image := os.environ.get("DEMO_IMAGE"):
                resource["spec"]["image"] = image
            verb = "apply"
            if _is_broken(cluster):
                # What was changed by hand is put back whole, and a run is asked for now.
                verb = "replace"
                requested = {"migrations.tenant-registry.dev/requestedAt": str(time.time())}
                resource["metadata"]["annotations"] = requested
            cluster.kubectl(verb, "--filename=-", stdin=yaml.safe_dump(resource))

    def _watch(self, cluster: Cluster) -> None:
        """Print the resource's line each time it changes, until it is Ready.

        Raises:
            DemoError: it is not Ready in time.
        """
        print(f"\n$ kubectl get smig --namespace {NAMESPACE} {NAME} --watch")
        began = time.monotonic()
        for line in _changes(cluster):
            print(line)
            if re.search(r"\bTrue\s+UpToDate\b", line):
                break
            if time.monotonic() - began > _READY_SECONDS:
                break
        cluster.kubectl(
            "wait",
            "--for=condition=Ready",
            f"smig/{NAME}",
            f"--namespace={NAMESPACE}",
            "--timeout=10s",
        )
        print(
            f"# Ready after {time.monotonic() - began:.1f} s; kubectl wait --for=condition=Ready agrees"
        )

    def _show_tables(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "SELECT c.relname, coalesce(obj_description(c.oid), '') FROM pg_class c"
                " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1"
            ).fetchall()
        print("\nThe tables in the database:")
        for name, comment in rows:
            print(f"  {name:<26} {textwrap.shorten(comment, 90)}")

    def _show_next_steps(self, cluster: Cluster) -> None:
        broken = self._broken_tree()
        known = (
            "kubectl patch smig tenant-registry --namespace tenant-registry --type=merge --patch"
        )
        print(
            textwrap.dedent(f"""
            To go on, in this shell:
              export KUBECONFIG={self.folder}/kubeconfig PATH={self.folder}/bin:$PATH

            Look:            kubectl get smig --all-namespaces --output=wide
                             kubectl describe smig tenant-registry --namespace tenant-registry
                             kubectl get jobs,pods --namespace tenant-registry
            Follow it:       kubectl get smig --namespace tenant-registry --watch
            Break the Secret and ask for a run (make demo puts it right again):
                             kubectl patch secret tenant-registry-db --namespace tenant-registry --type=merge --patch '{{"stringData": {{"DATABASE_URL": "not a url"}}}}'
                             kubectl annotate smig tenant-registry --namespace tenant-registry --overwrite migrations.tenant-registry.dev/requestedAt="$(date)"
            Break a migration: a tree whose revision 0002 fails
                             {known} '{{"spec": {{"tree": "{broken}", "retry": {{"limit": 2, "backoff": "2s"}}}}}}'
            Mend it:         {known} '{{"spec": {{"tree": null}}}}'
            The operator's log: {OperatorProcess(self.folder).log}""")
        )
        if not cluster.ours:
            print("The operator runs on this machine, against your cluster.")

    def _broken_tree(self) -> Path:
        versions = self.folder / "broken-tree" / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        whole = DEPLOY.parent / "migrations" / "tenant_registry" / "versions"
        for path in whole.glob("*.py"):
            shutil.copy(path, versions)
        (versions / "0002_seats.py").write_text(_BROKEN)
        return versions.parent


def _link(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def _is_broken(cluster: Cluster) -> bool:
    """Whether the resource is there and not Ready, as after somebody tried things out."""
    path = '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    found = cluster.kubectl(
        "get", "smig", NAME, f"--namespace={NAMESPACE}", "--ignore-not-found", path
    )
    return found == "False"


def _changes(cluster: Cluster) -> Iterator[str]:
    """Yield kubectl's lines of the resource, each time one differs in more than its age."""
    command = [
        str(cluster.kubectl_path),
        f"--kubeconfig={cluster.kubeconfig}",
        "get",
        "smig",
        NAME,
        f"--namespace={NAMESPACE}",
        "--watch",
        f"--request-timeout={_READY_SECONDS:.0f}s",
    ]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                shown = line.rstrip()
                what = shown.rpartition(" ")[0].rstrip()
                if what != last:
                    yield shown
                last = what
        finally:
            process.terminate()
