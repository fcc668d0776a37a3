"""A program in the migrator's place that ends as the "URL" in its environment says.

The URL is JSON: ``steps`` is a list of ends, one an attempt (the last repeats),
each with ``outcome``, ``sleep``, ``exit``, ``raw`` and fields of the result.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from schema_migrator.result import EXIT_CODES, VERSION, Outcome


def main() -> int:
    plan: dict[str, Any] = json.loads(os.environ["DATABASE_URL"])
    steps = plan.get("steps", [plan])
    step = dict(steps[min(_earlier(plan), len(steps) - 1)])
    report = Path(os.environ["MIGRATE_RESULT_FILE"])
    report.write_text(json.dumps({"v": VERSION, "outcome": "started"}))

    def interrupted(*_: object) -> None:
        _write(report, {"outcome": "interrupted", "message": "stopped by SIGTERM"})
        os._exit(EXIT_CODES[Outcome.INTERRUPTED])

    signal.signal(signal.SIGTERM, interrupted)
    time.sleep(step.pop("sleep", 0))
    code = step.pop("exit", None)
    if "raw" in step:
        report.write_text(step["raw"])
        return int(code or 0)
    outcome = Outcome(step.get("outcome", "applied"))
    if EXIT_CODES[outcome] == 0:
        step = {"from": "base", "to": "0001", "dirty": False, "pending": 0, **step}
    _write(report, {**step, "outcome": str(outcome)})
    return EXIT_CODES[outcome] if code is None else int(code)


def _write(report: Path, document: dict[str, Any]) -> None:
    report.write_text(json.dumps({"v": VERSION, "target": "0001", **document}))


def _earlier(plan: dict[str, Any]) -> int:
    """How many runs there were before, from a file that the plan names."""
    counter = plan.get("counter")
    if counter is None:
        return 0
    path = Path(counter)
    count = int(path.read_text()) if path.exists() else 0
    path.write_text(str(count + 1))
    return count


if __name__ == "__main__":
    sys.exit(main())
