"""Trees of any length for every program: one table with a serial key, and one index, a revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PYTHON = '''"""Make table {number}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {below!r}


def upgrade():
    op.create_table(
        "t{number}",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
    )
    op.create_index("t{number}_name_idx", "t{number}", ["name"])


def downgrade():
    op.drop_table("t{number}")
'''
_UP = """\
CREATE TABLE t{number} (id serial PRIMARY KEY, name text NOT NULL);
CREATE INDEX t{number}_name_idx ON t{number} (name);
"""
_ENVIRONMENT = """\
import os
from alembic import context
from sqlalchemy import create_engine, pool

engine = create_engine(os.environ["DATABASE_URL"].replace("://", "+psycopg://", 1), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""


def write_sql(folder: Path, count: int) -> Path:
    """Write SQL files, named as golang-migrate and we read them; return the tree's directory."""
    versions = folder / "versions"
    versions.mkdir(parents=True)
    for number in range(1, count + 1):
        name = versions / f"{number:04d}_t{number}"
        name.with_name(f"{name.name}.up.sql").write_text(_UP.format(number=number))
        name.with_name(f"{name.name}.down.sql").write_text(f"DROP TABLE t{number};\n")
    return folder


def write_python(folder: Path, count: int) -> Path:
    """Write Python revisions with an ``env.py`` and an ``alembic.ini``; return the tree's directory."""
    versions = folder / "versions"
    versions.mkdir(parents=True)
    (folder / "env.py").write_text(_ENVIRONMENT)
    (folder / "alembic.ini").write_text(f"[alembic]\nscript_location = {folder}\n")
    for number in range(1, count + 1):
        text = _PYTHON.format(
            number=number,
            revision=f"{number:04d}",
            below=f"{number - 1:04d}" if number > 1 else None,
        )
        (versions / f"{number:04d}_t{number}.py").write_text(text)
    return folder
