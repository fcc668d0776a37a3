"""PostgreSQL in a container, where a Docker engine answers.

Like the embedded server it is shared by the processes of a test run and goes
with the last of them.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from local_postgres.account import Account
from local_postgres.lease import Lease

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SOCKET = "unix:///var/run/docker.sock"
_PING_TIMEOUT = 2  # seconds
_REMOVE = (
    "import docker, sys; docker.from_env().containers.get(sys.argv[1]).remove(v=True, force=True)"
)


class ContainerError(Exception):
    """The engine answers, but the container can't be had."""


def engine_answers() -> bool:
    """Return whether a Docker engine can be used, within seconds."""
    address = urlsplit(os.environ.get("DOCKER_HOST", _SOCKET))
    if address.scheme == "unix":
        # Asked first by hand, because importing the client takes longer than all of the rest.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_PING_TIMEOUT)
            try:
                probe.connect(address.path)
            except OSError:
                return False
    import docker  # type: ignore[import-untyped]
    from docker.errors import DockerException  # type: ignore[import-untyped]

    try:
        client = docker.from_env(timeout=_PING_TIMEOUT)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def image(version: int) -> str:
    """Return the image of a major version: ``POSTGRES_IMAGE_<major>``, or the public one."""
    return os.environ.get(f"POSTGRES_IMAGE_{version}", f"postgres:{version}")


class ContainerServer:
    """A share in a PostgreSQL that runs in a container."""

    def __init__(self, url: str, folder: Path, lease: Lease) -> None:
        self.url = url
        self.folder = folder
        self._lease = lease

    @classmethod
    def start(cls, version: int, settings: Mapping[str, str], folder: Path) -> Self:
        """Start a container and return the first share in it; the folder becomes its own.

        Raises:
            ContainerError: the image can't be had, or the server did not start.
        """
        from docker.errors import DockerException
        from testcontainers.community.postgres import PostgresContainer
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.exceptions import ContainerStartException

        # The library's own reaper ends a container with the process that made
        # it, while other processes of the run still use it. Ours waits for all.
        testcontainers_config.ryuk_disabled = True
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        folder.mkdir()
        lease = Lease.take(folder / "lease")
        if lease is None:  # a folder that nobody else knows of
            raise AssertionError(folder)
        container = None
        try:
            # The same user as on the embedded server; its name must not be a word of the password.
            container = PostgresContainer(
                image(version), username="postgres", password=secrets.token_hex(16), driver=None
            )
            container.with_command(options)
            container.start()
        except (DockerException, ContainerStartException, OSError) as error:
            if container is not None:
                container.stop()
            lease.release()
            raise ContainerError(" ".join(str(error).split())) from error
        command = [sys.executable, "-c", _REMOVE, container.get_container_id()]
        lease.guard(command, account=Account(), folder=folder)
        url = container.get_connection_url()
        (folder / "url").write_text(url, encoding="utf-8")
        container.get_docker_client().client.close()
        return cls(url, folder, lease)

    @classmethod
    def join(cls, folder: Path) -> Self | None:
        """Return a further share in a container of this run, while there is one."""
        try:
            lease = Lease.take(folder / "lease")
        except FileNotFoundError:
            return None
        if lease is None:
            return None
        url = folder / "url"
        if not url.exists():
            lease.release()
            return None
        return cls(url.read_text(encoding="utf-8"), folder, lease)

    def release(self) -> None:
        """Give the share back."""
        self._lease.release()
