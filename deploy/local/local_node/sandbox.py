"""The image that holds a pod's namespaces open: one static program, packed by hand."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "localhost/pause:1"
"""What containerd is told that it is called."""

_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def pack(program: Path, archive: Path) -> None:
    """Write an archive in the layout of OCI images.

    Args:
        program: the image's only file.
        archive: written, or overwritten.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as opened:
        entry = tarfile.TarInfo("pause")
        entry.mode = 0o755
        entry.size = program.stat().st_size
        opened.addfile(entry, io.BytesIO(program.read_bytes()))
    content = layer.getvalue()
    configuration = _json(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(content)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _descriptor("application/vnd.oci.image.config.v1+json", configuration),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", content)],
        }
    )
    described = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    described["annotations"] = {"io.containerd.image.name": NAME}
    with tarfile.open(archive, "w") as opened:
        _add(opened, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(opened, "index.json", _json({"schemaVersion": 2, "manifests": [described]}))
        for blob in (content, configuration, manifest):
            _add(opened, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
