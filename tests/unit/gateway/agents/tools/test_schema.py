"""The schema that a model gets of a function, and the inputs that fit it."""

from __future__ import annotations

import json
from functools import partial, wraps
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Raw, Struct

from midstream.agents.tools.api import ToolContext  # noqa: TC001 (the schema's maker looks it up)
from midstream.agents.tools.python_tool import PythonTool


class Place(Struct):
    """A place, as a tool's input."""

    city: str
    country: str = "DE"


def forecast(
    place: Place,
    days: Annotated[int, Meta(ge=1, le=7)] = 3,
    unit: Literal["C", "F"] = "C",
    tags: list[str] = [],  # noqa: B006 (each call must get a list of its own)
) -> str:
    """Tell the weather
    of the next days.

    Never more than a week.

    Args:
        place: where; a city
            and its country.
        days: how many.

    Returns:
        A sentence.
    """
    tags.append(unit)
    return f"{place.city} {days} {tags}"


def schema_of(tool: PythonTool) -> Any:
    return json.loads(bytes(tool.spec.input_schema))


def test_description_is_the_docstring_without_its_sections() -> None:
    """Paragraph by paragraph, each on a line."""
    tool = PythonTool(forecast)
    assert tool.spec.name == "forecast"
    assert tool.spec.description == "Tell the weather of the next days.\n\nNever more than a week."


def test_schema_is_an_object_of_the_parameters() -> None:
    """Hints, defaults and descriptions are in it, nested types as definitions."""
    schema = schema_of(PythonTool(forecast))
    place = schema["properties"].pop("place")
    assert place["description"] == "where; a city and its country."
    assert "#/$defs/Place" in json.dumps(place)
    assert schema["$defs"]["Place"]["required"] == ["city"]
    assert schema["type"] == "object"
    assert schema["required"] == ["place"]
    assert schema["additionalProperties"] is False
    assert schema["properties"] == {
        "days": {
            "type": "integer",
            "minimum": 1,
            "maximum": 7,
            "default": 3,
            "description": "how many.",
        },
        "unit": {"enum": ["C", "F"], "default": "C"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }


def test_function_without_parameters_takes_an_empty_object() -> None:
    """That is what models write for it."""

    def ping() -> None:
        pass

    assert PythonTool(ping).check(Raw(b"{}")) is None
    assert schema_of(PythonTool(ping))["properties"] == {}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"place": {"city": "Bonn"}}, None),
        ({"place": {"city": "Bonn"}, "days": 7, "unit": "F"}, None),
        ({}, "place"),
        ({"place": {"city": 1}}, "$.place.city"),
        ({"place": {"city": "Bonn"}, "days": 8}, "$.days"),
        ({"place": {"city": "Bonn"}, "unit": "K"}, "$.unit"),
        ({"place": {"city": "Bonn"}, "hours": 1}, "hours"),
        ("Bonn", "object"),
    ],
)
def test_input_is_held_to_the_schema(given: object, problem: str | None) -> None:
    """The error names the place of the mistake."""
    found = PythonTool(forecast).check(Raw(json.dumps(given).encode()))
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_context_is_no_parameter_for_the_model() -> None:
    """It is filled in by the gateway."""

    def whoami(context: ToolContext, loud: bool = False) -> str:
        return context.user

    assert list(schema_of(PythonTool(whoami))["properties"]) == ["loud"]


def test_object_that_is_called_is_a_tool() -> None:
    """Its class's `__call__` has the parameters."""

    class Search:
        """Find pages."""

        async def __call__(self, query: str) -> list[str]:
            return [query]

    tool = PythonTool(Search(), name="search")
    assert (tool.name, tool.spec.description) == ("search", "Find pages.")
    assert schema_of(tool)["required"] == ["query"]


def no_names(*names: str) -> None: ...


def all_names(**names: str) -> None: ...


def nowhere() -> Nowhere: ...  # type: ignore[name-defined] # noqa: F821


def test_type_of_the_result_may_be_unknown() -> None:
    """It is not looked at."""
    assert PythonTool(nowhere).name == "nowhere"


@wraps(forecast)
def wrapped(*args: Any, **values: Any) -> str:
    return forecast(*args, **values)


@pytest.mark.parametrize("function", [wrapped, partial(forecast, unit="F")])
def test_wrapped_function_has_the_schema_of_what_it_wraps(function: Any) -> None:
    """As decorators make them."""
    assert schema_of(PythonTool(function, name="x"))["properties"]["days"]["maximum"] == 7


def by_position(name: str, /) -> None: ...


def unknown_hint(name: Nowhere) -> None: ...  # type: ignore[name-defined] # noqa: F821


def complex_hint(number: complex) -> None: ...


def blocking_generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    "function",
    [no_names, all_names, by_position, unknown_hint, complex_hint, blocking_generator],
)
def test_function_that_no_model_can_call_is_refused(function: Any) -> None:
    """When the gateway starts, not when the model calls it."""
    with pytest.raises(TypeError):
        PythonTool(function)


def test_approval_function_must_decide_by_the_tools_parameters() -> None:
    """Another name in it is a mistake."""

    def asks(amount: float) -> bool:
        return amount > 1

    with pytest.raises(TypeError, match="amount"):
        PythonTool(forecast, needs_approval=asks)
