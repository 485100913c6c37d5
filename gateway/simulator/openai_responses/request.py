"""Requests of OpenAI's Responses API: reading them, and refusing what the API refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Raw, Struct

from midstream.simulator.failures import RequestError
from midstream.simulator.turn import DeclaredTool, Line, ModelRequest, ToolOutcome
from midstream.simulator.wire import decode_request, encode_json, seal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midstream.simulator.openai_responses.store import ResponseStore


class _InputPart(Struct):
    type: str
    text: str = ""


class _InputItem(Struct):
    """Any input item; what its type does not use stays empty."""

    type: str = "message"
    id: str = ""
    role: str = ""
    content: str | list[_InputPart] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[_InputPart] = ""
    summary: list[_InputPart] = []
    encrypted_content: str | None = None


class _ResponsesTool(Struct):
    type: str
    name: str = ""
    parameters: Raw = Raw(b"{}")


class _AskedReasoning(Struct):
    effort: str | None = None
    summary: str | None = None


class _ResponsesRequest(Struct):
    model: str
    input: str | list[Raw] = ""
    stream: bool | None = None
    background: bool | None = None
    store: bool | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: int | None = None
    tools: list[_ResponsesTool] | None = None
    reasoning: _AskedReasoning | None = None
    include: list[str] | None = None


def read_responses_request(body: bytes, store: ResponseStore) -> ModelRequest:
    """Check and understand `POST /v1/responses`.

    Raises:
        RequestError: as the API refuses it; its own words where they are known.
    """
    request = decode_request(body, _ResponsesRequest)
    if request.max_output_tokens is not None and request.max_output_tokens < 16:
        raise RequestError(
            "invalid",
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.",
            param="max_output_tokens",
        )
    if request.background and request.store is False:
        message = "Background mode requires store=true."
        raise RequestError("invalid", message, param="background")
    raw_items = _resolved_items(request, store)
    items = [decode_request(raw, _InputItem) for raw in raw_items]
    _check_items(items)
    latest = _latest_prompt(items)
    reasoning = request.reasoning
    return ModelRequest(
        model=request.model,
        lines=tuple(_lines(request.instructions, items)),
        prompt=_text_of(items[latest].content) if items else "",
        stream=bool(request.stream),
        max_tokens=request.max_output_tokens,
        tools=tuple(
            DeclaredTool(tool.name, tool.parameters)
            for tool in request.tools or ()
            if tool.type == "function"
        ),
        outcomes=tuple(_outcomes(items[latest:])),
        rounds=_rounds(items[latest:]),
        wants_reasoning=reasoning is not None and reasoning.effort not in (None, "none"),
        shows_reasoning=reasoning is None or reasoning.summary is not None,
        seals_reasoning="reasoning.encrypted_content" in (request.include or ()),
        kept=None if request.store is False else raw_items,
        background=bool(request.background),
    )


def _resolved_items(request: _ResponsesRequest, store: ResponseStore) -> tuple[Raw, ...]:
    """Return the input's items, with what the server holds in place of references."""
    items: list[Raw] = []
    if request.previous_response_id is not None:
        previous = store.response(request.previous_response_id)
        if previous is None:
            raise RequestError(
                "invalid",
                f"Previous response with id '{request.previous_response_id}' not found.",
                param="previous_response_id",
            )
        items += previous.items
    if isinstance(request.input, str):
        items.append(Raw(encode_json({"role": "user", "content": request.input})))
        return tuple(items)
    for raw in request.input:
        item = decode_request(raw, _InputItem)
        # An item without type and role is a reference too: it has nothing but its id.
        if item.type == "item_reference" or (item.id and not item.role and item.type == "message"):
            stored = store.item(item.id)
            if stored is None:
                raise RequestError(
                    "not_found", f"Item with id '{item.id}' not found.", param="input"
                )
            raw = stored
        items.append(msgspec.Raw(raw))
    return tuple(items)


def _check_items(items: Sequence[_InputItem]) -> None:
    if not items:
        raise RequestError("invalid", "Input must not be empty.", param="input")
    answered = {item.call_id for item in items if item.type == "function_call_output"}
    called = {item.call_id for item in items if item.type == "function_call"}
    if missing := sorted(called - answered):
        message = f"No tool output found for function call {missing[0]}."
        raise RequestError("invalid", message, param="input")
    if unexpected := sorted(answered - called):
        message = f"No tool call found for function call output with call_id {unexpected[0]}."
        raise RequestError("invalid", message, param="input")
    for item in items:
        if item.type == "reasoning" and item.encrypted_content is not None:
            thought = "".join(part.text for part in item.summary)
            if item.encrypted_content != sealed_reasoning(item.id, thought):
                raise RequestError(
                    "invalid",
                    f"The encrypted content for item {item.id} could not be verified.",
                    param="input",
                )


def sealed_reasoning(item_id: str, summary: str) -> str:
    """Return a reasoning item's encrypted content."""
    return "gAAAAAB" + seal(f"openai:{item_id}", summary)


def _text_of(content: str | Sequence[_InputPart] | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content if part.text)


def _latest_prompt(items: Sequence[_InputItem]) -> int:
    for index in range(len(items) - 1, -1, -1):
        if items[index].role == "user" and _text_of(items[index].content):
            return index
    return 0


def _rounds(items: Sequence[_InputItem]) -> int:
    """Count the runs of calls: parallel calls are one round."""
    kinds = [item.type for item in items if item.type.startswith("function_call")]
    pairs = zip(["", *kinds], kinds, strict=False)
    return sum(kind == "function_call" != before for before, kind in pairs)


def _lines(instructions: str | None, items: Sequence[_InputItem]) -> Iterator[Line]:
    if instructions:
        yield Line("system", instructions)
    for item in items:
        match item.type:
            case "message":
                yield Line(item.role, _text_of(item.content))
            case "function_call":
                yield Line("assistant", f"[function_call {item.name}] {item.arguments}")
            case "function_call_output":
                yield Line("tool", f"[function_call_output] {_text_of(item.output)}")
            case "reasoning":
                thought = "".join(part.text for part in item.summary)
                yield Line("assistant", f"[reasoning] {thought}")
            case kind:
                yield Line("assistant", f"[{kind}]")


def _outcomes(items: Sequence[_InputItem]) -> Iterator[ToolOutcome]:
    names = {item.call_id: item.name for item in items if item.type == "function_call"}
    for item in items:
        if item.type == "function_call_output":
            yield ToolOutcome(names.get(item.call_id, "?"), _text_of(item.output))
