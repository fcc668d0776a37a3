"""Trees of other shapes, and what each option is for, on a real PostgreSQL."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_migrator import Command, Engine, Revisions

CREATE = """op.execute('CREATE TABLE "{0}" ()')"""
DROP = """op.execute('DROP TABLE "{0}"')"""


def add(revisions: Revisions, revision: str, parent: object, head: str = "") -> Path:
    """Write a revision that makes a table of its own name."""
    return revisions.add(
        revision, CREATE.format(revision), DROP.format(revision), head=head, parent=parent
    )


def module(revisions: Revisions, name: str, text: str) -> str:
    """Write a module of the application and return the folder that it is imported from."""
    folder = revisions.directory.parent / "application"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return str(folder)


@pytest.fixture
def branches(revisions: Revisions) -> Revisions:
    """A tree with two labelled branches, one of which depends on the other, and no merge."""
    add(revisions, "a1", None, 'branch_labels = ("left",)')
    add(revisions, "a2", "a1")
    add(revisions, "b1", None, 'branch_labels = ("right",)')
    add(revisions, "b2", "b1", 'depends_on = ("a1",)')
    return revisions


@pytest.mark.usefixtures("branches")
def test_a_tree_with_several_heads(migrate: Command) -> None:
    steps = (
        (("up",), 15, "base"),
        (("up", "--target", "left@head", "1"), 0, "a1"),
        (("goto", "right@head"), 0, "b2"),
        (("up", "--target", "heads"), 0, "a2,b2"),
        (("version", "--check"), 0, "a2,b2"),
        (("up", "--target", "heads"), 0, "a2,b2"),
        (("goto", "b1", "--allow-downgrade"), 0, "a2,b1"),
        (("goto", "heads"), 0, "a2,b2"),
        (("down", "--all"), 0, "base"),
    )
    for words, code, position in steps:
        ended = migrate(*words)
        assert (words, ended.code) == (words, code), ended.err
        assert migrate("version").out == f"{position}\n", words


def test_a_merge_joins_two_branches(migrate: Command, branches: Revisions, engine: Engine) -> None:
    add(branches, "m", ("a2", "b2"))
    assert migrate("up").code == 0
    assert engine.position() == ["m"]
    assert migrate("down", "1").code == 0
    assert engine.position() == ["a2", "b2"]
    assert migrate("up").code == 0
    assert migrate("down", "--all").code == 0
    assert engine.position() == []


def test_the_target_may_stand_in_the_trees_own_file(
    migrate: Command, branches: Revisions, engine: Engine
) -> None:
    (branches.directory / "migrate.toml").write_text('target = "heads"\nversion-table = "place"\n')
    assert migrate("plan").code == migrate("up").code == 0
    assert engine.query("SELECT version_num FROM place ORDER BY 1") == [("a2",), ("b2",)]
    assert migrate("version").out == "a2,b2\n"
    assert not engine.exists("alembic_version")


def test_an_option_and_the_environment_win_over_the_file(
    migrate: Command, branches: Revisions, engine: Engine
) -> None:
    (branches.directory / "migrate.toml").write_text('target = "a1"\nversion-table = "file"\n')
    assert migrate("up", MIGRATE_VERSION_TABLE="environment").code == 0
    assert engine.query("SELECT version_num FROM environment") == [("a1",)]
    assert migrate("up", "--version-table", "flag", MIGRATE_VERSION_TABLE="environment").code == 10
    assert not engine.query("SELECT version_num FROM flag")
    assert not engine.exists("file")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("target = 1", "target is a text"),
        ('target = ""', "target is a text"),
        ('with-env = "yes"', "with-env is true or false"),
        ('version-locations = "a"', "version-locations is a list of texts"),
        ('version_table = "a"', 'says "version_table", which is none of'),
        ('timeout = "1m"', 'says "timeout", which is none of'),
        ("target = ", "is no TOML"),
    ],
)
def test_a_wrong_file_is_a_configuration_error(
    text: str, message: str, migrate: Command, branches: Revisions
) -> None:
    (branches.directory / "migrate.toml").write_text(text)
    for words in (("up",), ("version",), ("status",)):
        ended = migrate(*words)
        assert ended.code == 14
        assert message in ended.err
        assert len(ended.err.splitlines()) == 1


def test_several_directories_of_revisions(
    migrate: Command, revisions: Revisions, engine: Engine
) -> None:
    first, second = revisions.directory / "one", revisions.directory / "two" / "below"
    for revision, folder, parent in (("a", first, None), ("b", second, "a")):
        folder.mkdir(parents=True)
        path = add(revisions, revision, parent)
        path.rename(folder / path.name)
    assert migrate("up", "--version-locations", "one,two").out.endswith("at a\n")
    assert migrate("up", "--version-locations", "one,gone").code == 14
    options = ("--version-locations", "one,two", "--recursive-version-locations")
    assert migrate("up", *options).out.endswith("at b\n")
    assert migrate("down", "--all", *options).code == 0
    assert not engine.exists("a")


def test_sql_files_in_directories_below(migrate: Command, revisions: Revisions) -> None:
    for number, folder in ((1, "2024"), (2, "2025")):
        (revisions.directory / "versions" / folder).mkdir()
        stem = revisions.directory / "versions" / folder / f"000{number}_test"
        stem.with_suffix(".up.sql").write_text(f"CREATE TABLE t{number} ();")
        stem.with_suffix(".down.sql").write_text(f"DROP TABLE t{number};")
    assert migrate("up").code == 14
    assert migrate("up", "--recursive-version-locations").out.endswith("at 0002\n")


UNNAMED = "op.create_table('t', sa.Column('n', sa.Integer), sa.UniqueConstraint('n'))"
CONVENTION = """
    import sqlalchemy as sa

    metadata = sa.MetaData(naming_convention={"uq": "unique_%(table_name)s_%(column_0_name)s"})
    several = [metadata, sa.MetaData()]
    nothing = 1
