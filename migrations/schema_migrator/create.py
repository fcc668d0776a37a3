"""The next revision of a tree, as a file to fill in."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from schema_migrator.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from schema_migrator.location import Location
    from schema_migrator.tree import Tree

_TEMPLATE = string.Template(
    '''"""$message.

Revision: $revision
Revises: $parent
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "$revision"
down_revision = $parent_value
branch_labels = None
depends_on = None


def upgrade() -> None:
    raise NotImplementedError("write the upgrade of $revision, then remove this line")


def downgrade() -> None:
    raise NotImplementedError("write the downgrade of $revision, then remove this line")
'''
)
_LONGEST_SLUG = 40


_SQL_TEMPLATE = string.Template("-- $message: write the $what here.\n")


def create(
    location: Location, tree: Tree | None, name: str, *, sql: bool = False
) -> tuple[Path, ...]:
    """Write the next numbered revision of a tree and return its files.

    Args:
        location: where the tree is, or shall be.
        tree: the tree; its head becomes the new revision's parent. None: this is the first one.
        name: a few words, as ``add billing address``.
        sql: write a pair of SQL files; a tree of SQL files alone gets one anyway.

    Raises:
        ConfigurationError: the name has no letter or digit, or the file can't be written.
        RefusedError: the tree has several heads.
    """
    slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST_SLUG].strip("_")
    if not slug:
        raise ConfigurationError(
            "the name of a revision needs a letter or digit, as in: migrate create add_billing_address"
        )
    parent = None if tree is None else tree.head
    revisions = () if tree is None else tree.all_revisions()
    numbers = [one.id for one in revisions if one.id.isdigit()]
    width = max((len(one) for one in numbers), default=4)
    revision = str(max((int(one) for one in numbers), default=0) + 1).zfill(width)
    message = name.strip().replace("_", " ").replace("\\", "").replace('"', "'").rstrip(".")
    message = message[:1].upper() + message[1:]
    start = location.versions / f"{revision}_{slug}"
    if sql or (tree is not None and tree.alembic is None):
        return tuple(
            _write(start.with_name(f"{start.name}.{way}.sql"), text)
            for way, text in (
                ("up", _SQL_TEMPLATE.substitute(message=message, what="upgrade")),
                ("down", _SQL_TEMPLATE.substitute(message=message, what="downgrade")),
            )
        )
    text = _TEMPLATE.substitute(
        message=message,
        revision=revision,
        parent=parent or "nothing",
        parent_value=f'"{parent}"' if parent else "None",
    )
    return (_write(start.with_name(f"{start.name}.py"), text),)


def _write(path: Path, text: str) -> Path:
    """Write a new file.

    Raises:
        ConfigurationError: it is there already, or can't be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"{path} can't be written: {error.strerror}; create revisions in a source checkout"
        ) from error
    return path
