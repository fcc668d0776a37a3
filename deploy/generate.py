"""Writes the manifests that are made from other files here: ``make generate``.

Tools want them in one piece, people and tests want the pieces.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

DEPLOY: Final = Path(__file__).parent
RESOURCE: Final = "migrations.tenant-registry.dev_SchemaMigration"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - the library's signature
        super().increase_indent(flow, indentless=False)


def _text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    style = "|" if "\n" in data else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _text)


def generated() -> dict[Path, str]:
    """Return the text of each generated file."""
    return {
        DEPLOY / "argocd" / "argocd-cm.yaml": _argocd(),
        DEPLOY / "helm" / "schema-operator" / "files" / "rules.yaml": _rules_of_chart(),
        DEPLOY / "helm" / "schema-operator" / "templates" / "crd.yaml": _crd_of_chart(),
        DEPLOY / "prometheus" / "prometheusrule.yaml": _prometheus(),
    }


def _argocd() -> str:
    """Return what Argo CD's own ConfigMap needs to know of the resource."""
    folder = DEPLOY / "argocd"
    names = sorted(path.parent.name for path in folder.glob("actions/*/action.lua"))
    actions = {
        "discovery.lua": (folder / "actions" / "discovery.lua").read_text(),
        "definitions": [
            {"name": name, "action.lua": (folder / "actions" / name / "action.lua").read_text()}
            for name in names
        ],
    }
    return _dump(
        "Argo CD's health and actions for SchemaMigrations. Made by `make generate` from the .lua"
        " files\n# here; beside what the ConfigMap holds already:\n#   kubectl patch configmap"
        " argocd-cm -n argocd --patch-file deploy/argocd/argocd-cm.yaml",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "argocd-cm"},
            "data": {
                f"resource.customizations.health.{RESOURCE}": (folder / "health.lua").read_text(),
                f"resource.customizations.actions.{RESOURCE}": _yaml(actions),
            },
        },
    )


def _prometheus() -> str:
    """Return the alerts as the Prometheus operator wants them."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
    return _dump(
        "The alerts of rules.yaml for the Prometheus operator. Made by `make generate`.",
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": "schema-operator",
                "namespace": "schema-operator",
                "labels": {"app.kubernetes.io/name": "schema-operator"},
            },
            "spec": rules,
        },
    )


def _rules_of_chart() -> str:
    """Return the alerts as a file that the chart can read: nothing in them is a template of Helm."""
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yaml").read_text())
    return _dump("The alerts of deploy/prometheus/rules.yaml. Made by `make generate`.", rules)


def _crd_of_chart() -> str:
    """Return the CRD as a template: what lies in a chart's folder `crds` is never upgraded."""
    text = (DEPLOY / "crd" / "schemamigrations.yaml").read_text().partition("\n")[2]
    name = f"  name: {yaml.safe_load(text)['metadata']['name']}\n"
    before, found, after = text.partition(name)
    if not found or "{{" in text:
        raise ValueError("the CRD can't be made a template: see what changed in it")
    return (
        "{{- /* Made from deploy/crd/schemamigrations.yaml by `make generate`. */ -}}\n"
        "{{- if .Values.crds.install }}\n"
        f"{before}{name}"
        "  labels:\n"
        '    {{- include "schema-operator.release" . | nindent 4 }}\n'
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
        f"{after}"
        "{{- end }}\n"
    )


def _dump(comment: str, document: dict[str, Any]) -> str:
    return f"# {comment}\n{_yaml(document)}"


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=1000)
    return text


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text)
