"""One call of ``migrate``: its words and options, and what they lead to."""

from __future__ import annotations

import dataclasses
import functools
import os
import socket
from typing import TYPE_CHECKING, Any

from schema_migrator import loading

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from schema_migrator.console import Console
    from schema_migrator.location import Location
    from schema_migrator.place import Place
    from schema_migrator.run import Run
    from schema_migrator.setup import Setup
    from schema_migrator.terminal import Terminal
    from schema_migrator.tree import Tree
    from schema_migrator.url import DatabaseURL


def own_version() -> str:
    """Return the migrator's own version."""
    from importlib import metadata

    return metadata.version("schema-operator")


def load(values: Mapping[str, Any]) -> Tree:
    """Return the tree that the options name.

    Raises:
        ConfigurationError: there is none, or it does not load.
    """
    from schema_migrator import tree

    return tree.load(values["tree"], read_setup(values))


def find(values: Mapping[str, Any]) -> Location:
    """Return where the tree that the options name keeps its revisions, be there any or none.

    Raises:
        ConfigurationError: there is no such directory.
    """
    from schema_migrator import location

    return location.with_versions(location.locate(values["tree"]), read_setup(values))


def read_setup(values: Mapping[str, Any]) -> Setup:
    """Return what the tree that the options name needs.

    Raises:
        ConfigurationError: there is no such tree, or its ``migrate.toml`` is wrong.
    """
    from schema_migrator import location, setup

    return setup.read(location.locate(values["tree"]).directory, values)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One call, understood.

    Attributes:
        words: what argparse made of the command line.
        values: each option's value, by its name in Python.
        url: where the database is.
        console: who is told what happens meanwhile.
        terminal: where the answer is shown.
    """

    words: argparse.Namespace
    values: Mapping[str, Any]
    url: DatabaseURL = dataclasses.field(repr=False)
    console: Console
    terminal: Terminal

    @functools.cached_property
    def place(self) -> Place:
        """The database, and who asks."""
        from schema_migrator.database import Settings
        from schema_migrator.history import Author
        from schema_migrator.place import Place

        values = self.values
        return Place(
            url=self.url,
            settings=Settings(
                lock_timeout=values["lock_timeout"], statement_timeout=values["statement_timeout"]
            ),
            version_table=self.setup.version_table,
            version_table_schema=self.setup.version_table_schema,
            author=Author(
                run=values["run_id"] or os.urandom(6).hex(),
                host=values["pod"] or socket.gethostname(),
                image=values["image"],
                migrator=own_version(),
            ),
        )

    @functools.cached_property
    def setup(self) -> Setup:
        """What the tree needs."""
        return read_setup(self.values)

    @functools.cached_property
    def tree(self) -> Tree:
        """The tree."""
        return load(self.values)

    def run(self) -> Run:
        """Return a run on the database, along the tree."""
        with loading.undisturbed():
            from schema_migrator.run import Run

            return Run(self.place, self.tree, self.console, timeout=self.values["timeout"])
