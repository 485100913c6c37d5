"""The assembler, the writer's endings and the filter, beside the clients of the AI SDK."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from midstream.protocol import (
    AbortChunk,
    AnyChunk,
    Assembler,
    ChunkWriter,
    ErrorChunk,
    FinishChunk,
    FinishReason,
    ResetStepChunk,
    UIMessage,
    accept,
    decode,
)
from tests.support.legal_chunks import MESSAGE_ID, runs
from tests.support.message_reader import MessageReader, message_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hypothesis.strategies import DataObject

GOLDEN = Path(__file__).parents[3] / "shared" / "aisdk" / "golden"
REASONS: list[FinishReason] = ["stop", "interrupted", "unknown", "other"]
LEVELS = {5: "ai5", 6: "ai6", 7: "ai7"}

BASE = UIMessage.parse(
    json.dumps(
        {
            "id": MESSAGE_ID,
            "role": "assistant",
            "metadata": {"a": {"base": True}, "model": "m"},
            "parts": [
                {"type": "step-start"},
                {"type": "reasoning", "id": "r", "text": "Let me see.", "state": "done"},
                {
                    "type": "text",
                    "text": "I look it up.",
                    "state": "done",
                    "providerMetadata": {"p": {"id": "t"}},
                },
                {
                    "type": "tool-weather",
                    "toolCallId": "call-a",
                    "state": "output-available",
                    "input": {"city": "Paris"},
                    "output": "rain",
                },
                {
                    "type": "dynamic-tool",
                    "toolName": "search-web",
                    "toolCallId": "call-b",
                    "state": "approval-responded",
                    "input": ["x"],
                    "callProviderMetadata": {"p": {"id": "c"}},
                    "approval": {"id": "approval of call-b", "approved": True, "reason": "ok"},
                },
                {"type": "data-note", "id": "0", "data": {"n": 1}},
            ],
        }
    ).encode()
)

bases = st.sampled_from([None, BASE])

slow = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def reader() -> Iterator[MessageReader]:
    with message_reader() as reader:
        yield reader


def assembled(chunks: Sequence[AnyChunk], base: UIMessage | None = None) -> dict[str, Any]:
    """Return the message that the assembler makes."""
    assembler = Assembler(MESSAGE_ID, base)
    assembler.apply_all(chunks)
    message: dict[str, Any] = json.loads(assembler.message())
    return message


@slow
@given(data=st.data())
def test_assembler_makes_what_a_client_makes(reader: MessageReader, data: DataObject) -> None:
    """After any legal chunks the assembler holds the message that ai 7 holds."""
    base = data.draw(bases)
    chunks, _ = data.draw(runs(base, mixed=True))
    message, errors = reader.read("ai7", chunks, base)
    assert errors == []
    assert assembled(chunks, base) == message


@slow
@given(data=st.data())
def test_late_client_ends_with_the_same_message(reader: MessageReader, data: DataObject) -> None:
    """A client that gets a replay at any point, then the rest, misses and doubles nothing."""
    base = data.draw(bases)
    chunks, writer = data.draw(runs(base))
    everything = [*chunks, *writer.finish("stop")]
    cut = data.draw(st.integers(0, len(everything)))
    early = Assembler(MESSAGE_ID, base)
    early.apply_all(everything[:cut])
    message, errors = reader.read("ai7", [*early.replay(), *everything[cut:]])
    assert errors == []
    assert message == assembled(everything, base)


@slow
@pytest.mark.parametrize("level", LEVELS)
@given(data=st.data())
def test_client_of_any_version_accepts_what_it_is_sent(
    reader: MessageReader, level: int, data: DataObject
) -> None:
    """The filter passes only chunks that the version knows, for any log."""
    reason = data.draw(st.sampled_from(REASONS))
    chunks, writer = data.draw(runs())
    everything = [*chunks, *writer.finish(reason)]
    sent = [accepted for chunk in everything if (accepted := accept(chunk, level)) is not None]
    _, errors = reader.read(LEVELS[level], sent)
    assert errors == []


@slow
@pytest.mark.parametrize("level", LEVELS)
@given(data=st.data())
def test_client_of_any_version_accepts_a_replay(
    reader: MessageReader, level: int, data: DataObject
) -> None:
    """A replay's chunks are in an order that every version accepts."""
    base = data.draw(bases)
    chunks, _ = data.draw(runs(base))
    assembler = Assembler(MESSAGE_ID, base)
    assembler.apply_all(chunks)
    sent = [new for chunk in assembler.replay() if (new := accept(chunk, level)) is not None]
    _, errors = reader.read(LEVELS[level], sent)
    assert errors == []


@slow
@pytest.mark.parametrize("level", LEVELS)
@given(data=st.data())
def test_stopped_run_leaves_nothing_streaming_in_a_client(
    reader: MessageReader, level: int, data: DataObject
) -> None:
    """After a stop no part of a client's message still streams, at any point of a run."""
    chunks, writer = data.draw(runs())
    assume(not any(isinstance(chunk, ResetStepChunk) for chunk in chunks))
    sent = [new for chunk in chunks if (new := accept(chunk, level)) is not None]
    message, errors = reader.read(LEVELS[level], [*sent, *writer.abort("user")])
    assert errors == []
    assert {part.get("state") for part in message["parts"]}.isdisjoint(
        {"streaming", "input-streaming"}
    )


def recorded() -> list[tuple[Path, list[AnyChunk], dict[str, Any] | None]]:
    """Return each recorded answer's file, chunks, and the message that ai 7 made of them."""
    answers = []
    for path in sorted(GOLDEN.glob("**/*.jsonl")):
        lines = path.read_bytes().splitlines()
        message = json.loads(lines[-1])["@message"]
        chunks = [decode(line) for line in lines if not line.startswith(b'{"@')]
        answers.append((path, chunks, message))
    return answers


needs_recorded = pytest.mark.skipif(
    not GOLDEN.exists(), reason="the AI SDK's recorded answers are not beside the repository"
)


@needs_recorded
def test_assembler_makes_the_message_of_every_recorded_answer() -> None:
    """From the chunks of recorded provider streams the assembler makes ai 7's messages."""
    for path, chunks, message in recorded():
        assembler = Assembler("")
        assembler.apply_all(chunks)
        if assembler.is_empty:
            # A client without content has no message, or one without parts.
            assert message is None or message["parts"] == [], path
        else:
            assert json.loads(assembler.message()) == message, path


@needs_recorded
def test_writer_admits_every_recorded_answer() -> None:
    """The AI SDK's own chunks are legal, except for the ends that it leaves out."""
    for path, chunks, _ in recorded():
        writer = ChunkWriter(MESSAGE_ID)
        for chunk in chunks:
            if isinstance(chunk, FinishChunk | AbortChunk | ErrorChunk):
                break
            admitted = writer.admit(chunk)
            assert isinstance(admitted[-1], type(chunk)), path
        assert isinstance(writer.finish()[-1], FinishChunk)
