"""The control plane's programs: found, or compiled once and cached.

They are built from two small Go modules beside this package, which pin every
dependency by checksum. The cache is keyed by those checksums and the flags, so
a new release of Kubernetes is a new folder and never a mixture.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes.errors import BuildError, ToolMissingError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from local_kubernetes.progress import Progress

MODULES: Final = Path(__file__).resolve().parents[1] / "build"
"""Where the Go modules lie."""

KUBERNETES_COMMANDS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
)

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


@dataclasses.dataclass(frozen=True, slots=True)
class _Program:
    name: str
    module: Path
    package: str


def kubernetes_version() -> str:
    """The release of Kubernetes that is built here.

    Returns:
        For example ``1.36.3``.

    Raises:
        BuildError: the module file does not name one.
    """
    return _required_version("kubernetes", "k8s.io/kubernetes")


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


def cache_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where the built programs are kept.

    Args:
        environment: in place of the process's own.
    """
    environment = os.environ if environment is None else environment
    base = environment.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    digest = hashlib.sha256()
    for module in ("kubernetes", "etcd"):
        for name in ("go.mod", "go.sum"):
            digest.update((MODULES / module / name).read_bytes())
    digest.update(_linker_flags().encode())
    digest.update(f"{platform.system()} {platform.machine()}".encode())
    return Path(base) / "schema-operator" / "kubernetes" / digest.hexdigest()[:16]


def _programs() -> tuple[_Program, ...]:
    kubernetes = MODULES / "kubernetes"
    return (
        _Program("etcd", MODULES / "etcd", "go.etcd.io/etcd/server/v3"),
        *(
            _Program(name, kubernetes, f"k8s.io/kubernetes/cmd/{name}")
            for name in KUBERNETES_COMMANDS
        ),
    )


def _locate(program: _Program, progress: Progress, environment: Mapping[str, str]) -> Path:
    assets = environment.get("KUBEBUILDER_ASSETS")
    if assets:
        given = Path(assets) / program.name
        if os.access(given, os.X_OK):
            return given
    folder = cache_folder(environment)
    cached = folder / program.name
    if os.access(cached, os.X_OK):
        progress.note(f"{program.name}: cached")
        return cached
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder):
        # Who waited for the lock finds what the other one built.
        if not os.access(cached, os.X_OK):
            with progress.step(f"building {program.name} (once; cached afterwards)"):
                _build(program, cached, environment)
    return cached


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(program: _Program, target: Path, environment: Mapping[str, str]) -> None:
    go = shutil.which("go", path=environment.get("PATH"))
    if go is None:
        raise ToolMissingError(
            f"{program.name} must be compiled and there is no 'go' on PATH: install Go 1.26 or "
            "newer (https://go.dev/dl), or name a folder with the programs in KUBEBUILDER_ASSETS"
        )
    part = target.with_name(f".{program.name}.{os.getpid()}")
    command = [go, "build", "-mod=readonly", "-trimpath", "-ldflags", _linker_flags()]
    try:
        ended = subprocess.run(
            [*command, "-o", str(part), program.package],
            cwd=program.module,
            env={**environment, "CGO_ENABLED": "0"},
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if ended.returncode != 0:
            lines = [line for line in ended.stderr.splitlines() if line.strip()]
            raise BuildError(
                f"go could not build {program.name}: {lines[-1] if lines else 'it said nothing'}"
            )
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _linker_flags() -> str:
    version = kubernetes_version()
    major, minor, *_ = version.split(".")
    return LINKER_FLAGS.format(version=version, major=major, minor=minor)


def _required_version(module: str, requirement: str) -> str:
    text = (MODULES / module / "go.mod").read_text(encoding="utf-8")
    match = re.search(rf"^(?:require )?\s*{re.escape(requirement)} v(\S+)", text, re.MULTILINE)
    if match is None:
        raise BuildError(f"{MODULES / module / 'go.mod'} does not require {requirement}")
    return match[1]
