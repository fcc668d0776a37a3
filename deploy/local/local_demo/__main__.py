"""``python -m local_demo up|down``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from local_demo.demo import Demo
from local_demo.errors import DemoError
from local_kubernetes.errors import LocalKubernetesError
from local_postgres.errors import LocalPostgresError


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local_demo", description=__doc__)
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument("--folder", type=Path, required=True, help="where everything of it goes")
    parsed = parser.parse_args(arguments)
    demo = Demo(parsed.folder.resolve())
    try:
        if parsed.command == "up":
            demo.up()
        else:
            demo.down()
    except (DemoError, LocalKubernetesError, LocalPostgresError) as error:
        print(f"demo: {error}", file=sys.stderr)
    except OSError as error:
        print(f"demo: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted; what was started stays until: make demo-down", file=sys.stderr)
    else:
        return 0
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
