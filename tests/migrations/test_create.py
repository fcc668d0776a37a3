"""``create`` writes revisions that fit, the first of a tree included."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_migrator import Command


@pytest.mark.parametrize("folder", ["", "versions"])
def test_an_empty_directory_gets_its_first_revision(
    migrate: Command, tmp_path: Path, folder: str
) -> None:
    place = tmp_path / "new" / folder
    place.mkdir(parents=True)
    tree = f"--tree={tmp_path}/new"

    first = migrate("create", "first thing", tree)
    second = migrate("create", "second thing", tree)

    paths = [place / "0001_first_thing.py", place / "0002_second_thing.py"]
    assert (first.out, second.out) == tuple(f"{path}\n" for path in paths), first.err + second.err
    assert "down_revision = None\n" in paths[0].read_text()
    for path in paths:
        path.write_text(re.sub("raise .*", "pass", path.read_text()))
    assert migrate("up", tree).code == 0
    assert migrate("version", tree).out == "0002\n"


def test_an_empty_directory_gets_its_first_sql_files(migrate: Command, tmp_path: Path) -> None:
    tree = f"--tree={tmp_path}/new"
    (tmp_path / "new").mkdir()

    first = migrate("create", "first", "--sql", tree)
    second = migrate("create", "second", tree)

    names = [
        f"{number}.{way}.sql" for number in ("0001_first", "0002_second") for way in ("up", "down")
    ]
    assert first.out + second.out == "".join(f"{tmp_path}/new/{name}\n" for name in names), (
        first.err
    )
    assert migrate("up", tree).code == 0
    assert migrate("down", "--all", tree).code == 0


def test_a_directory_that_is_not_there_is_not_made(migrate: Command, tmp_path: Path) -> None:
    ended = migrate("create", "first", f"--tree={tmp_path}/nowhere")

    assert ended.code == 14
    assert "there is no directory" in ended.err
