"""The digest of a run: what changes it, and that it never changes by itself."""

from __future__ import annotations

from typing import Any

import pytest

from schema_operator import digest
from schema_operator.kind import Kind
from tests.operator.worlds import UID, digest_of, spec


def test_a_digest_is_for_ever() -> None:
    """An upgrade that changes these would run every migration of every cluster again."""
    assert digest_of() == "v1:2edf452246a21c2404d872d12f11d4523e76d8d302af7210a9e49c4e4604ec1a"
    everything = spec(
        tree="shop:migrations",
        target="0007",
        allowDowngrade=True,
        onDatabaseAhead="Accept",
        database={"urlSecretRef": {"name": "shop-db", "key": "URL"}},
    )
    assert (
        digest_of(everything, "2026-03-01")
        == "v1:bee6678922318277b10d79ff3cd7fb8e1589cf453850f80514b84fe84495b2cd"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "registry.example/shop:2"},
        {"tree": "shop"},
        {"target": "0001"},
        {"allowDowngrade": True},
        {"onDatabaseAhead": "Accept"},
        {"database": {"urlSecretRef": {"name": "other"}}},
        {"database": {"urlSecretRef": {"name": "shop-db", "key": "OTHER"}}},
    ],
)
def test_what_decides_a_run_changes_its_digest(changes: dict[str, Any]) -> None:
    assert digest_of(spec(**changes)) != digest_of()


@pytest.mark.parametrize(
    "changes",
    [
        {"suspend": True},
        {"timeout": "1h"},
        {"lockTimeout": "5s"},
        {"statementTimeout": "1m"},
        {"retry": {"limit": 1}},
        {"historyLimit": 0},
        {"imagePullPolicy": "Always"},
        {"podTemplate": {"nodeSelector": {"disk": "fast"}}},
        {"imagePullSecrets": [{"name": "pull"}]},
        {"target": "head", "allowDowngrade": False, "onDatabaseAhead": "Block"},
    ],
)
def test_what_does_not_decide_a_run_leaves_its_digest(changes: dict[str, Any]) -> None:
    assert digest_of(spec(**changes)) == digest_of()


def test_a_request_and_another_resource_change_it() -> None:
    assert digest_of(requested_at="now") != digest_of()
    assert digest.of_run("other", spec(), "") != digest_of()
    assert digest.of_run(UID, spec(), "", run=Kind.PLAN) != digest_of()


def test_the_database_label_fits_a_label() -> None:
    assert len(digest.of_database("n" * 63, "s" * 253, "k" * 253)) == 20
