"""What the server's error codes mean to a migrator.

Codes are PostgreSQL's (documentation, appendix "PostgreSQL Error Codes").
Errors are told apart by them and never by their text, which the server writes
in the language that it was told to.
"""

from __future__ import annotations

from typing import Final

LOCK_NOT_AVAILABLE: Final = "55P03"
DEADLOCK_DETECTED: Final = "40P01"
SERIALIZATION_FAILURE: Final = "40001"
QUERY_CANCELED: Final = "57014"
IN_FAILED_TRANSACTION: Final = "25P02"
READ_ONLY_TRANSACTION: Final = "25006"
UNDEFINED_TABLE: Final = "42P01"
INSUFFICIENT_PRIVILEGE: Final = "42501"

RETRYABLE: Final = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, SERIALIZATION_FAILURE})
"""A revision that committed nothing may run again whole after one of these."""

_LOST: Final = frozenset(
    {
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "53300",  # too_many_connections
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "57P05",  # idle_session_timeout
    }
)


def is_connection_lost(code: str | None) -> bool:
    """Tell whether a code means that the session is gone."""
    return code is not None and (code in _LOST or code.startswith("08"))
