"""What can go wrong in the operator, sorted by how it reacts.

OperatorError
├── OptionsError           a flag or an environment value; the program ends
├── DurationError          a text that is no duration
├── LostLeaseError         another operator leads now; the program ends
├── RestoredError          the API server's data is older than what was seen; the program ends
└── ApiError               a request to the API server came to nothing
    ├── ConflictError      409: decide again from the newer event
    ├── AlreadyExistsError 409 of a POST: the object may be ours
    ├── GoneError          404: the resource is no more, drop it
    ├── RejectedError      422: a person must change the resource
    ├── NamespaceEndsError 403 of a namespace under deletion: nothing starts there any more
    ├── DeniedError        401, 403: rights or quota; again after a while
    └── UnavailableError   429, 5xx, no answer: again after a while
"""

from __future__ import annotations


class OperatorError(Exception):
    """The root of the operator's own errors."""


class OptionsError(OperatorError):
    """A flag or an environment value can't be used; the text says which and what would be right."""


class DurationError(OperatorError, ValueError):
    """A text is no duration."""


class LostLeaseError(OperatorError):
    """Another operator may lead now, so this one has to end."""


class RestoredError(OperatorError):
    """The API server went back in time, so what is known is of no use: begin anew."""


class ApiError(OperatorError):
    """A request to the API server came to nothing.

    Attributes:
        status: the HTTP status; 0 where there was no answer.
        message: the server's own words.
        retry_after: seconds that the server asked to wait, or None.
    """

    def __init__(self, status: int, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        self.retry_after = retry_after


class ConflictError(ApiError):
    """The object has changed since it was read."""


class AlreadyExistsError(ApiError):
    """An object of that name exists."""


class GoneError(ApiError):
    """The object does not exist."""


class RejectedError(ApiError):
    """The server understood the request and finds it invalid."""


class NamespaceEndsError(ApiError):
    """The namespace is being deleted."""


class DeniedError(ApiError):
    """The operator may not do that, or a quota is used up."""


class UnavailableError(ApiError):
    """The server has no time for us, or did not answer."""
