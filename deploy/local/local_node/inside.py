"""The first process of a site: makes its network, starts its nodes, collects what they leave.

Run as a program in new namespaces for processes, mounts and the network:
``inside FOLDER --pidfile=…``. When it ends, the kernel kills all others and undoes their mounts.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

_PRIVATE: Final = ("/run", "/var/lib", "/var/log")
"""Where programs write without being asked; the site has its own of each."""

_SETTINGS: Final = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet sets on its machine: here it finds it set, and the machine stays as it is."""

_LINK_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do.

    Attributes:
        link: the interface that will be there.
        addresses: of the interface, one for each node.
        gateway: the other end of the link.
        service: the API server's address and port for pods.
        server: its address and port on the link.
        folder: the site's.
        path: where programs are looked for.
        group: the control group that all containers will be in.
        commands: what to start, by name, in this order.
    """

    link: str
    addresses: list[str]
    gateway: str
    service: tuple[str, int]
    server: tuple[str, int]
    folder: str
    path: str
    group: str
    commands: dict[str, list[str]]

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read what :func:`dataclasses.asdict` made."""
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return cls(**document)


def run(plan: Plan) -> None:
    """Bring the site up; returns only when it has no process left."""
    environment = {**os.environ, "PATH": plan.path}
    _mounts(Path(plan.folder), environment)
    _network(plan, environment)
    for name, command in plan.commands.items():
        with (Path(plan.folder) / f"{name}.log").open("ab") as log:
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
    # Shims outlive what started them, and become this process's children.
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


def _mounts(folder: Path, environment: dict[str, str]) -> None:
    for place in _PRIVATE:
        _call(["mount", "-t", "tmpfs", "tmpfs", place], environment)
    settings = folder / "settings"
    for name, value in _SETTINGS.items():
        stand_in = settings / name
        stand_in.parent.mkdir(parents=True, exist_ok=True)
        stand_in.write_text(f"{value}\n", encoding="utf-8")
        _call(["mount", "--bind", str(stand_in), f"/proc/sys/{name}"], environment)


def _network(plan: Plan, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + _LINK_SECONDS
    while not _has_link(plan.link):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {plan.link} after {_LINK_SECONDS:g}s")
        time.sleep(_POLL_SECONDS)
    _call(["ip", "link", "set", "lo", "up"], environment)
    for address in plan.addresses:
        _call(["ip", "address", "add", f"{address}/26", "dev", plan.link], environment)
    _call(["ip", "link", "set", plan.link, "up"], environment)
    _call(["ip", "route", "add", "default", "via", plan.gateway], environment)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="utf-8")
    # What kube-proxy does for the Service "kubernetes", which is the only one that is needed here.
    (service, port), (server, target) = plan.service, plan.server
    for chain in ("PREROUTING", "OUTPUT"):
        rule = ["iptables", "-t", "nat", "-A", chain, "-d", service, "-p", "tcp"]
        rule += ["--dport", str(port), "-j", "DNAT", "--to-destination", f"{server}:{target}"]
        _call(rule, environment)


def _has_link(name: str) -> bool:
    # Not /sys, which shows the network of who mounted it.
    lines = Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()
    return any(line.strip().startswith(f"{name}:") for line in lines)


def _call(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    run(Plan.read(Path(sys.argv[1]) / "plan.json"))
