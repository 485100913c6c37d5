"""Anthropic's Messages wire: `POST /anthropic/v1/messages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Raw, Struct

from midstream.simulator.anthropic.request import answer_count_request, read_messages_request
from midstream.simulator.api import SimulatedApi
from midstream.simulator.models import answer_models
from midstream.simulator.turn import (
    Call,
    ModelRequest,
    PlannedAnswer,
    Search,
    Source,
    Text,
    Thoughts,
)
from midstream.simulator.wire import Asked, FramedEvent, encode_json, opaque_text, seal, sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from midstream.simulator.failures import RequestError

Json: TypeAlias = dict[str, object]

# The API sends pings "as needed"; one for so many deltas is enough to meet them in any test.
_DELTAS_BETWEEN_PINGS = 200

_STOP_REASONS = {
    "end": "end_turn",
    "length": "max_tokens",
    "tools": "tool_use",
    "refusal": "refusal",
    "stop_sequence": "stop_sequence",
}


class SimulatedMessages(SimulatedApi):
    """The Messages API."""

    name = "anthropic"
    base_path = "/anthropic"
    path = "/v1/messages"
    request_id_header = "request-id"

    def look_up(self, method: str, path: str, body: bytes) -> bytes | None:
        """Answer for the models, and count a request's tokens."""
        if (method, path) == ("POST", f"{self.path}/count_tokens"):
            return answer_count_request(body)
        return answer_models(method, path.removeprefix("/v1"), _describe_model, _page_of_models)

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Check and understand a request."""
        return read_messages_request(body, headers)

    def stream(self, turn: PlannedAnswer, exchange: Asked) -> Iterator[FramedEvent]:
        """Yield the whole answer's events, terminal included."""
        message = _message(turn, exchange, content=[], output_tokens=1)
        yield _event("message_start", {"message": message})
        deltas = 0
        for index, part in enumerate(_blocks(turn, exchange)):
            block = _open_block(part, exchange)
            yield _event("content_block_start", {"index": index, "content_block": block})
            if index == 0:
                yield _event("ping", {})
            for opening in _opening_deltas(part):
                yield _event("content_block_delta", {"index": index, "delta": opening})
            for delta in _deltas(part):
                deltas += 1
                yield _event("content_block_delta", {"index": index, "delta": delta}, delta=True)
                if deltas % _DELTAS_BETWEEN_PINGS == 0:
                    yield _event("ping", {})
            for closing in _closing_deltas(part):
                yield _event("content_block_delta", {"index": index, "delta": closing})
            yield _event("content_block_stop", {"index": index})
        ended: Json = {"delta": _ending(turn), "usage": _usage(turn, turn.output_tokens)}
        yield _event("message_delta", ended)
        yield _event("message_stop", {})

    def body(self, turn: PlannedAnswer, exchange: Asked) -> bytes:
        """Return the answer to a request that does not stream."""
        content = [_whole_block(part, exchange) for part in _blocks(turn, exchange)]
        message = _message(turn, exchange, content=content, output_tokens=turn.output_tokens)
        return encode_json(message | _ending(turn))

    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error after `sequence` events, framed."""
        detail = {"type": error.failure.anthropic_type, "message": error.message}
        return sse("error", {"type": "error", "error": detail})

    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""
        detail: Json = {"type": error.failure.anthropic_type, "message": error.message}
        if error.error_code is not None:
            detail["details"] = {"error_code": error.error_code}
        return encode_json({"type": "error", "error": detail, "request_id": request_id})


class _Found(Struct, frozen=True):
    """The block of a search's results; it follows the block of its call."""

    search_id: str
    sources: tuple[Source, ...]


class _Searching(Struct, frozen=True):
    search_id: str
    query: str


_BlockPart: TypeAlias = Thoughts | Text | Call | _Searching | _Found


def _blocks(turn: PlannedAnswer, exchange: Asked) -> Iterator[_BlockPart]:
    for part in turn.parts:
        if isinstance(part, Search):
            search_id = exchange.new_id("srvtoolu_01")
            yield _Searching(search_id, part.query)
            yield _Found(search_id, part.sources)
        else:
            yield part


def _event(kind: str, fields: Json, *, delta: bool = False) -> FramedEvent:
    return FramedEvent(sse(kind, {"type": kind, **fields}), delta)


def _open_block(part: _BlockPart, exchange: Asked) -> Json:
    match part:
        case Thoughts():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case Text(cited=None):
            return {"type": "text", "text": ""}
        case Text():
            return {"type": "text", "text": "", "citations": []}
        case Call():
            return _tool_use(part, exchange, {})
        case _Searching():
            return _server_tool_use(part, {})
        case _Found():
            return _search_result(part)


