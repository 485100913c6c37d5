"""Requests of Anthropic's Messages API: reading them, and refusing what the API refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Raw, Struct

from midstream.simulator.failures import RequestError
from midstream.simulator.turn import DeclaredTool, Line, ModelRequest, ToolOutcome, count_tokens
from midstream.simulator.wire import decode_request, encode_json, seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class _GivenBlock(Struct):
    """Any content block of a request; what its type does not use stays empty."""

    type: str
    text: str | None = None
    id: str = ""
    name: str = ""
    input: Raw = Raw(b"{}")
    tool_use_id: str = ""
    content: str | list[_GivenBlock] | None = None
    thinking: str = ""
    signature: str = ""
    is_error: bool = False


class _GivenMessage(Struct):
    role: str
    content: str | list[_GivenBlock]


class _MessagesTool(Struct):
    name: str
    # Empty for the API's own tools. (`Raw | None` would take null only.)
    input_schema: Raw = Raw(b"")
    type: str | None = None


class _Thinking(Struct):
    type: str


class _MessagesRequest(Struct):
    model: str
    max_tokens: int
    messages: list[_GivenMessage]
    stream: bool = False
    system: str | list[_GivenBlock] | None = None
    tools: list[_MessagesTool] = []
    thinking: _Thinking | None = None
    stop_sequences: list[str] | None = None
    thread: Raw = Raw(b"null")


class _CountRequest(Struct):
    model: str
    messages: list[_GivenMessage]
    system: str | list[_GivenBlock] | None = None


def read_messages_request(body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Check and understand `POST /v1/messages`.

    Raises:
        RequestError: as the API refuses it; its own words where they are known.
    """
    if "anthropic-version" not in headers:
        raise RequestError("invalid", "anthropic-version: header is required")
    request = decode_request(body, _MessagesRequest)
    if request.max_tokens < 1:
        raise RequestError("invalid", "max_tokens: must be greater than or equal to 1")
    if bytes(request.thread) != b"null":
        # To pass it over would be to answer without the conversation that the API holds.
        raise RequestError(
            "invalid",
            "thread: the simulated provider keeps no Threads. Send the full conversation without "
            "`thread`.",
            error_code="thread_unsupported_request",
        )
    _check_messages(request.messages)
    latest = _latest_prompt(request.messages)
    return ModelRequest(
        model=request.model,
        lines=tuple(_lines(request.system, request.messages)),
        prompt=_text_of(request.messages[latest].content),
        stream=request.stream,
        max_tokens=request.max_tokens,
        stop_sequences=tuple(request.stop_sequences or ()),
        tools=tuple(
            DeclaredTool(tool.name, tool.input_schema)
            for tool in request.tools
            if tool.input_schema
        ),
        outcomes=tuple(_outcomes(request.messages[latest:])),
        rounds=sum(bool(_uses(message)) for message in request.messages[latest:]),
        wants_reasoning=request.thinking is not None and request.thinking.type != "disabled",
    )


def answer_count_request(body: bytes) -> bytes:
    """Answer `POST /v1/messages/count_tokens`."""
    request = decode_request(body, _CountRequest)
    return encode_json({"input_tokens": count_tokens(_lines(request.system, request.messages))})


def _content(message: _GivenMessage) -> Sequence[_GivenBlock]:
    return message.content if isinstance(message.content, list) else ()


def _uses(message: _GivenMessage) -> set[str]:
    return {block.id for block in _content(message) if block.type == "tool_use"}


def _text_of(content: str | Sequence[_GivenBlock] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(block.text for block in content if block.type == "text" and block.text)


def _latest_prompt(messages: Sequence[_GivenMessage]) -> int:
    """Return the index of the last message in which a person said something."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user" and _text_of(messages[index].content):
            return index
    return 0


def _check_messages(messages: Sequence[_GivenMessage]) -> None:
    if not messages:
        raise RequestError("invalid", "messages: at least one message is required")
    pending: set[str] = set()
    for index, message in enumerate(messages):
        if message.role not in ("user", "assistant", "system"):
            raise RequestError(
                "invalid", f"messages.{index}.role: Input should be 'user' or 'assistant'"
            )
        if not message.content and index < len(messages) - 1:
            raise RequestError(
                "invalid", f"messages.{index}: all messages must have non-empty content"
            )
        results = {b.tool_use_id for b in _content(message) if b.type == "tool_result"}
        if missing := pending - results:
            raise RequestError(
                "invalid",
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks "
                f"immediately after: {', '.join(sorted(missing))}.",
            )
        if unexpected := results - pending:
            raise RequestError(
                "invalid",
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{', '.join(sorted(unexpected))}.",
            )
        pending = _uses(message)
        for position, block in enumerate(_content(message)):
            _check_block(block, f"messages.{index}.content.{position}")
    if pending:
        raise RequestError(
            "invalid",
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks",
        )


def _check_block(block: _GivenBlock, where: str) -> None:
    if block.type == "text" and not block.text:
        raise RequestError("invalid", f"{where}: text content blocks must be non-empty")
    if block.type == "thinking" and block.signature != seal("anthropic", block.thinking):
        raise RequestError("invalid", f"{where}: Invalid `signature` in `thinking` block")


def _lines(
    system: str | Sequence[_GivenBlock] | None, messages: Sequence[_GivenMessage]
) -> Iterator[Line]:
    if system:
        yield Line("system", _text_of(system))
    for message in messages:
        if isinstance(message.content, str):
            yield Line(message.role, message.content)
            continue
        for block in message.content:
            yield Line(message.role, _described(block))


def _described(block: _GivenBlock) -> str:
    match block.type:
        case "text":
            return block.text or ""
        case "thinking":
            return f"[thinking] {block.thinking}"
        case "tool_use" | "server_tool_use":
            return f"[{block.type} {block.name}] {bytes(block.input).decode()}"
        case "tool_result":
            failed = " error" if block.is_error else ""
            return f"[tool_result{failed}] {_text_of(block.content)}"
        case kind:
            return f"[{kind}]"


def _outcomes(messages: Sequence[_GivenMessage]) -> Iterator[ToolOutcome]:
    names: dict[str, str] = {}
    for message in messages:
        for block in _content(message):
            if block.type == "tool_use":
                names[block.id] = block.name
            elif block.type == "tool_result":
                yield ToolOutcome(names.get(block.tool_use_id, "?"), _text_of(block.content))
