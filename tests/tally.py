"""How many tests ran against which server: said at the end of a run."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Tally:
    """Counts, in the run's first process, the tests whose reports name a server.

    Args:
        title: what the line begins with.
        name: the reports' property that holds the server.
    """

    def __init__(self, title: str, name: str) -> None:
        self._title = title
        self._name = name
        self._counts: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._counts.update(
                str(value) for name, value in report.user_properties if name == self._name
            )

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._counts:
            ran = (f"{count} tests on {server}" for server, count in sorted(self._counts.items()))
            terminalreporter.write_line(f"{self._title}: {', '.join(ran)}")
