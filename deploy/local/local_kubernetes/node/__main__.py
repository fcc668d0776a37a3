"""The node program: ``python -m local_kubernetes.node --kubeconfig FILE --name NAME``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from local_kubernetes.images import Table
from local_kubernetes.node.client import ApiError, Client
from local_kubernetes.node.container import Surroundings
from local_kubernetes.node.pods import Pods
from local_kubernetes.node.process import reap_orphans
from local_kubernetes.node.registration import Registration
from local_kubernetes.options import image_option, taint_option
from local_kubernetes.processes import become_reaper

if TYPE_CHECKING:
    from collections.abc import Iterator

REAP_SECONDS: Final = 5.0


class Undertaker:
    """The process that cleans up if this one is killed, and what it is told."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._open: set[int] = set()

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: Path) -> Iterator[Undertaker]:
        """Runs it while the block runs.

        Args:
            folder: the node's.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "local_kubernetes.node.undertaker", str(folder)],
            stdin=subprocess.PIPE,
        )
        try:
            yield cls(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait()

    @property
    def known(self) -> set[int]:
        """Children that are waited for where they were started."""
        return {self._process.pid, *self._open}

    def opened(self, session: int) -> None:
        """A session began.

        Args:
            session: its id.
        """
        self._open.add(session)
        self._tell(f"+{session}\n")

    def closed(self, session: int) -> None:
        """Nothing is left of it.

        Args:
            session: its id.
        """
        self._open.discard(session)
        self._tell(f"-{session}\n")

    def _tell(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(line.encode())
                self._process.stdin.flush()


async def run(parsed: argparse.Namespace, folder: Path) -> None:
    """Is a node until told to stop.

    Args:
        parsed: the options.
        folder: the node's own.

    Raises:
        ApiError: the server refused the node.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    with Undertaker.start(folder) as undertaker:
        async with Client.open(parsed.kubeconfig, folder) as client:
            registration = Registration(client, parsed.name, parsed.taint, parsed.node_version)
            images = Table(parsed.images or folder / "images.json", dict(parsed.image))
            around = Surroundings(images, undertaker, parsed.retry_interval, parsed.image_backoff)
            pods = Pods(client, parsed.name, folder, around)
            work = [
                asyncio.create_task(each)
                for each in (_serve(registration, pods), _reap(undertaker))
            ]
            waiting = asyncio.create_task(stopped.wait())
            await asyncio.wait({*work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            for each in work:
                if each.done():
                    each.result()  # raises what ended it
                each.cancel()
            await pods.stop(parsed.stop_grace)
            await registration.leave()


async def _serve(registration: Registration, pods: Pods) -> None:
    await registration.register()
    await asyncio.gather(registration.keep(), pods.follow())


async def _reap(undertaker: Undertaker) -> None:
    while True:
        await asyncio.sleep(REAP_SECONDS)
        reap_orphans(undertaker.known)


def main(arguments: list[str] | None = None) -> int:
    """Runs the program.

    Args:
        arguments: in place of the process's own.

    Returns:
        The exit code: 1 with a line that says why.
    """
    parsed = _parser().parse_args(arguments)
    become_reaper()
    with contextlib.ExitStack() as stack:
        folder: Path | None = parsed.folder
        if folder is None:
            name = f"local-kubernetes-node-{os.getpid()}-"
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=name)))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            asyncio.run(run(parsed, folder.resolve()))
        except ApiError as error:
            print(f"local_kubernetes.node: {error}", file=sys.stderr)
            return 1
        except OSError as error:
            print(f"local_kubernetes.node: {error}", file=sys.stderr)
            return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local_kubernetes.node",
        description="A Kubernetes node that runs containers' commands as local processes. "
        "No container runtime, no isolation, no images, no volumes: for demonstration and tests.",
    )
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        required=True,
        help="with a client certificate for system:node:NAME, group system:nodes",
    )
    parser.add_argument("--name", required=True, help="the node's name")
    parser.add_argument(
        "--folder", type=Path, help="where pods' files and logs go (default: a temporary one)"
    )
    parser.add_argument(
        "--images", type=Path, help="a JSON file, read anew each time: pattern to command"
    )
    parser.add_argument(
        "--image",
        type=image_option,
        action="append",
        default=[],
        metavar="PATTERN=COMMAND",
        help="what an image stands for; comes before the file",
    )
    parser.add_argument(
        "--taint",
        type=taint_option,
        action="append",
        default=[],
        metavar="KEY=VALUE:EFFECT",
        help="put on the node when it is created",
    )
    parser.add_argument(
        "--retry-interval",
        type=float,
        default=1.0,
        metavar="SECONDS",
        help="how soon a missing Secret is looked for again (default: 1; a kubelet takes 10 to 60)",
    )
    parser.add_argument(
        "--image-backoff",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how soon an unknown image is looked up again, at first (default: 10)",
    )
    parser.add_argument(
        "--stop-grace",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="what pods have to end when this program does (default: 2)",
    )
    parser.add_argument(
        "--node-version", default="v0.0.0-process", help="what the Node says its kubelet is"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
