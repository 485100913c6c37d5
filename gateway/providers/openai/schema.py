"""JSON Schemas of tools, as OpenAI accepts them.

Source: @ai-sdk/openai 4.0.118, `normalize-openai-json-schema.ts`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Raw, Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

_encode = msgspec.json.Encoder().encode

Schema: TypeAlias = dict[str, object]

_IN_MAPS: Final = ("properties", "patternProperties", "definitions", "$defs", "dependencies")
_IN_LISTS: Final = ("allOf", "anyOf", "oneOf")
_INSIDE: Final = (
    "additionalProperties",
    "additionalItems",
    "items",
    "contains",
    "not",
    "if",
    "then",
    "else",
)
_LOOKAROUND: Final = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|(?P<lookaround>\(\?<?[=!])", re.DOTALL)
_LOCAL_REFERENCE: Final = re.compile(r"#/(definitions|\$defs)/(.+)")


class AnswerFormat(Struct, frozen=True):
    """Form in which an answer is wanted: JSON, and its schema."""

    type: str = "text"
    schema: Raw = Raw()
    name: str = "response"
    description: str | None = None


def answer_schema(parameters: Mapping[str, object]) -> tuple[str, Schema] | None:
    """Return the API's type for the JSON that an answer shall be, and its schema's fields.

    None if a text will do. There are no fields if any JSON object will.

    Raises:
        msgspec.ValidationError: `response_format` has not its shape.
    """
    wanted = parameters.get("response_format")
    if wanted is None:
        return None
    answer = msgspec.json.decode(_encode(wanted), type=AnswerFormat)
    if answer.type != "json":
        return None
    if bytes(answer.schema) in (b"", b"null"):
        return "json_object", {}
    fields: Schema = {
        "name": answer.name,
        "schema": normalized_schema(answer.schema),
        "strict": True,
    }
    if answer.description is not None:
        fields["description"] = answer.description
    return "json_schema", fields


def normalized_schema(raw: Raw) -> object:
    """Return a schema without what the API refuses, and no more changed than that.

    `propertyNames` and patterns with lookaround go: the model is not held to them, the
    tool's own check still is. An `allOf` of one reference becomes the reference.
    """
    schema = msgspec.json.decode(raw)
    return _normalized(schema, is_root=True) if isinstance(schema, dict) else schema


def _normalized(schema: Schema, *, is_root: bool = False) -> Schema:
    result = {name: value for name, value in schema.items() if name != "propertyNames"}
    pattern = result.get("pattern")
    if isinstance(pattern, str) and _has_lookaround(pattern):
        del result["pattern"]
    for name in _IN_MAPS:
        inner = result.get(name)
        if isinstance(inner, dict):
            result[name] = {key: _definition(value) for key, value in inner.items()}
    for name in (*_IN_LISTS, *_INSIDE):
        inner = result.get(name)
        if isinstance(inner, list):
            result[name] = [_definition(value) for value in inner]
        elif name in result:
            result[name] = _definition(inner)
    return _without_single_all_of(result, is_root=is_root)


def _definition(value: object) -> object:
    return _normalized(value) if isinstance(value, dict) else value


def _without_single_all_of(schema: Schema, *, is_root: bool) -> Schema:
    reference = _single_reference(schema.get("allOf"))
    if reference is None:
        return schema
    rest = {name: value for name, value in schema.items() if name != "allOf"}
    if not is_root:
        return {**rest, "$ref": reference}
    # The API wants an object at the root, and not a reference to one.
    target = _local_target(reference, schema)
    return schema if target is None else {**target, **rest}


def _single_reference(all_of: object) -> str | None:
    if not isinstance(all_of, list) or len(all_of) != 1:
        return None
    only = all_of[0]
    if not isinstance(only, dict) or set(only) != {"$ref"}:
        return None
    reference = only["$ref"]
    return reference if isinstance(reference, str) else None


def _local_target(reference: str, schema: Schema) -> Schema | None:
    match = _LOCAL_REFERENCE.fullmatch(reference)
    if match is None:
        return None
    definitions = schema.get(match[1])
    name = match[2].replace("~1", "/").replace("~0", "~")
    target = definitions.get(name) if isinstance(definitions, dict) else None
    return target if isinstance(target, dict) else None


def _has_lookaround(pattern: str) -> bool:
    return any(match["lookaround"] for match in _LOOKAROUND.finditer(pattern))
