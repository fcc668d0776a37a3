"""The CRD as a file: generated, complete and readable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from schema_operator import crd
from tests.operator.fix_operator import CRD

if TYPE_CHECKING:
    from collections.abc import Iterator


def nodes(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, part in node.get("properties", {}).items():
        yield from nodes(part, f"{path}.{name}")
    if "items" in node:
        yield from nodes(node["items"], f"{path}[]")


ALL = list(nodes(crd.schema()))


def test_the_file_is_what_the_models_say() -> None:
    assert CRD.read_text() == crd.render(), (
        "run: python -m schema_operator.crd > deploy/crd/schemamigrations.yaml"
    )
    assert yaml.safe_load(CRD.read_text()) == crd.definition()


def test_every_field_is_described_in_a_sentence() -> None:
    for path, node in ALL:
        plain = path.endswith("[]") and "properties" not in node
        assert plain or node.get("description", "").endswith("."), path
        assert "type" in node, path


def test_every_text_and_list_is_bounded() -> None:
    for path, node in ALL:
        if node["type"] == "string" and "enum" not in node:
            assert node["maxLength"], path
        if node["type"] == "array":
            assert node["maxItems"], path
            assert node["x-kubernetes-list-type"] in {"map", "set", "atomic"}, path
        if node["type"] in {"integer", "number"}:
            assert {"minimum", "maximum"} <= set(node), path


def test_only_what_is_passed_on_is_open() -> None:
    opened = {path for path, node in ALL if "x-kubernetes-preserve-unknown-fields" in node}
    assert opened
    assert {path.split(".")[1:3] == ["spec", "podTemplate"] for path in opened} == {True}


def test_no_default_stands_inside_a_list() -> None:
    for path, node in ALL:
        assert "[]" not in path or "default" not in node, path


def test_nothing_of_pydantics_dialect_is_left() -> None:
    for path, node in ALL:
        assert not {"$ref", "$defs", "anyOf", "title"} & set(node), path
