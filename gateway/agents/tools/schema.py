"""A function's signature and docstring, as JSON Schema for a model.

The parameters become the fields of a Struct: their JSON Schema is msgspec's, and so is the
check of what a model wrote. A docstring's `Args:` (Google style) describe them.
"""

from __future__ import annotations

import inspect
import re
from copy import copy
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct

from midstream.agents.tools.api import ToolContext

if TYPE_CHECKING:
    from collections.abc import Callable

_SECTION: Final = re.compile(r"^(Args|Returns|Raises|Yields|Examples?):$", re.MULTILINE)
_PARAMETER: Final = re.compile(r"^ {4}(\w+)(?: \([^)]*\))?:\s*(.+(?:\n {5,}.+)*)", re.MULTILINE)
_COPIED: Final = (list, dict, set)
"""Defaults that a call could change for the next one."""


class Signature(Struct, frozen=True, kw_only=True):
    """The parameters of a function.

    Attributes:
        description: its docstring without sections.
        arguments: a Struct with a field for each parameter that the model fills in.
        context: the parameter for the `ToolContext`, if it has one.
    """

    description: str
    arguments: type[Struct]
    schema: Raw
    context: str | None

    @classmethod
    def of(cls, function: Callable[..., object]) -> Signature:
        """Read a function's signature.

        Raises:
            TypeError: it has parameters that no JSON object can fill; the text says which.
        """
        text = inspect.getdoc(function) or ""
        described = _described(text)
        hints = _hints(function)
        fields: list[tuple[str, Any, Any]] = []
        context = None
        for parameter in inspect.signature(function).parameters.values():
            kind = hints.get(parameter.name, Any)
            if kind is ToolContext:
                context = parameter.name
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                fields.append(_field(parameter, kind, described.get(parameter.name)))
            else:
                raise TypeError(f"its parameter `{parameter}` cannot be given by name")
        arguments = msgspec.defstruct(
            "Arguments", fields, kw_only=True, forbid_unknown_fields=True, frozen=True
        )
        return cls(
            description=_description(text),
            arguments=arguments,
            schema=_schema(arguments),
            context=context,
        )


def _hints(function: Callable[..., object]) -> dict[str, Any]:
    """Return the types of the parameters; the return type may be unresolvable here."""
    while isinstance(function, partial):
        function = function.func
    target = inspect.unwrap(function if inspect.isroutine(function) else type(function).__call__)
    hints = {name: hint for name, hint in target.__annotations__.items() if name != "return"}
    try:
        return get_type_hints(
            SimpleNamespace(__annotations__=hints),
            globalns=getattr(target, "__globals__", None),
            include_extras=True,
        )
    except NameError as error:
        raise TypeError(f"its type hints name something unknown: {error}") from None


def _field(
    parameter: inspect.Parameter, kind: object, description: str | None
) -> tuple[str, Any, Any]:
    described = kind if description is None else Annotated[kind, Meta(description=description)]
    default = parameter.default
    if default is parameter.empty:
        return (parameter.name, described, msgspec.NODEFAULT)
    if isinstance(default, _COPIED):
        return (parameter.name, described, msgspec.field(default_factory=partial(copy, default)))
    return (parameter.name, described, default)


def _schema(arguments: type[Struct]) -> Raw:
    """Return the JSON Schema with an object at its root, as providers want it."""
    _, components = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    root = components.pop(arguments.__name__)
    del root["title"]
    return Raw(msgspec.json.encode({**root, "$defs": components} if components else root))


def _description(text: str) -> str:
    """Return a docstring up to its first section, each paragraph on one line."""
    first = _SECTION.search(text)
    text = text[: first.start()] if first else text
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _described(text: str) -> dict[str, str]:
    """Return the parameters' descriptions by name."""
    _, _, body = text.partition("\nArgs:\n")
    following = _SECTION.search(body)
    body = body[: following.start()] if following else body
    return {each[1]: " ".join(each[2].split()) for each in _PARAMETER.finditer(body)}
