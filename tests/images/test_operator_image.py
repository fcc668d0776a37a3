"""The operator's image starts with nothing to write to, and says what it misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_images import context, images
from tests.images.test_migrator_image import RESTRICTED

if TYPE_CHECKING:
    from local_images.engine import Engine

pytestmark = [pytest.mark.service, pytest.mark.timeout(600)]


def test_it_says_its_version(docker_engine: Engine) -> None:
    ended = docker_engine.run(*RESTRICTED, images.OPERATOR.name, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"schema-operator {context.version()}\n")


def test_outside_of_a_cluster_it_says_so_in_one_line(docker_engine: Engine) -> None:
    ended = docker_engine.run(*RESTRICTED, images.OPERATOR.name)
    assert ended.returncode == 2
    assert "no connection from the pod's ServiceAccount" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1, ended.stderr
