"""What is in the images beyond what they are built on, and what is not."""

from __future__ import annotations

import json
import re
import struct
from importlib.util import cache_from_source
from typing import TYPE_CHECKING, Any

import pytest

from local_images import context, images

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Mapping
    from pathlib import Path

    from local_images.engine import Engine
    from local_images.images import Image

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]

Added = tuple[list["tarfile.TarInfo"], "Path"]


def test_all_that_an_image_adds_is_its_environment(each_image: Image, added: Added) -> None:
    entries, _ = added
    names = {entry.name for entry in entries}
    assert {name for name in names if not name.startswith(f"opt/{each_image.target}/")} == {
        "opt",
        f"opt/{each_image.target}",
    }


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("pip", r"/(pip|pip-[\d.]+\.dist-info|pip[\d.]*)$"),
        ("a build tool", r"/(setuptools|wheel|hatchling|gcc|cc|make)$"),
        ("a cache of downloads", r"/(\.cache|http-v2)$"),
        ("the tests of its packages' environment", r"/site-packages/tests?$"),
    ],
)
def test_it_holds_no(added: Added, what: str, pattern: str) -> None:
    entries, _ = added
    assert [entry.name for entry in entries if re.search(pattern, entry.name)] == [], what


def test_nobody_gains_a_right_by_a_file_of_it(added: Added) -> None:
    entries, _ = added
    assert [entry.name for entry in entries if entry.mode & 0o6000] == []
    writable = [entry.name for entry in entries if entry.mode & 0o002 and not entry.issym()]
    assert writable == []
    assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}


def test_every_module_is_compiled_and_the_bytecode_is_that_of_the_file(added: Added) -> None:
    _, folder = added
    sources = [
        path
        for path in folder.glob("opt/*/lib/python3*/site-packages/**/*.py")
        if "templates" not in path.parts  # Alembic's, of trees to be made
    ]
    assert len(sources) > 100
    tag = next(folder.glob("opt/*/lib/python3*/site-packages/**/__pycache__/*.pyc"))
    suffix = "." + tag.name.split(".", 1)[1]
    for source in sources:
        name = cache_from_source(source.name).rpartition("/")[2].split(".")[0]
        compiled = source.parent / "__pycache__" / f"{name}{suffix}"
        assert compiled.exists(), source
        flags, modified, size = struct.unpack("<III", compiled.read_bytes()[4:16])
        said = source.stat()
        assert (flags, modified, size) == (0, int(said.st_mtime), said.st_size), source


def test_the_labels_say_what_it_is(each_image: Image, docker_engine: Engine) -> None:
    labels = _configuration(docker_engine, each_image)["Labels"]
    version = context.version()
    assert labels.pop("org.opencontainers.image.description")
    revision = labels.pop("org.opencontainers.image.revision")
    assert re.fullmatch(r"([0-9a-f]{40}(-dirty)?)?", revision)
    assert bool(revision) == bool(context.revision())
    assert labels == {
        "org.opencontainers.image.title": each_image.repository.partition("/")[2],
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.source": "",
    }


def test_it_runs_as_a_user_without_a_name(each_image: Image, docker_engine: Engine) -> None:
    assert _configuration(docker_engine, each_image)["User"] == "65532:65532"


def test_the_dockerfile_says_the_version_of_the_product() -> None:
    assert f"\nARG VERSION={context.version()}\n" in (context.ROOT / "Dockerfile").read_text()


def test_the_migrator_is_as_small_as_it_promises(archives: Mapping[Image, Path]) -> None:
    assert images.size(archives[images.MIGRATOR]).own <= 150 * images.MEGABYTE


def _configuration(docker_engine: Engine, each_image: Image) -> dict[str, Any]:
    (document,) = json.loads(docker_engine.docker("image", "inspect", each_image.name))
    configuration: dict[str, Any] = document["Config"]
    return configuration
