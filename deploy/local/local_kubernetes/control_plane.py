"""The processes of a control plane: what each is called with."""

from __future__ import annotations

import dataclasses
import json
import socket
from typing import TYPE_CHECKING, Any, Final

from local_kubernetes import audit, certificates, kubeconfigs

if TYPE_CHECKING:
    from local_kubernetes.binaries import Binaries
    from local_kubernetes.folders import Folder

SERVICE_RANGE: Final = "10.96.0.0/16"
SERVICE_ADDRESS: Final = "10.96.0.1"

_QUERIES: Final = ("--kube-api-qps=400", "--kube-api-burst=800")
"""The defaults guard a shared API server; this one has a single user."""


@dataclasses.dataclass(frozen=True, slots=True)
class Component:
    """One process to start.

    Attributes:
        name: also its log's.
        command: program and arguments.
        needs_server: whether it is started only when the API server answers.
    """

    name: str
    command: tuple[str, ...]
    needs_server: bool = False

    @classmethod
    def read(cls, document: dict[str, Any]) -> Component:
        """Takes up what :func:`dataclasses.asdict` made.

        Args:
            document: the fields.
        """
        return cls(document["name"], tuple(document["command"]), document["needs_server"])


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where the parts listen.

    Attributes:
        host: the API server's address.
        server: its port.
        etcd: the store's port, on the loopback.
        etcd_peer: the store's second port, which nobody uses.
    """

    host: str
    server: int
    etcd: int
    etcd_peer: int

    @classmethod
    def free(cls, host: str) -> Address:
        """Three ports that nobody listens on at this moment.

        Args:
            host: the address for the API server.

        Raises:
            OSError: the address is not this machine's.
        """
        # All are held before any is let go, so they differ.
        sockets = [socket.create_server((each, 0)) for each in (host, "127.0.0.1", "127.0.0.1")]
        ports = [each.getsockname()[1] for each in sockets]
        for each in sockets:
            each.close()
        return cls(host, *ports)

    @property
    def url(self) -> str:
        """The API server's."""
        return f"https://{self.host}:{self.server}"


def certify(folder: Folder, address: Address) -> certificates.Authority:
    """Makes the authorities, the servers' certificates and the components' kubeconfigs.

    etcd has an authority of its own: a user of the cluster must not be able to
    talk to the store.

    Args:
        folder: the cluster's.
        address: the names that the certificates carry.

    Returns:
        The authority that signs users.
    """
    store = certificates.Authority.create("local-etcd")
    store.credential.write(folder.certificates, "etcd-ca")
    store.server("etcd", ["127.0.0.1"]).write(folder.certificates, "etcd")
    authority = certificates.Authority.create("local-kubernetes")
    authority.credential.write(folder.certificates, "ca")
    hosts = {address.host, "127.0.0.1", "localhost", SERVICE_ADDRESS}
    hosts |= {"kubernetes", "kubernetes.default", "kubernetes.default.svc"}
    authority.server("kube-apiserver", sorted(hosts)).write(folder.certificates, "server")
    (folder.certificates / "service-accounts.key").touch(mode=0o600)
    (folder.certificates / "service-accounts.key").write_bytes(certificates.signing_key())
    authority.client("admin", ["system:masters"]).write(folder.certificates, "admin")
    authority.client("kube-apiserver", ["system:masters"]).write(
        folder.certificates, "kubelet-client"
    )
    for user, groups, name in (
        ("admin", ["system:masters"], "admin"),
        ("system:kube-controller-manager", [], "controller-manager"),
        ("system:kube-scheduler", [], "scheduler"),
    ):
        document = kubeconfigs.with_certificate(
            address.url, authority.credential.certificate, user, authority.client(user, groups)
        )
        kubeconfigs.write(folder.kubeconfigs / f"{name}.yaml", document)
    return authority


def components(folder: Folder, address: Address, binaries: Binaries) -> list[Component]:
    """The four processes, in the order of their start.

    Args:
        folder: the cluster's, with certificates in it.
        address: where they listen.
        binaries: what is started.
    """
    folder.audit_policy.write_text(json.dumps(audit.POLICY), encoding="utf-8")
    keys = folder.certificates
    store = f"https://127.0.0.1:{address.etcd}"
    peer = f"https://127.0.0.1:{address.etcd_peer}"
    return [
        Component(
            "etcd",
            (
                str(binaries.etcd),
                f"--data-dir={folder.etcd}",
                f"--listen-client-urls={store}",
                f"--advertise-client-urls={store}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                f"--cert-file={keys / 'etcd.crt'}",
                f"--key-file={keys / 'etcd.key'}",
                "--client-cert-auth",
                f"--trusted-ca-file={keys / 'etcd-ca.crt'}",
                f"--peer-cert-file={keys / 'etcd.crt'}",
                f"--peer-key-file={keys / 'etcd.key'}",
                "--peer-client-cert-auth",
                f"--peer-trusted-ca-file={keys / 'etcd-ca.crt'}",
                "--unsafe-no-fsync",  # its data does not outlive the cluster
            ),
        ),
        Component(
            "kube-apiserver",
            (
                str(binaries.kube_apiserver),
                f"--etcd-servers={store}",
                f"--etcd-cafile={keys / 'etcd-ca.crt'}",
                f"--etcd-certfile={keys / 'etcd.crt'}",
                f"--etcd-keyfile={keys / 'etcd.key'}",
                f"--service-cluster-ip-range={SERVICE_RANGE}",
                f"--bind-address={address.host}",
                f"--advertise-address={address.host}",
                f"--secure-port={address.server}",
                f"--tls-cert-file={keys / 'server.crt'}",
                f"--tls-private-key-file={keys / 'server.key'}",
                f"--client-ca-file={keys / 'ca.crt'}",
                f"--kubelet-client-certificate={keys / 'kubelet-client.crt'}",
                f"--kubelet-client-key={keys / 'kubelet-client.key'}",
                f"--service-account-key-file={keys / 'service-accounts.key'}",
                f"--service-account-signing-key-file={keys / 'service-accounts.key'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--authorization-mode=Node,RBAC",
                "--enable-admission-plugins=NodeRestriction",
                "--allow-privileged",
                "--endpoint-reconciler-type=none",
                f"--audit-policy-file={folder.audit_policy}",
                f"--audit-log-path={folder.audit_log}",
                # MB; without a bound of ours it is 100, which a benchmark outgrows.
                "--audit-log-maxsize=1000",
                "--audit-log-maxbackup=1",
            ),
        ),
        Component(
            "kube-controller-manager",
            (
                str(binaries.kube_controller_manager),
                f"--kubeconfig={folder.kubeconfigs / 'controller-manager.yaml'}",
                f"--service-account-private-key-file={keys / 'service-accounts.key'}",
                f"--root-ca-file={keys / 'ca.crt'}",
                "--use-service-account-credentials",
                "--leader-elect=false",
                "--secure-port=0",  # no second cluster on this machine wants the same port
                *_QUERIES,
            ),
            needs_server=True,
        ),
        Component(
            "kube-scheduler",
            (
                str(binaries.kube_scheduler),
                f"--kubeconfig={folder.kubeconfigs / 'scheduler.yaml'}",
                "--leader-elect=false",
                "--secure-port=0",
                *_QUERIES,
            ),
            needs_server=True,
        ),
    ]
