"""The command: ``python -m local_orca build|path``."""

from __future__ import annotations

import argparse
import os
import sys

from local_kubernetes.progress import Progress
from local_orca import program
from local_orca.errors import LocalOrcaError


def main(arguments: list[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: in place of the process's own.

    Returns:
        0; 1 after an error, said in one line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m local_orca",
        description=f"Orca {program.VERSION} on this machine, compiled once and cached.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    build = commands.add_parser("build", help="compile it if it is not there yet (25 minutes)")
    build.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="compilers at once (default: one a processor)",
    )
    commands.add_parser("path", help="print where the program is; fail if it is not there")
    parsed = parser.parse_args(arguments)
    try:
        if parsed.command == "build":
            print(program.build(Progress.on_standard_error(), parsed.jobs))
        else:
            print(program.locate())
    except LocalOrcaError as error:
        print(f"local_orca: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("local_orca: interrupted", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
