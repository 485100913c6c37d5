"""Tool calls of an Anthropic message: from a block's start to its input's end.

Source: @ai-sdk/anthropic 4.0.105, `anthropic-language-model.ts`, `doStream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from msgspec import Raw

from midstream.protocol.chunks import (
    AnyChunk,
    ToolInputAvailableChunk,
    ToolInputDeltaChunk,
    ToolInputErrorChunk,
)
from midstream.protocol.codec import UNREADABLE
from midstream.protocol.surrogates import well_formed
from midstream.providers.anthropic.stream.metadata import anthropic_metadata, call_metadata
from midstream.providers.conversation.tool_calls import rewritten

if TYPE_CHECKING:
    from midstream.providers.anthropic.stream import blocks as wire
    from midstream.providers.anthropic.tool_names import ToolNames
    from midstream.providers.conversation.tool_calls import ToolCalls

CompleteCall: TypeAlias = ToolInputAvailableChunk | ToolInputErrorChunk

_CODE: Final = "code_execution"
_PROGRAM: Final = "programmatic-tool-call"

# The API's name of a provider's tool -> the declared tool, and the `type` of its input: one tool
# can have three names.
_SERVER_TOOLS: Final[dict[str, tuple[str, str | None]]] = {
    "web_fetch": ("web_fetch", None),
    "web_search": ("web_search", None),
    "code_execution": (_CODE, _PROGRAM),
    "bash_code_execution": (_CODE, "bash_code_execution"),
    "text_editor_code_execution": (_CODE, "text_editor_code_execution"),
    "tool_search_tool_regex": ("tool_search_tool_regex", None),
    "tool_search_tool_bm25": ("tool_search_tool_bm25", None),
    "advisor": ("advisor", None),
}
# Tools whose block has no input: it streams, or there is none.
_STARTS_WITH: Final = {
    "tool_search_tool_regex": "",
    "tool_search_tool_bm25": "",
    "advisor": "{}",
}

_object_decoder: Final = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class OpenCall:
    """A call whose block is open. `server_tool`: the API's name of a provider's tool."""

    __slots__ = (
        "call_id",
        "caller",
        "input_text",
        "input_type",
        "member",
        "name",
        "server_tool",
        "toolset",
    )

    def __init__(
        self,
        call_id: str,
        name: str,
        input_text: str,
        caller: wire.BlockCaller | None,
        *,
        server_tool: str | None = None,
        input_type: str | None = None,
        toolset: str | None = None,
        member: str | None = None,
    ) -> None:
        """Remember what the block's start said."""
        self.call_id = call_id
        self.name = name
        self.input_text = input_text
        self.caller = caller
        self.server_tool = server_tool
        self.input_type = input_type
        self.toolset = toolset
        self.member = member


class CallStream:
    """Makes the chunks of a step's calls.

    Args:
        names: of the provider's tools.
        calls: the step's calls, checked as for every provider.
    """

    def __init__(self, names: ToolNames, calls: ToolCalls) -> None:
        """Begin a step."""
        self._names = names
        self._calls = calls
        self._mcp_calls: dict[str, CompleteCall] = {}

    def open_tool(self, block: wire.ToolUseBlock) -> tuple[OpenCall, list[AnyChunk]]:
        """One of our tools is called."""
        toolset = block.toolset_name
        name = block.name if toolset is None else self._names.to_client(toolset)
        call = OpenCall(
            block.id,
            name,
            _given_input(block.input),
            block.caller,
            toolset=toolset,
            member=None if toolset is None else block.name,
        )
        return call, [self._calls.start(block.id, name)]

    def open_server_tool(
        self, block: wire.ServerToolUseBlock
    ) -> tuple[OpenCall, list[AnyChunk]] | None:
        """One of the provider's tools is called; None if we do not know it."""
        known = _SERVER_TOOLS.get(block.name)
        if known is None:
            return None
        tool, input_type = known
        name = self._names.to_client(tool)
        text = _STARTS_WITH.get(tool)
        call = OpenCall(
            block.id,
            name,
            _given_input(block.input) if text is None else text,
            block.caller,
            server_tool=tool,
            input_type=input_type,
        )
        start = self._calls.start(block.id, name, provider_executed=True)
        if tool == _CODE and self._names.code_is_implied:
            start = msgspec.structs.replace(start, dynamic=True)
        return call, [start]

    def extend(self, call: OpenCall, text: str) -> list[AnyChunk]:
        """More of a call's input."""
        if call.toolset is not None:
            call.input_text += text
            return []
        if call.input_type is not None and not call.input_text:
            text = f'{{"type": "{call.input_type}",{text[1:]}'
        call.input_text += text
        return [ToolInputDeltaChunk(tool_call_id=call.call_id, input_text_delta=text)]

    def close(self, call: OpenCall) -> list[AnyChunk]:
        """A call's input is complete."""
        chunks: list[AnyChunk] = []
        text = call.input_text or "{}"
        if call.member is not None:
            text = _with_field(text, "action", call.member)
            chunks.append(ToolInputDeltaChunk(tool_call_id=call.call_id, input_text_delta=text))
        elif call.server_tool == _CODE:
            text = _as_program(text)
        chunks.append(
            self._calls.complete(
                call.call_id,
                call.name,
                text,
                provider_executed=call.server_tool is not None,
                provider_dynamic=call.server_tool == _CODE and self._names.code_is_implied,
                metadata=call_metadata(call.caller, call.toolset),
            )
        )
        return chunks

    def whole_tool(self, block: wire.ToolUseBlock) -> list[AnyChunk]:
        """One of our tools was called before the message began to stream."""
        text = _given_input(block.input) or "{}"
        return [
            self._calls.start(block.id, block.name),
            ToolInputDeltaChunk(tool_call_id=block.id, input_text_delta=text),
            self._calls.complete(block.id, block.name, text, metadata=call_metadata(block.caller)),
        ]

    def whole_mcp_tool(self, block: wire.McpToolUseBlock) -> list[AnyChunk]:
        """A tool of an MCP server is called."""
        call = self._calls.complete(
            block.id,
            block.name,
            well_formed(bytes(block.input)).decode(),
            provider_executed=True,
            provider_dynamic=True,
            metadata=anthropic_metadata(type="mcp-tool-use", serverName=block.server_name),
        )
        self._mcp_calls[block.id] = call
        return [call]

    def mcp_call(self, call_id: str) -> CompleteCall | None:
        """Return an MCP call of this step; None if there was none of this id."""
        return self._mcp_calls.get(call_id)


def _given_input(raw: Raw) -> str:
    """Return the input that a block starts with, as compact JSON; empty if there is none."""
    text = well_formed(bytes(raw))
    if not text:
        return ""
    compact = rewritten(text)
    return "" if compact in {"{}", "null"} else compact


def _as_program(text: str) -> str:
    """Name what code_execution's input is, if the model did not."""
    try:
        fields = _object_decoder.decode(text)
    except UNREADABLE:
        return text
    if "code" not in fields or "type" in fields:
        return text
    return _encode({"type": _PROGRAM, **fields}).decode()


def _with_field(text: str, name: str, value: str) -> str:
    """Return a JSON object with one more field; other JSON unchanged."""
    try:
        fields = _object_decoder.decode(text)
    except UNREADABLE:
        return text
    return rewritten(_encode({**fields, name: value}))
