"""The result keeps its bounds whatever it holds, and nothing else passes for one."""

from __future__ import annotations

import json

import pytest

from schema_migrator.result import (
    EXIT_CODES,
    MAXIMUM_BYTES,
    NotAResultError,
    Outcome,
    Plan,
    Refusal,
    Result,
    decode,
    encode,
)

FULL = Result(
    outcome=Outcome.REFUSED,
    refusal=Refusal.DATABASE_AHEAD,
    from_="0001",
    to="0002",
    target="0003",
    applied=("0002",),
    pending=1,
    dirty=False,
    incident="a1",
    sqlstate="55P03",
    message="one line",
    lock_wait_seconds=1.5,
    blocked_by="somebody",
    duration_seconds=2.25,
    plan=Plan(id="sha256:" + "a" * 64, revisions=("0003",), destructive=("DROP TABLE x",)),
    server="16.2",
    migrator="1.0.0",
)


def test_a_result_comes_back_as_it_was() -> None:
    assert decode(encode(FULL)) == FULL


def test_the_fields_have_the_names_of_the_interface() -> None:
    assert list(json.loads(encode(FULL))) == [
        "v", "outcome", "refusal", "from", "to", "target", "applied", "pending", "dirty", "incident", "sqlstate",
        "message", "lockWaitSeconds", "blockedBy", "durationSeconds", "plan", "server", "migrator",
    ]  # fmt: skip


def test_every_outcome_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(Outcome)
    failures = [
        code for outcome, code in EXIT_CODES.items() if code and outcome is not Outcome.STARTED
    ]
    assert sorted(failures) == [10, 11, 12, 13, 14, 15, 16, 17]
    assert {outcome for outcome, code in EXIT_CODES.items() if code == 0} == {
        Outcome.APPLIED,
        Outcome.UP_TO_DATE,
        Outcome.PLANNED,
        Outcome.AHEAD_ACCEPTED,
    }


@pytest.mark.parametrize(
    "text",
    [
        "x" * 9000,
        "é" * 9000,
        "😀" * 9000,
        '"' * 9000,
        "\\" * 9000,
        "\x00" * 9000,
        "\n\t\r" * 3000,
        "\ud800" * 9000,
    ],
    ids=[
        "plain",
        "two bytes",
        "four bytes",
        "quotes",
        "backslashes",
        "NUL",
        "control",
        "lone surrogates",
    ],
)
def test_any_text_stays_within_the_bound_and_is_one_line(text: str) -> None:
    many = tuple(f"{index}{text[:200]}" for index in range(500))
    result = Result(
        outcome=Outcome.FAILED, message=text, applied=many, from_=text, to=text, target=text, incident=text,
        sqlstate=text, blocked_by=text, server=text, migrator=text,
        plan=Plan(id="sha256:" + "a" * 64, revisions=many, destructive=many),
    )  # fmt: skip

    encoded = encode(result)

    assert len(encoded) <= MAXIMUM_BYTES
    assert b"\n" not in encoded
    decoded = decode(encoded)
    assert decoded.outcome is Outcome.FAILED
    assert decoded.plan is not None
    assert decoded.plan.id == "sha256:" + "a" * 64


def test_a_long_list_says_how_much_of_it_is_missing() -> None:
    result = Result(
        outcome=Outcome.APPLIED, applied=tuple(f"{number:04}" for number in range(1, 1001))
    )

    shown = decode(encode(result)).applied

    assert shown[0] == "0001"
    assert shown[-1] == f"and {1000 - len(shown) + 1} more"


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "1", "Killed", '{"v":1,"outcome":"appl', '{"v":2,"outcome":"applied"}', '{"outcome":"applied"}',
        '{"v":true,"outcome":"applied"}', '{"v":1}', '{"v":1,"outcome":"unheard of"}', '{"v":1,"outcome":["applied"]}',
        '{"v":1,"outcome":"applied","dirty":"no"}', '{"v":1,"outcome":"applied","pending":true}',
        '{"v":1,"outcome":"applied","applied":[1]}', '{"v":1,"outcome":"applied","lockWaitSeconds":"2"}', "[" * 100_000,
    ],
    ids=lambda text: text[:40] or "empty",
)  # fmt: skip
def test_anything_else_is_no_result(text: str) -> None:
    with pytest.raises(NotAResultError):
        decode(text)


def test_fields_of_a_newer_migrator_are_ignored() -> None:
    assert decode(
        '{"v":1,"outcome":"applied","new":{"x":1},"refusal":"of a newer kind"}'
    ) == Result(outcome=Outcome.APPLIED)
