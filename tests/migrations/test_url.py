"""DATABASE_URL is taken in every usual form, and shown in none."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from schema_migrator import url
from schema_migrator.errors import ConfigurationError

GOOD = {
    "postgresql": "postgresql://me:pass@db:5433/app",
    "postgres": "postgres://me:pass@db:5433/app",
    "a driver of SQLAlchemy's": "postgresql+psycopg://me:pass@db:5433/app",
    "upper case": "PostgreSQL://me:pass@db:5433/app",
    "surrounding space": "  postgresql://me:pass@db:5433/app\t",
    "keywords": "host=db port=5433 user=me password=pass dbname=app",
}


@pytest.mark.parametrize("form", GOOD)
def test_every_usual_form_means_the_same(form: str) -> None:
    assert url.parse(GOOD[form]).parameters == {
        "host": "db",
        "port": "5433",
        "user": "me",
        "password": "pass",
        "dbname": "app",
    }


def test_libpqs_parameters_in_the_query_are_kept() -> None:
    assert url.parse("postgresql://db/app?sslmode=require&target_session_attrs=any").parameters == {
        "host": "db",
        "dbname": "app",
        "sslmode": "require",
        "target_session_attrs": "any",
    }


BAD = {
    "missing": (None, "not set"),
    "empty": ("", "empty"),
    "blank": (" \n", "empty"),
    "not a url": ("not a url", "is no URL"),
    "unresolved by Orca": ("${secrets.hunter2}", "Orca"),
    "unresolved by Infisical": ("postgresql://u:<no value>@hunter2/x", "Infisical"),
    "another database": ("mysql://u:hunter2@h/x", "another kind of database"),
    "an unknown parameter": ("postgresql://u:hunter2@h/x?hunter2=1", "can't be read"),
    "an unescaped percent sign": ("postgresql://u:hunter2%zz@h/x", "can't be read"),
    "a broken keyword string": ("host=h password='hunter2", "can't be read"),
    "two lines": ("postgresql://u:hunter2@h/x\npostgresql://u:hunter2@h/y", "several lines"),
    "no database": ("postgresql://u:hunter2@h:5432/", "names no database"),
    "a name without a value": ("hunter2", "is no URL"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_value_is_told_in_one_line_that_shows_no_part_of_it(case: str) -> None:
    value, words = BAD[case]

    with pytest.raises(ConfigurationError) as caught:
        url.parse(value)

    assert words in caught.value.message
    assert "DATABASE_URL" in caught.value.message
    assert (
        "hunter2"
        not in repr(caught.getrepr(chain=True)).replace(repr(value), "") + caught.value.message
    )
    assert "\n" not in caught.value.message
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("secret", ["hunter2", "p@ss w/rd%", "ü😀"])
def test_a_password_is_redacted_in_every_form_that_it_may_take(secret: str) -> None:
    value = f"postgresql://me:{quote(secret, safe='')}@db/app"
    parsed = url.parse(value)

    text = parsed.redact(f"a {secret} b {quote(secret, safe='')} c {value}")

    assert secret not in text
    assert quote(secret, safe="") not in text
    assert secret not in repr(parsed)
