"""The kinds of runs."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from schema_operator.parts import Approval

if TYPE_CHECKING:
    from schema_operator import resource


class Kind(enum.StrEnum):
    """What a run is for."""

    APPLY = "apply"
    """It moves the database."""

    PLAN = "plan"
    """It says what a run would do, for a person to approve, and changes nothing."""

    VERIFY = "verify"
    """It looks whether the database is still where it was left, and changes nothing."""


def of_wish(spec: resource.Spec) -> Kind:
    """Return the kind of run that carries out a spec.

    Where somebody has to approve a plan, the plan is made first. A resolution
    writes to the database, which a plan never does: the run that carries it out
    ends with the plan instead of carrying that out too.
    """
    if is_unapproved(spec) and spec.force is None:
        return Kind.PLAN
    return Kind.APPLY


def is_unapproved(spec: resource.Spec) -> bool:
    """Tell whether a plan has to be approved and none was."""
    return spec.approval is Approval.REQUIRED and spec.approved_plan is None
