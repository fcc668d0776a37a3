"""``migrate plan``: how far what a Python revision will send is known before it runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.fix_migrator import Command, Revisions


BODIES = {
    "plain operations": (
        "op.create_table('one', sa.Column('id', sa.Integer(), primary_key=True))",
        "rendered",
        "CREATE TABLE one",
    ),
    "a percent sign": ("op.execute(\"SELECT 1 WHERE 'a' LIKE '%'\")", "rendered", "LIKE '%'"),
    "a bulk insert": (
        "op.bulk_insert(sa.table('one', sa.column('id', sa.Integer)), [{'id': 7}])",
        "rendered",
        "VALUES (7)",
    ),
    "an autocommit block": (
        "with op.get_context().autocommit_block():\n    op.execute('VACUUM')",
        "rendered",
        "COMMIT;",
    ),
    "reading data": ("op.get_bind().execute(sa.text('SELECT 1')).fetchall()", "at run time", None),
    "an inspector": ("sa.inspect(op.get_bind()).get_table_names()", "at run time", None),
    "asking whether it is offline": (
        "if not context.is_offline_mode():\n    op.execute('DROP TABLE one')",
        "at run time",
        None,
    ),
    "asking under another name": (
        "if not getattr(context, 'is_offline' + '_mode')():\n    op.execute('DROP TABLE one')",
        "at run time",
        None,
    ),
    "what Alembic's own context knows": (
        (
            "assert context.get_x_argument() == []\n"
            "assert context.get_context() is op.get_context()\n"
            "op.execute('CREATE TABLE ' + context.config.get_main_option('own_name') + ' ()')"
        ),
        "rendered",
        "CREATE TABLE from_the_file ()",
    ),
    "printing": ("print('hello')\nop.execute('CREATE TABLE one ()')", "rendered", "CREATE TABLE"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_python_revision_is_shown_as_far_as_it_is_known(
    revisions: Revisions, migrate: Command, case: str
) -> None:
    body, faith, words = BODIES[case]
    revisions.add("0001", body)
    (revisions.directory / "alembic.ini").write_text("[alembic]\nown_name = from_the_file\n")

    ended = migrate("plan", "--json")

    assert ended.code == 0, ended.err
    document = json.loads(ended.out)

    (step,) = document["steps"]
    assert (step["faith"], document["outcome"]) == (faith, "planned")
    if words is None:
        assert (step["sql"], step["complete"]) == (None, False)
        assert document["plan"]["destructive"] == [
            "0001: what it removes is not known before it runs"
        ]
    else:
        assert words in step["sql"]
        assert step["inTransaction"] is (case != "an autocommit block")
