"""An engine of our own is gone when it is given back, and when its owner was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_images.engine import Engine
from tests.images.fix_images import why_not

pytestmark = [
    pytest.mark.service,
    pytest.mark.skipif(
        why_not() is not None or Engine.find() is not None,
        reason=why_not() or "an engine answers, and is used",
    ),
]

_OWNER = """
import time
from local_images.engine import Engine
engine = Engine.start()
print(engine.address, flush=True)
time.sleep(600)
"""


def test_it_leaves_nothing_behind() -> None:
    with Engine.start() as engine:
        folder = Path(engine.address.removeprefix("unix://")).parent
        assert engine.answers()
        assert _processes(folder)

    assert not folder.exists()
    assert not engine.answers()
    assert _processes(folder) == []


def test_it_goes_with_a_killed_owner() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        address = owner.stdout.readline().strip()
        folder = Path(address.removeprefix("unix://")).parent
        assert Engine(address).answers()
        owner.kill()

    deadline = time.monotonic() + 20
    while folder.exists() or _processes(folder):
        assert time.monotonic() < deadline, _processes(folder)
        time.sleep(0.1)


def _processes(folder: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found
