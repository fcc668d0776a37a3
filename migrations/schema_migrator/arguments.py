"""The command line of ``migrate``: commands, flags, help."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, NoReturn

from schema_migrator import options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schema_migrator.options import Option

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


_PREPARING = (options.PREPARING, options.RESOLVING)
_LOOKING = (*options.COMMON, *options.PLANNING, *options.PREPARING)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of revisions (1 or more)')
    return int(text)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Return what a command line says; ends the process where it is wrong.

    Args:
        words: the command line, without the program.
    """
    top = parser()
    words, command = list(words), []
    if words[:1] in (["exec"], ["wait"]) and "--" in words:
        end = words.index("--")
        words, command = words[:end], words[end + 1 :]
    parsed = top.parse_args(words)
    parsed.become = tuple(command)
    if parsed.command == "exec" and not command:
        top.error("exec needs a command after --, as in: migrate exec -- gunicorn app")
    if parsed.command == "down" and parsed.everything == (parsed.count is not None):
        top.error("down needs a number of revisions, or --all")
    return parsed


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = _Parser(
        prog="migrate",
        description="Move a PostgreSQL schema along a tree of revisions, one transaction a revision.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="store_true", help="print the version of migrate and end")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    up = commands.add_parser("up", help="apply all pending revisions, or the next N")
    up.add_argument(
        "count", nargs="?", type=_count, metavar="N", help="how many revisions; all without it"
    )
    _add(
        up,
        options.COMMON,
        options.TARGETING,
        options.MOVING,
        options.HOLDING,
        options.PLANNED,
        *_PREPARING,
    )

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
    _add(goto, options.COMMON, options.MOVING, options.ALLOWING, options.PLANNED, *_PREPARING)

    version = commands.add_parser("version", help="print where the database is")
    version.add_argument(
        "--check", action="store_true", help="exit 15 when not at head, 11 when dirty"
    )
    _add(version, options.COMMON)

    status = commands.add_parser(
        "status", help="list every revision: applied when and by whom, pending, edited since"
    )
    _add(status, options.COMMON)

    force = commands.add_parser(
        "force", help="record a position and resolve a dirty database; runs nothing"
    )
    force.add_argument(
        "revision", metavar="REVISION", help="where the database is: a revision, head, base or -1"
    )
    force.add_argument("--incident", metavar="ID", help="resolve this incident and no other")
    force.add_argument(
        "--unchecked", action="store_true", help="accept a revision that the tree does not have"
    )
    _add(force, options.COMMON, options.RECORDING)

    baseline = commands.add_parser(
        "baseline", help="record a position for a database that has its schema already"
    )
    baseline.add_argument(
        "revision", metavar="REVISION", help="what the database's schema is: a revision or head"
    )
    _add(baseline, options.COMMON, options.RECORDING)

    adopt = commands.add_parser("adopt", help="take a database over from golang-migrate")
    _add(adopt, options.COMMON, options.ADOPTING)

    plan = commands.add_parser(
        "plan", help="show what a run would do: its SQL, locks and removals, and an id to approve"
    )
    plan.add_argument("target", nargs="?", metavar="TARGET", help="as for goto")
    _add(plan, _LOOKING)
    # MIGRATE_TARGET means the same to those who look as to those who move.
    plan.set_defaults(options=(*_LOOKING, *options.TARGETING))

    wait = commands.add_parser(
        "wait", help="wait until the database is at a target or past it, then become COMMAND"
    )
    wait.add_argument("target", nargs="?", metavar="TARGET", help="as for goto")
    _add(wait, options.COMMON, options.WAITING)
    wait.set_defaults(options=(*options.COMMON, *options.WAITING, *options.TARGETING))
    wait.usage = f"{wait.format_usage().removeprefix('usage: ').rstrip()} [-- COMMAND ...]"

    execute = commands.add_parser("exec", help="up, then become COMMAND")
    _add(execute, options.COMMON, options.TARGETING, options.MOVING, *_PREPARING)
    execute.usage = f"{execute.format_usage().removeprefix('usage: ').rstrip()} -- COMMAND ..."

    check = commands.add_parser(
        "check", help="apply, revert and apply every revision on an empty database"
    )
    _add(check, options.COMMON)

    create = commands.add_parser("create", help="write the next numbered revision from a template")
    create.add_argument("name", metavar="NAME", help="a few words, as add_billing_address")
    _add(create, options.TREE, options.CREATING)

    completion = commands.add_parser("completion", help="print the completion script of a shell")
    completion.add_argument(
        "shell", choices=("bash", "zsh", "fish"), metavar="SHELL", help="bash, zsh or fish"
    )
    _add(completion)
    return top
