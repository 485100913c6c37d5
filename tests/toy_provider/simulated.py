"""The toy's API, simulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from midstream.simulator.turn import Conversation, Line, Text
from midstream.simulator.wire import Event, SimulatedApi, decode_request, encode_json, sse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from midstream.simulator.failures import RequestError
    from midstream.simulator.turn import Turn
    from midstream.simulator.wire import Exchange


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

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> Conversation:
        """Check and understand a request."""
        request = decode_request(body, _Request)
        return Conversation(
            model=request.model,
            lines=tuple(Line(turn.who, turn.says) for turn in request.turns),
            prompt=request.turns[-1].says if request.turns else "",
            stream=request.stream,
        )

    def stream(self, turn: Turn, exchange: Exchange) -> Iterator[Event]:
        """Yield the whole answer's events."""
        for piece in _pieces(turn):
            yield Event(sse(None, {"word": piece}), delta=True)
        yield Event(sse(None, {"over": True, "words": turn.output_tokens}))

    def body(self, turn: Turn, exchange: Exchange) -> bytes:
        """Return the answer to a request that does not stream."""
        return encode_json({"text": "".join(_pieces(turn)), "words": turn.output_tokens})

    def error_event(self, error: RequestError, sequence: int) -> bytes:
        """Return the event of an error."""
        return sse(None, {"trouble": error.message})

    def error_body(self, error: RequestError, request_id: str) -> bytes:
        """Return the body of an error status."""
        return encode_json({"trouble": error.message})


def _pieces(turn: Turn) -> Iterator[str]:
    for part in turn.parts:
        if isinstance(part, Text):
            yield from part.pieces
