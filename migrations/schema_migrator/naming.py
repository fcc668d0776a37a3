"""The naming convention that a tree's revisions rely on: it names constraints and indexes that they leave unnamed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from schema_migrator.errors import ConfigurationError
from schema_migrator.setup import load_object

if TYPE_CHECKING:
    from pathlib import Path

_ASSIGNED = re.compile(r"\btarget_metadata\s*=\s*([^\s,)#]+)")
NONE = "none"
"""What ``--target-metadata`` says where a tree has no convention."""


def is_mentioned(path: Path) -> bool:
    """Tell whether an ``env.py`` gives Alembic a metadata.

    The line ``target_metadata = None`` of Alembic's template does not count.

    Args:
        path: the file, which need not be there.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    if "naming_convention" in text:
        return True
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return any(value not in ("None", "target_metadata") for value in _ASSIGNED.findall(lines))


def load_metadata(path: str | None) -> Any:
    """Return the metadata that an option names; None for none.

    Args:
        path: ``package.module:attribute``, ``none``, or None.

    Raises:
        ConfigurationError: it is not there, or is no metadata.
    """
    if path is None or path == NONE:
        return None
    found = load_object(path, "--target-metadata")
    several = found if isinstance(found, (list, tuple)) else [found]
    if not several or not all(hasattr(one, "naming_convention") for one in several):
        raise ConfigurationError(f'--target-metadata "{path}" is no MetaData')
    conventions = [dict(one.naming_convention) for one in several]
    if any(one != conventions[0] for one in conventions):
        raise ConfigurationError(
            f'--target-metadata "{path}" holds several MetaData with different naming conventions; name one'
        )
    # Of a list Alembic takes no convention at all.
    return several[0]
