"""Chunks to messages, and messages to replays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.protocol import (
    AnyChunk,
    Assembler,
    ChunkWriter,
    LocalProtocolError,
    TextDeltaChunk,
    UIMessage,
    decode,
    encode,
)
from tests.support.legal_chunks import MESSAGE_ID, runs

if TYPE_CHECKING:
    from collections.abc import Sequence

START: dict[str, Any] = {"type": "start", "messageId": "answer"}
STEP: dict[str, Any] = {"type": "start-step"}


def assembler_of(*chunks: dict[str, Any], base: UIMessage | None = None) -> Assembler:
    """Return the assembler after some chunks."""
    assembler = Assembler(MESSAGE_ID, base)
    assembler.apply_all(decode(json.dumps(chunk).encode()) for chunk in chunks)
    return assembler


def parts_of(assembler: Assembler) -> list[dict[str, Any]]:
    """Return the message's parts."""
    parts: list[dict[str, Any]] = json.loads(assembler.message())["parts"]
    return parts


def replay_of(assembler: Assembler) -> list[dict[str, Any]]:
    """Return the replay's chunks."""
    return [json.loads(encode(chunk)) for chunk in assembler.replay()]


@given(st.integers(0, 300), st.integers(0, 300))
def test_long_text_is_the_sum_of_its_deltas(length: int, looked_at: int) -> None:
    """However many there are, and whenever somebody looks at it in between."""
    deltas = [f"{number}é " for number in range(length)]
    assembler = assembler_of(START, STEP, {"type": "text-start", "id": "t"})
    for number, delta in enumerate(deltas):
        if number == looked_at:
            assembler.replay()
        assembler.apply_all([TextDeltaChunk(id="t", delta=delta)])
    assert parts_of(assembler)[-1]["text"] == "".join(deltas)


@given(runs(), st.data())
def test_replay_and_the_rest_make_the_message(
    run: tuple[Sequence[AnyChunk], ChunkWriter], data: st.DataObject
) -> None:
    """A reader that joins at any point ends with the same message as all others."""
    chunks = [*run[0], *run[1].finish("stop")]
    cut = data.draw(st.integers(0, len(chunks)))
    early, late, always = (Assembler(MESSAGE_ID) for _ in range(3))
    early.apply_all(chunks[:cut])
    late.apply_all(early.replay())
    late.apply_all(chunks[cut:])
    always.apply_all(chunks)
    assert json.loads(late.message()) == json.loads(always.message())


@given(runs(), runs())
def test_continued_message_is_the_old_one_and_the_new(
    first: tuple[Sequence[AnyChunk], ChunkWriter], second: tuple[Sequence[AnyChunk], ChunkWriter]
) -> None:
    """A run that continues a message starts where the first one ended, byte for byte."""
    whole = Assembler(MESSAGE_ID)
    whole.apply_all([*first[0], *first[1].finish()])
    base = UIMessage.parse(whole.message())
    continued = Assembler(MESSAGE_ID, base)
    assert json.loads(continued.message()) == json.loads(whole.message())
    late = Assembler(MESSAGE_ID)
    late.apply_all(continued.replay())
    assert json.loads(late.message()) == json.loads(whole.message())
    for each in (whole, continued):
        each.apply(decode(b'{"type":"start-step"}'))
        each.apply_all(second[0])
    assert json.loads(continued.message()) == json.loads(whole.message())


def test_replay_has_one_delta_a_part() -> None:
    """Its size is the message's, however many chunks that came in."""
    deltas = [{"type": "text-delta", "id": "0", "delta": "word "} for _ in range(1000)]
    assembler = assembler_of(START, STEP, {"type": "text-start", "id": "0"}, *deltas)
    assert replay_of(assembler) == [
        START,
        STEP,
        {"type": "text-start", "id": "0"},
        {"type": "text-delta", "id": "0", "delta": "word " * 1000},
    ]


def test_replay_leaves_a_streaming_input_open() -> None:
    """The text so far comes in one delta, and later ones go on."""
    call = {"toolCallId": "c", "toolName": "weather"}
    assembler = assembler_of(
        START,
        {"type": "tool-input-start", **call},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": '{"city":'},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": '"Par'},
    )
    assert parts_of(assembler) == [
        {
            "type": "tool-weather",
            "toolCallId": "c",
            "state": "input-streaming",
            "input": {"city": "Par"},
            "rawInput": '{"city":"Par',
        }
    ]
    assert replay_of(assembler)[1:] == [
        {"type": "tool-input-start", **call},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": '{"city":"Par'},
    ]


def test_replay_of_an_answered_call_does_not_ask_for_it_again() -> None:
    """`tool-input-available` makes a client run its tool: only an open call has one."""
    open_call = {"type": "tool-input-available", "toolCallId": "c", "toolName": "w", "input": {}}
    output = {"type": "tool-output-available", "toolCallId": "c", "output": 1}
    failure = {"type": "tool-output-error", "toolCallId": "c", "errorText": "no"}
    assert open_call in replay_of(assembler_of(START, open_call))
    for result in (output, failure):
        kinds = [chunk["type"] for chunk in replay_of(assembler_of(START, open_call, result))]
        assert "tool-input-available" not in kinds


