"""One question to a PostgreSQL server through libpq itself, for the quick path.

The driver's import alone takes longer than all that a run without work has to
do. libpq is a C library, loaded here by ctypes: the driver's own where its
wheel brings one, so that both paths speak to the server in the same way, else
the system's.

Nothing here has words for what goes wrong. Whoever gets `QuickError` takes the
full path, which finds the same fault again and says it without any secret.
"""

from __future__ import annotations

import ctypes
import os
import select
import sys
import time

_CONNECTION_OK, _POLLING_FAILED, _POLLING_READING, _POLLING_OK = 0, 0, 1, 3
_TUPLES_OK = 2

_CONNECT_SECONDS = 2.0
"""How long a connection may take here. The full path has more patience."""

_KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
}

_NoticeReceiver = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class QuickError(Exception):
    """The quick path has no answer."""


class _Option(ctypes.Structure):
    """libpq's ``PQconninfoOption``."""

    _fields_ = (
        ("keyword", ctypes.c_char_p),
        ("envvar", ctypes.c_char_p),
        ("compiled", ctypes.c_char_p),
        ("val", ctypes.c_char_p),
        ("label", ctypes.c_char_p),
        ("dispchar", ctypes.c_char_p),
        ("dispsize", ctypes.c_int),
    )


def bundled() -> str | None:
    """Return the path of the libpq that the driver's wheel brings, None without one."""
    for folder in sys.path:
        for place in ("psycopg_binary.libs", "psycopg_binary/.dylibs"):
            try:
                names = os.listdir(f"{folder}/{place}")  # noqa: PTH208 - pathlib's import takes as long as the query
            except OSError:
                continue
            for name in names:
                if name.startswith(("libpq-", "libpq.")):
                    return f"{folder}/{place}/{name}"
    return None


def load() -> ctypes.CDLL:
    """Return libpq with the signatures of what is called here.

    Raises:
        QuickError: there is none.
    """
    for name in (bundled(), "libpq.so.5", "libpq.5.dylib"):
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        _declare(library)
        return library
    raise QuickError


def _declare(library: ctypes.CDLL) -> None:
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    texts = ctypes.POINTER(text)
    for name, result, *arguments in (
        ("PQconninfoParse", ctypes.POINTER(_Option), text, ctypes.POINTER(pointer)),
        ("PQconninfoFree", None, ctypes.POINTER(_Option)),
        ("PQconnectStartParams", pointer, texts, texts, number),
        ("PQconnectPoll", number, pointer),
        ("PQsetNoticeReceiver", pointer, pointer, _NoticeReceiver, pointer),
        ("PQsocket", number, pointer),
        ("PQstatus", number, pointer),
        ("PQserverVersion", number, pointer),
        ("PQexec", pointer, pointer, text),
        ("PQresultStatus", number, pointer),
        ("PQntuples", number, pointer),
        ("PQnfields", number, pointer),
        ("PQgetisnull", number, pointer, number, number),
        ("PQgetvalue", text, pointer, number, number),
        ("PQclear", None, pointer),
        ("PQfinish", None, pointer),
    ):
        function = getattr(library, str(name))
        function.restype, function.argtypes = result, arguments


def parameters(library: ctypes.CDLL, conninfo: bytes) -> dict[str, str]:
    """Return libpq's keywords of a URL or keyword string.

    Raises:
        QuickError: libpq can't read it.
    """
    options = library.PQconninfoParse(conninfo, None)
    if not options:
        raise QuickError
    found, place = {}, 0
    try:
        while (keyword := options[place].keyword) is not None:
            if (value := options[place].val) is not None:
                found[keyword.decode()] = value.decode()
            place += 1
    finally:
        library.PQconninfoFree(options)
    return found


class Session:
    """One session with the server.

    Args:
        library: libpq.
        given: its keywords, as `parameters` returned them.
        application_name: what other sessions see of this one, cut to 63 bytes.

    Raises:
        QuickError: it did not come about in two seconds.
    """

    def __init__(self, library: ctypes.CDLL, given: dict[str, str], application_name: str) -> None:
        self._library = library
        name = application_name.encode()[:63].decode(errors="ignore")
        every = {**_KEEPALIVES, **given, "application_name": name}
        texts = ctypes.c_char_p * (len(every) + 1)
        self._connection = library.PQconnectStartParams(
            texts(*(key.encode() for key in every), None),
            texts(*(value.encode() for value in every.values()), None),
            0,
        )
        # libpq prints a server's warnings, with the database's name in them, unless it is told otherwise.
        self._receiver = _NoticeReceiver(lambda _argument, _result: None)
        library.PQsetNoticeReceiver(self._connection, self._receiver, None)
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        library, connection = self._library, self._connection
        if library.PQsocket(connection) < 0:
            raise QuickError
        deadline = time.monotonic() + _CONNECT_SECONDS
        state = -1
        while state != _POLLING_OK:
            if state == _POLLING_FAILED:
                raise QuickError
            poll = select.poll()
            reading = state == _POLLING_READING
            # The socket may be another one after each step: libpq tries the next address.
            poll.register(
                library.PQsocket(connection), select.POLLIN if reading else select.POLLOUT
            )
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                raise QuickError
            state = library.PQconnectPoll(connection)
        if library.PQstatus(connection) != _CONNECTION_OK:
            raise QuickError

    def show_version(self) -> str:
        """Return the server's version as people write it: ``16.2``."""
        number = self._library.PQserverVersion(self._connection)
        return f"{number // 10000}.{number % 10000}"

    def row(self, query: str) -> list[str | None]:
        """Return the one row of a query, as texts; of several statements the last one's.

        Raises:
            QuickError: the server refused, or gave more or less than one row.
        """
        library = self._library
        result = library.PQexec(self._connection, query.encode())
        try:
            if library.PQresultStatus(result) != _TUPLES_OK or library.PQntuples(result) != 1:
                raise QuickError
            return [
                None
                if library.PQgetisnull(result, 0, column)
                else library.PQgetvalue(result, 0, column).decode()
                for column in range(library.PQnfields(result))
            ]
        finally:
            library.PQclear(result)

    def close(self) -> None:
        """End the session."""
        self._library.PQfinish(self._connection)
