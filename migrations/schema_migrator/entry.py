"""Where the command ``migrate`` begins: the quick path first, then the whole of it."""

from __future__ import annotations

import os
import sys

from schema_migrator import quick

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The module typing is a tenth of the quick path's time; type checkers know the name's meaning.
    from typing import NoReturn


def main() -> NoReturn:
    """Run ``migrate`` and end the process with its exit code."""
    try:
        if _is_answered():
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


def _is_answered() -> bool:
    """Answer a run that has nothing to do; False for every other one."""
    try:
        line = quick.answer(sys.argv[1:], dict(os.environ))
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except Exception:  # noqa: BLE001 - whatever it is, the full path finds it again and has the words for it
        return False
    return True
