"""The CustomResourceDefinition, generated from the models of `resource`.

Print it with ``python -m schema_operator.crd``.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import yaml

from schema_operator import names, resource

_COLUMNS: Final = (
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Status", "string", '.status.conditions[?(@.type=="Ready")].reason', 0),
    ("Version", "string", ".status.version", 0),
    ("Target", "string", ".spec.target", 0),
    ("Dirty", "boolean", ".status.dirty", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
    ("Message", "string", '.status.conditions[?(@.type=="Ready")].message', 1),
    ("Attempt", "integer", ".status.attempt", 1),
    ("Image", "string", ".spec.image", 1),
)

_COLUMN_TEXTS: Final = {
    "Ready": "Whether the database is at the target.",
    "Status": "Why, in one word.",
    "Version": "The database's position, as the last run read it.",
    "Target": "Where the database shall be.",
    "Dirty": "Whether the database may hold half of a revision.",
    "Age": "When the resource was created.",
    "Message": "Why, in a sentence.",
    "Attempt": "The number of the present or last attempt.",
    "Image": "The migrator's image.",
}

_CIRCLE_RULE: Final = {
    "rule": "!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(one, one.name == self.metadata.name)",
    "message": "a SchemaMigration can't depend on itself",
    "fieldPath": ".spec.dependsOn",
}

_NAME_RULE: Final = {
    "rule": "size(self.metadata.name) <= 47 && !self.metadata.name.contains('.')",
    "message": "the name must be at most 47 characters long and without dots:"
    " Jobs and pods are named after it",
}


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {
                            "name": name,
                            "type": kind,
                            "description": _COLUMN_TEXTS[name],
                            "jsonPath": path,
                            "priority": priority,
                        }
                        for name, kind, path, priority in _COLUMNS
                    ],
                    "schema": {"openAPIV3Schema": schema()},
                }
            ],
        },
    }


def schema() -> dict[str, Any]:
    """Return the structural schema of the resource."""
    document = resource.SchemaMigration.model_json_schema(by_alias=True, mode="validation")
    definitions = document.pop("$defs")
    structural: dict[str, Any] = _structural(document, definitions)
    structural["required"] = ["spec"]
    structural["properties"]["status"]["default"] = resource.FIRST_STATUS
    structural["x-kubernetes-validations"] = [_NAME_RULE, _CIRCLE_RULE]
    return structural


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return one node of pydantic's schema as a structural schema's.

    References are inlined, ``X or null`` becomes an optional X, and what a
    structural schema does not allow is left out. A nested model's default is an
    empty object, so that the API server fills in the defaults inside it.
    """
    node = dict(node)
    if "$ref" in node:
        name = node.pop("$ref").rsplit("/", 1)[-1]
        node = {**definitions[name], **node}
    if "anyOf" in node:
        (choice,) = [part for part in node.pop("anyOf") if part.get("type") != "null"]
        node = {**choice, **node}
        return _structural(node, definitions)
    default = node.pop("default", None)
    node = {key: value for key, value in node.items() if key != "title"}
    if node.get("type") == "object" and "properties" in node:
        parts = node["properties"]
        node["properties"] = {name: _structural(part, definitions) for name, part in parts.items()}
        default = {} if isinstance(default, dict) else default
    elif not default and default is not False and default != 0:
        default = None
    if default is not None:
        node["default"] = default
    if "items" in node:
        node["items"] = _structural(node["items"], definitions)
    if node.get("type") == "integer":
        node["format"] = "int64"
    if "description" in node:
        node["description"] = " ".join(node["description"].split())
    return node


def render() -> str:
    """Return the CustomResourceDefinition as YAML."""

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
            return True

    header = "# Generated from the models: python -m schema_operator.crd > deploy/crd/schemamigrations.yaml\n"
    return header + yaml.dump(
        definition(), Dumper=Plain, sort_keys=False, width=100, allow_unicode=True
    )


if __name__ == "__main__":
    sys.stdout.write(render())
