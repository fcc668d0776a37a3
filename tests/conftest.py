"""What all tests have in common: the fixtures, by theme, and the run without services."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = [
    "tests.fix_secrets",
    "tests.fix_cluster",
    "tests.fix_database",
    "tests.fix_migrator",
    "tests.operator.fix_operator",
    "tests.deploy.fix_helm",
    "tests.flux.fix_flux",
    "tests.end_to_end.fix_registry",
    "tests.images.fix_images",
    "tests.node.fix_site",
]

_SERVICES = {"postgres_servers", "cluster", "own_cluster", "flux_cluster", "helm", "kubeconform"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-services",
        action="store_true",
        help="run only the tests that need no PostgreSQL, no Kubernetes and no program of others",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("no_services"):
        return
    kept: list[pytest.Item] = []
    left: list[pytest.Item] = []
    for item in items:
        needs = item.get_closest_marker("service") or _SERVICES.intersection(
            getattr(item, "fixturenames", ())
        )
        (left if needs else kept).append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = kept


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "service: starts a service of its own")
    config.addinivalue_line(
        "markers", "faults: breaks things on purpose, and takes its time over it"
    )
