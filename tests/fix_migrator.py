"""Fixtures for tests of the migrator: trees to run, the engine, and the command as a process."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from schema_migrator import tree as trees
from schema_migrator import url
from schema_migrator.database import Settings
from schema_migrator.history import Author
from schema_migrator.place import Place
from schema_migrator.resolution import Resolution, force
from schema_migrator.route import Goal, Way
from schema_migrator.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from schema_migrator.observer import Activity
    from schema_migrator.result import Result
    from schema_migrator.tree import Step
    from tests.postgres_server import Database
    from tests.witness import Witness

MIGRATE = Path(sys.executable).with_name("migrate")
"""The command as it is installed, of the wheel or of the checkout."""


class Revisions:
    """A tree on disk that a test writes revision by revision.

    Attributes:
        directory: the tree's directory, which is what ``--tree`` takes.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.head: str | None = None
        (directory / "versions").mkdir(parents=True)

    def add(
        self, revision: str, up: str, down: str = "pass", *, head: str = "", parent: Any = ...
    ) -> Path:
        """Write a revision on top of the last one, or again in its place.

        Args:
            revision: its id.
            up: the body of the upgrade; ``op`` and ``sa`` are there.
            down: the body of the downgrade; empty: no downgrade at all.
            head: more of the module, such as ``resumable = True``.
            parent: another parent than the last revision.
        """
        path = self.directory / "versions" / f"{revision}_test.py"
        known = parent if parent is not ... else self.head
        if path.exists():
            known = next(
                eval(line.partition("=")[2])
                for line in path.read_text().splitlines()
                if line.startswith("down_revision")
            )
        functions = f"def upgrade():\n{textwrap.indent(textwrap.dedent(up), '    ')}\n"
        if down:
            functions += f"\n\ndef downgrade():\n{textwrap.indent(textwrap.dedent(down), '    ')}\n"
        path.write_text(
            f'"""Revision {revision}."""\nimport os, time\nimport sqlalchemy as sa\nfrom alembic import context, op\n\n'
            f"revision = {revision!r}\ndown_revision = {known!r}\n{head}\n\n\n{functions}"
        )
        self.head = revision if parent is ... else self.head
        return path


class Silent:
    """A reporter that keeps what it was told."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.activities: list[Activity] = []

    def warn(self, message: str) -> None:
        self.messages.append(message)

    def waiting(self, message: str) -> None:
        self.messages.append(message)

    def started(self, step: Step) -> None:
        self.messages.append(f"started {step.revision}")

    def ended(self, step: Step, _seconds: float) -> None:
        self.messages.append(f"ended {step.revision}")

    def activity(self, activity: Activity) -> None:
        self.activities.append(activity)


@dataclasses.dataclass
class Engine:
    """The engine in this process, on one database and one tree."""

    database: Database
    revisions: Revisions
    settings: Settings = dataclasses.field(default_factory=lambda: Settings(lock_timeout=0.3))
    reporter: Silent = dataclasses.field(default_factory=Silent)

    def place(self) -> Place:
        return Place(
            url=url.parse(self.database.url),
            settings=self.settings,
            author=Author(run="test", host="here", image=None, migrator="0"),
        )

    def run(self, *, timeout: float = 30.0) -> Run:
        tree = trees.load(str(self.revisions.directory))
        return Run(self.place(), tree, self.reporter, timeout=timeout)

    def up(self, count: int | None = None, *, timeout: float = 30.0) -> Result:
        return self.run(timeout=timeout).move(Goal(target="head", way=Way.UP, count=count))

    def down(self, count: int | None = None) -> Result:
        return self.run().move(Goal(target="base", way=Way.DOWN, count=count))

    def goto(
        self, target: str, *, allow_downgrade: bool = False, accept_ahead: bool = False
    ) -> Result:
        goal = Goal(target=target, allow_downgrade=allow_downgrade, accept_ahead=accept_ahead)
        return self.run().move(goal)

    def force(self, target: str, *, incident: str | None = None, unchecked: bool = False) -> Result:
        return force(self.run(), Resolution(target=target, incident=incident, unchecked=unchecked))

    def query(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.connect() as connection:
            return connection.execute(query.encode()).fetchall()

    def execute(self, query: str) -> None:
        with self.database.connect() as connection:
            connection.execute(query.encode())

    def position(self) -> list[str]:
        return [row[0] for row in self.query("SELECT version_num FROM alembic_version ORDER BY 1")]

    def exists(self, relation: str) -> bool:
        return bool(self.query(f"SELECT to_regclass('{relation}') IS NOT NULL")[0][0])

    def open_rows(self) -> int:
        return int(
            self.query("SELECT count(*) FROM alembic_version_history WHERE ended_at IS NULL")[0][0]
        )


@dataclasses.dataclass
class Ended:
    """How a call of the command ended."""

    code: int
    out: str
    err: str
    result: dict[str, Any] | None


class Command:
    """The command ``migrate`` as processes of their own."""

    def __init__(
        self, database: Database, revisions: Revisions, folder: Path, witness: Witness
    ) -> None:
        self.database = database
        self.revisions = revisions
        self.witness = witness
        self.result_file = folder / "termination-log"
        self._started: list[subprocess.Popen[str]] = []

    def environment(self, **variables: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": self.database.url,
            "MIGRATE_TREE": str(self.revisions.directory),
            "MIGRATE_RESULT_FILE": str(self.result_file),
            "PYTHONFAULTHANDLER": "1",
            **variables,
        }

    def start(
        self, *arguments: str, on: Sequence[str] = (), **variables: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*on, MIGRATE, *arguments],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def wait(self, process: subprocess.Popen[str], timeout: float = 30) -> Ended:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            pytest.fail(
                f"migrate did not end in {timeout} s; it was at:\n{process.communicate()[1]}"
            )
        assert "Traceback" not in out + err
        self.witness.text(f"output of {process.args!r}", out + err)
        self.witness.text(f"result of {process.args!r}", json.dumps(self.result()))
        return Ended(process.returncode, out, err, self.result())

    def __call__(self, *arguments: str, **variables: str) -> Ended:
        self.result_file.unlink(missing_ok=True)
        return self.wait(self.start(*arguments, **variables))

    def result(self) -> dict[str, Any] | None:
        if not self.result_file.exists():
            return None
        result = json.loads(self.result_file.read_text())
        assert isinstance(result, dict)
        return result

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


def until(
    condition: Callable[[], Any], *, timeout: float = 15.0, what: str = "the condition"
) -> Any:
    """Wait for a condition and return what made it true."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not come about in {timeout} s"
        time.sleep(0.01)


@pytest.fixture
def revisions(tmp_path: Path) -> Revisions:
    """An empty tree."""
    return Revisions(tmp_path / "tree")


@pytest.fixture
def engine(database: Database, revisions: Revisions) -> Engine:
    """The engine on an empty database and an empty tree."""
    return Engine(database, revisions)


@pytest.fixture
def migrate(
    database: Database, revisions: Revisions, tmp_path: Path, witness: Witness
) -> Iterator[Command]:
    """The command on an empty database and an empty tree."""
    command = Command(database, revisions, tmp_path, witness)
    yield command
    command.end()
