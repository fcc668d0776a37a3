"""What one call of ``migrate`` has to say, before any of it is printed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schema_migrator.result import Result


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one call.

    Attributes:
        result: how it ended.
        text: what a person reads on standard output; None: the result's message.
        document: what ``--json`` prints; None: the result.
        note: one line beside the text, for standard error; empty: none.
        become: the command that the process becomes after a success.
    """

    result: Result
    text: str | None = None
    document: Mapping[str, Any] | None = None
    note: str = ""
    become: tuple[str, ...] = ()
