"""What a tree needs to be run: said by option, by environment, or by the tree's own ``migrate.toml``.

The file lies in the tree's directory, beside or above its revisions, and belongs
to the tree as they do. Its keys are the options' names. What an option or the
environment says wins over it.
"""

from __future__ import annotations

import dataclasses
import importlib
from typing import TYPE_CHECKING, Any

from schema_migrator.errors import ConfigurationError, MigratorError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

FILE = "migrate.toml"
"""The file's name, in the tree's directory."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a tree needs.

    Attributes:
        version_locations: the directories of its revisions, relative to the
            tree's; empty: ``versions``, or the tree's directory itself.
        recursive_version_locations: whether the directories below them count too.
        version_table: the table that holds the position.
        version_table_schema: its schema; None: where the search path finds it.
        target_metadata: ``package.module:attribute`` of the metadata whose
            naming convention the revisions rely on; ``none`` says that there is
            none, None says nothing.
        prelude: ``package.module:function``, called before the tree is loaded.
        target: what ``up`` and ``exec`` go to.
        with_env: whether the revisions run inside the tree's own ``env.py``.
    """

    version_locations: tuple[str, ...] = ()
    recursive_version_locations: bool = False
    version_table: str = "alembic_version"
    version_table_schema: str | None = None
    target_metadata: str | None = None
    prelude: str | None = None
    target: str = "head"
    with_env: bool = False


def read(directory: Path, given: Mapping[str, Any]) -> Setup:
    """Return what a tree needs.

    Args:
        directory: the tree's directory.
        given: field to value for what options or environment say; None for what they don't.

    Raises:
        ConfigurationError: ``migrate.toml`` can't be read, or says what it can't mean.
    """
    values = _file(directory / FILE)
    known = {field.name for field in dataclasses.fields(Setup)}
    values |= {name: value for name, value in given.items() if name in known and value is not None}
    return Setup(**values)


def _file(path: Path) -> dict[str, Any]:
    """Return field to value for what the file says; empty where there is none."""
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    # Loaded for those who have such a file: it takes longer than reading one.
    import tomllib

    try:
        content = tomllib.loads(text.decode())
    except ValueError as error:
        raise ConfigurationError(f"{path} is no TOML: {' '.join(str(error).split())}") from error
    values: dict[str, Any] = {}
    for name, value in content.items():
        field = name.replace("-", "_")
        default = _DEFAULTS.get(field)
        if default is None or "_" in name:
            known = ", ".join(sorted(one.replace("_", "-") for one in _DEFAULTS))
            raise ConfigurationError(f'{path} says "{name}", which is none of {known}')
        if isinstance(default, tuple):
            if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                raise ConfigurationError(f"{path}: {name} is a list of texts")
            values[field] = tuple(value)
        elif type(value) is not type(default) or value == "":
            kind = "true or false" if isinstance(default, bool) else "a text"
            raise ConfigurationError(f"{path}: {name} is {kind}")
        else:
            values[field] = value
    return values


_DEFAULTS: dict[str, Any] = {
    field.name: "" if field.default is None else field.default
    for field in dataclasses.fields(Setup)
}


def load_object(path: str, option: str) -> Any:
    """Return the object of ``package.module:attribute``.

    Args:
        path: where it is.
        option: the option that names it, for the message.

    Raises:
        ConfigurationError: there is no such module or attribute.
    """
    module, colon, attribute = path.partition(":")
    if not colon or not module or not attribute:
        raise ConfigurationError(f'{option} "{path}" must look like package.module:attribute')
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise ConfigurationError(
            f'{option} "{path}": importing {module} failed: {type(error).__name__}: {" ".join(str(error).split())[:300]}'
        ) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            raise ConfigurationError(f'{option} "{path}": there is no "{name}" in {module}')
        found = getattr(found, name)
    return found


def run_prelude(path: str) -> None:
    """Call the function that a tree wants called before it is loaded.

    Raises:
        ConfigurationError: there is no such function, or it failed.
    """
    function: Callable[[], object] = load_object(path, "--prelude")
    if not callable(function):
        raise ConfigurationError(f'--prelude "{path}" is no function')
    try:
        function()
    except MigratorError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f'--prelude "{path}" failed: {type(error).__name__}: {" ".join(str(error).split())[:300]}'
        ) from error
