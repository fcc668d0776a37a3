"""Other people's trees, each brought from nothing to its head by the migrator and by its own command.

Five published packages that carry a tree of Alembic's, each installed in an
environment of its own from ``requirements/trees/NAME.txt``. The two schemas
that come about are compared line by line, as ``pg_dump`` writes them.

- ``application`` names the packages, and what each of them needs;
- ``applications`` holds, for each, its own command and the migrator's prelude,
  which are called in its environment;
- ``environment`` installs one;
- ``schema`` dumps and compares.

``python -m local_trees --help`` is for people and for make.
"""
