"""Where the command ``migrate`` begins: the quick path first, then the whole of it."""

from __future__ import annotations

import os
import sys

from schema_migrator import quick

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The module typing is a tenth of the quick path's time; type checkers know the name's meaning.
    from typing import NoReturn

    from schema_migrator.quick import Answer


def main() -> NoReturn:
    """Run ``migrate`` and end the process with its exit code."""
    try:
        answer = _quick_answer()
        if answer is not None:
            if answer.become is not None:
                _become(*answer.become)
            # Nothing is left to end, and the interpreter takes as long to end as the question did.
            os._exit(0)
        if sys.flags.no_site:
            # The launcher left that out, and the quick path needed none of it.
            import site

            site.main()
        from schema_migrator import cli

        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("migrate: interrupted: stopped by SIGINT\n")
        sys.exit(17)


def _quick_answer() -> Answer | None:
    """Answer a run that has nothing to do, and print it; None for every other one."""
    try:
        answer = quick.answer(sys.argv[1:], dict(os.environ))
        if answer.become is None:
            sys.stdout.write(f"{answer.line}\n")
            sys.stdout.flush()
        else:
            # Standard output is the command's that the process becomes.
            sys.stderr.write(f"migrate: {answer.line}\n")
            sys.stderr.flush()
    except Exception:  # noqa: BLE001 - whatever it is, the full path finds it again and has the words for it
        return None
    return answer


def _become(path: str, command: list[str]) -> NoReturn:
    """Become a command, with this process's environment and number."""
    try:
        os.execv(path, command)  # noqa: S606 - what the caller asked for, as a list
    except OSError as error:
        sys.stderr.write(f"migrate: {command[0]}: {error.strerror}\n")
        sys.exit(127)
