"""The command ``migrate``: arguments and environment in, text and exit code out.

The only module of the migrator that reads the environment, prints, or ends the
process. What a command does is in a module for its family.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from schema_migrator import arguments, options, result, terminal
from schema_migrator.answer import Answer
from schema_migrator.call import Call, find, load, own_version
from schema_migrator.console import Console, ResultFile
from schema_migrator.errors import ConfigurationError, MigratorError, Stopped
from schema_migrator.result import EXIT_CODES, Outcome, Result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from schema_migrator.url import DatabaseURL

_QUIET = frozenset({"status", "version"})
"""The commands that look and write no result file: nobody waits for their end."""


_NO_COMMAND = 127
"""A shell's exit code for a command that is not there."""


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run ``migrate`` and end the process with its exit code."""
    parsed = arguments.parse(sys.argv[1:] if words is None else words)
    if parsed.version:
        print(f"migrate {own_version()}")
        sys.exit(0)
    if parsed.command is None:
        arguments.parser().print_help()
        sys.exit(2)
    if parsed.command == "completion":
        from schema_migrator import completion

        print(completion.render(parsed.shell, arguments.parser()))
        sys.exit(0)
    sys.exit(_Program(parsed).run())


def _answer(call: Call) -> Answer:
    """Return what a call's command answers; its family's module is loaded here."""
    match call.words.command:
        case "up" | "down" | "goto" | "exec":
            from schema_migrator import moving

            return moving.move(call)
        case "check":
            from schema_migrator import moving

            return moving.check(call)
        case "force" | "baseline" | "adopt" as command:
            from schema_migrator import recording

            return getattr(recording, command)(call)  # type: ignore[no-any-return]
        case command:
            from schema_migrator import reading

            return getattr(reading, command)(call)  # type: ignore[no-any-return]


class _Program:
    """One call of ``migrate``."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        self._parsed = parsed
        self._url: DatabaseURL | None = None
        self._file = ResultFile(None)
        self._json = False
        self._console = Console(self._redact, terminal.look_at(sys.stderr, os.environ))

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
                Answer(
                    result=Result(
                        outcome=error.outcome,
                        refusal=getattr(error, "refusal", None),
                        dirty=True if error.outcome is Outcome.DIRTY else None,
                        incident=getattr(error, "incident", None),
                        sqlstate=error.sqlstate,
                        message=self._redact(error.message),
                        duration_seconds=time.monotonic() - started,
                    )
                )
            )
        except Stopped as stopped:
            code = self._finish(
                Answer(result=Result(outcome=stopped.outcome, message=stopped.message))
            )
        except Exception as error:  # noqa: BLE001 - a bug: one line and exit 1, no traceback for a user
            print(f"migrate: {self._redact(_bug(error))}", file=sys.stderr)
            code = 1
        watch.end(code)
        return code

    def _run(self, watch: Any) -> int:
        parsed = self._parsed
        become = parsed.become
        if become and shutil.which(become[0]) is None:
            print(f"migrate: {become[0]}: there is no such command", file=sys.stderr)
            return _NO_COMMAND
        if parsed.command not in _QUIET:
            file = parsed.__dict__.get("result_file") or os.environ.get("MIGRATE_RESULT_FILE")
            self._file = ResultFile(file or None)
        self._json = bool(parsed.__dict__.get("json"))
        values = options.from_environment(parsed.options, vars(parsed), os.environ)
        self._json = values.get("json", False)
        if parsed.command == "create":
            return self._create(values)
        for name in options.unknown_variables(options.EVERY, os.environ):
            print(f"migrate: warning: {name} is no option of migrate", file=sys.stderr)
        from schema_migrator import url

        self._url = url.parse(os.environ.get("DATABASE_URL"))
        if parsed.command == "down" and parsed.everything and sys.stdin.isatty():
            self._ask(self._url)
        if parsed.command not in _QUIET:
            self._file.write(Result(outcome=Outcome.STARTED))
        watch.start(values["timeout"])
        answer = _answer(
            Call(
                words=parsed,
                values=values,
                url=self._url,
                console=self._console,
                terminal=terminal.look_at(sys.stdout, os.environ),
            )
        )
        report = answer.result
        if watch.outcome is not None and report.outcome in (Outcome.FAILED, Outcome.UNREACHABLE):
            # The revision turned the stop into an error of its own.
            answer = dataclasses.replace(
                answer, result=dataclasses.replace(report, outcome=watch.outcome)
            )
        code = self._finish(answer)
        if code == 0 and answer.become:
            watch.end(code)
            _become(answer.become)
        if code == 0 and values.get("hold"):
            watch.end(code)
            from schema_migrator.hold import hold

            hold(values["listen"])
        return code

    def _create(self, values: Mapping[str, Any]) -> int:
        from schema_migrator.create import create

        place = find(values)
        tree = load(values) if place.kinds else None
        for path in create(place, tree, self._parsed.name, sql=values["sql"]):
            print(path)
        return 0

    def _ask(self, database_url: DatabaseURL) -> None:
        try:
            answer = input("This reverts every revision. Type the database's name to go on: ")
        except (EOFError, KeyboardInterrupt):
            answer = ""
        if answer != database_url.parameters.get("dbname"):
            raise ConfigurationError("that is not the database's name; nothing was done")

    def _finish(self, answer: Answer) -> int:
        """Write and print an answer, and return its exit code."""
        self._console.close()
        self._file.write(answer.result)
        try:
            self._print(answer)
        except BrokenPipeError:
            # The reader has seen enough. Python would say so again when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return answer.result.exit_code

    def _print(self, answer: Answer) -> None:
        report = answer.result
        if self._json:
            document = answer.document
            if document is None:
                document = json.loads(result.encode(report))
            text = self._redact(json.dumps(document, ensure_ascii=False))
            print(text, file=_own_output(answer), flush=True)
            return
        if answer.text is not None:
            print(self._redact(answer.text), flush=True)
        elif report.exit_code == 0:
            prefix = "migrate: " if answer.become else ""
            print(f"{prefix}{report.message}", file=_own_output(answer), flush=True)
        if report.exit_code != 0:
            note = f"{report.outcome}: {report.message}"
            print(f"migrate: {self._redact(note)}", file=sys.stderr, flush=True)
        elif answer.note:
            print(f"migrate: {self._redact(answer.note)}", file=sys.stderr, flush=True)

    def _overdue(self, outcome: Outcome) -> int:
        """End a run whose main thread does not: what is true is read over a session of its own."""
        message = (
            "stopped by a signal" if outcome is Outcome.INTERRUPTED else "the run's time is over"
        )
        report = Result(
            outcome=outcome, message=f"{message}, and the server or the revision did not let go"
        )
        self._file.write(report)
        return EXIT_CODES[report.outcome]


def _own_output(answer: Answer) -> TextIO:
    """Return where a report goes: standard output is the command's that the process becomes."""
    return sys.stderr if answer.become else sys.stdout


def _become(command: tuple[str, ...]) -> NoReturn:
    """Become a command, with this process's environment and number."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 - what the caller asked for, as a list
    except OSError as error:
        print(f"migrate: {command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(_NO_COMMAND)


def _bug(error: Exception) -> str:
    trace, where = error.__traceback__, ""
    while trace is not None:
        where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = " ".join(str(error).split())[:300]
    return f"a bug of migrate: {type(error).__name__} at {where}: {text}; please report it"
