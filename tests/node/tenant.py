"""A namespace as a team has one: its resource, its Secret, its database, and what happens in it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import psycopg

from local_images import images

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.fix_cluster import Objects
    from tests.operator.fix_operator import Migrations

NAME = "registry"


@dataclasses.dataclass
class Tenant:
    """A namespace with a database of its own, and one resource in it.

    Attributes:
        migrations: the resources of the namespace.
        url: the database's.
    """

    migrations: Migrations
    url: str

    @property
    def objects(self) -> Objects:
        """The namespace's objects."""
        return self.migrations.objects

    def secret(self) -> None:
        """Write the Secret."""
        self.objects.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": NAME},
                "stringData": {"DATABASE_URL": self.url},
            }
        )

    def apply(self, *, files: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Apply the resource.

        Args:
            files: a tree, which reaches the pod as a ConfigMap; None: the image's own.
            spec: what it says besides.
        """
        template: dict[str, Any] = spec.pop("podTemplate", {})
        if files is not None:
            self.objects.apply(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "tree"},
                    "data": dict(files),
                }
            )
            items = [{"key": name, "path": f"versions/{name}"} for name in files]
            volume = {"name": "tree", "configMap": {"name": "tree", "items": items}}
            mount = {"name": "tree", "mountPath": "/tree", "readOnly": True}
            template |= {"volumes": [volume], "volumeMounts": [mount]}
            spec["tree"] = "/tree"
        wanted = {"image": images.MIGRATOR.name, "retry": {"backoff": "1s", "maxBackoff": "2s"}}
        self.migrations.apply(NAME, **(wanted | spec | {"podTemplate": template}))

    def until(self, reason: str, seconds: float = 60.0) -> dict[str, Any]:
        """Return the status as soon as it answers the present spec with this reason."""
        return self.migrations.until(NAME, reason, seconds)

    def message(self) -> str:
        """Return the message of its Ready condition."""
        return str(self.migrations.status(NAME)["conditions"][0]["message"])

    def jobs(self) -> list[dict[str, Any]]:
        """Return its Jobs."""
        return self.migrations.jobs(NAME)

    def pod(self) -> dict[str, Any]:
        """Return the pod of its newest Job."""
        newest = max(self.jobs(), key=lambda job: str(job["metadata"]["creationTimestamp"]))
        return self.objects.pod_of(newest["metadata"]["name"])

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a statement on the database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def hold(self) -> None:
        """Let revisions that look at this table wait until :meth:`let_go`."""
        self.query("CREATE TABLE held AS SELECT 1")

    def let_go(self) -> None:
        """Let them go on."""
        self.query("DELETE FROM held")

    def working(self) -> int:
        """Return how many migrators are inside a revision at this moment."""
        ((number,),) = self.query(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'migrate/%'"
            " AND datname = current_database() AND query LIKE '%pg_sleep%' AND state = 'active'"
        )
        return int(number)


HELD = (
    "DO $$ BEGIN WHILE EXISTS (SELECT FROM held) LOOP PERFORM pg_sleep(0.1); END LOOP; END $$;\n"
    "CREATE TABLE done ();\n"
)
"""A revision that waits for as long as a test lets it."""
