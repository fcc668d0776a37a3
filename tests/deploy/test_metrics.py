"""Alerts, dashboard and documentation name the metrics that the operator has, and all of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import parser

from schema_migrator.result import Outcome
from schema_operator import projection, resource
from schema_operator import run as runs
from schema_operator.cache import Cache
from schema_operator.metrics import Metrics
from schema_operator.queue import Queue
from schema_operator.reason import READY, RECONCILING, STALLED, Reason
from tests.gates.resources import in_state

ROOT = Path(__file__).parents[2]
RULES = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
TESTS = yaml.safe_load((ROOT / "deploy/prometheus/rules_test.yaml").read_text())["tests"]
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboard.json").read_text())
HEADINGS = re.findall(r"^## (\w+)$", (ROOT / "docs/alerts.md").read_text(), re.MULTILINE)

OF_A_SCRAPE = {"job", "instance", "pod"}
"""Labels that Prometheus adds."""

RUN = {
    "job": "shop-abcdefghij",
    "outcome": "applied",
    "exitCode": 0,
    "startTime": "2026-03-01T12:00:00Z",
    "completionTime": "2026-03-01T12:00:05Z",
}


def render() -> str:
    """What an operator says that has done everything once."""
    document = in_state(Reason.UP_TO_DATE)
    document["metadata"] |= {"namespace": "shops", "uid": "u", "resourceVersion": "1"}
    document["status"]["lastRun"] = RUN
    cache = Cache()
    cache.put_resource(projection.of_resource(document))
    metrics = Metrics(cache, Queue())
    with metrics.turn():
        metrics.request("GET", "jobs", 200, 0.1)
    metrics.transition(resource.Status(), document["status"])
    return metrics.render().decode()


FAMILIES = [
    family
    for family in parser.text_string_to_metric_families(render())
    if not family.name.endswith("_created")
]
SERIES = {sample.name: set(sample.labels) for family in FAMILIES for sample in family.samples}
"""The labels of each series."""


def test_what_is_rendered_is_all_there_is() -> None:
    """Else a metric that nobody has touched here would be missed by the tests below."""
    text = (ROOT / "operator/schema_operator/metrics.py").read_text()
    defined = set(re.findall(r'"(schema_(?:migration|operator)\w*)"', text))
    assert {family.name for family in FAMILIES} == {
        "schema_migration_info" if name == "schema_migration" else name for name in defined
    }


def test_every_metric_is_documented_and_no_other() -> None:
    table = (ROOT / "docs/metrics.md").read_text().partition("| metric |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()[2:]]
    documented = {
        name.strip("`"): (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows
    }
    assert documented == {
        family.name + "_total" * (family.type == "counter"): (
            family.type,
            set.union(*(set(sample.labels) for sample in family.samples)) - {"le"},
        )
        for family in FAMILIES
    }


# Queries


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """The series that a query reads, of a query that Prometheus can parse."""
    found: list[promql_parser.VectorSelector] = []

    def visit(expression: promql_parser.Expr) -> bool:
        if isinstance(expression, promql_parser.VectorSelector):
            found.append(expression)
        if isinstance(expression, promql_parser.MatrixSelector):
            found.append(expression.vector_selector)
        return True

    promql_parser.walk(promql_parser.parse(query.replace("$__rate_interval", "5m")), visit)
    return found


def grouping(query: str) -> set[str]:
    """The labels that a query groups or joins by."""
    lists = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", query)
    return {label.strip() for labels in lists for label in labels.split(",")}


PANELS = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
QUERIES = {name: rule["expr"] for name, rule in ALERTS.items()} | PANELS


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_reads_what_there_is(query: str) -> None:
    read = selectors(query)
    assert read
    assert {each.name for each in read} <= set(SERIES)
    for each in read:
        matched = {matcher.name for matcher in each.matchers.matchers}
        assert matched <= SERIES[str(each.name)] | OF_A_SCRAPE, each
    assert grouping(query) <= set.union(*(SERIES[str(each.name)] for each in read))


def alternatives(query: str, label: str) -> set[str]:
    return {
        value
        for each in selectors(query)
        for matcher in each.matchers.matchers
        if matcher.name == label
        for value in matcher.value.split("|")
    }


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_compares_with_words_that_there_are(query: str) -> None:
    assert alternatives(query, "reason") <= {*Reason, ""}
    assert alternatives(query, "outcome") <= {*Outcome, runs.UNKNOWN, runs.NOT_BEGUN}


def test_every_reason_that_needs_a_person_sets_an_alert_off() -> None:
    stalled = alternatives(ALERTS["SchemaMigrationStalled"]["expr"], "reason")
    assert stalled == STALLED - {Reason.DIRTY}, "Dirty has an alert of its own"


def test_every_reason_that_goes_on_by_itself_sets_an_alert_off_in_the_end() -> None:
    waiting = alternatives(ALERTS["SchemaMigrationNotReady"]["expr"], "reason")
    assert waiting == {*RECONCILING, ""}, "and no reason: nobody has looked at it"


def test_every_reason_but_those_that_are_wanted_sets_an_alert_off() -> None:
    known = {Reason.DIRTY, ""}.union(
        *(alternatives(rule["expr"], "reason") for rule in ALERTS.values())
    )
    assert known == {*Reason, ""} - READY - {Reason.SUSPENDED}


# Alerts


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_is_the_matter_and_where_to_read_on(name: str) -> None:
    rule = ALERTS[name]
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{name.lower()}"
    labels = set.union(*(SERIES[str(each.name)] for each in selectors(rule["expr"])))
    said = re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"]))
    assert set(said) <= labels


def test_every_alert_is_documented_and_no_other() -> None:
    assert list(ALERTS) == HEADINGS


def test_every_alert_is_tried_in_the_rules_own_test() -> None:
    """Which `make test-alerts` runs."""
    tried = {
        test["alertname"]
        for group in TESTS
        for test in group["alert_rule_test"]
        if test.get("exp_alerts")
    }
    assert tried == set(ALERTS)


def test_the_operators_pods_are_scraped_with_their_own_namespaces() -> None:
    monitor: dict[str, Any] = yaml.safe_load(
        (ROOT / "deploy/prometheus/podmonitor.yaml").read_text()
    )["spec"]
    documents = yaml.safe_load((ROOT / "deploy/kustomize/operator/deployment.yaml").read_text())
    template = documents["spec"]["template"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


# Dashboard


def test_every_panel_says_what_it_shows_and_lies_beside_the_others() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        assert panel["title"]
        assert panel["type"] == "row" or panel["description"].endswith(".")
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    identifiers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(identifiers)) == len(identifiers)
