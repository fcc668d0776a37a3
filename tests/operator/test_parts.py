"""Small parts: flags, the log's lines, the API's errors, health, and comparing with what exists."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from schema_operator import cli, errors, journal, names, resync, transport
from schema_operator.cache import Cache
from schema_operator.health import Health
from schema_operator.options import LogFormat, Options, PodDefaults
from tests.operator.test_cache import pod, view
from tests.operator.worlds import KEY, NOW, UID, job

# Flags and environment


def test_the_least_that_has_to_be_given() -> None:
    assert cli.parse(["run", "--all-namespaces"], {}) == Options()


def test_all_flags() -> None:
    flags = [
        *("run", "-n", "a", "-n", "b", "--kubeconfig=file", "--workers=3", "--maximum-runs=4"),
        *("--start-allowance=5m", "--resync=1m", "--health-listen=:8080", "--log-format=text"),
        *("--default-requests=cpu=0.1,memory=100Mi", "--default-limits=none"),
    ]
    assert cli.parse(flags, {}) == Options(
        namespaces=("a", "b"),
        kubeconfig=Path("file"),
        workers=3,
        maximum_runs=4,
        pods=PodDefaults(
            start_allowance=timedelta(minutes=5),
            requests={"cpu": "0.1", "memory": "100Mi"},
            limits={},
        ),
        resync=timedelta(minutes=1),
        health_listen=("0.0.0.0", 8080),
        log_format=LogFormat.TEXT,
    )


def test_the_environment_says_the_same_and_a_flag_wins() -> None:
    environment = {
        "SCHEMA_OPERATOR_NAMESPACE": "a, b",
        "SCHEMA_OPERATOR_WORKERS": "3",
        "SCHEMA_OPERATOR_HEALTH_LISTEN": "[::1]:0",
    }
    options = cli.parse(["run", "--workers=5"], environment)
    assert options.namespaces == ("a", "b")
    assert options.workers == 5
    assert options.health_listen == ("::1", 0)


@pytest.mark.parametrize(
    ("flags", "environment", "words"),
    [
        ([], {}, "either --namespace"),
        (["-A", "-n", "a"], {}, "either --namespace"),
        (["-A", "--workers=0"], {}, "--workers"),
        (["-A", "--workers=x"], {}, "from 1 to 10000"),
        (["-A", "--resync=5"], {}, "90s, 15m"),
        (["-A", "--resync=0s"], {}, "more than 0s"),
        (["-A", "--health-listen=8080"], {}, "ADDRESS:PORT"),
        (["-A", "--health-listen=:99999"], {}, "ADDRESS:PORT"),
        (["-A", "--log-format=xml"], {}, "json or text"),
        (["-A", "--default-limits=memory"], {}, "--default-limits has 'memory'"),
        (["-A", "--default-requests=cpu=1,memory=64MB"], {}, "has 'memory=64MB': write RESOURCE="),
        ([], {"SCHEMA_OPERATOR_ALL_NAMESPACES": "perhaps"}, "true or false"),
    ],
)
def test_what_can_not_be_used_is_said(
    flags: list[str], environment: dict[str, str], words: str
) -> None:
    with pytest.raises(errors.OptionsError, match=words):
        cli.parse(["run", *flags], environment)


def test_a_wrong_flag_ends_the_command_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_no_way_to_the_api_server_ends_the_command_in_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["run", "-A", f"--kubeconfig={tmp_path / 'absent'}"]) == 2
    assert "no connection from" in capsys.readouterr().err


# The log


def record(**extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("part", logging.INFO, "file", 1, "it is %s", ("done",), None)
    vars(made).update(extra)
    return made


def test_a_line_of_json() -> None:
    line = json.loads(journal.JsonFormatter().format(record(key="a/b", job=None, version="0001")))
    assert line.pop("time")
    assert line == {
        "level": "info",
        "logger": "part",
        "message": "it is done",
        "key": "a/b",
        "version": "0001",
    }


def test_a_line_with_an_exception_is_one_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        failed = record()
        failed.exc_info = sys.exc_info()
    assert "\n" not in journal.JsonFormatter().format(failed)


def test_a_line_of_text() -> None:
    assert journal.TextFormatter().format(record(key="a/b")).endswith("it is done  key=a/b")


# The API's errors


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (409, {"reason": "Conflict"}, errors.ConflictError),
        (409, {"reason": "AlreadyExists"}, errors.AlreadyExistsError),
        (404, {}, errors.GoneError),
        (422, {}, errors.RejectedError),
        (400, {}, errors.RejectedError),
        (401, {}, errors.DeniedError),
        (403, {"details": {"causes": [{"reason": "FieldValueInvalid"}]}}, errors.DeniedError),
        (
            403,
            {"details": {"causes": [{"reason": "NamespaceTerminating"}]}},
            errors.NamespaceEndsError,
        ),
        (429, {}, errors.UnavailableError),
        (500, {}, errors.UnavailableError),
        (503, {"message": "busy"}, errors.UnavailableError),
    ],
)
def test_an_answer_is_sorted_by_the_reaction(
    status: int, document: dict[str, Any], kind: type[errors.ApiError]
) -> None:
    error = transport.failure(status, document, "7")
    assert type(error) is kind
    assert error.message == document.get("message", "without a word")
    if kind is errors.UnavailableError:
        assert error.retry_after == 7


# Health


def test_health_answers_and_readiness_changes() -> None:
    async def ask(port: int, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer.split(b"\r\n")[0]

    async def work() -> None:
        health = Health(lambda: b"metric 1\n")
        await health.start("127.0.0.1", 0)
        get = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
        assert await ask(health.port, get % b"/healthz") == b"HTTP/1.1 200 OK"
        assert await ask(health.port, get % b"/readyz") == b"HTTP/1.1 503 Service Unavailable"
        health.ready = True
        assert await ask(health.port, get % b"/readyz?verbose") == b"HTTP/1.1 200 OK"
        health.hears = lambda: False
        assert await ask(health.port, get % b"/readyz") == b"HTTP/1.1 503 Service Unavailable"
        assert await ask(health.port, get % b"/healthz") == b"HTTP/1.1 200 OK"
        assert await ask(health.port, get % b"/metrics") == b"HTTP/1.1 200 OK"
        assert await ask(health.port, get % b"/") == b"HTTP/1.1 404 Not Found"
        assert await ask(health.port, b"POST /healthz\r\n\r\n") == b"HTTP/1.1 404 Not Found"
        assert await ask(health.port, b"\r\n\r\n") == b"HTTP/1.1 404 Not Found"
        await health.stop()

    asyncio.run(work())


# What exists


class Listing:
    """An API server that has nothing but lists."""

    def __init__(self, version: int = 100, **uids: dict[str, int]) -> None:
        self.version = version
        self.uids = uids
        self.asked = 0

    async def list_versions(self, kind: str, _: str | None) -> tuple[dict[str, int], int]:
        self.asked += 1
        return self.uids.get(kind.rpartition("|")[2], {}), self.version


def made(listing: Listing, cache: Cache, touched: list[Any]) -> resync.Resync:
    client: Any = listing
    return resync.Resync(
        client, cache, (), lambda key, database: touched.append((key, database)), lambda: NOW
    )


def test_what_has_gone_unseen_is_taken_out() -> None:
    cache = Cache()
    cache.put_resource(view(5))
    cache.put_job(job(), NOW)
    cache.put_pod(pod(), NOW)
    touched: list[Any] = []
    assert asyncio.run(made(Listing(), cache, touched).prune()) == 3
    assert (len(cache.resources), len(cache.jobs), len(cache.pods)) == (0, 0, 0)
    assert touched == [(KEY, None), (KEY, job().database), (KEY, job().database)]


def test_what_exists_or_is_newer_than_the_list_stays() -> None:
    cache = Cache()
    cache.put_resource(view(5))
    cache.put_job(job(resource_version=101), NOW)
    listing = Listing(schemamigrations={UID: 5})
    assert asyncio.run(made(listing, cache, []).prune()) == 0


def test_nothing_is_decided_before_everything_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "_SEEN_WITHIN", 0.05)
    cache = Cache()
    listing = Listing(schemamigrations={UID: 5})

    async def work() -> None:
        waiting = asyncio.create_task(made(listing, cache, []).seen())
        async with asyncio.timeout(30):
            while listing.asked < 3:  # noqa: ASYNC110 - a stand-in has no event to wait for
                await asyncio.sleep(0)
            assert not waiting.done()
            cache.put_resource(view(5))
            await waiting

    asyncio.run(work())


def test_a_watch_of_the_resources_that_tells_nothing_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resync, "_SEEN_WITHIN", 0.0)
    cache = Cache()
    cache.put_resource(view(5))
    listing = Listing(schemamigrations={UID: 6})
    comparing = made(listing, cache, [])

    async def work() -> None:
        running = asyncio.create_task(comparing.for_ever(timedelta(milliseconds=1)))
        async with asyncio.timeout(10):
            while not comparing.behind:  # noqa: ASYNC110 - it is a flag that probes read
                await asyncio.sleep(0)
            cache.put_resource(view(6))
            while comparing.behind:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        running.cancel()

    asyncio.run(work())
    assert len(cache.resources) == 1


def test_a_key_reads_as_kubectl_writes_it() -> None:
    assert str(names.Key("shops", "shop")) == "shops/shop"
