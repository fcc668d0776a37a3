"""Programs of others are compiled once, and what the compiler says is said in one line."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local_kubernetes.compiler import MODULES
from local_kubernetes.errors import BuildError, ToolMissingError
from local_kubernetes.progress import Progress
from local_programs.program import HELM, KUBECONFORM, PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

COMPILES = (
    'while [ "$1" != -o ]; do shift; done; printf "#!/bin/sh\\n" > "$2"; chmod 755 "$2";'
    ' echo "$3" >> "$LOG"'
)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the compiler notes what it built; the cache is the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOG", str(tmp_path / "built"))
    return tmp_path / "built"


@pytest.fixture
def compiler(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` to write."""
    (tmp_path / "tools").mkdir()
    path = tmp_path / "tools" / "go"
    path.touch(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")
    return path


def test_a_program_is_compiled_once_and_told_of_once(compiler: Path, log: Path) -> None:
    compiler.write_text(f"#!/bin/sh\n{COMPILES}\n")
    said = io.StringIO()
    first = HELM.locate(Progress(said))
    assert HELM.locate(Progress(said)) == first == HELM.cached()
    assert log.read_text().split() == [HELM.package]
    assert said.getvalue().count("building helm") == 2, "when it begins, and when it has ended"


def test_two_at_once_build_it_once_and_leave_nothing_else(compiler: Path, log: Path) -> None:
    compiler.write_text(f"#!/bin/sh\nsleep 0.1; {COMPILES}\n")
    command = [sys.executable, "-m", "local_programs", "kubeconform"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = {each.communicate(timeout=60)[0].decode().strip() for each in both}
    assert said == {str(KUBECONFORM.cached())}
    assert log.read_text().split() == [KUBECONFORM.package]
    found = KUBECONFORM.cached()
    assert found is not None
    assert {each.name for each in found.parent.iterdir()} == {"kubeconform", ".lock"}


def test_a_compiler_that_refuses_is_quoted(compiler: Path) -> None:
    compiler.write_text("#!/bin/sh\necho first >&2; echo 'no space left' >&2; exit 1\n")
    with pytest.raises(BuildError, match="could not build helm: no space left"):
        HELM.locate(Progress())
    assert HELM.cached() is None


def test_without_a_compiler_one_line_says_what_to_install(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissingError, match="install Go"):
        HELM.locate(Progress())


def test_a_modules_folder_is_the_one_that_go_names(compiler: Path, tmp_path: Path) -> None:
    answer = json.dumps({"Dir": str(tmp_path)})
    compiler.write_text(f"#!/bin/sh\n[ \"$*\" = 'mod download -json one@v1' ] && echo '{answer}'\n")
    assert HELM.source("one@v1") == tmp_path


def test_each_program_has_a_module_that_pins_it() -> None:
    for program in PROGRAMS.values():
        tools = MODULES / program.module / "tools.go"
        assert f'"{program.package}"' in tools.read_text()
