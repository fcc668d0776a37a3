"""The operator's behaviour on a real API server, with a process in the migrator's place."""

from __future__ import annotations

from tests.operator.fix_operator import Migrations, Operator, condition


def test_a_resource_becomes_ready_with_three_writes_and_no_read(
    migrations: Migrations, operator: Operator
) -> None:
    before = operator.requests()
    migrations.secret("shop", outcome="applied", applied=["0001"])
    migrations.apply("shop")
    status = migrations.until("shop", "UpToDate")
    assert status["version"] == "0001"
    assert status["dirty"] is False
    ready = condition(status, "Ready")
    assert ready is not None
    assert ready["status"] == "True"
    assert [one["type"] for one in status["conditions"]] == ["Ready"]
    after = operator.requests()
    assert {name: after[name] - before.get(name, 0) for name in after} == {
        **dict.fromkeys((name for name in before), 0),
        "POST jobs 201": 1,
        "PATCH schemamigrations/status 200": 2,
    }
