"""What the parts of the resource have in common, as types and as schema."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

import pydantic
from pydantic.alias_generators import to_camel

from schema_operator import duration, moment

OBJECT_NAME: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
"""What an object of Kubernetes may be called."""

Duration = Annotated[
    timedelta,
    pydantic.BeforeValidator(
        lambda value: duration.parse(value) if isinstance(value, str) else value
    ),
    pydantic.PlainSerializer(duration.render, return_type=str),
    pydantic.WithJsonSchema(
        {"type": "string", "pattern": duration.PATTERN, "maxLength": duration.MAXIMUM_LENGTH}
    ),
]
"""A duration with a unit, as ``90s``, ``15m`` or ``1h30m``."""

Time = Annotated[
    datetime,
    pydantic.PlainSerializer(moment.stamp, return_type=str),
    pydantic.WithJsonSchema({"type": "string", "format": "date-time", "maxLength": 40}),
]
"""A moment in whole seconds."""

OPEN: Final = {"x-kubernetes-preserve-unknown-fields": True}
"""Schema of a part that is passed on as it is; the API server checks it in the Job."""

Open = Annotated[dict[str, Any], pydantic.WithJsonSchema({"type": "object", **OPEN})]
"""A part that is passed on as it is."""


class Model(pydantic.BaseModel):
    """What all parts of the resource share: frozen, camelCase outside, unknown fields ignored.

    A newer CRD may be served to an older operator, so a field that is not known
    here is no error.
    """

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


def rules(*each: dict[str, str]) -> dict[str, Any]:
    """Return the schema's extra for rules in CEL."""
    return {"x-kubernetes-validations": list(each)}


def rule(expression: str, message: str, **more: str) -> dict[str, str]:
    """Return a rule in CEL, with what to tell the person who breaks it."""
    return {"rule": expression, "message": message, **more}


def text(maximum: int, **more: Any) -> Any:
    """Return a field of at most so many characters."""
    return pydantic.Field(max_length=maximum, **more)


def duration_field(default: str) -> Any:
    """Return a duration field with that default."""
    return pydantic.Field(default=duration.parse(default), json_schema_extra={"default": default})


def listing(maximum: int, *keys: str) -> Any:
    """Return a field of a list with at most so many items.

    Args:
        maximum: how many.
        keys: what tells two items apart when several people apply a part each;
            none: the list is one thing, and whoever applies it last has it.
    """
    extra: dict[str, Any] = {"x-kubernetes-list-type": "map" if keys else "atomic"}
    if keys:
        extra["x-kubernetes-list-map-keys"] = list(keys)
    return pydantic.Field(default=(), max_length=maximum, json_schema_extra=extra)


def table(maximum: int, characters: int) -> Any:
    """Return a field of a table of texts."""
    schema: dict[str, Any] = {"type": "string", "maxLength": characters}
    return pydantic.Field(
        default={},
        json_schema_extra={"maxProperties": maximum, "additionalProperties": schema},
    )
