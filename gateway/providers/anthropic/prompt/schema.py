"""The JSON Schema of an answer, as Anthropic's constrained decoding takes it.

Source: @ai-sdk/anthropic 4.0.105, `sanitize-json-schema.ts`,
`supports-native-structured-output-schema.ts` and `has-circular-schema-reference.ts`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import unquote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

Schema: TypeAlias = dict[str, Any]

_MAX_OPTIONAL: Final = 10
"""Properties that may be left out, in all: with more of them, the API gives up."""

_KEPT: Final = ("$schema", "$id", "title", "description", "default", "const", "enum", "type")
_KEPT_NULLS: Final = ("default", "const")
_FORMATS: Final = {
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
    "uuid",
}
_TOLD: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "not",
)
"""Keywords that the decoder does not know: the model reads of them in the description."""

_INSIDE: Final = ("additionalProperties", "contains", "else", "if", "items", "not", "then")
_IN_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_IN_MAPS: Final = ("dependentSchemas", "patternProperties", "properties")
_NO_SCHEMAS: Final = {"const", "default", "enum", "examples", "$defs", "definitions"}
"""Data, and definitions: those are reached through their references."""


def is_constrainable(schema: Schema) -> bool:
    """Whether decoding can be held to a schema without a loss.

    Not to one that refers to itself, that has objects with properties of any name, or that has
    many optional properties.
    """
    if _is_circular(schema):
        return False
    optional, is_open = _stats(schema, schema)
    return not is_open and optional <= _MAX_OPTIONAL


def constrained_schema(schema: Schema) -> Schema:
    """Return a schema without the keywords that the API refuses; they become description."""
    if schema.get("$ref") is not None:
        return {"$ref": schema["$ref"], **_definitions(schema)}
    result: Schema = {
        name: schema[name]
        for name in _KEPT
        if name in schema and (schema[name] is not None or name in _KEPT_NULLS)
    }
    choices = schema.get("anyOf")
    if choices is None:
        choices = schema.get("oneOf")
    if choices is not None:
        result["anyOf"] = _constrained(choices)
    if schema.get("allOf") is not None:
        result["allOf"] = _constrained(schema["allOf"])
    result |= _definitions(schema)
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        if properties is not None:
            result["properties"] = _each_constrained(properties)
        result["additionalProperties"] = False
        if schema.get("required") is not None:
            result["required"] = schema["required"]
    if schema.get("items") is not None:
        result["items"] = _constrained(schema["items"])
    if schema.get("format") in _FORMATS:
        result["format"] = schema["format"]
    if told := _told(schema):
        description = result.get("description")
        result["description"] = told if description is None else f"{description}\n{told}"
    return result


def _constrained(value: Any) -> Any:
    if isinstance(value, list):
        return [_constrained(each) for each in value]
    return constrained_schema(value) if isinstance(value, dict) else value


def _each_constrained(schemas: Schema) -> Schema:
    return {name: _constrained(value) for name, value in schemas.items()}


def _definitions(schema: Schema) -> Schema:
    return {
        name: _each_constrained(schema[name])
        for name in ("definitions", "$defs")
        if schema.get(name) is not None
    }


def _told(schema: Schema) -> str:
    """Return what the decoder does not see to, in words; empty if there is nothing."""
    told = [
        f"{re.sub('[A-Z]', lambda capital: f' {capital[0].lower()}', name)}: {_written(value)}"
        for name in _TOLD
        if (value := schema.get(name)) is not None and value is not False
    ]
    form = schema.get("format")
    if isinstance(form, str) and form not in _FORMATS:
        told.append(f"format: {form}")
    return f"{'; '.join(told)}." if told else ""


def _written(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _stats(node: Any, root: Schema) -> tuple[int, bool]:
    """Return how many optional properties there are, and whether an object is open.

    What is referred to counts at each use; `root` has no circles.
    """
    if not isinstance(node, dict):
        return 0, False
    properties, required = node.get("properties"), node.get("required")
    optional, is_open = 0, _is_open(node)
    if isinstance(properties, dict):
        optional = len(properties.keys() - set(required if isinstance(required, list) else ()))
    for inner in _subschemas(node, root):
        more, inner_open = _stats(inner, root)
        optional += more
        is_open = is_open or inner_open
    return optional, is_open


def _subschemas(node: Schema, root: Schema) -> Iterator[Any]:
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield _resolved(root, reference)
    for name in (*_INSIDE, *_IN_LISTS):
        value = node.get(name)
        if isinstance(value, list):
            yield from value
        elif name in _INSIDE:
            yield value
    for name in _IN_MAPS:
        value = node.get(name)
        if isinstance(value, dict):
            yield from value.values()


def _is_open(node: Schema) -> bool:
    additional, patterns, kind = (
        node.get("additionalProperties"),
        node.get("patternProperties"),
        node.get("type"),
    )
    if additional is True or isinstance(additional, dict):
        return True
    if isinstance(patterns, dict) and patterns:
        return True
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    return is_object and node.get("properties") is None and additional is not False


def _is_circular(schema: Schema) -> bool:
    visiting: set[str] = set()
    visited: set[str] = set()

    def leads_back(pointer: str) -> bool:
        if pointer in visiting or pointer in visited:
            return pointer in visiting
        visiting.add(pointer)
        circular = any(map(leads_back, _references(_resolved(schema, pointer))))
        visiting.discard(pointer)
        visited.add(pointer)
        return circular

    return leads_back("#")


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for each in node:
            yield from _references(each)
    if not isinstance(node, dict):
        return
    for name, value in node.items():
        if name == "$ref":
            if isinstance(value, str) and value.startswith("#"):
                yield value
        elif name in _IN_MAPS and isinstance(value, dict):
            # Names of properties, and no keywords.
            for inner in value.values():
                yield from _references(inner)
        elif name not in _NO_SCHEMAS:
            yield from _references(value)


def _resolved(root: Schema, pointer: str) -> Any:
    """Return what a JSON pointer inside the schema points at; None if there is nothing."""
    current: Any = root
    for segment in unquote(pointer).removeprefix("#").split("/")[1:]:
        name = segment.replace("~1", "/").replace("~0", "~")
        if isinstance(current, list):
            current = current[int(name)] if name.isdecimal() and int(name) < len(current) else None
        else:
            current = current.get(name) if isinstance(current, dict) else None
    return current
