"""What a real node does now and then, and this one only when a pod asks for it.

Tests need these on purpose; an annotation on the pod (a Job's pod template)
asks. README.md lists them for people.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "local-kubernetes.dev/"

_DURATION: Final = re.compile(r"^(\d{1,6})(ms|s|m)$")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}


class Report(enum.StrEnum):
    """What is said of a container that ended."""

    TRUE = "true"
    """How it ended."""

    UNKNOWN = "unknown"
    """``ContainerStatusUnknown``, exit code 137, no message."""

    STUCK = "stuck"
    """The pod is Failed while its container is still called running."""

    LOST = "lost"
    """As ``stuck``, and then the pod vanishes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Behaviour:
    """How a pod wants to be treated.

    Attributes:
        start_delay: seconds in ``ContainerCreating`` before the first container.
        phase_delay: seconds between the container's end and the pod's phase.
        report: what is said at the end.
    """

    start_delay: float = 0.0
    phase_delay: float = 0.0
    report: Report = Report.TRUE

    @classmethod
    def read(cls, annotations: Mapping[str, str]) -> Behaviour:
        """Reads a pod's annotations.

        Args:
            annotations: all of them.

        Raises:
            ValueError: one of ours has a value that is none.
        """
        report = annotations.get(f"{PREFIX}report", Report.TRUE)
        return cls(
            _seconds(annotations.get(f"{PREFIX}start-delay", "0s")),
            _seconds(annotations.get(f"{PREFIX}phase-delay", "0s")),
            Report(report),
        )


def _seconds(text: str) -> float:
    match = _DURATION.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no duration such as 500ms, 2s or 1m")
    return int(match[1]) * _UNITS[match[2]]
