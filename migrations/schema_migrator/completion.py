"""Completion scripts for shells, made from the parser: they know what it knows, and nothing else."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_TARGETS: Final = ("head", "heads", "base")
_TARGETED: Final = frozenset({"goto", "plan", "wait", "force", "baseline"})
"""The commands whose word is a target."""

_FILES: Final = frozenset({"--result-file"})
_DIRECTORIES: Final = frozenset({"--tree"})


@dataclasses.dataclass(frozen=True, slots=True)
class _Flag:
    """A flag of a command.

    Attributes:
        name: with its dashes.
        help: one line.
        metavar: what its value is called; None for a switch.
    """

    name: str
    help: str
    metavar: str | None

    @property
    def choices(self) -> tuple[str, ...]:
        """The values, where they are few: ``refuse|accept``."""
        metavar = self.metavar or ""
        return tuple(metavar.split("|")) if "|" in metavar else ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Command:
    """A command: its name, one line of help, its flags, and the words that it takes."""

    name: str
    help: str
    flags: tuple[_Flag, ...]
    words: tuple[str, ...]


def render(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the completion script of a shell.

    Args:
        shell: ``bash``, ``zsh`` or ``fish``.
        parser: the parser of all commands.
    """
    return SHELLS[shell](_commands(parser))


def _commands(parser: argparse.ArgumentParser) -> list[_Command]:
    found = []
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its commands
        if not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - see above
            continue
        for choice in action._choices_actions:  # noqa: SLF001 - see above
            name = str(choice.dest)
            actions = action.choices[name]._actions  # noqa: SLF001 - see above
            words = [
                str(one) for it in actions if not it.option_strings for one in it.choices or ()
            ]
            found.append(
                _Command(
                    name,
                    choice.help or "",
                    tuple(_flag(one) for one in actions if one.option_strings),
                    (*words, *(_TARGETS if name in _TARGETED else ())),
                )
            )
    return found


def _flag(action: argparse.Action) -> _Flag:
    metavar = action.metavar if isinstance(action.metavar, str) else "VALUE"
    return _Flag(
        action.option_strings[-1], action.help or "", None if action.nargs == 0 else metavar
    )


def _bash(commands: list[_Command]) -> str:
    lines = [
        "# migrate's completion for bash; load it by: source <(migrate completion bash)",
        "_migrate() {",
        '  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words="" place',
        "  COMPREPLY=()",
        "  if ((COMP_CWORD == 1)); then",
        f'    COMPREPLY=($(compgen -W "{" ".join(one.name for one in commands)} --help --version" -- "$current"))',
        "    return",
        "  fi",
        "  for ((place = 2; place < COMP_CWORD; place++)); do",
        '    if [[ ${COMP_WORDS[place]} == -- ]]; then COMPREPLY=($(compgen -c -- "$current")); return; fi',
        "  done",
        '  case "$previous" in',
    ]
    values = {flag.name: flag for one in commands for flag in one.flags if flag.metavar is not None}
    for name, flag in values.items():
        how = (
            f'compgen -W "{" ".join(flag.choices)}"'
            if flag.choices
            else "compgen -f"
            if name in _FILES
            else "compgen -d"
            if name in _DIRECTORIES
            else None
        )
        reply = f'COMPREPLY=($({how} -- "$current")); ' if how else ""
        lines.append(f"    {name}) {reply}return ;;")
    lines += ["  esac", '  case "${COMP_WORDS[1]}" in']
    for one in commands:
        offered = " ".join([*one.words, *(flag.name for flag in one.flags)])
        lines.append(f'    {one.name}) words="{offered}" ;;')
    lines += [
        "  esac",
        '  COMPREPLY=($(compgen -W "$words" -- "$current"))',
        "}",
        "complete -F _migrate migrate",
    ]
    return "\n".join(lines)


def _zsh(commands: list[_Command]) -> str:
    lines = [
        "#compdef migrate",
        "# migrate's completion for zsh; load it by: source <(migrate completion zsh)",
        "_migrate() {",
        "  local -a commands",
        "  commands=(",
        *(f"    {shlex.quote(f'{one.name}:{one.help}')}" for one in commands),
        "  )",
        "  if (( CURRENT == 2 )); then _describe command commands; return; fi",
        "  shift words; (( CURRENT-- ))",
        '  case "$words[1]" in',
    ]
    for one in commands:
        lines.append(f"    {one.name}) _arguments \\")
        lines += [f"      {shlex.quote(_zsh_flag(flag))} \\" for flag in one.flags]
        lines.append(f"      {shlex.quote('*:word:' + _zsh_words(one))} ;;")
    lines += [
        "  esac",
        "}",
        'if [[ "$funcstack[1]" == _migrate ]]; then _migrate "$@"; else compdef _migrate migrate; fi',
    ]
    return "\n".join(lines)


def _zsh_words(command: _Command) -> str:
    if command.name in ("exec", "wait"):
        return "_command_names -e"
    return f"({' '.join(command.words)})" if command.words else ""


def _zsh_flag(flag: _Flag) -> str:
    text = flag.help.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    if flag.metavar is None:
        return f"{flag.name}[{text}]"
    action = (
        f"({' '.join(flag.choices)})"
        if flag.choices
        else "_files"
        if flag.name in _FILES
        else "_files -/"
        if flag.name in _DIRECTORIES
        else ""
    )
    return f"{flag.name}=[{text}]:{flag.metavar.replace(':', ' ')}:{action}"


def _fish(commands: list[_Command]) -> str:
    lines = [
        "# migrate's completion for fish; load it by: migrate completion fish | source",
        "complete -c migrate -f",
    ]
    for one in commands:
        help_text = _fish_quoted(one.help)
        lines.append(f"complete -c migrate -n __fish_use_subcommand -a {one.name} -d {help_text}")
        condition = f"complete -c migrate -n '__fish_seen_subcommand_from {one.name}'"
        if one.words:
            lines.append(f"{condition} -a '{' '.join(one.words)}'")
        for flag in one.flags:
            value = ""
            if flag.choices:
                value = f" -x -a '{' '.join(flag.choices)}'"
            elif flag.metavar is not None:
                value = " -r -F" if flag.name in _FILES | _DIRECTORIES else " -x"
            lines.append(
                f"{condition} -l {flag.name.removeprefix('--')}{value} -d {_fish_quoted(flag.help)}"
            )
    return "\n".join(lines)


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: Final[dict[str, Callable[[list[_Command]], str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
"""The shells that there is a script for."""
