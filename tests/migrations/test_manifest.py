"""A manifest says what loading the tree would, and no change of the tree escapes it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from schema_migrator import manifest, source_graph
from schema_migrator import tree as trees
from schema_migrator.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fix_migrator import Revisions


@pytest.fixture
def versions(revisions: Revisions) -> Path:
    """A tree of two revisions with its manifest."""
    revisions.add("0001", "pass")
    revisions.add("0002", "pass")
    folder = revisions.directory / "versions"
    (folder / manifest.NAME).write_text(manifest.render(str(folder), source_graph.read(folder)))
    return folder


def heads(versions: Path) -> tuple[str, ...]:
    found = manifest.read(str(versions))
    assert found is not None
    return found.heads


def test_the_manifest_of_an_unchanged_tree_holds(versions: Path) -> None:
    assert heads(versions) == ("0002",)
    os.utime(versions / "0001_test.py", (1, 1))
    (versions / "__pycache__").mkdir()
    (versions / "__pycache__" / "0001_test.pyc").write_bytes(b"x")
    assert heads(versions) == ("0002",)


def _change(name: str, change: Callable[[Path], object]) -> object:
    return pytest.param(change, id=name)


def _swap(versions: Path) -> None:
    one, two = versions / "0001_test.py", versions / "0002_test.py"
    texts = one.read_bytes(), two.read_bytes()
    two.write_bytes(texts[0])
    one.write_bytes(texts[1])


def _replace(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(versions: Path) -> None:
        path = versions / "0001_test.py"
        path.write_bytes(path.read_bytes().replace(old, new))

    return change


@pytest.mark.parametrize(
    "change",
    [
        _change("line", _replace(b"pass", b"pass\n")),
        _change("comment", _replace(b"import os", b"# a comment\nimport os")),
        _change("line ends", _replace(b"\n", b"\r\n")),
        _change("swapped", _swap),
        _change("removed", lambda it: (it / "0001_test.py").unlink()),
        _change("renamed", lambda it: (it / "0001_test.py").rename(it / "0001_other.py")),
        _change("added", lambda it: (it / "0003_test.py").write_text("revision = '3'")),
        _change("added SQL", lambda it: (it / "0003_x.up.sql").write_text("SELECT 1")),
        _change("added empty", lambda it: (it / "0003_x.up.sql").touch()),
        _change("no manifest", lambda it: (it / manifest.NAME).unlink()),
        _change("empty manifest", lambda it: (it / manifest.NAME).write_text("")),
        _change("binary manifest", lambda it: (it / manifest.NAME).write_bytes(b"\xff\x00")),
    ],
)
def test_every_change_is_noticed(versions: Path, change: Callable[[Path], object]) -> None:
    change(versions)
    assert manifest.read(str(versions)) is None


@pytest.mark.parametrize(
    ("old", "new"), [("manifest 1", "manifest 2"), ("head 0002\n", ""), ("head 0002", "tail 0002")]
)
def test_a_manifest_that_is_not_understood_says_nothing(versions: Path, old: str, new: str) -> None:
    path = versions / manifest.NAME
    path.write_text(path.read_text().replace(old, new))
    assert manifest.read(str(versions)) is None


@pytest.mark.parametrize("seed", range(30))
def test_the_heads_read_from_the_source_are_those_of_the_loaded_tree(
    seed: int, revisions: Revisions
) -> None:
    chance = random.Random(seed)
    ids: list[str] = []
    for number in range(1, chance.randint(2, 9)):
        kind = chance.choice(("line", "branch", "merge", "sql", "root"))
        name = f"{number:04d}"
        if kind == "sql" and ids:
            (revisions.directory / "versions" / f"{name}_x.up.sql").write_text("SELECT 1;")
        elif kind == "merge" and len(ids) > 1:
            revisions.add(name, "pass", parent=tuple(chance.sample(ids, 2)))
        else:
            parent = (
                None
                if kind == "root" or not ids
                else chance.choice(ids[-1:] if kind == "line" else ids)
            )
            revisions.add(name, "pass", parent=parent)
        ids.append(name)
    try:
        loaded = trees.load(str(revisions.directory))
    except ConfigurationError:
        return  # a graph that is broken has no manifest either

    found = source_graph.read(loaded.location.versions)
    assert found.heads == loaded.heads
    assert found.checksums == {one.id: one.checksum for one in loaded.all_revisions()}


def test_a_line_of_sql_files_has_one_head(tmp_path: Path) -> None:
    for number in range(1, 12):
        (tmp_path / f"{number}_x.up.sql").write_text("SELECT 1;")
    assert source_graph.read(tmp_path).heads == trees.load(f"{tmp_path}/").heads == ("11",)


@pytest.mark.parametrize(
    "source",
    [
        "import x\nrevision = x.y\ndown_revision = None",
        "revision = '1'\nrevision = '2'\ndown_revision = None",
        "revision = '1'\nif True:\n    revision = '2'\ndown_revision = None",
        "from x import revision\ndown_revision = None",
        "from x import *\nrevision = '1'\ndown_revision = None",
        "revision = '1'\ndown_revision = None\ndef revision(): pass",
        "down_revision = None",
        "revision = 1\ndown_revision = None",
        "revision = '1'\ndown_revision = '0'",
        "revision = 'a b'\ndown_revision = None",
        "revision = '1'\ndown_revision = '1'",
        "revision = ",
    ],
)
def test_what_is_not_plainly_written_gets_no_manifest(source: str, tmp_path: Path) -> None:
    (tmp_path / "0001_x.py").write_text(source)
    with pytest.raises(ConfigurationError):
        source_graph.read(tmp_path)


def test_the_program_writes_it_and_says_so(revisions: Revisions) -> None:
    revisions.add("0001", "pass")
    command = [sys.executable, "-m", "schema_migrator.manifest"]

    ended = subprocess.run(
        [*command, revisions.directory], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert heads(revisions.directory / "versions") == ("0001",)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2
    ended = subprocess.run([*command, "no_package"], capture_output=True, text=True, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (14, False)


def test_the_wheel_carries_a_manifest_that_holds(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=pytestconfig.rootpath,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)

    unpacked = tmp_path / "tenant_registry"

    assert heads(unpacked / "versions") == trees.load(f"{unpacked}/").heads


def test_a_checkout_has_none(pytestconfig: pytest.Config) -> None:
    versions = pytestconfig.rootpath / "migrations" / "tenant_registry" / "versions"
    assert not (versions / manifest.NAME).exists()
