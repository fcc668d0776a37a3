"""What a team does with a SchemaMigration, on the real thing from end to end."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.fix_registry import NAME
from tests.fix_cluster import eventually
from tests.operator.fix_operator import condition

if TYPE_CHECKING:
    from tests.end_to_end.fix_registry import Registry

ONE = "op.execute('CREATE TABLE one (id int)')", "op.execute('DROP TABLE one')"
TWO = "op.execute('CREATE TABLE two (id int)')", "op.execute('DROP TABLE two')"
FAILING = "op.execute('CREATE TABLE half ()')\nop.execute('SELECT 1/0')"
DIRTYING = "op.execute('CREATE TABLE half ()')\nop.execute('COMMIT')\nop.execute('SELECT 1/0')"
SLOW = (
    "op.execute('CREATE TABLE two (id int)')\nop.execute('SELECT pg_sleep(2)')",
    "op.execute('DROP TABLE two')",
)


@pytest.mark.every_postgres
def test_the_tenant_registry_becomes_ready(registry: Registry) -> None:
    registry.secret()
    registry.apply(tree=None)

    status = registry.until("UpToDate")

    ready = condition(status, "Ready")
    assert ready is not None
    assert (ready["status"], ready["observedGeneration"]) == ("True", status["generation"])
    assert (status["version"], status["dirty"], status["targetVersion"], status["pending"]) == (
        "0001",
        False,
        "0001",
        0,
    )
    assert status["lastRun"]["outcome"] == "applied"
    assert registry.engine.exists("tenants")
    registry.migrations.objects.kubectl(
        "wait", "--for=condition=Ready", f"smig/{NAME}", "--timeout=5s"
    )


def test_a_secret_that_comes_late_is_waited_for(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.apply()
    registry.until("SecretNotReady")

    registry.secret()

    status = registry.until("UpToDate")
    assert (status["version"], status["attempt"], len(registry.jobs())) == ("0001", 1, 1)


def test_a_wrong_password_is_retried_until_the_secret_rotates(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    url = registry.engine.database.url
    registry.secret(url.replace("://postgres:", "://postgres:wrong"))
    registry.apply()
    registry.until("DatabaseUnreachable")
    assert "refuses the connection" in registry.message()
    assert "wrong" not in registry.message().replace("is wrong", "")

    registry.secret()

    assert registry.until("UpToDate")["version"] == "0001"


def test_a_value_that_is_no_url_is_named_and_not_shown(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret("not a url")
    registry.apply()

    status = registry.until("ConfigurationInvalid")

    assert condition(status, "Stalled") is not None
    assert "DATABASE_URL is no URL" in registry.message()
    assert "not a url" not in str(status)
    # A Secret can be put right without the spec: it is tried again by itself.
    registry.secret()
    registry.until("UpToDate")


def test_a_failing_migration_is_retried_and_then_stalls_with_the_servers_code(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", FAILING)
    registry.secret()
    registry.apply(retry={"limit": 2, "backoff": "100ms", "maxBackoff": "1s"})

    status = registry.until("MigrationFailed")

    assert condition(status, "Stalled") is not None
    assert condition(status, "Reconciling") is None
    assert "22012" in registry.message()
    assert "0002" in registry.message()
    assert (status["version"], status["dirty"], status["lastRun"]["sqlstate"]) == (
        "0001",
        False,
        "22012",
    )
    assert len(registry.jobs()) == 3
    assert not registry.engine.exists("half")
    # The next image mends it.
    registry.engine.revisions.add("0002", *TWO)
    registry.patch(image="registry.example/tenant-registry-migrations:2")
    assert registry.until("UpToDate")["version"] == "0002"


def test_a_dirty_database_stalls_at_once_and_goes_on_after_force(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", DIRTYING)
    registry.secret()
    registry.apply()

    status = registry.until("Dirty")

    assert condition(status, "Stalled") is not None
    assert (status["version"], status["dirty"], len(registry.jobs())) == ("0001", True, 1)
    assert status["incident"] in registry.message()
    forced = registry.engine.force("0002", incident=status["incident"])
    assert forced.dirty is False
    registry.request("now")
    status = registry.until("UpToDate")
    assert (status["version"], status["dirty"]) == ("0002", False)
    assert "incident" not in status


def test_a_downgrade_is_refused_until_it_is_allowed(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *TWO)
    registry.secret()
    registry.apply()
    registry.until("UpToDate")

    registry.patch(target="0001")
    status = registry.until("DowngradeNotAllowed")
    assert (condition(status, "Stalled") is not None, status["version"]) == (True, "0002")
    registry.patch(allowDowngrade=True)
    assert registry.until("UpToDate")["version"] == "0001"
    assert not registry.engine.exists("two")
    registry.patch(target="base")
    assert registry.until("UpToDate")["version"] == "base"


def test_an_unknown_target_and_a_database_ahead_are_told_apart(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    newer = registry.engine.revisions.add("0002", *TWO)
    registry.secret()
    registry.apply()
    registry.until("UpToDate")

    registry.patch(target="0009")
    registry.until("TargetUnknown")
    newer.unlink()
    registry.patch(target="head")
    registry.until("DatabaseAhead")
    registry.patch(onDatabaseAhead="Accept")
    status = registry.until("DatabaseAheadAccepted")
    assert (condition(status, "Ready") or {})["status"] == "True"
    assert status["version"] == "0002"


def test_a_suspended_resource_runs_nothing_until_it_is_let_go(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    registry.apply(suspend=True)
    registry.until("Suspended")
    assert registry.jobs() == []

    registry.patch(suspend=False)

    assert registry.until("UpToDate")["version"] == "0001"


def test_a_lock_that_somebody_holds_is_named_and_waited_for(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    with registry.engine.place().connect() as connection:
        key = registry.engine.place().names(connection).lock_key
    with registry.engine.database.connect(application_name="somebody") as holder:
        holder.execute("SELECT pg_advisory_lock(1936550247, %s)", [key])
        registry.apply(timeout="5s")
        registry.until("LockNotAvailable")
        assert "somebody" in registry.message()

    registry.patch(timeout="1m")

    assert registry.until("UpToDate")["version"] == "0001"


def test_an_operator_that_is_killed_before_the_job_starts_one_when_it_is_back(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.secret()
    registry.operator.stop(signal.SIGKILL)
    registry.apply()

    registry.operator.start()

    registry.until("UpToDate")
    assert registry.operator.writes() == 3
    assert registry.runs() == [("0001", "applied")]


def test_an_operator_that_is_killed_during_the_run_takes_it_up_again(registry: Registry) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *SLOW)
    registry.secret()
    registry.apply()
    registry.until("Migrating")
    registry.operator.stop(signal.SIGKILL)

    registry.operator.start()

    registry.until("UpToDate")
    assert (registry.operator.writes(), len(registry.jobs())) == (1, 1)
    assert registry.runs() == [("0001", "applied"), ("0002", "applied")]


def test_an_operator_that_is_killed_before_the_last_status_write_writes_it_when_it_is_back(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add("0002", *SLOW)
    registry.secret()
    registry.apply()
    registry.until("Migrating")
    registry.operator.stop(signal.SIGKILL)
    eventually(lambda: registry.jobs()[0]["status"].get("succeeded"))
    assert condition(registry.migrations.status(NAME), "Ready") != {"status": "True"}

    registry.operator.start()

    assert registry.until("UpToDate")["version"] == "0002"
    assert (registry.operator.writes(), len(registry.jobs())) == (1, 1)
    assert registry.runs() == [("0001", "applied"), ("0002", "applied")]


@pytest.mark.usefixtures("collected")
def test_a_resource_deleted_in_mid_run_and_made_again_never_has_two_migrators(
    registry: Registry,
) -> None:
    registry.engine.revisions.add("0001", *ONE)
    registry.engine.revisions.add(
        "0002", "op.execute('CREATE TABLE two ()')\nop.execute('SELECT pg_sleep(20)')", TWO[1]
    )
    registry.secret()
    registry.apply()
    registry.until("Migrating")
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'migrate/%' AND datname = current_database()"
    eventually(lambda: registry.engine.query(f"{running} AND query LIKE '%pg_sleep%'") == [(1,)])

    registry.migrations.objects.kubectl("delete", "smig", NAME)
    registry.engine.revisions.add("0002", *TWO)
    registry.apply()

    most = 0

    def ready() -> bool:
        nonlocal most
        most = max(most, int(registry.engine.query(running)[0][0]))
        return registry.migrations.reason(NAME) == "UpToDate"

    eventually(ready, 40)
    assert most <= 1
    assert registry.engine.position() == ["0002"]
    assert registry.runs() == [("0001", "applied"), ("0002", "interrupted"), ("0002", "applied")]
