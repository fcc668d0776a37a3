"""Options that both programs read."""

from __future__ import annotations

import argparse
import shlex


def image_option(text: str) -> tuple[str, tuple[str, ...]]:
    """Reads ``PATTERN=COMMAND``.

    Args:
        text: the command is split as a shell would.

    Raises:
        argparse.ArgumentTypeError: there is no ``=``.
    """
    pattern, equals, command = text.partition("=")
    if not pattern or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not PATTERN=COMMAND")
    return pattern, tuple(shlex.split(command))


def taint_option(text: str) -> dict[str, str]:
    """Reads ``KEY=VALUE:EFFECT``.

    Args:
        text: the value may be absent.

    Raises:
        argparse.ArgumentTypeError: there is no effect.
    """
    rest, colon, effect = text.rpartition(":")
    key, _, value = rest.partition("=")
    if not colon or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE:EFFECT")
    return {"key": key, "value": value, "effect": effect}
