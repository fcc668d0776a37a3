"""The images' lists of contents: valid, complete, and the same each time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "deploy" / "release" / "sbom.py"
IMAGES = ("migrator", "operator")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def _written(wheel: Path, folder: Path, **environment: str) -> dict[str, str]:
    folder.mkdir()
    subprocess.run(
        [sys.executable, PROGRAM, "--wheel", wheel, "--directory", folder],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
        capture_output=True,
    )
    return {image: (folder / f"{image}.cdx.json").read_text() for image in IMAGES}


@pytest.fixture(scope="module")
def texts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return _written(wheel, tmp_path_factory.mktemp("lists") / "one")


@pytest.mark.parametrize("image", IMAGES)
def test_a_list_keeps_to_the_schema_of_cyclonedx(image: str, texts: dict[str, str]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(texts[image]) is None


@pytest.mark.parametrize("image", IMAGES)
def test_a_list_names_what_the_image_installs_and_by_which_hashes(
    image: str, texts: dict[str, str]
) -> None:
    document: dict[str, Any] = json.loads(texts[image])
    listed = {
        f"{each['name']}=={each['version']}": {
            one["content"] for one in each["externalReferences"][0]["hashes"]
        }
        for each in document["components"]
    }

    text = (ROOT / "requirements" / f"{image}.txt").read_text()
    pinned = {
        entry.split()[0]: set(re.findall(r"--hash=sha256:(\w+)", entry))
        for entry in text.replace("\\\n", "").splitlines()
    }
    # What only Windows wants; the operator's own needs want it everywhere.
    windows = {name for name in pinned if name.startswith("tzdata==") and image == "migrator"}
    assert listed == {name: pinned[name] for name in pinned.keys() - windows}


@pytest.mark.parametrize("image", IMAGES)
def test_a_list_is_of_this_wheel_and_reaches_every_package_from_it(
    image: str, texts: dict[str, str], wheel: Path
) -> None:
    document: dict[str, Any] = json.loads(texts[image])
    own = document["metadata"]["component"]
    needs = {each["ref"]: set(each.get("dependsOn", ())) for each in document["dependencies"]}
    reached, new = set[str](), {own["bom-ref"]}
    while new:
        reached |= new
        new = set[str]().union(*(needs[one] for one in new)) - reached

    assert reached == {own["bom-ref"], *(each["bom-ref"] for each in document["components"])}
    (one,) = own["externalReferences"][0]["hashes"]
    assert one["content"] == hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.mark.parametrize("image", IMAGES)
def test_every_package_has_a_licence(image: str, texts: dict[str, str]) -> None:
    document: dict[str, Any] = json.loads(texts[image])
    assert [each["name"] for each in document["components"] if not each.get("licenses")] == []


def test_a_list_is_the_same_each_time_and_everywhere(
    wheel: Path, texts: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / wheel.name
    shutil.copyfile(wheel, elsewhere)
    again = _written(elsewhere, tmp_path / "two", TZ="Asia/Tokyo", PYTHONHASHSEED="7")
    assert again == texts
    assert re.search(r"timestamp|/home/|/tmp|/root", "".join(texts.values())) is None


def test_a_moment_is_in_it_only_when_given(wheel: Path, tmp_path: Path) -> None:
    given = _written(wheel, tmp_path / "lists", SOURCE_DATE_EPOCH="1700000000")
    for text in given.values():
        assert json.loads(text)["metadata"]["timestamp"].startswith("2023-11-14T22:13:20")


def test_a_wheel_of_another_version_is_refused_in_one_line(wheel: Path, tmp_path: Path) -> None:
    other = tmp_path / "schema_operator-99.0.0-py3-none-any.whl"
    shutil.copyfile(wheel, other)
    ended = subprocess.run(
        [sys.executable, PROGRAM, "--wheel", other, "--directory", tmp_path],
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        f"sbom: {other.name} is not the version that is installed here: make setup\n"
    )
