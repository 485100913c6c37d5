"""A call's request, as its SDK has sent it: who speaks, what tools came to, what may be called.

Only the end of the conversation is looked at; the session has the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from midstream.errors import InvalidRequestError
from midstream.protocol.codec import UNREADABLE
from midstream.providers.base import ToolSpec
from midstream.providers.passthrough.content import ToolResult, result_of, shown_parts

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

NO_JSON: Final = Raw(b"null")


class Wire(Enum):
    """The calls that can be runs: the end of their path."""

    CHAT = "chat/completions"
    RESPONSES = "responses"
    MESSAGES = "messages"


class Call(Struct, frozen=True, kw_only=True):
    """What a call asks.

    Attributes:
        streams: the answer is wanted as events.
        stored: the provider keeps the answer (of Responses).
        said: the parts of the user's last message, as a UIMessage has them; None without one.
        results: what tools came to since then, oldest first.
        goes_on: the conversation ends in results: the model goes on with its own message.
    """

    wire: Wire
    streams: bool = False
    stored: bool = True
    said: Sequence[Raw] | None = None
    results: Sequence[ToolResult] = ()
    goes_on: bool = False
    tools: Sequence[ToolSpec] = ()


class _Function(Struct):
    name: str = ""


class _Tool(Struct):
    type: str | None = None
    name: str | None = None
    function: _Function | None = None


class _Item(Struct):
    """A message of any of the APIs, or another item of a Responses request."""

    type: str | None = None
    role: str | None = None
    content: Raw = NO_JSON
    tool_call_id: str | None = None
    call_id: str | None = None
    output: Raw = NO_JSON


class _Block(Struct):
    """A content block of Anthropic's."""

    type: str | None = None
    tool_use_id: str | None = None
    content: Raw = NO_JSON
    is_error: bool | None = None


class _Request(Struct):
    messages: list[Raw] | None = None
    input: Raw = NO_JSON
    stream: bool | None = None
    store: bool | None = None
    tools: list[Raw] | None = None


_request = msgspec.json.Decoder(_Request)
_item = msgspec.json.Decoder(_Item)
_items = msgspec.json.Decoder(list[Raw])
_blocks = msgspec.json.Decoder(list[_Block])
_tool = msgspec.json.Decoder(_Tool)


def read_call(wire: Wire, body: bytes) -> Call:
    """Read a call's body.

    Raises:
        InvalidRequestError: not JSON, or not of its API's shape.
    """
    try:
        request = _request.decode(body)
        items = _conversation(wire, request)
        said, results, goes_on = _END[wire](items)
        tools = tuple(spec for spec in map(_declared, request.tools or ()) if spec is not None)
    except (*UNREADABLE, ValueError):
        raise InvalidRequestError(
            f"unable to show this call in a session; its body is not a request of {wire.value}"
        ) from None
    return Call(
        wire=wire,
        streams=request.stream is True,
        stored=request.store is not False,
        said=said,
        results=results,
        goes_on=goes_on,
        tools=tools,
    )


_Ending = tuple[Sequence[Raw] | None, list[ToolResult], bool]


def _conversation(wire: Wire, request: _Request) -> list[Raw]:
    if wire is not Wire.RESPONSES:
        return request.messages or []
    given = bytes(request.input)
    if given.startswith(b'"'):
        return [Raw(b'{"role":"user","content":%b}' % given)]
    return _items.decode(given) if given.startswith(b"[") else []


def _end_of_chat(messages: list[Raw]) -> _Ending:
    results: list[ToolResult] = []
    goes_on = False
    for index, raw in enumerate(reversed(messages)):
        message = _item.decode(raw)
        if message.role == "tool" and message.tool_call_id is not None:
            results.append(result_of(message.tool_call_id, message.content))
            goes_on = goes_on or index == 0
        elif message.role == "user":
            return shown_parts(message.content), results[::-1], goes_on
    return None, results[::-1], goes_on


def _end_of_responses(items: list[Raw]) -> _Ending:
    results: list[ToolResult] = []
    goes_on = False
    for index, raw in enumerate(reversed(items)):
        item = _item.decode(raw)
        if item.call_id is not None and (item.type or "").endswith("_output"):
            results.append(result_of(item.call_id, item.output))
            goes_on = goes_on or index == 0
        elif item.role == "user":
            return shown_parts(item.content), results[::-1], goes_on
    return None, results[::-1], goes_on


def _end_of_messages(messages: list[Raw]) -> _Ending:
    results: list[ToolResult] = []
    goes_on = False
    for index, raw in enumerate(reversed(messages)):
        message = _item.decode(raw)
        if message.role != "user":
            continue
        answered = _results_in(message.content)
        if not answered:
            return shown_parts(message.content), results, goes_on
        results = answered + results
        goes_on = goes_on or index == 0
    return None, results, goes_on


def _results_in(content: Raw) -> list[ToolResult]:
    if not bytes(content).startswith(b"["):
        return []
    return [
        result_of(block.tool_use_id, block.content, failed=block.is_error is True)
        for block in _blocks.decode(content)
        if block.type == "tool_result" and block.tool_use_id is not None
    ]


_END: Final[dict[Wire, Callable[[list[Raw]], _Ending]]] = {
    Wire.CHAT: _end_of_chat,
    Wire.RESPONSES: _end_of_responses,
    Wire.MESSAGES: _end_of_messages,
}


def _declared(raw: Raw) -> ToolSpec | None:
    """Return a tool by its name; a provider's own that has none goes by its type."""
    tool = _tool.decode(raw)
    if tool.function is not None:
        return ToolSpec(name=tool.function.name)
    own = tool.type if tool.type not in (None, "function", "custom") else None
    name = tool.name or own
    return None if name is None else ToolSpec(name=name, provider_type=own)
