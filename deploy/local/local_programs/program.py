"""A program: which module it is in, and where it is once it was compiled."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes.errors import BuildError, ToolMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_kubernetes.progress import Progress

MODULES: Final = Path(__file__).resolve().parents[1] / "build"
"""Where the Go modules lie that pin each dependency by checksum."""

_FLAGS: Final = ("-mod=readonly", "-trimpath", "-ldflags", "-s -w")


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A program of somebody else's.

    Attributes:
        name: of its file.
        module: the folder in `build` whose module pins it.
        package: what Go compiles.
    """

    name: str
    module: str
    package: str

    def cached(self) -> Path | None:
        """Return where it is, if it was compiled before."""
        path = self._folder() / self.name
        return path if os.access(path, os.X_OK) else None

    def locate(self, progress: Progress) -> Path:
        """Return where it is; it is compiled now if need be.

        Args:
            progress: told what is built.

        Raises:
            ToolMissingError: it must be compiled and there is no Go.
            BuildError: the compiler refused.
        """
        found = self.cached()
        if found is not None:
            return found
        folder = self._folder()
        folder.mkdir(parents=True, exist_ok=True)
        with _only_one(folder):
            # Who waited for the lock finds what the other one built.
            if self.cached() is None:
                with progress.step(f"building {self.name} (once; cached afterwards)"):
                    self._build(folder / self.name)
        return folder / self.name

    def source(self, module: str) -> Path:
        """Return the folder of a Go module, fetched now if need be.

        Args:
            module: one that the program is made of, as ``github.com/fluxcd/source-controller/api``,
                or any with its version, as ``github.com/fluxcd/source-controller@v1.9.0``.

        Raises:
            ToolMissingError: there is no Go.
            BuildError: it can't be had.
        """
        return Path(json.loads(self._go("mod", "download", "-json", module))["Dir"])

    def _build(self, target: Path) -> None:
        part = target.with_name(f".{self.name}.{os.getpid()}")
        try:
            self._go("build", *_FLAGS, "-o", str(part), self.package)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _go(self, *arguments: str) -> str:
        go = shutil.which("go")
        if go is None:
            raise ToolMissingError(
                f"{self.name} must be compiled and there is no 'go' on PATH: install Go 1.26 or"
                " newer (https://go.dev/dl)"
            )
        ended = subprocess.run(
            [go, *arguments],
            cwd=MODULES / self.module,
            env={**os.environ, "CGO_ENABLED": "0"},
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if ended.returncode != 0:
            lines = [line for line in ended.stderr.splitlines() if line.strip()]
            said = lines[-1] if lines else "it said nothing"
            raise BuildError(f"go could not build {self.name}: {said}")
        return ended.stdout

    def _folder(self) -> Path:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((MODULES / self.module / name).read_bytes())
        digest.update(f"{self.package} {_FLAGS} {platform.system()} {platform.machine()}".encode())
        return Path(base) / "schema-operator" / self.name / digest.hexdigest()[:16]


HELM: Final = Program("helm", "helm", "helm.sh/helm/v4/cmd/helm")
"""Helm, the package manager."""

KUBECONFORM: Final = Program("kubeconform", "helm", "github.com/yannh/kubeconform/cmd/kubeconform")
"""A check of manifests against an API server's schemas."""

KUSTOMIZE_CONTROLLER: Final = Program(
    "kustomize-controller", "kustomize-controller", "github.com/fluxcd/kustomize-controller"
)
"""The part of Flux that applies a revision and waits for it."""

PROMTOOL: Final = Program("promtool", "prometheus", "github.com/prometheus/prometheus/cmd/promtool")
"""Prometheus' check of its rules."""

PROGRAMS: Final = {each.name: each for each in (HELM, KUBECONFORM, KUSTOMIZE_CONTROLLER, PROMTOOL)}
"""All of them by name."""


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
