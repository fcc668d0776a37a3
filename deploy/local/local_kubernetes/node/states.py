"""How a container stands, as the API server is told it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any, Final

UNKNOWN_EXIT_CODE: Final = 137
START_ERROR_EXIT_CODE: Final = 128


def timestamp(time: dt.datetime) -> str:
    """A time as Kubernetes writes it: whole seconds, UTC.

    Args:
        time: with a time zone.
    """
    return time.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str | None) -> dt.datetime | None:
    """Reads a time as Kubernetes writes it.

    Args:
        text: None stays None.
    """
    return None if text is None else dt.datetime.fromisoformat(text)


def now() -> dt.datetime:
    """This moment."""
    return dt.datetime.now(dt.UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Waiting:
    """Not started yet.

    Attributes:
        reason: one word.
        message: what it waits for.
    """

    reason: str
    message: str = ""

    def document(self) -> dict[str, Any]:
        """As in a pod's status."""
        return {"waiting": _without_empty(reason=self.reason, message=self.message)}


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """Started, not ended.

    Attributes:
        started: when.
    """

    started: dt.datetime

    def document(self) -> dict[str, Any]:
        """As in a pod's status."""
        return {"running": {"startedAt": timestamp(self.started)}}


@dataclasses.dataclass(frozen=True, slots=True)
class Terminated:
    """Ended, or said to have.

    Attributes:
        exit_code: 128 and the signal's number after a signal.
        reason: ``Completed``, ``Error``, ``StartError`` or ``ContainerStatusUnknown``.
        message: the termination message.
        signal: the signal that ended it; 0: none.
        started: when it started; None: unknown.
        finished: when it ended; None: unknown.
        container_id: its id; empty: there never was one.
    """

    exit_code: int
    reason: str
    message: str = ""
    signal: int = 0
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    container_id: str = ""

    @classmethod
    def read(cls, document: dict[str, Any]) -> Terminated:
        """Takes up what stands in a pod's status.

        Args:
            document: of ``state.terminated``.
        """
        return cls(
            document["exitCode"],
            document.get("reason", ""),
            document.get("message", ""),
            document.get("signal", 0),
            moment(document.get("startedAt")),
            moment(document.get("finishedAt")),
            document.get("containerID", ""),
        )

    @classmethod
    def unknown(cls, message: str = "") -> Terminated:
        """What a kubelet says of a container that it can't find.

        Args:
            message: why it can't be found.
        """
        return cls(UNKNOWN_EXIT_CODE, "ContainerStatusUnknown", message)

    def document(self) -> dict[str, Any]:
        """As in a pod's status."""
        return {
            "terminated": {
                "exitCode": self.exit_code,
                "startedAt": None if self.started is None else timestamp(self.started),
                "finishedAt": None if self.finished is None else timestamp(self.finished),
                **_without_empty(
                    reason=self.reason,
                    message=self.message,
                    signal=self.signal,
                    containerID=self.container_id,
                ),
            }
        }


State = Waiting | Running | Terminated


def _without_empty(**fields: str | int) -> dict[str, str | int]:
    return {name: value for name, value in fields.items() if value}
