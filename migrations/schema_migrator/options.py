"""The options of ``migrate``: by flag, by environment, with a default.

``--lock-timeout`` is ``MIGRATE_LOCK_TIMEOUT``, and so on for every option. No
option's name ends in ``port`` or ``host``: Kubernetes puts ``MIGRATE_PORT`` and
``MIGRATE_SERVICE_HOST`` into the environment where a Service is called
``migrate``.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from schema_migrator import duration
from schema_migrator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SERVICE_LINK = re.compile(r"MIGRATE_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        name: as on the command line, without dashes.
        parse: from text to value; raises ValueError with what is wrong.
        default: the value where neither flag nor environment gives one.
        metavar: what the help calls the value; None for a switch.
        help: one line.
    """

    name: str
    parse: Callable[[str], Any]
    default: Any
    metavar: str | None
    help: str

    @property
    def flag(self) -> str:
        """The flag: ``--lock-timeout``."""
        return f"--{self.name}"

    @property
    def field(self) -> str:
        """The name in Python: ``lock_timeout``."""
        return self.name.replace("-", "_")

    @property
    def variable(self) -> str:
        """The environment variable: ``MIGRATE_LOCK_TIMEOUT``."""
        return f"MIGRATE_{self.field.upper()}"


def _text(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(one.strip() for one in text.split(","))
    if not all(names):
        raise ValueError("is a list of names, separated by commas")
    return names


def _positive_duration(text: str) -> float:
    seconds = duration.parse(text)
    if seconds <= 0:
        raise ValueError("must be more than 0: without a bound one lock can stop everything")
    return seconds


def _switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("is true or false")


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is one of {', '.join(choices)}")
        return text

    return parse


def _resolution(text: str) -> tuple[str, str]:
    incident, equals, revision = text.partition("=")
    if not (incident and equals and revision):
        raise ValueError("needs an incident and a revision, such as 1f0c2d3e4b5a=0007")
    return incident, revision


def _listen(text: str) -> tuple[str, int]:
    address, colon, number = text.rpartition(":")
    if not colon or not number.isdigit() or int(number) >= 2**16:
        raise ValueError("needs an address and a number, such as 0.0.0.0:8080 or :8080")
    return address.strip("[]"), int(number)


TREE = (
    Option(
        name="tree",
        parse=_text,
        default="tenant_registry",
        metavar="TREE",
        help="the revisions: package, package:path, or a directory (with a slash)",
    ),
    Option(
        name="version-locations",
        parse=_names,
        default=None,
        metavar="PATH,…",
        help="the directories of the revisions, relative to the tree; by default versions, or the tree itself",
    ),
    Option(
        name="recursive-version-locations",
        parse=_switch,
        default=None,
        metavar=None,
        help="look for revisions in the directories below as well",
    ),
    Option(
        name="target-metadata",
        parse=_text,
        default=None,
        metavar="MODULE:ATTRIBUTE",
        help="the metadata whose naming convention the revisions rely on; none: there is no such convention",
    ),
    Option(
        name="prelude",
        parse=_text,
        default=None,
        metavar="MODULE:FUNCTION",
        help="called before the tree is loaded, for an application that must be set up first",
    ),
    Option(
        name="with-env",
        parse=_switch,
        default=None,
        metavar=None,
        help="run the revisions inside the tree's own env.py",
    ),
)

COMMON = (
    *TREE,
    Option(
        name="timeout",
        parse=_positive_duration,
        default=900.0,
        metavar="DURATION",
        help="how long the whole run may take",
    ),
    Option(
        name="lock-timeout",
        parse=_positive_duration,
        default=2.0,
        metavar="DURATION",
        help="how long one wait for a lock may take before the revision is rolled back and tried again",
    ),
    Option(
        name="statement-timeout",
        parse=duration.parse,
        default=0.0,
        metavar="DURATION",
        help="how long one statement may take; 0s: no bound",
    ),
    Option(
        name="version-table",
        parse=_text,
        default=None,
        metavar="NAME",
        help="the table that holds the position; by default alembic_version",
    ),
    Option(
        name="version-table-schema",
        parse=_text,
        default=None,
        metavar="NAME",
        help="its schema; by default where the search path finds it, else the search path's first",
    ),
    Option(
        name="result-file",
        parse=_text,
        default=None,
        metavar="FILE",
        help="where the result is written as JSON; in a pod /dev/termination-log",
    ),
    Option(
        name="run-id",
        parse=_text,
        default=None,
        metavar="NAME",
        help="the run's name in the history",
    ),
    Option(
        name="pod", parse=_text, default=None, metavar="NAME", help="the pod's name in the history"
    ),
    Option(
        name="image",
        parse=_text,
        default=None,
        metavar="NAME",
        help="the image's name in the history",
    ),
    Option(
        name="json",
        parse=_switch,
        default=False,
        metavar=None,
        help="report as JSON on standard output",
    ),
)

TARGETING = (
    Option(
        name="target",
        parse=_text,
        default=None,
        metavar="TARGET",
        help="where to: head (the default), heads for a tree with several, a revision, or label@head",
    ),
)

MOVING = (
    Option(
        name="on-database-ahead",
        parse=_choice("refuse", "accept"),
        default="refuse",
        metavar="refuse|accept",
        help="what to do when the database is ahead of the tree, as after a rollback of the application",
    ),
    Option(
        name="strict",
        parse=_switch,
        default=False,
        metavar=None,
        help="refuse a tree with a revision that was edited after it was applied; without it that is warned of",
    ),
)

PLANNED = (
    Option(
        name="plan-id",
        parse=_text,
        default=None,
        metavar="ID",
        help="do exactly what migrate plan showed with this id, and refuse anything else;"
        " none: nothing is approved",
    ),
)

PREPARING = (
    Option(
        name="baseline",
        parse=_text,
        default=None,
        metavar="REVISION",
        help="record this position first where a database has its schema and no position yet",
    ),
)

RESOLVING = (
    Option(
        name="resolve",
        parse=_resolution,
        default=None,
        metavar="INCIDENT=REVISION",
        help="resolve this incident first, as force would, should it be the open one",
    ),
)

RECORDING = (
    Option(
        name="reason",
        parse=_text,
        default=None,
        metavar="TEXT",
        help="kept in the history",
    ),
)

ADOPTING = (
    Option(
        name="golang-migrate-table",
        parse=_text,
        default="schema_migrations",
        metavar="NAME",
        help="golang-migrate's table, with its schema where the search path does not find it",
    ),
)

PLANNING = (
    MOVING[0],
    Option(
        name="allow-downgrade",
        parse=_switch,
        default=True,
        metavar=None,
        help="show what going down would do; MIGRATE_ALLOW_DOWNGRADE=false: refuse it, as a run would",
    ),
)

WAITING = (
    Option(
        name="on-database-ahead",
        parse=_choice("refuse", "accept"),
        default="accept",
        metavar="refuse|accept",
        help="what to do when the database is ahead of the tree, as after a rollback of the application",
    ),
    Option(
        name="wait-dirty",
        parse=_switch,
        default=False,
        metavar=None,
        help="wait for a dirty database to be resolved instead of ending with 11 at once",
    ),
)

CREATING = (
    Option(
        name="sql",
        parse=_switch,
        default=False,
        metavar=None,
        help="write a pair of SQL files; a tree of SQL files alone gets one without it",
    ),
)

HOLDING = (
    Option(
        name="hold",
        parse=_switch,
        default=False,
        metavar=None,
        help="after success stay until SIGTERM, for orchestrators that restart whatever ends",
    ),
    Option(
        name="listen",
        parse=_listen,
        default=None,
        metavar="ADDRESS:NUMBER",
        help="with --hold: answer GET /readyz there",
    ),
)

ALLOWING = (
    Option(
        name="allow-downgrade",
        parse=_switch,
        default=False,
        metavar=None,
        help="allow going down to a target that is behind",
    ),
)

EVERY = (
    *COMMON,
    *TARGETING,
    *MOVING,
    *HOLDING,
    *ALLOWING,
    *PLANNED,
    *PREPARING,
    *RESOLVING,
    *RECORDING,
    *ADOPTING,
    *WAITING,
    *CREATING,
)
"""The options of all commands."""


def from_environment(
    options: Iterable[Option], given: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Return each option's value: the flag's, else the environment's, else the default.

    Args:
        options: the options of the command.
        given: field to value for each flag; None where it was not given.
        environment: the process's environment.

    Raises:
        ConfigurationError: a variable's value is wrong.
    """
    values: dict[str, Any] = {}
    for option in options:
        value = given.get(option.field)
        text = environment.get(option.variable)
        if value is None and text is not None and (text or option.metavar is None):
            try:
                value = option.parse(text)
            except ValueError as error:
                raise ConfigurationError(f"{option.variable} {error}") from None
        values[option.field] = option.default if value is None else value
    return values


def unknown_variables(options: Iterable[Option], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ``MIGRATE_`` variables that no option has, but for a Service's links."""
    known = {option.variable for option in options}
    return tuple(
        sorted(
            name
            for name in environment
            if name.startswith("MIGRATE_")
            and name not in known
            and not _SERVICE_LINK.fullmatch(name)
        )
    )
