"""Runs one program and prints what it took. A process of its own, and a small one.

A child's peak memory begins with that of the process that started it, so the
one that starts it here holds as little as Python can. Standard library's
built-in modules only; started with ``-I -S``.
"""

from __future__ import annotations

import os
import sys
import time


def main() -> int:
    """Run the command in the arguments; print seconds, CPU seconds, KiB at the peak and exit code."""
    silence = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, silence, 0), (os.POSIX_SPAWN_DUP2, silence, 1)]
    started = time.perf_counter()
    pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    cpu = usage.ru_utime + usage.ru_stime
    print(seconds, cpu, usage.ru_maxrss, os.waitstatus_to_exitcode(status))
    return 0


if __name__ == "__main__":
    sys.exit(main())
