"""``python -m schema_migrator``: the command ``migrate`` where no script of it is on the path."""

from __future__ import annotations

from schema_migrator.entry import main

if __name__ == "__main__":
    main()
