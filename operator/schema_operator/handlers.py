"""The border to kopf: its events into our intake, and its settings.

Of kopf only login, list and watch of the resources, and the life of the process
are used, through an event handler, which stores nothing on the resources: no
annotation, no finalizer, no write at all.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import kopf

from schema_operator import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kubernetes.aio import client

    from schema_operator.intake import Intake

_LOGIN_LASTS: Final = timedelta(minutes=5)
"""A login is repeated this often, since a mounted token is replaced under its path."""


class _Backoffs:
    """Waits without an end: an API server that is away for an hour is waited for."""

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            yield min(30.0, 2.0 ** min(attempt, 5)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, guards nothing


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last handled state: it would be built anew from every event, and nobody asks."""

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:
        """Return nothing of the body."""
        del body, extra_fields
        return kopf.BodyEssence({})

    def fetch(self, *, body: kopf.Body) -> None:
        """Return no state."""

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


class _NoProgress(kopf.ProgressStorage):
    """Keeps no progress: event handlers have none."""

    def fetch(self, *, key: str, body: kopf.Body) -> None:
        """Return no progress."""

    def store(self, *, key: str, record: object, body: kopf.Body, patch: kopf.Patch) -> None:
        """Store nothing."""

    def purge(self, *, key: str, body: kopf.Body, patch: kopf.Patch) -> None:
        """Purge nothing."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Touch nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Return what came."""
        return essence


def settings() -> kopf.OperatorSettings:
    """Return how kopf shall behave."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.persistence.diffbase_storage = _NoDiffBase()
    chosen.persistence.progress_storage = _NoProgress()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    # Every object keeps a task and its body for this long; the default is five seconds.
    chosen.queueing.idle_timeout = 0.05
    chosen.watching.chunk_size = 200
    chosen.watching.connect_timeout = 5
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    return chosen


def registry(
    intake: Intake, configuration: Callable[[], Awaitable[client.Configuration]]
) -> kopf.OperatorRegistry:
    """Return the handlers.

    Args:
        intake: what takes over the events.
        configuration: returns how to reach the API server, with a token as new as can be.
    """
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(await configuration())

    @kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=handlers)
    async def resource(event: kopf.RawEvent, **_: Any) -> None:
        intake.resource(event["type"], event["object"])

    return handlers


def connection(configuration: client.Configuration) -> kopf.ConnectionInfo:
    """Return the client's connection in kopf's form."""
    scheme, _, token = configuration.api_key.get("BearerToken", "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=(scheme or "Bearer").capitalize() if token else None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        expiration=datetime.now(UTC) + _LOGIN_LASTS if token else None,
    )
