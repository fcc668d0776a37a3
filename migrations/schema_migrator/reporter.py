"""Who is told what a run does while it does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from schema_migrator.observer import Activity
    from schema_migrator.tree import Step


class Reporter(Protocol):
    """Whoever that is: a person's terminal, a log, nobody."""

    def warn(self, message: str) -> None:
        """Something that a person should know, though the run goes on."""

    def waiting(self, message: str) -> None:
        """The run waits for somebody."""

    def started(self, step: Step) -> None:
        """A step begins."""

    def ended(self, step: Step, seconds: float) -> None:
        """A step was applied."""

    def activity(self, activity: Activity) -> None:
        """What a step that takes long does now; called from another thread."""
