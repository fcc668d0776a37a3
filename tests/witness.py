"""What the operator and the migrator wrote in a run of the tests, and the secrets that must not be in it.

Each process of the run notes both in a folder that all have in common; who reads the folder at the
end finds what was written where it must not stand.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOGS = "**/*.log"
"""The operator's logs, which lie in the folders of their tests; but for the cluster's own."""

_SHORTEST = 12
"""The shortest password that is looked for by itself: a shorter one may well be a word."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A secret in a text.

    Attributes:
        source: whose text.
        around: the words around it, without it.
    """

    source: str
    around: str

    def __str__(self) -> str:
        return f"{self.source}: …{self.around}…"


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """What a look at all texts came to."""

    texts: int
    secrets: int
    findings: tuple[Finding, ...]


class Witness:
    """Takes notes in a folder.

    Args:
        folder: that of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._notes = folder / "written"

    def secret(self, url: str) -> None:
        """Notes a database's URL: neither it nor its password may stand in what is written."""
        self._note("secrets", {"url": url})

    def text(self, source: str, text: str) -> None:
        """Notes what was written."""
        self._note("texts", {"source": source, "text": text})

    def account(self) -> Account:
        """Looks for every secret in every text, and in the logs."""
        words = {word for url in self._notes_of("secrets") for word in _words(url["url"])}
        texts = 0
        findings: list[Finding] = []
        for source, text in self._texts():
            texts += 1
            findings += _find(source, text, words)
        return Account(texts, len(words), tuple(findings))

    def _texts(self) -> Iterator[tuple[str, str]]:
        for note in self._notes_of("texts"):
            yield note["source"], note["text"]
        for path in sorted(self._folder.glob(LOGS)):
            name = path.relative_to(self._folder)
            if name.parts[0] != "cluster" and path.is_file():
                yield str(name), path.read_text(errors="replace")

    def _note(self, kind: str, note: dict[str, str]) -> None:
        self._notes.mkdir(exist_ok=True)
        with (self._notes / f"{kind}-{os.getpid()}").open("a", encoding="utf-8") as file:
            file.write(json.dumps(note) + "\n")

    def _notes_of(self, kind: str) -> Iterator[dict[str, str]]:
        for path in sorted(self._notes.glob(f"{kind}-*")):
            with path.open(encoding="utf-8") as file:
                yield from map(json.loads, file)


def _words(url: str) -> set[str]:
    """What of a URL must not be written: itself, and its password as it is spelt anywhere."""
    words = {url}
    user, _, password = urlsplit(url).netloc.rpartition("@")[0].partition(":")
    if password:
        words.add(f"{user}:{password}@")
    if len(password) >= _SHORTEST:
        words |= {password, unquote(password)}
    return words


def _find(source: str, text: str, words: set[str]) -> Iterator[Finding]:
    for word in words:
        start = text.find(word)
        if start >= 0:
            before, after = text[max(0, start - 60) : start], text[start + len(word) :][:20]
            around = f"{before}[the secret]{after}"
            for other in words:
                around = around.replace(other, "[the secret]")
            yield Finding(source, " ".join(around.split()))
