"""A network of one's own: nothing in it but what is started in it, and no way out."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from typing import TYPE_CHECKING, Final

from local_orca.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET: Final = 0x40000000


@contextlib.contextmanager
def own() -> Iterator[None]:
    """Move this thread, and what it starts meanwhile, into a new network namespace and back.

    The kernel removes the namespace, with all of its bridges and rules, when the
    last process in it has ended.

    Raises:
        ServerError: only root may do this.
    """
    library = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before:  # noqa: PTH123 - the handle is what is wanted
        _checked(library.unshare(_CLONE_NEWNET))
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)  # noqa: S607
            yield
        finally:
            _checked(library.setns(before.fileno(), _CLONE_NEWNET))


def _checked(result: int) -> None:
    if result:
        reason = os.strerror(ctypes.get_errno())
        raise ServerError(f"a network namespace of its own can't be had: {reason}")
