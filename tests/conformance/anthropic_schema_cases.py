"""Cases of JSON answers: schemas that Anthropic accepts in part, or only as a tool's."""

from __future__ import annotations

from typing import Any, Final

from tests.conformance.anthropic_cases import ADD, user

Json = dict[str, Any]


def an_object(properties: Json, **more: Any) -> Json:
    """The schema of an object with exactly these properties."""
    return {"type": "object", "properties": properties, "additionalProperties": False, **more}


def some(count: int) -> Json:
    """Return `count` properties."""
    return {f"p{number}": {"type": "string"} for number in range(count)}


_NODE: Final = an_object({"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}})

_SCHEMAS: Final[dict[str, Json]] = {
    "limits": an_object(
        {
            "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9.5, "description": "N"},
            "s": {"type": "string", "pattern": "^a", "minLength": 2, "format": "uri-template"},
            "d": {"type": "string", "format": "date-time", "default": None},
            "l": {"type": "array", "items": {"const": None}, "uniqueItems": True, "maxItems": 3},
            "u": {"type": "array", "items": [{"type": "string"}, True], "uniqueItems": False},
            "x": {"not": {"type": "string", "minLength": 1}, "enum": ["a", None], "title": "X"},
        },
        required=["n", "s", "d", "l", "u", "x"],
    ),
    "choices": an_object(
        {
            "a": {"oneOf": [{"type": "string", "maxLength": 1}, {"type": "null"}]},
            "b": {"anyOf": [{"type": "number", "multipleOf": 2}], "oneOf": [{"type": "null"}]},
            "c": {"allOf": [{"type": "string", "examples": ["x"]}]},
        },
        **{"$schema": "http://json-schema.org/draft-07/schema#", "$id": "urn:x"},
    ),
    "references": an_object(
        {
            "a": {"$ref": "#/$defs/a~1b", "description": "gone"},
            "b": {"$ref": "#/definitions/b%20c"},
        },
        **{
            "$defs": {"a/b": {"type": "string", "minLength": 1}},
            "definitions": {"b c": {"type": "integer", "maximum": 3}},
        },
    ),
    "a reference at the top": {"$ref": "#/$defs/a", "$defs": {"a": an_object(some(1))}},
    "a circle": an_object({"root": {"$ref": "#/$defs/node"}}, **{"$defs": {"node": _NODE}}),
    "a circle at the top": an_object({"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}),
    "no circle": an_object(
        {"$ref": {"type": "string"}, "a": {"enum": [{"$ref": "#"}], "type": "object"}}
    ),
    "a reference to nothing": an_object({"a": {"$ref": "#/$defs/none"}}),
    "properties of any name": an_object(
        {"a": {"type": "object", "additionalProperties": {"type": "string"}}}
    ),
    "properties by pattern": {"type": "object", "patternProperties": {"^a": {"type": "string"}}},
    "an object of anything": an_object({"a": {"type": ["object", "null"]}}),
    "an object that is not closed": {"type": "object", "properties": some(2)},
    "ten optional properties": an_object({"a": an_object(some(8)), **some(2)}, required=["p0"]),
    "eleven optional properties": an_object({"a": an_object(some(8)), **some(3)}, required=["p0"]),
    "optional properties by reference": an_object(
        {"a": {"$ref": "#/$defs/d"}, "b": {"$ref": "#/$defs/d"}},
        **{"$defs": {"d": an_object(some(6))}, "required": ["a", "b"]},
    ),
}

_MODELS: Final = {"": "claude-sonnet-4-5", ", unforced": "claude-opus-5-5"}

SCHEMA_CASES: Final[dict[str, Json]] = {
    f"an answer in JSON: {name}{suffix}": {
        "model": model,
        "tools": [ADD],
        "responseSchema": schema,
        "messages": [user("a")],
    }
    for name, schema in _SCHEMAS.items()
    for suffix, model in _MODELS.items()
}
"""Name -> a case, as in `anthropic_cases`."""
