"""The files by which clients find the API server and prove who they are."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from local_kubernetes.certificates import Credential


def with_certificate(
    server: str, authority: bytes, user: str, credential: Credential
) -> dict[str, Any]:
    """A kubeconfig whose user has a client certificate.

    Args:
        server: the address of the API server.
        authority: the certificate it is checked by, PEM.
        user: how the entry is called.
        credential: the user's.
    """
    return _document(
        server,
        authority,
        user,
        {
            "client-certificate-data": _encoded(credential.certificate),
            "client-key-data": _encoded(credential.key),
        },
    )


def with_token(server: str, authority: bytes, user: str, token: str) -> dict[str, Any]:
    """A kubeconfig whose user has a bearer token.

    Args:
        server: the address of the API server.
        authority: the certificate it is checked by, PEM.
        user: how the entry is called.
        token: the user's.
    """
    return _document(server, authority, user, {"token": token})


def write(path: Path, document: dict[str, Any]) -> Path:
    """Writes one, for its owner's eyes only, whole or not at all.

    Args:
        path: where; its folder is made.
        document: JSON is YAML, so no library is needed.

    Returns:
        The path.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.touch(mode=0o600)
    part.write_text(json.dumps(document, indent=2), encoding="utf-8")
    return part.replace(path)


def _document(server: str, authority: bytes, user: str, proof: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "local",
                "cluster": {"server": server, "certificate-authority-data": _encoded(authority)},
            }
        ],
        "users": [{"name": user, "user": proof}],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": user}}],
        "current-context": "local",
    }


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
