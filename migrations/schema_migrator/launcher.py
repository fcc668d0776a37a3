"""A launcher for images: ``migrate`` without the start-up work of Python's site module.

A console script can't choose the interpreter's options, a file of one's own
can. In an image's build, as its last step::

    RUN python -m schema_migrator.launcher /usr/local/bin/migrate

The launcher names this interpreter and its directories, so it belongs into the
image or environment that it was made in.
"""

from __future__ import annotations

import importlib.util
import sys
from importlib import metadata
from pathlib import Path


def render() -> str:
    """Return the launcher's text for this interpreter and this installation."""
    parents = [Path(__file__).parents[1]]
    driver = importlib.util.find_spec("psycopg")
    if driver is not None and driver.origin is not None:
        parents.append(Path(driver.origin).parents[1])
    parents.append(Path(str(metadata.distribution("schema-operator").locate_file(""))))
    folders = list(dict.fromkeys(str(parent.resolve()) for parent in parents))
    return (
        f"#!{sys.executable} -SP\n"
        "import sys\n"
        f"sys.path += {folders!r}\n"
        "from schema_migrator.entry import main\n"
        "main()\n"
    )


def main() -> int:
    """Write the launcher to the path that the first argument names; return the exit code."""
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):  # noqa: PLR2004 - the program and the path
        sys.stderr.write("usage: python -m schema_migrator.launcher FILE\n")
        return 2
    path = Path(sys.argv[1])
    try:
        path.write_text(render(), encoding="utf-8")
        path.chmod(0o755)
    except OSError as error:
        sys.stderr.write(f"the launcher can't be written: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
