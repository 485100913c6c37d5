"""The frames of the AI SDK's WebSocket transport."""

from __future__ import annotations

import json
from typing import Any

import pytest

from midstream.protocol import (
    AbortFrame,
    ChunkBatch,
    CustomChunk,
    MalformedFrameError,
    ResumeFrame,
    SendFrame,
    TextDeltaChunk,
    chunk_frames,
    decode_client_frame,
    end_frame,
    error_frame,
    no_active_frame,
    start_frame,
)

HI = {"id": "u1", "role": "user", "parts": []}
SEND: dict[str, Any] = {
    "type": "send",
    "requestId": "r1",
    "id": "c1",
    "trigger": "submit-message",
    "messages": [HI],
    "headers": {"authorization": "Bearer t"},
    "body": {"agent": "poet", "id": "not this", "temperature": 0.5},
    "metadata": {"any": 1},
}
RESUME: dict[str, Any] = {
    "type": "resume",
    "requestId": "r2",
    "id": "c1",
    "headers": {},
    "body": {"a": 1},
}


def test_send_frame_is_a_request_with_its_body_beneath() -> None:
    """As over HTTP: the transport's own fields win over the application's of the same name."""
    frame = decode_client_frame(json.dumps(SEND))
    assert isinstance(frame, SendFrame)
    assert (frame.request_id, frame.headers) == ("r1", {"authorization": "Bearer t"})
    assert (frame.chat.id, frame.chat.agent, frame.chat.trigger) == ("c1", "poet", "submit-message")
    assert [message.id for message in frame.chat.messages] == ["u1"]
    assert json.loads(bytes(frame.chat.rest)) == {"temperature": 0.5}


@pytest.mark.parametrize("last", [None, 3])
def test_resume_frame_names_a_chat(last: int | None) -> None:
    """Its last sequence is optional."""
    frame = decode_client_frame(json.dumps(RESUME | ({"lastSequence": last} if last else {})))
    assert isinstance(frame, ResumeFrame)
    assert (frame.request_id, frame.id, frame.last_sequence) == ("r2", "c1", last)
    assert bytes(frame.body) == b'{"a":1}'


def test_abort_frame_names_a_request() -> None:
    """It needs nothing else."""
    assert decode_client_frame(b'{"type":"abort","requestId":"r1"}') == AbortFrame(request_id="r1")


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff",
        b"[]",
        b"{}",
        b'{"type":"abort"}',
        {**RESUME, "type": "subscribe"},
        {**RESUME, "requestId": 1},
        {**RESUME, "headers": {"a": 1}},
        {**RESUME, "body": []},
        {**RESUME, "lastSequence": -1},
        {**RESUME, "lastSequence": 1.5},
        {**SEND, "trigger": "resume"},
        {**SEND, "messageId": 1},
        {**SEND, "messages": []},
        {**SEND, "messages": [{"id": "u1"}]},
    ],
)
def test_frame_is_refused_as_the_sdk_itself_would(frame: bytes | dict[str, Any]) -> None:
    """`safeValidateWebSocketChatTransportRequest` rejects each of these, or cannot answer it."""
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    with pytest.raises(MalformedFrameError, match="unable to read"):
        decode_client_frame(data)


def test_chunk_frames_number_what_is_sent() -> None:
    """A client refuses a hole: what it does not know takes no number."""
    chunks = [
        TextDeltaChunk(id="0", delta="é"),
        CustomChunk(kind="a.b"),
        TextDeltaChunk(id="0", delta=""),
    ]
    batch = ChunkBatch.aggregate(chunks, 40)
    frames = [json.loads(frame) for frame in chunk_frames('r"1', batch, 6, 7)]
    assert [(frame["type"], frame["requestId"]) for frame in frames] == [("chunk", 'r"1')] * 2
    assert [frame["sequence"] for frame in frames] == [7, 8]
    assert [frame["chunk"]["delta"] for frame in frames] == ["é", ""]


def test_other_frames_name_their_request() -> None:
    """Each is one object."""
    assert json.loads(start_frame("r")) == {"type": "start", "requestId": "r"}
    assert json.loads(end_frame("r")) == {"type": "end", "requestId": "r"}
    assert json.loads(no_active_frame("r")) == {"type": "no-active", "requestId": "r"}
    assert json.loads(error_frame("r", "no")) == {
        "type": "error",
        "requestId": "r",
        "errorText": "no",
    }
