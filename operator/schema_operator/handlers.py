"""The border to kopf: its login and its settings.

kopf is the frame that the operator lives in: it takes the signals, and it ends
everything in order when a part of it fails. It is told of no resource, so it
writes none: no annotation, no finalizer.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import kopf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kubernetes.aio import client

_LOGIN_LASTS: Final = timedelta(minutes=5)
"""A login is repeated this often, since a mounted token is replaced under its path."""


class _Backoffs:
    """Waits without an end: an API server that is away for an hour is waited for."""

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            yield min(30.0, 2.0 ** min(attempt, 5)) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests, guards nothing


def settings() -> kopf.OperatorSettings:
    """Return how kopf shall behave."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    return chosen


def registry(
    configuration: Callable[[], Awaitable[client.Configuration]],
) -> kopf.OperatorRegistry:
    """Return the handlers.

    Args:
        configuration: returns how to reach the API server, with a token as new as can be.
    """
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(await configuration())

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
