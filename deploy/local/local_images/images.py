"""The images of the Dockerfile: built when they are not there, kept as archives, measured."""

from __future__ import annotations

import dataclasses
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any, Final

from local_images import base, cache, context, sources
from local_images.engine import Engine
from local_images.errors import BuildError, EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from local_kubernetes.progress import Progress

_KEPT: Final = 3
"""How many states of the tree the cache holds images of; each takes about 800 MB."""

_DEPENDENCIES: Final = "localhost/dependencies:1"

MEGABYTE: Final = 1_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """One of the product's images.

    Attributes:
        target: its stage in the Dockerfile.
        repository: its name in the manifests under ``deploy``, without a tag.
    """

    target: str
    repository: str

    @property
    def name(self) -> str:
        """The name with its tag, as the manifests say it."""
        return f"{self.repository}:{context.version()}"


MIGRATOR: Final = Image("migrator", "registry.example/tenant-registry-migrations")
OPERATOR: Final = Image("operator", "registry.example/schema-operator")
ALL: Final = (MIGRATOR, OPERATOR)


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """What an image weighs, unpacked.

    Attributes:
        base: what it is built on, in bytes.
        own: what it adds, in bytes.
    """

    base: int
    own: int


def archives(
    progress: Progress, wanted: Sequence[Image] = ALL, *, on: str | None = None
) -> dict[Image, Path]:
    """Return the images of the working tree, each as an archive that ``docker load`` reads.

    They are built once for each state of the tree, and stay in the user's cache.

    Args:
        progress: told what takes long.
        wanted: which.
        on: the image to build on; None: the one that :mod:`local_images.base` makes.

    Raises:
        BuildError: one can't be built; with the build's last line.
        EngineError: there is no engine to build with.
    """
    folder = cache.folder("built")
    with cache.only_one(folder):
        key = folder / context.digest(on or base.key())
        found = {image: key / f"{image.target}.tar" for image in wanted}
        if not all(path.exists() for path in found.values()):
            key.mkdir(exist_ok=True)
            with Engine.find_or_start(progress) as engine:
                build(engine, progress, wanted, on=on)
                for image, path in found.items():
                    save(engine, path, image.name)
        os.utime(key)
        cache.keep_newest(folder, _KEPT)
    return found


def load(engine: Engine, path: Path) -> None:
    """Bring an archive into an engine.

    Raises:
        EngineError: the engine refuses.
    """
    engine.docker("load", "--quiet", "--input", path)


def import_base(engine: Engine, progress: Progress) -> str:
    """Bring the base image into an engine, and return its name.

    Raises:
        BuildError: it can't be made here.
        EngineError: the engine refuses.
    """
    engine.docker("import", base.archive(progress), base.NAME)
    return base.NAME


def build(
    engine: Engine,
    progress: Progress,
    wanted: Sequence[Image] = ALL,
    *,
    on: str | None = None,
) -> None:
    """Build images of the working tree in an engine.

    Args:
        engine: builds and holds them.
        progress: told what takes long.
        wanted: which.
        on: the image to build on; None: the one that :mod:`local_images.base` makes.

    Raises:
        BuildError: one can't be built; with the build's last line.
        EngineError: the engine refuses.
    """
    if on is None:
        # By name only: the values, which may hold a password, go by environment.
        variables = sources.build_variables()
        base_name, known = _dependencies(engine, progress, variables), [_DEPENDENCIES]
    else:
        variables, base_name, known = {}, on, []
    arguments = [f"--build-arg=BASE={base_name}"]
    arguments += [f"--build-arg=VERSION={context.version()}"]
    arguments += [f"--build-arg=REVISION={context.revision()}"]
    for image in wanted:
        with progress.step(f"building {image.name}"):
            _build(
                engine,
                image.target,
                image.name,
                variables,
                [*arguments, *(_known(known) if engine.ours else ())],
            )
        known.append(image.name)


def _dependencies(engine: Engine, progress: Progress, variables: Mapping[str, str]) -> str:
    """Bring the layers that seldom change into an engine, with their base, whose name is returned.

    Docker takes a layer for built only on the very base that it was built on, so
    the two are kept in one archive.
    """
    folder = cache.folder("dependencies")
    key = folder / context.digest_of_dependencies(base.key())
    path = key / "dependencies.tar"
    if path.exists():
        with progress.step("loading what the images have in common"):
            load(engine, path)
    else:
        import_base(engine, progress)
        with progress.step("building what the images have in common (once; cached)"):
            arguments = [f"--build-arg=BASE={base.NAME}"]
            _build(engine, "dependencies", _DEPENDENCIES, variables, arguments)
            key.mkdir(exist_ok=True)
            save(engine, path, base.NAME, _DEPENDENCIES)
    os.utime(key)
    cache.keep_newest(folder, _KEPT)
    return base.NAME


def _build(
    engine: Engine,
    target: str,
    name: str,
    variables: Mapping[str, str],
    arguments: Sequence[str],
) -> None:
    # Without it a client without its plug-in for builds asks for one.
    environment = {"DOCKER_BUILDKIT": "0", **variables} if engine.ours else variables
    try:
        engine.docker(
            "build",
            "--network=host",
            *(f"--build-arg={variable}" for variable in variables),
            *arguments,
            f"--target={target}",
            f"--tag={name}",
            context.ROOT,
            environment=environment,
        )
    except EngineError as error:
        raise BuildError(f"{target}: {error}") from error


def _known(names: Sequence[str]) -> list[str]:
    """Say whose layers need not be built again."""
    return [f"--cache-from={name}" for name in names]


def layers(archive: Path) -> list[str]:
    """Return the names of the layers in an archive, the base's first.

    Raises:
        BuildError: it holds no image.
    """
    with tarfile.open(archive) as opened:
        manifest = opened.extractfile("manifest.json")
        if manifest is None:
            raise BuildError(f"{archive} is no archive of an image")
        described: list[dict[str, Any]] = json.load(manifest)
    return [str(name) for name in described[0]["Layers"]]


def size(archive: Path) -> Size:
    """Return what the image in an archive weighs: its first layer is the base, the others its own.

    Args:
        archive: one that :func:`archives` made on a base of one layer.

    Raises:
        BuildError: it holds no image.
    """
    with tarfile.open(archive) as opened:
        first, *others = (opened.getmember(name).size for name in layers(archive))
    return Size(first, sum(others))


def save(engine: Engine, path: Path, *names: str) -> None:
    """Write images of an engine into an archive, whole or not at all.

    Raises:
        EngineError: the engine refuses.
    """
    part = path.with_suffix(".part")
    try:
        engine.docker("save", "--output", part, *names)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
