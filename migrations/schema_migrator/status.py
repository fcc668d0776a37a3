"""The state of every revision in one database: ``status``. Creates nothing, takes no lock."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from schema_migrator import chronicle, database, duration, route, table
from schema_migrator.answer import Answer
from schema_migrator.history import read_position, show_position
from schema_migrator.place import observe
from schema_migrator.result import VERSION, Outcome, Result
from schema_migrator.run import in_progress
from schema_migrator.step import dirty_message

if TYPE_CHECKING:
    from schema_migrator.chronicle import Entry, Recording
    from schema_migrator.history import State
    from schema_migrator.place import Place
    from schema_migrator.route import Condition
    from schema_migrator.terminal import Terminal
    from schema_migrator.tree import Revision, Tree

_COLOURS = {
    "applied": "green",
    "pending": "yellow",
    "running": "yellow",
    "interrupted": "yellow",
    "edited": "red",
    "dirty": "red",
    "unknown": "red",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One revision in one database.

    Attributes:
        id: its id.
        title: for people; empty for one that the tree does not have.
        state: ``applied``, ``edited``, ``pending``, ``running``, ``interrupted``,
            ``dirty``, or ``unknown`` for one that is applied and not in the tree.
        entry: how it was applied, where the history tells.
        recording: what vouches for it instead, where somebody recorded it.
    """

    id: str
    title: str
    state: str
    entry: Entry | None = None
    recording: Recording | None = None

    def document(self) -> dict[str, Any]:
        entry, recording = self.entry, self.recording
        found: dict[str, Any] = {"revision": self.id, "title": self.title, "state": self.state}
        if entry is not None:
            found |= {
                "appliedAt": entry.at.isoformat(),
                "durationSeconds": round(entry.seconds, 3),
                "lockWaitSeconds": round(entry.lock_wait, 3),
                "host": entry.host,
                "image": entry.image,
                "user": entry.user,
                "run": entry.run,
                "checksum": entry.checksum,
            }
        elif recording is not None:
            found |= {
                "recordedAt": recording.at.isoformat(),
                "recordedBy": recording.kind,
                "host": recording.host,
                "reason": recording.reason,
            }
        return {key: value for key, value in found.items() if value is not None}

    def cells(self) -> list[table.Cell]:
        entry, recording = self.entry, self.recording
        at = took = by = ""
        if entry is not None:
            at, took = f"{entry.at:%Y-%m-%d %H:%M:%S %Z}", duration.show(entry.seconds)
            by = f"{entry.user} on {entry.host}" + (f", {entry.image}" if entry.image else "")
        elif recording is not None:
            at, took = f"{recording.at:%Y-%m-%d %H:%M:%S %Z}", "not run"
            by = f"{recording.kind} on {recording.host}"
        elif self.state in ("applied", "unknown"):
            by = "outside of migrate"
        return [
            (self.id, ""),
            (self.state, _COLOURS[self.state]),
            (at, ""),
            (took, ""),
            (by, ""),
            (self.title, "dim"),
        ]


def status(place: Place, tree: Tree, terminal: Terminal) -> Answer:
    """Return the state of every revision, and what there is to do about the database.

    Args:
        place: the database.
        tree: the tree.
        terminal: where a person will read it.

    Raises:
        MigratorError: the database can't be read.
    """
    started = time.monotonic()
    with place.connect() as connection:
        names = place.names(connection)
        state = observe(connection, names)
        entries = chronicle.read_entries(connection, names, state)
        recordings = chronicle.read_recordings(connection, names, state)
        server = database.show_version(connection)
    condition = route.assess(state, tree)
    lines = _lines(tree, state, condition, entries, recordings)
    pending = len(lines) - sum(one.state in ("applied", "edited", "unknown") for one in lines)
    notes = _notes(tree, state, condition, lines, pending)
    dirty = isinstance(condition, route.Dirty)
    report = Result(
        outcome=Outcome.UP_TO_DATE,
        to=show_position(state.position),
        target=show_position(tree.heads),
        pending=pending,
        dirty=dirty,
        incident=condition.row.incident if isinstance(condition, route.Dirty) else None,
        message=notes[0],
        duration_seconds=time.monotonic() - started,
        server=server,
        migrator=place.author.migrator,
    )
    shown = table.render(
        ("revision", "state", "applied at", "took", "by", "title"),
        [one.cells() for one in lines],
        terminal,
    )
    return Answer(
        result=report,
        text="\n".join([*shown, "", *notes]),
        document=_document(report, state, condition, lines, notes),
    )


