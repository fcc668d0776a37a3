"""An API server's own schemas, as files for programs that check manifests without a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.cluster import Cluster

LOCATION: Final = "{{.Group}}-{{.ResourceKind}}-{{.ResourceAPIVersion}}.json"
"""How kubeconform finds the file of a kind."""

_REFERENCE: Final = "#/components/schemas/"


def write(cluster: Cluster, folder: Path, *group_versions: str) -> None:
    """Write the schema of each kind of some groups.

    Args:
        cluster: asked for them.
        folder: where the files go.
        group_versions: as they stand in a manifest, ``v1`` or ``apps/v1``.
    """
    for group_version in group_versions:
        path = f"apis/{group_version}" if "/" in group_version else f"api/{group_version}"
        document = json.loads(cluster.kubectl("get", f"--raw=/openapi/v3/{path}"))
        schemas: dict[str, Any] = {
            name: _strict(schema) for name, schema in document["components"]["schemas"].items()
        }
        for name, schema in schemas.items():
            for kind in schema.get("x-kubernetes-group-version-kind", ()):
                group = kind["group"] or kind["version"]
                file = f"{group}-{kind['kind'].lower()}-{kind['version']}.json"
                whole = {"$ref": f"{_REFERENCE}{name}", "components": {"schemas": schemas}}
                (folder / file).write_text(json.dumps(whole))


def _strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that lets no field through that it does not name, as a strict server would not."""
    node = {key: value for key, value in schema.items() if key not in {"default", "format"}}
    if "properties" in node:
        node["properties"] = {name: _strict(part) for name, part in node["properties"].items()}
        open_ = bool(node.get("x-kubernetes-preserve-unknown-fields"))
        node.setdefault("additionalProperties", open_)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _strict(node[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in node:
            node[key] = [_strict(part) for part in node[key]]
    return node
