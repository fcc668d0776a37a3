"""What the programs of a node are told, each in its own format."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, Final

from local_node import sandbox
from local_node.programs import NETWORK_PLUGINS

if TYPE_CHECKING:
    from pathlib import Path

    from local_node.programs import Programs

SYNC_SECONDS: Final = 5
"""How often a kubelet looks at each pod again; a minute otherwise, which a test would wait for."""

LEASE_SECONDS: Final = 8
"""How long a node counts as alive after its last sign; 40 otherwise."""

_CONTAINERD: Final = """\
version = 3
root = "{folder}/containerd"
state = "{folder}/run"
# Each makes a folder outside of the site's.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]

[grpc]
address = "{folder}/containerd.sock"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{sandbox}"

[plugins.'io.containerd.cri.v1.runtime']
# A machine may lack the right to make its processes less likely to be killed.
restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{plugins}"]
conf_dir = "{folder}/network"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One node of a site.

    Attributes:
        name: as the API server knows it.
        folder: holds all that it writes.
        address: its own.
        pods: the network of its pods.
        group: the control group that its containers are in.
        kubeconfig: by which it finds and persuades the API server.
        authority: the certificate that its callers are checked by.
    """

    name: str
    folder: Path
    address: str
    pods: str
    group: str
    kubeconfig: Path
    authority: Path

    @property
    def socket(self) -> Path:
        """Where its containerd listens."""
        return self.folder / "containerd.sock"

    def write(self, programs: Programs) -> None:
        """Write the files that its programs read."""
        (self.folder / "network").mkdir(parents=True)
        (self.folder / "resolv.conf").touch()
        (self.folder / "containerd.toml").write_text(
            _CONTAINERD.format(
                folder=self.folder,
                sandbox=sandbox.NAME,
                plugins=NETWORK_PLUGINS,
                runc=programs.runc,
            ),
            encoding="utf-8",
        )
        _write(self.folder / "network" / "10-pods.conflist", self._network())
        _write(self.folder / "kubelet.json", self._kubelet())

    def containerd_command(self, programs: Programs) -> list[str]:
        """Return how its containerd is started."""
        return [str(programs.containerd), f"--config={self.folder / 'containerd.toml'}"]

    def kubelet_command(self, programs: Programs) -> list[str]:
        """Return how its kubelet is started."""
        return [
            str(programs.kubelet),
            f"--config={self.folder / 'kubelet.json'}",
            f"--kubeconfig={self.kubeconfig}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
        ]

    def _network(self) -> dict[str, Any]:
        address_management = {
            "type": "host-local",
            "ranges": [[{"subnet": self.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(self.folder / "leases"),
        }
        bridge = {
            "type": "bridge",
            "bridge": f"pods-{self.name}"[:15],
            "isGateway": True,
            "ipam": address_management,
        }
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}

    def _kubelet(self) -> dict[str, Any]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.address,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.authority)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.group}",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            # How full the machine's disk is is not the tests' matter.
            "evictionHard": {},
            "imageGCHighThresholdPercent": 100,
            "failCgroupV1": False,
            "failSwapOn": False,
            "healthzPort": 0,
            "makeIPTablesUtilChains": False,
            "nodeLeaseDurationSeconds": LEASE_SECONDS,
            "nodeStatusUpdateFrequency": "2s",
            "oomScoreAdj": 0,
            "podLogsDir": str(self.folder / "logs"),
            "resolvConf": str(self.folder / "resolv.conf"),
            "syncFrequency": f"{SYNC_SECONDS}s",
            "volumePluginDir": str(self.folder / "volume-plugins"),
        }


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2), encoding="utf-8")
