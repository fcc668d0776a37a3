"""Hatch's build hook: the embedded tree's manifest, made for the wheel alone.

A checkout has none, because every edit of a revision would make it wrong; there
the tree is loaded instead.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface[Any]):
    """Adds ``tenant_registry/versions/manifest.txt``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the manifest into a folder of its own and have it packed.

        Args:
            version: ``standard``, or ``editable`` for a checkout.
            build_data: what is packed; added to.
        """
        if version != "standard":
            return
        source = Path(self.root) / "migrations"
        sys.path.insert(0, str(source))
        try:
            from schema_migrator import manifest, source_graph
        finally:
            sys.path.remove(str(source))
        versions = source / "tenant_registry" / "versions"
        self._folder = tempfile.TemporaryDirectory()
        path = Path(self._folder.name) / manifest.NAME
        path.write_text(manifest.render(str(versions), source_graph.read(versions)))
        build_data["force_include"][str(path)] = f"tenant_registry/versions/{manifest.NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatch's signature
        """Remove the folder."""
        if version == "standard":
            self._folder.cleanup()
