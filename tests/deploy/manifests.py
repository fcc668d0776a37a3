"""The installations that ship, as they are rendered for a test."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
CLUSTER_WIDE = DEPLOY / "kustomize" / "base"
NAMESPACED = DEPLOY / "kustomize" / "namespaced"
POLICY_OF_OPERATOR = DEPLOY / "kustomize" / "components" / "network-policy" / "operator"
STANDBYS = DEPLOY / "kustomize" / "components" / "standbys"
POLICY_OF_MIGRATOR = DEPLOY / "kustomize" / "components" / "network-policy" / "migrator"

Document = dict[str, Any]


def rendered(
    cluster: Cluster,
    folder: Path,
    *resources: Path,
    components: tuple[Path, ...] = (),
    namespace: str = "",
) -> list[Document]:
    """What somebody gets whose own kustomization names these.

    Args:
        cluster: its kubectl renders.
        folder: an empty one, for that kustomization.
        resources: folders with a kustomization.
        components: folders of components.
        namespace: put everything there; empty: where it is.
    """
    kustomization: Document = {
        "resources": [os.path.relpath(path, folder) for path in resources],
        "components": [os.path.relpath(path, folder) for path in components],
    }
    if namespace:
        kustomization |= {"namespace": namespace}
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))
    return list(yaml.safe_load_all(cluster.kubectl("kustomize", str(folder))))


def only(documents: list[Document], kind: str, name: str = "") -> Document:
    """The one of a kind, or of a kind and name."""
    (found,) = (
        each
        for each in documents
        if each["kind"] == kind and (not name or each["metadata"]["name"] == name)
    )
    return found


def apply(cluster: Cluster, documents: list[Document], *options: str) -> None:
    """Applies them as an installation is applied: whole, checked by the server."""
    listing = {"apiVersion": "v1", "kind": "List", "items": documents}
    cluster.kubectl(
        *("apply", "--server-side", "--validate=strict", "--filename=-", *options),
        stdin=json.dumps(listing),
    )
