"""A program: which module it is in, and where it is once it was compiled."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes import compiler
from local_kubernetes.compiler import MODULES

if TYPE_CHECKING:
    from local_kubernetes.progress import Progress

_FLAGS: Final = ("-ldflags", "-s -w")


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    """A program of somebody else's.

    Attributes:
        name: of its file.
        module: the folder in `build` whose module pins it.
        package: what Go compiles.
        flags: of the compiler.
    """

    name: str
    module: str
    package: str
    flags: tuple[str, ...] = _FLAGS

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
        return compiler.locate(self._compiled(), self._folder(), progress, os.environ)

    def source(self, module: str) -> Path:
        """Return the folder of a Go module, fetched now if need be.

        Args:
            module: one that the program is made of, as ``github.com/fluxcd/source-controller/api``,
                or any with its version, as ``github.com/fluxcd/source-controller@v1.9.0``.

        Raises:
            ToolMissingError: there is no Go.
            BuildError: it can't be had.
        """
        arguments = ("mod", "download", "-json", module)
        answer = json.loads(compiler.run(self._compiled(), arguments, os.environ))
        return Path(answer["Dir"])

    def _compiled(self) -> compiler.Program:
        return compiler.Program(self.name, MODULES / self.module, self.package, self.flags)

    def _folder(self) -> Path:
        files = [MODULES / self.module / name for name in ("go.mod", "go.sum")]
        return compiler.cache_folder(self.name, files, self.flags, os.environ)


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

GOLANG_MIGRATE: Final = Program(
    "golang-migrate",
    "golang-migrate",
    "github.com/golang-migrate/migrate/v4/cmd/migrate",
    ("-tags", "postgres", *_FLAGS),
)
"""What the migrator is measured beside."""

PROGRAMS: Final = {
    each.name: each for each in (HELM, KUBECONFORM, KUSTOMIZE_CONTROLLER, PROMTOOL, GOLANG_MIGRATE)
}
"""All of them by name."""
