"""An engine of our own is gone when it is given back, and when its owner was killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_images.engine import Engine
from tests.images.fix_images import why_not
from tests.processes import processes_of

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
        assert processes_of(folder)

    assert not folder.exists()
    assert not engine.answers()
    assert processes_of(folder) == []


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
    while folder.exists() or processes_of(folder):
        assert time.monotonic() < deadline, processes_of(folder)
        time.sleep(0.1)
