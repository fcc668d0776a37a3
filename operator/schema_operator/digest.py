"""The identity of a run: a digest of everything that decides what it would do.

Two spellings of the same wish have the same digest, and a digest once written
into a status has to stay the digest of that wish in every later release:
otherwise an upgrade of the operator would run every migration again. So a
digest carries the version of its recipe, members of later releases are in it
from the start with the values they have when absent, and an operator compares
with every recipe that it knows.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from schema_operator import kind

if TYPE_CHECKING:
    from schema_operator import resource
    from schema_operator.kind import Kind

RECIPE: Final = "v1"
"""The recipe of new digests."""


def of_run(
    uid: str, spec: resource.Spec, requested_at: str, run: Kind | None = None, due: str = ""
) -> str:
    """Return the digest of the run that a resource wants.

    Not in it, since a change of these starts no run: suspend, the timeouts,
    retry, historyLimit, and how the pod is scheduled and its image pulled.

    Args:
        uid: the resource's uid, so that a resource made again runs again.
        spec: what is wanted.
        requested_at: the annotation's value; the empty string where it is absent.
        run: the kind of run; None: the one that carries out the spec.
        due: when a verification was due, which tells it from the one before.
    """
    secret = spec.database.url_secret_ref
    force = spec.force
    wish: dict[str, Any] = {
        "uid": uid,
        "image": spec.image,
        "tree": spec.tree,
        "target": spec.target,
        "allowDowngrade": spec.allow_downgrade,
        "baseline": spec.baseline,
        "onDatabaseAhead": str(spec.on_database_ahead),
        "approval": str(spec.approval),
        "approvedPlan": spec.approved_plan,
        "force": None
        if force is None
        else {"incident": force.incident, "revision": force.revision},
        "requestedAt": requested_at,
        "secretRef": {"name": secret.name, "key": secret.key},
        "run": str(run or kind.of_wish(spec)),
    }
    if due:
        wish["due"] = due
    return f"{RECIPE}:{hashlib.sha256(_canonical(wish)).hexdigest()}"


@functools.lru_cache(maxsize=4096)
def of_database(namespace: str, secret: str, key: str) -> str:
    """Return the label value that all runs against one database have: 20 characters.

    The same database through two Secrets has two values: nobody here reads the
    URL. There the advisory lock in the database keeps the runs apart.
    """
    return _short(hashlib.sha256(_canonical([namespace, secret, key])).digest(), 20)


def job_name(name: str, run_digest: str, attempt: int) -> str:
    """Return the name of an attempt's Job: the resource's name and ten characters.

    The same attempt of the same run has the same name, so creating it twice is
    harmless. At most 58 characters, which leaves a pod's name its suffix.
    """
    return f"{name}-{_short(hashlib.sha256(f'{run_digest}/{attempt}'.encode()).digest(), 10)}"


def fraction(run_digest: str, attempt: int) -> float:
    """Return a number from 0 up to 1 that is always the same for one attempt."""
    hashed = hashlib.sha256(f"{run_digest}/{attempt}/jitter".encode()).digest()
    return int.from_bytes(hashed[:4], "big") / 2**32


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _short(hashed: bytes, characters: int) -> str:
    return base64.b32encode(hashed).decode("ascii").lower()[:characters]
