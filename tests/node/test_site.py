"""A site is gone when it is given back, and when its owner was killed; the machine stays as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_kubernetes.progress import Progress
from local_node.site import Site
from tests.fix_cluster import eventually
from tests.processes import processes_of

pytestmark = [
    pytest.mark.service,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="real nodes need root"),
]

_OWNER = """
import time
from local_kubernetes.progress import Progress
from local_node.site import Site
site = Site.start(Progress(), ["one"])
print(site.folder, flush=True)
time.sleep(600)
"""


def test_it_leaves_nothing_behind() -> None:
    before = _machine()
    with Site.start(Progress(), ["one"]) as site:
        assert processes_of(site.folder)
        assert _machine() != before

    assert processes_of(site.folder) == []
    assert not site.folder.exists()
    assert _machine() == before


def test_it_goes_with_a_killed_owner() -> None:
    before = _machine()
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        assert processes_of(folder)
        owner.kill()

    eventually(lambda: not processes_of(folder) and not folder.exists(), 30)
    assert _machine() == before


def _machine() -> list[str]:
    """What a kubelet and its network would change: links, routes, settings, groups, mounts."""
    told = [
        line
        for command in (["ip", "-brief", "link"], ["ip", "route"])
        for line in subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        if "site" in line
    ]
    settings = ("vm/overcommit_memory", "kernel/panic", "kernel/keys/root_maxkeys")
    told += [Path("/proc/sys", name).read_text() for name in settings]
    told += sorted(str(each) for each in Path("/sys/fs/cgroup").glob("*/local-node-*"))
    told += [
        line
        for line in Path("/proc/self/mounts").read_text().splitlines()
        if "local-node" in line or "cni" in line
    ]
    return told
