"""What can go wrong, each as one line for a person.

LocalPostgresError
├── NotInstalledError   no program of the wanted version, or none that runs here
└── CommandFailedError  one of PostgreSQL's programs ended with an error
"""


class LocalPostgresError(Exception):
    """The server can't be had; the text says why and what to do."""


class NotInstalledError(LocalPostgresError):
    """No installation of the wanted major version runs on this machine."""


class CommandFailedError(LocalPostgresError):
    """One of PostgreSQL's own programs ended with an error."""
