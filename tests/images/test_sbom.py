"""The lists of contents say what is in the images, and the wheel in them is the one that is published."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import tarfile

    from local_images.images import Image

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
Added = tuple[list["tarfile.TarInfo"], Path]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, and the lists beside it."""
    folder = tmp_path_factory.mktemp("release")
    _run("-m", "hatchling", "build", "--target", "wheel", "--directory", folder)
    (path,) = folder.glob("*.whl")
    _run("deploy/release/sbom.py", "--wheel", path, "--directory", folder)
    return path


def _run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)


def _packages(folder: Path, image: Image) -> Path:
    (found,) = folder.glob(f"opt/{image.target}/lib/python3.*/site-packages")
    return found


def test_a_list_names_what_is_installed_and_nothing_else(
    each_image: Image, added: Added, wheel: Path
) -> None:
    document: dict[str, Any] = json.loads(
        wheel.with_name(f"{each_image.target}.cdx.json").read_text()
    )
    listed = {
        (each["name"], each["version"])
        for each in (*document["components"], document["metadata"]["component"])
    }
    installed = {
        (each.metadata["Name"].lower().replace("_", "-").replace(".", "-"), each.version)
        for each in importlib.metadata.distributions(path=[str(_packages(added[1], each_image))])
    }
    assert installed == listed


def test_what_an_image_holds_of_ours_is_what_the_published_wheel_holds(
    each_image: Image, added: Added, wheel: Path
) -> None:
    packages = _packages(added[1], each_image)
    (record,) = packages.glob("schema_operator-*.dist-info/RECORD")
    with zipfile.ZipFile(wheel) as opened, record.open() as installed:
        (name,) = (each for each in opened.namelist() if each.endswith("/RECORD"))
        published = list(csv.reader(opened.read(name).decode().splitlines()))
        there = {path: digest for path, digest, _ in csv.reader(installed)}
    hashed = {path: digest for path, digest, _ in published if digest}
    assert len(hashed) > 100
    assert {path: there.get(path) for path in hashed} == hashed
