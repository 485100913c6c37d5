"""OpenAI's Chat Completions wire: `POST /openai/v1/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Raw, Struct

from midstream.simulator.api import SimulatedApi
from midstream.simulator.failures import RequestError
from midstream.simulator.models import answer_models
from midstream.simulator.turn import (
    Call,
    DeclaredTool,
    Line,
    ModelRequest,
    PlannedAnswer,
    Source,
    Text,
    Thoughts,
    ToolOutcome,
)
from midstream.simulator.wire import (
    Asked,
    FramedEvent,
    decode_request,
    encode_json,
    openai_error,
    sse,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Json: TypeAlias = dict[str, object]

_FINISH_REASONS = {
    "end": "stop",
    "length": "length",
    "tools": "tool_calls",
    "refusal": "stop",
    "stop_sequence": "stop",
}
_FINGERPRINT = "fp_51m0000000"


class _ChatPart(Struct):
    type: str
    text: str = ""


class _ChatFunction(Struct):
    name: str
    arguments: str = ""
    parameters: Raw = Raw(b"{}")


class _ChatToolCall(Struct):
    id: str
    function: _ChatFunction


class _ChatMessage(Struct):
    role: str
    content: str | list[_ChatPart] | None = None
    tool_calls: list[_ChatToolCall] | None = None
    tool_call_id: str | None = None


class _ChatTool(Struct):
    type: str
    function: _ChatFunction | None = None


class _StreamOptions(Struct):
    include_usage: bool = False


class _ChatRequest(Struct):
    model: str
    messages: list[_ChatMessage]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_ChatTool] | None = None
    stop: str | list[str] | None = None
    reasoning_effort: str | None = None


class SimulatedChat(SimulatedApi):
    """Chat Completions."""

    name = "openai-chat"
    base_path = "/openai/v1"
    path = "/chat/completions"

    def look_up(self, method: str, path: str, body: bytes) -> bytes | None:
        """Answer for the models."""
        return answer_models(method, path, _describe_model, _page_of_models)

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Check and understand a request."""
        request = decode_request(body, _ChatRequest)
        _check_messages(request.messages)
        latest = _latest_prompt(request.messages)
        after = request.messages[latest:]
        limit = request.max_completion_tokens
        stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
        options = request.stream_options
        return ModelRequest(
            model=request.model,
            lines=tuple(_lines(request.messages)),
            prompt=_text_of(request.messages[latest]),
            stream=bool(request.stream),
            stream_usage=options is not None and options.include_usage,
            max_tokens=limit if limit is not None else request.max_tokens,
            stop_sequences=tuple(stop),
            tools=tuple(
                DeclaredTool(tool.function.name, tool.function.parameters)
                for tool in request.tools or ()
                if tool.function is not None
            ),
            outcomes=tuple(_outcomes(after)),
            rounds=sum(bool(message.tool_calls) for message in after),
            wants_reasoning=request.reasoning_effort not in (None, "none"),
        )

    def stream(self, turn: PlannedAnswer, exchange: Asked) -> Iterator[FramedEvent]:
        """Yield the whole answer's events, `[DONE]` included."""
        head = _head(exchange, "chat.completion.chunk")

        def chunk(delta: Json, finish_reason: str | None = None) -> bytes:
            choice = {
                "index": 0,
                "delta": delta,
                "logprobs": None,
                "finish_reason": finish_reason,
            }
            return sse(None, {**head, "choices": [choice], "usage": None})

        yield FramedEvent(chunk({"role": "assistant", "content": "", "refusal": None}))
        for delta, counts in _deltas(turn, exchange):
            yield FramedEvent(b"" if delta is None else chunk(delta), counts)
        yield FramedEvent(chunk({}, _FINISH_REASONS[turn.stop]))
        if exchange.request.stream_usage:
            yield FramedEvent(sse(None, {**head, "choices": [], "usage": _usage(turn)}))
        yield FramedEvent(b"data: [DONE]\n\n")

    def body(self, turn: PlannedAnswer, exchange: Asked) -> bytes:
        """Return the answer to a request that does not stream."""
        text, annotations = _text_and_annotations(turn)
        calls = [
            {
                "id": exchange.new_id("call_"),
                "type": "function",
                "function": {"name": part.name, "arguments": "".join(part.pieces)},
            }
            for part in turn.parts
            if isinstance(part, Call)
        ]
        message: Json = {
            "role": "assistant",
            "content": text or None,
            "refusal": "".join(turn.refusal) or None,
            "annotations": annotations,
        }
        if calls:
            message["tool_calls"] = calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _FINISH_REASONS[turn.stop],
        }
        head = _head(exchange, "chat.completion")
        return encode_json({**head, "choices": [choice], "usage": _usage(turn)})

    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error after `sequence` events, framed."""
        return sse(None, openai_error(error))

    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""
        return encode_json(openai_error(error))


def _head(exchange: Asked, kind: str) -> Json:
    return {
        "id": exchange.new_id("chatcmpl-"),
        "object": kind,
        "created": exchange.created,
        "model": exchange.request.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


def _deltas(turn: PlannedAnswer, exchange: Asked) -> Iterator[tuple[Json | None, bool]]:
    """Yield deltas, and whether each is a piece; None for a piece that stays hidden."""
    calls = at = 0
    for part in turn.parts:
        match part:
            case Thoughts(pieces=pieces):
                for _ in pieces:
                    yield None, True
            case Text(pieces=pieces, cited=cited):
                for piece in pieces:
                    yield {"content": piece}, True
                length = sum(map(len, pieces))
                if cited is not None:
                    yield {"annotations": [_annotation(cited, at, at + length)]}, False
                at += length
            case Call(name=name, pieces=pieces):
                function: Json = {"name": name, "arguments": ""}
                call = {"id": exchange.new_id("call_"), "type": "function", "function": function}
                yield {"tool_calls": [{"index": calls, **call}]}, False
                for piece in pieces:
                    arguments = {"index": calls, "function": {"arguments": piece}}
                    yield {"tool_calls": [arguments]}, True
                calls += 1
            case _:
                # The search itself does not show on this wire, only what it found.
                continue
    for piece in turn.refusal:
        yield {"refusal": piece}, True


def _text_and_annotations(turn: PlannedAnswer) -> tuple[str, list[Json]]:
    text = ""
    annotations: list[Json] = []
    for part in turn.parts:
        if isinstance(part, Text):
            start, text = len(text), text + "".join(part.pieces)
            if part.cited is not None:
                annotations.append(_annotation(part.cited, start, len(text)))
    return text, annotations


def _annotation(source: Source, start: int, end: int) -> Json:
    citation = {"start_index": start, "end_index": end, "title": source.title, "url": source.url}
    return {"type": "url_citation", "url_citation": citation}


def _usage(turn: PlannedAnswer) -> Json:
    return {
        "prompt_tokens": turn.input_tokens,
        "completion_tokens": turn.output_tokens,
        "total_tokens": turn.input_tokens + turn.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": turn.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _check_messages(messages: Sequence[_ChatMessage]) -> None:
    if not messages:
        raise RequestError(
            "invalid", "Invalid 'messages': empty array. Expected at least 1.", param="messages"
        )
    pending: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.[{index}].role"
        if message.role == "tool":
            if message.tool_call_id not in pending:
                raise RequestError(
                    "invalid",
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'.",
                    param=where,
                )
            pending.discard(message.tool_call_id)
            continue
        if pending:
            _refuse_unanswered(pending, where)
        pending = {call.id for call in message.tool_calls or ()}
    if pending:
        _refuse_unanswered(pending, f"messages.[{len(messages)}].role")


def _refuse_unanswered(pending: set[str], where: str) -> None:
    raise RequestError(
        "invalid",
        "An assistant message with 'tool_calls' must be followed by tool messages responding to "
        f"each 'tool_call_id'. These did not have response messages: {', '.join(sorted(pending))}",
        param=where,
    )


def _text_of(message: _ChatMessage) -> str:
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    return "\n".join(part.text for part in message.content if part.type == "text")


def _latest_prompt(messages: Sequence[_ChatMessage]) -> int:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user" and _text_of(messages[index]):
            return index
    return 0


def _lines(messages: Sequence[_ChatMessage]) -> Iterator[Line]:
    for message in messages:
        if isinstance(message.content, str):
            yield Line(message.role, message.content)
        for part in message.content if isinstance(message.content, list) else ():
            yield Line(message.role, part.text if part.type == "text" else f"[{part.type}]")
        for call in message.tool_calls or ():
            yield Line(message.role, f"[tool_call {call.function.name}] {call.function.arguments}")


def _outcomes(messages: Sequence[_ChatMessage]) -> Iterator[ToolOutcome]:
    names: dict[str, str] = {}
    for message in messages:
        names |= {call.id: call.function.name for call in message.tool_calls or ()}
        if message.role == "tool" and message.tool_call_id is not None:
            yield ToolOutcome(names.get(message.tool_call_id, "?"), _text_of(message))


def _describe_model(name: str) -> Json:
    # It tells when a model was made; the simulator's were made at no time in particular.
    return {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "simulator"}


def _page_of_models(models: list[Json]) -> Json:
    return {"object": "list", "data": models}
