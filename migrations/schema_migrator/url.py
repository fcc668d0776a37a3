"""``DATABASE_URL``: read once, never shown.

Accepted are ``postgres://`` and ``postgresql://`` URLs, SQLAlchemy's form with a
driver (``postgresql+psycopg://``), and libpq's keyword strings
(``host=… dbname=…``). Messages name what is wrong and hold no part of the value.
"""

from __future__ import annotations

import dataclasses
import re
from urllib.parse import quote, quote_plus

from schema_migrator.errors import ConfigurationError

_SCHEME = re.compile(r"\s*(?P<name>[A-Za-z][A-Za-z0-9]*)(?:\+(?P<driver>[A-Za-z0-9_]+))?://")
_UNRESOLVED = {
    "${secrets.": "Orca left a secret unresolved in it: set the secret that the service's env names",
    "<no value>": "Infisical rendered a missing key into it: correct the secret's template or add the key",
}
_BINDING_IN_CLIENT = frozenset({"psycopg2", "psycopg2cffi"})
_SECRET_KEYWORDS = ("password", "sslpassword")


@dataclasses.dataclass(frozen=True, slots=True)
class DatabaseURL:
    """Where the database is, in libpq's keywords.

    Attributes:
        parameters: keyword to value, the password among them.
        secrets: texts that must never leave the process.
        driver: the driver that an SQLAlchemy URL names, in lower case; empty for none.
    """

    parameters: dict[str, str] = dataclasses.field(repr=False)
    secrets: tuple[str, ...] = dataclasses.field(repr=False)
    driver: str = ""

    @property
    def binds_in_client(self) -> bool:
        """Whether parameters are put into the statement before it is sent, as the named driver does."""
        return self.driver in _BINDING_IN_CLIENT

    @property
    def warning(self) -> str | None:
        """What a person should know of the driver that runs the revisions; None for nothing."""
        if not self.driver or self.driver.partition("_")[0] == "psycopg":
            return None
        return (
            f"DATABASE_URL names the driver {self.driver}, but the guarantees hang on psycopg 3, which runs the revisions"
            + (
                ", binding parameters in the client as that one does"
                if self.binds_in_client
                else ""
            )
        )

    def redact(self, text: str) -> str:
        """Return the text with every secret of this URL replaced."""
        for secret in self.secrets:
            text = text.replace(secret, "[redacted]")
        return text


def parse(value: str | None) -> DatabaseURL:
    """Return what ``DATABASE_URL`` says.

    Raises:
        ConfigurationError: it is missing, was left unresolved, or can't be read.
    """
    if value is None:
        raise ConfigurationError("DATABASE_URL is not set; give the database by this variable")
    if not value.strip():
        raise ConfigurationError(
            "DATABASE_URL is empty; the Secret or variable behind it has no value"
        )
    for mark, reason in _UNRESOLVED.items():
        if mark in value:
            raise ConfigurationError(f"DATABASE_URL holds no URL: {reason}")
    parameters = _parameters(value.strip())
    if not parameters.get("dbname") and "service" not in parameters:
        raise ConfigurationError(
            "DATABASE_URL names no database; add its name after the last slash"
        )
    scheme = _SCHEME.match(value)
    driver = (scheme["driver"] or "") if scheme is not None else ""
    return DatabaseURL(parameters, _secrets(value, parameters), driver.lower())


def _parameters(value: str) -> dict[str, str]:
    """Return libpq's keywords of a URL or keyword string."""
    # Imported here: a URL can be refused without the driver's start-up time.
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    if "\n" in value or "\0" in value:
        raise ConfigurationError("DATABASE_URL spans several lines; give one URL on one line")
    scheme = _SCHEME.match(value)
    if scheme is not None:
        if scheme["name"].lower() not in ("postgres", "postgresql"):
            raise ConfigurationError(
                "DATABASE_URL is for another kind of database; it must begin with postgresql://"
            )
        value = "postgresql://" + value[scheme.end() :]
        if "@" in value.partition("://")[2].partition("?")[0].partition("/")[2]:
            # libpq would take the rest of a password for the database's name.
            raise ConfigurationError(
                "DATABASE_URL has an @ after its first single slash: special characters in user or password must be"
                " percent-encoded (/ is %2F)"
            )
    elif "=" not in value:
        raise ConfigurationError(
            "DATABASE_URL is no URL; it must look like postgresql://user:password@host:5432/database"
        )
    try:
        parameters = conninfo_to_dict(value)
    except ProgrammingError:
        # The driver quotes the value, password and all: neither text nor cause may go on.
        raise ConfigurationError(
            "DATABASE_URL can't be read: one of its parts is malformed or unknown to libpq"
            " (a password with special characters must be percent-encoded)"
        ) from None
    return {key: str(text) for key, text in parameters.items() if text is not None}


def _secrets(value: str, parameters: dict[str, str]) -> tuple[str, ...]:
    """Return every form in which a secret of the URL may turn up, longest first."""
    found = {value, value.strip()}
    for keyword in _SECRET_KEYWORDS:
        if secret := parameters.get(keyword):
            found |= {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return tuple(sorted(found, key=len, reverse=True))
