"""State shared by the tool items of one Responses stream: names, calls, and inputs under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from midstream.protocol.chunks import AnyChunk, Json, ToolInputDeltaChunk, ToolOutputAvailableChunk
from midstream.providers.conversation.tool_calls import ToolCalls
from midstream.providers.openai_responses.stream.annotations import Annotations
from midstream.providers.stream.loose import reader

_Item = TypeVar("_Item")
_encode = msgspec.json.encode


class Tooling(Struct, frozen=True, kw_only=True):
    """A request's declarations of tools.

    Attributes:
        names: the client's name of each provider tool, by the provider's name.
        functions: names of the plain functions.
        hosts_shell: the provider runs the shell, in a container.
        approved: tool call ids by approval request id: calls of earlier steps that a person
            was asked about.
    """

    names: Mapping[str, str] = {}
    functions: Collection[str] = ()
    hosts_shell: bool = False
    approved: Mapping[str, str] = {}

    def client_name(self, provider_name: str) -> str:
        """Return what the client calls a provider tool."""
        return self.names.get(provider_name, provider_name)

    @property
    def web_search(self) -> str:
        """The client's name of the web search, whichever of the two was declared."""
        preview = self.names.get("web_search_preview", "web_search")
        return self.names.get("web_search", preview)


class StreamingInput(Struct):
    """A call whose input streams.

    Attributes:
        withheld: input of a call that may turn out to be several.
        patch_streamed, patch_ended: whether the diff, and the JSON around it, were written.
    """

    call_id: str
    name: str
    container_id: str = ""
    is_async: bool | None = None
    withheld: list[str] | None = None
    patch_streamed: bool = False
    patch_ended: bool = False


class StepTools(Struct, kw_only=True):
    """The tool calls of one step.

    Attributes:
        streaming: by `output_index`: item ids may change from event to event.
        hosted_searches: ids of the provider's tool searches that have no output yet.
        approvals: tool call ids by approval request id.
        called_client: a call was made for which the step ends.
    """

    calls: ToolCalls
    tooling: Tooling
    annotations: Annotations
    new_id: Callable[[], str]
    streaming: dict[int, StreamingInput] = field(default_factory=dict)
    hosted_searches: deque[str] = field(default_factory=deque)
    approvals: dict[str, str] = field(default_factory=dict)
    called_client: bool = False

    def streaming_at(self, index: int | None) -> StreamingInput | None:
        """Return the call whose input streams in an output item, if there is one."""
        return None if index is None else self.streaming.get(index)


Handler: TypeAlias = Callable[[StepTools, int, Raw], list[AnyChunk]]
"""Turns an item, at its `output_index`, into chunks. MsgspecError: it has not its shape."""


def read(shape: type[_Item], handle: Callable[[StepTools, int, _Item], list[AnyChunk]]) -> Handler:
    """Return a handler that decodes the item first."""
    decode = reader(shape)
    return lambda step, index, raw: handle(step, index, decode(raw))


def to_json(value: object) -> str:
    """Return a value as JSON text, without blanks between its tokens."""
    return msgspec.json.format(_encode(value), indent=-1).decode()


def inside_string(text: str) -> str:
    """Return text as it stands between the quotes of a JSON string."""
    return _encode(text)[1:-1].decode()


def input_chunk(call_id: str, text: str) -> ToolInputDeltaChunk:
    """Return more of a call's input."""
    return ToolInputDeltaChunk(tool_call_id=call_id, input_text_delta=text)


def output_chunk(
    call_id: str, value: object, metadata: Json | UnsetType = UNSET
) -> ToolOutputAvailableChunk:
    """Return the result of a call that the provider executed."""
    return ToolOutputAvailableChunk(
        tool_call_id=call_id,
        output=Raw(_encode(value)),
        provider_executed=True,
        provider_metadata=metadata,
    )
