"""The programs of a real node: found, or compiled once and cached."""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes import binaries, compiler
from local_kubernetes.compiler import MODULES, Program
from local_node.errors import LocalNodeError

if TYPE_CHECKING:
    from local_kubernetes.progress import Progress

NETWORK_PLUGINS: Final = Path("/usr/lib/cni")
"""Where Debian puts them."""

PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

_CONTAINERD: Final = "github.com/containerd/containerd/v2"
_NEEDED: Final = {
    "runc": "runc",
    "ip": "iproute2",
    "iptables": "iptables",
    "unshare": "util-linux",
    "mount": "mount",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Programs:
    """Where each program is.

    Attributes:
        kubelet: runs the pods that are bound to its node.
        containerd: runs the containers; its shim lies beside it.
        ctr: containerd's client.
        pause: the first process of each pod, linked statically.
        runc: starts a container.
    """

    kubelet: Path
    containerd: Path
    ctr: Path
    pause: Path
    runc: Path


def locate(progress: Progress) -> Programs:
    """Find all programs, and build those that are nowhere.

    Raises:
        LocalNodeError: a program of the machine's is not there; the text names the package.
        ToolMissingError: something must be built and there is no Go.
        BuildError: the compiler refused.
    """
    for name, package in _NEEDED.items():
        if shutil.which(name, path=PATH) is None:
            raise LocalNodeError(f"{name} is not there: apt-get install {package}")
    if not (NETWORK_PLUGINS / "bridge").exists():
        raise LocalNodeError(
            f"no network plug-ins in {NETWORK_PLUGINS}: apt-get install containernetworking-plugins"
        )
    version = compiler.required_version("containerd", _CONTAINERD)
    flags = (
        "-tags",
        "no_btrfs no_devmapper no_zfs",
        "-ldflags",
        f"-s -w -X {_CONTAINERD}/version.Version=v{version}",
    )
    module = MODULES / "containerd"
    files = [module / "go.mod", module / "go.sum"]
    built = {
        name: compiler.locate(
            Program(name, module, f"{_CONTAINERD}/cmd/{name}", flags),
            compiler.cache_folder("containerd", files, flags, os.environ),
            progress,
            os.environ,
        )
        for name in ("containerd", "containerd-shim-runc-v2", "ctr")
    }
    runc = shutil.which("runc", path=PATH)
    return Programs(
        kubelet=binaries.locate_kubelet(progress),
        containerd=built["containerd"],
        ctr=built["ctr"],
        pause=_pause(progress),
        runc=Path(str(runc)),
    )


def _pause(progress: Progress) -> Path:
    module = MODULES / "pause"
    flags = ("-ldflags", "-s -w")
    folder = compiler.cache_folder(
        "pause", [module / "go.mod", module / "main.go"], flags, os.environ
    )
    return compiler.locate(Program("pause", module, ".", flags), folder, progress, os.environ)
