"""What the specs of project files are made of: their base, short forms, and amounts that several of them have."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

_PERCENT = r"(\d+(?:\.\d+)?)\s*%"
_SIZE = r"(\d+(?:\.\d+)?)\s*(?:([kKmMgG])([iI]?)[bB]|[bB])"


class Spec(BaseModel):
    """Base of all that users write: unknown keys are errors, values never change.

    Attributes:
        keys_are: what a key is called in a message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
    keys_are: ClassVar[str] = "key"


@dataclass(frozen=True, slots=True)
class Short:
    """Lets a short form be written in place of a value, and says so in the JSON Schema.

    Attributes:
        form: type of the short form.
        expand: makes a value's long form of its short one, and leaves all else as it is.
    """

    form: Any
    expand: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put the expansion before the validation of the long form."""
        long = handler(source)
        written = core_schema.union_schema([handler.generate_schema(self.form), long])
        return core_schema.no_info_before_validator_function(self.expand, long, json_schema_input_schema=written)


def text_like(pattern: str) -> Any:
    """Return the type of a text by its JSON Schema; the value's own validator is what checks it."""
    return Annotated[str, WithJsonSchema({"type": "string", "pattern": rf"^\s*{pattern}\s*$"})]


def exclusive(*keys: str, needed: bool) -> dict[str, Any]:
    """Return the JSON Schema of what a model validator checks: at most one of some keys is given, or exactly one."""
    given = {key: {"required": [key], "properties": {key: {"not": {"type": "null"}}}} for key in keys}
    others = {key: {other: {"type": "null"} for other in keys if other != key} for key in keys}
    rules: list[Any] = [{"if": given[key], "then": {"properties": others[key]}} for key in keys]
    return {"allOf": [*rules, {"anyOf": list(given.values())}] if needed else rules}


def not_bool(value: Any) -> Any:
    """Refuse true and false, which Python takes for numbers."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _budget(value: Any) -> Any:
    if isinstance(value, str):
        found = re.fullmatch(_PERCENT, value.strip())
        if not found:
            raise ValueError("must be a share such as 1% or 0.01, or a count of groups")
        value = float(found[1]) / 100
    if isinstance(not_bool(value), int | float) and not 0 <= value <= (1 if isinstance(value, float) else math.inf):
        raise ValueError("must be a share from 0% to 100%, or a count of groups")
    if isinstance(value, float):
        return {"share": value}
    return {"count": value} if isinstance(value, int) else value


def _percent(value: Any) -> Any:
    if not isinstance(value, str):
        return not_bool(value)
    found = re.fullmatch(_PERCENT, value.strip())
    if not found:
        raise ValueError("must be a share such as 95% or 0.95")
    return float(found[1]) / 100


def _size(value: Any) -> Any:
    if not isinstance(value, str):
        return not_bool(value)
    found = re.fullmatch(_SIZE, value.strip())
    if not found:
        raise ValueError("must be a size such as 500kb, 1mb or 1mib, or a number of bytes")
    power = " kmg".index(found[2].lower() if found[2] else " ")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)


Count = Annotated[int, Field(ge=1), BeforeValidator(not_bool)]
Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(not_bool)]
Written = Annotated[str, Field(min_length=1)]
WholeShare = Annotated[float, Field(ge=0, le=1), Short(text_like(_PERCENT), _percent)]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False), Short(text_like(_PERCENT), _percent)]
Size = Annotated[int, Field(ge=1), Short(text_like(_SIZE), _size)]


class FailureBudgetSpec(Spec):
    """How many groups may be lost: a share of those in question, or a count."""

    model_config = ConfigDict(json_schema_extra=exclusive("share", "count", needed=True))

    share: Annotated[float, Field(ge=0, le=1)] | None = Field(None, description="Share of the groups that were tried.")
    count: Annotated[int, Field(ge=0)] | None = Field(None, description="Count of groups.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.share is None) == (self.count is None):
            raise ValueError("needs `share` or `count`, one of them")
        return self


ShortBudget = (
    text_like(r"0*(?:100(?:\.0+)?|\d{1,2}(?:\.\d+)?)\s*%")
    | Annotated[int, Field(ge=0)]
    | Annotated[float, Field(ge=0, le=1)]
)
"""The short forms of a failure budget."""
Budget = Annotated[FailureBudgetSpec, Short(ShortBudget, _budget)]
