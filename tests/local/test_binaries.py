"""Programs are found before they are built, and built once."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local_kubernetes import binaries
from local_kubernetes.errors import BuildError, ToolMissingError
from local_kubernetes.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {"etcd", *binaries.KUBERNETES_COMMANDS}


def with_compiler(folder: Path, script: str) -> dict[str, str]:
    """An environment whose `go` is a shell script, with a cache of its own."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "go").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "go").chmod(0o755)
    return {"PATH": f"{tools}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(folder / "cache")}


def writes_output(log: Path) -> str:
    """A compiler that writes the file after `-o`, and notes the package."""
    return (
        'while [ "$1" != -o ]; do shift; done; printf "#!/bin/sh\\n" > "$2"; chmod 755 "$2";'
        f' echo "$3" >> {log}'
    )


def test_assets_come_first_and_what_they_lack_from_the_cache(tmp_path: Path) -> None:
    (tmp_path / "etcd").symlink_to("/bin/true")
    log = tmp_path / "built"
    environment = with_compiler(tmp_path, writes_output(log))
    environment["KUBEBUILDER_ASSETS"] = str(tmp_path)
    binaries.locate(Progress(), environment)
    said = io.StringIO()

    found = binaries.locate(Progress(said), environment)

    assert found.etcd == tmp_path / "etcd"
    assert found.kube_scheduler.parent == binaries.cache_folder(environment)
    assert "etcd: from KUBEBUILDER_ASSETS" in said.getvalue()
    assert "kube-scheduler: cached" in said.getvalue()
    assert len(log.read_text().splitlines()) == len(PROGRAMS) - 1


def test_two_at_once_build_each_program_once_and_leave_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "built"
    environment = with_compiler(tmp_path, f"sleep 0.1; {writes_output(log)}")
    command = [sys.executable, "-m", "local_kubernetes", "build"]

    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(2)]
    said = [each.communicate(timeout=60)[1].decode() for each in both]

    assert [each.returncode for each in both] == [0, 0], said
    assert len(log.read_text().splitlines()) == len(PROGRAMS)
    kept = {each.name for each in binaries.cache_folder(environment).iterdir()}
    assert kept == {*PROGRAMS, ".lock"}


def test_a_compiler_that_refuses_is_quoted(tmp_path: Path) -> None:
    environment = with_compiler(tmp_path, "echo first >&2; echo 'no space left' >&2; exit 1")

    with pytest.raises(BuildError, match="could not build etcd: no space left"):
        binaries.locate(Progress(), environment)


def test_without_a_compiler_one_line_says_what_to_install(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    with pytest.raises(ToolMissingError, match="install Go"):
        binaries.locate(Progress(), environment)


def test_the_cache_is_keyed_by_what_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.cache_folder()

    monkeypatch.setattr(binaries, "LINKER_FLAGS", "-s")

    assert binaries.cache_folder() != before
