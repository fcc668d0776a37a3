"""A stand-in for Infisical's operator: it writes Secrets as that one does.

Both generations of its resources are read from the API server and answered in
their own way. What is made up is where the values come from: a dictionary takes
the place of Infisical itself. What is not covered: logging in, several sources,
ConfigMaps, `Owner`, and templates beyond ``{{ .KEY.Value }}``.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_kubernetes.cluster import Cluster

VERSION = "secrets.infisical.com/version"
_SYSTEM = ("kubectl.kubernetes.io/", "kubernetes.io/", "k8s.io/", "helm.sh/")
_VALUE = re.compile(r"\{\{\s*\.(\w+)\.Value\s*\}\}")


@dataclasses.dataclass
class Infisical:
    """Infisical and its operator, for one namespace.

    Attributes:
        cluster: where it writes, as an administrator.
        namespace: the one that it looks after.
        values: what stands in Infisical.
        refuses: whether it refuses the operator's login.
    """

    cluster: Cluster
    namespace: str
    values: dict[str, str] = dataclasses.field(default_factory=dict)
    refuses: bool = False
    _last: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)

    def sync(self) -> None:
        """Do what the operator does each time that its interval has passed."""
        for resource in self._list("infisicalsecrets"):
            # The server says "not modified", so a Secret that somebody deleted stays away.
            name = resource["metadata"]["name"]
            if not self.refuses and self._last.get(name) != self.values:
                self._last[name] = dict(self.values)
                for target in resource["spec"]["managedKubeSecretReferences"]:
                    self._write_older(resource, target)
            self._condition("infisicalsecrets", resource, "ReadyToSyncSecrets")
        for resource in self._list("infisicalstaticsecrets"):
            if not self.refuses:
                for target in resource["spec"]["targets"]:
                    self._write_newer(resource, target)
            self._condition("infisicalstaticsecrets", resource, "LastReconcileStatus")

    def _write_older(self, resource: dict[str, Any], target: dict[str, Any]) -> None:
        template = target.get("template")
        data = self._render(template)
        if template is None or template.get("includeAllSecrets"):
            data = self.values | data
        self._write(
            target["secretName"],
            target["secretNamespace"],
            target["secretType"],
            data,
            _metadata(resource, (template or {}).get("metadata")),
        )

    def _write_newer(self, resource: dict[str, Any], target: dict[str, Any]) -> None:
        assert target["kind"] == "Secret"
        template = target.get("template")
        self._write(
            target["name"],
            target["namespace"],
            target.get("secretType", "Opaque"),
            self.values if template is None else self._render(template),
            _metadata(resource, target.get("metadata")),
        )

    def _render(self, template: dict[str, Any] | None) -> dict[str, str]:
        """The templated keys; Go's templates write this where a key is missing, and go on."""

        def value(match: re.Match[str]) -> str:
            return self.values.get(match[1], "<no value>")

        templates = (template or {}).get("data", {})
        return {key: _VALUE.sub(value, text) for key, text in templates.items()}

    def _write(
        self, name: str, namespace: str, kind: str, data: dict[str, str], metadata: dict[str, Any]
    ) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": kind,
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": metadata["labels"],
                "annotations": metadata["annotations"] | {VERSION: version(data)},
            },
            "data": {key: base64.b64encode(each.encode()).decode() for key, each in data.items()},
        }
        place = f"--namespace={namespace}"
        there = self.cluster.kubectl("get", "secret", name, place, "-oname", "--ignore-not-found")
        verb = "replace" if there else "create"
        self.cluster.kubectl(verb, "--filename=-", stdin=json.dumps(secret))

    def _list(self, kind: str) -> list[dict[str, Any]]:
        text = self.cluster.kubectl("get", kind, f"--namespace={self.namespace}", "-ojson")
        items: list[dict[str, Any]] = json.loads(text)["items"]
        return items

    def _condition(self, kind: str, resource: dict[str, Any], name: str) -> None:
        """Say how it went; there is no condition Ready."""
        condition = {
            "type": f"secrets.infisical.com/{name}",
            "status": "False" if self.refuses else "True",
            "reason": "Error" if self.refuses else "OK",
            "message": "",
            "lastTransitionTime": resource["metadata"]["creationTimestamp"],
        }
        patch = json.dumps({"status": {"conditions": [condition]}})
        self.cluster.kubectl(
            *("patch", kind, resource["metadata"]["name"], f"--namespace={self.namespace}"),
            *("--subresource=status", "--type=merge", f"--patch={patch}"),
        )


def version(data: dict[str, str]) -> str:
    """What the annotation says: length and checksum of the keys in order, each with its value."""
    content = b"".join(
        key.encode() + b"\0" + value.encode() + b"\0" for key, value in sorted(data.items())
    )
    return f'W/"secrets-{len(content)}-{zlib.crc32(content):08X}"'


def _metadata(resource: dict[str, Any], own: dict[str, Any] | None) -> dict[str, Any]:
    """What the target says; else all that the resource has, and a list of it."""
    if own is not None:
        return {key: dict(own.get(key, {})) for key in ("labels", "annotations")}
    labels = resource["metadata"].get("labels", {})
    annotations = {
        key: value
        for key, value in resource["metadata"].get("annotations", {}).items()
        if not key.startswith(_SYSTEM)
    }
    managed = {
        "secrets.infisical.com/managed-labels": ",".join(sorted(labels)),
        "secrets.infisical.com/managed-annotations": ",".join(sorted(annotations)),
    }
    return {"labels": labels, "annotations": annotations | managed}
