"""The operator's benchmark: its arithmetic, its budgets, and what it gives the operators to do."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from local_benchmark import load, operator_table
from local_benchmark.operator import Figures, percentile
from local_benchmark.soak import SLOPE_BYTES, Soaked
from schema_migrator import result

MEBIBYTE = 1 << 20

GOOD = Figures(
    work="1000",
    name="ours",
    seconds=30.0,
    cpu=4.0,
    peak=80 * MEBIBYTE,
    writes=3.0,
    reads=0.0,
    runs=1000,
    start=[0.05] * 1000,
    report=[0.05] * 1000,
)


def missed(**change: Any) -> list[str]:
    figures = dataclasses.replace(GOOD, **change)
    return [one.what for one in operator_table.budgets([figures]) if one.missed]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({}, []),
        ({"writes": 3.01}, ["1000: writes a run"]),
        ({"reads": 0.01}, ["1000: reads a run"]),
        ({"cpu": 4.01}, ["1000: CPU s"]),
        ({"work": "100", "cpu": 40.0}, []),
        ({"work": "1"}, []),
        ({"work": "1", "start": [0.05] * 50 + [0.2] * 2}, ["1: start, p99 ms"]),
        ({"work": "1", "report": [0.06]}, ["1: report, p99 ms"]),
        ({"work": "idle", "runs": 0}, []),
        ({"work": "idle", "runs": 0, "peak": 81 * MEBIBYTE}, ["idle: peak MiB"]),
        ({"work": "restart", "runs": 0, "writes": 0.0, "peak": 120 * MEBIBYTE}, []),
        (
            {"work": "restart", "runs": 0, "writes": 1.0, "peak": 121 * MEBIBYTE},
            ["restart: writes", "restart: peak MiB"],
        ),
    ],
)
def test_a_budget_is_met_up_to_its_value(change: dict[str, Any], what: list[str]) -> None:
    assert missed(**change) == what


def test_percentiles() -> None:
    assert percentile([7.0], 99) == 7.0
    assert percentile([float(number) for number in range(101)], 50) == 50.0
    assert percentile([float(number) for number in range(101)], 99) == 99.0


def test_the_table_has_a_row_of_ratios_for_each_work_with_two() -> None:
    other = dataclasses.replace(GOOD, name="other", cpu=16.0, reads=2.0)
    alone = dataclasses.replace(GOOD, work="idle", runs=0, start=[], report=[])
    lines = operator_table.render([GOOD, other, alone]).splitlines()
    assert len({len(line) for line in lines}) == 1
    names = [line.split("|")[2].strip() for line in lines[2:]]
    assert names == ["ours", "other", "ratio", "ours"]
    ratios = [cell.strip() for cell in lines[4].split("|")]
    assert ratios[8:13] == ["0.25", "0.25", "1.00", "1.00", "0.00"]


def test_the_slope_is_what_each_event_costs_for_good() -> None:
    samples = [(events, 60 * MEBIBYTE + 30 * events) for events in range(0, 50_001, 2500)]
    assert Soaked(50_000, samples, 1.0).slope == pytest.approx(30.0)
    assert Soaked(50_000, samples, 1.0).slope > SLOPE_BYTES
    level = [(events, 60 * MEBIBYTE + noise) for events, noise in ((0, 0), (1, 9), (2, 0))]
    assert Soaked(2, level, 1.0).slope == 0.0


def test_what_stands_for_the_migrator_reports_as_the_migrator_does() -> None:
    decoded = result.decode(json.dumps(load.REPORT))
    assert (decoded.outcome, decoded.exit_code) == (result.Outcome.APPLIED, 0)
    assert json.dumps(load.REPORT) in load.MIGRATOR[2]
