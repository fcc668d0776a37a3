"""Every file under deploy/ is tried out on the real thing that it is for, by a test that is named here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

PROGRAMS = {"local", "release", "wheel"}
"""Folders of programs, which have tests of their own."""

APPLIED = {
    "argocd/actions/approve/action.lua": "gates/test_argocd.py::test_a_live_plan_is_approved_and_runs",
    "argocd/actions/discovery.lua": "gates/test_argocd.py::test_a_live_plan_is_approved_and_runs",
    "argocd/actions/retry/action.lua": "gates/test_argocd.py::test_retrying_asks_by_a_value_that_was_not_there_before",
    "argocd/argocd-cm.yaml": "gates/test_argocd.py::test_argo_cds_configmap_keeps_what_it_held",
    "argocd/example.yaml": "deploy/test_manifests.py::test_what_is_applied_by_itself_is_accepted",
    "argocd/health.lua": "gates/test_argocd.py::test_a_live_plan_is_approved_and_runs",
    "argocd/kustomization.yaml": "gates/test_argocd.py::test_the_component_patches_an_installation_of_argo_cd",
    "crd/*": "deploy/test_releases.py::test_by_kustomize",
    "example/*": "deploy/test_manifests.py::test_what_is_applied_by_itself_is_accepted",
    "flux/*": "flux/test_gate.py::test_what_ships_is_what_was_applied",
    # Grafana is none of the programs that are built here: only what it asks is checked.
    "grafana/*": "deploy/test_metrics.py::test_every_panel_says_what_it_shows_and_lies_beside_the_others",
    "helm/namespaced.yaml": "deploy/test_releases.py::test_by_helm_for_one_namespace",
    "helm/schema-operator/**/*": "deploy/test_releases.py::test_by_helm",
    "infisical/*": "end_to_end/test_infisical.py::test_a_secret_that_comes_late_is_waited_for_and_costs_no_attempt",
    "kustomize/base/*": "deploy/test_releases.py::test_by_kustomize",
    "kustomize/components/network-policy/**/*": "deploy/test_network_policy.py::test_the_server_accepts_the_policies",
    "kustomize/components/standbys/*": "deploy/test_releases.py::test_by_kustomize",
    "kustomize/namespaced/*": "deploy/test_namespaced.py::test_it_does_its_work_and_sees_nothing_else",
    "kustomize/operator/*": "deploy/test_releases.py::test_by_kustomize",
    "orca/cluster.toml": "orca/test_deployment.py::test_an_application_that_migrates_first_starts_on_its_schema_and_stays",
    "orca/services/shop/*": "orca/test_deployment.py::test_an_application_that_migrates_first_starts_on_its_schema_and_stays",
    "orca/services/store/*": "orca/test_deployment.py::test_a_migrator_of_its_own_stays_and_the_application_waits_for_it",
    "pipelines/*": "gates/test_pipeline.py::test_what_becomes_ready_lets_the_pipeline_go_on",
    "plain/deployment.yaml": "node/test_plain.py::test_the_application_starts_on_the_schema_that_its_init_container_made",
    "plain/job.yaml": "node/test_plain.py::test_the_job_migrates_and_completes",
    "policies/*": "deploy/test_policies.py::test_the_server_understands_every_expression",
    "prometheus/*monitor.yaml": "deploy/test_manifests.py::test_what_is_applied_by_itself_is_accepted",
    "prometheus/prometheusrule.yaml": "deploy/test_manifests.py::test_what_is_applied_by_itself_is_accepted",
    "prometheus/rules*.yaml": "alerts/test_rules.py::test_each_alert_is_set_off_by_what_it_is_for",
}
"""Files under deploy/, and the test under tests/ that tries them out."""


def files() -> list[Path]:
    """What ships to be applied."""
    found = (path.relative_to(DEPLOY) for path in DEPLOY.rglob("*") if path.is_file())
    return sorted(
        path for path in found if path.parts[0] not in PROGRAMS and path.name != "generate.py"
    )


@pytest.mark.parametrize("path", files(), ids=str)
def test_a_file_is_tried_out_by_one_test(path: Path) -> None:
    matched = [pattern for pattern in APPLIED if path in matches(pattern)]
    assert len(matched) == 1, f"name in {Path(__file__).name} the test that applies deploy/{path}"


@pytest.mark.parametrize("pattern", APPLIED)
def test_a_test_that_is_named_exists_and_has_something_to_try(pattern: str) -> None:
    assert matches(pattern)
    path, _, name = APPLIED[pattern].partition("::")
    module = ast.parse((ROOT / "tests" / path).read_text())
    functions = {each.name for each in ast.walk(module) if isinstance(each, ast.FunctionDef)}
    assert name in functions


def matches(pattern: str) -> set[Path]:
    """The files that a pattern names."""
    return {path.relative_to(DEPLOY) for path in DEPLOY.glob(pattern) if path.is_file()}
