"""SchemaMigrations in each state that they can be in, with the status that the operator writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from schema_operator import resource
from schema_operator import status as statuses
from schema_operator.reason import Reason
from schema_operator.step import Verdict
from tests.operator.fix_operator import migration
from tests.operator.worlds import NOW, digest_of, wanted

README = (Path(__file__).parents[2] / "README.md").read_text()


def in_state(reason: Reason, generation: int = 1) -> dict[str, Any]:
    """A resource that the operator has looked at, as it stands on the API server."""
    verdict = Verdict(
        reason=reason,
        digest=digest_of(),
        words="in words",
        job="shop-abcdefghij",
        attempt=2,
        failures=1,
    )
    document = migration("shop")
    document["metadata"]["generation"] = generation
    document["status"] = statuses.compose(wanted(generation=generation), (), verdict, NOW)
    return document


def unseen() -> dict[str, Any]:
    """A resource that no operator has looked at, with the status that the API server fills in."""
    document = migration("shop")
    document["metadata"]["generation"] = 1
    document["status"] = dict(resource.FIRST_STATUS)
    return document


def outdated(reason: Reason) -> dict[str, Any]:
    """A resource whose spec has changed since the operator looked at it."""
    document = in_state(reason)
    document["metadata"]["generation"] = 2
    return document


def documented() -> dict[Reason, tuple[str, str]]:
    """What the README's table says of each reason: Ready, and the condition beside it."""
    table = README[README.index("| reason | Ready |") :].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in table.splitlines()[2:]]
    return {
        Reason(name): (ready, beside)
        for names, ready, beside in rows
        for name in re.findall(r"`(\w+)`", names)
    }