def _lines(
    tree: Tree,
    state: State,
    condition: Condition,
    entries: dict[str, Entry],
    recordings: tuple[Recording, ...],
) -> list[_Line]:
    known = tuple(one for one in state.position if tree.has(one))
    applied = tree.applied(known)
    edited = set(chronicle.edited(tree, applied, entries))
    lines = []
    for revision in tree.all_revisions():
        is_applied = revision.id in applied
        entry = entries.get(revision.id) if is_applied else None
        lines.append(
            _Line(
                id=revision.id,
                title=revision.title,
                state=_state(revision, condition, is_applied=is_applied, edited=edited),
                entry=entry,
                recording=_recording(tree, revision, recordings)
                if is_applied and not entry
                else None,
            )
        )
    return lines + [
        _Line(id=one, title="", state="unknown", entry=entries.get(one))
        for one in tree.unknown(state.position)
    ]


def _state(revision: Revision, condition: Condition, *, is_applied: bool, edited: set[str]) -> str:
    if not isinstance(condition, route.Clean) and condition.row.revision == revision.id:
        if isinstance(condition, route.Dirty):
            return "dirty"
        live = isinstance(condition, route.InProgress) and condition.row.live
        return "running" if live else "interrupted"
    if revision.id in edited:
        return "edited"
    return "applied" if is_applied else "pending"


def _recording(
    tree: Tree, revision: Revision, recordings: tuple[Recording, ...]
) -> Recording | None:
    """Return the last recording of a position that stands on a revision."""
    for one in reversed(recordings):
        position = read_position(one.position)
        if not tree.unknown(position) and revision.id in tree.applied(position):
            return one
    return None


def _notes(
    tree: Tree, state: State, condition: Condition, lines: list[_Line], pending: int
) -> list[str]:
    """Return the sentences below the table: where the database is, and what to do."""
    position = show_position(state.position)
    first = f"the database is at {position}"
    first += f", {pending} pending" if pending else ""
    notes = [first]
    if ahead := tree.unknown(state.position):
        notes.append(f"ahead: the tree does not have {', '.join(ahead)}; use a newer image")
    if state.last_position is not None and state.last_position != position:
        lost = not state.position
        notes.append(
            f"moved outside of migrate: the history ended at {state.last_position}"
            + (
                f"; if the version table was emptied, record where the database is: migrate force {state.last_position}"
                if lost
                else ""
            )
        )
    if changed := [one.id for one in lines if one.state == "edited"]:
        notes.append(
            f"edited since they were applied: {', '.join(changed)}; what was run is not what the tree says now"
        )
    match condition:
        case route.Dirty(row):
            notes.append(dirty_message(row))
        case route.InProgress():
            notes.append(in_progress(condition))
        case route.Healable(row):
            notes.append(
                f"an index statement of revision {row.revision} was interrupted; the next run clears it away and goes on"
            )
        case route.Resumable(row):
            notes.append(
                f"revision {row.revision} was interrupted; the next run resumes it, as it declares"
            )
        case route.Clean():
            pass
    return notes


def _document(
    report: Result, state: State, condition: Condition, lines: list[_Line], notes: list[str]
) -> dict[str, Any]:
    incident = None
    if isinstance(condition, route.Dirty):
        row = condition.row
        incident = {
            "id": row.incident,
            "revision": row.revision,
            "direction": row.direction,
            "startedAt": row.started_at.isoformat(),
            "host": row.who,
            "statementNumber": row.statement_number,
            "statement": row.statement,
        }
    moved = state.last_position is not None and state.last_position != report.to
    return {
        "v": VERSION,
        "position": report.to,
        "heads": report.target,
        "pending": report.pending,
        "dirty": report.dirty,
        "movedOutside": moved,
        "incident": incident,
        "revisions": [one.document() for one in lines],
        "notes": notes,
        "server": report.server,
        "migrator": report.migrator,
    }
