"""The operator's log: one line an event, as JSON or as text, with the resource's key on it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final

from schema_operator.options import LogFormat

_OWN: Final = frozenset(vars(logging.makeLogRecord({})))
"""What every record has; all else was given with ``extra``."""

_NOT_OURS: Final = frozenset({"message", "asctime", "settings", "k8s_skip", "k8s_ref", "taskName"})
"""What frameworks put on their records and nobody wants to read."""


def set_up(log_format: LogFormat, *, verbose: bool) -> None:
    """Send the log to standard error in that form."""
    # Nothing of this is shown, and finding it out takes longer than writing the line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - the standard library's own way to do without
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format is LogFormat.JSON else TextFormatter())
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True
    )
    for noisy in () if verbose else ("kopf", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | int | float | bool) or value is None else str(value)
        for key, value in vars(record).items()
        if key not in _OWN and key not in _NOT_OURS and value is not None
    }


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """A line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON."""
        line: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as a line of text, its fields at the end."""
        fields = " ".join(f"{key}={value}" for key, value in _fields(record).items())
        text = f"{_moment(record)} {record.levelname:<7} {record.getMessage()}"
        text = f"{text}  {fields}" if fields else text
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text
