"""Alembic's own ``upgrade``, for applications whose command is that."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from pathlib import Path


def upgrade(file: Path, directory: Path, target: str) -> None:
    """Bring the database of ``DATABASE_URL`` to a target, with the tree's own ``env.py``.

    Args:
        file: the tree's ``alembic.ini``.
        directory: the tree.
        target: ``head`` or ``heads``.
    """
    config = Config(str(file))
    url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, target)
