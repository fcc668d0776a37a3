"""Airflow: what ``airflow db migrate`` does with its migration files."""

from __future__ import annotations

from airflow.utils import db


def official() -> None:
    """Bring the database to head, by the migrations and not from the models."""
    db.upgradedb(use_migration_files=True)
