"""A process that has loaded the migrator already and forks a new one for each call.

Run as a program: each line of standard input is a JSON object of arguments and
environment; the answer is the pid of a process that runs ``migrate`` with them.
A killed child is a killed migrator, without half a second of imports before it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Nursery:
    """Starts migrators quickly."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.communicate()

    def start(self, *arguments: str, **environment: str) -> int:
        """Start ``migrate`` and return its pid; `wait` has to follow."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(
            json.dumps({"arguments": arguments, "environment": environment}),
            file=self._process.stdin,
            flush=True,
        )
        return int(self._process.stdout.readline())

    def wait(self) -> int:
        """Return the exit code of the process that was started last; below 0: its signal."""
        assert self._process.stdout is not None
        return os.waitstatus_to_exitcode(int(self._process.stdout.readline()))


def _say(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def _main() -> None:
    import schema_migrator.alembic_tree
    import schema_migrator.cli
    import schema_migrator.python_body
    import schema_migrator.resolution
    import schema_migrator.run

    for line in sys.stdin:
        call = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.environ.update(call["environment"])
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            schema_migrator.cli.main(call["arguments"])
        _say(pid)
        _, status = os.waitpid(pid, 0)
        _say(status)


if __name__ == "__main__":
    _main()
