"""What can go wrong with a benchmark: one line for a person each."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A benchmark can't be run, or one of its programs failed."""
