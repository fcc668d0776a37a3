"""What the API server was asked, by whom, and when: its audit log.

A client's own count can miss what a library asks besides, and counts what never
arrived. This one can't.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

POLICY: Final[dict[str, Any]] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "nonResourceURLs": ["*"]},  # probes and discovery
        # One line a request: a watch's when it begins, any other's when it was answered.
        {
            "level": "Metadata",
            "verbs": ["watch"],
            "omitStages": ["RequestReceived", "ResponseComplete"],
        },
        # What a node says of a pod, since its time alone does not tell a start from an end.
        {
            "level": "Request",
            "resources": [{"group": "", "resources": ["pods/status"]}],
            "omitStages": ["RequestReceived", "ResponseStarted"],
        },
        {"level": "Metadata", "omitStages": ["RequestReceived", "ResponseStarted"]},
    ],
}
"""Who asked for what, and no body that may hold a Secret."""

READS: Final = frozenset({"get", "list"})
"""The verbs that ask for objects once."""

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
"""The verbs that change objects."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that was answered, or one watch that began.

    Attributes:
        user: who asked, such as ``system:serviceaccount:NAMESPACE:NAME``.
        agent: what the program called itself.
        verb: ``get``, ``list``, ``watch``, ``create``, ``update``, ``patch``, ``delete``.
        resource: such as ``jobs`` or ``schemamigrations/status``.
        namespace: where, or the empty string.
        name: which object; the empty string where the server chose it or there are many.
        code: the HTTP status of the answer.
        received: when it came.
        answered: when the answer was complete; of a watch, when it began.
        body: what was sent; None for everything but the statuses of pods.
    """

    user: str
    agent: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    received: datetime
    answered: datetime
    body: dict[str, Any] | None = None

    @classmethod
    def read(cls, line: bytes) -> Request:
        """Takes up a line of the log.

        Args:
            line: one JSON object.
        """
        event = json.loads(line)
        what = event.get("objectRef") or {}
        subresource = what.get("subresource")
        return cls(
            user=event["user"].get("username", ""),
            agent=event.get("userAgent", ""),
            verb=event["verb"],
            resource=what.get("resource", "") + (f"/{subresource}" if subresource else ""),
            namespace=what.get("namespace", ""),
            name=what.get("name", ""),
            code=(event.get("responseStatus") or {}).get("code", 0),
            received=datetime.fromisoformat(event["requestReceivedTimestamp"]),
            answered=datetime.fromisoformat(event["stageTimestamp"]),
            body=event.get("requestObject"),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class AuditLog:
    """The log of one API server.

    Attributes:
        path: the file.
    """

    path: Path

    def end(self) -> int:
        """A mark for :meth:`since`: what is there by now comes before it."""
        return self.path.stat().st_size

    def since(self, mark: int, user: str) -> list[Request]:
        """What a user has asked, in the order of the answers.

        An answer reaches its client a moment before its line reaches the log.

        Args:
            mark: as :meth:`end` returned it.
            user: the user's whole name.
        """
        wanted = f'"username":{json.dumps(user)}'.encode()
        found = []
        with self.path.open("rb") as log:
            log.seek(mark)
            for line in log:
                # Half a line is one that is being written.
                if line.endswith(b"\n") and wanted in line:
                    request = Request.read(line)
                    if request.user == user:
                        found.append(request)
        return found
