"""The images of the working tree for the tests: their archives, and an engine that has them loaded."""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import TYPE_CHECKING

import pytest

from local_images import images
from local_images.engine import Engine
from local_kubernetes.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from local_images.images import Image


def why_not() -> str | None:
    """Why images can't be built and run here; None: they can."""
    if os.geteuid() != 0:
        return "what images are built on is made by debootstrap, as root"
    programs = {"debootstrap": "debootstrap"}
    if Engine.find() is None:
        programs["dockerd"] = "docker.io"
    for program, package in programs.items():
        if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin"):
            return f"images need {program}: apt-get install {package}"
    return None


@pytest.fixture(scope="session")
def archives() -> Mapping[Image, Path]:
    """The images of the working tree, as archives."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return images.archives(Progress.on_standard_error())


@pytest.fixture(scope="session")
def docker_engine(archives: Mapping[Image, Path]) -> Iterator[Engine]:
    """An engine of this run's own that has the images."""
    with Engine.find() or Engine.start() as engine:
        for path in archives.values():
            images.load(engine, path)
        yield engine


@pytest.fixture(scope="session", params=images.ALL, ids=lambda image: str(image.target))
def each_image(request: pytest.FixtureRequest) -> Image:
    """Each of the images."""
    chosen: Image = request.param
    return chosen


@pytest.fixture(scope="session")
def added(
    each_image: Image, archives: Mapping[Image, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[tarfile.TarInfo], Path]:
    """What an image adds to its base: the entries, and a folder with the files."""
    folder = tmp_path_factory.mktemp(each_image.target)
    entries: list[tarfile.TarInfo] = []
    for layer in images.layers(archives[each_image])[1:]:
        with (
            tarfile.open(archives[each_image]) as archive,
            tarfile.open(fileobj=archive.extractfile(layer)) as opened,
        ):
            entries += opened.getmembers()
            opened.extractall(folder, filter="tar")
    return entries, folder
