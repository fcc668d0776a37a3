"""One operator at work, others standing by: an election by a Lease.

A Lease makes two at once rare, not impossible; what makes two harmless is
elsewhere. It is renewed by conditional writes, so a stale holder can't take it
back, and time is measured on this machine's own steady clock: another machine's
clock is never compared with.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from schema_operator import errors

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_PATIENCE_SECONDS: Final = 0.5
"""The wait after a request for the Lease that came to nothing."""


class LeaseApi(Protocol):
    """What an election asks of the API server; ``seconds`` bounds each request."""

    async def get_lease(self, namespace: str, name: str, seconds: float) -> dict[str, Any] | None:
        """Return a Lease; None where there is none."""

    async def write_lease(self, lease: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Create a Lease, or replace it at the resourceVersion that it bears."""

    async def watch_lease(self, namespace: str, name: str, version: str, seconds: float) -> None:
        """Return when a Lease has changed since that version, or after so many seconds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was last seen of another's Lease, and when by our own clock."""

    record: tuple[Any, ...]
    at: float


class Election:
    """A candidate.

    Attributes:
        identity: the candidate's name, unlike any other's.
    """

    def __init__(  # noqa: PLR0913 - what a candidate consists of
        self,
        api: LeaseApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        duration: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self._api = api
        self._namespace = namespace
        self._name = name
        self._seconds = duration.total_seconds()
        self._clock = clock
        self._lease: dict[str, Any] | None = None
        self._renewed = 0.0

    async def lead(self) -> None:
        """Return once the Lease is ours."""
        seen: _Seen | None = None
        while True:
            try:
                lease = await self._api.get_lease(self._namespace, self._name, self._bound)
                spec = {} if lease is None else lease["spec"]
                record = (spec.get("holderIdentity"), spec.get("renewTime"))
                if seen is None or seen.record != record:
                    seen = _Seen(record=record, at=self._clock())
                holds_for = float(spec.get("leaseDurationSeconds") or self._seconds)
                left = seen.at + holds_for - self._clock()
                if lease is None or not spec.get("holderIdentity") or left <= 0:
                    await self._take(lease)
                    log.info("leading", extra={"identity": self.identity})
                    return
                version = lease["metadata"]["resourceVersion"]
                await self._api.watch_lease(self._namespace, self._name, version, left)
            except (errors.ConflictError, errors.AlreadyExistsError):
                continue  # somebody was quicker
            except errors.ApiError as error:
                log.warning("the Lease could not be had", extra={"error": str(error)})
                await asyncio.sleep(_PATIENCE_SECONDS)

    async def keep(self) -> NoReturn:
        """Renew the Lease for ever.

        Raises:
            LostLeaseError: another has it, or it could not be renewed in time
                for nobody else to have it.
        """
        while True:
            await asyncio.sleep(self._seconds / 3)
            while True:
                try:
                    await self._renew()
                    break
                except errors.ApiError as error:
                    if self._clock() - self._renewed > self._seconds * 2 / 3:
                        raise errors.LostLeaseError(
                            f"the Lease was not renewed: {error}"
                        ) from error
                await asyncio.sleep(_PATIENCE_SECONDS)

    async def release(self) -> None:
        """Give the Lease up, so that the next need not wait for its end."""
        if self._lease is None:
            return
        lease = self._lease
        self._lease = None
        lease["spec"]["holderIdentity"] = ""
        try:
            await self._api.write_lease(lease, self._bound)
        except errors.ApiError as error:
            log.warning("the Lease was not given up", extra={"error": str(error)})

    @property
    def _bound(self) -> float:
        """The longest that one request may take: three fit into the Lease."""
        return self._seconds / 4

    async def _take(self, lease: dict[str, Any] | None) -> None:
        began = self._clock()
        now = _stamp()
        if lease is None:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"namespace": self._namespace, "name": self._name},
                "spec": {"leaseTransitions": -1},
            }
        lease["spec"] |= {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": math.ceil(self._seconds),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": lease["spec"].get("leaseTransitions", 0) + 1,
        }
        self._lease = await self._api.write_lease(lease, self._bound)
        self._renewed = began

    async def _renew(self) -> None:
        assert self._lease is not None  # noqa: S101 - nothing is kept that was not taken
        began = self._clock()
        self._lease["spec"]["renewTime"] = _stamp()
        try:
            self._lease = await self._api.write_lease(self._lease, self._bound)
        except errors.ConflictError:
            # Somebody wrote it, or an answer of ours was lost on its way: look who has it.
            lease = await self._api.get_lease(self._namespace, self._name, self._bound)
            if lease is None or lease["spec"].get("holderIdentity") != self.identity:
                self._lease = None
                raise errors.LostLeaseError("another operator has the Lease") from None
            self._lease = lease
            raise
        self._renewed = began


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
