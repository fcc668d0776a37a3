"""What can go wrong, each as one line for a person.

LocalOrcaError
├── NotBuiltError  the program is not there and was not to be built
├── BuildError     the compiler refused, or is not there
└── ServerError    a server did not start, or refused what it was asked
"""


class LocalOrcaError(Exception):
    """Orca can't be had; the text says why and what to do."""


class NotBuiltError(LocalOrcaError):
    """The program is not there, and building it takes too long to do it unasked."""


class BuildError(LocalOrcaError):
    """The program could not be compiled."""


class ServerError(LocalOrcaError):
    """A server did not start, or refused what it was asked."""
