"""The command: ``python -m local_programs NAME …`` compiles what is not there yet."""

from __future__ import annotations

import argparse
import sys

from local_kubernetes.errors import LocalKubernetesError
from local_kubernetes.progress import Progress
from local_programs.program import PROGRAMS


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: in place of the process's own.

    Returns:
        0; 1 after an error, said in one line.
    """
    parser = argparse.ArgumentParser(
        prog="local_programs",
        description="Compiles programs of others that ours are tried out with, once, and says"
        " where each is.",
    )
    parser.add_argument("name", nargs="+", choices=sorted(PROGRAMS), metavar="NAME")
    progress = Progress.on_standard_error()
    try:
        for name in parser.parse_args(arguments).name:
            print(PROGRAMS[name].locate(progress))
    except LocalKubernetesError as error:
        print(f"local_programs: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
