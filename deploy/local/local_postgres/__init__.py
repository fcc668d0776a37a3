"""A PostgreSQL of one's own, for development and tests, without root and without Docker.

The server's programs come from an installation that is already on the machine
or from the wheels that the development dependencies bring; nothing is
downloaded here. What is in a module:

- ``installation`` finds the programs of a major version and tries that they run;
- ``account`` is who runs them, because PostgreSQL refuses to be run by root;
- ``postmaster`` reads what a running server says of itself;
- ``server`` creates, starts and stops a server that keeps its data;
- ``lease`` and ``guard`` end a test's server when the last process that uses it
  has ended, in whatever way;
- ``temporary`` is a server for tests, alone or shared by several processes.

``python -m local_postgres --help`` is for people and for make.
"""

from local_postgres.errors import CommandFailedError, LocalPostgresError, NotInstalledError
from local_postgres.server import Server
from local_postgres.temporary import TemporaryServer

__all__ = [
    "CommandFailedError",
    "LocalPostgresError",
    "NotInstalledError",
    "Server",
    "TemporaryServer",
]
