"""What the operator can be told when it starts."""

from __future__ import annotations

import dataclasses
import enum
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class LogFormat(enum.StrEnum):
    """How a line of the log looks."""

    JSON = "json"
    TEXT = "text"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodDefaults:
    """What every migrator's pod gets where its resource says nothing of it.

    Attributes:
        start_allowance: how long a pod may take to start its migrator.
        requests: what of the node is set aside for it, by the name of what it is: ``{"cpu": "50m"}``.
        limits: the most of it that it may take, likewise.
    """

    start_allowance: timedelta = timedelta(hours=1)
    requests: Mapping[str, str] = dataclasses.field(
        default_factory=lambda: {"cpu": "50m", "memory": "64Mi"}
    )
    limits: Mapping[str, str] = dataclasses.field(default_factory=lambda: {"memory": "256Mi"})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator was told.

    Attributes:
        namespaces: only these; empty: the whole cluster.
        kubeconfig: where to find the API server; None: as a pod does.
        workers: how many resources are looked after at the same moment.
        maximum_runs: how many migrators may be at work at the same moment.
        allowed_images: patterns of images that may be run, where * stands for anything; empty: all.
        pods: what migrators' pods get.
        resync: how often what is known is compared with what exists.
        health_listen: the address and port of health and metrics; None: none.
        lease_namespace: where the Lease is that keeps to one operator at work; None: no election.
        lease_name: the name of that Lease.
        lease_duration: how long it lasts unless it is renewed.
        log_format: how a line of the log looks.
        verbose: whether to log what is only of use to a developer.
    """

    namespaces: tuple[str, ...] = ()
    kubeconfig: Path | None = None
    workers: int = 16
    maximum_runs: int = 100
    allowed_images: tuple[str, ...] = ()
    pods: PodDefaults = PodDefaults()
    resync: timedelta = timedelta(minutes=10)
    health_listen: tuple[str, int] | None = None
    lease_namespace: str | None = None
    lease_name: str = "schema-operator"
    lease_duration: timedelta = timedelta(seconds=15)
    log_format: LogFormat = LogFormat.JSON
    verbose: bool = False
