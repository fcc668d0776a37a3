"""Fractal Server: what ``fractalctl set-db`` does."""

from __future__ import annotations

from pathlib import Path

import fractal_server
from alembic import config
from fractal_server.migrations.naming_convention import NAMING_CONVENTION
from sqlmodel import SQLModel


def prelude() -> None:
    """Give the metadata its naming convention, as the tree's ``env.py`` does."""
    SQLModel.metadata.naming_convention = NAMING_CONVENTION


def official() -> None:
    """Bring the database to head; where it is the application reads from its own variables."""
    file = Path(str(fractal_server.__file__)).parent / "alembic.ini"
    config.main(argv=["-c", str(file), "upgrade", "head"])
