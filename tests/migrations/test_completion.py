"""Completion: what a shell offers, and that it offers what the parser knows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from schema_migrator.arguments import parser
from schema_migrator.completion import SHELLS, render
from tests.fix_migrator import MIGRATE

OFFERS = {
    "a command": (["migrate", "u"], {"up"}),
    "all of a beginning": (["migrate", "st"], {"status"}),
    "a flag": (["migrate", "up", "--lock"], {"--lock-timeout"}),
    "another command's flag": (["migrate", "version", "--hold"], set()),
    "a target": (["migrate", "goto", "he"], {"head", "heads"}),
    "a choice": (["migrate", "up", "--on-database-ahead", ""], {"refuse", "accept"}),
    "a value of which nothing is known": (["migrate", "up", "--timeout", ""], set()),
    "a shell": (["migrate", "completion", ""], {"bash", "zsh", "fish", "--help"}),
    "a command to become": (["migrate", "exec", "--", "bas"], {"bash"}),
}


@pytest.mark.parametrize("case", OFFERS)
def test_bash_offers_what_fits(case: str) -> None:
    words, expected = OFFERS[case]
    line = " ".join(f"'{word}'" for word in words)
    script = (
        f"{render('bash', parser())}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _migrate;"
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )

    shown = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True
    )

    offered = set(shown.stdout.split())
    assert shown.stderr == ""
    if case == "a command to become":
        assert expected <= offered
    else:
        assert offered == expected


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_knows_every_command_and_flag(shell: str) -> None:
    script = render(shell, parser())
    (commands,) = [action for action in parser()._actions if action.dest == "command"]
    assert isinstance(commands.choices, dict)
    for name, command in commands.choices.items():
        assert re.search(rf"\b{name}\b", script), name
        for action in command._actions:
            for flag in action.option_strings:
                if flag.startswith("--"):
                    known = flag.removeprefix("--") if shell == "fish" else flag
                    assert re.search(rf"(?<![\w-]){known}(?![\w-])", script), flag


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_that_its_shell_can_read(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    subprocess.run([shell, "-n"], input=render(shell, parser()), text=True, check=True)


def test_the_script_is_printed_without_a_database() -> None:
    shown = subprocess.run(
        [MIGRATE, "completion", "bash"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )

    assert shown.stdout == f"{render('bash', parser())}\n"
    assert shown.stderr == ""
