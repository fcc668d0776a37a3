"""Optuna: what ``optuna storage upgrade`` does."""

from __future__ import annotations

from pathlib import Path

import optuna.storages._rdb

from local_trees.applications import alembic_command


def official() -> None:
    """Bring the database to head."""
    folder = Path(str(optuna.storages._rdb.__file__)).parent  # noqa: SLF001 - where the package has its tree
    alembic_command.upgrade(folder / "alembic.ini", folder / "alembic", "head")
