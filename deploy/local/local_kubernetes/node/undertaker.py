"""Ends a node's containers when the node itself was killed.

A program of its own that holds the reading end of a pipe. It is told each
session that begins and ends; when the pipe closes, the node is gone, and what
is left of the sessions is killed. The kernel already kills a container's first
process with its parent; this is for its children.
"""

from __future__ import annotations

import os
import sys

from local_kubernetes.processes import kill_strays


def main(folder: str) -> int:
    """Reads until the node ends.

    Args:
        folder: the node's; it stands in the environment of every container.

    Returns:
        The exit code.
    """
    os.setsid()  # a Ctrl-C that ends the node must not end this
    sessions: set[int] = set()
    for line in sys.stdin:
        session = int(line[1:])
        if line[0] == "+":
            sessions.add(session)
        else:
            sessions.discard(session)
    kill_strays(sessions, folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
