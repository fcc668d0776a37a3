"""What a test does on Orca: build an image of a tree, deploy an example, look at what became of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_images import images
from local_images.errors import EngineError
from tests.fix_cluster import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local_images.engine import Engine
    from local_orca.server import Orca
    from tests.postgres_server import Database, PostgresServer
    from tests.witness import Witness

EXAMPLES = Path(__file__).parents[2] / "deploy" / "orca"
APPLICATION = Path(__file__).parent / "application"

GATEWAY = "172.30.0.1"
"""The machine, as containers see it."""

_SHOWN = 5000  # characters of the server's log, of a test that has failed
STARTS = "CREATE TABLE starts (position text, at timestamptz DEFAULT clock_timestamp());"
FIRST = {"0001_starts.up.sql": STARTS}
"""A tree of one good revision."""

IMAGES = {
    "shop": {"shop-api": "chained"},
    "store": {"store-migrations": "migrations", "store-api": "waiting"},
}
"""The images that an example names, and the stage that each is built from."""


@dataclasses.dataclass(frozen=True)
class Container:
    """A container as the engine described it; the same one later is equal to it.

    Attributes:
        identity: its id, which no other has.
        document: what the engine said.
    """

    identity: str
    document: dict[str, Any] = dataclasses.field(compare=False)

    @property
    def running(self) -> bool:
        return bool(self.document["State"]["Running"])

    @property
    def exit_code(self) -> int:
        return int(self.document["State"]["ExitCode"])

    @property
    def port(self) -> int:
        """The machine's port that its own one is published on."""
        published = self.document["NetworkSettings"]["Ports"] or {}
        (one,) = {int(each["HostPort"]) for bound in published.values() for each in bound or ()}
        return one


class Stage:
    """An Orca with the examples, a database for each."""

    def __init__(
        self,
        engine: Engine,
        server: PostgresServer,
        orca: Orca,
        folder: Path,
        witness: Witness,
    ) -> None:
        self.engine = engine
        self.orca = orca
        self._server = server
        self._folder = folder
        self._witness = witness
        self._databases: dict[str, Database] = {}

    def begin(self) -> None:
        """Start the server as an example says."""
        self.orca.take(EXAMPLES / "cluster.toml")
        self.orca.start()

    def end(self) -> None:
        """Remove what Orca left on the engine, and the databases."""
        for container in self._all("label=orca.managed=true"):
            written = self.log(container)
            self._witness.text("log of a container on Orca", written)
            print(container.document["Name"], container.document["State"], written)  # noqa: T201 - shown when a test has failed
            self.engine.docker("rm", "--force", container.identity)
        print(self.orca.log()[-_SHOWN:])  # noqa: T201
        for database in self._databases.values():
            self._server.drop_database(database)

    def prepare(self, project: str, revisions: Mapping[str, str] = FIRST) -> Database:
        """Take an example's folder, build its images from a tree, make its database and secret."""
        self.orca.take(EXAMPLES / "services" / project)
        self.build(project, "1.4.0", revisions)
        database = self._databases[project] = self._server.create_database()
        self._witness.secret(database.url)
        self.set_secret(project, self.reachable(database.url))
        return database

    def build(self, project: str, version: str, revisions: Mapping[str, str]) -> None:
        """Build an example's images of a version, with these files as their tree."""
        context = self._folder / f"{project}-{version}"
        shutil.copytree(APPLICATION, context)
        tree = context / "trees" / "shop"
        tree.mkdir(parents=True)
        for name, text in revisions.items():
            (tree / name).write_text(text)
        for name, target in IMAGES[project].items():
            self.engine.docker(
                "build",
                f"--build-arg=MIGRATOR={images.MIGRATOR.name}",
                f"--target={target}",
                f"--tag=registry.example/{name}:{version}",
                context,
                environment={"DOCKER_BUILDKIT": "0"},
            )

    def release(self, project: str, version: str, revisions: Mapping[str, str]) -> None:
        """Build a version and name it in the example's file, as its user would."""
        self.build(project, version, revisions)
        self.edit(project, ":1.4.0", f":{version}")

    def edit(self, project: str, old: str, new: str) -> None:
        """Change the example's file."""
        path = self.orca.folder / "services" / project / "service.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def set_secret(self, project: str, url: str) -> None:
        """Set the secret that an example's file names."""
        path = self._folder / "secrets.env"
        path.touch(mode=0o600)
        path.write_text(f"{project}.database_url={url}\n")
        self.orca.run("secrets", "import", "--file", str(path))

    def reachable(self, url: str) -> str:
        """Return a database's address as a container has to say it."""
        return url.replace("@127.0.0.1:", f"@{GATEWAY}:")

    def deploy(self) -> None:
        """Call ``orca deploy``, again where it has left something out.

        It passes over what it is just starting anew, without a word and with exit code 0.
        """
        files = (self.orca.folder / "services").glob("*/service.toml")
        number = sum(path.read_text().count("[[service]]") for path in files)
        said = f"Deployed: {number}, Errors: 0"
        eventually(lambda: said in self.orca.run("deploy").stdout, 120)

    def deploy_meanwhile(self) -> subprocess.Popen[str]:
        """Begin ``orca deploy``, which waits for what it starts."""
        return self.orca.begin("deploy")

    def migrate(self, database: Database, image: str) -> int:
        """Migrate from an image as a pipeline does, and return the exit code."""
        arguments = ("--env=DATABASE_URL", "--entrypoint=migrate", image, "up")
        return self.engine.run(*arguments, environment={"DATABASE_URL": database.url}).returncode

    def containers(self, service: str) -> list[Container]:
        """Return the containers of a service, by id."""
        found = self._all(f"name=^/orca-{service}(-[0-9]+)?$")
        return sorted(found, key=lambda each: each.identity)

    def running(self, service: str, number: int = 1, seconds: float = 90) -> list[Container]:
        """Return a service's containers once that many run."""

        def look() -> list[Container] | None:
            found = [each for each in self.containers(service) if each.running]
            return found if len(found) == number else None

        return eventually(look, seconds)

    def ended(self, service: str, code: int, seconds: float = 90) -> Container:
        """Return a container of a service that has ended with this code."""

        def look() -> Container | None:
            ended = [each for each in self.containers(service) if not each.running]
            return next((each for each in ended if each.exit_code == code), None)

        return eventually(look, seconds)

    def log(self, container: Container) -> str:
        """Return what a container has written; nothing once Orca has removed it."""
        return subprocess.run(
            ["docker", "logs", container.identity],
            env={"PATH": os.environ["PATH"], "DOCKER_HOST": self.engine.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            text=True,
        ).stdout

    def status(self, container: Container, path: str) -> int:
        """Return what a container answers to a GET."""
        url = f"http://127.0.0.1:{container.port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)

    def _all(self, condition: str) -> list[Container]:
        listed = self.engine.docker("ps", "--all", "--quiet", "--no-trunc", "--filter", condition)
        found: list[Container] = []
        for identity in listed.split():
            with contextlib.suppress(EngineError):  # Orca has removed it meanwhile
                described = self.engine.docker("inspect", identity)
                found += [Container(identity, each) for each in json.loads(described)]
        return found
