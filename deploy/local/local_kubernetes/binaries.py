"""The control plane's programs: found, or compiled once and cached.

They are built from two small Go modules beside this package, which pin every
dependency by checksum. The cache is keyed by those checksums and the flags, so
a new release of Kubernetes is a new folder and never a mixture.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes import compiler
from local_kubernetes.compiler import MODULES, Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_kubernetes.progress import Progress

KUBERNETES_COMMANDS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
)

_OTHERWISE: Final = ", or name a folder with the programs in KUBEBUILDER_ASSETS"

_MODULE_FILES: Final = ("go.mod", "go.sum")

LINKER_FLAGS: Final = (
    "-s -w"
    " -X k8s.io/component-base/version.gitVersion=v{version}"
    " -X k8s.io/component-base/version.gitMajor={major}"
    " -X k8s.io/component-base/version.gitMinor={minor}"
    " -X k8s.io/client-go/pkg/version.gitVersion=v{version}"
)
"""Without a version in it the server calls itself v0.0.0, and clients misjudge it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Binaries:
    """Where each program is.

    Attributes:
        etcd: the store.
        kube_apiserver: the API server.
        kube_controller_manager: the controllers: Jobs, garbage collection, namespaces.
        kube_scheduler: the scheduler.
        kubectl: the client.
    """

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path


def kubernetes_version() -> str:
    """The release of Kubernetes that is built here.

    Returns:
        For example ``1.36.3``.

    Raises:
        BuildError: the module file does not name one.
    """
    return compiler.required_version("kubernetes", "k8s.io/kubernetes")


def locate(progress: Progress, environment: Mapping[str, str] | None = None) -> Binaries:
    """Finds all programs, and builds those that are nowhere.

    ``KUBEBUILDER_ASSETS`` comes first, the cache second, the compiler last.

    Args:
        progress: told what is built and what was cached.
        environment: in place of the process's own.

    Raises:
        ToolMissingError: something must be built and there is no Go.
        BuildError: the compiler refused.
    """
    environment = os.environ if environment is None else environment
    found = {program.name: _locate(program, progress, environment) for program in _programs()}
    assets = environment.get("KUBEBUILDER_ASSETS")
    given = [name for name, path in found.items() if assets and path.parent == Path(assets)]
    if given:
        progress.note(f"{', '.join(given)}: from KUBEBUILDER_ASSETS")
    return Binaries(**{name.replace("-", "_"): path for name, path in found.items()})


def locate_kubectl(progress: Progress, environment: Mapping[str, str] | None = None) -> Path:
    """Finds kubectl alone, also on PATH, for a cluster that is not ours.

    Args:
        progress: told when it must be built.
        environment: in place of the process's own.

    Raises:
        ToolMissingError: it must be built and there is no Go.
        BuildError: the compiler refused.
    """
    environment = os.environ if environment is None else environment
    on_path = shutil.which("kubectl", path=environment.get("PATH"))
    if on_path is not None:
        return Path(on_path)
    (kubectl,) = (program for program in _programs() if program.name == "kubectl")
    return _locate(kubectl, progress, environment)


def locate_kubelet(progress: Progress, environment: Mapping[str, str] | None = None) -> Path:
    """Finds or builds the kubelet, which only a real node needs.

    Args:
        progress: told when it must be built.
        environment: in place of the process's own.

    Raises:
        ToolMissingError: it must be built and there is no Go.
        BuildError: the compiler refused.
    """
    environment = os.environ if environment is None else environment
    flags = ("-ldflags", _linker_flags())
    package = "k8s.io/kubernetes/cmd/kubelet"
    return _locate(
        Program("kubelet", MODULES / "kubernetes", package, flags, _OTHERWISE),
        progress,
        environment,
    )


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where the built programs are kept.

    Args:
        environment: in place of the process's own.
    """
    environment = os.environ if environment is None else environment
    files = [MODULES / name / file for name in ("kubernetes", "etcd") for file in _MODULE_FILES]
    return compiler.cache_folder("kubernetes", files, [_linker_flags()], environment)


def _programs() -> tuple[Program, ...]:
    kubernetes = MODULES / "kubernetes"
    flags = ("-ldflags", _linker_flags())
    return (
        Program("etcd", MODULES / "etcd", "go.etcd.io/etcd/server/v3", flags, _OTHERWISE),
        *(
            Program(name, kubernetes, f"k8s.io/kubernetes/cmd/{name}", flags, _OTHERWISE)
            for name in KUBERNETES_COMMANDS
        ),
    )


def _locate(program: Program, progress: Progress, environment: Mapping[str, str]) -> Path:
    assets = environment.get("KUBEBUILDER_ASSETS")
    if assets:
        given = Path(assets) / program.name
        if os.access(given, os.X_OK):
            return given
    return compiler.locate(program, cache_folder(environment), progress, environment)


def _linker_flags() -> str:
    version = kubernetes_version()
    major, minor, *_ = version.split(".")
    return LINKER_FLAGS.format(version=version, major=major, minor=minor)
