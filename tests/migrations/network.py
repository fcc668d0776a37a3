"""A host of the test's own: a network namespace, tied to this machine by a cable that can be pulled."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

POSSIBLE = os.geteuid() == 0 and shutil.which("ip") is not None
"""Whether this machine lets a test have one."""


class Host:
    """A network namespace with one address, and this machine's address on the same cable.

    Attributes:
        name: the namespace's.
        here: this machine's address on the cable.
    """

    def __init__(self) -> None:
        number = uuid.uuid4().int
        self.name = f"test-{number % 0xFFFFFF:06x}"
        # Out of the block for tests between networks (RFC 2544), which no network here uses.
        self._prefix = f"198.18.{number % 250}"
        self.here = f"{self._prefix}.1"
        self._cable = f"v{self.name[5:]}"

    def __enter__(self) -> Self:
        there = f"{self._cable}p"
        for command in (
            f"ip netns add {self.name}",
            f"ip link add {self._cable} type veth peer name {there}",
            f"ip link set {there} netns {self.name}",
            f"ip address add {self.here}/30 dev {self._cable}",
            f"ip link set {self._cable} up",
            f"ip -n {self.name} address add {self._prefix}.2/30 dev {there}",
            f"ip -n {self.name} link set {there} up",
            f"ip -n {self.name} link set lo up",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        subprocess.run(["ip", "link", "delete", self._cable], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self.name], check=True, capture_output=True)

    @property
    def command(self) -> tuple[str, ...]:
        """What to put before a command to run it on that host."""
        return ("ip", "netns", "exec", self.name)

    def pull(self) -> None:
        """Pull the cable: nothing arrives any more, and nobody is told."""
        subprocess.run(["ip", "link", "set", self._cable, "down"], check=True)