def _whole_block(part: _BlockPart, exchange: Asked) -> Json:
    match part:
        case Thoughts(pieces=pieces):
            thinking = "".join(pieces)
            return {
                "type": "thinking",
                "thinking": thinking,
                "signature": seal("anthropic", thinking),
            }
        case Text(pieces=pieces, cited=cited):
            block: Json = {"type": "text", "text": "".join(pieces)}
            return block if cited is None else {**block, "citations": [_citation(cited)]}
        case Call(pieces=pieces):
            return _tool_use(part, exchange, Raw("".join(pieces).encode() or b"{}"))
        case _Searching(query=query):
            return _server_tool_use(part, {"query": query})
        case _Found():
            return _search_result(part)


def _opening_deltas(part: _BlockPart) -> Iterator[Json]:
    """Yield the deltas before a block's content: they are no pieces of the answer."""
    if isinstance(part, Text) and part.cited is not None:
        yield {"type": "citations_delta", "citation": _citation(part.cited)}
    elif isinstance(part, Call | _Searching):
        yield {"type": "input_json_delta", "partial_json": ""}


def _deltas(part: _BlockPart) -> Iterator[Json]:
    match part:
        case Thoughts(pieces=pieces):
            for piece in pieces:
                yield {"type": "thinking_delta", "thinking": piece}
        case Text(pieces=pieces):
            for piece in pieces:
                yield {"type": "text_delta", "text": piece}
        case Call(pieces=pieces):
            for piece in pieces:
                yield {"type": "input_json_delta", "partial_json": piece}
        case _Searching(query=query):
            arguments = encode_json({"query": query}).decode()
            for start in range(0, len(arguments), 12):
                yield {"type": "input_json_delta", "partial_json": arguments[start : start + 12]}
        case _Found():
            return


def _closing_deltas(part: _BlockPart) -> Iterator[Json]:
    if isinstance(part, Thoughts):
        signature = seal("anthropic", "".join(part.pieces))
        yield {"type": "signature_delta", "signature": signature}


def _tool_use(part: Call, exchange: Asked, arguments: object) -> Json:
    call_id = exchange.new_id("toolu_01")
    return {"type": "tool_use", "id": call_id, "name": part.name, "input": arguments}


def _server_tool_use(part: _Searching, arguments: object) -> Json:
    return {
        "type": "server_tool_use",
        "id": part.search_id,
        "name": "web_search",
        "input": arguments,
    }


def _search_result(part: _Found) -> Json:
    return {
        "type": "web_search_tool_result",
        "tool_use_id": part.search_id,
        "content": [
            {
                "type": "web_search_result",
                "title": source.title,
                "url": source.url,
                "encrypted_content": opaque_text(f"content:{source.url}", 200),
                "page_age": "2 days ago",
            }
            for source in part.sources
        ],
    }


def _citation(source: Source) -> Json:
    return {
        "type": "web_search_result_location",
        "cited_text": source.excerpt,
        "url": source.url,
        "title": source.title,
        "encrypted_index": opaque_text(f"index:{source.url}", 80),
    }


def _message(
    turn: PlannedAnswer, exchange: Asked, *, content: list[Json], output_tokens: int
) -> Json:
    return {
        "model": exchange.request.model,
        "id": exchange.new_id("msg_01"),
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            **_usage(turn, output_tokens),
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "service_tier": "standard",
            "inference_geo": "not_available",
        },
    }


def _usage(turn: PlannedAnswer, output_tokens: int) -> Json:
    usage: Json = {
        "input_tokens": turn.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }
    searches = sum(isinstance(part, Search) for part in turn.parts)
    if searches:
        usage["server_tool_use"] = {"web_search_requests": searches, "web_fetch_requests": 0}
    return usage


def _ending(turn: PlannedAnswer) -> Json:
    ending: Json = {
        "stop_reason": _STOP_REASONS[turn.stop],
        "stop_sequence": turn.stop_sequence,
    }
    if turn.stop == "refusal":
        explanation = "The simulator was asked to refuse this request."
        ending["stop_details"] = {
            "type": "refusal",
            "category": "cyber",
            "explanation": explanation,
        }
    return ending


def _describe_model(name: str) -> Json:
    # It tells when a model was made; the simulator's were made at no time in particular.
    return {"type": "model", "id": name, "display_name": name, "created_at": "2025-10-09T08:53:20Z"}


def _page_of_models(models: list[Json]) -> Json:
    ends = {"has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
    return {"data": models, **ends}
