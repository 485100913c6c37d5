"""The toy's API, simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from midstream.simulator.api import SimulatedApi
from midstream.simulator.turn import Line, ModelRequest, Text
from midstream.simulator.wire import FramedEvent, decode_request, encode_json, sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from midstream.simulator.failures import RequestError
    from midstream.simulator.turn import PlannedAnswer
    from midstream.simulator.wire import Asked


class _Turn(Struct):
    who: str
    says: str


class _Request(Struct):
    model: str
    turns: list[_Turn]
    stream: bool = False


class SimulatedToy(SimulatedApi):
    """`POST /speak`."""

    name = "toy"
    base_path = "/toy"
    path = "/speak"

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
        """Check and understand a request."""
        request = decode_request(body, _Request)
        return ModelRequest(
            model=request.model,
            lines=tuple(Line(turn.who, turn.says) for turn in request.turns),
            prompt=request.turns[-1].says if request.turns else "",
            stream=request.stream,
        )

    def stream(self, turn: PlannedAnswer, exchange: Asked) -> Iterator[FramedEvent]:
        """Yield the whole answer's events."""
        for piece in _pieces(turn):
            yield FramedEvent(sse(None, {"word": piece}), delta=True)
        yield FramedEvent(sse(None, {"over": True, "words": turn.output_tokens}))

    def body(self, turn: PlannedAnswer, exchange: Asked) -> bytes:
        """Return the answer to a request that does not stream."""
        return encode_json({"text": "".join(_pieces(turn)), "words": turn.output_tokens})

    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error."""
        return sse(None, {"trouble": error.message})

    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""
        return encode_json({"trouble": error.message})


def _pieces(turn: PlannedAnswer) -> Iterator[str]:
    for part in turn.parts:
        if isinstance(part, Text):
            yield from part.pieces
