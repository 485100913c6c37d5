"""Streams of a backend that a stock client shows completely: every client shows ours so."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from midstream.agents.http.answer_stream import BackendAnswer
from midstream.protocol.assembler import Assembler
from midstream.protocol.chunks import StartChunk
from midstream.protocol.codec import decode
from midstream.protocol.writer import ChunkWriter
from tests.support.message_reader import message_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from midstream.protocol.chunks import AnyChunk
    from tests.support.message_reader import MessageReader

Json = dict[str, Any]

STEP: Final[Json] = {"type": "start-step"}
END: Final[Json] = {"type": "finish-step"}
FINISH: Final[Json] = {"type": "finish"}


def text(kind: str, key: str, delta: str | None = None, of: str = "text") -> Json:
    """Return a chunk of a text part, or of another kind of part."""
    return {"type": f"{of}-{kind}", "id": key, **({} if delta is None else {"delta": delta})}


def tool(kind: str, **fields: object) -> Json:
    """Return a chunk of a call."""
    return {"type": f"tool-{kind}", "toolCallId": "c", **fields}


BEGUN: Final = [
    STEP,
    tool("input-start", toolName="w"),
    tool("input-delta", inputTextDelta='{"a":1'),
]
WHOLE: Final = tool("input-available", toolName="w", input={"a": 1, "b": 2})
MORE: Final = tool("input-delta", inputTextDelta=',"b":2}')
OUTPUT: Final = tool("output-available", output=7)


def overlapping(of: str) -> list[Json]:
    """Two streams merged: the second one's step ends while the first still speaks."""
    return [
        STEP, text("start", "a", of=of), text("delta", "a", "A1 ", of=of),
        STEP, text("start", "b"), text("delta", "b", "B"), text("end", "b"), END,
        text("delta", "a", "A2", of=of), text("end", "a", of=of), END, FINISH,
    ]  # fmt: skip


STREAMS: Final[dict[str, list[Json]]] = {
    "a text over another stream's end of a step": overlapping("text"),
    "a thought, the same": overlapping("reasoning"),
    "a text that ends after its step": [
        STEP, text("start", "a"), text("delta", "a", "A"), END, text("end", "a"), FINISH,
    ],
    "a part whose id is open": [
        text("start", "a"), text("delta", "a", "x"),
        text("start", "a"), text("delta", "a", "y"), text("end", "a"), FINISH,
    ],
    "a result, and never the whole input": [*BEGUN, OUTPUT, END, FINISH],
    "a failure, and never the whole input": [
        *BEGUN, tool("output-error", errorText="no"), END, FINISH,
    ],
    "a text behind a finish": [
        text("start", "a"), text("delta", "a", "x"), FINISH,
        text("delta", "a", "y"), text("end", "a"), FINISH,
    ],
}  # fmt: skip
"""Streams that at least ai 7 shows completely."""


@pytest.fixture(scope="module")
def reader() -> Iterator[MessageReader]:
    """The clients."""
    with message_reader() as reading:
        yield reading


def ours(stream: Sequence[Json]) -> list[AnyChunk]:
    """Return the run of a backend's answer, as the producer writes it."""
    answer = BackendAnswer("m", None, max_bytes=1 << 20)
    frames = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in stream)
    taken = answer.receive_data(frames + b"data: [DONE]\n\n")
    assert answer.failure is None, answer.failure
    writer = ChunkWriter("m")
    start = StartChunk(message_id="m")
    writer.write(start)
    chunks: list[AnyChunk] = [start]
    for chunk in taken:
        if decode(json.dumps(FINISH).encode()) != chunk:
            chunks += writer.admit(chunk)
    return [*chunks, *writer.finish()]


def shown(message: Json) -> list[Json]:
    """Return a message's parts, without the states of those that no stream has ended."""
    return [
        {
            key: value
            for key, value in part.items()
            if key != "rawInput" and (key != "state" or value != "streaming")
        }
        | ({"state": "done"} if part.get("state") == "streaming" else {})
        for part in message["parts"]
    ]


@pytest.mark.parametrize("name", STREAMS)
def test_what_a_stock_client_shows_whole_every_client_shows(
    name: str, reader: MessageReader
) -> None:
    """As ai 7 shows the backend's own stream, which ai 5 and 6 may fail on."""
    stream = [{"type": "start", "messageId": "m"}, *STREAMS[name]]
    expected, errors = reader.read("ai7", [decode(json.dumps(c).encode()) for c in stream])
    assert errors == []
    run = ours(STREAMS[name])
    for version in ("ai5", "ai6", "ai7"):
        message, errors = reader.read(version, run)
        assert errors == []
        assert shown(message) == shown(expected)
    kept = Assembler("m")
    kept.apply_all(run)
    assert shown(json.loads(kept.message())) == shown(expected)


@pytest.mark.parametrize("between", [[], [MORE]])
def test_result_before_the_whole_input_is_not_lost(
    between: list[Json], reader: MessageReader
) -> None:
    """Clients let the input that follows take its place; here the call has both."""
    run = ours([*BEGUN, OUTPUT, *between, WHOLE, END, FINISH])
    for version in ("ai5", "ai6", "ai7"):
        message, errors = reader.read(version, run)
        assert errors == []
        (call,) = [part for part in message["parts"] if part["type"] == "tool-w"]
        assert (call["state"], call["input"], call["output"]) == (
            "output-available",
            {"a": 1, "b": 2},
            7,
        )


def test_input_that_goes_on_in_a_later_step_is_shown_there(reader: MessageReader) -> None:
    """Clients look for its call in that step."""
    run = ours([*BEGUN, END, STEP, MORE, WHOLE, OUTPUT, END, FINISH])
    for version in ("ai5", "ai6", "ai7"):
        message, errors = reader.read(version, run)
        assert errors == []
        assert message["parts"][-1]["output"] == 7


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([STEP, OUTPUT], id="a result of no call"),
        pytest.param([text("delta", "z", "x")], id="a piece of no part"),
        pytest.param(
            [text("start", "z"), text("end", "z"), text("end", "z")], id="an end of no part"
        ),
    ],
)
def test_what_no_client_shows_is_refused(stream: list[Json], reader: MessageReader) -> None:
    """Every version of the AI SDK fails on it too."""
    for version in ("ai5", "ai6", "ai7"):
        chunks = [{"type": "start", "messageId": "m"}, *stream, FINISH]
        _, errors = reader.read(version, [decode(json.dumps(c).encode()) for c in chunks])
        assert errors != []
    answer = BackendAnswer("m", None, max_bytes=1 << 20)
    for chunk in stream:
        answer.receive_data(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert answer.failure is not None
