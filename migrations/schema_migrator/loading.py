"""Loading without the garbage collector, which finds nothing in what is loaded to stay."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Collect nothing while a piece of loading goes on, and never look at what it loaded again.

    Else the collector goes through all modules several times while they grow,
    and once more when the interpreter ends: a sixth of a run's own time, or more.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
