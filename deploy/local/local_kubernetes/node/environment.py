"""What a container's process finds in its environment.

Nothing is inherited: only what the pod names, plus the few variables without
which hardly any program runs.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final, Protocol

from local_kubernetes.node.client import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE: Final = re.compile(r"\$(?:\$|\(([-._a-zA-Z0-9]+)\))")
_SUBSCRIPT: Final = re.compile(r"^metadata\.(labels|annotations)\['([^']+)'\]$")


class Requests(Protocol):
    """What is asked of the API server."""

    async def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One request; see :meth:`local_kubernetes.node.client.Client.request`."""


class UnresolvedError(Exception):
    """A variable can't be set yet; in a kubelet's words."""


class Resolver:
    """Resolves the environment of one pod's containers, asking for each object once."""

    def __init__(self, client: Requests, pod: dict[str, Any], node: str) -> None:
        self._client = client
        self._pod = pod
        self._node = node
        self._objects: dict[tuple[str, str], dict[str, str] | None] = {}

    async def resolve(self, container: dict[str, Any], given: Mapping[str, str]) -> dict[str, str]:
        """The environment of one container.

        Args:
            container: from the pod's spec.
            given: what is there anyway, unless the pod says otherwise.

        Raises:
            UnresolvedError: a Secret, a ConfigMap or a key of it is not there.
            ApiError: the API server did not answer.
        """
        result: dict[str, str] = {}
        for source in container.get("envFrom", []):
            for kind, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
                if kind in source:
                    data = await self._data(plural, source[kind])
                    prefix = source.get("prefix", "")
                    result.update({f"{prefix}{key}": value for key, value in (data or {}).items()})
        for variable in container.get("env", []):
            value = await self._value(variable, result)
            if value is not None:
                result[variable["name"]] = value
        return {**given, **result}

    async def _value(self, variable: dict[str, Any], known: Mapping[str, str]) -> str | None:
        source = variable.get("valueFrom")
        if not source:
            return expand(variable.get("value", ""), known)
        if "secretKeyRef" in source:
            return await self._key("secrets", "Secret", source["secretKeyRef"])
        if "configMapKeyRef" in source:
            return await self._key("configmaps", "ConfigMap", source["configMapKeyRef"])
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        kind = next(iter(source))
        raise UnresolvedError(f"{kind} of variable {variable['name']} is not known to this node")

    async def _key(self, plural: str, kind: str, reference: dict[str, Any]) -> str | None:
        data = await self._data(plural, reference)
        if data is None:
            return None
        key = reference["key"]
        if key in data:
            return data[key]
        if reference.get("optional"):
            return None
        raise UnresolvedError(
            f"couldn't find key {key} in {kind} {self._namespace}/{reference['name']}"
        )

    async def _data(self, plural: str, reference: dict[str, Any]) -> dict[str, str] | None:
        """The content of a Secret or ConfigMap; None if it is missing and may be."""
        name = reference["name"]
        if (plural, name) not in self._objects:
            self._objects[plural, name] = await self._read(plural, name)
        data = self._objects[plural, name]
        if data is None and not reference.get("optional"):
            raise UnresolvedError(f'{plural.removesuffix("s")} "{name}" not found')
        return data

    async def _read(self, plural: str, name: str) -> dict[str, str] | None:
        path = f"/api/v1/namespaces/{self._namespace}/{plural}/{name}"
        try:
            document = await self._client.request("GET", path)
        except ApiError as error:
            if error.not_found:
                return None
            raise
        data: dict[str, str] = document.get("data") or {}
        if plural == "configmaps":
            return data
        # As the kernel sees an environment: bytes, which need not be text.
        return {
            key: base64.b64decode(value).decode("utf-8", "surrogateescape")
            for key, value in data.items()
        }

    def _field(self, path: str) -> str:
        metadata, spec = self._pod["metadata"], self._pod["spec"]
        subscript = _SUBSCRIPT.match(path)
        if subscript:
            values: dict[str, str] = metadata.get(subscript[1]) or {}
            return values.get(subscript[2], "")
        fields = {
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "metadata.uid": metadata["uid"],
            "spec.nodeName": self._node,
            "spec.serviceAccountName": spec.get("serviceAccountName", ""),
            "status.hostIP": "127.0.0.1",
            "status.podIP": "127.0.0.1",
        }
        if path not in fields:
            raise UnresolvedError(f"field {path} is not known to this node")
        return str(fields[path])

    @property
    def _namespace(self) -> str:
        return str(self._pod["metadata"]["namespace"])


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replaces ``$(NAME)``; ``$$`` is a dollar sign, what is not known stays.

    Args:
        text: a value, a command or an argument.
        known: the variables so far.
    """

    def replacement(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text)
