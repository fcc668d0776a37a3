"""What goes wrong here, as one line for a person."""

from __future__ import annotations


class LocalKubernetesError(Exception):
    """Says in one line what failed and what to do about it."""


class ToolMissingError(LocalKubernetesError):
    """A program that must come from outside is not there."""


class BuildError(LocalKubernetesError):
    """A program could not be compiled."""


class ClusterError(LocalKubernetesError):
    """The cluster did not start, or is not in the state that was asked for."""