def test_replay_tells_a_new_client_of_dynamic_calls() -> None:
    """Ai 5 finds a result's call only if the chunk says that its tool is dynamic."""
    call = {"toolCallId": "c", "toolName": "w", "input": {}, "dynamic": True}
    assembler = assembler_of(
        START,
        {"type": "tool-input-available", **call},
        {"type": "tool-output-available", "toolCallId": "c", "output": 1},
    )
    assert replay_of(assembler)[-1]["dynamic"] is True


def test_transient_data_is_no_part() -> None:
    """It was for those who were there."""
    assembler = assembler_of(START, {"type": "data-x", "data": 1, "transient": True})
    assert assembler.is_empty
    assert replay_of(assembler) == [START]


def test_later_data_replaces_the_part_of_its_id() -> None:
    """Type and id name a data part; without an id every chunk is one."""
    assembler = assembler_of(
        START,
        {"type": "data-x", "id": "1", "data": 1, "more": True},
        {"type": "data-y", "id": "1", "data": 2},
        {"type": "data-x", "id": "1", "data": 3},
        {"type": "data-x", "data": 4},
        {"type": "data-y", "id": "1"},
    )
    assert parts_of(assembler) == [
        {"type": "data-x", "id": "1", "data": 3, "more": True},
        {"type": "data-y", "id": "1"},
        {"type": "data-x", "data": 4},
    ]


def test_metadata_is_merged_deep() -> None:
    """Objects merge, all else is replaced, null is ignored, and prototypes are left alone."""
    metadata: list[Any] = [
        {"a": {"b": 1, "c": [1]}, "d": 1},
        None,
        {"a": {"c": [2], "e": 1.0}, "__proto__": {"x": 1}},
        {"d": {"f": 1}},
    ]
    chunks = [{"type": "message-metadata", "messageMetadata": value} for value in metadata]
    message = json.loads(assembler_of(START, *chunks).message())
    assert message["metadata"] == {"a": {"b": 1, "c": [2], "e": 1.0}, "d": {"f": 1}}
    replaced = {"type": "message-metadata", "messageMetadata": "text"}
    assert json.loads(assembler_of(START, chunks[0], replaced).message())["metadata"] == "text"


def test_reset_step_forgets_the_current_step_alone() -> None:
    """The parts of earlier steps stay, and their calls are still known."""
    call = {"type": "tool-input-available", "toolCallId": "c", "toolName": "w", "input": {}}
    assembler = assembler_of(
        START,
        STEP,
        call,
        {"type": "finish-step"},
        STEP,
        {"type": "text-start", "id": "0"},
        {"type": "data-x", "id": "1", "data": 1},
        {"type": "reset-step"},
        {"type": "tool-output-denied", "toolCallId": "c"},
        {"type": "data-x", "id": "1", "data": 2},
    )
    assert [part.get("state", part["type"]) for part in parts_of(assembler)] == [
        "step-start",
        "output-denied",
        "step-start",
        "data-x",
    ]


def test_reset_step_forgets_what_streams() -> None:
    """A delta for it would be one for nothing."""
    start = {"type": "tool-input-start", "toolCallId": "c", "toolName": "w"}
    delta = {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": "{}"}
    with pytest.raises(LocalProtocolError, match='no tool input "c"'):
        assembler_of(START, STEP, start, {"type": "reset-step"}, delta)


def test_message_is_empty_until_something_is_said() -> None:
    """A step that begins, ends or fails says nothing."""
    assert Assembler(MESSAGE_ID).is_empty
    assert assembler_of(START, STEP, {"type": "finish-step"}).is_empty
    said = {"type": "source-url", "sourceId": "1", "url": "https://example.org"}
    assert not assembler_of(START, STEP, said).is_empty
    assert assembler_of(START, {"type": "error", "errorText": "no"}, {"type": "abort"}).is_empty


def test_unknown_parts_and_fields_of_a_continued_message_are_kept() -> None:
    """Parts of another version are kept, if not replayed."""
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "Hi", "state": "done", "of": "tomorrow"},
        {"type": "hologram", "depth": 3},
        {"type": "source-url", "url": 1},
        {"type": "error", "of": "tomorrow"},
        {"type": "steering-message", "id": "u", "parts": []},
    ]
    message = {"id": "answer", "role": "assistant", "createdAt": "now", "parts": parts}
    assembler = assembler_of(base=UIMessage.parse(json.dumps(message).encode()))
    assert json.loads(assembler.message()) == message
    assert [chunk["type"] for chunk in replay_of(assembler)] == [
        "start",
        "text-start",
        "text-delta",
        "text-end",
        "steering-message",
    ]


