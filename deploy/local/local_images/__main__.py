"""The command: ``python -m local_images build|sizes|engine|run``."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from local_images import images, postgresql
from local_images.engine import Engine
from local_images.errors import LocalImagesError
from local_kubernetes.errors import LocalKubernetesError
from local_kubernetes.progress import Progress
from local_postgres import LocalPostgresError

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION: Final = """\
The images of the Dockerfile, built from the working tree on a machine without
a registry, and kept as archives that `docker load` and `ctr images import`
read. The engine is the one that answers, at DOCKER_HOST or Docker's usual
place; else one of our own is started (dockerd, as root) and ended again.
"""

POSTGRESQL: Final = (16, 18)
"""The versions that wheels carry."""

MIGRATOR_BUDGET: Final = 150
"""Megabytes that the migrator may add to its base."""


def main(arguments: list[str] | None = None) -> int:
    """Carry out one command.

    Args:
        arguments: in place of the process's own.

    Returns:
        0; 1 after an error, said in one line, or when a budget is missed.
    """
    parsed = _parser().parse_args(arguments)
    if not sys.platform.startswith("linux"):
        print("local_images: runs on Linux only", file=sys.stderr)
        return 1
    command: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return command(parsed)
    except (LocalImagesError, LocalKubernetesError, LocalPostgresError) as error:
        print(f"local_images: {error}", file=sys.stderr)
    except OSError as error:
        print(f"local_images: {error.filename or ''}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print("local_images: interrupted", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local_images",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, run, text in (
        ("build", _build, "build what is not there yet; print a line for each: name, archive"),
        ("sizes", _sizes, "print what each image adds to its base"),
        ("engine", _engine, "run an engine that has the images, until it is interrupted"),
        ("run", _run, "run a command with an engine that has PostgreSQL, for testcontainers"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(run=run)
        if run is _run:
            command.add_argument("command", nargs="+", help="program and arguments, after --")
        elif run is not _sizes:
            command.add_argument(
                "--base",
                metavar="IMAGE",
                help="what to build on, where it can be pulled or the engine has it"
                " (default: a small Debian, made here)",
            )
        else:
            command.add_argument(
                "--check", action="store_true", help="exit code 1 when the budget is missed"
            )
    return parser


def _build(parsed: argparse.Namespace) -> int:
    built = images.archives(Progress.on_standard_error(), on=parsed.base)
    for image, path in built.items():
        print(f"{image.name} {path}")
    return 0


def _sizes(parsed: argparse.Namespace) -> int:
    built = images.archives(Progress.on_standard_error())
    print(f"{'image':<10} {'base':>8} {'beyond it':>10} {'budget':>8}")
    missed = False
    for image, path in built.items():
        size = images.size(path)
        own = size.own / images.MEGABYTE
        budget = MIGRATOR_BUDGET if image is images.MIGRATOR else None
        missed = missed or (budget is not None and own > budget)
        print(
            f"{image.target:<10} {size.base / images.MEGABYTE:>5.0f} MB {own:>7.0f} MB"
            f" {f'{budget} MB' if budget else 'none':>8}"
        )
    return int(missed and parsed.check)


def _engine(parsed: argparse.Namespace) -> int:
    progress = Progress.on_standard_error()
    built = images.archives(progress, on=parsed.base)
    # One that was asked to end does so as one that was interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Engine.start(network=True) as engine:
        for path in built.values():
            images.load(engine, path)
        print(f"export DOCKER_HOST={engine.address}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _run(parsed: argparse.Namespace) -> int:
    progress = Progress.on_standard_error()
    kept = {major: postgresql.archive(progress, major) for major in POSTGRESQL}
    with Engine.start(network=True) as engine:
        environment = {**os.environ, "DOCKER_HOST": engine.address}
        for major, path in kept.items():
            images.load(engine, path)
            environment[f"POSTGRES_IMAGE_{major}"] = postgresql.name(major)
        return subprocess.run(parsed.command, env=environment, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
