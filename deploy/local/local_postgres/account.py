"""Who runs PostgreSQL: whoever calls, unless that is root."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_postgres.errors import CommandFailedError, LocalPostgresError

if TYPE_CHECKING:
    from collections.abc import Sequence

# PostgreSQL's own account where a package made one, else the one that owns
# nothing. Both stand in the user database, in which initdb looks its user up.
_UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Account:
    """A user and a group to run programs as; without them, as the caller."""

    user: int | None = None
    group: int | None = None

    @classmethod
    def current(cls, data: Path | None = None) -> Account:
        """Return the account that PostgreSQL accepts: the caller's, or for root another.

        Root takes that of a data folder's owner where there is one already: a
        server is its owner's, whoever starts and stops it.

        Raises:
            LocalPostgresError: root has no unprivileged user to turn to.
        """
        if os.geteuid() != 0:
            return cls()
        if data is not None and data.exists():
            owned = data.stat()
            return cls(owned.st_uid, owned.st_gid)
        for name in _UNPRIVILEGED:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(entry.pw_uid, entry.pw_gid)
        raise LocalPostgresError(
            "PostgreSQL refuses to run as root, and there is no user named "
            f"{' or '.join(_UNPRIVILEGED)} to run it as"
        )

    def own(self, path: Path) -> None:
        """Make this account the owner of a file or folder that the caller has made."""
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)

    def reaches(self, folder: Path) -> bool:
        """Return whether this account may pass through a folder."""
        try:
            self.run(["test", "-x", folder], folder=Path("/"))
        except CommandFailedError:
            return False
        return True

    def run(self, command: Sequence[str | Path], *, folder: Path) -> str:
        """Run a program to its end in a folder, and return its standard output.

        Raises:
            CommandFailedError: it ended with an error.
            OSError: it could not be started at all.
        """
        ended = subprocess.run(
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
        )
        if ended.returncode:
            said = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
            # initdb ends with advice and with what it removed; its error stands above.
            errors = [line for line in said if "error:" in line.lower() or "fatal:" in line.lower()]
            what = (errors or said or [f"exit code {ended.returncode}"])[-1]
            raise CommandFailedError(what)
        return ended.stdout


def _environment() -> dict[str, str]:
    """Return the caller's environment without what would steer PostgreSQL's programs.

    PGPORT or PGDATA of a developer's shell are meant for another server.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}