def test_message_is_one_line() -> None:
    """It is stored and sent as one."""
    assembler = Assembler(MESSAGE_ID)
    assembler.apply(
        decode(
            b'{"type":"tool-input-available","toolCallId":"c","toolName":"w","input":{\n"a":\r1}}'
        )
    )
    assert b"\n" not in assembler.message()
    assert b"\r" not in assembler.message()


@pytest.mark.parametrize(
    "chunk",
    [
        {"type": "text-delta", "id": "0", "delta": ""},
        {"type": "text-end", "id": "0"},
        {"type": "reasoning-delta", "id": "0", "delta": ""},
        {"type": "reasoning-end", "id": "0"},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": ""},
        {"type": "tool-output-denied", "toolCallId": "c"},
        {"type": "tool-approval-response", "approvalId": "a", "approved": True},
    ],
)
def test_assembler_refuses_what_the_message_does_not_have(chunk: dict[str, Any]) -> None:
    """The log holds only chunks that a writer let through: anything else is a bug of ours."""
    with pytest.raises(LocalProtocolError, match="the message has no"):
        assembler_of(START, chunk)


CALL: dict[str, Any] = {
    "type": "tool-input-available",
    "toolCallId": "c",
    "toolName": "w",
    "input": [1],
}
AGAIN = CALL | {"input": [2]}
ASK: dict[str, Any] = {"type": "tool-approval-request", "toolCallId": "c", "approvalId": "a"}
ANSWER: dict[str, Any] = {"type": "tool-approval-response", "approvalId": "a", "approved": False}
DENIED: dict[str, Any] = {"type": "tool-output-denied", "toolCallId": "c"}
OUTPUT: dict[str, Any] = {
    "type": "tool-output-available",
    "toolCallId": "c",
    "output": 1,
    "preliminary": True,
    "providerMetadata": {"p": 1},
}
FAILURE: dict[str, Any] = {"type": "tool-output-error", "toolCallId": "c", "errorText": "no"}


@pytest.mark.parametrize(
    "chunks",
    [
        [CALL, ASK | {"reason": "why", "isAutomatic": True, "signature": "s"}],
        [CALL, ASK, ANSWER | {"reason": "no"}],
        [CALL, ASK, ANSWER, DENIED],
        [CALL, DENIED],
        [CALL, ASK, ANSWER, OUTPUT],
        [CALL, ASK, FAILURE],
        [CALL, OUTPUT, ASK],
        [CALL, FAILURE, ASK, ANSWER],
        [CALL, OUTPUT, AGAIN],
        [CALL, OUTPUT, FAILURE],
        [CALL, ASK, ANSWER, OUTPUT, AGAIN],
        [CALL, OUTPUT, AGAIN, ASK, ANSWER],
        [CALL, OUTPUT, {"type": "tool-input-start", "toolCallId": "c", "toolName": "x"}],
    ],
)
def test_replay_leads_to_every_state_of_a_call(chunks: list[dict[str, Any]]) -> None:
    """A late client sees each call in its current state."""
    assembler = assembler_of(START, *chunks)
    late = assembler_of(*replay_of(assembler))
    assert parts_of(late) == parts_of(assembler)


def test_replay_of_a_result_without_an_input_makes_none_up() -> None:
    """Another version may have written such a part."""
    part = {"type": "tool-w", "toolCallId": "c", "state": "output-available", "output": 1}
    message = {"id": "answer", "role": "assistant", "parts": [part]}
    assembler = assembler_of(base=UIMessage.parse(json.dumps(message).encode()))
    assert parts_of(assembler_of(*replay_of(assembler))) == [part]


def test_result_of_a_call_that_still_streams_keeps_what_arrived() -> None:
    """A log may hold what a writer would not let through today."""
    assembler = assembler_of(
        START,
        {"type": "tool-input-start", "toolCallId": "c", "toolName": "w"},
        {"type": "tool-input-delta", "toolCallId": "c", "inputTextDelta": "nothing yet"},
        FAILURE,
    )
    (part,) = parts_of(assembler)
    assert part["state"] == "output-error"
    assert "input" not in part
    assert part["rawInput"] == "nothing yet"


def test_answer_to_an_approval_finds_its_own_call() -> None:
    """The approval's id tells calls apart that wait side by side, even of one tool."""
    other = {"toolCallId": "d"}
    assembler = assembler_of(
        {"type": "start"},
        CALL,
        CALL | other,
        ASK,
        ASK | other | {"approvalId": "b"},
        ANSWER
        | {"approvalId": "b", "providerExecuted": True, "providerMetadata": {"p": {"id": "x"}}},
    )
    waiting, answered = parts_of(assembler)
    assert json.loads(assembler.message())["id"] == MESSAGE_ID
    assert waiting["state"] == "approval-requested"
    assert answered["state"] == "approval-responded"
    assert answered["approval"] == {"id": "b", "approved": False}
    assert answered["providerExecuted"] is True
    assert answered["callProviderMetadata"] == {"p": {"id": "x"}}
