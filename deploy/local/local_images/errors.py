"""What can go wrong, each as one line for a person.

LocalImagesError
├── EngineError   no Docker engine answers, and none could be started
└── BuildError    an image, or what it is built on, could not be made
"""

from __future__ import annotations


class LocalImagesError(Exception):
    """The images can't be had; the text says why and what to do."""


class EngineError(LocalImagesError):
    """No Docker engine answers, and none could be started."""


class BuildError(LocalImagesError):
    """An image, or the base it is built on, could not be made."""