"""


def names(engine: Engine) -> list[str]:
    """Return the names of the constraints of a table."""
    return [
        row[0]
        for row in engine.query(
            "SELECT conname FROM pg_constraint WHERE contype = 'u' AND conrelid = 't'::regclass"
        )
    ]


@pytest.mark.parametrize(
    ("option", "name", "warned"),
    [
        ((), "t_n_key", True),
        (("--target-metadata", "none"), "t_n_key", False),
        (("--target-metadata", "own:metadata"), "unique_t_n", False),
    ],
)
def test_the_naming_convention(
    *,
    option: tuple[str, ...],
    name: str,
    warned: bool,
    migrate: Command,
    revisions: Revisions,
    engine: Engine,
) -> None:
    revisions.add("0001", UNNAMED)
    path = module(revisions, "own", CONVENTION)
    (revisions.directory / "env.py").write_text("target_metadata = own.metadata\n")
    ended = migrate("up", *option, PYTHONPATH=path)
    assert ended.code == 0, ended.err
    assert names(engine) == [name]
    assert ("--target-metadata" in ended.err) is warned


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("own", "must look like package.module:attribute"),
        ("gone:metadata", "importing gone failed"),
        ("own:gone", 'there is no "gone" in own'),
        ("own:nothing", "is no MetaData"),
        ("own:several", "different naming conventions"),
    ],
)
def test_a_metadata_that_is_not_there(
    value: str, message: str, migrate: Command, revisions: Revisions
) -> None:
    revisions.add("0001", UNNAMED)
    path = module(revisions, "own", CONVENTION)
    ended = migrate("up", "--target-metadata", value, PYTHONPATH=path)
    assert ended.code == 14
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def test_alembics_own_template_is_not_warned_of(migrate: Command, revisions: Revisions) -> None:
    revisions.add("0001", UNNAMED)
    (revisions.directory / "env.py").write_text(
        "# target_metadata = mymodel.Base.metadata\ntarget_metadata = None\n"
        "context.configure(target_metadata=target_metadata)\n"
    )
    assert "target_metadata" not in migrate("up").err


def test_a_prelude_is_called_before_the_tree_is_loaded(
    migrate: Command, revisions: Revisions, engine: Engine
) -> None:
    path = module(
        revisions,
        "own",
        """
        import sys, types

        def prelude():
            sys.modules["configured"] = types.SimpleNamespace(table="made")

        def fails():
            raise LookupError("no such setting")

        no_function = 1
        """,
    )
    revisions.add(
        "0001", "op.execute(f'CREATE TABLE {configured.table} ()')", head="import configured"
    )
    for value, message in (
        ("own:fails", "failed: LookupError: no such setting"),
        ("own:no_function", "is no function"),
        ("own:gone", 'there is no "gone"'),
    ):
        ended = migrate("up", "--prelude", value, PYTHONPATH=path)
        assert (ended.code, len(ended.err.splitlines())) == (14, 1)
        assert message in ended.err
    assert migrate("up", PYTHONPATH=path).code == 14
    assert migrate("up", "--prelude", "own:prelude", PYTHONPATH=path).code == 0
    assert engine.exists("made")


LONG = "2024_11_24_add_billing_address_to_customers"


def test_the_version_table_is_made_wide_enough(
    migrate: Command, revisions: Revisions, engine: Engine
) -> None:
    add(revisions, LONG, None)
    assert migrate("up").code == 0
    assert engine.position() == [LONG]


def test_a_narrow_version_table_is_refused_before_anything_runs(
    migrate: Command, revisions: Revisions, engine: Engine
) -> None:
    add(revisions, "0001", None)
    assert migrate("up").code == 0
    add(revisions, LONG, "0001")
    ended = migrate("up")
    assert ended.code == 14
    assert "takes 32" in ended.err
    cure = ended.err[ended.err.index("ALTER TABLE") :].strip()
    assert not engine.exists(f'"{LONG}"')
    engine.execute(cure)
    assert migrate("up").code == 0
    assert engine.position() == [LONG]


def test_what_revisions_ask_their_context(migrate: Command, revisions: Revisions) -> None:
    (revisions.directory / "alembic.ini").write_text("[alembic]\nown_setting = kept\n")
    revisions.add(
        "0001",
        """
        assert context.is_offline_mode() is False
        assert context.get_bind() is op.get_bind()
        assert context.config.get_main_option("own_setting") == "kept"
        assert context.config.get_main_option("script_location")
        assert context.config.attributes == {}
        assert context.script.get_revision("0001").doc == "Revision 0001."
        assert context.get_context() is op.get_context()
        assert op.get_context().script.get_heads() == ["0001"]
        assert context.get_x_argument() == []
        assert context.get_tag_argument() is None
        assert context.is_transactional_ddl()
        assert "password" not in str(context.config.get_main_option("sqlalchemy.url"))
        """,
    )
    ended = migrate("up")
    assert ended.code == 0, ended.err


def test_an_enumerated_type_is_made_once_in_a_run(
    migrate: Command, revisions: Revisions, engine: Engine
) -> None:
    column = "sa.Column('c', sa.Enum('x', 'y', name='kind'))"
    revisions.add("0001", f"op.create_table('one', {column})")
    revisions.add("0002", f"op.create_table('two', {column})")
    assert migrate("up").code == 0
    assert engine.exists("two")


@pytest.mark.parametrize(
    ("driver", "code", "warned"),
    [("", 10, False), ("+psycopg", 10, False), ("+psycopg2", 0, True), ("+asyncpg", 10, True)],
)
def test_a_driver_in_the_url(
    *, driver: str, code: int, warned: bool, migrate: Command, revisions: Revisions
) -> None:
    revisions.add(
        "0001",
        """
        t = op.create_table("t", sa.Column("n", sa.Integer), sa.Column("s", sa.String))
        op.execute(sa.update(sa.table("t", sa.column("n"))).values(n=sa.bindparam("x", "7", sa.String)))
        op.bulk_insert(t, [{"n": 1, "s": "it's 100 %"}, {"n": 2, "s": None}])
        assert op.get_bind().execute(sa.select(t).order_by(t.c.n)).all() == [(1, "it's 100 %"), (2, None)]
        """,
    )
    url = migrate.database.url.replace("postgresql:", f"postgresql{driver}:", 1)
    ended = migrate("up", DATABASE_URL=url)
    assert ended.code == code, ended.err
    assert ("names the driver" in ended.err) is warned
