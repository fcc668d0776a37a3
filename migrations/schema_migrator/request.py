"""What a call of ``migrate`` asks for, where it is simple enough for the quick path.

The full path's parser takes longer to load than the answer takes. This one
knows few words, and whatever it does not know for certain, a wrong value
included, is `QuickError`: the other one has the words for it.
"""

from __future__ import annotations

from schema_migrator.libpq import QuickError

_VALUES = (
    "tree",
    "timeout",
    "lock-timeout",
    "statement-timeout",
    "version-table",
    "version-table-schema",
    "result-file",
    "run-id",
    "pod",
    "image",
    "on-database-ahead",
)
"""The options with a value that are understood here."""

_VARIABLES = {f"MIGRATE_{name.upper().replace('-', '_')}": name for name in _VALUES}

_UNITS = ("ms", "s", "m", "h")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LEAST_SECONDS = 20.0
"""A run with less time than this is left to the full path, which watches it."""


class Request:
    """What a call asks for.

    Attributes:
        command: ``up``, ``goto``, ``exec`` or ``version``.
        target: where the database shall be; None for ``version`` without ``--check``.
        options: those with a value, name to text.
        become: what the process becomes afterwards; empty: nothing.
    """

    def __init__(self, command: str, target: str | None, become: list[str]) -> None:
        self.command = command
        self.target = target
        self.become = become
        self.options: dict[str, str] = {}


def understand(words: list[str], environment: dict[str, str]) -> Request:
    """Return what a call asks for.

    Args:
        words: the command line, without the program.
        environment: the process's environment.

    Raises:
        QuickError: something is not understood here, or may be wrong.
    """
    become: list[str] = []
    if words[:1] == ["exec"] and "--" in words:
        end = words.index("--")
        words, become = words[:end], words[end + 1 :]
        if not become:
            raise QuickError
    rest, switches, options = _sorted(words)
    request = Request(rest[0], _target(rest, switches, become), become)
    if request.command == "version" and "on-database-ahead" in options:
        raise QuickError
    for variable, value in environment.items():
        if variable.startswith("MIGRATE_"):
            if variable not in _VARIABLES or not value:
                raise QuickError
            options.setdefault(_VARIABLES[variable], value)
    _check(options)
    request.options = options
    return request


def _sorted(words: list[str]) -> tuple[list[str], list[str], dict[str, str]]:
    """Return plain words, switches, and options with their values."""
    rest: list[str] = []
    switches: list[str] = []
    options: dict[str, str] = {}
    if not words or words[0].startswith("-"):
        raise QuickError
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-"):
            rest.append(word)
        elif word in ("--check", "--allow-downgrade"):
            switches.append(word)
        else:
            name, equals, value = word[2:].partition("=")
            if word[:2] != "--" or name not in _VALUES:
                raise QuickError
            options[name] = value if equals else next(waiting, "")
            if not options[name] or (not equals and options[name].startswith("-")):
                raise QuickError
    return rest, switches, options


def _target(rest: list[str], switches: list[str], become: list[str]) -> str | None:
    command = rest[0]
    if command == "exec":
        if become and len(rest) == 1 and not switches:
            return "head"
    elif command == "up" and not switches:
        count = rest[1:]
        if not count or (len(count) == 1 and count[0].isdecimal() and count[0].isascii()):
            if count and int(count[0]) < 1:
                raise QuickError
            return "head"
    elif command == "goto" and len(rest) == 2 and "--check" not in switches:  # noqa: PLR2004 - command and target
        return rest[1]
    elif command == "version" and len(rest) == 1 and "--allow-downgrade" not in switches:
        return "heads" if switches else None
    raise QuickError


def _check(options: dict[str, str]) -> None:
    """Leave every value that may be wrong to the full path, which has the words for it."""
    for name in ("timeout", "lock-timeout", "statement-timeout"):
        if name not in options:
            continue
        seconds = _duration(options[name])
        if (not seconds and name == "lock-timeout") or (
            seconds < _LEAST_SECONDS and name == "timeout"
        ):
            raise QuickError
    if options.get("on-database-ahead", "refuse") not in ("refuse", "accept"):
        raise QuickError
    for name in ("version-table", "version-table-schema"):
        text = options.get(name, "x")
        if not text.isascii() or "'" in text or "\\" in text:
            raise QuickError


def _duration(text: str) -> float:
    """Return the seconds of a duration with one to four parts, such as ``1h30m``."""
    seconds, digits, parts = 0.0, "", 0
    while text:
        if text[0].isdecimal() and text[0].isascii():
            digits, text = digits + text[0], text[1:]
            continue
        unit = next((one for one in _UNITS if text.startswith(one)), None)
        if unit is None or not 1 <= len(digits) <= 5:  # noqa: PLR2004 - as the full path has it
            raise QuickError
        seconds += int(digits) * _SECONDS[unit]
        digits, text, parts = "", text[len(unit) :], parts + 1
    if digits or not 1 <= parts <= 4:  # noqa: PLR2004 - as the full path has it
        raise QuickError
    return seconds
