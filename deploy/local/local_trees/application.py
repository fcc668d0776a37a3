"""The packages whose trees are tried, and what each of them needs."""

from __future__ import annotations

import dataclasses
from urllib.parse import urlsplit

PSYCOPG2 = "postgresql+psycopg2"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """One package with a tree.

    Attributes:
        name: of its requirements, its module in ``applications``, and its row.
        options: the migrator's, for the tree without its ``env.py``.
        env_options: the same, with it.
        scheme: the beginning of the URL that the migrator is given.
    """

    name: str
    options: tuple[str, ...]
    env_options: tuple[str, ...]
    scheme: str = "postgresql"

    def variables(self, url: str) -> dict[str, str]:
        """Return what the application itself reads from its environment.

        Args:
            url: where its database is, for libpq.
        """
        address = urlsplit(url)
        named = f"{PSYCOPG2}{url.removeprefix('postgresql')}"
        if self.name == "airflow":
            return {
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": named,
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": named.replace("psycopg2", "psycopg"),
                "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
                "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            }
        if self.name == "fractal":
            return {
                "JWT_SECRET_KEY": "made-up",
                "POSTGRES_HOST": address.hostname or "",
                "POSTGRES_PORT": str(address.port or 5432),
                "POSTGRES_USER": address.username or "",
                "POSTGRES_PASSWORD": address.password or "",
                "POSTGRES_DB": address.path.removeprefix("/"),
            }
        return {}


def _application(
    name: str, tree: str, *options: str, needed: tuple[str, ...] = (), scheme: str = "postgresql"
) -> Application:
    """Return an application; ``needed`` are the options that only a run without ``env.py`` has to have."""
    common = ("--tree", tree, *options)
    return Application(
        name=name,
        options=(*common, *needed),
        env_options=(*common, "--with-env"),
        scheme=scheme,
    )


def _prelude(name: str, function: str = "prelude") -> tuple[str, str]:
    return "--prelude", f"local_trees.applications.{name}:{function}"


APPLICATIONS = (
    _application("optuna", "optuna.storages._rdb:alembic", needed=("--target-metadata", "none")),
    _application(
        "airflow",
        "airflow:migrations",
        needed=("--target-metadata", "airflow.models.base:Base.metadata"),
        scheme=PSYCOPG2,
    ),
    _application(
        "keystone",
        "keystone.common.sql:migrations",
        "--recursive-version-locations",
        "--target",
        "heads",
        *_prelude("keystone"),
        needed=("--target-metadata", "none"),
    ),
    _application(
        "fractal",
        "fractal_server:migrations",
        needed=(*_prelude("fractal"), "--target-metadata", "sqlmodel:SQLModel.metadata"),
    ),
    _application(
        "ihatemoney",
        "ihatemoney:migrations",
        *_prelude("ihatemoney"),
        needed=("--target-metadata", "none"),
    ),
)
"""Chosen for their habits, which ``docs/trees.md`` tells."""
