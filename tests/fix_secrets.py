"""At the end of a run: no password or URL of a test's database stands in what the product wrote.

Looked through are the operator's logs and metrics, the migrator's output, reports and logs, and
every Job, pod, event and status of a test's namespace as it was when the test ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.witness import Account, Witness

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.fix_cluster import Objects

_ACCOUNT = pytest.StashKey[Account]()
_KINDS = ("job", "pod", "event", "schemamigration")
_SHOWN = 20


@pytest.fixture(scope="session")
def witness(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Witness:
    """Takes notes of what must not hold a secret."""
    return Witness(_folder(tmp_path_factory, pytestconfig))


def gather(objects: Objects) -> Iterable[tuple[str, str]]:
    """What stands on the API server in a namespace, and what its pods have written."""
    for kind in _KINDS:
        for name, text in objects.texts(kind):
            yield f"{kind} {objects.namespace}/{name}", text
    nodes = objects.cluster.folder.path / "nodes"
    for path in sorted(nodes.glob(f"*/pods/{objects.namespace}_*/*/log")):
        yield f"log of pod {path.parts[-3]}", path.read_text(errors="replace")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look through everything, once all processes of the run have ended, and fail the run."""
    factory = getattr(session.config, "_tmp_path_factory", None)
    if hasattr(session.config, "workerinput") or factory is None:
        return
    account = Witness(factory.getbasetemp()).account()
    session.config.stash[_ACCOUNT] = account
    if account.findings and session.exitstatus in {
        pytest.ExitCode.OK,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    }:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    account = config.stash.get(_ACCOUNT, None)
    if account is None or not account.secrets:
        return
    if account.findings:
        terminalreporter.section("secrets were written", red=True)
        for finding in account.findings[:_SHOWN]:
            terminalreporter.write_line(str(finding), red=True)
    terminalreporter.write_line(
        f"Secrets: {len(account.findings)} of {account.secrets} words found in {account.texts} texts"
    )


def _folder(factory: pytest.TempPathFactory, config: pytest.Config) -> Path:
    """The run's own folder; a worker's is inside it."""
    folder = factory.getbasetemp()
    return folder.parent if hasattr(config, "workerinput") else folder
