"""PostgreSQL as an image, of the programs that the wheels carry, on the same base as the others.

It behaves as the public image of PostgreSQL does where tests need that: the
variables ``POSTGRES_USER``, ``POSTGRES_PASSWORD`` and ``POSTGRES_DB``, settings
as arguments (``-c fsync=off``), port 5432. Its data goes with its container.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_images import base, cache, images
from local_images.engine import Engine
from local_postgres import installation
from local_postgres.account import Account

if TYPE_CHECKING:
    from local_kubernetes.progress import Progress

_ENTRY_POINT: Final = """\
#!/bin/sh
# Makes the database of the variables, then becomes the server.
set -eu
bin=@BIN@
data=${PGDATA:-/tmp/data}
user=${POSTGRES_USER:-postgres}
if [ ! -e "$data/PG_VERSION" ]; then
	umask 077
	printf '%s\\n' "$POSTGRES_PASSWORD" >"$data.password"
	"$bin/initdb" --pgdata="$data" --username="$user" --pwfile="$data.password" \\
		--auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C --no-sync --no-instructions
	rm "$data.password"
	printf 'host all all all scram-sha-256\\n' >>"$data/pg_hba.conf"
	if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
		printf 'CREATE DATABASE "%s";\\n' "$POSTGRES_DB" | "$bin/postgres" --single -D "$data" -j postgres >/dev/null
	fi
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
"""

_DOCKERFILE: Final = """\
ARG BASE
FROM ${BASE}
COPY files /opt/postgresql
ENV PATH=@BIN@:/usr/local/bin:/usr/bin:/bin
# Of all users without rights the one that initdb finds a name for.
USER 65534:65534
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["/opt/postgresql/entry-point"]
"""


def name(major: int) -> str:
    """Return the image's name.

    Args:
        major: the version.
    """
    return f"localhost/postgresql:{major}"


def archive(progress: Progress, major: int) -> Path:
    """Return the image as an archive; made once for each base and release, then kept.

    Raises:
        BuildError: the base can't be made here.
        EngineError: there is no engine to build with.
        NotInstalledError: no wheel carries this version.
    """
    folder = cache.folder("postgresql")
    with tempfile.TemporaryDirectory() as temporary:
        context = Path(temporary)
        found = installation.find(major, account=Account(), copies=context / "unused")
        path = folder / f"{base.key()}-{found.version}.tar"
        with cache.only_one(folder):
            if path.exists():
                return path
            with Engine.find_or_start(progress) as engine:
                images.import_base(engine, progress)
                with progress.step(f"building {name(major)} (once; cached)"):
                    _lay_out(found.folder, context)
                    argument = f"--build-arg=BASE={base.NAME}"
                    engine.docker(
                        "build",
                        argument,
                        f"--tag={name(major)}",
                        context,
                        environment={"DOCKER_BUILDKIT": "0"},
                    )
                    images.save(engine, path, name(major))
    return path


def _lay_out(programs: Path, context: Path) -> None:
    """Put the files there, in the same relative places: programs find their libraries by these."""
    prefix = programs.parent
    package = prefix.parent
    files = context / "files"
    left_out = shutil.ignore_patterns("include", "*.a")
    shutil.copytree(prefix, files / package.name / prefix.name, ignore=left_out)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, files / libraries.name)
    place = f"/opt/postgresql/{package.name}/{prefix.name}/{programs.name}"
    entry_point = files / "entry-point"
    entry_point.write_text(_ENTRY_POINT.replace("@BIN@", place), encoding="utf-8")
    entry_point.chmod(0o755)
    for path in files.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0))
    (context / "Dockerfile").write_text(_DOCKERFILE.replace("@BIN@", place), encoding="utf-8")
