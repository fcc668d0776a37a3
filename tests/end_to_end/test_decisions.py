"""What people decide through the resource: approvals, resolutions, baselines, who waits for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.end_to_end.fix_registry import IMAGE, NAME
from tests.fix_cluster import eventually
from tests.operator.fix_operator import condition

if TYPE_CHECKING:
    from tests.end_to_end.fix_registry import Registry

ONE = "op.execute('CREATE TABLE one (id int)')", "op.execute('DROP TABLE one')"
TWO = "op.execute('CREATE TABLE two (id int)')", "op.execute('DROP TABLE two')"
DROPPING = "op.execute('ALTER TABLE one DROP COLUMN id')", "op.execute('SELECT 1')"
DIRTYING = "op.execute('CREATE TABLE half ()')\nop.execute('COMMIT')\nop.execute('SELECT 1/0')"
NEXT = "registry.example/tenant-registry-migrations:2"


def kinds(status: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["type"], one["status"]) for one in status["conditions"]]


def test_nothing_runs_before_its_plan_is_approved_and_then_exactly_that_plan(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *DROPPING)
    registry.secret()
    registry.apply(approval="Required")

    status = registry.until("AwaitingApproval")

    assert kinds(status) == [("Ready", "False")]
    assert not registry.engine.exists("alembic_version")
    plan = status["plan"]
    assert plan["revisions"] == ["0001", "0002"]
    assert plan["destructive"] == ["0002: column id of one"]
    assert (status["version"], status["pending"]) == ("base", 2)
    assert plan["id"] in registry.message()

    registry.patch(approvedPlan=plan["id"])

    status = registry.until("UpToDate")
    assert status["version"] == "0002"
    assert "plan" not in status
    assert [one["outcome"] for one in status["history"]] == ["applied", "planned"]


def test_an_approval_is_for_one_plan_and_the_next_is_shown_beside_it(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    registry.apply(approval="Required")
    first = registry.until("AwaitingApproval")["plan"]["id"]
    registry.patch(approvedPlan=first)
    registry.until("UpToDate")

    registry.engine.revisions.add("0002", *TWO)
    registry.patch(image=NEXT)

    status = registry.until("PlanOutdated")
    assert kinds(status) == [("Ready", "False"), ("Stalled", "True")]
    assert not registry.engine.exists("two")
    assert status["plan"]["id"] != first
    assert status["plan"]["revisions"] == ["0002"]
    assert status["plan"]["id"] in registry.message()
    registry.patch(approvedPlan=status["plan"]["id"])
    assert registry.until("UpToDate")["version"] == "0002"


def test_there_is_nothing_to_approve_where_there_is_nothing_to_do(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.up()
    registry.secret()
    registry.apply(approval="Required")

    status = registry.until("UpToDate")

    assert status["lastRun"]["outcome"] == "up_to_date"
    assert "plan" not in status


def test_a_plan_downwards_is_refused_before_anybody_approves_it(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *TWO)
    registry.engine.up()
    registry.secret()
    registry.apply(approval="Required", target="0001")
    registry.until("DowngradeNotAllowed")

    registry.patch(allowDowngrade=True)

    status = registry.until("AwaitingApproval")
    assert status["plan"]["destructive"] == ["0002: table two"]


def test_a_dirty_database_is_resolved_from_the_resource_and_goes_on(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", DIRTYING)
    registry.secret()
    registry.apply()
    incident = registry.until("Dirty")["incident"]
    assert f"spec.force to incident {incident}" in registry.message()
    registry.engine.revisions.add("0002", *TWO)
    registry.engine.execute("DROP TABLE half")

    registry.patch(force={"incident": "0123456789ab", "revision": "0001"})
    assert registry.until("Dirty")["incident"] == incident
    assert not registry.engine.exists("two")
    registry.patch(force={"incident": incident, "revision": "0001"})

    status = registry.until("UpToDate")
    assert (status["version"], status["dirty"]) == ("0002", False)
    assert "incident" not in status
    # It may stay where it is.
    registry.patch(image=NEXT)
    status = registry.until("UpToDate")
    assert "is not open" in status["lastRun"]["message"]


def test_a_resolution_is_carried_out_and_what_comes_after_it_awaits_its_approval(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", DIRTYING)
    incident = registry.engine.up().incident
    registry.engine.revisions.add("0002", *TWO)
    registry.secret()
    registry.apply(approval="Required")
    registry.until("Dirty")

    registry.patch(force={"incident": incident, "revision": "0001"})

    status = registry.until("AwaitingApproval")
    assert (status["version"], status["dirty"]) == ("0001", False)
    assert not registry.engine.exists("two")
    registry.patch(approvedPlan=status["plan"]["id"])
    assert registry.until("UpToDate")["version"] == "0002"


def test_a_database_with_a_schema_goes_on_from_its_baseline(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *TWO)
    registry.engine.execute("CREATE TABLE one (id int)")
    registry.secret()

    registry.apply(baseline="0001")

    assert registry.until("UpToDate")["version"] == "0002"
    assert registry.runs() == [("0001", "recorded"), ("0002", "applied")]


def test_a_database_that_was_restored_is_noticed_and_brought_back(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *TWO)
    registry.secret()
    registry.apply(verifyInterval="10s")
    registry.until("UpToDate")

    registry.engine.down(1)

    eventually(lambda: registry.engine.position() == ["0002"], 40)
    status = registry.until("UpToDate")
    assert status["version"] == "0002"
    outcomes = [one["outcome"] for one in status["history"]]
    assert outcomes[:2] == ["applied", "planned"]


def test_a_verification_leaves_the_gate_open_and_writes_once(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    registry.apply(verifyInterval="10s")
    first = registry.until("UpToDate")
    before = registry.operator.writes()

    def looked_again() -> dict[str, Any] | None:
        status = registry.migrations.status(NAME)
        assert status["conditions"] == first["conditions"]
        return status if status["lastRun"]["job"] != first["lastRun"]["job"] else None

    status = eventually(looked_again, 40)

    assert status["lastRun"]["outcome"] == "up_to_date"
    assert status["history"] == first["history"]
    # Its Job, and the time of the last run in the status.
    assert registry.operator.writes() == before + 2


def test_who_depends_on_another_waits_until_that_is_ready(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    objects = registry.migrations
    wanted: dict[str, Any] = {"image": IMAGE, "tree": str(registry.engine.revisions.directory)}
    reference = {"urlSecretRef": {"name": NAME}}
    objects.apply("dependent", **wanted, database=reference, dependsOn=[{"name": NAME}])
    objects.until("dependent", "DependencyNotReady")
    assert f"SchemaMigration {NAME} does not exist" in str(objects.status("dependent"))

    registry.apply()

    registry.until("UpToDate")
    objects.until("dependent", "UpToDate")


def test_each_member_of_a_circle_is_told_and_all_go_on_once_it_is_broken(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    objects = registry.migrations
    tree = str(registry.engine.revisions.directory)
    circle = {"first": "second", "second": "third", "third": "first"}
    for name, other in circle.items():
        wanted: dict[str, Any] = {"image": IMAGE, "tree": tree, "dependsOn": [{"name": other}]}
        objects.apply(name, **wanted, database={"urlSecretRef": {"name": NAME}})
    for name in circle:
        objects.until(name, "SpecInvalid")
        assert "goes in a circle" in str(objects.status(name))

    objects.patch("third", dependsOn=[])

    for name in circle:
        objects.until(name, "UpToDate")


def test_an_image_that_is_not_allowed_is_never_run(registry: Registry) -> None:
    registry.operator.stop()
    registry.operator.arguments += ("--allowed-image=registry.example/tenant-registry-*",)
    registry.operator.start()
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    registry.apply(image="registry.example/other:1")

    status = registry.until("ImageNotAllowed")

    assert condition(status, "Stalled") is not None
    assert "registry.example/tenant-registry-*" in registry.message()
    assert registry.jobs() == []
    registry.patch(image=IMAGE)
    assert registry.until("UpToDate")["version"] == "0001"
