"""Parts of a request that a provider has refused, as far as its answer says.

The Anthropic API begins its message with the place (`messages.2.content.1.image.source: …`), the
OpenAI APIs name it in `param` (`input[2].content[1].image_url`). What stands there in the request
that was sent is the answer; the words are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from midstream.errors import ProviderRejectedError

OF_THE_REQUEST: Final = frozenset({400, 413, 415, 422})
"""Statuses that say that the request itself cannot be answered."""

_PLACE: Final = re.compile(r"(?:messages|input)[.\[][\w.\[\]]*")
_STEP: Final = re.compile(r"\w+")
_SHORTEST: Final = 8
"""Of a content, an address or an id: what is shorter is a word of the API."""


def is_of_the_request(error: ProviderRejectedError) -> bool:
    """Whether the provider refused the content of the request, and not its sender."""
    return getattr(error.__cause__, "status_code", None) in OF_THE_REQUEST


def named_strings(error: ProviderRejectedError) -> frozenset[str]:
    """Return the strings at the place that a refusal names: contents, addresses and ids.

    Empty if it names none, or a message as a whole.
    """
    place = _place(getattr(error.__cause__, "body", None))
    if place is None:
        return frozenset()
    node = _sent(error)
    for step in _STEP.findall(place):
        if isinstance(node, list) and step.isdigit() and int(step) < len(node):
            node = node[int(step)]
        elif isinstance(node, dict) and step in node:
            node = node[step]
        elif not isinstance(node, dict) or node.get("type") != step:
            break
    if isinstance(node, Mapping) and "role" in node:
        return frozenset()
    return frozenset(_strings(node))


def _place(body: object) -> str | None:
    """Return the place that an error's body names."""
    fields = body if isinstance(body, Mapping) else {}
    inner = fields.get("error", fields)
    if not isinstance(inner, Mapping):
        return None
    for said in (inner.get("param"), inner.get("message")):
        found = _PLACE.match(said) if isinstance(said, str) else None
        if found is not None:
            return found[0]
    return None


def _sent(error: ProviderRejectedError) -> Any:
    """Return the body of the request that was refused; None if it is not known."""
    try:
        return json.loads(getattr(getattr(error.__cause__, "request", None), "content", b""))
    except (ValueError, RuntimeError):  # a body that was not read is a RuntimeError
        return None


def _strings(node: object) -> Iterator[str]:
    if isinstance(node, str):
        if len(node) >= _SHORTEST:
            yield node
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)
