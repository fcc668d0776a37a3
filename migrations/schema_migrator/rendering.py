"""What a revision would send, rendered without a database.

An SQL file is sent as it is. A Python revision is called in Alembic's offline
mode, which writes statements down instead of sending them. One that reads data,
or asks whether it is offline, does something else in a run than it would
render: of that one nothing is shown.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import hashlib
import io
import sys
from typing import TYPE_CHECKING, Any

from schema_migrator import effect, sql_file, statement
from schema_migrator.effect import REWRITES
from schema_migrator.result import Plan

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schema_migrator.effect import Effect
    from schema_migrator.tree import Step, Tree


class Faith(enum.StrEnum):
    """How far what is shown is what will run."""

    EXACT = "exact"
    """An SQL file: every byte of it."""

    RENDERED = "rendered"
    """Python that rendered offline: the same statements, unless it makes values up each time."""

    AT_RUN_TIME = "at run time"
    """Python that reads the database first: it is not known beforehand."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """One step as it would run.

    Attributes:
        step: the step.
        faith: how far this is what will run.
        text: the statements; empty where they are not known beforehand.
        reason: why they are not, in a few words.
        in_transaction: whether all of it runs inside one transaction; None: not known.
        locks: the locks on what is there already.
        removes: what it removes.
        is_known: whether locks and removals are all known.
    """

    step: Step
    faith: Faith
    text: str = ""
    reason: str = ""
    in_transaction: bool | None = None
    locks: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    is_known: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, in hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def destructive(self) -> tuple[str, ...]:
        """What it removes, as a plan lists it; what is not known is named too."""
        found = self.removes if self.is_known else (*self.removes, _UNKNOWN)
        return tuple(f"{self.step.revision}: {what}" for what in found)


_UNKNOWN = "what it removes is not known before it runs"


def propose(plan_id: str, shown: Iterable[Rendering]) -> Plan:
    """Return a plan for a person to approve.

    Args:
        plan_id: its id.
        shown: its steps.
    """
    several = tuple(shown)
    return Plan(
        id=plan_id,
        revisions=tuple(one.step.revision for one in several),
        destructive=tuple(what for one in several for what in one.destructive),
    )


def render(tree: Tree, step: Step) -> Rendering:
    """Return a step as it would run.

    Args:
        tree: the step's tree.
        step: the step.

    Raises:
        ConfigurationError: an SQL file can't be read.
    """
    if step.is_sql:
        script = sql_file.read(step.path)
        return _seen(step, Faith.EXACT, script.text, in_transaction=not script.outside)
    if tree.setup.with_env:
        return Rendering(
            step=step, faith=Faith.AT_RUN_TIME, reason="env.py configures it when it runs"
        )
    source = step.path.read_text(encoding="utf-8", errors="replace")
    if "is_offline_mode" in source or "as_sql" in source:
        return Rendering(
            step=step, faith=Faith.AT_RUN_TIME, reason="it asks whether it is rendered offline"
        )
    try:
        text = _offline(tree, step)
    except _AskedError as error:
        return Rendering(step=step, faith=Faith.AT_RUN_TIME, reason=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a revision raises without its database
        return Rendering(
            step=step,
            faith=Faith.AT_RUN_TIME,
            reason=f"it does not render without the database ({type(error).__name__})",
        )
    return _seen(step, Faith.RENDERED, text, in_transaction=None)


def _seen(step: Step, faith: Faith, text: str, *, in_transaction: bool | None) -> Rendering:
    """Return a rendering with what its statements do."""
    statements = statement.split(text)
    if in_transaction is None:
        in_transaction = not any(one.begins("COMMIT") for one in statements)
    effects = [effect.find(one) for one in statements]
    return Rendering(
        step=step,
        faith=faith,
        text=text.strip(),
        in_transaction=in_transaction,
        locks=_locks(effects),
        removes=tuple(dict.fromkeys(what for one in effects for what in one.removes)),
        is_known=all(one.is_known for one in effects),
    )


def _locks(effects: Iterable[Effect]) -> tuple[str, ...]:
    """Return the locks on what was there before: nobody waits for a table that the step itself makes."""
    made: set[str | None] = set()
    found: dict[str, None] = {}
    for one in effects:
        made.add(one.makes)
        found |= {
            lock: None
            for lock in one.locks
            if lock.partition(" on ")[2].removesuffix(REWRITES) not in made
        }
    return tuple(found)


class _AskedError(BaseException):
    """A revision asked whether it is rendered; past its own ``except Exception``."""


def _offline(tree: Tree, step: Step) -> str:
    """Return what a Python revision renders in Alembic's offline mode."""
    from alembic.operations import Operations
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext
    from sqlalchemy.dialects import postgresql

    from schema_migrator import naming
    from schema_migrator.environment import configuration

    directory = tree.alembic
    script = directory.get_revision(step.revision)
    function = script.module.upgrade if step.up else script.module.downgrade
    output = io.StringIO()
    environment = EnvironmentContext(configuration(tree.location), directory)
    # The proxy behind `from alembic import context` stands for this class alone, and calls its instance's attributes.
    vars(environment)["is_offline_mode"] = _asked
    options: dict[str, Any] = {
        "script": directory,
        "as_sql": True,
        "output_buffer": output,
        "target_metadata": naming.load_metadata(tree.setup.target_metadata),
    }
    dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
    context = MigrationContext(dialect, None, options, environment)
    environment._migration_context = context  # noqa: SLF001 - what env.py's configure() would set
    # What a revision prints belongs neither to the plan nor to its reader's parser.
    with contextlib.redirect_stdout(sys.stderr), environment, Operations.context(context):
        function()
    return output.getvalue()


def _asked() -> bool:
    """Answer nothing to a revision that asks whether it is offline."""
    raise _AskedError("it asks whether it is rendered offline")
