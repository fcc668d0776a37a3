"""Loading goes on undisturbed, and what was loaded is left alone afterwards."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from schema_migrator.loading import undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("fails", [False, True])
def test_the_collector_is_off_meanwhile_and_on_again_however_it_ends(*, fails: bool) -> None:
    class Cycle:
        pass

    try:
        with undisturbed():
            assert not gc.isenabled()
            loaded = Cycle()
            if fails:
                raise RuntimeError
    except RuntimeError:
        pass

    assert gc.isenabled()
    assert gc.is_tracked(loaded)
    assert not any(one is loaded for one in gc.get_objects())


def test_who_has_turned_the_collector_off_finds_it_off() -> None:
    gc.disable()
    with undisturbed():
        pass

    assert not gc.isenabled()


def test_a_run_is_loaded_undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    from schema_migrator.call import Call

    seen: list[bool] = []

    class Stub(Call):
        place = property(lambda _self: seen.append(gc.isenabled()))
        tree = property(lambda _self: seen.append(gc.isenabled()))

    call = object.__new__(Stub)
    object.__setattr__(call, "values", {"timeout": 1.0})
    object.__setattr__(call, "console", None)

    call.run()

    assert seen == [False, False]
    assert gc.isenabled()
