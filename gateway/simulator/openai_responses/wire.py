"""OpenAI's Responses wire: `POST /openai/v1/responses`."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias, cast

from msgspec import Raw

from midstream.simulator.api import SimulatedApi
from midstream.simulator.failures import RequestError
from midstream.simulator.openai_responses.background import BackgroundResponse, BackgroundResponses
from midstream.simulator.openai_responses.request import read_responses_request, sealed_reasoning
from midstream.simulator.openai_responses.store import ResponseStore
from midstream.simulator.turn import Call, ModelRequest, PlannedAnswer, Search, Text, Thoughts
from midstream.simulator.wire import Asked, FramedEvent, encode_json, openai_error, sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from midstream.simulator.directives import AnswerScript
    from midstream.simulator.holds import AnswerHolds
    from midstream.simulator.player import Clock

Json: TypeAlias = dict[str, object]

# A longer summary comes in two parts, as it does from the API.
_ONE_SUMMARY_PART = 30


class SimulatedResponses(SimulatedApi):
    """The Responses API; finished answers are stored unless the request says no."""

    name = "openai"
    base_path = "/openai/v1"
    path = "/responses"

    def __init__(self) -> None:
        self._store = ResponseStore()
        self._background = BackgroundResponses()

    def look_up(self, method: str, path: str, body: bytes) -> bytes | None:
        """Return a stored answer."""
        if method != "GET" or not path.startswith(f"{self.path}/"):
            return None
        response_id = path.removeprefix(f"{self.path}/")
        if (stored := self._store.response(response_id)) is None:
            raise RequestError("not_found", f"Response with id '{response_id}' not found.")
        return stored.body

    def begin_background(
        self,
        script: AnswerScript,
        turn: PlannedAnswer,
        exchange: Asked,
        clock: Clock,
        holds: AnswerHolds,
    ) -> BackgroundResponse:
        """See `SimulatedApi`."""
        writer = self.writer(turn, exchange)
        response_id = str(writer.response["id"])
        response = BackgroundResponse(response_id, script, clock, holds, lambda: writer.response)
        self._background.put(response)
        response.begin(writer.events(), self.error_event)
        return response

    def find_background(self, method: str, path: str) -> BackgroundResponse | None:
        """See `SimulatedApi`."""
        response_id, _, action = path.removeprefix(f"{self.path}/").partition("/")
        asked = (method, action) in (("GET", ""), ("POST", "cancel"))
        return self._background.find(response_id) if asked else None

    async def close(self) -> None:
        """End what is generated in the background."""
        await self._background.close()

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Check and understand a request."""
        return read_responses_request(body, self._store)

    def stream(self, turn: PlannedAnswer, exchange: Asked) -> Iterator[FramedEvent]:
        """Yield the whole answer's events, terminal included."""
        return self.writer(turn, exchange).events()

    def body(self, turn: PlannedAnswer, exchange: Asked) -> bytes:
        """Return the answer to a request that does not stream."""
        writer = self.writer(turn, exchange)
        for _ in writer.events():
            pass
        return encode_json(writer.response)

    def writer(self, turn: PlannedAnswer, exchange: Asked) -> ResponseWriter:
        """Return what writes the answer, event by event."""
        return ResponseWriter(turn, exchange, self._store)

    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error after `sequence` events, framed."""
        detail = cast("Json", openai_error(error)["error"])
        detail.pop("type")
        return sse("error", {"type": "error", "sequence_number": sequence, **detail})

    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""
        return encode_json(openai_error(error))


class ResponseWriter:
    """One response growing item by item; `response` is its object at any time."""

    def __init__(self, turn: PlannedAnswer, exchange: Asked, store: ResponseStore) -> None:
        self._turn = turn
        self._exchange = exchange
        self._store = store
        self._sequence = 0
        self._output: list[Json] = []
        self.response: Json = {
            "id": exchange.new_id("resp_"),
            "object": "response",
            "created_at": exchange.created,
            "status": "in_progress",
            "background": exchange.request.background,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": exchange.request.max_tokens,
            "model": exchange.request.model,
            "output": [],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": exchange.request.kept is not None,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            "user": None,
            "metadata": {},
        }

    def events(self) -> Iterator[FramedEvent]:
        """Yield every event, and keep the finished response."""
        if self._exchange.request.background:
            queued: Json = {"response": {**self.response, "status": "queued"}}
            yield self._event("response.created", queued)
            yield self._event("response.queued", queued)
        else:
            yield self._event("response.created", {"response": self.response})
        yield self._event("response.in_progress", {"response": self.response})
        # Texts in a row are one message: only Anthropic splits them by citation.
        for kind, group in groupby(self._turn.parts, key=type):
            parts = list(group)
            if kind is Text:
                yield from self._message([part for part in parts if isinstance(part, Text)])
                continue
            for part in parts:
                match part:
                    case Thoughts():
                        yield from self._reasoning(part)
                    case Search():
                        yield from self._search(part)
                    case Call():
                        yield from self._call(part)
                    case Text():
                        raise AssertionError("texts are grouped")
        if self._turn.refusal:
            yield from self._refusal()
        yield self._finish()

    def _event(self, kind: str, fields: Json, *, delta: bool = False) -> FramedEvent:
        frame = sse(kind, {"type": kind, "sequence_number": self._sequence, **fields})
        self._sequence += 1
        return FramedEvent(frame, delta)

    def _added(self, item: Json) -> FramedEvent:
        return self._event(
            "response.output_item.added", {"output_index": len(self._output), "item": item}
        )

    def _done(self, item: Json) -> FramedEvent:
        index = len(self._output)
        self._output.append(item)
        return self._event("response.output_item.done", {"output_index": index, "item": item})

    def _reasoning(self, part: Thoughts) -> Iterator[FramedEvent]:
        request = self._exchange.request
        item_id = self._exchange.new_id("rs_")
        item: Json = {"id": item_id, "type": "reasoning", "summary": []}
        shown: list[Json] = []
        if request.seals_reasoning:
            item["encrypted_content"] = sealed_reasoning(item_id, "")
        yield self._added(item)
        if request.shows_reasoning:
            for pieces in _summary_parts(part.pieces):
                yield from self._summary(item_id, len(shown), pieces)
                shown.append({"type": "summary_text", "text": "".join(pieces)})
        else:
            yield from (FramedEvent(b"", delta=True) for _ in part.pieces)
        item = {**item, "summary": shown}
        if request.seals_reasoning:
            thought = "".join(str(summary["text"]) for summary in shown)
            item["encrypted_content"] = sealed_reasoning(item_id, thought)
        yield self._done(item)

    def _summary(self, item_id: str, index: int, pieces: tuple[str, ...]) -> Iterator[FramedEvent]:
        at: Json = {"item_id": item_id, "output_index": len(self._output), "summary_index": index}
        kind = "response.reasoning_summary"
        empty = {"type": "summary_text", "text": ""}
        yield self._event(f"{kind}_part.added", {**at, "part": empty})
        for piece in pieces:
            yield self._event(f"{kind}_text.delta", {**at, "delta": piece}, delta=True)
        text = "".join(pieces)
        yield self._event(f"{kind}_text.done", {**at, "text": text})
        yield self._event(f"{kind}_part.done", {**at, "part": {**empty, "text": text}})

    def _search(self, part: Search) -> Iterator[FramedEvent]:
        item_id = self._exchange.new_id("ws_")
        item: Json = {"id": item_id, "type": "web_search_call", "status": "in_progress"}
        at: Json = {"output_index": len(self._output), "item_id": item_id}
        yield self._added({**item, "action": {"type": "search", "query": part.query}})
        for state in ("in_progress", "searching", "completed"):
            yield self._event(f"response.web_search_call.{state}", at)
        sources = [{"type": "url", "url": source.url} for source in part.sources]
        action = {"type": "search", "query": part.query, "sources": sources}
        yield self._done({**item, "status": "completed", "action": action})

    def _call(self, part: Call) -> Iterator[FramedEvent]:
        item: Json = {
            "id": self._exchange.new_id("fc_"),
            "type": "function_call",
            "status": "in_progress",
            "arguments": "",
            "call_id": self._exchange.new_id("call_"),
            "name": part.name,
        }
        at: Json = {"item_id": item["id"], "output_index": len(self._output)}
        yield self._added(item)
        kind = "response.function_call_arguments"
        for piece in part.pieces:
            yield self._event(f"{kind}.delta", {**at, "delta": piece}, delta=True)
        arguments = "".join(part.pieces)
        yield self._event(f"{kind}.done", {**at, "arguments": arguments, "name": part.name})
        yield self._done({**item, "status": self._item_status(), "arguments": arguments})

    def _message(self, texts: list[Text]) -> Iterator[FramedEvent]:
        item, at, part = self._open_message({"type": "output_text", "text": "", "logprobs": []})
        part["annotations"] = []
        yield self._added(item)
        yield self._event("response.content_part.added", {**at, "part": part})
        annotations: list[Json] = []
        written: list[str] = []
        length = 0
        for text in texts:
            start = length
            for piece in text.pieces:
                fields: Json = {**at, "delta": piece, "logprobs": []}
                yield self._event("response.output_text.delta", fields, delta=True)
                written.append(piece)
                length += len(piece)
            if text.cited is not None:
                annotation: Json = {
                    "type": "url_citation",
                    "start_index": start,
                    "end_index": length,
                    "title": text.cited.title,
                    "url": text.cited.url,
                }
                fields = {**at, "annotation_index": len(annotations), "annotation": annotation}
                yield self._event("response.output_text.annotation.added", fields)
                annotations.append(annotation)
        whole = "".join(written)
        yield self._event("response.output_text.done", {**at, "text": whole, "logprobs": []})
        yield from self._close_message(
            item, at, {**part, "text": whole, "annotations": annotations}
        )

    def _refusal(self) -> Iterator[FramedEvent]:
        item, at, part = self._open_message({"type": "refusal", "refusal": ""})
        yield self._added(item)
        yield self._event("response.content_part.added", {**at, "part": part})
        for piece in self._turn.refusal:
            yield self._event("response.refusal.delta", {**at, "delta": piece}, delta=True)
        refusal = "".join(self._turn.refusal)
        yield self._event("response.refusal.done", {**at, "refusal": refusal})
        yield from self._close_message(item, at, {**part, "refusal": refusal})

    def _open_message(self, part: Json) -> tuple[Json, Json, Json]:
        item: Json = {
            "id": self._exchange.new_id("msg_"),
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        at: Json = {
            "item_id": item["id"],
            "output_index": len(self._output),
            "content_index": 0,
        }
        return item, at, part

    def _close_message(self, item: Json, at: Json, part: Json) -> Iterator[FramedEvent]:
        yield self._event("response.content_part.done", {**at, "part": part})
        yield self._done({**item, "status": self._item_status(), "content": [part]})

    def _item_status(self) -> str:
        return "incomplete" if self._turn.stop == "length" else "completed"

    def _finish(self) -> FramedEvent:
        cut = self._turn.stop == "length"
        status = "incomplete" if cut else "completed"
        self.response = {
            **self.response,
            "status": status,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": self._output,
            "usage": _usage(self._turn),
        }
        history = self._exchange.request.kept
        if history is not None:
            output = {str(item["id"]): Raw(encode_json(item)) for item in self._output}
            response_id = str(self.response["id"])
            self._store.put(response_id, history, output, encode_json(self.response))
        return self._event(f"response.{status}", {"response": self.response})


def _usage(turn: PlannedAnswer) -> Json:
    return {
        "input_tokens": turn.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": turn.output_tokens,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning_tokens},
        "total_tokens": turn.input_tokens + turn.output_tokens,
    }


def _summary_parts(pieces: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield the pieces in one part, or in two that meet between sentences about the middle."""
    half = len(pieces)
    if half > _ONE_SUMMARY_PART:
        half = (half + 1) // 2
        ends = (at for at in range(half, len(pieces)) if pieces[at - 1].endswith("."))
        half = next(ends, half)
    yield from filter(None, (pieces[:half], pieces[half:]))
