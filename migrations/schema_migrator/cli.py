"""The command ``migrate``: arguments and environment in, text and exit code out.

The only module of the migrator that reads the environment, prints, or ends the
process.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from schema_migrator import options, result
from schema_migrator.errors import ConfigurationError, MigratorError, Stopped
from schema_migrator.result import EXIT_CODES, Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schema_migrator.options import Option
    from schema_migrator.run import Place
    from schema_migrator.tree import Step, Tree
    from schema_migrator.url import DatabaseURL

_EPILOG = """\
The database is given by the environment variable DATABASE_URL, so that it never
stands in a process list. Every option can be given as MIGRATE_… as well:
--lock-timeout is MIGRATE_LOCK_TIMEOUT. Durations need a unit: 500ms, 30s, 15m.

exit codes:
   0  applied, up to date, or ahead as accepted
   2  usage: a wrong flag or argument
  10  failed; rolled back, the database is clean
  11  dirty; a person must look, then: migrate force
  12  locked: another migrator, or locks not got in time
  13  unreachable: no connection, or it was refused
  14  invalid: configuration, URL, rights or server
  15  refused: downgrade not allowed, unknown target, database ahead, not at head
  16  timeout; the database is clean
  17  interrupted by a signal; the database is clean
   1  a bug of migrate
"""


class _Parser(argparse.ArgumentParser):
    """Argparse, with our options and one line for an error."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"migrate: {message}; see {self.prog} --help\n")


def _flag_type(option: Option) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            return option.parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _add(parser: argparse.ArgumentParser, *groups: Sequence[Option]) -> None:
    for group in groups:
        for option in group:
            if option.metavar is None:
                parser.add_argument(
                    option.flag, action="store_true", default=None, help=option.help
                )
            else:
                parser.add_argument(
                    option.flag,
                    type=_flag_type(option),
                    default=None,
                    metavar=option.metavar,
                    help=option.help,
                )
    parser.set_defaults(options=tuple(option for group in groups for option in group))


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of revisions (1 or more)')
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="migrate",
        description="Move a PostgreSQL schema along a tree of revisions, one transaction a revision.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="store_true", help="print the version of migrate and end"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    up = commands.add_parser("up", help="apply all pending revisions, or the next N")
    up.add_argument(
        "count", nargs="?", type=_count, metavar="N", help="how many revisions; all without it"
    )
    _add(up, options.COMMON, options.MOVING, options.HOLDING)

    down = commands.add_parser("down", help="revert the last N revisions, or all")
    down.add_argument("count", nargs="?", type=_count, metavar="N", help="how many revisions")
    down.add_argument("--all", action="store_true", dest="everything", help="revert every revision")
    _add(down, options.COMMON, options.MOVING)

    goto = commands.add_parser("goto", help="go to a target, either way")
    goto.add_argument(
        "target",
        metavar="TARGET",
        help="head, heads, base, a revision, or a relative step as +1 or -1",
    )
    _add(goto, options.COMMON, options.MOVING, options.ALLOWING)

    version = commands.add_parser("version", help="print where the database is")
    version.add_argument(
        "--check", action="store_true", help="exit 15 when not at head, 11 when dirty"
    )
    _add(version, options.COMMON)

    force = commands.add_parser(
        "force", help="record a position and resolve a dirty database; runs nothing"
    )
    force.add_argument(
        "revision", metavar="REVISION", help="where the database is: a revision, head, base or -1"
    )
    force.add_argument("--incident", metavar="ID", help="resolve this incident and no other")
    force.add_argument("--reason", metavar="TEXT", help="kept in the history")
    force.add_argument(
        "--unchecked", action="store_true", help="accept a revision that the tree does not have"
    )
    _add(force, options.COMMON)

    create = commands.add_parser("create", help="write the next numbered revision from a template")
    create.add_argument("name", metavar="NAME", help="a few words, as add_billing_address")
    _add(create, [option for option in options.COMMON if option.name == "tree"])
    return parser


class _Console:
    """What a person at a terminal, or the reader of a log, is told meanwhile."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        self._redact = redact

    def _say(self, text: str) -> None:
        print(f"migrate: {self._redact(text)}", file=sys.stderr, flush=True)

    def warn(self, message: str) -> None:
        self._say(f"warning: {message}")

    def waiting(self, message: str) -> None:
        self._say(message)

    def started(self, step: Step) -> None:
        self._say(
            f"{step.revision} {step.direction}: {(step.script.doc or '').splitlines()[0].rstrip('.')}"
        )

    def ended(self, step: Step, seconds: float) -> None:
        from schema_migrator.duration import show

        self._say(f"{step.revision} {step.direction}: done in {show(seconds)}")


class _ResultFile:
    """The file that the result goes to.

    It is overwritten in place with one call, because a container's termination
    log is a mount and can't be replaced, and a reader must never find it empty.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._written = threading.Lock()
        self._final = False

    def write(self, report: Result) -> None:
        """Write a result; a final one is never overwritten."""
        if self._path is None:
            return
        with self._written:
            if self._final:
                return
            self._final = report.outcome is not Outcome.STARTED
            data = result.encode(report)
            try:
                descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
                try:
                    os.write(descriptor, data)
                    # A termination log may be a pipe or a device in some runtimes.
                    with contextlib.suppress(OSError):
                        os.ftruncate(descriptor, len(data))
                finally:
                    os.close(descriptor)
            except OSError as error:
                print(
                    f"migrate: warning: the result file can't be written: {error.strerror}",
                    file=sys.stderr,
                )


def _own_version() -> str:
    from importlib import metadata

    return metadata.version("schema-operator")


def _place(values: Mapping[str, Any], url: DatabaseURL) -> Place:
    from schema_migrator.database import Settings
    from schema_migrator.history import Author
    from schema_migrator.run import Place

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
    from schema_migrator.tree import Tree

    return Tree.load(values["tree"])


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run ``migrate`` and end the process with its exit code."""
    parsed = _parser().parse_args(arguments)
    if parsed.version:
        print(f"migrate {_own_version()}")
        sys.exit(0)
    if parsed.command is None:
        _parser().print_help()
        sys.exit(2)
    if parsed.command == "down" and parsed.everything == (parsed.count is not None):
        _parser().error("down needs a number of revisions, or --all")
    sys.exit(_Program(parsed).run())


class _Program:
    """One call of ``migrate``."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        self._parsed = parsed
        self._url: DatabaseURL | None = None
        self._file = _ResultFile(None)
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
        self._file = _ResultFile(file or None)
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
        from schema_migrator.route import Goal, Way
        from schema_migrator.run import Run

        parsed = self._parsed
        self._place = place = _place(values, database_url)
        run = Run(place, _load(values), _Console(self._redact), timeout=values["timeout"])
        if parsed.command == "force":
            return run.force(
                parsed.revision,
                incident=parsed.incident,
                reason=parsed.reason,
                unchecked=parsed.unchecked,
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
