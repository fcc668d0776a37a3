"""Writes the images' lists of contents, in CycloneDX: ``make sbom``.

One list an image: the wheel and whatever its hashed requirement file brings,
with licences and with who needs whom, as the installed packages say it
themselves. It is the same on every machine and at any time. Not in it: the base
image, and the libraries inside of binary wheels.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.license import LicenseAcknowledgement
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cyclonedx.model.license import License
    from packaging.markers import Marker

ROOT: Final = Path(__file__).resolve().parents[2]
IMAGES: Final = {"migrator": "", "operator": "operator"}
"""Each image, and the extra of the wheel that it installs."""

PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
"""What a base image may have; a package that one of them needs is listed."""

_EXTRAS: Final = {"binary"}  # psycopg's: the only extra of another package that is pinned
_NAMESPACE: Final = uuid.UUID("dea88bd0-ca62-4145-9074-5bc81ae314bd")
_LONGEST_LICENCE: Final = 60  # beyond this it is the licence's text and not its name


class SbomError(Exception):
    """A list can't be made; the text says why and what to do."""


def main() -> int:
    """Writes a list for each image.

    Returns:
        0; 1 after an error, said in one line.
    """
    parser = argparse.ArgumentParser(prog="sbom", description="CycloneDX lists of both images.")
    parser.add_argument("--wheel", type=Path, required=True, help="the wheel that they install")
    parser.add_argument("--directory", type=Path, required=True, help="where the lists go")
    parsed = parser.parse_args()
    try:
        for image, extra in IMAGES.items():
            path = parsed.directory / f"{image}.cdx.json"
            path.write_text(render(image, extra, parsed.wheel), encoding="utf-8")
            print(path)
    except SbomError as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"sbom: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def render(image: str, extra: str, wheel: Path) -> str:
    """Return the list of one image as JSON.

    Args:
        image: which, by the name of its requirement file.
        extra: of the wheel; may be empty.
        wheel: the file that is installed into it.

    Raises:
        SbomError: what is installed here is not what is pinned.
    """
    content = (ROOT / "requirements" / f"{image}.txt").read_bytes()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    pinned = dict(_pinned(content.decode()))
    if str(parse_wheel_filename(wheel.name)[1]) != _metadata("schema-operator")["Version"]:
        raise SbomError(f"{wheel.name} is not the version that is installed here: make setup")
    own = _component("schema-operator", (digest,), ComponentType.APPLICATION)
    packages = {name: _component(name, hashes) for name, hashes in sorted(pinned.items())}
    # The same contents have the same number, and others another one.
    number = uuid.uuid5(_NAMESPACE, f"{image} {digest} {hashlib.sha256(content).hexdigest()}")
    document = Bom(
        serial_number=number,
        metadata=BomMetaData(component=own),
        components=packages.values(),
        dependencies=[
            Dependency(one.bom_ref, [Dependency(packages[name].bom_ref) for name in needs])
            for one, needs in (
                (own, _needs("schema-operator", {extra}, packages)),
                *((one, _needs(name, _EXTRAS, packages)) for name, one in packages.items()),
            )
        ],
    )
    moment = os.environ.get("SOURCE_DATE_EPOCH")
    stamped = datetime.fromtimestamp(int(moment), UTC) if moment else None
    document.metadata.timestamp = stamped  # type: ignore[assignment] # None leaves it out
    written = make_outputter(document, OutputFormat.JSON, SchemaVersion.V1_6)
    return f"{written.output_as_string(indent=2)}\n"


def _pinned(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the name and the hashes of each package that a Linux image gets."""
    for entry in text.replace("\\\n", " ").splitlines():
        words, *hashes = entry.split("--hash=sha256:")
        if not words.strip() or words.startswith("#"):
            continue
        requirement = Requirement(words.strip())
        if _holds(requirement.marker, {""}):
            name = canonicalize_name(requirement.name)
            if not requirement.specifier.contains(_metadata(name)["Version"], prereleases=True):
                raise SbomError(f"{name} is not installed as it is pinned: make setup")
            yield name, tuple(sorted(one.strip() for one in hashes))


def _needs(name: str, extras: set[str], packages: dict[str, Component]) -> list[str]:
    """Return what a package needs, of what is in the image."""
    requirements = map(Requirement, importlib.metadata.requires(name) or ())
    return sorted(
        {
            needed
            for each in requirements
            if (needed := canonicalize_name(each.name)) in packages
            and _holds(each.marker, extras | {""})
        }
    )


def _holds(marker: Marker | None, extras: set[str]) -> bool:
    """Return whether something is wanted on Linux, by one of the supported Pythons."""
    if marker is None:
        return True
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    cpython = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return any(
        marker.evaluate(
            {
                **{key: str(value) for key, value in default_environment().items()},
                **linux,
                **cpython,
                "python_version": version,
                "python_full_version": f"{version}.0",
                "platform_machine": machine,
                "extra": extra,
            }
        )
        for version in PYTHONS
        for machine in ("x86_64", "aarch64")
        for extra in extras
    )


def _component(
    name: str, hashes: tuple[str, ...], kind: ComponentType = ComponentType.LIBRARY
) -> Component:
    metadata = _metadata(name)
    address = PackageURL("pypi", name=name, version=metadata["Version"])
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(address)),
        comment="the files that may be installed",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes],
    )
    return Component(
        name=name,
        version=metadata["Version"],
        type=kind,
        bom_ref=str(address),
        purl=address,
        description=_field(metadata, "Summary"),
        licenses=_licences(metadata),
        external_references=[files],
    )


def _licences(metadata: importlib.metadata.PackageMetadata) -> list[License]:
    declared = _field(metadata, "License-Expression") or _field(metadata, "License")
    if not declared or "\n" in declared or len(declared) > _LONGEST_LICENCE:
        classifiers = metadata.get_all("Classifier") or []
        names = [one.split(" :: ")[-1] for one in classifiers if one.startswith("License :: ")]
        declared = names[0] if names else ""
    if not declared:
        return []
    acknowledged = LicenseAcknowledgement.DECLARED
    return [LicenseFactory().make_from_string(declared, license_acknowledgement=acknowledged)]


def _field(metadata: importlib.metadata.PackageMetadata, name: str) -> str:
    return metadata[name] if name in metadata else ""  # noqa: SIM401 - the protocol has no get


def _metadata(name: str) -> importlib.metadata.PackageMetadata:
    try:
        return importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        raise SbomError(f"{name} is pinned and not installed here: make setup") from None


if __name__ == "__main__":
    raise SystemExit(main())
