"""The command ``migrate``: arguments and environment in, text and exit code out.

The only module of the migrator that reads the environment, prints, or ends the
process.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from schema_migrator import arguments, options, result
from schema_migrator.console import Console, ResultFile
from schema_migrator.errors import ConfigurationError, MigratorError, Stopped
from schema_migrator.result import EXIT_CODES, Outcome, Result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from schema_migrator.place import Place
    from schema_migrator.tree import Tree
    from schema_migrator.url import DatabaseURL


def _own_version() -> str:
    from importlib import metadata

    return metadata.version("schema-operator")


def _place(values: Mapping[str, Any], url: DatabaseURL) -> Place:
    from schema_migrator.database import Settings
    from schema_migrator.history import Author
    from schema_migrator.place import Place

    return Place(
        url=url,
        settings=Settings(
            lock_timeout=values["lock_timeout"], statement_timeout=values["statement_timeout"]
        ),
        version_table=values["version_table"],
        version_table_schema=values["version_table_schema"],
        author=Author(
            run=values["run_id"] or uuid.uuid4().hex[:12],
            host=values["pod"] or socket.gethostname(),
            image=values["image"],
            migrator=_own_version(),
        ),
    )


def _load(values: Mapping[str, Any]) -> Tree:
    from schema_migrator import tree

    return tree.load(values["tree"])


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run ``migrate`` and end the process with its exit code."""
    parsed = arguments.parser().parse_args(words)
    if parsed.version:
        print(f"migrate {_own_version()}")
        sys.exit(0)
    if parsed.command is None:
        arguments.parser().print_help()
        sys.exit(2)
    if parsed.command == "down" and parsed.everything == (parsed.count is not None):
        arguments.parser().error("down needs a number of revisions, or --all")
    sys.exit(_Program(parsed).run())


class _Program:
    """One call of ``migrate``."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        self._parsed = parsed
        self._url: DatabaseURL | None = None
        self._file = ResultFile(None)
        self._json = False
        self._place: Place | None = None

    def _redact(self, text: str) -> str:
        return text if self._url is None else self._url.redact(text)

    def run(self) -> int:
        """Run the command and return its exit code; prints what there is to say."""
        from schema_migrator.stop import Watch

        watch = Watch(self._overdue)
        started = time.monotonic()
        try:
            code = self._run(watch)
        except MigratorError as error:
            code = self._finish(
                Result(
                    outcome=error.outcome,
                    refusal=getattr(error, "refusal", None),
                    sqlstate=error.sqlstate,
                    message=self._redact(error.message),
                    duration_seconds=time.monotonic() - started,
                )
            )
        except Stopped as stopped:
            code = self._finish(Result(outcome=stopped.outcome, message=stopped.message))
        except Exception as error:  # noqa: BLE001 - a bug: one line and exit 1, no traceback for a user
            print(f"migrate: {self._redact(_bug(error))}", file=sys.stderr)
            code = 1
        watch.end(code)
        return code

    def _run(self, watch: Any) -> int:
        parsed = self._parsed
        file = parsed.__dict__.get("result_file") or os.environ.get("MIGRATE_RESULT_FILE")
        self._file = ResultFile(file or None)
        self._json = bool(parsed.__dict__.get("json"))
        values = options.from_environment(parsed.options, vars(parsed), os.environ)
        self._json = values.get("json", False)
        if parsed.command == "create":
            return self._create(values)
        every = (*options.COMMON, *options.MOVING, *options.HOLDING, *options.ALLOWING)
        for name in options.unknown_variables(every, os.environ):
            print(f"migrate: warning: {name} is no option of migrate", file=sys.stderr)
        from schema_migrator import url

        self._url = url.parse(os.environ.get("DATABASE_URL"))
        if parsed.command == "version":
            watch.start(values["timeout"])
            return self._version(values, self._url)
        if parsed.command == "down" and parsed.everything and sys.stdin.isatty():
            self._ask(self._url)
        self._file.write(Result(outcome=Outcome.STARTED))
        watch.start(values["timeout"])
        report = self._move(values, self._url)
        if watch.outcome is not None and report.outcome in (Outcome.FAILED, Outcome.UNREACHABLE):
            # The revision turned the stop into an error of its own.
            report = dataclasses.replace(report, outcome=watch.outcome)
        code = self._finish(report)
        if code == 0 and values.get("hold"):
            watch.end(code)
            from schema_migrator.hold import hold

            hold(values["listen"])
        return code

    def _move(self, values: Mapping[str, Any], database_url: DatabaseURL) -> Result:
        from schema_migrator.resolution import Resolution, force
        from schema_migrator.route import Goal, Way
        from schema_migrator.run import Run

        parsed = self._parsed
        self._place = place = _place(values, database_url)
        run = Run(place, _load(values), Console(self._redact), timeout=values["timeout"])
        if parsed.command == "force":
            return force(
                run,
                Resolution(
                    target=parsed.revision,
                    incident=parsed.incident,
                    reason=parsed.reason,
                    unchecked=parsed.unchecked,
                ),
            )
        accept = values["on_database_ahead"] == "accept"
        if parsed.command == "up":
            goal = Goal(target="head", way=Way.UP, count=parsed.count, accept_ahead=accept)
        elif parsed.command == "down":
            goal = Goal(target="base", way=Way.DOWN, count=parsed.count, accept_ahead=accept)
        else:
            goal = Goal(
                target=parsed.target, allow_downgrade=values["allow_downgrade"], accept_ahead=accept
            )
        return run.move(goal)

    def _version(self, values: Mapping[str, Any], database_url: DatabaseURL) -> int:
        from schema_migrator import report

        tree = _load(values) if self._parsed.check or self._json else None
        found = report.version(_place(values, database_url), tree, check=self._parsed.check)
        if self._json:
            print(json.dumps(json.loads(result.encode(found))))
        else:
            print(f"{found.to}{' (dirty)' if found.dirty else ''}")
            if found.dirty or found.outcome is not Outcome.UP_TO_DATE or "; " in found.message:
                print(f"migrate: {self._redact(found.message)}", file=sys.stderr)
        return found.exit_code

    def _create(self, values: Mapping[str, Any]) -> int:
        from schema_migrator.create import create

        print(create(_load(values), self._parsed.name))
        return 0

    def _ask(self, database_url: DatabaseURL) -> None:
        try:
            answer = input("This reverts every revision. Type the database's name to go on: ")
        except (EOFError, KeyboardInterrupt):
            answer = ""
        if answer != database_url.parameters.get("dbname"):
            raise ConfigurationError("that is not the database's name; nothing was done")

    def _finish(self, report: Result) -> int:
        """Write and print a result, and return its exit code."""
        self._file.write(report)
        if self._json:
            print(json.dumps(json.loads(result.encode(report))), flush=True)
        elif report.exit_code == 0:
            print(report.message, flush=True)
        else:
            print(f"migrate: {report.outcome}: {report.message}", file=sys.stderr, flush=True)
        return report.exit_code

    def _overdue(self, outcome: Outcome) -> int:
        """End a run whose main thread does not: what is true is read over a session of its own."""
        message = (
            "stopped by a signal" if outcome is Outcome.INTERRUPTED else "the run's time is over"
        )
        report = Result(outcome=outcome, message=f"{message}, and the revision did not let go")
        self._file.write(report)
        return EXIT_CODES[report.outcome]


def _bug(error: Exception) -> str:
    trace, where = error.__traceback__, ""
    while trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = " ".join(str(error).split())[:300]
    return f"a bug of migrate: {type(error).__name__} at {where}: {text}; please report it"
