"""The calls inside a `parallel` wrapper, as items of their own. See `openai/parallel_calls.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, UnsetType

from midstream.protocol.chunks import Json
from midstream.providers.openai.metadata import openai_metadata
from midstream.providers.openai.parallel_calls import wrapped_calls

if TYPE_CHECKING:
    from collections.abc import Collection

    from midstream.providers.openai_responses.stream.events import FunctionCall


class ChildCall(Struct, frozen=True, kw_only=True):
    """One call out of a wrapper."""

    call_id: str
    name: str
    arguments: str
    metadata: Json | UnsetType


def expand_parallel(item: FunctionCall, functions: Collection[str]) -> list[ChildCall]:
    """Return the calls inside a wrapper; none if it cannot be opened."""
    calls = wrapped_calls(item.arguments, functions)
    return [
        ChildCall(
            call_id=f"{item.call_id}_{index}",
            name=name,
            arguments=arguments,
            metadata=openai_metadata(
                parallelToolCall={
                    "itemId": item.id,
                    "toolCallId": item.call_id,
                    "toolName": item.name,
                    **({"input": item.arguments} if index == 0 else {}),
                    "index": index,
                    "count": len(calls),
                }
            ),
        )
        for index, (name, arguments) in enumerate(calls)
    ]
